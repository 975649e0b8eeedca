package segment

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/sapa-crm/sapa/internal/diag"
)

// call checks a function by its row in the table.
func (c *checker) call(n ast.Node, name string, args []ast.Node) node {
	at := c.extent(n)
	token := span{n.Location().From, n.Location().To}
	fn, ok := function(name)
	if remedy := refused[name]; !ok && remedy != "" {
		return c.problem(token, remedy, "%s can't be used in rules", name)
	}
	if !ok {
		return c.problem(token, diag.DidYouMean(name, functionNames()), "unknown function %q", name)
	}
	if fn.form != nil {
		return fn.form(c, fn, at, args)
	}
	return c.plainCall(fn, at, args)
}

// plainCall checks a function of values: one that is missing, false or what Go and SQL say of its arguments.
func (c *checker) plainCall(fn *Function, at span, args []ast.Node) node {
	if len(args) != len(fn.Params) {
		return c.argumentCount(fn, at)
	}
	out := &call{base: base{t: fn.Result, loc: at, null: fn.partial}, fn: fn}
	for i, arg := range args {
		a := c.argument(fn, fn.Params[i], arg)
		if a == nil {
			return nil
		}
		out.null = out.null || a.nullable()
		out.args = append(out.args, a)
	}
	if fn.check != nil {
		if message := fn.check(out.args); message != "" {
			return c.problem(at, "for example "+fn.Example, "%s", message)
		}
	}
	return out
}

func (c *checker) argumentCount(fn *Function, at span) node {
	return c.problem(at, "for example "+fn.Example, "%s", fn.usage())
}

func (c *checker) argument(fn *Function, want Type, arg ast.Node) node {
	a := c.expr(arg)
	if a == nil {
		return nil
	}
	t, ok := join(a.typ(), want)
	if a.typ() == typeNothing && !fn.fixed {
		t, ok = want, true
	}
	if !ok || t != want {
		return c.problem(a.at(), cmp.Or(c.otherHint(a), "for example "+fn.Example), "%s takes %s, but %s is %s", fn.Name, want, c.words(a), a.typ())
	}
	if fn.fixed && !isFixed(a) {
		return c.problem(a.at(), "for example "+fn.Example, "%s takes a constant, but %s differs from row to row", fn.Name, c.words(a))
	}
	return convert(a, t)
}

// list is what a function goes over: rows, or the values that map makes of rows.
type list struct {
	rows
	value node // nil where it is the rows themselves
}

// listOf checks an argument that must be rows, or values of rows.
func (c *checker) listOf(fn *Function, arg ast.Node) (list, bool) {
	a := c.expr(arg)
	switch a := a.(type) {
	case nil:
		return list{}, false
	case *rowsRef:
		return list{rows: a.rows}, true
	case *mapped:
		return list{a.present(), a.of}, true
	}
	hint := "for example " + fn.Example
	switch a.typ() {
	case typeTexts:
		hint = fmt.Sprintf(`write "…" in %s`, c.words(a))
	case typeRow:
		hint = "it is one row already: write " + c.columnLike(a, typeNothing)
	case typeList:
		hint = "write … in […], or the conditions with || between them"
	}
	c.problem(a.at(), hint, "%s takes the rows of a relation, but %s is %s", fn.Name, c.words(a), a.typ())
	return list{}, false
}

// rowsOf checks an argument that must be rows: a relation, or filter(…) of one.
func (c *checker) rowsOf(fn *Function, arg ast.Node) (rows, bool) {
	l, ok := c.listOf(fn, arg)
	if ok && l.value != nil {
		hint := "for example " + fn.Example
		if m, ok := arg.(*ast.BuiltinNode); ok && m.Name == "map" && len(m.Arguments) == 2 {
			hint = fmt.Sprintf("write %s(%s)%s", fn.Name, c.short(c.extent(m.Arguments[0])), c.short(c.extent(m.Arguments[1])))
		}
		c.problem(c.extent(arg), hint, "%s takes the rows of a relation, but %s is %s", fn.Name, c.short(c.extent(arg)), typeList)
		return rows{}, false
	}
	return l.rows, ok
}

// present are the rows that have the value.
func (m *mapped) present() rows {
	if !m.of.nullable() {
		return m.rows
	}
	return m.rows.where(&not{condition(m.of.at()), &isNil{condition(m.of.at()), m.of}})
}

// where are those of the rows that satisfy another condition.
func (r rows) where(pred node) rows {
	r.filters = append(append([]node(nil), r.filters...), pred)
	return r
}

// closure checks an expression in which .column is a column of the rows' current row.
func (c *checker) closure(r list, body ast.Node, check func(ast.Node) node) node {
	if p, ok := body.(*ast.PredicateNode); ok {
		body = p.Node
	}
	c.closures = append(c.closures, closure{row: r.row, value: r.value})
	defer func() { c.closures = c.closures[:len(c.closures)-1] }()
	return check(body)
}

// rowsAndBody checks the two arguments of a function that asks something of each row; the body is nil after a problem.
func (c *checker) rowsAndBody(fn *Function, at span, args []ast.Node, check func(ast.Node) node) (list, node) {
	if len(args) != 2 {
		return list{}, c.argumentCount(fn, at)
	}
	r, ok := c.listOf(fn, args[0])
	if !ok {
		return list{}, nil
	}
	return r, c.closure(r, args[1], check)
}

func formQuantifier(c *checker, fn *Function, at span, args []ast.Node) node {
	r, pred := c.rowsAndBody(fn, at, args, c.condition)
	if pred == nil {
		return nil
	}
	if fn.Name == "one" {
		count := &aggregate{base{t: typeInt, loc: at}, "count", r.where(pred), nil}
		return &equal{condition(at), count, &constant{base{t: typeInt, loc: at}, int64(1), "1"}}
	}
	return &quantifier{condition(at), fn.Name, r.rows, pred}
}

func formFilter(c *checker, fn *Function, at span, args []ast.Node) node {
	r, pred := c.rowsAndBody(fn, at, args, c.condition)
	if pred == nil {
		return nil
	}
	if r.value != nil {
		return &mapped{base{t: typeList, loc: at}, r.where(pred), r.value}
	}
	return &rowsRef{base{t: typeRows, loc: at}, r.where(pred)}
}

func formMap(c *checker, fn *Function, at span, args []ast.Node) node {
	r, of := c.rowsAndBody(fn, at, args, c.scalar)
	if of == nil {
		return nil
	}
	return &mapped{base{t: typeList, loc: at}, r.rows, of}
}

func formCount(c *checker, fn *Function, at span, args []ast.Node) node {
	if len(args) != 1 && len(args) != 2 {
		return c.argumentCount(fn, at)
	}
	r, ok := c.listOf(fn, args[0])
	if !ok {
		return nil
	}
	if len(args) == 2 {
		pred := c.closure(r, args[1], c.condition)
		if pred == nil {
			return nil
		}
		r.rows = r.where(pred)
	}
	return &aggregate{base{t: typeInt, loc: at}, "count", r.rows, nil}
}

// formAggregate is sum(rows, .column) or sum(map(rows, .column)), and the same for min, max and mean; expr's grammar has
// the first form for sum only. min and max also compare values: max(customer.a, customer.b).
func formAggregate(c *checker, fn *Function, at span, args []ast.Node) node {
	if len(args) == 0 {
		return c.argumentCount(fn, at)
	}
	switch a := c.expr(args[0]).(type) {
	case nil:
		c.aggregateHint(fn, args)
		return nil
	case *mapped:
		if len(args) == 1 { // missing values are left out by themselves
			return c.aggregate(fn, at, a.rows, a.of)
		}
		return c.aggregateOver(fn, at, list{a.present(), a.of}, args[1:])
	case *rowsRef:
		return c.aggregateOver(fn, at, list{rows: a.rows}, args[1:])
	case *listNode:
		if len(args) == 1 {
			return c.extremum(fn, at, a.items)
		}
		return c.argumentCount(fn, at)
	default:
		return c.extremumOf(fn, at, a, args[1:])
	}
}

// aggregateHint says how sum(customer.orders.total) is written, which was reported as a column of many rows.
func (c *checker) aggregateHint(fn *Function, args []ast.Node) {
	m, ok := args[0].(*ast.MemberNode)
	if !ok || len(args) > 1 || len(c.problems) == 0 {
		return
	}
	name, ok := m.Property.(*ast.StringNode)
	last := &c.problems[len(c.problems)-1]
	if !ok || !strings.HasPrefix(last.Hint, "write any(") {
		return
	}
	rows := c.short(c.extent(m.Node))
	if fn.Name == "sum" {
		last.Hint = fmt.Sprintf("write sum(%s, .%s)", rows, name.Value)
	} else {
		last.Hint = fmt.Sprintf("write %s(map(%s, .%s))", fn.Name, rows, name.Value)
	}
}

// aggregateOver goes over rows by an expression, or over values as they are.
func (c *checker) aggregateOver(fn *Function, at span, l list, args []ast.Node) node {
	of := l.value
	switch {
	case len(args) == 1:
		of = c.closure(l, args[0], c.scalar)
	case len(args) > 1:
		return c.argumentCount(fn, at)
	case of == nil:
		return c.problem(at, "for example "+fn.Example, "%s takes a column of rows", fn.Name)
	}
	if of == nil {
		return nil
	}
	return c.aggregate(fn, at, l.rows, of)
}

func (c *checker) aggregate(fn *Function, at span, r rows, of node) node {
	fits, needs := of.typ().isNumber(), "numbers"
	out := base{t: of.typ(), loc: at, null: true}
	switch fn.Name {
	case "sum":
		out.t, out.null = exactType(out.t), false
	case "mean":
		out.t = typeFloat
	default:
		fits = of.typ().isOrdered()
		needs = "numbers, texts, or dates and times"
	}
	if !fits {
		return c.problem(of.at(), "for example "+fn.Example, "%s needs %s, but %s is %s", fn.Name, needs, c.words(of), of.typ())
	}
	return &aggregate{out, fn.Name, r, of}
}

func formLen(c *checker, fn *Function, at span, args []ast.Node) node {
	if len(args) != 1 {
		return c.argumentCount(fn, at)
	}
	a := c.expr(args[0])
	switch a := a.(type) {
	case nil:
		return nil
	case *rowsRef:
		return &aggregate{base{t: typeInt, loc: at}, "count", a.rows, nil}
	case *mapped:
		return &aggregate{base{t: typeInt, loc: at}, "count", a.present(), nil}
	}
	if a.typ() != typeText && a.typ() != typeTexts {
		return c.problem(a.at(), "for example "+fn.Example, "len takes text or a list, but %s is %s", c.words(a), a.typ())
	}
	return &call{base{t: typeInt, loc: at, null: a.nullable()}, fn, []node{a}}
}

// formDate is date("2026-01-31"), or the civil date of a time.
func formDate(c *checker, fn *Function, at span, args []ast.Node) node {
	if len(args) != 1 {
		return c.argumentCount(fn, at)
	}
	a := c.expr(args[0])
	switch {
	case a == nil:
		return nil
	case a.typ().isTime():
		return convert(a, typeDate)
	}
	k, ok := a.(*constant)
	if !ok || a.typ() != typeText {
		return c.problem(a.at(), "for example "+fn.Example, "date takes a date written as text, but %s is %s", c.words(a), a.typ())
	}
	d, err := parseDate(k.v.(string))
	if err != nil {
		return c.problem(a.at(), "for example "+fn.Example, "%s is no date: %v", c.words(a), err)
	}
	return &constant{base{t: typeDate, loc: at}, d, ""}
}
