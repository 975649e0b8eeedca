package segment

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// valuesSQL writes the value of each of the wanted distributions for each row of the base, and the joins that they need: aggregates over
// the customer's rows are read from groups that are joined, where a subquery would look up every customer. What goes over
// the same rows is grouped together, whichever rule asks for it.
func (p *preparation) valuesSQL(wanted []distribution, args *Args) (values []string, joins string, err error) {
	defer recovered(&err)
	var together [][]*aggregate
	for _, d := range wanted {
		for _, agg := range joinable(d.of) {
			i := slices.IndexFunc(together, func(g []*aggregate) bool { return sameOfCustomer(g[0].rows, agg.rows) })
			if i < 0 {
				i, together = len(together), append(together, nil)
			}
			together[i] = append(together[i], agg)
		}
	}
	grouped := map[node]string{}
	for i, g := range together {
		e := p.emitter(wanted[0].rule, args)
		joins += e.joinGroups(g, fmt.Sprintf("g%d", i+1), grouped)
		if e.err != nil {
			return nil, "", e.err
		}
	}
	for _, d := range wanted {
		e := p.emitter(d.rule, args)
		e.grouped = maps.Clone(grouped)
		values = append(values, e.value(d.of))
		if e.err != nil {
			return nil, "", e.err
		}
	}
	return values, joins, nil
}

func (p *preparation) emitter(r *Rule, args *Args) *emitter {
	return newEmitter(r, args, p.clock, map[string]string{"customer": CustomerAlias})
}

// joinable are the expression's aggregates over rows of the customer.
func joinable(n node) []*aggregate {
	switch n := n.(type) {
	case *aggregate:
		if len(n.rows.of.via) > 0 || !independent(n) {
			return nil
		}
		return []*aggregate{n}
	case *quantifier:
		return nil
	}
	var all []*aggregate
	for _, c := range children(n) {
		all = append(all, joinable(c)...)
	}
	return all
}

// theSameRows says that two aggregates go over the same rows for certain.
func theSameRows(a, b rows) bool {
	if a.row == b.row {
		return true
	}
	return a.rel == b.rel && samePath(a.of, b.of) && len(a.filters) == 0 && len(b.filters) == 0
}

// sameOfCustomer is theSameRows for rows of the customer, also of different rules.
func sameOfCustomer(a, b rows) bool {
	return a.row == b.row || a.rel == b.rel && len(a.filters) == 0 && len(b.filters) == 0
}

// joinGroups joins the groups of the aggregates' rows, which are the customer's, under an alias, and notes the text of each
// aggregate.
func (e *emitter) joinGroups(aggregates []*aggregate, group string, texts map[node]string) string {
	first := aggregates[0].rows
	alias := e.open(first)
	columns := []string{alias + "." + quote(first.rel.Remote) + " as k"}
	known := map[string]string{} // names of columns by what they are
	for _, agg := range aggregates {
		e.aliases[agg.rows.row] = alias
		of := e.aggregated(agg)
		name, ok := known[e.calls(agg, of, "")]
		if !ok {
			name = fmt.Sprintf("v%d", len(known)+1)
			known[e.calls(agg, of, "")] = name
			columns = append(columns, e.calls(agg, of, name))
		}
		texts[agg] = e.joined(agg, group, name)
	}
	where := ""
	if filters := e.filters(first); len(filters) > 0 {
		where = " where " + strings.Join(filters, " and ")
	}
	return fmt.Sprintf(" left join (select %s from %s %s%s group by 1) %s on %s.k = %s.%s", strings.Join(columns, ", "),
		first.rel.Target.Table.SQL(), alias, where, group, group, CustomerAlias, quote(first.rel.Local))
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
