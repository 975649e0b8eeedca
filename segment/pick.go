package segment

import "github.com/sapa-crm/sapa/customer"

// pick chooses one row of a to-many relation: the first or the last of those that satisfy the filters, by the relation's
// time and then by its key.
type pick struct {
	id      int       // the same for picks that mean the same row
	row     *variable // the current row, in filters
	filters []node    // conditions
	order   []sortColumn
	last    bool
}

// sortColumn is one of the columns by which rows are ordered.
type sortColumn struct {
	column  customer.Column
	missing bool // rows without a value take part, as the very last
}

// filters are those of all picked rows on the way.
func (p path) filters() []node {
	var all []node
	for _, s := range p.via {
		if s.pick != nil {
			all = append(all, s.pick.filters...)
		}
	}
	return all
}

// rebuild copies the path with the filters on the way replaced.
func (p path) rebuild(f func(node) node) path {
	if len(p.filters()) == 0 {
		return p
	}
	out := path{from: p.from}
	for _, s := range p.via {
		if s.pick != nil {
			c := *s.pick
			c.filters = rebuildAll(c.filters, f)
			s.pick = &c
		}
		out.via = append(out.via, s)
	}
	return out
}

// parts are the conditions on the rows and on the way to them.
func (r rows) parts() []node { return append(r.of.filters(), r.filters...) }

func sameStep(a, b step) bool {
	if a.rel != b.rel || (a.pick == nil) != (b.pick == nil) {
		return false
	}
	return a.pick == nil || a.pick.id == b.pick.id
}

// open adds the current rows of the filters on the way.
func (p path) open(inside map[*variable]bool) {
	for _, s := range p.via {
		if s.pick != nil {
			inside[s.pick.row] = true
		}
	}
}
