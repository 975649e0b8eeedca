package segment

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/customer"
)

// pickHop is the picked row as a subquery in which alias stands for it, and which inside narrows. Where the pick asks
// nothing of rows outside its relation, it is the row before which there is no other: two passes over the relation for all
// owners, where a lookup for each would take ten times as long. Else it is looked up.
func (e *emitter) pickHop(p path, inside func() string) string {
	s, alias := p.last(), e.newAlias()
	owner := e.field(p.owner(), quote(s.rel.Local))
	e.hops = append(e.hops, hop{p, alias})
	text := inside()
	e.hops = e.hops[:len(e.hops)-1]
	if !e.forAll(p) {
		return fmt.Sprintf("(select from %s %s where %s)", e.pickOf(s, owner, e.used[alias]), alias, text)
	}
	remote, other := quote(s.rel.Remote), e.newAlias()
	parts := append([]string{alias + "." + remote + " = " + owner}, e.pickable(s.pick, alias, s.pick.order)...)
	better := append([]string{other + "." + remote + " = " + alias + "." + remote}, e.pickable(s.pick, other, s.pick.order[1:])...)
	better = append(better, e.before(s.pick, other, alias))
	table := s.rel.Target.Table.SQL()
	parts = append(parts, fmt.Sprintf("not exists (select from %s %s where %s)", table, other, strings.Join(better, " and ")), text)
	return fmt.Sprintf("(select from %s %s where %s)", table, alias, strings.Join(parts, " and "))
}

// pickable are the conditions on a row that can be picked: the filters, and that what decides between rows is there. A
// filter must be exact: another row than the picked one is no approximation of it.
func (e *emitter) pickable(p *pick, alias string, order []sortColumn) []string {
	e.aliases[p.row] = alias
	var parts []string
	for _, n := range p.filters {
		if why := unsayable(n); why != nil {
			e.fail("%s: a row can't be picked by what SQL can't say: %s", e.source().quote(why.at), why.text)
		}
		if text := e.cond(n, true, widen); text != "true" && e.mutate != mutatePickFilters {
			parts = append(parts, text)
		}
	}
	for _, o := range order {
		if o.column.Nullable && !o.missing {
			parts = append(parts, alias+"."+o.column.SQL()+" is not null")
		}
	}
	return parts
}

// before says that one row is to be picked rather than another.
func (e *emitter) before(p *pick, one, other string) string {
	op := " < "
	if e.fromEnd(p) {
		op = " > "
	}
	var ones, others []string
	for _, o := range p.order {
		ones, others = append(ones, e.sortSQL(one, o)), append(others, e.sortSQL(other, o))
	}
	if first := p.order[0]; first.missing && first.column.Nullable {
		a, b := ones[0], others[0]
		return fmt.Sprintf("(%s%s%s or %s is not null and %s is null or %s is not distinct from %s and %s%s%s)",
			a, op, b, a, b, a, b, ones[1], op, others[1])
	}
	if len(ones) == 1 {
		return ones[0] + op + others[0]
	}
	return "(" + strings.Join(ones, ", ") + ")" + op + "(" + strings.Join(others, ", ") + ")"
}

func (e *emitter) fromEnd(p *pick) bool { return p.last != (e.mutate == mutatePickEnd) }

// pickedField is one column of a picked row, NULL where there is none.
func (e *emitter) pickedField(p path, column string) string {
	return e.pickOf(p.last(), e.field(p.owner(), quote(p.last().rel.Local)), []string{column})
}

// pickOf is the query for the picked row of one owner.
func (e *emitter) pickOf(s step, owner string, columns []string) string {
	alias := e.newAlias()
	where := append([]string{alias + "." + quote(s.rel.Remote) + " = " + owner}, e.pickable(s.pick, alias, s.pick.order)...)
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = alias + "." + c
	}
	by := make([]string, len(s.pick.order))
	for i, o := range s.pick.order {
		if by[i] = e.sortSQL(alias, o); e.fromEnd(s.pick) {
			by[i] += " desc"
		}
	}
	return fmt.Sprintf("(select %s from %s %s where %s order by %s limit 1)", strings.Join(list, ", "), s.rel.Target.Table.SQL(),
		alias, strings.Join(where, " and "), strings.Join(by, ", "))
}

// sortSQL sorts as Go does: texts by their bytes.
func (e *emitter) sortSQL(alias string, o sortColumn) string {
	text := alias + "." + o.column.SQL()
	if columnType(o.column.Kind) != typeText || o.column.Kind == customer.UUID {
		return text
	}
	if !plainText(o.column.PGType) {
		text += "::text"
	}
	if e.mutate != mutateTieCollate {
		text += ` collate "C"`
	}
	return text
}

// forAll says that the row can be picked for all owners at once.
func (e *emitter) forAll(p path) bool {
	s := p.last()
	local, _ := p.owner().entity().Column(s.rel.Local)
	remote, _ := s.rel.Target.Column(s.rel.Remote)
	if isCitext(remote) && !isCitext(local) { // rows of one owner by one comparison are of two by the other
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
		if times, ok := e.allExtremes(row.leaves); ok || len(row.leaves) == 1 {
			rest = append(rest, times...)
			continue
		}
		texts = append(texts, existence(true)+e.hop(row.path, func() string {
			return trimParens(e.junction(row.leaves, true, true, widen))
		}))
	}
	return texts, rest
}

// allExtremes are the leaves as asExtreme writes them, and whether it can write each.
func (e *emitter) allExtremes(leaves []node) ([]node, bool) {
	all := true
	out := make([]node, len(leaves))
	for i, n := range leaves {
		extreme, ok := e.asExtreme(n)
		if out[i], all = extreme, all && ok; !ok {
			out[i] = n
		}
	}
	return out, all
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

// asExtreme writes a leaf about nothing but the time of the last row, such as last(orders).ordered_at < ago(days(90)), by
// the latest time, which takes one pass over the relation.
func (e *emitter) asExtreme(n node) (node, bool) {
	var found *pick
	fits := true
	var replace func(node) node
	replace = func(c node) node {
		col, ok := c.(*column)
		if !ok {
			return rebuild(c, replace)
		}
		agg, ok := extremeTime(col)
		_, here := e.alias(col.path)
		fits = fits && ok && !here && found == nil
		if !fits {
			return c
		}
		found = col.path.last().pick
		return agg
	}
	if rowsIn(n) {
		return nil, false
	}
	out := replace(n)
	return out, fits && found != nil && e.groupable(out) != nil
}

func rowsIn(n node) bool { return rowsOfNode(n) != nil || slices.ContainsFunc(children(n), rowsIn) }

// extremeTime is the first column by which a row was picked, where the other has a value in every row.
func extremeTime(n *column) (*aggregate, bool) {
	if len(n.path.via) == 0 || n.path.last().pick == nil {
		return nil, false
	}
	s := n.path.last()
	by := s.pick.order
	if len(by) != 2 || by[0].missing || by[0].column.Name != n.col.Name || by[1].column.Nullable {
		return nil, false
	}
	op := "min"
	if s.pick.last {
		op = "max"
	}
	of := &column{base{t: n.t, loc: n.loc, null: by[0].column.Nullable}, path{from: s.pick.row}, n.col}
	return &aggregate{base{t: n.t, loc: n.loc, null: true}, op, rows{of: n.path.owner(), rel: s.rel, row: s.pick.row, filters: s.pick.filters}, of}, true
}
