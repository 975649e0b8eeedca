package segment

import (
	"fmt"
	"slices"
	"strings"
)

// quantifier: any is EXISTS, none and all are NOT EXISTS. Under NOT EXISTS a superset needs a subset.
func (e *emitter) quantifier(n *quantifier, want bool, d direction) string {
	sought := n.op != "all" // all looks for a row that does not satisfy
	if e.mutate == mutatePolarity {
		sought = true
	}
	exists := want == (n.op == "any")
	if !exists {
		d = !d
	}
	parts := append(slices.Clone(n.rows.filters), n.pred)
	return existence(exists) + e.subquery(n.rows, func() []string {
		var texts []string
		for i, p := range parts {
			texts = append(texts, e.cond(p, i < len(parts)-1 || sought, d))
		}
		return texts
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
	alias := e.open(n.rows)
	parts := append([]string{e.join(n.rows, alias)}, e.filters(n.rows)...)
	from := fmt.Sprintf("%s %s where %s", n.rows.rel.Target.Table.SQL(), alias, strings.Join(parts, " and "))
	if n.op == "count" {
		return "(select count(*) from " + from + ")"
	}
	of := e.aggregated(n)
	if !refersTo(n.of, n.rows.row) { // an aggregate of outer columns only would be one of the outer query
		values := e.newAlias()
		from, of = fmt.Sprintf("(select %s as v from %s) %s", of, from, values), values+".v"
	}
	group := e.newAlias()
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

// groupLeaf writes a leaf that compares one aggregate with constants, such as count(orders) >= 3, as a semi-join with
// the groups that satisfy it: one pass over the relation, where a correlated subquery would look up every customer.
// Where customers without rows satisfy the leaf, it is an anti-join with the groups that don't.
func (e *emitter) groupLeaf(n node, want bool) (string, bool) {
	agg := e.groupable(n)
	if agg == nil {
		return "", false
	}
	without := e.holds(n, agg, emptyValue(agg))
	exists := want != without
	if e.mutate == mutateEmptyGroup {
		exists, without = want, false
	}
	return existence(exists) + e.groups([]node{n}, !without), true
}

// groupable is the aggregate of a leaf that can be written over groups, nil for other leaves.
func (e *emitter) groupable(n node) *aggregate {
	agg := soleAggregate(n)
	if agg == nil || len(e.grouped) > 0 || !independent(agg) {
		return nil
	}
	return agg
}

// groups are the groups of a relation's rows in which all leaves, whose aggregates go over the same rows, have the truth
// value want.
func (e *emitter) groups(leaves []node, want bool) string {
	first := soleAggregate(leaves[0])
	alias, group := e.open(first.rows), e.newAlias()
	columns := []string{alias + "." + quote(first.rows.rel.Remote) + " as k"}
	for i, n := range leaves {
		agg := soleAggregate(n)
		e.aliases[agg.rows.row] = alias
		name := "v"
		if i > 0 {
			name = fmt.Sprintf("v%d", i+1)
		}
		columns = append(columns, e.calls(agg, e.aggregated(agg), name))
		e.grouped[agg] = e.result(agg, group+"."+name)
		defer delete(e.grouped, agg)
	}
	where := ""
	if filters := e.filters(first.rows); len(filters) > 0 {
		where = " where " + strings.Join(filters, " and ")
	}
	conditions := []string{group + ".k = " + e.field(first.rows.of, quote(first.rows.rel.Local))}
	for _, n := range leaves {
		conditions = append(conditions, e.cond(n, want, widen))
	}
	return fmt.Sprintf("(select from (select %s from %s %s%s group by 1) %s where %s)", strings.Join(columns, ", "),
		first.rows.rel.Target.Table.SQL(), alias, where, group, strings.Join(conditions, " and "))
}

// shareGroups takes out of a conjunction the leaves over groups of the same rows, such as count(orders) >= 5 together
// with max(map(orders, .total)) > 100, and writes them as one semi-join: the relation is read once. Leaves that customers
// without rows satisfy, and those over filtered rows, stay.
func (e *emitter) shareGroups(parts []node) (texts []string, rest []node) {
	var shared [][]node
	for _, p := range parts {
		if !e.shareable(p) {
			rest = append(rest, p)
			continue
		}
		i := slices.IndexFunc(shared, func(leaves []node) bool { return sameRows(leaves[0], p) })
		if i < 0 {
			shared = append(shared, []node{p})
			continue
		}
		shared[i] = append(shared[i], p)
	}
	for _, leaves := range shared {
		if len(leaves) == 1 {
			rest = append(rest, leaves[0])
			continue
		}
		texts = append(texts, existence(true)+e.groups(leaves, true))
	}
	return texts, rest
}

func (e *emitter) shareable(n node) bool {
	if !isCondition(n) || unsayable(n) != nil {
		return false
	}
	agg := e.groupable(n)
	if agg == nil || len(agg.rows.filters) > 0 && e.mutate != mutateSharedFilters {
		return false
	}
	return e.asExistence(n) == nil && !e.holds(n, agg, emptyValue(agg))
}

func sameRows(a, b node) bool {
	x, y := soleAggregate(a).rows, soleAggregate(b).rows
	return x.rel == y.rel && samePath(x.of, y.of)
}

// asExistence turns count(…) > 0 and its like into any or none; nil for other leaves.
func (e *emitter) asExistence(n node) *quantifier {
	agg := soleAggregate(n)
	if agg == nil || agg.op != "count" || len(e.grouped) > 0 {
		return nil
	}
	none, one := e.holds(n, agg, int64(0)), e.holds(n, agg, int64(1))
	if none == one || one != e.holds(n, agg, int64(2)) || one != e.holds(n, agg, int64(1<<50)) {
		return nil
	}
	op := "any"
	if none {
		op = "none"
	}
	return &quantifier{condition(n.at()), op, agg.rows, &constant{base{t: typeBool, loc: n.at()}, true, ""}}
}

// soleAggregate is the one aggregate of a leaf whose other parts are constants, nil if there is none or more.
func soleAggregate(n node) *aggregate {
	var found *aggregate
	for _, c := range children(n) {
		switch c := c.(type) {
		case *constant:
			continue
		case *aggregate:
			if found != nil {
				return nil
			}
			found = c
		case *cast, *arith, *negate:
			inner := soleAggregate(c)
			if inner == nil || found != nil {
				return nil
			}
			found = inner
		default:
			return nil
		}
	}
	return found
}

// independent aggregates ask nothing of rows outside their relation.
func independent(n *aggregate) bool {
	inside := map[*variable]bool{}
	return closed(n, inside)
}

func closed(n node, inside map[*variable]bool) bool {
	r := rowsOfNode(n)
	if r != nil {
		if len(inside) > 0 && !inside[r.of.from] {
			return false
		}
		inside[r.row] = true
	}
	if c, ok := n.(*column); ok && !inside[c.path.from] {
		return false
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

func emptyValue(n *aggregate) any {
	if n.op == "count" || n.op == "sum" {
		return int64(0)
	}
	return nil
}

// holds evaluates a leaf with a constant in the place of its aggregate.
func (e *emitter) holds(n node, agg *aggregate, v any) bool {
	var replace func(node) node
	replace = func(c node) node {
		if c == node(agg) {
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
		return "", false
	}
	return existence(want) + e.hop(p, func() string { return e.leaf(n, true, widen) }), true
}

func (e *emitter) hop(p path, inside func() string) string {
	rel := p.via[len(p.via)-1]
	alias := e.newAlias()
	owner := e.field(path{p.from, p.via[:len(p.via)-1]}, quote(rel.Local))
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
	case *compare, *between, *contains, *textTest, *match, *truth:
		return slices.ContainsFunc(children(n), func(c node) bool { return missingWithout(c, p) })
	}
	return false
}

// missingWithout says that the value is missing when the row at p is missing.
func missingWithout(n node, p path) bool {
	switch n := n.(type) {
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
