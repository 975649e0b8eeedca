package segment

import (
	"fmt"
	"strings"
)

// valueSQL writes the value of a distribution for each row of the base, and the joins that it needs: aggregates over the
// customer's rows are read from groups that are joined, where a subquery would look up every customer.
func (p *preparation) valueSQL(d distribution, args *Args) (value, joins string, err error) {
	defer recovered(&err)
	e := newEmitter(d.rule, args, p.clock, map[string]string{"customer": CustomerAlias})
	for _, together := range joinable(d.of) {
		p.joins++
		joins += e.joinGroups(together, fmt.Sprintf("g%d", p.joins))
	}
	value = e.value(d.of)
	return value, joins, e.err
}

// joinable are the expression's aggregates over rows of the customer, those over the same rows together.
func joinable(n node) [][]*aggregate {
	var all [][]*aggregate
	var visit func(node)
	visit = func(n node) {
		agg, ok := n.(*aggregate)
		if !ok || len(agg.rows.of.via) > 0 || !independent(agg) {
			if _, inside := n.(*quantifier); !inside && !ok {
				for _, c := range children(n) {
					visit(c)
				}
			}
			return
		}
		for i := range all {
			if theSameRows(all[i][0].rows, agg.rows) {
				all[i] = append(all[i], agg)
				return
			}
		}
		all = append(all, []*aggregate{agg})
	}
	visit(n)
	return all
}

// theSameRows says that two aggregates go over the same rows for certain.
func theSameRows(a, b rows) bool {
	if a.rel != b.rel || !samePath(a.of, b.of) {
		return false
	}
	return a.row == b.row || len(a.filters) == 0 && len(b.filters) == 0
}

// joinGroups joins the groups of the aggregates' rows under an alias, and notes the text of each aggregate.
func (e *emitter) joinGroups(aggregates []*aggregate, group string) string {
	first := aggregates[0].rows
	alias := e.open(first)
	columns := []string{alias + "." + quote(first.rel.Remote) + " as k"}
	texts := map[*aggregate]string{}
	for i, agg := range aggregates {
		e.aliases[agg.rows.row] = alias
		name := fmt.Sprintf("v%d", i+1)
		columns = append(columns, e.calls(agg, e.aggregated(agg), name))
		texts[agg] = e.joined(agg, group, name)
	}
	where := ""
	if filters := e.filters(first); len(filters) > 0 {
		where = " where " + strings.Join(filters, " and ")
	}
	for agg, text := range texts {
		e.grouped[agg] = text
	}
	return fmt.Sprintf(" left join (select %s from %s %s%s group by 1) %s on %s.k = %s", strings.Join(columns, ", "),
		first.rel.Target.Table.SQL(), alias, where, group, group, e.field(first.of, quote(first.rel.Local)))
}

// joined is an aggregate's value where its group may be missing.
func (e *emitter) joined(agg *aggregate, group, name string) string {
	value := e.result(agg, group+"."+name)
	switch {
	case agg.op == "count" && !agg.null:
		return "coalesce(" + value + ", 0)"
	case agg.op == "sum" && agg.null:
		return "case when " + group + ".k is not null then " + value + " end"
	}
	return value
}
