package segment

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sapa-crm/sapa/customer"
)

// rowsAtom draws a condition about one row of several, and rows within rows.
func (g *generator) rowsAtom(depth int) string {
	switch g.n(12) {
	case 11:
		return g.countedTwice()
	case 0, 1:
		return g.pickedCondition()
	case 2:
		row, _, ok := g.picked()
		if !ok {
			break
		}
		return "(" + row + oneOf(g, " == nil", " != nil") + ")"
	case 3:
		rows, pred, ok := g.relation(func() string { return g.condition(depth - 1) })
		if !ok {
			break
		}
		return oneOf(g, "", "!") + "one(" + rows + ", " + pred + ")"
	case 4, 5:
		return g.ofValues(depth)
	case 6:
		return g.withinPicked(depth)
	case 7:
		return g.letRow()
	case 8:
		of := oneOf(g, g.number, g.text, g.moment)
		return "(" + oneOf(g, "max(", "min(") + of(0) + ", " + of(depth-1) + oneOf(g, "", ", "+of(0)) + ")" + oneOf(g, " == ", " < ", " >= ") + of(0) + ")"
	case 9, 10:
		return g.nestedAggregates()
	}
	return g.comparison(depth, g.number)
}

// picked draws one row of several, and says of which entity it is.
func (g *generator) picked() (text string, e *customer.Entity, ok bool) {
	rows, pred, ok := g.relation(func() string {
		e = g.entity()
		return g.pickCondition()
	})
	if !ok {
		return "", nil, false
	}
	switch g.n(4) {
	case 0:
		return "find(" + rows + ", " + pred + ")", e, true
	case 1:
		return oneOf(g, "first", "last") + "(filter(" + rows + ", " + pred + "))", e, true
	}
	return oneOf(g, "first", "last") + "(" + rows + ")", e, true
}

// pickCondition is one by which a row is picked, about values of the current row that have a name of their own.
func (g *generator) pickCondition() string {
	if g.n(3) > 0 {
		return g.condition(0)
	}
	own := "own" + strconv.Itoa(len(g.closures))
	return "let " + own + " = " + g.number(0) + "; " + own + oneOf(g, " > ", " <= ", " != ") + g.literal(oneOf(g, customer.Int, customer.Numeric))
}

// pickedColumn draws a column of a picked row, or of a row that it refers to.
func (g *generator) pickedColumn(kind customer.Kind) (string, bool) {
	row, e, ok := g.picked()
	if !ok {
		return "", false
	}
	return g.columnOf(row, e, kind)
}

func (g *generator) columnOf(row string, e *customer.Entity, kind customer.Kind) (string, bool) {
	var found []string
	var add func(prefix string, e *customer.Entity)
	add = func(prefix string, e *customer.Entity) {
		for _, c := range e.Columns {
			if c.Kind == kind {
				found = append(found, prefix+c.Name)
			}
		}
		for _, r := range e.Relations {
			if r.One {
				add(prefix+r.Name+oneOf(g, ".", "?."), r.Target)
			}
		}
	}
	add(row+oneOf(g, ".", "?."), e)
	if len(found) == 0 {
		return "", false
	}
	return found[g.n(len(found))], true
}

// pickedCondition draws conditions on one or two columns of one row.
func (g *generator) pickedCondition() string {
	row, e, ok := g.picked()
	if !ok {
		return g.atom(0)
	}
	text := g.onRow(row, e)
	if g.n(3) == 0 {
		other := row
		switch g.n(4) {
		case 0, 1:
			other = swapEnds(row)
		case 2:
			other = g.otherLet(row, e)
		}
		text = "(" + text + oneOf(g, " && ", " || ") + g.onRow(other, e) + ")"
	}
	return oneOf(g, "", "!") + text
}

// swapEnds is the row at the other end.
func swapEnds(row string) string {
	switch {
	case strings.HasPrefix(row, "first("):
		return "last(" + strings.TrimPrefix(row, "first(")
	case strings.HasPrefix(row, "last("):
		return "first(" + strings.TrimPrefix(row, "last(")
	}
	return row
}

// otherLet is the row that is picked by another value under the same name.
func (g *generator) otherLet(row string, e *customer.Entity) string {
	let := "let own" + strconv.Itoa(len(g.closures)+1) + " = "
	before, rest, ok := strings.Cut(row, let)
	_, after, _ := strings.Cut(rest, "; own")
	if !ok || strings.Contains(rest, "let own") {
		return row
	}
	var numbers []string
	for _, kind := range []customer.Kind{customer.Int, customer.Numeric, customer.Float} {
		numbers = append(numbers, columnsOf(".", e, kind)...)
	}
	return before + let + numbers[g.n(len(numbers))] + "; own" + after
}

func (g *generator) onRow(row string, e *customer.Entity) string {
	kind := oneOf(g, customer.Int, customer.Numeric, customer.Text, customer.Date, customer.Timestamptz, customer.Bool)
	column, ok := g.columnOf(row, e, kind)
	if !ok {
		return "(" + row + " != nil)"
	}
	op := oneOf(g, " == ", " != ", " < ", " >= ")
	of := map[customer.Kind]func(int) string{
		customer.Int: g.number, customer.Numeric: g.number, customer.Text: g.text, customer.Date: g.moment,
		customer.Timestamptz: g.moment,
	}[kind]
	if of == nil {
		return column
	}
	if g.n(3) == 0 {
		column = "(" + column + " ?? " + g.literal(kind) + ")"
	}
	return "(" + column + op + of(0) + ")"
}

// ofValues asks about the values that map makes of rows, in which # is the value.
func (g *generator) ofValues(depth int) string {
	of := oneOf(g, g.number, g.text, g.moment)
	rows, values, ok := g.relation(func() string { return of(min(depth-1, 1)) })
	if !ok {
		return g.atom(0)
	}
	outside := func() string { // no .column of the row is known where # is a value
		defer func(closures []*customer.Entity) { g.closures = closures }(g.closures)
		g.closures = nil
		return of(0)
	}
	values = "map(" + rows + ", " + values + ")"
	if g.n(4) == 0 {
		values = "filter(" + values + ", # != " + outside() + ")"
	}
	switch g.n(4) {
	case 0:
		return "(" + of(0) + oneOf(g, " in ", " not in ") + values + ")"
	case 1:
		return "(" + oneOf(g, "len(", "count(") + values + ")" + oneOf(g, " == ", " < ", " > ") + strconv.Itoa(g.n(3)) + ")"
	case 2:
		return "(count(" + values + ", # > " + outside() + ") > " + strconv.Itoa(g.n(2)) + ")"
	}
	test := "# " + oneOf(g, "==", "!=", "<", ">=") + " " + outside()
	if g.n(3) == 0 {
		test += oneOf(g, " && ", " || ") + "# != " + outside()
	}
	return oneOf(g, "any(", "all(", "none(", "one(") + values + ", " + test + ")"
}

// withinPicked asks about the rows of a picked row.
func (g *generator) withinPicked(depth int) string {
	if len(g.closures) > 0 {
		return g.pickedCondition()
	}
	vehicle, _ := g.schema.Customer.Relation("vehicles")
	row := oneOf(g, "first(", "last(") + "customer.vehicles)"
	if g.n(2) == 0 {
		row = g.pickedVehicle(vehicle.Target)
	}
	g.closures = append(g.closures, vehicle.Target.Relations[slices.IndexFunc(vehicle.Target.Relations,
		func(r *customer.Relation) bool { return r.Name == "services" })].Target)
	pred, number := g.condition(depth-1), g.number(0)
	g.closures = g.closures[:len(g.closures)-1]
	switch g.n(6) {
	case 4:
		return "(count(" + row + ".services)" + oneOf(g, " > 0", " == 0", " < 2") + ")"
	case 5:
		return "(" + oneOf(g, "first(", "last(") + row + ".services)" + oneOf(g, " == nil", " != nil") + ")"
	case 0:
		return oneOf(g, "any", "all", "none", "one") + "(" + row + ".services, " + pred + ")"
	case 1:
		return "(count(" + row + ".services, " + pred + ")" + oneOf(g, " > 0", " == 1", " < 2", " >= 2") + ")"
	case 2:
		return "(sum(map(" + row + ".services, " + number + "))" + oneOf(g, " > ", " <= ") + g.literal(customer.Numeric) + ")"
	}
	return "(" + oneOf(g, "first(", "last(") + row + ".services).cost" + oneOf(g, " > ", " != ") + g.literal(customer.Numeric) + ")"
}

// pickedVehicle picks by a condition, perhaps by one that only the VM can decide.
func (g *generator) pickedVehicle(vehicle *customer.Entity) string {
	g.closures = append(g.closures, vehicle)
	defer func() { g.closures = g.closures[:len(g.closures)-1] }()
	pred := g.pickCondition()
	if g.residual && g.n(2) == 0 {
		pred = `.plate matches "` + oneOf(g, `\\b`, `\\bSolo`, `(?m)^a`, `\\B`) + `"`
	}
	return oneOf(g, "first(filter(", "last(filter(", "(find(") + "customer.vehicles, " + pred + "))"
}

// letRow draws a name for a row, or for rows.
func (g *generator) letRow() string {
	if g.n(2) == 0 {
		rows, pred, ok := g.relation(func() string { return g.condition(0) })
		if ok {
			return "(let rows" + strconv.Itoa(len(g.closures)) + " = filter(" + rows + ", " + pred + "); count(rows" +
				strconv.Itoa(len(g.closures)) + ") " + oneOf(g, "> 0", "== 1", "< 2") + " && any(rows" + strconv.Itoa(len(g.closures)) + ", " + pred + "))"
		}
	}
	row, e, ok := g.picked()
	if !ok {
		return g.atom(0)
	}
	name := "row" + strconv.Itoa(len(g.closures))
	return "(let " + name + " = " + row + "; " + g.onRow(name, e) + oneOf(g, " && ", " || ") + g.onRow(name, e) + ")"
}

// nestedAggregates compares an aggregate of aggregates.
func (g *generator) nestedAggregates() string {
	if g.n(2) == 0 { // of rows that may have no rows
		inner := oneOf(g, "count(.services)", "count(.services, .cost > 0)", "sum(map(.services, .cost))", "(max(map(.services, .cost)) ?? 3)", "len(.services) + 1")
		return "(" + oneOf(g, "sum", "max", "min", "mean") + "(map(customer.vehicles, " + inner + "))" + oneOf(g, " > ", " <= ", " == ", " < ") +
			strconv.Itoa(g.n(5)-1) + ")"
	}
	rows, inner, ok := g.relation(func() string { return g.aggregate(1, g.number) })
	if !ok {
		return g.atom(0)
	}
	return "(" + oneOf(g, "sum", "max", "min", "mean") + "(map(" + rows + ", " + inner + "))" + oneOf(g, " > ", " <= ", " == ") +
		g.literal(oneOf(g, customer.Int, customer.Numeric)) + ")"
}

// countedTwice asks for several rows of one relation by one condition, and for several by another.
func (g *generator) countedTwice() string {
	count := func() string {
		pred := oneOf(g, ".amount", ".Qty", ".total") + oneOf(g, " > ", " <= ") + g.literal(customer.Int)
		return "count(customer.orders, " + pred + ") >= " + strconv.Itoa(g.n(2)+2)
	}
	return "(" + count() + " && " + count() + ")"
}

// opinionOnRows is the third opinion on those functions; known is false for all others.
func opinionOnRows(clock Clock, name string, args []any) (v any, known bool, err error) {
	if len(args) != 1 {
		return nil, false, nil
	}
	list, ok := args[0].([]any)
	if !ok {
		return nil, false, nil
	}
	switch name {
	case "present":
		return slices.DeleteFunc(slices.Clone(list), func(v any) bool { return v == nil }), true, nil
	case "len":
		return len(list), true, nil
	case "first", "find":
		rows := opinionOrder(clock, list, name == "find")
		if len(rows) == 0 {
			return nil, true, nil
		}
		return rows[0], true, nil
	case "last":
		rows := opinionOrder(clock, list, false)
		if len(rows) == 0 {
			return nil, true, nil
		}
		return rows[len(rows)-1], true, nil
	}
	return nil, false, nil
}

// opinionOrder sorts rows by their time and key; those without a time are left out, or the last.
func opinionOrder(clock Clock, list []any, withoutTime bool) []any {
	timed, untimed := []any{}, []any{}
	for _, row := range list {
		if at, _ := timeAndKeyOf(row); at == nil {
			untimed = append(untimed, row)
		} else {
			timed = append(timed, row)
		}
	}
	if !withoutTime {
		untimed = nil
	}
	for _, rows := range [][]any{timed, untimed} {
		slices.SortFunc(rows, func(a, b any) int {
			at1, key1 := timeAndKeyOf(a)
			at2, key2 := timeAndKeyOf(b)
			if at1 != nil && at2 != nil {
				if c := compareOpinions(clock, at1, at2); c != 0 {
					return c
				}
			}
			return compareOpinions(clock, key1, key2)
		})
	}
	return append(timed, untimed...)
}

// timeAndKeyOf are what the world's relations are ordered by.
func timeAndKeyOf(v any) (at, key any) {
	row := v.(map[string]any)
	if at, ok := row["ordered_at"]; ok {
		return at, row["id"]
	}
	if at, ok := row["due"]; ok {
		return at, row["id"]
	}
	return row["at"], row["ref"]
}
