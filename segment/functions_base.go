package segment

import (
	"fmt"
	"slices"
	"time"

	"github.com/expr-lang/expr/ast"

	"github.com/sapa-crm/sapa/customer"
)

// baseFunctions place a customer among all customers.
func baseFunctions() []*Function {
	return []*Function{
		{
			Name: "recency", Usage: "recency(rows)", form: formRecency, Result: typeInt,
			Sentence: "How many days ago the latest row was, by the relation's `at`; missing without rows, and below 0 when it is in the future.",
			Example:  `recency(customer.orders) > 180`,
		},
		{
			Name: "frequency", Usage: "frequency(rows)", form: formCount,
			Sentence: "How many rows there are: another word for count.",
			Example:  `frequency(customer.orders) >= 5`,
		},
		{
			Name: "monetary", Usage: "monetary(rows)", form: formMonetary,
			Sentence: "What the rows are worth together: the sum of the relation's `amount`.",
			Example:  `monetary(filter(customer.orders, .ordered_at > ago(years(1)))) > 1_000_000`,
		},
		{
			Name: "percentile", Usage: "percentile(number or date)", form: formPercentile, Result: typeInt,
			Sentence: "How many percent of all customers have a smaller value, from 0 to 99.",
			Example:  `percentile(sum(customer.orders, .total)) >= 90`,
		},
		{
			Name: "rfm", Usage: "rfm(rows) or rfm(rows).recency, .frequency, .monetary", form: formRFM, Result: typeText,
			Sentence: "The fifth of the customers with rows that the customer is in by recency, frequency and monetary, 5 being the best: \"545\", or one of the three as a number.",
			Example:  `rfm(customer.orders).recency >= 4 && rfm(customer.orders).frequency >= 4`,
		},
	}
}

// fifths are the thresholds of rfm, in percent; every percent those of percentile.
func fifths() []int { return []int{20, 40, 60, 80} }

func everyPercent() []int {
	all := make([]int, hundredths)
	for k := range all {
		all[k] = k + 1
	}
	return all
}

// soleRows checks that a function has one argument, rows.
func (c *checker) soleRows(fn *Function, at span, args []ast.Node) (rows, bool) {
	if len(args) != 1 {
		c.argumentCount(fn, at)
		return rows{}, false
	}
	return c.rowsOf(fn, args[0])
}

// declared is the column of each row that sapa.yaml names under a key of the relation, which is `at` or `amount`.
func (c *checker) declared(fn *Function, at span, r rows, key, name, what string, kinds ...customer.Kind) *column {
	e := r.rel.Target
	if col, ok := e.Column(name); ok && slices.Contains(kinds, col.Kind) {
		return &column{base{t: columnType(col.Kind), loc: at, null: col.Nullable}, path{from: r.row}, col}
	}
	c.problem(at, fmt.Sprintf("add to the relation %s in sapa.yaml  %s: COLUMN", r.rel.Name, key),
		"%s needs %s of each row, and sapa.yaml does not say which column of %s it is", fn.Name, what, e.Table)
	return nil
}

func (c *checker) timeOf(fn *Function, at span, r rows) *column {
	return c.declared(fn, at, r, "at", r.rel.Target.At, "the time", customer.Date, customer.Timestamp, customer.Timestamptz)
}

func (c *checker) amountOf(fn *Function, at span, r rows) *column {
	return c.declared(fn, at, r, "amount", r.rel.Target.Amount, "the value", customer.Int, customer.Numeric, customer.Float)
}

// latestDate is the date of the latest row in the company's zone.
func latestDate(at span, r rows, of *column) node {
	return convert(&aggregate{base: base{t: of.t, loc: at, null: true}, op: "max", rows: r, of: of}, typeDate)
}

func formRecency(c *checker, fn *Function, at span, args []ast.Node) node {
	r, ok := c.soleRows(fn, at, args)
	if !ok {
		return nil
	}
	of := c.timeOf(fn, at, r)
	if of == nil {
		return nil
	}
	return &call{base{t: typeInt, loc: at, null: true}, daysSince(), []node{latestDate(at, r, of)}}
}

func formMonetary(c *checker, fn *Function, at span, args []ast.Node) node {
	r, ok := c.soleRows(fn, at, args)
	if !ok {
		return nil
	}
	of := c.amountOf(fn, at, r)
	if of == nil {
		return nil
	}
	return &aggregate{base: base{t: exactType(of.t), loc: at}, op: "sum", rows: r, of: of}
}

const daysSinceName = "days since"

// endless is how many days ago -infinity is, and how many from now infinity.
const endless = 10_000_000_000

// daysSince is how many days ago a date is. It is no function that a rule could write.
func daysSince() *Function {
	return &Function{
		Name: daysSinceName, Params: []Type{typeDate}, Result: typeInt,
		eval: func(clock Clock, args []any) any {
			switch d := args[0].(time.Time); {
			case d.Equal(Infinity):
				return int64(-endless)
			case d.Equal(NegInfinity):
				return int64(endless)
			default:
				return (clock.Today.Unix() - d.Unix()) / (24 * 3600)
			}
		},
		sql: func(args []sqlArg) string {
			today := args[1].text
			return once(args[0].text, func(v string) string {
				return fmt.Sprintf("case when isfinite(%[1]s) then %[2]s - %[1]s when %[1]s > %[2]s then %[3]d when %[1]s < %[2]s then %[4]d end",
					v, today, -endless, endless)
			})
		},
		bindings: func(clock Clock) []binding { return []binding{{parameter(clock.Today, typeDate), "date"}} },
	}
}

// formPercentile is percentile(expr): a number or time about the customer.
func formPercentile(c *checker, fn *Function, at span, args []ast.Node) node {
	if len(args) != 1 {
		return c.argumentCount(fn, at)
	}
	of := c.expr(args[0])
	if of == nil || !c.aboutAll(fn, at, of) {
		return nil
	}
	if t := of.typ(); !t.isNumber() && !t.isTime() {
		hint := "for example " + fn.Example
		if t == typeRows {
			hint = fmt.Sprintf("write %s(frequency(%s)), or of monetary or recency", fn.Name, c.words(of))
		}
		return c.problem(of.at(), hint, "%s takes a number or a date, but %s is %s", fn.Name, c.words(of), t)
	}
	if isFixed(of) {
		return c.problem(of.at(), "for example "+fn.Example, "%s takes what differs from customer to customer, but %s is the same for all", fn.Name, c.words(of))
	}
	return c.ranked(at, of, everyPercent(), 0)
}

// formRFM is rfm(rows): three ranks in fifths among the customers with rows.
func formRFM(c *checker, fn *Function, at span, args []ast.Node) node {
	r, ok := c.soleRows(fn, at, args)
	if !ok {
		return nil
	}
	of, amount := c.timeOf(fn, at, r), c.amountOf(fn, at, r)
	if of == nil || amount == nil {
		return nil
	}
	out := &scores{base: base{t: typeText, loc: at, null: true}}
	for _, part := range []node{
		latestDate(at, r, of),
		&aggregate{base: base{t: typeInt, loc: at, null: true}, op: "count", rows: r},
		&aggregate{base: base{t: exactType(amount.t), loc: at, null: true}, op: "sum", rows: r, of: amount},
	} {
		out.parts = append(out.parts, c.ranked(at, part, fifths(), 1))
	}
	if !c.aboutAll(fn, at, out.parts[0].(*standing).of) {
		return nil
	}
	return out
}

// score is one of the ranks of rfm(…), by its name.
func (c *checker) score(n *ast.MemberNode, of *scores, name *ast.StringNode) node {
	i := slices.Index(scoreNames(), name.Value)
	if i < 0 {
		return c.problem(c.extent(name), "write .recency, .frequency or .monetary", "%s has no %q", c.words(of), name.Value)
	}
	part := *of.parts[i].(*standing)
	part.loc = c.extent(n)
	return &part
}

// aboutAll checks that a value is one of each customer, that the database can say it, and that the function stands where
// there is a customer and no row.
func (c *checker) aboutAll(fn *Function, at span, of node) bool {
	if len(c.closures) > 0 {
		c.problem(at, "write it beside: "+fn.Example+" && any(…)",
			"%s places a customer among all customers, so it can't be asked within a condition on rows", fn.Name)
		return false
	}
	if r, ok := findNode[*standing](of); ok {
		c.problem(r.loc, "for example "+fn.Example, "%s can't go over %s, which itself depends on all customers", fn.Name, c.words(r))
		return false
	}
	if n := c.otherRow(of, map[*variable]bool{c.roots[0]: true}); n != nil {
		c.problem(n.at(), "use columns and relations of the customer", "%s places a customer among all customers, but %s is about another row", fn.Name, c.words(n))
		return false
	}
	if n := sapasOwn(of); n != nil {
		c.problem(n.at(), "write it beside: "+fn.Example+" && …",
			"%s goes by the company's own columns and relations, but %s asks what Sapa itself has sent and heard", fn.Name, c.words(n))
		return false
	}
	if why := unsayable(c.lowered(of)); why != nil {
		c.problem(why.at, "leave that part out", "%s needs a value that the database can say: %s", fn.Name, why.text)
		return false
	}
	return true
}

// sapasOwn is a part that asks Sapa's own tables: a fact, or the segment that has one.
func sapasOwn(n node) node {
	switch n := n.(type) {
	case *fact:
		return n
	case *named:
		if sapasOwn(n.a) != nil {
			return n
		}
		return nil
	}
	for _, child := range children(n) {
		if found := sapasOwn(child); found != nil {
			return found
		}
	}
	return nil
}

// otherRow is a part that is about a row which is neither the customer nor behind the customer's relations.
func (c *checker) otherRow(n node, known map[*variable]bool) node {
	if r := rowsOfNode(n); r != nil {
		if !known[r.of.from] {
			return n
		}
		known[r.row] = true
		r.of.open(known)
	}
	if col, ok := n.(*column); ok {
		if !known[col.path.from] {
			return n
		}
		col.path.open(known)
	}
	for _, child := range children(n) {
		if other := c.otherRow(child, known); other != nil {
			return other
		}
	}
	return nil
}

// lowered is the value at any time, for asking what the database can say of it.
func (c *checker) lowered(n node) node {
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return lowering{rule: &Rule{scope: c.scope, source: c.src, vars: c.vars}, err: new(error), clock: Clock{Today: day, Now: day, Zone: time.UTC, Given: Pretended()}}.node(n)
}
