package segment

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/customer"
)

// pick is the first or last of the rows. Two picks from the same rows, by the same order and conditions, are the same row,
// so that SQL looks for it once.
func (c *checker) pick(at span, r rows, by []sortColumn, last bool) node {
	p := &pick{row: r.row, filters: r.filters, order: by, last: last}
	known := knownPick{pick: p, of: r.of, rel: r.rel}
	i := slices.IndexFunc(c.picks, known.means)
	if i < 0 {
		i, c.picks = len(c.picks), append(c.picks, known)
	}
	p.id = i
	return &rowRef{base{t: typeRow, loc: at, null: true}, r.of.to(step{rel: r.rel, pick: p})}
}

// knownPick is a pick that the rule has written.
type knownPick struct {
	pick *pick
	of   path
	rel  *customer.Relation
}

// means says that both are the same row.
func (k knownPick) means(o knownPick) bool {
	return k.rel == o.rel && k.pick.last == o.pick.last && samePath(k.of, o.of) && slices.Equal(k.pick.order, o.pick.order) &&
		sameFilters(k.pick, o.pick)
}

// timeAndKey is the order of first and last: rows whose time is missing are neither.
func (c *checker) timeAndKey(fn *Function, at span, r rows) ([]sortColumn, bool) {
	e := r.rel.Target
	if e.At == "" {
		c.problem(at, timeHint(e), "%s needs to know which column holds the time of %s", fn.Name, r.rel.Name)
		return nil, false
	}
	key, ok := c.sortKey(fn, at, r)
	if !ok {
		return nil, false
	}
	return c.sortTime(fn, at, r, sortColumn{}, key)
}

// timeOrKey is the order of find: rows whose time is missing come after all others.
func (c *checker) timeOrKey(fn *Function, at span, r rows) ([]sortColumn, bool) {
	key, ok := c.sortKey(fn, at, r)
	if !ok {
		return nil, false
	}
	if r.rel.Target.At == "" {
		return []sortColumn{key}, true
	}
	return c.sortTime(fn, at, r, sortColumn{missing: true}, key)
}

func (c *checker) sortTime(fn *Function, at span, r rows, by, key sortColumn) ([]sortColumn, bool) {
	col, ok := r.rel.Target.Column(r.rel.Target.At)
	if !ok || !columnType(col.Kind).isTime() {
		c.problem(at, timeHint(r.rel.Target), "%s: the time of %s, %q, is no date or time", fn.Name, r.rel.Name, r.rel.Target.At)
		return nil, false
	}
	by.column = col
	return []sortColumn{by, key}, true
}

// sortKey decides between rows of the same time.
func (c *checker) sortKey(fn *Function, at span, r rows) (sortColumn, bool) {
	e := r.rel.Target
	col, ok := e.Column(e.Key)
	if !ok || !columnType(col.Kind).isOrdered() {
		c.problem(at, fmt.Sprintf("add key: to %s in sapa.yaml, for example key: id", e.Name),
			"%s needs the key column of %s, which decides between rows of the same time", fn.Name, r.rel.Name)
		return sortColumn{}, false
	}
	return sortColumn{column: col}, true
}

// timeHint proposes the relation's columns that hold a time.
func timeHint(e *customer.Entity) string {
	var times []string
	for _, col := range e.Columns {
		if columnType(col.Kind).isTime() {
			times = append(times, "at: "+col.Name)
		}
	}
	if len(times) == 0 {
		return fmt.Sprintf("%s has no column with a date or time: map a view that has one, and add at: to %s in sapa.yaml", e.Table, e.Name)
	}
	return fmt.Sprintf("add %s to %s in sapa.yaml", strings.Join(times, " or "), e.Name)
}

// isNoRow is last(rows) == nil: there is no row that could be picked.
func isNoRow(at span, p path) node {
	s := p.last()
	pred := []node{}
	for _, by := range s.pick.order {
		if by.column.Nullable && !by.missing {
			col := &column{base{t: columnType(by.column.Kind), loc: at, null: true}, path{from: s.pick.row}, by.column}
			pred = append(pred, &not{condition(at), &isNil{condition(at), col}})
		}
	}
	r := rows{of: p.owner(), rel: s.rel, row: s.pick.row, filters: s.pick.filters}
	return &quantifier{condition(at), "none", r, &and{condition(at), pred}}
}
