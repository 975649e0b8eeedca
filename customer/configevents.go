package customer

import (
	"maps"
	"regexp"
	"slices"

	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// EventConfig is an event that the company's programs tell Sapa of, in section "events" of sapa.yaml: what its data hold, so
// that rules and templates can be checked against it. docs/events.md is the reference.
type EventConfig struct {
	Description string     `yaml:"description"`
	Data        JSONFields `yaml:"data"` // the values within the event's data, as those of a JSON column
}

// EventType is a declared event.
type EventType struct {
	Name        string
	Description string
	Data        []JSONPath // sorted by their keys
}

// EventNameForm is how events are named.
const EventNameForm = `^[A-Za-z][A-Za-z0-9_.-]{0,59}$`

var eventName = regexp.MustCompile(EventNameForm)

// EventNameHint says how events are named.
const EventNameHint = "such as check_in: a letter, then letters, digits, and _ . - between them, 60 at most"

// ValidEventName says whether an event can have the name.
func ValidEventName(name string) bool { return eventName.MatchString(name) }

// eventColumns are those of every event; a value of its data that is called so is written event.data.name.
func eventColumns() []Column {
	return []Column{
		{Name: "id", Kind: Int, PGType: "bigint"},
		{Name: "name", Kind: Text, PGType: "text"},
		{Name: "at", Kind: Timestamptz, PGType: "timestamp with time zone"},
	}
}

// EventData is the column of an event that holds its data.
const EventData = "data"

// eventTypes are the declared events, by name.
func (cfg *Config) eventTypes() []EventType {
	var list []EventType
	for _, name := range slices.Sorted(maps.Keys(cfg.Events)) {
		t := EventType{Name: name}
		if c := cfg.Events[name]; c != nil {
			t.Description, t.Data = c.Description, c.Data
		}
		list = append(list, t)
	}
	return list
}

// events checks what the form of the section can't say.
func (c *checker) events(events map[string]*EventConfig) {
	for _, name := range slices.Sorted(maps.Keys(events)) {
		if !ValidEventName(name) {
			c.keyProblem(strictyaml.Key("$.events", name), EventNameHint, "%q can't be the name of an event", name)
		}
	}
}

// EventType finds a declared event.
func (s *Schema) EventType(name string) (EventType, bool) {
	for _, t := range s.Events {
		if t.Name == name {
			return t, true
		}
	}
	return EventType{}, false
}

// EventHint is a did-you-mean among the declared events; "" where none is declared.
func (s *Schema) EventHint(name string) string {
	var names []string
	for _, t := range s.Events {
		names = append(names, t.Name)
	}
	return diag.DidYouMean(name, names)
}

// EventEntity is an event as rules and templates see it: its id, its name, when it happened (at), its data, and what its data
// hold a second time, without "data.", where the name is free. Of an event that is not declared nothing is known of its data.
func (s *Schema) EventEntity(name string) *Entity {
	t, _ := s.EventType(name)
	data := Column{Name: EventData, Kind: JSON, PGType: "jsonb", JSON: &JSONShape{Declared: true, Paths: t.Data}}
	e := &Entity{Name: "event", Event: name, Columns: append(eventColumns(), data)}
	for _, p := range t.Data {
		if _, taken := e.Column(p.Keys[0]); taken {
			continue
		}
		short, _ := data.Value(p.Keys[:1])
		short.Name = p.Keys[0]
		e.Columns = append(e.Columns, short)
	}
	return e
}
