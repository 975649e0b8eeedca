package templates

import (
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
)

// eventType is what is known of the event that triggers a campaign.
func eventType(e *customer.Entity) typ {
	t := typ{shape: rowShape, fields: map[string]typ{}, word: "event"}
	for _, c := range e.Columns {
		switch {
		case c.Kind != customer.JSON:
			t.fields[c.Name] = columnType(c.Kind)
		case c.Within == nil:
			t.fields[c.Name] = dataType(c, nil, "event."+c.Name)
		default:
			t.fields[c.Name] = dataType(c, c.Within.Keys, "event."+c.Name)
		}
	}
	return t
}

// dataType is what is declared within an event's data below some keys.
func dataType(c customer.Column, keys []string, word string) typ {
	t := typ{shape: rowShape, fields: map[string]typ{}, word: word}
	for _, name := range c.JSON.Names(keys) {
		inner := append(slices.Clone(keys), name)
		p, _ := c.JSON.Find(inner)
		if p.Kind == customer.JSON {
			t.fields[name] = dataType(c, inner, word+"."+name)
			continue
		}
		t.fields[name] = columnType(p.Kind)
	}
	return t
}

// fieldHint is for a name that a row of the engine's own does not have.
func (t typ) fieldHint(name string) string {
	hint := diag.DidYouMean(name, sortedKeys(t.fields))
	if t.word != "event" && !strings.HasPrefix(t.word, "event.") {
		return hint
	}
	const declare = "declare it in sapa.yaml, below  events:"
	if strings.HasPrefix(hint, "did you mean") {
		return hint + " or " + declare
	}
	return declare
}
