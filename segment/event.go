package segment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/pg"
)

// eventName is what rules call the event that triggers their campaign.
const eventName = "event"

// WithEvent is the scope of a campaign that an event triggers: event is what happened, the same for all rows that are asked,
// and so a constant like today(). The entity is customer.Schema's EventEntity; with nil the scope stays as it is.
func (s *Scope) WithEvent(e *customer.Entity) *Scope {
	if e == nil {
		return s
	}
	c := s.With(eventName, e)
	c.event = e
	return c
}

// Event is one event in the values that rules and templates take. Clock has it while a rule is asked. It is immutable.
type Event struct {
	ID     int64
	entity *customer.Entity
	values map[string]any // by the column's name, or customer.ValueName of what is within the data; nil: missing
}

// eventKey is what the value of an event's column is called in Event.
func eventKey(c customer.Column) string {
	if c.Within != nil {
		return customer.ValueName(c.Within.Column, c.Within.Keys)
	}
	return c.Name
}

// eventFields are the columns of an event whose values are kept: each once, the objects within the data included.
func eventFields(e *customer.Entity) []customer.Column {
	fields := map[string]customer.Column{}
	for _, c := range e.Columns {
		fields[eventKey(c)] = c
		if c.JSON == nil || c.Within != nil {
			continue
		}
		for _, p := range c.JSON.Paths {
			for n := range p.Keys {
				inner, _ := c.Value(p.Keys[:n+1])
				fields[eventKey(inner)] = inner
			}
		}
	}
	var list []customer.Column
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		list = append(list, fields[key])
	}
	return list
}

// ReadEvents reads events of one name from table events, by id. What is within the data is read by the statement that reads
// JSON columns of the company's, so that it means the same. zone is the company's. Ids that are not there are missing
// from the result.
func ReadEvents(ctx context.Context, db pg.DBTX, e *customer.Entity, zone string, ids ...int64) (map[int64]*Event, error) {
	fields := eventFields(e)
	var list []string
	for _, c := range fields {
		switch {
		case c.Within == nil && c.Name == "at":
			list = append(list, "t.happened_at")
		default:
			list = append(list, loadSQL("t", c, cmp.Or(zone, "UTC")))
		}
	}
	rows, err := db.Query(ctx, "select t.id, "+strings.Join(list, ", ")+" from events t where t.id = any($1)", ids)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	defer rows.Close()
	found := map[int64]*Event{}
	for rows.Next() {
		row, err := rows.Values()
		if err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		event := &Event{entity: e, values: map[string]any{}}
		event.ID, _ = row[0].(int64)
		for i, c := range fields {
			if event.values[eventKey(c)], err = goValue(row[i+1], c.Kind); err != nil {
				return nil, fmt.Errorf("read event %d: %w", event.ID, err)
			}
		}
		found[event.ID] = event
	}
	return found, rows.Err()
}

// ExampleEvent is an event as it might come at a moment, with a value for all that is declared: for previews, and for asking
// how a rule translates.
func ExampleEvent(e *customer.Entity, at time.Time) *Event {
	event := &Event{entity: e, values: map[string]any{}}
	for _, c := range eventFields(e) {
		event.values[eventKey(c)] = exampleValue(c, at)
	}
	event.values["id"], event.values["name"], event.values["at"] = int64(0), e.Event, at.UTC()
	return event
}

func exampleValue(c customer.Column, at time.Time) any {
	word := c.Name
	if c.Within != nil {
		word = c.Within.Keys[len(c.Within.Keys)-1]
	}
	switch c.Kind {
	case customer.Text:
		return word
	case customer.Numeric:
		return decimal.NewFromInt(1)
	case customer.Int:
		return int64(1)
	case customer.Date:
		return toDate(at)
	case customer.Timestamptz:
		return at.UTC()
	case customer.TextArray:
		return []string{word}
	}
	return true
}

// AsOf is the event as if it came at another moment and had not come yet: with the same data, and the id 0.
func (e *Event) AsOf(at time.Time) *Event {
	c := &Event{entity: e.entity, values: maps.Clone(e.values)}
	c.values["id"], c.values["at"] = int64(0), at.UTC()
	return c
}

// Has says whether there is a value of the declared type within the data.
func (e *Event) Has(keys []string) bool {
	return e.values[customer.ValueName(customer.EventData, keys)] != nil
}

// At is when it happened.
func (e *Event) At() time.Time {
	at, _ := e.values["at"].(time.Time)
	return at
}

// Vars is the event as templates print it: what EventEntity says, in the values that the company's rows have, too.
func (e *Event) Vars() map[string]any {
	vars := map[string]any{}
	for _, c := range e.entity.Columns {
		switch {
		case c.Name == customer.EventData:
			vars[c.Name] = e.object(c, nil)
		case c.Within != nil && c.Kind == customer.JSON:
			vars[c.Name] = e.object(c, c.Within.Keys)
		default:
			vars[c.Name] = printed(e.values[eventKey(c)])
		}
	}
	return vars
}

// object is what is declared within the data below some keys.
func (e *Event) object(c customer.Column, keys []string) map[string]any {
	out := map[string]any{}
	data, _ := e.entity.Column(customer.EventData)
	for _, name := range data.JSON.Names(keys) {
		inner, _ := data.Value(append(slices.Clone(keys), name))
		if inner.Kind == customer.JSON {
			out[name] = e.object(c, inner.Within.Keys)
			continue
		}
		out[name] = printed(e.values[eventKey(inner)])
	}
	return out
}

func printed(v any) any {
	texts, ok := v.([]string)
	if !ok {
		return v
	}
	list := make([]any, len(texts))
	for i, t := range texts {
		list[i] = t
	}
	return list
}

// errNoEvent is a mistake of the caller.
var errNoEvent = errors.New("the rule asks about an event, and the clock has none")

// eventValue is the constant that a column of the event is while one event is asked about; false for other nodes.
func (l lowering) eventValue(n node) (node, bool) {
	c, ok := n.(*column)
	if !ok || l.rule.scope.event == nil || c.path.from.entity != l.rule.scope.event {
		return nil, false
	}
	if l.clock.Event == nil {
		if *l.err == nil {
			*l.err = errNoEvent
		}
		return &constant{base{t: c.t, loc: c.loc, null: true}, nil, ""}, true
	}
	v := l.clock.Event.values[eventKey(c.col)]
	return &constant{base{t: c.t, loc: c.loc, null: v == nil}, v, ""}, true
}

// isEvent says whether the variable is the event, whose values are constants.
func (s *Scope) isEvent(e *customer.Entity) bool { return s.event != nil && s.event == e }

// eventColumn is the problem of a name that an event does not have.
func (c *checker) eventColumn(e *customer.Entity, at span, name string) node {
	hint := "declare it in sapa.yaml: " + eventDeclaration(e, []string{name}, "text")
	if near := diag.DidYouMean(name, e.Names()); strings.HasPrefix(near, "did you mean") {
		hint = near + " or " + hint
	}
	return c.problem(at, hint, "unknown value %q of the event %s: sapa.yaml does not declare it", name, e.Event)
}

func eventDeclaration(e *customer.Entity, keys []string, word string) string {
	return fmt.Sprintf("events: {%s: {data: {%s: %s}}}", e.Event, customer.WrittenPath(keys), word)
}
