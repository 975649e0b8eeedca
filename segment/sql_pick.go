package segment

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/customer"
)

// pickHop is the picked row as a subquery in which alias stands for it, and which inside narrows. Where the pick asks
// nothing of rows outside its relation, it is made for all owners in one pass over the relation, which PostgreSQL can join,
// else it is looked up for each.
func (e *emitter) pickHop(p path, inside func() string) string {
	s, alias := p.last(), e.newAlias()
	owner := e.field(p.owner(), quote(s.rel.Local))
	e.hops = append(e.hops, hop{p, alias})
	text := inside()
	e.hops = e.hops[:len(e.hops)-1]
	columns := e.used[alias]
	if !e.forAll(p) {
		return fmt.Sprintf("(select from %s %s where %s)", e.pickOf(s, owner, columns), alias, text)
	}
	remote := quote(s.rel.Remote)
	if !slices.Contains(columns, remote) {
		columns = append([]string{remote}, columns...)
	}
	return fmt.Sprintf("(select from %s %s where %s.%s = %s and %s)", e.pickOf(s, "", columns), alias, alias, remote, owner, text)
}

// pickedField is one column of a picked row, NULL where there is none.
func (e *emitter) pickedField(p path, column string) string {
	return e.pickOf(p.last(), e.field(p.owner(), quote(p.last().rel.Local)), []string{column})
}

// pickOf is the query for the picked row of one owner, or, without one, of each value of the join column.
func (e *emitter) pickOf(s step, owner string, columns []string) string {
	alias := e.newAlias()
	e.aliases[s.pick.row] = alias
	remote := alias + "." + quote(s.rel.Remote)
	var where, by []string
	if owner != "" {
		where = append(where, remote+" = "+owner)
	}
	for _, n := range s.pick.filters {
		if text := e.cond(n, true, widen); text != "true" && e.mutate != mutatePickFilters {
			where = append(where, text)
		}
	}
	for _, o := range s.pick.order {
		if o.column.Nullable && !o.missing {
			where = append(where, alias+"."+o.column.SQL()+" is not null")
		}
		by = append(by, e.sortSQL(alias, o, s.pick.last))
	}
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = alias + "." + c
	}
	distinct, limit := "", " limit 1"
	if owner == "" {
		distinct, limit, by = "distinct on ("+remote+") ", "", append([]string{remote}, by...)
	}
	text := fmt.Sprintf("(select %s%s from %s %s", distinct, strings.Join(list, ", "), s.rel.Target.Table.SQL(), alias)
	if len(where) > 0 {
		text += " where " + strings.Join(where, " and ")
	}
	return text + " order by " + strings.Join(by, ", ") + limit + ")"
}

// sortSQL sorts as Go does: texts by their bytes.
func (e *emitter) sortSQL(alias string, o sortColumn, last bool) string {
	text := alias + "." + o.column.SQL()
	if columnType(o.column.Kind) == typeText && o.column.Kind != customer.UUID {
		if !plainText(o.column.PGType) {
			text += "::text"
		}
		if e.mutate != mutateTieCollate {
			text += ` collate "C"`
		}
	}
	if last != (e.mutate == mutatePickEnd) {
		text += " desc"
	}
	return text
}

// forAll says that the row can be picked for all owners at once.
func (e *emitter) forAll(p path) bool {
	s := p.last()
	local, _ := p.owner().entity().Column(s.rel.Local)
	remote, _ := s.rel.Target.Column(s.rel.Remote)
	if isCitext(remote) && !isCitext(local) { // the groups of one are not those of the other
		return false
	}
	inside := map[*variable]bool{s.pick.row: true}
	return !slices.ContainsFunc(s.pick.filters, func(n node) bool { return !closed(n, inside) })
}

// through wraps a query over rows of a row that has no alias yet: EXISTS that row with what the query asks.
func (e *emitter) through(of path, query func() string) string {
	p, ok := e.hopTo(of)
	if !ok {
		return query()
	}
	return e.hop(p, func() string { return existence(true) + e.through(of, query) })
}

// hopTo is the first step of the path that has no alias yet.
func (e *emitter) hopTo(of path) (path, bool) {
	for i := 1; i <= len(of.via); i++ {
		p := path{of.from, of.via[:i]}
		if _, has := e.alias(p); !has {
			return p, true
		}
	}
	return path{}, false
}

// sharePicks takes out of a conjunction the leaves that ask about one picked row, such as last(orders).paid together with
// last(orders).total > 100, and writes them as one subquery.
func (e *emitter) sharePicks(parts []node) (texts []string, rest []node) {
	type shared struct {
		path   path
		leaves []node
	}
	var rows []shared
	for _, n := range parts {
		p, ok := e.pickOfLeaf(n)
		if !ok {
			rest = append(rest, n)
			continue
		}
		i := slices.IndexFunc(rows, func(s shared) bool { return e.sameRow(s.path, p) })
		if i < 0 {
			i, rows = len(rows), append(rows, shared{path: p})
		}
		rows[i].leaves = append(rows[i].leaves, n)
	}
	for _, row := range rows {
		if len(row.leaves) == 1 {
			rest = append(rest, row.leaves[0])
			continue
		}
		texts = append(texts, existence(true)+e.hop(row.path, func() string {
			return trimParens(e.junction(row.leaves, true, true, widen))
		}))
	}
	return texts, rest
}

// pickOfLeaf is the picked row without which the leaf is false.
func (e *emitter) pickOfLeaf(n node) (path, bool) {
	if !isCondition(n) || unsayable(n) != nil {
		return path{}, false
	}
	p, ok := e.firstHop(n)
	return p, ok && p.last().pick != nil && falseWithout(n, p)
}

func (e *emitter) sameRow(a, b path) bool {
	if e.mutate == mutateHopShare && a.last().rel == b.last().rel {
		return true
	}
	return samePath(a, b)
}

// holdsWithout evaluates a leaf that asks about nothing but the row at p, as if there were no such row.
func (e *emitter) holdsWithout(n node, p path) (holds, only bool) {
	if !asksOnly(n, p) {
		return false, false
	}
	var replace func(node) node
	replace = func(c node) node {
		if col, ok := c.(*column); ok {
			return &constant{base{t: col.t, null: true}, nil, ""}
		}
		return rebuild(c, replace)
	}
	return compiler{clock: e.clock}.test(replace(n))(&frame{}), true
}

func asksOnly(n node, p path) bool {
	switch n := n.(type) {
	case *constant:
		return true
	case *column:
		return missingWithout(n, p)
	}
	parts := children(n)
	if len(parts) == 0 || rowsOfNode(n) != nil {
		return false
	}
	return !slices.ContainsFunc(parts, func(c node) bool { return !asksOnly(c, p) })
}
