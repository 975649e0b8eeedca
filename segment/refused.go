package segment

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// refused are functions of expr that rules do not have, and words of SQL that stand for something rules do have, each with
// what to write instead.
var refused = map[string]string{
	"findIndex":     "write find(rows, condition) for the row itself",
	"findLast":      "write last(filter(rows, condition))",
	"findLastIndex": "write last(filter(rows, condition)) for the row itself",
	"groupBy":       "write count(rows, condition) or sum(filter(rows, condition), .column)",
	"sortBy":        "rows have an order already: write first(rows), last(rows), or max(map(rows, .column))",
	"sort":          "write min(map(rows, .column)) or max(map(rows, .column))",
	"reverse":       "write last(rows) instead of first(rows)",
	"reduce":        "write sum(rows, .column), or min, max and mean of map(rows, .column)",
	"median":        "write mean(map(rows, .column))",
	"take":          "write first(rows), last(rows) or count(rows)",
	"uniq":          "every condition asks of each row; count(rows, condition) counts rows",
	"concat":        "write any(a, condition) || any(b, condition); + joins two texts",
	"flatten":       "write functions inside each other: any(customer.vehicles, any(.services, .cost > 0))",
	"type":          "columns have the types of the database; != nil asks whether there is a value",
	"get":           `write customer.name, or customer["Full Name"]`,
	"keys":          "write the columns' names: customer.city == nil",
	"values":        "write map(rows, .column)",
	"toPairs":       "write the columns' names: customer.city == nil",
	"fromPairs":     "write the columns' names: customer.city == nil",
	"toJSON":        "compare the columns themselves",
	"fromJSON":      "store the column as jsonb",
	"toBase64":      "compare the text itself",
	"fromBase64":    "compare the text itself",
	"timezone":      "times are already in the company's time zone",
	"splitAfter":    "write contains, startsWith or endsWith",
	"repeat":        "write the text out",
	"bitand":        "keep each flag in a column of its own",
	"bitor":         "keep each flag in a column of its own",
	"bitxor":        "keep each flag in a column of its own",
	"bitnand":       "keep each flag in a column of its own",
	"bitnot":        "keep each flag in a column of its own",
	"bitshl":        "write * 2, * 4, * 8 …",
	"bitshr":        "write / 2, / 4, / 8 …",
	"bitushr":       "write / 2, / 4, / 8 …",

	"avg":       "write mean(map(rows, .column))",
	"average":   "write mean(map(rows, .column))",
	"length":    "write len(text) or count(rows)",
	"exists":    "write any(rows, condition)",
	"coalesce":  "write (a ?? b)",
	"ifnull":    "write (a ?? b)",
	"greatest":  "write max(a, b)",
	"least":     "write min(a, b)",
	"substring": "write startsWith or endsWith",
	"month":     "write in_month(date), or in_month(date, 5) for May",
	"open":      `write opened("campaign")`,
	"click":     `write clicked("campaign")`,
	"bought":    "write any(customer.orders, .ordered_at > ago(days(30)))",
	"year":      `compare dates: customer.created_at >= date("2026-01-01")`,
}

// refusedMethods are what programmers append to a value, with what rules write.
var refusedMethods = map[string]string{
	"Year": refused["year"], "Month": refused["year"], "Day": refused["year"], "YearDay": refused["year"],
	"Before": "write <", "After": "write >", "Equal": "write ==", "Compare": "write < or >",
	"Add": "write + hours(6)", "AddDate": "write + days(7)", "Sub": "write - days(7)",
	"Format": "compare the date itself", "String": "compare the value itself", "Unix": "compare the time itself",
	"Hour": "compare the time itself", "Minute": "compare the time itself", "Second": "compare the time itself",
	"Weekday": "write the dates out", "In": "times are already in the company's time zone",
}

func methodHint(callee ast.Node) string {
	m, ok := callee.(*ast.MemberNode)
	if !ok {
		return ""
	}
	name, ok := m.Property.(*ast.StringNode)
	if !ok {
		return ""
	}
	if hint := refusedMethods[name.Value]; hint != "" {
		return hint
	}
	if fn, ok := function(name.Value); ok {
		return "write " + fn.Usage
	}
	return ""
}

// refusedOperators are those of expr that rules do not have.
var refusedOperators = map[string]string{
	"**": "write x * x",
	"^":  "write x * x",
}

func pointerHint(name string) string {
	switch name {
	case "acc":
		return "write sum(rows, .column), or min, max and mean of map(rows, .column)"
	case "index":
		return "write first(rows) or last(rows)"
	}
	return "# alone is the current row or value"
}

// slice is customer.name[0:3] or customer.orders[:3].
func (c *checker) slice(n *ast.SliceNode) node {
	hint := "write startsWith or endsWith"
	switch of := c.expr(n.Node); {
	case of == nil:
		return nil
	case of.typ() == typeRows:
		hint = fmt.Sprintf("write first(%s), last(%s) or count(%s)", c.words(of), c.words(of), c.words(of))
	}
	return c.problem(c.extent(n), hint, "slices can't be used in rules")
}

// elementHint is for customer.orders[0] and its kin.
func (c *checker) elementHint(of node, index ast.Node) string {
	if of.typ() != typeRows {
		return ""
	}
	switch i := index.(type) {
	case *ast.UnaryNode:
		return fmt.Sprintf("write last(%s)", c.words(of))
	case *ast.IntegerNode:
		if i.Value == 0 {
			return fmt.Sprintf("write first(%s)", c.words(of))
		}
	}
	return fmt.Sprintf("write first(%s), last(%s) or find(%s, condition)", c.words(of), c.words(of), c.words(of))
}

// eachHint says how to ask about a column of many rows, in the words of the comparison that it was written in.
func (c *checker) eachHint(n *ast.MemberNode, of *rowsRef, name string) string {
	if rel, ok := of.rows.rel.Target.Relation(name); ok && !rel.One {
		return fmt.Sprintf("write any(%s, any(.%s, …)), or sum(%s, count(.%s))", c.words(of), name, c.words(of), name)
	}
	if outer, ok := c.left[n]; ok {
		rest := strings.TrimSpace(c.src.quote(span{c.extent(n).to, c.extent(outer).to}))
		return fmt.Sprintf("write any(%s, .%s %s)", c.words(of), name, rest)
	}
	return fmt.Sprintf("write any(%s, .%s == …)", c.words(of), name)
}

// chainHint is for a == b == c, of which expr compares the first two and then their answer with the third.
func (c *checker) chainHint(n *ast.BinaryNode, a, b node) string {
	left, ok := n.Left.(*ast.BinaryNode)
	if !ok || a.typ() != typeBool || b.typ() == typeBool || b.typ() == typeNothing {
		return ""
	}
	switch left.Operator {
	case "==", "!=", "<", "<=", ">", ">=", "contains", "startsWith", "endsWith":
		middle := c.short(c.extent(left.Right))
		if n.Operator == "contains" || n.Operator == "startsWith" || n.Operator == "endsWith" {
			middle = c.short(c.extent(left.Left))
		}
		return fmt.Sprintf("write %s && %s %s %s", c.short(c.extent(left)), middle, n.Operator, c.words(b))
	}
	return ""
}

// aggregateBefore is an aggregate whose second argument begins where the text ends.
var aggregateBefore = regexp.MustCompile(`\b(min|max|mean|avg|len|first|last|exists)\(([^(),]+),\s*$`)

// columnHint is for .column where expr's grammar has no current row.
func columnHint(before, after string) string {
	m := aggregateBefore.FindStringSubmatch(before)
	column := regexp.MustCompile(`^\.\w+`).FindString(after)
	if m == nil || column == "" {
		return "a column of the current row (.name) only stands inside any(…), all(…), count(…) and their like"
	}
	rows := strings.TrimSpace(m[2])
	switch name := m[1]; name {
	case "first", "last":
		return fmt.Sprintf("write %s(%s)%s", name, rows, column)
	case "exists":
		return fmt.Sprintf("write any(%s, %s)", rows, column)
	case "avg":
		return fmt.Sprintf("write mean(map(%s, %s))", rows, column)
	default:
		return fmt.Sprintf("write %s(map(%s, %s))", name, rows, column)
	}
}

func scalarHint(c *checker, e node) string {
	switch e.typ() {
	case typeRow:
		return fmt.Sprintf("write one of its columns, as in %s", c.columnLike(e, typeNothing))
	case typeRows:
		return "write count(…), or another function that makes one value of rows"
	}
	return ""
}

// columnLike is a column of a row that can be compared with a value of type t, as an author writes it.
func (c *checker) columnLike(row node, t Type) string {
	ref, ok := row.(*rowRef)
	if !ok {
		return ""
	}
	for _, col := range ref.path.entity().Columns {
		_, fits := join(columnType(col.Kind), t)
		if (fits || t == typeNothing) && col.Name != ref.path.entity().Key && !strings.HasSuffix(col.Name, "_id") {
			return c.words(row) + "." + col.Name
		}
	}
	return ""
}
