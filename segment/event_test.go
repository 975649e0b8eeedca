package segment_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/pgtest"
	"github.com/sapa-crm/sapa/segment"
)

const guestTables = `
create schema club;
create table club.guests (id bigint primary key, name text, tags text[], spent numeric, joined date);
insert into club.guests values (1, 'Ani', '{vip}', 10, '2026-11-20'), (2, 'Budi', '{}', 7.5, '2026-11-23'), (3, null, null, null, null)`

const guestYAML = `
customers: {table: club.guests, key: id, timezone: {default: Asia/Jakarta}}
events:
  check_in: {data: {gate: text, amount: number, on: date, seen: time, ok: boolean, tags: texts, name: text, address.city: text}}
`

// TestEventRules asks SQL and Go the same about each guest, for an event with all that is declared, and for one with nothing.
func TestEventRules(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	if _, err := pool.Exec(t.Context(), guestTables); err != nil {
		t.Fatal(err)
	}
	cfg, problems := customer.LoadConfig("sapa.yaml", guestYAML, func(string) string { return "" })
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	schema, problems, err := customer.Resolve(t.Context(), pool, cfg)
	if err != nil || problems.Err() != nil {
		t.Fatal(err, problems)
	}
	entity := schema.EventEntity("check_in")
	zone, err := time.LoadLocation("Asia/Jakarta")
	if err != nil {
		t.Fatal(err)
	}
	_, err = pool.Exec(t.Context(), `insert into events (name, customer_key, happened_at, actor, at, data) values
		('check_in', '1', '2026-11-23 02:00Z', 'gate', '2026-11-23 02:00Z', '{"gate": "Ani", "amount": 7.50, "on": "2026-11-23", "seen": "2026-11-23T09:00:00", "ok": true, "tags": ["vip", "x"], "name": "a name", "address": {"city": "Solo"}}'),
		('check_in', '1', '2026-11-23 02:00Z', 'gate', '2026-11-23 02:00Z', '{"gate": 7, "amount": "7.5", "on": "soon", "ok": "yes", "tags": "vip", "address": "Solo"}')`)
	if err != nil {
		t.Fatal(err)
	}
	events, err := segment.ReadEvents(t.Context(), pool, entity, schema.Zone, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	scope := segment.NewScope(schema).WithEvent(entity)
	for _, tt := range []struct {
		rule          string
		first, second string // the guests who are meant
	}{
		{`customer.name == event.gate`, "1", "3"},
		{`customer.name != event.data.gate`, "23", "12"},
		{`event.gate startsWith "A"`, "123", ""},
		{`customer.spent > event.amount`, "1", ""},
		{`customer.spent == event.amount`, "2", "3"},
		{`customer.joined <= event.on - days(1)`, "1", ""},
		{`customer.joined == date(event.seen)`, "2", "3"},
		{`event.at < now() && event.at >= ago(hours(2))`, "123", "123"},
		{`event.ok`, "123", ""},
		{`not event.ok`, "", "123"},
		{`"vip" in event.tags`, "123", ""},
		{`customer.name in ["Budi", event.gate]`, "12", "2"},
		{`any(event.tags, # in customer.tags)`, "1", ""},
		{`event.name == "check_in" && event.data.name == "a name"`, "123", ""},
		{`event.address.city == "Solo" || event.data.address == nil`, "123", "123"},
		{`event.id == 1`, "123", ""},
		{`event.amount * 2 == 15 && upper(event.gate) == "ANI"`, "123", ""},
	} {
		rule, problems := segment.ParseRule(segment.Text(tt.rule), scope)
		if rule == nil {
			t.Errorf("%s: %v", tt.rule, problems.Err())
			continue
		}
		for id, want := range map[int64]string{1: tt.first, 2: tt.second} {
			clock := segment.Clock{Today: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), Now: time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC), Zone: zone, Event: events[id]}
			q, err := segment.Audience(scope, nil, rule, &segment.Args{}, clock)
			if err != nil {
				t.Fatalf("%s: %v", tt.rule, err)
			}
			if bySQL := meantBy(t, pool, q); bySQL != want {
				t.Errorf("%s, event %d: SQL means %q, want %q\n%s", tt.rule, id, bySQL, want, q.Where)
			}
			keys, err := segment.Still(t.Context(), pool, scope, []string{"1", "2", "3"}, clock, rule)
			if err != nil {
				t.Fatalf("%s: %v", tt.rule, err)
			}
			if byGo := joined(keys); byGo != want {
				t.Errorf("%s, event %d: Go means %q, want %q", tt.rule, id, byGo, want)
			}
		}
	}
}

func meantBy(t *testing.T, pool segment.DB, q *segment.Query) string {
	t.Helper()
	var all []segment.Key
	if err := q.Keys(t.Context(), pool, func(keys []segment.Key) error { all = append(all, keys...); return nil }); err != nil {
		t.Fatal(err)
	}
	return joined(all)
}

func joined(keys []segment.Key) string {
	var list []string
	for _, k := range keys {
		list = append(list, k.Customer)
	}
	slices.Sort(list)
	return strings.Join(list, "")
}

func TestEventMessages(t *testing.T) {
	t.Parallel()
	schema := &customer.Schema{
		Customer: &customer.Entity{Name: "customer", Table: customer.TableName{Schema: "club", Name: "guests"}, Columns: []customer.Column{{Name: "spent", Kind: customer.Numeric, PGType: "numeric"}}},
		Events:   []customer.EventType{{Name: "check_in", Data: []customer.JSONPath{{Keys: []string{"gate"}, Kind: customer.Text}}}},
	}
	triggered := segment.NewScope(schema).WithEvent(schema.EventEntity("check_in"))
	for rule, want := range map[string]string{
		`event.gatee == "x"`:                         `unknown value "gatee" of the event check_in: sapa.yaml does not declare it; did you mean "gate"? or declare it in sapa.yaml: events: {check_in: {data: {gatee: text}}}`,
		`event.weather == "x"`:                       `unknown value "weather" of the event check_in: sapa.yaml does not declare it; declare it in sapa.yaml: events: {check_in: {data: {weather: text}}}`,
		`event.data.weather == "x"`:                  `unknown value "weather" in event.data: sapa.yaml does not declare it; known here: gate; or declare it in sapa.yaml: events: {check_in: {data: {weather: text}}}`,
		`event.gate > 3`:                             `event.gate is text and 3 is a whole number: they can't be compared by >; write "3" in quotes`,
		`percentile(customer.spent + event.id) > 90`: `percentile places a customer among all customers, but event.id is about another row; use columns and relations of the customer`,
	} {
		_, problems := segment.ParseRule(segment.Text(rule), triggered)
		if got := words(problems); got != want {
			t.Errorf("%s\ngot:  %s\nwant: %s", rule, got, want)
		}
	}
	_, problems := segment.ParseRule(segment.Text(`event.gate == "x"`), segment.NewScope(schema))
	if diff := cmp.Diff(`unknown name "event"; only a campaign with  trigger:  is about an event, and its rules alone`, words(problems)); diff != "" {
		t.Error(diff)
	}
}

// words are the messages of problems with their hints.
func words(problems diag.List) string {
	var list []string
	for _, p := range problems {
		list = append(list, strings.TrimSuffix(p.Message+"; "+p.Hint, "; "))
	}
	return strings.Join(list, "\n")
}
