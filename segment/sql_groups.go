package segment

import (
	"fmt"
	"slices"
	"strings"
)

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
