package templates

import (
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/customer"
)

// shape is what the checker knows of a value.
type shape int

const (
	anyShape shape = iota // anything: json, or a mixture
	nilShape              // the constant nil
	textShape
	numberShape
	boolShape
	dateShape
	listShape
	rowShape
)

func (s shape) String() string {
	return [...]string{"a value", "nil", "text", "a number", "true or false", "a date", "a list", "a row"}[s]
}

// typ is the type of an expression.
type typ struct {
	shape  shape
	elem   *typ             // of a list
	entity *customer.Entity // of a row of the company's
	rel    *customer.Relation
	path   []string       // how delivery names the row: {"customer", "dealer"}
	fields map[string]typ // of a row that is the engine's own
	word   string         // of such a row, for messages
}

// element is the type of a list's elements.
func (t typ) element() typ {
	if t.elem != nil {
		return *t.elem
	}
	if t.shape == textShape {
		return t
	}
	return typ{}
}

// rows says whether printing the value would print a row.
func (t typ) rows() bool {
	return t.shape == rowShape || t.shape == listShape && t.elem != nil && t.elem.rows()
}

// join is the type of a value that is one or the other.
func join(a, b typ) typ {
	switch {
	case a.shape == nilShape:
		return b
	case b.shape == nilShape, a.shape == b.shape && a.entity == b.entity && slices.Equal(a.path, b.path):
		return a
	}
	return typ{}
}

func columnType(k customer.Kind) typ {
	switch k {
	case customer.Bool:
		return typ{shape: boolShape}
	case customer.Int, customer.Numeric, customer.Float:
		return typ{shape: numberShape}
	case customer.Text, customer.UUID, customer.Enum:
		return typ{shape: textShape}
	case customer.Date, customer.Timestamp, customer.Timestamptz:
		return typ{shape: dateShape}
	case customer.TextArray:
		return typ{shape: listShape, elem: &typ{shape: textShape}}
	}
	return typ{}
}

// builtin is a variable that the engine provides.
type builtin struct {
	name string // campaign.name
	typ  typ
	link bool // may be a whole href
	doc  string
}

// builtins are the engine's own variables.
func builtins() []builtin {
	text, date := typ{shape: textShape}, typ{shape: dateShape}
	return []builtin{
		{"today", date, false, "The civil date of the run: the same for everybody, also for a message that goes out a day later."},
		{"run.date", date, false, "Another word for today."},
		{"campaign.name", text, false, "The campaign's name, as in its file."},
		{"campaign.topic", text, false, "The campaign's topic, as in its file."},
		{"unsubscribe_url", text, true, "The address of the customer's own page to unsubscribe from the campaign's topic. It may be a whole `href`."},
		{"preferences_url", text, true, "The address of the customer's own page of preferences: topics, channels, a pause. It may be a whole `href`."},
		{"confirm_url", text, true, "Only in campaigns with `confirms:`, which need it: the address where the customer confirms that they want the topic. It may be a whole `href`."},
		{"locale", text, false, "The customer's locale, such as `id-ID`."},
	}
}

// globals are the types of all variables of a scope.
func (s Scope) globals() map[string]typ {
	all := map[string]typ{}
	for _, b := range builtins() {
		if b.name == "confirm_url" && !s.Confirms {
			continue
		}
		name, field, dotted := strings.Cut(b.name, ".")
		if !dotted {
			all[name] = b.typ
			continue
		}
		if all[name].fields == nil {
			all[name] = typ{shape: rowShape, fields: map[string]typ{}, word: name}
		}
		all[name].fields[field] = b.typ
	}
	if s.Schema != nil {
		all["customer"] = typ{shape: rowShape, entity: s.Schema.Customer, path: []string{"customer"}, word: "customer"}
	}
	if s.Event != nil {
		all["event"] = eventType(s.Event)
	}
	if s.Each != nil && s.Merged {
		row := typ{shape: rowShape, entity: s.Each.Target, rel: s.Each, path: []string{s.Each.Name}, word: s.Each.Name}
		all[s.Each.Name] = typ{shape: listShape, elem: &row}
	} else if s.Each != nil {
		all[s.EachName] = typ{shape: rowShape, entity: s.Each.Target, path: []string{s.EachName}, word: s.EachName}
	}
	return all
}
