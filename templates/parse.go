package templates

import (
	"errors"
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/internal/diag"
)

// parser makes nodes of tokens.
type parser struct {
	*reporter
	tokens []token
	i      int
	open   []string // names of the open blocks
	loops  int
}

// parseNodes reads a template's syntax.
func parseNodes(r *reporter) []node {
	p := &parser{reporter: r, tokens: lex(r)}
	nodes, _ := p.body(nil)
	return nodes
}

// body reads nodes up to a tag that ends an open block or begins a clause of one. That tag is consumed and returned;
// nil at the end of the template.
func (p *parser) body(nodes []node) ([]node, *token) {
	for p.i < len(p.tokens) {
		t := p.tokens[p.i]
		p.i++
		start, end := strings.CutPrefix(t.name, "end")
		switch {
		case t.kind == textToken:
			nodes = append(nodes, &textNode{t.at, t.text})
		case t.kind == objectToken:
			nodes = append(nodes, &outNode{at: t.at, e: p.expression(t)})
		case end && slices.Contains(p.open, start), isClause(t.name) && len(p.open) > 0:
			return nodes, &t
		case end && slices.Contains(tags, start):
			p.problem(t.at, "", "{%% %s %%} without {%% %s %%}", t.name, start)
		case isClause(t.name):
			p.stray(t)
		default:
			if n := p.tag(t); n != nil {
				nodes = append(nodes, n)
			}
		}
	}
	return nodes, nil
}

// stray reports a clause such as else that belongs to nothing.
func (p *parser) stray(t token) {
	p.problem(t.at, "", "{%% %s %%} belongs to nothing here", t.name)
}

func isClause(name string) bool {
	return name == "else" || name == "elsif" || name == "when"
}

func (p *parser) tag(t token) node {
	if len(p.open) == maxDepth {
		p.problem(t.at, "", "blocks are nested too deep")
		p.i = len(p.tokens)
		return nil
	}
	p.open = append(p.open, t.name)
	defer func() { p.open = p.open[:len(p.open)-1] }()
	switch t.name {
	case "if", "unless":
		return p.ifTag(t)
	case "case":
		return p.caseTag(t)
	case "for":
		return p.forTag(t)
	case "assign":
		return p.assignTag(t)
	case "capture":
		return p.captureTag(t)
	case "cycle":
		return p.cycleTag(t)
	case "link":
		return p.linkTag(t)
	case "break", "continue":
		return p.jump(t)
	}
	p.problem(t.at, tagHint(t.name), "unknown tag %q", t.name)
	return nil
}

// tags are the names that {% … %} knows.
var tags = []string{
	"assign", "break", "capture", "case", "comment", "continue", "cycle", "else", "elsif", "for", "if",
	"link", "raw", "unless", "when",
}

func tagHint(name string) string {
	switch name {
	case "include", "render", "layout", "section":
		return "a template can't read other files: write the text here"
	case "elseif", "elif":
		return `did you mean "elsif"?`
	case "tablerow":
		return "write the rows with {% for %}"
	case "echo":
		return "print a value with {{ … }}"
	}
	return diag.DidYouMean(name, tags)
}

func (p *parser) report(err error) {
	var s *syntaxError
	if errors.As(err, &s) {
		p.problem(s.at, s.hint, "%s", s.msg)
	}
}

// expression reads the expression of an object or a tag; after a problem it is a missing value.
func (p *parser) expression(t token) expr {
	if t.args == "" {
		p.problem(t.at, "", "a value or a variable is needed here")
		return &literal{at: t.at}
	}
	e, err := parseExpr(t.args, t.argo)
	if err != nil {
		p.report(err)
		return &literal{at: t.at}
	}
	return e
}

func (p *parser) noArgs(t token) {
	if t.args != "" {
		p.problem(pos{t.argo, len(t.args)}, "", "{%% %s %%} takes nothing more", t.name)
	}
}

// clause says whether a block goes on with a clause. Otherwise it is closed, by its own end, by that of an outer block
// or by the end of the template (nil).
func (p *parser) clause(open token, stop *token) bool {
	switch {
	case stop != nil && isClause(stop.name):
		return true
	case stop != nil && stop.name == "end"+open.name:
		p.noArgs(*stop)
		return false
	case stop != nil:
		p.i--
	}
	p.problem(open.at, "close it with {% end"+open.name+" %}", "{%% %s %%} is not closed", open.name)
	return false
}

func (p *parser) ifTag(t token) node {
	n := &ifNode{at: t.at}
	b := &branch{cond: p.expression(t), negate: t.name == "unless"}
	for {
		n.branches = append(n.branches, b)
		var stop *token
		b.body, stop = p.body(nil)
		if !p.clause(t, stop) {
			return n
		}
		last := b
		b = &branch{}
		switch {
		case stop.name == "when" || last.cond == nil:
			p.stray(*stop)
		case stop.name == "elsif":
			b.cond = p.expression(*stop)
		default:
			p.noArgs(*stop)
		}
	}
}

func (p *parser) caseTag(t token) node {
	n := &caseNode{at: t.at, subject: p.expression(t)}
	head, stop := p.body(nil)
	for _, h := range head {
		if text, ok := h.(*textNode); !ok || strings.TrimSpace(text.text) != "" {
			p.problem(place(h), "", "only {%% when %%} may follow {%% case %%}")
			break
		}
	}
	for p.clause(t, stop) {
		w := &when{}
		switch stop.name {
		case "when":
			w.values = p.values(*stop)
		case "else":
			p.noArgs(*stop)
		default:
			p.stray(*stop)
		}
		w.body, stop = p.body(nil)
		n.whens = append(n.whens, w)
	}
	return n
}

// values reads `a, b or c`.
func (p *parser) values(t token) []expr {
	x, err := newExprParser(t.args, t.argo)
	if err != nil {
		p.report(err)
		return nil
	}
	var all []expr
	for {
		e, err := x.primary()
		if err != nil {
			p.report(err)
			return all
		}
		all = append(all, e)
		if !x.is(",") && !x.isWord("or") {
			if err := x.end(); err != nil {
				p.report(err)
			}
			return all
		}
		x.next()
	}
}
