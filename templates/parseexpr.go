package templates

import (
	"fmt"
	"strconv"

	"github.com/shopspring/decimal"
)

// maxDepth bounds how deep parentheses, indices and blocks may be nested.
const maxDepth = 50

// exprParser reads one expression, or the words of a tag.
type exprParser struct {
	words []lexeme
	i     int
	depth int
}

func newExprParser(src string, off int) (*exprParser, error) {
	words, err := scan(src, off)
	if err != nil {
		return nil, err
	}
	return &exprParser{words: words}, nil
}

// parseExpr reads a whole expression.
func parseExpr(src string, off int) (expr, error) {
	p, err := newExprParser(src, off)
	if err != nil {
		return nil, err
	}
	e, err := p.condition()
	if err != nil {
		return nil, err
	}
	return e, p.end()
}

func (p *exprParser) peek() lexeme { return p.words[p.i] }

func (p *exprParser) next() lexeme {
	w := p.words[p.i]
	if w.kind != endLexeme {
		p.i++
	}
	return w
}

func (p *exprParser) is(symbol string) bool {
	w := p.peek()
	return w.kind == symbolLexeme && w.text == symbol
}

func (p *exprParser) isWord(word string) bool {
	w := p.peek()
	return w.kind == identLexeme && w.text == word
}

func (p *exprParser) expect(symbol string) error {
	if !p.is(symbol) {
		return p.unexpected(fmt.Sprintf("expected %q", symbol))
	}
	p.next()
	return nil
}

func (p *exprParser) end() error {
	if p.peek().kind == endLexeme {
		return nil
	}
	return p.unexpected("")
}

func (p *exprParser) unexpected(hint string) error {
	w := p.peek()
	switch w.kind {
	case endLexeme:
		if hint == "" {
			hint = "a value or a variable is needed"
		}
		return &syntaxError{w.at, "something is missing here", hint}
	case symbolLexeme:
		if w.text == "=" && hint == "" {
			hint = "to compare, write =="
		}
		if w.text == "." && hint == "" {
			hint = "a name is needed behind the point"
		}
	}
	return &syntaxError{w.at, fmt.Sprintf("%q is not expected here", w.text), hint}
}

func (p *exprParser) nest() error {
	if p.depth++; p.depth > maxDepth {
		return &syntaxError{p.peek().at, "this is nested too deep", ""}
	}
	return nil
}

// condition reads comparisons joined by and, or by or: Liquid gives both the same rank, so a mixture needs parentheses.
func (p *exprParser) condition() (expr, error) {
	if err := p.nest(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	a, err := p.comparison()
	joined := ""
	for err == nil && (p.isWord("and") || p.isWord("or")) {
		w := p.next()
		if joined != "" && joined != w.text {
			return nil, &syntaxError{w.at, "and stands beside or", "use parentheses to say which belong together: (a and b) or c"}
		}
		joined = w.text
		var b expr
		if b, err = p.comparison(); err == nil {
			a = &binary{at: cover(a, b), op: w.text, a: a, b: b}
		}
	}
	return a, err
}

func (p *exprParser) comparison() (expr, error) {
	a, err := p.filtered()
	if err != nil {
		return nil, err
	}
	op := p.peek()
	switch {
	case op.kind == symbolLexeme && isComparison(op.text), op.kind == identLexeme && op.text == "contains":
	default:
		return a, nil
	}
	p.next()
	b, err := p.filtered()
	if err != nil {
		return nil, err
	}
	if op.text == "<>" {
		op.text = "!="
	}
	return &binary{at: cover(a, b), op: op.text, a: a, b: b}, nil
}

func isComparison(s string) bool {
	switch s {
	case "==", "!=", "<>", "<", ">", "<=", ">=":
		return true
	}
	return false
}

func (p *exprParser) filtered() (expr, error) {
	base, err := p.primary()
	if err != nil || !p.is("|") {
		return base, err
	}
	f := &filtered{base: base}
	for p.is("|") {
		p.next()
		c, err := p.call()
		if err != nil {
			return nil, err
		}
		f.calls = append(f.calls, c)
	}
	f.at = pos{base.place().off, p.lastEnd() - base.place().off}
	return f, nil
}

func (p *exprParser) lastEnd() int {
	last := p.words[p.i-1].at
	return last.off + last.len
}

func (p *exprParser) call() (call, error) {
	w := p.next()
	c := call{at: w.at, name: w.text}
	switch w.kind {
	case identLexeme:
		return c, nil
	case keywordLexeme:
		c.at.len = len(w.text)
	default:
		p.i = max(0, p.i-1)
		return c, p.unexpected("a filter's name is needed behind |")
	}
	for {
		if err := p.argument(&c); err != nil {
			return c, err
		}
		if !p.is(",") {
			return c, nil
		}
		p.next()
	}
}

func (p *exprParser) argument(c *call) error {
	name := p.peek()
	if name.kind == keywordLexeme {
		p.next()
	}
	v, err := p.primary()
	if err != nil {
		return err
	}
	if name.kind == keywordLexeme {
		c.named = append(c.named, named{name.at, name.text, v})
		return nil
	}
	c.args = append(c.args, v)
	return nil
}

func (p *exprParser) primary() (expr, error) {
	w := p.peek()
	switch {
	case w.kind == stringLexeme:
		p.next()
		return &literal{w.at, w.text}, nil
	case w.kind == numberLexeme:
		p.next()
		return number(w)
	case w.kind == identLexeme:
		p.next()
		if v, ok := constant(w.text); ok {
			return &literal{w.at, v}, nil
		}
		return p.steps(&variable{at: w.at, name: w.text})
	case p.is("("):
		return p.parenthesis()
	}
	return nil, p.unexpected("")
}

func constant(word string) (any, bool) {
	switch word {
	case "true":
		return true, true
	case "false":
		return false, true
	case "nil", "null":
		return nil, true
	case "empty":
		return empty{}, true
	case "blank":
		return blank{}, true
	}
	return nil, false
}

func number(w lexeme) (expr, error) {
	if n, err := strconv.ParseInt(w.text, 10, 64); err == nil {
		return &literal{w.at, n}, nil
	}
	if len(w.text) > maxDigits {
		return nil, &syntaxError{w.at, "this number has too many digits", ""}
	}
	d, err := decimal.NewFromString(w.text)
	if err != nil {
		return nil, &syntaxError{w.at, "this is not a number", ""}
	}
	return &literal{w.at, d}, nil
}

func (p *exprParser) steps(v *variable) (expr, error) {
	for {
		switch {
		case p.is("."):
			p.next()
			w := p.peek()
			if w.kind != identLexeme {
				return nil, p.unexpected("a name is needed behind the point")
			}
			p.next()
			v.steps = append(v.steps, step{at: w.at, name: w.text})
		case p.is("["):
			s, err := p.index()
			if err != nil {
				return nil, err
			}
			v.steps = append(v.steps, s)
		default:
			return v, nil
		}
		v.at.len = p.lastEnd() - v.at.off
	}
}

func (p *exprParser) index() (step, error) {
	if err := p.nest(); err != nil {
		return step{}, err
	}
	defer func() { p.depth-- }()
	p.next()
	e, err := p.primary()
	if err != nil {
		return step{}, err
	}
	if err := p.expect("]"); err != nil {
		return step{}, err
	}
	if l, ok := e.(*literal); ok {
		if name, ok := l.v.(string); ok {
			return step{at: l.at, name: name}, nil
		}
	}
	return step{at: e.place(), index: e}, nil
}

func (p *exprParser) parenthesis() (expr, error) {
	open := p.next()
	a, err := p.condition()
	if err != nil {
		return nil, err
	}
	if !p.is("..") {
		return a, p.expect(")")
	}
	p.next()
	b, err := p.primary()
	if err != nil {
		return nil, err
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	return &rangeExpr{at: pos{open.at.off, p.lastEnd() - open.at.off}, from: a, to: b}, nil
}

func cover(a, b expr) pos {
	from, to := a.place(), b.place()
	return pos{from.off, to.off + to.len - from.off}
}
