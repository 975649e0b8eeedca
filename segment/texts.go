package segment

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// overTexts asks something of each text of a list, or picks one. Missing texts are left out, and a missing list has none.
type overTexts struct {
	base
	op    string // any, count, filter, map, pick
	list  node
	item  *variable // the current text, in body
	body  node      // a condition, for map a text; nil for a count of all and for pick
	index int       // of pick: from 0, or from the end: -1
}

// element is the current text of a list, #.
type element struct {
	base
	item *variable
}

type form = func(c *checker, fn *Function, at span, args []ast.Node) node

// orTexts gives a call over a list of texts to formTexts, and every other to rows.
func orTexts(rows form) form {
	return func(c *checker, fn *Function, at span, args []ast.Node) node {
		if len(args) == 0 {
			return c.argumentCount(fn, at)
		}
		a, forget := c.checkedFirst(args[0])
		defer forget()
		if a != nil && a.typ() == typeTexts {
			return formTexts(c, fn, at, args)
		}
		return rows(c, fn, at, args)
	}
}

// formTexts checks any, all, none, one, count, filter, map, find, first and last of a list of texts.
func formTexts(c *checker, fn *Function, at span, args []ast.Node) node {
	list := c.expr(args[0])
	if list == nil {
		return nil
	}
	switch fn.Name {
	case "first", "last":
		if len(args) != 1 {
			return c.argumentCount(fn, at)
		}
		index := 0
		if fn.Name == "last" {
			index = -1
		}
		return pickText(at, list, index)
	case "count":
		if len(args) == 1 {
			return &overTexts{base: base{t: typeInt, loc: at}, op: "count", list: list, item: c.vars.add("#", nil)}
		}
	}
	if len(args) != 2 {
		return c.argumentCount(fn, at)
	}
	return c.eachText(fn, at, list, args[1])
}

func (c *checker) eachText(fn *Function, at span, list node, body ast.Node) node {
	item := c.vars.add("#", nil)
	check := c.condition
	if fn.Name == "map" {
		check = c.mapped
	}
	if p, ok := body.(*ast.PredicateNode); ok {
		body = p.Node
	}
	c.closures = append(c.closures, closure{row: item, value: &element{base{t: typeText}, item}})
	defer func() { c.closures = c.closures[:len(c.closures)-1] }()
	b := check(body)
	if b == nil {
		return nil
	}
	return overEach(fn.Name, at, list, item, b)
}

// mapped checks what map makes of each text.
func (c *checker) mapped(body ast.Node) node {
	b := c.expr(body)
	if b != nil && b.typ() != typeText {
		return c.problem(b.at(), "write count(…, condition) to count texts, or any(…, condition)",
			"map makes texts of a list of texts, but %s is %s", c.words(b), b.typ())
	}
	return b
}

// overEach: none is not any, all is not any that is not, one is a count of 1, and find is the first of those found.
func overEach(name string, at span, list node, item *variable, body node) node {
	over := func(t Type, op string, body node) *overTexts {
		return &overTexts{base: base{t: t, loc: at, null: t == typeTexts && list.nullable()}, op: op, list: list, item: item, body: body}
	}
	switch name {
	case "none":
		return &not{condition(at), over(typeBool, "any", body)}
	case "all":
		return &not{condition(at), over(typeBool, "any", &not{condition(body.at()), body})}
	case "one":
		return &equal{condition(at), over(typeInt, "count", body), &constant{base{t: typeInt, loc: at}, int64(1), "1"}}
	case "count":
		return over(typeInt, "count", body)
	case "find":
		return pickText(at, over(typeTexts, "filter", body), 0)
	case "filter", "map":
		return over(typeTexts, name, body)
	}
	return over(typeBool, "any", body)
}

func pickText(at span, list node, index int) node {
	return &overTexts{base: base{t: typeText, loc: at, null: true}, op: "pick", list: list, index: index}
}

// at is customer.tags[0], or [-1] for the last.
func (c *checker) textAt(n *ast.MemberNode, list node) node {
	index, ok := n.Property.(*ast.IntegerNode)
	sign := 1
	if minus, isUnary := n.Property.(*ast.UnaryNode); isUnary && minus.Operator == "-" {
		index, ok = minus.Node.(*ast.IntegerNode)
		sign = -1
	}
	if !ok || index.Value > 1000 {
		return c.problem(c.extent(n), fmt.Sprintf("write %s[0] for the first, %s[-1] for the last", c.words(list), c.words(list)),
			"the number of a text must be written out")
	}
	return pickText(c.extent(n), list, sign*index.Value)
}

func (n *overTexts) parts() []node {
	if n.body == nil {
		return []node{n.list}
	}
	return []node{n.list, n.body}
}

func (n *overTexts) rebuild(f func(node) node) node {
	c := *n
	c.list = f(n.list)
	if n.body != nil {
		c.body = f(n.body)
	}
	return &c
}

// texts runs a list's texts through visit, until it says stop (false).
func (c compiler) texts(n *overTexts) func(f *frame, visit func(text string) bool) {
	list := c.value(n.list)
	holds := func(*frame) bool { return true }
	if n.body != nil && n.op != "map" {
		holds = c.test(n.body)
	}
	if n.item == nil {
		return func(f *frame, visit func(string) bool) {
			texts, _ := list(f).([]string)
			for _, text := range texts {
				if !visit(text) {
					return
				}
			}
		}
	}
	slot := n.item.slot
	return func(f *frame, visit func(string) bool) {
		texts, _ := list(f).([]string)
		if len(texts) == 0 {
			return
		}
		for len(f.rows) <= slot { // a constant is evaluated without rows
			f.rows = append(f.rows, nil)
		}
		outer, current := f.rows[slot], map[string]any{}
		defer func() { f.rows[slot] = outer }()
		for _, text := range texts {
			current[elementKey], f.rows[slot] = text, current
			if holds(f) && !visit(text) {
				return
			}
		}
	}
}

const elementKey = "#"

func (c compiler) element(n *element) valueFunc {
	slot := n.item.slot
	return func(f *frame) any { return f.rows[slot][elementKey] }
}

func (c compiler) anyText(n *overTexts) testFunc {
	each := c.texts(n)
	return func(f *frame) bool {
		found := false
		each(f, func(string) bool { found = true; return false })
		return found
	}
}

func (c compiler) overTexts(n *overTexts) valueFunc {
	each, list := c.texts(n), c.value(n.list)
	switch n.op {
	case "any":
		test := c.anyText(n)
		return func(f *frame) any { return test(f) }
	case "count":
		return func(f *frame) any {
			var count int64
			each(f, func(string) bool { count++; return true })
			return count
		}
	case "pick":
		return func(f *frame) any { return textAt(list(f), n.index) }
	}
	of := func(_ *frame, text string) any { return text }
	if n.op == "map" {
		body := c.value(n.body)
		of = func(f *frame, _ string) any { return body(f) }
	}
	return func(f *frame) any {
		if list(f) == nil {
			return nil
		}
		kept := []string{}
		each(f, func(text string) bool {
			if v, ok := of(f, text).(string); ok {
				kept = append(kept, v)
			}
			return true
		})
		return kept
	}
}

func textAt(list any, index int) any {
	texts, _ := list.([]string)
	if index < 0 {
		index += len(texts)
	}
	if index < 0 || index >= len(texts) {
		return nil
	}
	return texts[index]
}

// overTextsSQL is the value in SQL; any is a condition and never NULL.
func (e *emitter) overTextsSQL(n *overTexts) string {
	if text, ok := e.anyOfConstants(n); ok {
		return text
	}
	list := e.list(n.list)
	switch n.op {
	case "any":
		return "exists " + e.unnest(n, list, "")
	case "count":
		return e.unnest(n, list, "count(*)")
	case "pick":
		return e.pickSQL(n, list)
	}
	if !n.list.nullable() {
		return e.collected(n, list)
	}
	if _, ok := n.list.(*column); ok && !strings.HasPrefix(list, "(") {
		return fmt.Sprintf("(case when %s is not null then %s end)", list, e.collected(n, list))
	}
	g := e.newAlias()
	return fmt.Sprintf("(select case when %s.l is not null then %s end from (select %s as l offset 0) %s)", g, e.collected(n, g+".l"), list, g)
}

// list is a list of texts as text[].
func (e *emitter) list(n node) string {
	text := e.value(n)
	if isVarchars(n) {
		text += "::text[]"
	}
	return text
}

// isVarchars are the lists that are no text[] in SQL, so that an index on them serves.
func isVarchars(n node) bool {
	col, ok := n.(*column)
	return ok && strings.HasPrefix(col.col.PGType, "character varying")
}

// unnest is a subquery of the texts that satisfy the body.
func (e *emitter) unnest(n *overTexts, list, of string) string {
	alias := e.newAlias()
	e.aliases[n.item] = alias
	where := alias + ".v is not null"
	if e.mutate == mutateListNull {
		where = "true"
	}
	if n.body != nil && n.op != "map" {
		if text := e.cond(n.body, true, widen); text != "true" {
			where += " and " + text
		}
	}
	if of == "v" {
		of = alias + ".v"
	}
	if n.op == "map" {
		of = e.value(n.body)
	}
	return strings.Replace(fmt.Sprintf("(select %s from unnest(%s) %s(v) where %s)", of, list, alias, where), "(select  from", "(select from", 1)
}

// collected is the list of what unnest gives, in its order.
func (e *emitter) collected(n *overTexts, list string) string {
	texts := e.unnest(n, list, "v")
	if n.op == "map" && n.body.nullable() {
		alias := e.newAlias()
		texts = fmt.Sprintf("(select %s.v from %s %s(v) where %s.v is not null)", alias, texts, alias, alias)
	}
	return "array" + texts
}

func (e *emitter) pickSQL(n *overTexts, list string) string {
	alias, order, offset := e.newAlias(), "", n.index
	if n.index < 0 {
		order, offset = " desc", -n.index-1
	}
	text := fmt.Sprintf("(select %s.v from unnest(%s) with ordinality %s(v, n) where %s.v is not null order by %s.n%s limit 1", alias, list, alias, alias, alias, order)
	if offset > 0 {
		text += fmt.Sprintf(" offset %d", offset)
	}
	return text + ")"
}

// anyOfConstants is any(list, # == "x") and any(list, # in ["x", "y"]), which an index on the list serves.
func (e *emitter) anyOfConstants(n *overTexts) (string, bool) {
	if n.op != "any" {
		return "", false
	}
	switch body := n.body.(type) {
	case *equal:
		x := body.b
		if isElement(body.b, n.item) {
			x = body.a
		} else if !isElement(body.a, n.item) {
			return "", false
		}
		if k, ok := x.(*constant); ok && k.v != nil {
			return e.containsSQL(&contains{n.base, n.list, k}), true
		}
	case *member:
		constants, others := splitItems(body.items)
		if !isElement(body.x, n.item) || len(others) > 0 || len(constants) == 0 {
			return "", false
		}
		values, cast := arrayParam(constants, typeText)
		if isVarchars(n.list) {
			cast = "varchar[]"
		}
		return fmt.Sprintf("%s && %s", e.value(n.list), e.bind(values, cast)), true
	}
	return "", false
}

func isElement(n node, item *variable) bool {
	el, ok := n.(*element)
	return ok && el.item == item
}

// presentTexts are the texts of an array column, in one dimension; presentCount is how many there are.
func presentTexts(array string) string {
	return fmt.Sprintf("case when %s is not null then array(select v from unnest(%s) v where v is not null) end", array, array)
}

func presentCount(array string) string {
	if strings.HasPrefix(array, "(") || strings.HasPrefix(array, "array") {
		return fmt.Sprintf("(select case when g.l is not null then (select count(v) from unnest(g.l) v) end from (select %s as l offset 0) g)", array)
	}
	return fmt.Sprintf("(case when %s is not null then (select count(v) from unnest(%s) v) end)", array, array)
}
