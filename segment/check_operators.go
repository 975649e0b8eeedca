package segment

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/expr-lang/expr/ast"
)

func (c *checker) unary(n *ast.UnaryNode) node {
	switch n.Operator {
	case "!", "not":
		return c.negation(n)
	}
	a := c.expr(n.Node)
	if a == nil {
		return nil
	}
	at := c.extent(n)
	if !a.typ().isNumber() {
		return c.problem(at, "", "%s needs a number, but %s is %s", n.Operator, c.words(a), a.typ())
	}
	if n.Operator == "+" {
		return a
	}
	return &negate{base{t: exactType(a.typ()), loc: at, null: a.nullable()}, a}
}

// negation reports what `not` was put before when it is no condition: usually it stands before a comparison, whose
// left side alone it negates.
func (c *checker) negation(n *ast.UnaryNode) node {
	at := c.extent(n)
	a := c.expr(n.Node)
	if a == nil {
		return nil
	}
	if a.typ() != typeBool {
		return c.problem(at, c.negationHint(n, a), "%s negates a condition, but %s is %s", n.Operator, c.words(a), a.typ())
	}
	if outer, ok := c.negated[n]; ok && comparing(outer.Operator) && !c.bracketed(n, outer) {
		return c.problem(at, c.negationHint(n, a), "%s negates %s alone, and not the comparison", n.Operator, c.words(a))
	}
	return &not{condition(at), asCondition(a)}
}

// comparing operators are those before whose left side a negation is nearly always meant for the whole.
func comparing(op string) bool {
	switch op {
	case "&&", "and", "||", "or", "??":
		return false
	}
	return true
}

// bracketed says that the negation stands in brackets of its own before the operator: (not x) == y.
func (c *checker) bracketed(n *ast.UnaryNode, outer *ast.BinaryNode) bool {
	text := c.src.quote(span{n.Location().From, outer.Location().From})
	open, inString := 0, rune(0)
	for _, r := range text {
		switch {
		case inString != 0:
			if r == inString {
				inString = 0
			}
		case r == '"' || r == '\'' || r == '`':
			inString = r
		case r == '(':
			open++
		case r == ')':
			open--
		}
	}
	return open < 0
}

func (c *checker) negationHint(n *ast.UnaryNode, a node) string {
	outer, ok := c.negated[n]
	if !ok {
		return conditionHint(a)
	}
	whole := c.src.quote(span{c.extent(n.Node).from, c.extent(outer).to})
	if strings.Count(whole, "(") != strings.Count(whole, ")") {
		return fmt.Sprintf("put brackets around all that %s is meant for", n.Operator)
	}
	if n.Operator == "!" {
		return fmt.Sprintf("write !(%s)", whole)
	}
	return fmt.Sprintf("write not (%s)", whole)
}

func (c *checker) binary(n *ast.BinaryNode) node {
	if _, ok := n.Left.(*ast.UnaryNode); ok {
		c.negated[n.Left] = n
	}
	switch l := n.Left.(type) {
	case *ast.MemberNode:
		c.left[l] = n
	case *ast.ChainNode:
		c.left[l.Node] = n
	}
	switch n.Operator {
	case "&&", "and", "||", "or":
		return c.logical(n)
	case "in":
		return c.in(n)
	case "matches":
		return c.matches(n)
	case "..":
		return c.problem(c.extent(n), "write x in 1..5, or x >= 1 && x <= 5", "a range can only stand after in")
	}
	a, b := c.expr(n.Left), c.expr(n.Right)
	if a == nil || b == nil {
		return nil
	}
	at := c.extent(n)
	if hint := c.chainHint(n, a, b); hint != "" {
		return c.problem(at, hint, "%s is between two values", n.Operator)
	}
	switch n.Operator {
	case "==":
		return c.equal(at, n.Operator, a, b)
	case "!=":
		if e := c.equal(at, n.Operator, a, b); e != nil {
			return &not{condition(at), e}
		}
		return nil
	case "<", "<=", ">", ">=":
		return c.compare(at, n.Operator, a, b)
	case "contains", "startsWith", "endsWith":
		return c.textTest(at, n.Operator, a, b)
	case "+", "-", "*", "/", "%":
		return c.arithmetic(at, n.Operator, a, b)
	case "??":
		return c.coalesce(at, a, b)
	}
	return c.problem(at, refusedOperators[n.Operator], "the operator %s can't be used in rules", n.Operator)
}

// logical flattens a && b && c, so that long rules are not deep.
func (c *checker) logical(n *ast.BinaryNode) node {
	conjunction := n.Operator == "&&" || n.Operator == "and"
	a, b := c.condition(n.Left), c.condition(n.Right)
	if a == nil || b == nil {
		return nil
	}
	if conjunction {
		return &and{condition(c.extent(n)), append(partsOf[*and](a), partsOf[*and](b)...)}
	}
	return &or{condition(c.extent(n)), append(partsOf[*or](a), partsOf[*or](b)...)}
}

func partsOf[T *and | *or](n node) []node {
	if _, ok := any(n).(T); ok {
		return append([]node(nil), children(n)...)
	}
	return []node{n}
}

func (c *checker) equal(at span, op string, a, b node) node {
	switch {
	case a.typ() == typeNothing:
		return c.isNil(at, b)
	case b.typ() == typeNothing:
		return c.isNil(at, a)
	}
	t, ok := c.comparable(at, op, a, b)
	if !ok {
		return nil
	}
	if !t.isScalar() {
		return c.problem(at, equalHint(c, t, a), "%s can't be compared by %s", t, op)
	}
	if a, b, ok = c.sameUUID(a, b); !ok || !c.label(a, b) {
		return nil
	}
	return &equal{condition(at), convert(a, t), convert(b, t)}
}

func equalHint(c *checker, t Type, a node) string {
	switch t {
	case typeTexts:
		return fmt.Sprintf(`write "…" in %s`, c.words(a))
	case typeRows:
		return "write any(…), all(…) or count(…)"
	case typeRow:
		return "compare their keys, as in .id == …"
	case typeList:
		return "write … in […]"
	}
	return ""
}

func (c *checker) isNil(at span, a node) node {
	switch a := a.(type) {
	case *rowRef:
		if len(a.path.via) == 0 {
			return c.problem(at, "", "%s is a row and never missing", c.words(a))
		}
		if a.path.last().pick != nil {
			return isNoRow(at, a.path)
		}
		col, ok := columnOf(a)
		if !ok {
			return c.problem(at, "", "%s can't be compared with nil: its column %q is not mapped", c.words(a), col.col.Name)
		}
		return &isNil{condition(at), col}
	case *rowsRef, *mapped, *listNode:
		return c.problem(at, "write count(…) == 0", "%s is a list and never missing", c.words(a))
	}
	return &isNil{condition(at), a}
}

func (c *checker) compare(at span, op string, a, b node) node {
	t, ok := c.comparable(at, op, a, b)
	if !ok {
		return nil
	}
	if !t.isOrdered() {
		return c.problem(at, "", "%s can't be compared by %s", t, op)
	}
	if a, b, ok = c.sameUUID(a, b); !ok {
		return nil
	}
	return &compare{condition(at), op, convert(a, t), convert(b, t)}
}

// comparable finds the type in which two values are compared, or reports that there is none.
func (c *checker) comparable(at span, op string, a, b node) (Type, bool) {
	t, ok := join(a.typ(), b.typ())
	if !ok {
		c.problem(at, c.mismatchHint(a, b), "%s is %s and %s is %s: they can't be compared by %s",
			c.words(a), a.typ(), c.words(b), b.typ(), op)
	}
	return t, ok && !c.never(op, a, b)
}

func (c *checker) textTest(at span, op string, a, b node) node {
	if op == "contains" && a.typ() == typeTexts && b.typ() == typeText {
		return c.problem(at, fmt.Sprintf("write %s in %s", c.words(b), c.words(a)), "contains searches in a text, but %s is %s",
			c.words(a), a.typ())
	}
	for _, x := range []node{a, b} {
		if x.typ() != typeText {
			return c.problem(at, c.otherHint(x), "%s needs text on both sides, but %s is %s", op, c.words(x), x.typ())
		}
	}
	return &textTest{condition(at), op, a, b}
}

func (c *checker) matches(n *ast.BinaryNode) node {
	a, at := c.expr(n.Left), c.extent(n)
	pattern, ok := n.Right.(*ast.StringNode)
	if !ok {
		return c.problem(c.extent(n.Right), `write it out: customer.name matches "^A"`, "the pattern of matches must be a text")
	}
	re, err := regexp.Compile(pattern.Value)
	if err != nil {
		return c.problem(c.extent(pattern), "", "the pattern is no regular expression: %v", err)
	}
	if isCostly(pattern.Value) {
		return c.problem(c.extent(pattern), "write + or * in place of one of the counts", "the pattern repeats what is repeated, more than %d times", maxNested)
	}
	if a == nil {
		return nil
	}
	if a.typ() != typeText {
		return c.problem(at, "", "matches needs text, but %s is %s", c.words(a), a.typ())
	}
	return &match{condition(at), a, re}
}

func (c *checker) arithmetic(at span, op string, a, b node) node {
	ta, tb := a.typ(), b.typ()
	null := a.nullable() || b.nullable()
	switch {
	case ta.isNumber() && tb.isNumber():
		return c.calculation(at, op, a, b)
	case op == "+" && ta == typeText && tb == typeText:
		return &arith{base{t: typeText, loc: at, null: null}, op, a, b}
	case (op == "+" || op == "-") && ta.isTime() && (tb == typePeriod || tb == typeDuration):
		return c.shift(at, op, a, b)
	case op == "+" && tb.isTime() && (ta == typePeriod || ta == typeDuration):
		return c.shift(at, op, b, a)
	case (op == "+" || op == "-") && ta == tb && (ta == typePeriod || ta == typeDuration):
		return &arith{base{t: ta, loc: at}, op, a, b}
	case op == "-" && ta.isTime() && tb.isTime():
		return c.problem(at, "compare with a shifted date: customer.last_visit < today() - days(30)",
			"dates and times can't be subtracted from each other")
	}
	return c.problem(at, cmp.Or(c.otherHint(a, b), arithmeticHint(ta, tb)), "%s is %s and %s is %s: %s can't be used with them", c.words(a), ta, c.words(b), tb, op)
}

func arithmeticHint(a, b Type) string {
	switch {
	case a.isTime() && b.isNumber():
		return "write days(…), weeks(…), months(…) or years(…)"
	case a == typeText || b == typeText:
		return "+ joins two texts"
	}
	return ""
}

func (c *checker) calculation(at span, op string, a, b node) node {
	t, null := exactType(max(a.typ(), b.typ())), a.nullable() || b.nullable()
	switch op {
	case "/":
		t, null = typeFloat, true
	case "%":
		if a.typ() != typeInt || b.typ() != typeInt {
			return c.problem(at, "", "%% needs whole numbers")
		}
		null = true
	}
	return &arith{base{t: t, loc: at, null: null}, op, a, b}
}

// exactType is the type in which numbers are added and multiplied: floats are taken to their 15 significant digits.
func exactType(t Type) Type {
	if t == typeFloat {
		return typeNumeric
	}
	return t
}

func (c *checker) shift(at span, op string, a, by node) node {
	if !isFixed(by) {
		return c.problem(by.at(), "", "a period must be the same for all rows")
	}
	if a.typ() == typeDate && by.typ() == typeDuration {
		return c.problem(at, "write days(…)", "a date has no hours")
	}
	return &shift{base{t: a.typ(), loc: at, null: a.nullable() || !isFixed(a)}, a, by, op == "-"}
}

func (c *checker) coalesce(at span, a, b node) node {
	switch {
	case a.typ() == typeNothing:
		return b
	case b.typ() == typeNothing:
		return a
	}
	t, ok := join(a.typ(), b.typ())
	if !ok || !t.isScalar() {
		return c.problem(at, c.mismatchHint(a, b), "%s is %s and %s is %s: ?? needs two values of one type",
			c.words(a), a.typ(), c.words(b), b.typ())
	}
	return &coalesce{base{t: t, loc: at, null: a.nullable() && b.nullable()}, convert(a, t), convert(b, t)}
}

func (c *checker) choose(n *ast.ConditionalNode) node {
	cond, a, b := c.condition(n.Cond), c.expr(n.Exp1), c.expr(n.Exp2)
	if cond == nil || a == nil || b == nil {
		return nil
	}
	at := c.extent(n)
	t, ok := join(a.typ(), b.typ())
	switch {
	case a.typ() == typeNothing:
		t, ok = b.typ(), true
	case b.typ() == typeNothing:
		t, ok = a.typ(), true
	}
	if !ok || !t.isScalar() {
		return c.problem(at, "", "%s is %s and %s is %s: ? : needs two values of one type", c.words(a), a.typ(), c.words(b), b.typ())
	}
	return &choose{base{t: t, loc: at, null: a.nullable() || b.nullable()}, cond, convert(a, t), convert(b, t)}
}
