package templates

import "strings"

func (p *parser) forTag(t token) node {
	n := &forNode{at: t.at}
	if err := n.head(t); err != nil {
		p.report(err)
		n.list = &literal{at: t.at}
	}
	p.loops++
	var stop *token
	n.body, stop = p.body(nil)
	p.loops--
	for hasElse := false; p.clause(t, stop); hasElse = true {
		if stop.name != "else" || hasElse {
			p.stray(*stop)
		} else {
			p.noArgs(*stop)
		}
		n.none, stop = p.body(n.none)
	}
	return n
}

// head reads `name in list reversed limit: 3 offset: 1`.
func (n *forNode) head(t token) error {
	x, err := newExprParser(t.args, t.argo)
	if err != nil {
		return err
	}
	if n.name, err = x.name("write {% for vehicle in vehicles %}"); err != nil {
		return err
	}
	if !x.isWord("in") {
		return x.unexpected("write {% for " + n.name.text + " in … %}")
	}
	x.next()
	if n.list, err = x.filtered(); err != nil {
		return err
	}
	for x.peek().kind != endLexeme {
		if err := n.modifier(x); err != nil {
			return err
		}
	}
	return nil
}

func (n *forNode) modifier(x *exprParser) error {
	w := x.peek()
	var target *expr
	switch {
	case w.kind == identLexeme && w.text == "reversed":
		x.next()
		n.reversed = true
		return nil
	case w.kind == keywordLexeme && w.text == "limit":
		target = &n.limit
	case w.kind == keywordLexeme && w.text == "offset":
		target = &n.offset
	default:
		return x.unexpected("known here: limit: 3, offset: 1, reversed")
	}
	x.next()
	if x.is(",") {
		x.next()
	}
	e, err := x.primary()
	*target = e
	return err
}

// name reads a name that a tag gives to a value.
func (p *exprParser) name(hint string) (lexeme, error) {
	w := p.peek()
	if w.kind != identLexeme {
		return w, p.unexpected(hint)
	}
	if _, taken := constant(w.text); taken {
		return w, &syntaxError{w.at, "this word has a meaning already", "choose another name"}
	}
	p.next()
	return w, nil
}

func (p *parser) assignTag(t token) node {
	n := &assignNode{at: t.at, e: &literal{at: t.at}}
	x, err := newExprParser(t.args, t.argo)
	if err == nil {
		n.name, err = x.name("write {% assign name = value %}")
	}
	if err == nil {
		err = x.expect("=")
	}
	if err == nil {
		var e expr
		if e, err = x.condition(); err == nil {
			n.e, err = e, x.end()
		}
	}
	if err != nil {
		p.report(err)
	}
	return n
}

func (p *parser) captureTag(t token) node {
	n := &captureNode{at: t.at}
	x, err := newExprParser(t.args, t.argo)
	if err == nil {
		n.name, err = x.name("write {% capture name %}")
	}
	if err == nil {
		err = x.end()
	}
	if err != nil {
		p.report(err)
	}
	n.body = p.simpleBlock(t)
	return n
}

// simpleBlock reads a block without clauses.
func (p *parser) simpleBlock(t token) []node {
	nodes, stop := p.body(nil)
	for p.clause(t, stop) {
		p.stray(*stop)
		nodes, stop = p.body(nodes)
	}
	return nodes
}

// cycleTag reads `'a', 'b'` or `'group': 'a', 'b'`. Cycles with the same words share their turn, as in Liquid.
func (p *parser) cycleTag(t token) node {
	n := &cycleNode{at: t.at}
	if p.loops == 0 {
		p.problem(t.at, "", "{%% cycle %%} outside {%% for %%}")
		return nil
	}
	x, err := newExprParser(t.args, t.argo)
	for err == nil {
		w := x.next()
		if w.kind != stringLexeme {
			x.i = max(0, x.i-1)
			err = x.unexpected("write {% cycle 'odd', 'even' %}")
			break
		}
		n.values = append(n.values, w.text)
		if x.peek().kind == endLexeme {
			if n.key == "" {
				n.key = strings.Join(n.values, "\x00")
			}
			return n
		}
		if x.is(":") && len(n.values) == 1 && n.key == "" {
			n.key, n.values = "\x01"+w.text, nil
			x.next()
			continue
		}
		err = x.expect(",")
	}
	p.report(err)
	return nil
}

func (p *parser) jump(t token) node {
	p.noArgs(t)
	if p.loops == 0 {
		p.problem(t.at, "", "{%% %s %%} outside {%% for %%}", t.name)
	}
	if t.name == "break" {
		return &breakNode{t.at}
	}
	return &continueNode{t.at}
}

func (p *parser) linkTag(t token) node {
	n := &linkBlock{at: t.at}
	if t.args != "" {
		if strings.Trim(t.args, "0123456789") != "" || len(t.args) > 3 {
			p.problem(pos{t.argo, len(t.args)}, "write {% link %}https://…{% endlink %}", "the number of a link is needed here, or nothing")
		}
		n.number = lexeme{kind: numberLexeme, text: t.args, at: pos{t.argo, len(t.args)}}
	}
	n.body = p.simpleBlock(t)
	return n
}
