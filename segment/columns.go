package segment

import (
	"slices"

	"github.com/sapa-crm/sapa/customer"
)

// Columns is what a rule needs of one entity's row, so that a Program can decide it.
type Columns struct {
	Entity    *customer.Entity
	Names     []string // of columns, each once
	Relations []*Related
}

// Related is what a rule needs of the rows behind a relation.
type Related struct {
	Relation *customer.Relation
	Columns  *Columns
}

// Columns says what the rule needs of each root name's row; a name that it does not use has no columns.
func (r *Rule) Columns() map[string]*Columns {
	out := map[string]*Columns{}
	at := map[*variable]*Columns{}
	for i, root := range r.scope.roots() {
		out[root.name] = &Columns{Entity: root.entity}
		at[r.vars.all[i]] = out[root.name]
	}
	collect(r.root, at)
	if r.scope.event != nil { // its values are constants, and nothing is loaded
		delete(out, eventName)
	}
	return out
}

func collect(n node, at map[*variable]*Columns) {
	if c, ok := n.(*column); ok {
		follow(c.path, at).add(c.col.Name)
	}
	if r := rowsOfNode(n); r != nil {
		at[r.row] = follow(r.of, at).related(r.rel)
	}
	for _, c := range children(n) {
		collect(c, at)
	}
}

// follow is what the rule needs of the row at the path; what decides between rows on the way is needed of them.
func follow(p path, at map[*variable]*Columns) *Columns {
	c := at[p.from]
	for _, s := range p.via {
		c = c.related(s.rel)
		if s.pick == nil {
			continue
		}
		at[s.pick.row] = c
		for _, by := range s.pick.order {
			c.add(by.column.Name)
		}
	}
	return c
}

func (c *Columns) related(r *customer.Relation) *Columns {
	for _, known := range c.Relations {
		if known.Relation == r {
			return known.Columns
		}
	}
	c.Relations = append(c.Relations, &Related{r, &Columns{Entity: r.Target}})
	return c.Relations[len(c.Relations)-1].Columns
}

func (c *Columns) add(name string) {
	if !slices.Contains(c.Names, name) {
		c.Names = append(c.Names, name)
	}
}

// merge adds what another rule needs of the same entity.
func (c *Columns) merge(o *Columns) {
	for _, name := range o.Names {
		c.add(name)
	}
	for _, r := range o.Relations {
		c.related(r.Relation).merge(r.Columns)
	}
}
