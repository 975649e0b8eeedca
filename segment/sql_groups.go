package segment

import (
	"fmt"
	"slices"
	"strings"
)

// groupLeaf writes a leaf that compares aggregates over the same rows with constants, such as count(orders) >= 3, as a
// semi-join with the groups that satisfy it: one pass over the relation, where a correlated subquery would look up every
// customer.
// Where customers without rows satisfy the leaf, it is an anti-join with the groups that don't.
func (e *emitter) groupLeaf(n node, want bool) (string, bool) {
	found := e.groupable(n)
	if found == nil {
		return "", false
	}
	without := e.holds(n, found, emptyValue)
	exists := want != without
	if e.mutate == mutateEmptyGroup {
		exists, without = want, false
	}
	return existence(exists) + e.through(found[0].rows.of, func() string { return e.groups([]node{n}, !without) }), true
}

// groupable are the aggregates of a leaf that can be written over groups, none for other leaves.
func (e *emitter) groupable(n node) []*aggregate {
	found, ok := leafAggregates(n)
	if !ok || len(e.grouped) > 0 {
		return nil
	}
	for _, agg := range found {
		if !independent(agg) || !theSameRows(agg.rows, found[0].rows) {
			return nil
		}
	}
	return found
}

// groups are the groups of a relation's rows in which all leaves, whose aggregates go over the same rows, have the truth
// value want.
func (e *emitter) groups(leaves []node, want bool) string {
	found := aggregatesOf(leaves)
	first := found[0]
	table, group := e.grouping(found), e.newAlias()
	for i, agg := range found {
		e.grouped[agg] = e.result(agg, group+"."+columnName(i))
		defer delete(e.grouped, agg)
	}
	conditions := []string{group + ".k = " + e.field(first.rows.of, quote(first.rows.rel.Local))}
	for _, n := range leaves {
		conditions = append(conditions, e.cond(n, want, widen))
	}
	return fmt.Sprintf("(select from %s %s where %s)", table, group, strings.Join(conditions, " and "))
}

func columnName(i int) string {
	if i == 0 {
		return "v"
	}
	return fmt.Sprintf("v%d", i+1)
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
		of := aggregatesOf(leaves)[0].rows.of
		texts = append(texts, existence(true)+e.through(of, func() string { return e.groups(leaves, true) }))
	}
	return texts, rest
}

func (e *emitter) shareable(n node) bool {
	if !isCondition(n) || unsayable(n) != nil {
		return false
	}
	found := e.groupable(n)
	if found == nil || len(found[0].rows.filters) > 0 && e.mutate != mutateSharedFilters {
		return false
	}
	return e.asExistence(n) == nil && !e.holds(n, found, emptyValue)
}

func sameRows(a, b node) bool {
	x, y := aggregatesOf([]node{a})[0].rows, aggregatesOf([]node{b})[0].rows
	return x.rel == y.rel && samePath(x.of, y.of)
}

// leafAggregates are the aggregates of a leaf whose other parts are constants; false when it has other parts, or none.
func leafAggregates(n node) (found []*aggregate, ok bool) {
	for _, c := range children(n) {
		switch c := c.(type) {
		case *constant:
			continue
		case *aggregate:
			found = append(found, c)
		case *cast, *arith, *negate, *coalesce, *call, *standing, *scores:
			inner, ok := leafAggregates(c)
			if !ok && !allConstant(c) {
				return nil, false
			}
			found = append(found, inner...)
		default:
			return nil, false
		}
	}
	return found, len(found) > 0
}

func allConstant(n node) bool {
	return !slices.ContainsFunc(children(n), func(c node) bool { return !isConstant(c) })
}

// aggregatesOf are those of several leaves.
func aggregatesOf(leaves []node) []*aggregate {
	var all []*aggregate
	for _, n := range leaves {
		found, _ := leafAggregates(n)
		all = append(all, found...)
	}
	return all
}

// grouping is a relation's rows by their join column, with what aggregates over the same rows make of each group. An
// aggregate within them, as in sum(customer.vehicles, sum(.services, .cost)), is grouped and joined in turn: its relation
// is read once, where a subquery would be run for every row.
func (e *emitter) grouping(found []*aggregate) string {
	first := found[0].rows
	s := &side{alias: e.open(first)}
	for _, agg := range found {
		e.aliases[agg.rows.row] = s.alias
		s.rows = append(s.rows, agg.rows.row)
	}
	outer := e.side
	e.side = s
	defer func() { e.side = outer }()
	columns := []string{e.groupKey(first, s.alias) + " as k"}
	for i, agg := range found {
		columns = append(columns, e.calls(agg, e.aggregated(agg), columnName(i)))
	}
	where := ""
	if filters := e.filters(first); len(filters) > 0 {
		where = " where " + strings.Join(filters, " and ")
	}
	return fmt.Sprintf("(select %s from %s %s%s%s group by 1)", strings.Join(columns, ", "), first.rel.Target.Table.SQL(), s.alias,
		strings.Join(s.joins, ""), where)
}

// side is the table of a grouping that is being written, and what is joined to it.
type side struct {
	rows  []*variable // that stand for its current row
	alias string
	joins []string
}

// groupKey is the column by which rows belong to their owners. Values that are equal to each other and not to the owner's,
// as of citext, are told apart.
func (e *emitter) groupKey(r rows, alias string) string {
	local, _ := r.of.entity().Column(r.rel.Local)
	remote, _ := r.rel.Target.Column(r.rel.Remote)
	key := alias + "." + quote(r.rel.Remote)
	if isCitext(remote) && !isCitext(local) {
		key += "::text"
	}
	return key
}

// nested is an aggregate over rows of the current row of the grouping that is being written.
func (e *emitter) nested(n *aggregate) (string, bool) {
	s := e.side
	if s == nil || n.null && (n.op == "count" || n.op == "sum") || len(n.rows.of.via) > 0 ||
		!slices.Contains(s.rows, n.rows.of.from) || !independent(n) {
		return "", false
	}
	table, alias := e.grouping([]*aggregate{n}), e.newAlias()
	join := " left join "
	if e.mutate == mutateInnerJoin {
		join = " join "
	}
	s.joins = append(s.joins, fmt.Sprintf("%s%s %s on %s.k = %s.%s", join, table, alias, alias, s.alias, quote(n.rows.rel.Local)))
	if n.op == "count" {
		return "coalesce(" + alias + ".v, 0)", true
	}
	return e.result(n, alias+".v"), true
}
