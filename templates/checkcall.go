package templates

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/internal/diag"
)

// call checks one filter behind a value of type t.
func (c *checker) call(f *call, t typ, base expr, first bool) typ {
	def, ok := c.filters[f.name]
	if !ok {
		f.def = c.filters["default"]
		c.arguments(f)
		c.unknownFilter(f)
		return typ{}
	}
	f.def = def
	for _, n := range f.named {
		c.problem(n.at, "", "%s has no argument %q", f.name, n.name)
	}
	c.takes(f, t, base, first)
	args := c.arguments(f)
	if n := len(f.args); n < def.required() || n > len(def.params) {
		c.problem(f.at, "write "+def.signature(), "%s takes %s, and has %d", f.name, countWords(def), n)
		return typ{}
	}
	for i := range f.args {
		c.argument(f, i, t, args)
	}
	return def.result(t, args)
}

// arguments are the types of a call's arguments.
func (c *checker) arguments(f *call) []typ {
	args := make([]typ, len(f.args))
	for i, a := range f.args {
		args[i] = c.expr(a)
	}
	return args
}

func countWords(d *filter) string {
	low, high := d.required(), len(d.params)
	word := "arguments"
	if high == 1 {
		word = "argument"
	}
	switch {
	case high == 0:
		return "no argument"
	case low == high:
		return fmt.Sprintf("%d %s", low, word)
	}
	return fmt.Sprintf("%d to %d %s", low, high, word)
}

func (c *checker) unknownFilter(f *call) {
	switch f.name {
	case "link":
		c.problem(f.at, "write {{ 'https://…' | link }}", "link must be the last filter behind an address written as text")
		return
	case "raw", "safe":
		c.problem(f.at, "values are always escaped; write the HTML in the template itself", "unknown filter %q", f.name)
		return
	case "json", "inspect", "type":
		c.problem(f.at, "", "unknown filter %q", f.name)
		return
	}
	c.problem(f.at, diag.DidYouMean(f.name, sortedKeys(c.filters)), "unknown filter %q", f.name)
}

// takes checks that a filter can work on a value of this type.
func (c *checker) takes(f *call, t typ, base expr, first bool) {
	want := f.def.in
	l, isLiteral := base.(*literal)
	if isLiteral && first && t.shape == textShape && !readableAs(want, l.v) {
		hint := ""
		if want == dateShape {
			hint = `the date of the run is {{ today }}; write others as "2026-11-22"`
		}
		c.problem(l.at, hint, "%s needs %s, and %q is none", f.name, want, l.v)
		return
	}
	rows := t.shape == listShape && t.rows()
	switch {
	case rows && (want == textShape || f.def.scalars && len(f.args) == 0 || f.def.scalars && !f.def.byColumn()):
		c.problem(f.at, `take a column first: | map: "column"`, "%s can't be used on a list of rows", f.name)
	case !fits(want, t):
		c.problem(f.at, "", "%s needs %s, and this is %s", f.name, want, t.shape)
	}
}

// readableAs says whether a literal text can be read as what a filter takes.
func readableAs(want shape, v any) bool {
	switch want {
	case dateShape:
		_, ok := toTime(v)
		return ok
	case numberShape:
		_, ok := toNumber(v)
		return ok
	}
	return true
}

func fits(want shape, t typ) bool {
	switch {
	case want == anyShape || t.shape < textShape || t.shape == want:
		return true
	case want == textShape:
		return !t.rows()
	case want == numberShape, want == dateShape:
		return t.shape == textShape
	}
	return false
}

// argument checks one argument.
func (c *checker) argument(f *call, i int, t typ, args []typ) {
	p := f.def.params[i]
	if p.column {
		args[i] = c.columnArgument(f, i, t)
		return
	}
	l, isLiteral := f.args[i].(*literal)
	switch {
	case isLiteral && l.v == nil:
		c.problem(l.at, "", "nil has no use here")
	case isLiteral && args[i].shape == textShape && !readableAs(p.shape, l.v), !fits(p.shape, args[i]):
		c.problem(f.args[i].place(), "write "+f.def.signature(), "%s needs %s here, and this is %s", f.name, p.shape, args[i].shape)
	case isLiteral && f.name == "date":
		if _, err := strftime(english, time.Time{}, printed(l.v)); err != nil {
			c.problem(l.at, `as in "%d %B %Y"`, "%s", err)
		}
	case isLiteral && (f.name == "divided_by" || f.name == "modulo"):
		if d, ok := toNumber(l.v); ok && d.IsZero() {
			c.problem(l.at, "", "%s", errZero)
		}
	case isLiteral && f.name == "money":
		if _, _, ok := english.currency(printed(l.v)); !ok {
			c.problem(l.at, `a code of ISO 4217, such as "USD"`, "%q is not a currency", printed(l.v))
		}
	}
}

// columnArgument resolves a column of the rows in a list, such as in map: "plate".
func (c *checker) columnArgument(f *call, i int, t typ) typ {
	elem := t.element()
	if t.shape != listShape || elem.shape == anyShape {
		return typ{}
	}
	l, ok := f.args[i].(*literal)
	name, isText := "", false
	if ok {
		name, isText = l.v.(string)
	}
	switch {
	case elem.entity == nil:
		c.problem(f.args[i].place(), "", "the elements of this list have no columns")
		return typ{}
	case !isText:
		c.problem(f.args[i].place(), "as in "+f.name+`: "`+elem.entity.Columns[0].Name+`"`, "the name of a column must be written as text here")
		return typ{}
	}
	col, found := elem.entity.Column(name)
	if !found {
		c.problem(l.at, diag.DidYouMean(name, columnNames(elem)), "%s has no column %q", strings.Join(elem.path, "."), name)
		return typ{}
	}
	c.read(elem.path, name)
	return columnType(col.Kind)
}

func columnNames(t typ) []string {
	var names []string
	for _, col := range t.entity.Columns {
		names = append(names, col.Name)
	}
	return names
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
