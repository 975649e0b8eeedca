package segment

import (
	"fmt"
	"slices"
	"strings"
)

// quantifier: any is EXISTS, none and all are NOT EXISTS. Under NOT EXISTS a superset needs a subset. The rows of a row
// that SQL can't pick exactly are neither.
func (e *emitter) quantifier(n *quantifier, want bool, d direction) string {
	for _, f := range n.rows.of.filters() {
		if why := unsayable(f); why != nil {
			return e.unknown(why, d)
		}
	}
	sought := n.op != "all" // all looks for a row that does not satisfy
	if e.mutate == mutatePolarity {
		sought = true
	}
	exists := want == (n.op == "any")
	if !exists {
		d = !d
	}
	parts := append(slices.Clone(n.rows.filters), n.pred)
	return existence(exists) + e.through(n.rows.of, func() string {
		return e.subquery(n.rows, func() []string {
			var texts []string
			for i, p := range parts {
				texts = append(texts, e.cond(p, i < len(parts)-1 || sought, d))
			}
			return texts
		})
	})
}

func existence(exists bool) string {
	if exists {
		return "exists "
	}
	return "not exists "
}

// subquery is the rows of a relation, correlated by its join columns and filtered by what inside writes.
func (e *emitter) subquery(r rows, inside func() []string) string {
	alias := e.open(r)
	parts := []string{e.join(r, alias)}
	for _, text := range inside() {
		if text != "true" {
			parts = append(parts, text)
		}
	}
	return fmt.Sprintf("(select from %s %s where %s)", r.rel.Target.Table.SQL(), alias, strings.Join(parts, " and "))
}

func (e *emitter) open(r rows) string {
	alias := e.newAlias()
	e.aliases[r.row] = alias
	return alias
}

func (e *emitter) join(r rows, alias string) string {
	return fmt.Sprintf("%s.%s = %s", alias, quote(r.rel.Remote), e.field(r.of, quote(r.rel.Local)))
}

func (e *emitter) filters(r rows) []string {
	var texts []string
	for _, p := range r.filters {
		texts = append(texts, e.cond(p, true, widen))
	}
	return texts
}

// aggregateSQL is the text that stands for the aggregate in the leaf over groups that is being written, else a
// correlated subquery.
func (e *emitter) aggregateSQL(n *aggregate) string {
	if text, ok := e.grouped[n]; ok {
		return text
	}
	if text, ok := e.nested(n); ok {
		return text
	}
	alias := e.open(n.rows)
	parts := append([]string{e.join(n.rows, alias)}, e.filters(n.rows)...)
	from := fmt.Sprintf("%s %s where %s", n.rows.rel.Target.Table.SQL(), alias, strings.Join(parts, " and "))
	switch {
	case n.op == "count" && n.null:
		return "(select nullif(count(*), 0) from " + from + ")"
	case n.op == "count":
		return "(select count(*) from " + from + ")"
	}
	of := e.aggregated(n)
	if !refersTo(n.of, n.rows.row) { // an aggregate of outer columns only would be one of the outer query
		values := e.newAlias()
		from, of = fmt.Sprintf("(select %s as v from %s) %s", of, from, values), values+".v"
	}
	group := e.newAlias()
	if n.op == "sum" && n.null {
		return fmt.Sprintf("(select %[1]s from (select %[2]s, count(*) as n from %[3]s) %[4]s where %[4]s.n > 0)", e.result(n, group+".v"), e.calls(n, of, "v"), from, group)
	}
	return fmt.Sprintf("(select %s from (select %s from %s) %s)", e.result(n, group+".v"), e.calls(n, of, "v"), from, group)
}

// aggregated is the value that the aggregate goes over.
func (e *emitter) aggregated(n *aggregate) string {
	switch {
	case n.op == "count":
		return ""
	case n.op == "mean", n.op == "sum" && n.of.typ() == typeFloat:
		return e.exact(n.of)
	case n.of.typ() == typeText:
		return e.value(n.of) + ` collate "C"`
	}
	return e.value(n.of)
}

// calls are the columns of a grouped query from which result makes the aggregate; name is that of the first.
func (e *emitter) calls(n *aggregate, of, name string) string {
	switch n.op {
	case "count":
		return "count(*) as " + name
	case "mean":
		return fmt.Sprintf("sum(%s) as %s, count(%s) as %sn", of, name, of, name)
	}
	return fmt.Sprintf("%s(%s) as %s", n.op, of, name)
}

// result: the sum of no values is 0, their mean, minimum and maximum are missing.
func (e *emitter) result(n *aggregate, column string) string {
	switch {
	case n.op == "sum" && e.mutate != mutateSumOfNothing:
		return "coalesce(" + column + ", 0)"
	case n.op == "mean":
		return "(" + double(column) + " / nullif(" + column + "n, 0))"
	}
	return column
}

func refersTo(n node, v *variable) bool {
	if c, ok := n.(*column); ok {
		return c.path.from == v
	}
	if r := rowsOfNode(n); r != nil && r.of.from == v {
		return true
	}
	return slices.ContainsFunc(children(n), func(c node) bool { return refersTo(c, v) })
}

// asExistence turns count(…) > 0 and its like into any or none; nil for other leaves.
func (e *emitter) asExistence(n node) *quantifier {
	found, ok := leafAggregates(n)
	if !ok || len(found) != 1 || found[0].op != "count" || len(e.grouped) > 0 || !steady(n) {
		return nil
	}
	agg := found[0]
	if with := func(v int64) bool {
		return e.holds(n, found, func(*aggregate) any { return v })
	}; with(1) != with(2) || with(1) != with(1<<50) {
		return nil
	}
	none, one := e.holds(n, found, emptyValue), e.holds(n, found, func(*aggregate) any { return int64(1) })
	if none == one {
		return nil
	}
	op := "any"
	if none {
		op = "none"
	}
	return &quantifier{condition(n.at()), op, agg.rows, &constant{base{t: typeBool, loc: n.at()}, true, ""}}
}

// steady says that a leaf's calculation with a count has no value to which it comes back, as a remainder has.
func steady(n node) bool {
	if a, ok := n.(*arith); ok && a.op == "%" {
		return false
	}
	if _, ok := n.(*call); ok {
		return false
	}
	return !slices.ContainsFunc(children(n), func(c node) bool { return !isAggregate(c) && !steady(c) })
}

func isAggregate(n node) bool {
	_, ok := n.(*aggregate)
	return ok
}

// independent aggregates ask nothing of rows outside their relation.
func independent(n *aggregate) bool {
	inside := map[*variable]bool{}
	return closed(n, inside)
}

func closed(n node, inside map[*variable]bool) bool {
	if _, ok := n.(*fact); ok { // it is about the customer
		return false
	}
	r := rowsOfNode(n)
	if r != nil {
		if len(inside) > 0 && !inside[r.of.from] {
			return false
		}
		inside[r.row] = true
		r.of.open(inside)
	}
	if c, ok := n.(*column); ok {
		if !inside[c.path.from] {
			return false
		}
		c.path.open(inside)
	}
	for _, c := range children(n) {
		if !closed(c, inside) {
			return false
		}
	}
	return true
}

func rowsOfNode(n node) *rows {
	switch n := n.(type) {
	case *aggregate:
		return &n.rows
	case *quantifier:
		return &n.rows
	}
	return nil
}

// emptyValue is the aggregate of no rows.
func emptyValue(n *aggregate) any {
	if (n.op == "count" || n.op == "sum") && !n.null {
		return int64(0)
	}
	return nil
}

// holds evaluates a leaf with constants in the place of its aggregates.
func (e *emitter) holds(n node, aggregates []*aggregate, value func(*aggregate) any) bool {
	var replace func(node) node
	replace = func(c node) node {
		if agg, ok := c.(*aggregate); ok && slices.Contains(aggregates, agg) {
			v := value(agg)
			return &constant{base{t: agg.t, null: v == nil}, v, ""}
		}
		return rebuild(c, replace)
	}
	return compiler{clock: e.clock}.test(replace(n))(&frame{})
}

// hopLeaf writes a leaf over a to-one relation's columns that is false without the row as EXISTS, which PostgreSQL can
// turn into a join, where a scalar subquery would run for every customer.
func (e *emitter) hopLeaf(n node, want bool) (string, bool) {
	p, ok := e.firstHop(n)
	if !ok {
		return "", false
	}
	if nilTest, ok := n.(*isNil); ok && missingWithout(nilTest.a, p) {
		return existence(!want) + e.hop(p, func() string { return e.leaf(n, false, widen) }), true
	}
	if !falseWithout(n, p) {
		holds, only := e.holdsWithout(n, p)
		if !only {
			return "", false
		}
		return existence(holds != want) + e.hop(p, func() string { return e.leaf(n, !holds, widen) }), true
	}
	return existence(want) + e.hop(p, func() string { return e.leaf(n, true, widen) }), true
}

func (e *emitter) hop(p path, inside func() string) string {
	rel := p.last().rel
	if p.last().pick != nil {
		return e.pickHop(p, inside)
	}
	alias := e.newAlias()
	owner := e.field(p.owner(), quote(rel.Local))
	e.hops = append(e.hops, hop{p, alias})
	defer func() { e.hops = e.hops[:len(e.hops)-1] }()
	return fmt.Sprintf("(select from %s %s where %s.%s = %s and %s)", rel.Target.Table.SQL(), alias, alias, quote(rel.Remote),
		owner, inside())
}

// firstHop is the first to-one step in the leaf's columns that has no alias yet.
func (e *emitter) firstHop(n node) (path, bool) {
	if c, ok := n.(*column); ok {
		for i := 1; i <= len(c.path.via); i++ {
			p := path{c.path.from, c.path.via[:i]}
			if _, has := e.alias(p); !has {
				return p, true
			}
		}
		return path{}, false
	}
	if rowsOfNode(n) != nil {
		return path{}, false
	}
	for _, c := range children(n) {
		if p, ok := e.firstHop(c); ok {
			return p, true
		}
	}
	return path{}, false
}

// falseWithout says that the leaf is false when the row at p is missing.
func falseWithout(n node, p path) bool {
	switch n := n.(type) {
	case *equal:
		return missingWithout(n.a, p) && !n.b.nullable() || missingWithout(n.b, p) && !n.a.nullable()
	case *member:
		return missingWithout(n.x, p) && !n.withNil
	case *overTexts:
		return missingWithout(n.list, p)
	case *compare, *between, *contains, *textTest, *match, *truth:
		return slices.ContainsFunc(children(n), func(c node) bool { return missingWithout(c, p) })
	}
	return false
}

// missingWithout says that the value is missing when the row at p is missing.
func missingWithout(n node, p path) bool {
	switch n := n.(type) {
	case *overTexts:
		return n.op != "any" && n.op != "count" && missingWithout(n.list, p)
	case *column:
		return len(n.path.via) >= len(p.via) && samePath(path{n.path.from, n.path.via[:len(p.via)]}, p)
	case *coalesce:
		return missingWithout(n.a, p) && missingWithout(n.b, p)
	case *choose:
		return missingWithout(n.a, p) && missingWithout(n.b, p)
	case *arith, *negate, *shift, *cast, *call:
		return slices.ContainsFunc(children(n), func(c node) bool { return missingWithout(c, p) })
	}
	return false
}
