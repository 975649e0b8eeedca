package templates

import (
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
)

// variable resolves a name and the steps behind it.
func (c *checker) variable(v *variable) typ {
	if v.name == "forloop" && c.loops > 0 {
		return c.forloop(v)
	}
	var t typ
	if l, ok := c.locals[v.name]; ok {
		v.root, v.slot, t = local, l.slot, l.typ
	} else if g, ok := c.globals[v.name]; ok {
		t = g
		c.barePage(v)
	} else {
		c.problem(pos{v.at.off, len(v.name)}, c.unknownHint(v.name), "unknown variable %q", v.name)
		c.steps(v, typ{})
		return typ{}
	}
	t = c.steps(v, t)
	if v.root == global && (v.name == "today" || v.name == "run" && t.shape == dateShape) {
		v.name, v.steps, v.civil = "today", nil, true
	}
	c.noteExistence(t)
	return t
}

var forloopFields = []string{"first", "last", "index", "index0", "rindex", "rindex0", "length"}

func (c *checker) forloop(v *variable) typ {
	v.root = forloop
	if len(v.steps) != 1 || !slices.Contains(forloopFields, v.steps[0].name) {
		name := ""
		if len(v.steps) > 0 {
			name = v.steps[0].name
		}
		c.problem(v.at, diag.DidYouMean(name, forloopFields), "forloop has no %q", name)
		return typ{}
	}
	v.field = v.steps[0].name
	if v.field == "first" || v.field == "last" {
		return typ{shape: boolShape}
	}
	return typ{shape: numberShape}
}

// steps resolves what stands behind a variable's name. After a problem the type is anything.
func (c *checker) steps(v *variable, t typ) typ {
	ok := true
	for i := range v.steps {
		s := &v.steps[i]
		written := c.src.Text[v.at.off:s.at.off]
		if s.index != nil {
			if it := c.expr(s.index); ok {
				t, ok = c.index(s, t, it)
			}
			continue
		}
		if ok {
			t, ok = c.member(s, strings.TrimRight(written, ".[\"' \t\r\n"), t)
		}
	}
	if !ok {
		return typ{}
	}
	return t
}

func (c *checker) index(s *step, t, index typ) (typ, bool) {
	switch {
	case t.shape == anyShape:
		return typ{}, true
	case t.shape == rowShape:
		c.problem(s.at, "", "the name of a column must be written as text here")
		return typ{}, false
	case t.shape != listShape:
		c.problem(s.at, "", "only a list has elements, and this is %s", t.shape)
		return typ{}, false
	case index.shape != numberShape && index.shape != anyShape:
		c.problem(s.at, "", "a list's element is found by its number, and this is %s", index.shape)
		return typ{}, false
	}
	return t.element(), true
}

// member resolves .name; owner is what stands before it.
func (c *checker) member(s *step, owner string, t typ) (typ, bool) {
	switch t.shape {
	case anyShape:
		return typ{}, true
	case rowShape:
		if t.entity == nil {
			return c.field(s, owner, t)
		}
		return c.column(s, owner, t)
	case listShape:
		switch s.name {
		case "first", "last":
			return t.element(), true
		case "size":
			c.noteExistence(t)
			return typ{shape: numberShape}, true
		}
	case textShape:
		if s.name == "size" {
			return typ{shape: numberShape}, true
		}
	}
	hint := ""
	if t.shape == listShape {
		hint = "a list has first, last and size; for the others write {% for %}"
	}
	c.problem(s.at, hint, "%s is %s and has no %q", owner, t.shape, s.name)
	return typ{}, false
}

func (c *checker) field(s *step, owner string, t typ) (typ, bool) {
	f, ok := t.fields[s.name]
	if !ok {
		c.problem(s.at, t.fieldHint(s.name), "%s has no %q", owner, s.name)
	}
	return f, ok
}

// column resolves a column or a to-one relation of one of the company's rows.
func (c *checker) column(s *step, owner string, t typ) (typ, bool) {
	if col, ok := t.entity.Column(s.name); ok {
		c.read(t.path, col.Name)
		return columnType(col.Kind), true
	}
	rel, ok := t.entity.Relation(s.name)
	switch {
	case ok && rel.One:
		return typ{shape: rowShape, entity: rel.Target, rel: rel, path: append(slices.Clone(t.path), rel.Name)}, true
	case ok:
		c.problem(s.at, c.manyHint(t, rel), "%s.%s is a list, which a template can't read", owner, s.name)
	default:
		c.problem(s.at, diag.DidYouMean(s.name, readable(t.entity)), "%s has no column %q", owner, s.name)
	}
	return typ{}, false
}

func (c *checker) manyHint(t typ, rel *customer.Relation) string {
	if t.entity.Name != "customer" {
		return ""
	}
	return "put it in the audience: each: customer." + rel.Name + " as " + customer.Singular(rel.Name)
}

// readable lists what can stand behind a row's name in a template.
func readable(e *customer.Entity) []string {
	var names []string
	for _, c := range e.Columns {
		names = append(names, c.Name)
	}
	for _, r := range e.Relations {
		if r.One {
			names = append(names, r.Name)
		}
	}
	return names
}

// read notes a column that delivery must fetch.
func (c *checker) read(row []string, column string) {
	path := append(slices.Clone(row), column)
	c.paths[strings.Join(path, "\x00")] = path
}

// noteExistence notes a row, or a list of rows, of which perhaps only the existence matters.
func (c *checker) noteExistence(t typ) {
	if t.shape == listShape && t.elem != nil {
		t = *t.elem
	}
	if t.shape == rowShape && t.rel != nil {
		c.exists[strings.Join(t.path, "\x00")] = append(slices.Clone(t.path), t.rel.Remote)
	}
}
