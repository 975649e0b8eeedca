package segment

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/google/uuid"

	"github.com/sapa-crm/sapa/customer"
)

// convert makes a value of a type that join gave.
func convert(n node, t Type) node {
	switch {
	case n.typ() == t:
		return n
	case n.typ() == typeNothing:
		return &constant{base{t: t, loc: n.at(), null: true}, nil, ""}
	}
	return &cast{base{t: t, loc: n.at(), null: n.nullable()}, n}
}

func isConstant(n node) bool {
	_, ok := n.(*constant)
	return ok
}

// isFixed says that a value is the same for all rows.
func isFixed(n node) bool {
	switch n.(type) {
	case *column, *rowRef, *rowsRef, *aggregate, *quantifier, *mapped, *fact, *element, *overTexts:
		return false
	}
	for _, c := range children(n) {
		if !isFixed(c) {
			return false
		}
	}
	return true
}

func (c *checker) in(n *ast.BinaryNode) node {
	x, at := c.expr(n.Left), c.extent(n)
	if r, ok := n.Right.(*ast.BinaryNode); ok && r.Operator == ".." {
		return c.inRange(at, x, r)
	}
	right := c.expr(n.Right)
	if x == nil || right == nil {
		return nil
	}
	switch r := right.(type) {
	case *listNode:
		return c.inList(at, x, r)
	case *mapped:
		return c.inMapped(at, x, r)
	case *rowsRef:
		return c.problem(at, fmt.Sprintf("write %s in map(%s, .column)", c.words(x), c.words(right)),
			"in needs a list of values, but %s is %s", c.words(right), right.typ())
	}
	if right.typ() != typeTexts {
		hint := fmt.Sprintf("write %s == %s", c.words(x), c.words(right))
		if right.typ() == typeText {
			hint += fmt.Sprintf(" or %s contains %s", c.words(right), c.words(x))
		}
		return c.problem(at, cmp.Or(c.otherHint(right), hint), "in needs a list, but %s is %s", c.words(right), right.typ())
	}
	if x.typ() != typeText {
		return c.problem(at, "", "%s is a list of texts, but %s is %s", c.words(right), c.words(x), x.typ())
	}
	return &contains{condition(at), right, x}
}

// inMapped is x in map(rows, .column): some row has the value.
func (c *checker) inMapped(at span, x node, m *mapped) node {
	pred := c.inList(at, m.of, &listNode{base{t: typeList, loc: x.at()}, []node{x}})
	if pred == nil {
		return nil
	}
	if in := pred.(*member); x.typ() == typeNothing {
		return c.problem(at, "write any(…, … == nil)", "map leaves missing values out, so nil is never in it")
	} else if !x.nullable() {
		pred = &equal{in.base, in.x, in.items[0]}
	}
	return &quantifier{condition(at), "any", m.rows, pred}
}

func (c *checker) inRange(at span, x node, r *ast.BinaryNode) node {
	lo, hi := c.expr(r.Left), c.expr(r.Right)
	if x == nil || lo == nil || hi == nil {
		return nil
	}
	for _, n := range []node{x, lo, hi} {
		if n.typ() != typeInt {
			return c.problem(at, fmt.Sprintf("write %s >= … && %s <= …", c.words(x), c.words(x)),
				"a range is for whole numbers, but %s is %s", c.words(n), n.typ())
		}
	}
	if c.emptyRange(x, lo, hi) {
		return nil
	}
	return &between{condition(at), x, lo, hi}
}

func (c *checker) list(n *ast.ArrayNode) node {
	out, ok := &listNode{base: base{t: typeList, loc: c.extent(n)}}, true
	for _, item := range n.Nodes {
		e := c.expr(item)
		ok = ok && e != nil
		out.items = append(out.items, e)
	}
	if !ok {
		return nil
	}
	return out
}

func (c *checker) inList(at span, x node, list *listNode) node {
	m := &member{base: condition(at), x: x}
	t, ok := x.typ(), x.typ().isScalar()
	if !ok {
		return c.problem(at, "", "%s is %s and can't be looked for in a list", c.words(x), x.typ())
	}
	if len(list.items) == 0 {
		return c.problem(list.at(), "write the values into it, or leave the condition out", "nothing is in an empty list")
	}
	for _, item := range list.items {
		if item.typ() == typeNothing {
			m.withNil = true
			continue
		}
		if _, fits := c.comparable(item.at(), "in", x, item); !fits {
			return nil
		}
		if _, item, ok = c.sameUUID(x, item); !ok || !c.label(x, item) {
			return nil
		}
		t, _ = join(t, item.typ())
		m.items = append(m.items, item)
	}
	m.x = convert(x, t)
	for i, item := range m.items {
		m.items[i] = convert(item, t)
	}
	return m
}

// sameUUID gives a text that is compared with a uuid column the one spelling that PostgreSQL prints.
func (c *checker) sameUUID(a, b node) (node, node, bool) {
	switch {
	case isUUID(a):
		b, ok := c.asUUID(b)
		return a, b, ok
	case isUUID(b):
		a, ok := c.asUUID(a)
		return a, b, ok
	}
	return a, b, true
}

func isUUID(n node) bool {
	col, ok := n.(*column)
	return ok && col.col.Kind == customer.UUID
}

func (c *checker) asUUID(n node) (node, bool) {
	k, ok := n.(*constant)
	if !ok {
		return n, true
	}
	id, err := uuid.Parse(k.v.(string))
	if err != nil || len(k.v.(string)) != 36 {
		c.problem(n.at(), `a uuid is written as "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"`, "%s is no uuid", c.words(n))
		return nil, false
	}
	return &constant{k.base, id.String(), ""}, true
}

// mismatchHint says how to write what was probably meant by comparing two types that don't compare.
func (c *checker) mismatchHint(a, b node) string {
	if hint := c.otherHint(a, b); hint != "" {
		return hint
	}
	if hint := c.oneSidedHint(a, b); hint != "" {
		return hint
	}
	return c.oneSidedHint(b, a)
}

func (c *checker) oneSidedHint(a, b node) string {
	k, literal := b.(*constant)
	switch t := a.typ(); {
	case t.isTime() && literal && b.typ() == typeText:
		if _, err := parseDate(k.v.(string)); err != nil {
			return `write a date as date("2026-01-31")`
		}
		return fmt.Sprintf("write date(%s)", c.words(b))
	case t.isTime() && wholeDate.MatchString(c.words(b)):
		return fmt.Sprintf("write date(%q)", strings.ReplaceAll(c.words(b), " ", ""))
	case t.isScalar() && b.typ() == typeList:
		return fmt.Sprintf("write %s in %s", c.words(a), c.words(b))
	case t.isNumber() && b.typ() == typePeriod:
		return "write a number" + strings.TrimPrefix(daysOnly.ReplaceAllString(c.words(b), ": $1"), c.words(b))
	case t.isNumber() && literal && b.typ() == typeText && percents.MatchString(k.v.(string)):
		return "write " + percents.ReplaceAllString(k.v.(string), "$1")
	case isCall(a, "weekday") && literal && b.typ() == typeText:
		return weekdayHint(k.v.(string))
	case t.isTime() && b.typ() == typePeriod:
		return fmt.Sprintf("write today() - %s", c.words(b))
	case t.isNumber() && literal && b.typ() == typeText && isDigits(k.v.(string)):
		return "write the number without quotes"
	case t == typeText && literal && b.typ().isNumber():
		return fmt.Sprintf("write \"%s\" in quotes", c.words(b))
	case t == typeBool && literal && b.typ().isNumber():
		return "write true or false"
	case t == typeBool && literal && b.typ() == typeText && (strings.EqualFold(k.v.(string), "true") || strings.EqualFold(k.v.(string), "false")):
		return "write " + strings.ToLower(k.v.(string)) + " without quotes"
	case t == typeTexts && b.typ() == typeText:
		return fmt.Sprintf("write %s in %s", c.words(b), c.words(a))
	case t == typeRows && b.typ() == typeList:
		return fmt.Sprintf("write count(%s) == 0 to ask for none", c.words(a))
	case t == typeRows:
		return "write any(…), all(…) or count(…)"
	case t == typeRow && b.typ().isScalar():
		if column := c.columnLike(a, b.typ()); column != "" {
			return "compare one of its columns, as in " + column
		}
	}
	return ""
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
