package templates

import (
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
)

// checker resolves the names of a template and checks their types, in the order of the source.
type checker struct {
	*reporter
	format  Format
	scope   Scope
	globals map[string]typ
	filters map[string]*filter
	locals  map[string]localVar
	slots   int
	cycles  map[string]int
	loops   int
	paths   map[string][]string
	exists  map[string][]string // rows of which only the existence matters
	pages   map[string]bool     // the engine's own pages whose address is printed
	inLink  bool                // inside {% link %}
	links   []*linkNode
}

// localVar is a name that the template itself defines.
type localVar struct {
	slot int
	typ  typ
}

func newChecker(r *reporter, format Format, scope Scope) *checker {
	return &checker{
		reporter: r, format: format, scope: scope, globals: scope.globals(), filters: indexFilters(),
		locals: map[string]localVar{}, cycles: map[string]int{}, paths: map[string][]string{}, exists: map[string][]string{},
		pages: map[string]bool{},
	}
}

func (c *checker) nodes(nodes []node) {
	for i := range nodes {
		nodes[i] = c.node(nodes[i])
	}
}

// node checks one node. Links become linkNodes.
func (c *checker) node(n node) node {
	switch n := n.(type) {
	case *outNode:
		return c.out(n)
	case *ifNode:
		for _, b := range n.branches {
			if b.cond != nil {
				c.expr(b.cond)
			}
			c.nodes(b.body)
		}
	case *caseNode:
		c.caseNode(n)
	case *forNode:
		c.forNode(n)
	case *assignNode:
		t := c.expr(n.e)
		if t.fields != nil {
			c.problem(n.e.place(), "name one of its parts", "%s can't be assigned as a whole", t.word)
		}
		n.slot = c.define(n.name, t)
	case *captureNode:
		n.html = c.format == HTML
		c.nodes(n.body)
		n.slot = c.define(n.name, typ{shape: textShape})
	case *cycleNode:
		slot, ok := c.cycles[n.key]
		if !ok {
			slot = len(c.cycles)
			c.cycles[n.key] = slot
		}
		n.slot = slot
	case *linkBlock:
		return c.linkBlock(n)
	}
	return n
}

func (c *checker) out(n *outNode) node {
	if link := c.linkFilter(n); link != nil {
		return link
	}
	if c.page(n) {
		return n
	}
	t := c.expr(n.e)
	switch {
	case t.shape == nilShape && !isBadLiteral(n):
		c.problem(n.e.place(), "", "nil prints nothing")
	case t.shape == rowShape:
		c.problem(n.e.place(), rowHint(c.src.slice(n.e.place()), t), "this is a row and can't be printed")
	case t.rows():
		c.problem(n.e.place(), "use {% for %}, or map: {{ … | map: \"column\" | join: \", \" }}", "this is a list of rows and can't be printed")
	}
	return n
}

// isBadLiteral says whether an expression stands for one that was reported already.
func isBadLiteral(n *outNode) bool {
	l, ok := n.e.(*literal)
	return ok && l.at == n.at
}

func rowHint(written string, t typ) string {
	if t.entity == nil || len(t.entity.Columns) == 0 {
		return ""
	}
	return "name one of its columns, such as " + written + "." + t.entity.Columns[0].Name
}

func (s Source) slice(at pos) string { return s.Text[at.off:min(len(s.Text), at.off+at.len)] }

func (c *checker) caseNode(n *caseNode) {
	subject := c.expr(n.subject)
	for _, w := range n.whens {
		for i := range w.values {
			t := c.expr(w.values[i])
			w.values[i] = c.comparable(w.values[i], t, subject)
		}
		c.nodes(w.body)
	}
}

func (c *checker) forNode(n *forNode) {
	t := c.expr(n.list)
	switch t.shape {
	case listShape, anyShape, nilShape:
	default:
		c.problem(n.list.place(), "", "{%% for %%} needs a list, and this is %s", t.shape)
	}
	c.count(n.limit)
	c.count(n.offset)
	c.reserved(n.name)
	outer, shadowed := c.locals[n.name.text]
	n.slot = c.slots
	c.slots++
	c.locals[n.name.text] = localVar{n.slot, t.element()}
	c.loops++
	c.nodes(n.body)
	c.loops--
	delete(c.locals, n.name.text)
	if shadowed {
		c.locals[n.name.text] = outer
	}
	c.nodes(n.none)
}

func (c *checker) count(e expr) {
	if e == nil {
		return
	}
	if t := c.expr(e); t.shape != numberShape && t.shape != anyShape {
		c.problem(e.place(), "", "a whole number is needed, and this is %s", t.shape)
	}
}

// reserved refuses to give a name that means something already.
func (c *checker) reserved(name lexeme) bool {
	_, taken := c.globals[name.text]
	if taken || name.text == "forloop" {
		c.problem(name.at, "choose another name", "%q has a meaning already", name.text)
		return true
	}
	return false
}

// define gives a name to a value and returns its slot. A name keeps the kind of row that it first meant, because the
// columns that are fetched are found here.
func (c *checker) define(name lexeme, t typ) int {
	if name.text == "" || c.reserved(name) {
		return c.newSlot()
	}
	old, ok := c.locals[name.text]
	if !ok {
		old = localVar{slot: c.newSlot(), typ: t}
	}
	joined := join(old.typ, t)
	if joined.shape == anyShape && (old.typ.rows() || t.rows()) {
		c.problem(name.at, "choose another name", "%q means another kind of row already", name.text)
	}
	c.locals[name.text] = localVar{old.slot, joined}
	return old.slot
}

func (c *checker) newSlot() int {
	c.slots++
	return c.slots - 1
}

// expr checks an expression and returns its type.
func (c *checker) expr(e expr) typ {
	switch e := e.(type) {
	case *literal:
		return literalType(e.v)
	case *variable:
		return c.variable(e)
	case *rangeExpr:
		return c.rangeExpr(e)
	case *filtered:
		t := c.expr(e.base)
		for i := range e.calls {
			t = c.call(&e.calls[i], t, e.base, i == 0)
		}
		return t
	case *binary:
		return c.binary(e)
	}
	return typ{}
}

func literalType(v any) typ {
	switch v.(type) {
	case nil:
		return typ{shape: nilShape}
	case string:
		return typ{shape: textShape}
	case bool:
		return typ{shape: boolShape}
	case empty, blank:
		return typ{}
	}
	return typ{shape: numberShape}
}

func (c *checker) rangeExpr(e *rangeExpr) typ {
	c.count(e.from)
	c.count(e.to)
	from, ok1 := e.from.(*literal)
	to, ok2 := e.to.(*literal)
	if ok1 && ok2 {
		a, _ := from.v.(int64)
		b, _ := to.v.(int64)
		if b-a >= maxRange || b-a < 0 && b > a {
			c.problem(e.at, "", "this range has more than %d numbers", maxRange)
		}
	}
	return typ{shape: listShape, elem: &typ{shape: numberShape}}
}

func (c *checker) binary(e *binary) typ {
	a, b := c.expr(e.a), c.expr(e.b)
	switch e.op {
	case "and", "or":
	case "contains":
		if a.shape != listShape && a.shape != textShape && a.shape != anyShape {
			c.problem(e.a.place(), "", "contains needs a text or a list on its left, and this is %s", a.shape)
		}
	default:
		if _, ok := e.b.(*literal); ok {
			e.b = c.comparable(e.b, b, a)
		} else {
			e.a = c.comparable(e.a, a, b)
		}
	}
	return typ{shape: boolShape}
}

// comparable checks that e, of type t, is of the kind that it is compared with. A literal text that is compared with a
// date becomes a date.
func (c *checker) comparable(e expr, t, with typ) expr {
	if t.shape == with.shape || t.shape < textShape || with.shape < textShape {
		return e
	}
	hint := ""
	if l, ok := e.(*literal); ok && with.shape == dateShape {
		if d, ok := toTime(l.v); ok {
			return &literal{l.at, d}
		}
		hint = `write a date as "2026-11-22"`
	}
	c.problem(e.place(), hint, "this is %s, and is compared with %s", t.shape, with.shape)
	return e
}

// known lists the names that a variable may begin with.
func (c *checker) known() []string {
	names := make([]string, 0, len(c.globals)+len(c.locals))
	for name := range c.globals {
		names = append(names, name)
	}
	for name := range c.locals {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (c *checker) unknownHint(name string) string {
	each, s := c.scope.Each, c.scope
	rel := c.relation(name)
	switch {
	case each != nil && s.Merged && name == s.EachName:
		return "the audience is merged: write {% for " + name + " in " + each.Name + " %}"
	case each != nil && !s.Merged && name == each.Name:
		return "this message is about one " + s.EachName + "; for a list add merge: customer to the audience"
	case name == "confirm_url":
		return "it is for campaigns that say  confirms: TOPIC"
	case rel != nil && each == nil:
		return "put it in the audience: each: customer." + rel.Name + " as " + customer.Singular(rel.Name)
	}
	return diag.DidYouMean(name, c.known())
}

// relation is a to-many relation of the customer.
func (c *checker) relation(name string) *customer.Relation {
	if c.scope.Schema == nil {
		return nil
	}
	for _, r := range c.scope.Schema.Customer.Relations {
		if !r.One && (r.Name == name || customer.Singular(r.Name) == name) {
			return r
		}
	}
	return nil
}

// readPaths lists the columns that the template reads, sorted. A row of which no column is read, but whose existence
// matters, is read by the column that joins it.
func (c *checker) readPaths() [][]string {
	direct := map[string]bool{} // rows of which a column is read
	var all [][]string
	for _, path := range c.paths {
		all = append(all, path)
		direct[strings.Join(path[:len(path)-1], "\x00")] = true
	}
	for row, path := range c.exists {
		if !direct[row] {
			all = append(all, path)
		}
	}
	slices.SortFunc(all, slices.Compare)
	return all
}
