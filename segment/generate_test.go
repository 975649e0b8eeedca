package segment

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/sapa-crm/sapa/customer"
)

// generator draws random rules of correct types. Each rule is built from rapid's draws, so that a failing one shrinks.
type generator struct {
	t        *rapid.T
	schema   *customer.Schema
	closures []*customer.Entity // innermost last
	residual bool               // also draw what only the VM can decide
}

// n draws evenly, bit by bit: rapid's own draws prefer small numbers, and what stands last would hardly be drawn.
func (g *generator) n(below int) int {
	n := 0
	for range bits.Len(uint(below-1)) + 2 {
		n *= 2
		if rapid.Bool().Draw(g.t, "n") {
			n++
		}
	}
	return n % below
}

// few draws small numbers more often, which keeps nested rules small.
func (g *generator) few(below int) int { return rapid.IntRange(0, below-1).Draw(g.t, "few") }

func oneOf[T any](g *generator, options ...T) T { return options[g.n(len(options))] }

// condition draws a boolean expression; depth bounds its nesting.
func (g *generator) condition(depth int) string {
	if depth <= 0 {
		return g.atom(0)
	}
	if g.n(12) == 0 {
		return g.written(depth - 1)
	}
	switch g.few(9) { // the first cases are the simplest, because failures shrink towards them
	case 0, 1:
		return g.atom(depth)
	case 7, 8:
		return "(" + g.condition(depth-1) + oneOf(g, " && ", " and ") + g.condition(depth-1) + ")"
	case 2, 3:
		return "(" + g.condition(depth-1) + oneOf(g, " || ", " or ") + g.condition(depth-1) + ")"
	case 4:
		return "!(" + g.condition(depth-1) + ")"
	case 5:
		return "(" + g.condition(depth-1) + " ? " + g.condition(depth-1) + " : " + g.condition(depth-1) + ")"
	case 6:
		return g.quantified(depth - 1)
	}
	return g.atom(depth)
}

// written draws other ways of writing.
func (g *generator) written(depth int) string {
	switch g.few(4) {
	case 0:
		name := "x" + strconv.Itoa(len(g.closures)) + strconv.Itoa(depth)
		return "(let " + name + " = " + g.number(depth) + "; " + name + " > 0 || " + name + " == " + g.number(0) + ")"
	case 1:
		return "(" + g.number(depth) + " < " + g.number(0) + " <= " + g.number(0) + ")"
	case 2:
		rows, pred, ok := g.relation(func() string { return g.condition(depth - 1) })
		if !ok {
			return g.atom(0)
		}
		return "(" + rows + " | filter(" + pred + ") | count(true) " + oneOf(g, "> 0", "== 1", "< 2", "!= 0") + ")"
	}
	return "(if " + g.condition(depth-1) + " { " + g.condition(depth-1) + " } else { " + g.condition(depth-1) + " })"
}

func (g *generator) atom(depth int) string {
	switch g.n(24) {
	case 15:
		return g.rowsAtom(depth)
	case 16, 20, 21, 22:
		return g.valuesAtom(depth)
	case 17:
		return g.calendarAtom(depth)
	case 18:
		return g.peopleAtom(depth)
	case 19:
		return g.baseAtom(depth)
	case 14:
		return g.identity()
	case 0, 1:
		return g.comparison(depth, g.number)
	case 2, 3:
		return g.comparison(depth, g.moment)
	case 4:
		return g.comparison(depth, g.text)
	case 5:
		if g.n(4) == 0 {
			return oneOf(g, "hasPrefix(", "hasSuffix(") + g.text(depth-1) + ", " + g.text(0) + ")"
		}
		return "(" + g.text(depth) + oneOf(g, " contains ", " startsWith ", " endsWith ", " not contains ") + g.text(depth) + ")"
	case 6:
		return g.membership(depth)
	case 7:
		return "(" + g.anything(depth) + oneOf(g, " == nil", " != nil") + ")"
	case 8:
		return g.boolean(depth)
	case 9:
		return "(" + g.boolean(depth) + oneOf(g, " == ", " != ") + g.boolean(depth) + ")"
	case 10:
		return "birthday(" + g.moment(depth) + ")"
	case 11:
		return g.matching(depth)
	case 12:
		if g.n(3) == 0 {
			return g.groupsOfOneRelation()
		}
		if g.n(3) == 0 { // perhaps over the same rows
			return "(" + g.aggregated(depth) + " && " + g.aggregated(depth) + " && " + g.aggregated(1) + ")"
		}
		return g.aggregated(depth)
	}
	return g.tags(depth)
}

func (g *generator) comparison(depth int, of func(int) string) string {
	op := oneOf(g, " == ", " != ", " < ", " <= ", " > ", " >= ")
	return "(" + of(depth-1) + op + of(depth-1) + ")"
}

func (g *generator) matching(depth int) string {
	pattern := oneOf(g, "^A", "a$", "^Solo$", "x", "", "^", "A_%", `a\\\\b`)
	if g.residual && g.n(2) == 0 {
		pattern = oneOf(g, "x.y", `^\\w$`, "(?i)solo", "^a|b$", "[aé]", "o+")
	}
	return fmt.Sprintf(`(%s matches "%s")`, g.text(depth), pattern)
}

func (g *generator) identity() string {
	ids := pool(customer.Column{Kind: customer.UUID})
	id := func() string { return strconv.Quote(ids[g.n(len(ids))].(string)) }
	if g.n(3) == 0 {
		return "(customer.uid in [" + id() + ", " + oneOf(g, id(), "nil", "customer.uid") + "])"
	}
	return "(customer.uid" + oneOf(g, " == ", " != ", " < ", " >= ") + oneOf(g, id(), "customer.uid", "customer.name") + ")"
}

func (g *generator) tags(depth int) string {
	column, ok := g.column(customer.TextArray)
	if !ok {
		return g.atom(depth)
	}
	return "(" + g.text(depth-1) + oneOf(g, " in ", " not in ") + column + ")"
}

func (g *generator) membership(depth int) string {
	of := oneOf(g, g.number, g.text, g.moment)
	if g.n(4) == 0 {
		lo := g.n(5) - 2
		return fmt.Sprintf("(%s%s%d..%d)", g.wholeNumber(depth-1), oneOf(g, " in ", " not in "), lo, lo+g.n(8))
	}
	var items []string
	for range 1 + g.n(3) {
		item := of(0)
		if g.n(5) == 0 {
			item = "nil"
		}
		items = append(items, item)
	}
	return "(" + of(depth-1) + oneOf(g, " in ", " not in ") + "[" + strings.Join(items, ", ") + "])"
}

// anything is an expression of any type, or a to-one row.
func (g *generator) anything(depth int) string {
	if g.n(6) == 0 {
		for _, r := range g.entity().Relations {
			if r.One {
				return g.prefix() + r.Name
			}
		}
	}
	if g.n(6) == 0 {
		if c, ok := g.column(oneOf(g, customer.JSON, customer.TextArray)); ok {
			return c
		}
	}
	return oneOf(g, g.number, g.text, g.moment, g.boolean)(depth - 1)
}

func (g *generator) boolean(depth int) string {
	if depth > 0 && g.n(4) == 0 {
		return "(" + g.boolean(depth-1) + " ?? " + g.boolean(depth-1) + ")"
	}
	if depth > 1 && g.n(4) == 0 {
		return "(" + g.condition(depth-1) + ")" // a negation before a comparison needs its own brackets
	}
	if c, ok := g.column(customer.Bool); ok && g.n(5) > 0 {
		return c
	}
	return oneOf(g, "true", "false")
}

// number is an expression of any kind of number.
func (g *generator) number(depth int) string {
	if depth <= 0 {
		return g.numberLeaf()
	}
	switch g.few(10) {
	case 0, 1:
		return "(" + g.number(depth-1) + oneOf(g, " + ", " - ", " * ", " / ") + g.number(depth-1) + ")"
	case 2:
		return "(" + g.wholeNumber(depth-1) + " % " + g.wholeNumber(depth-1) + ")"
	case 3:
		return "-(" + g.number(depth-1) + ")"
	case 4:
		return "(" + g.number(depth-1) + " ?? " + g.number(depth-1) + ")"
	case 5:
		return "(" + g.condition(depth-1) + " ? " + g.number(depth-1) + " : " + oneOf(g, g.number(depth-1), "nil") + ")"
	case 6:
		if c, ok := g.column(customer.TextArray); ok && g.n(4) == 0 {
			return "len(" + c + ")"
		}
		return "len(" + g.text(depth-1) + ")"
	case 7:
		return g.aggregate(depth-1, g.number)
	}
	return g.numberLeaf()
}

func (g *generator) numberLeaf() string {
	kind := oneOf(g, customer.Int, customer.Numeric, customer.Float)
	if c, ok := g.column(kind); ok && g.n(3) > 0 {
		return c
	}
	return g.literal(kind)
}

func (g *generator) wholeNumber(depth int) string {
	if depth > 0 && g.n(4) == 0 {
		return "(" + g.wholeNumber(depth-1) + oneOf(g, " + ", " - ", " * ", " % ") + g.wholeNumber(depth-1) + ")"
	}
	if c, ok := g.column(customer.Int); ok && g.n(3) > 0 {
		return c
	}
	return g.literal(customer.Int)
}

func (g *generator) text(depth int) string {
	if depth > 0 {
		switch g.few(8) {
		case 0:
			return "(" + g.text(depth-1) + " + " + g.text(depth-1) + ")"
		case 1:
			return "(" + g.text(depth-1) + " ?? " + g.text(depth-1) + ")"
		case 2:
			return "trim(" + g.text(depth-1) + ")"
		case 3:
			return "(" + g.condition(depth-1) + " ? " + g.text(depth-1) + " : " + oneOf(g, g.text(depth-1), "nil") + ")"
		case 4:
			if g.residual {
				return oneOf(g, "lower(", "upper(") + g.text(depth-1) + ")"
			}
		case 5:
			return g.aggregateOf(depth-1, oneOf(g, "min", "max"), g.text)
		}
	}
	if c, ok := g.column(oneOf(g, customer.Text, customer.Text, customer.Text, customer.Enum, customer.UUID)); ok && g.n(3) > 0 {
		if strings.HasSuffix(c, "uid") { // a bare uuid column only compares with uuids
			return "(" + c + ` + "")`
		}
		return c
	}
	return g.literal(customer.Text)
}

// moment is a date, a timestamp or an instant.
func (g *generator) moment(depth int) string {
	if depth > 0 {
		switch g.few(8) {
		case 7:
			if c, ok := g.column(oneOf(g, customer.Timestamp, customer.Timestamptz)); ok {
				return "(" + c + oneOf(g, " + ", " - ") + oneOf(g, "hours(5)", "minutes(-90)", `duration("24h0m0.5s")`) + ")"
			}
		case 0, 1:
			return "(" + g.moment(depth-1) + oneOf(g, " + ", " - ") + g.period() + ")"
		case 2:
			return "(" + g.moment(depth-1) + " ?? " + g.moment(depth-1) + ")"
		case 3:
			return "date(" + g.moment(depth-1) + ")"
		case 4:
			return g.aggregateOf(depth-1, oneOf(g, "min", "max"), g.moment)
		}
	}
	kind := oneOf(g, customer.Date, customer.Timestamp, customer.Timestamptz)
	if c, ok := g.column(kind); ok && g.n(3) > 0 {
		return c
	}
	return oneOf(g, "today()", "now()", "ago("+g.period()+")", g.literal(customer.Date))
}

func (g *generator) period() string {
	return oneOf(g, "days", "weeks", "months", "years") + "(" + strconv.Itoa(oneOf(g, 0, 1, -1, 2, 7, 12, 30)) + ")"
}

// relation opens a closure over a to-many relation of the customer or the current row.
func (g *generator) relation(body func() string) (rows, closure string, ok bool) {
	type choice struct {
		text   string
		target *customer.Entity
	}
	var choices []choice
	add := func(prefix string, e *customer.Entity) {
		for _, r := range e.Relations {
			if !r.One {
				choices = append(choices, choice{prefix + r.Name, r.Target})
			}
		}
	}
	add(g.prefix(), g.entity())
	add("customer.", g.schema.Customer)
	if len(g.closures) > 2 {
		return "", "", false
	}
	c := choices[g.n(len(choices))]
	g.closures = append(g.closures, c.target)
	defer func() { g.closures = g.closures[:len(g.closures)-1] }()
	rows = c.text
	if g.n(5) == 0 {
		rows = "filter(" + rows + ", " + g.condition(0) + ")"
	}
	return rows, body(), true
}

func (g *generator) quantified(depth int) string {
	rows, pred, ok := g.relation(func() string { return g.condition(depth - 1) })
	if !ok {
		return g.atom(0)
	}
	return oneOf(g, "any", "all", "none") + "(" + rows + ", " + pred + ")"
}

// groupsOfOneRelation draws conditions over groups of a relation's rows, all of them or some, which may share a semi-join.
func (g *generator) groupsOfOneRelation() string {
	some := oneOf(g, ".paid", "!.paid", ".Qty > 2", `.kind != "a"`, ".total > 1", ".ordered_at < now()")
	leaf := func() string {
		rows := oneOf(g, "customer.orders", "filter(customer.orders, "+some+")", "filter(customer.orders, .paid)")
		return oneOf(g, "count("+rows+") >= 2", "sum(map("+rows+", .amount)) > 0", "max(map("+rows+", .total)) >= 1.5",
			"min(map("+rows+", .Qty)) < 3", "max(map("+rows+", .ordered_at)) > "+g.moment(0))
	}
	return "(" + leaf() + " && " + leaf() + oneOf(g, "", " && "+leaf()) + ")"
}

// aggregated compares an aggregate with a constant, which is written as a semi-join, or with something else.
func (g *generator) aggregated(depth int) string {
	op := oneOf(g, " == ", " != ", " < ", " <= ", " > ", " >= ")
	right := g.literal(oneOf(g, customer.Int, customer.Numeric))
	switch g.n(4) {
	case 0:
		right = g.number(0)
	case 1:
		right = strconv.Itoa(g.n(4) - 1)
	}
	return "(" + g.aggregate(depth, g.number) + op + right + ")"
}

func (g *generator) aggregate(depth int, of func(int) string) string {
	if g.n(2) == 0 {
		rows, pred, ok := g.relation(func() string { return g.condition(depth - 1) })
		switch {
		case !ok:
			return g.literal(customer.Int)
		case g.n(4) == 0:
			return "count(" + rows + ")"
		}
		return "count(" + rows + ", " + pred + ")"
	}
	return g.aggregateOf(depth, oneOf(g, "sum", "sum", "min", "max", "mean"), of)
}

func (g *generator) aggregateOf(depth int, fn string, of func(int) string) string {
	rows, body, ok := g.relation(func() string { return of(min(depth-1, 1)) })
	if !ok {
		return of(0)
	}
	return fn + "(map(" + rows + ", " + body + "))"
}

func (g *generator) entity() *customer.Entity {
	if len(g.closures) == 0 {
		return g.schema.Customer
	}
	return g.closures[len(g.closures)-1]
}

// prefix is what stands before a column of the current row.
func (g *generator) prefix() string {
	if len(g.closures) == 0 {
		return "customer."
	}
	return "."
}

// column draws a column of a kind: of the current row, of the customer, or behind to-one relations.
func (g *generator) column(kind customer.Kind) (string, bool) {
	if g.n(20) == 19 {
		return g.pickedColumn(kind)
	}
	var found []string
	var add func(prefix string, e *customer.Entity, depth int)
	add = func(prefix string, e *customer.Entity, depth int) {
		found = append(found, columnsOf(prefix, e, kind)...)
		for _, r := range e.Relations {
			if r.One && depth > 0 {
				add(prefix+r.Name+oneOf(g, ".", "?."), r.Target, depth-1)
			}
		}
	}
	add(g.prefix(), g.entity(), 2)
	if len(g.closures) > 0 && (len(found) == 0 || g.n(4) == 0) {
		add("customer.", g.schema.Customer, 1)
	}
	if len(found) == 0 {
		return "", false
	}
	return found[g.n(len(found))], true
}

// literal draws a value that occurs in columns of the kind.
func (g *generator) literal(kind customer.Kind) string {
	for {
		c := customer.Column{Kind: kind, PGType: oneOf(g, "", "bigint", "numeric", "text")}
		values := pool(c)
		if text, ok := source_(values[g.n(len(values))], g); ok {
			return text
		}
	}
}

// source_ is the value as a rule writes it; false for those that have no literal.
func source_(v any, g *generator) (string, bool) {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v), true
	case int64:
		return strconv.FormatInt(v, 10), v != math.MinInt64
	case decimal.Decimal:
		text := v.String()
		return text, len(text) < 30 && (!v.IsInteger() || len(text) < 18)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), math.Abs(v) < 1e18 && (v == 0 || math.Abs(v) > 1e-20)
	case time.Time:
		return fmt.Sprintf("date(%q)", v.Format(time.DateOnly)), v.Year() > 0 && v.Year() < 10000
	}
	return "", false
}
