package web

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/ledgertest"
)

const eventsConfig = `
customers: {table: club.members, key: id, timezone: {default: Asia/Jakarta}}
events: {check_in: {data: {gate: text}}}
`

// newGate is a private listener of a club with one member, whose campaign oil-change is triggered by check_in.
func newGate(t *testing.T) *inside {
	t.Helper()
	return newInside(t, func(deps *PrivateDeps) {
		pool := deps.Runs.Pool
		ledgertest.Exec(t, pool, `create schema club`)
		ledgertest.Exec(t, pool, `create table club.members (id bigint primary key)`)
		ledgertest.Exec(t, pool, `insert into club.members values (4711)`)
		ledgertest.Exec(t, pool, `update versions set event = 'check_in'`)
		ledgertest.Exec(t, pool, `update campaigns set version_id = (select max(id) from versions)`)
		ledgertest.Exec(t, pool, `insert into schedules (campaign_id) select id from campaigns on conflict do nothing`)
		cfg, problems := customer.LoadConfig("sapa.yaml", eventsConfig, func(string) string { return "" })
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		schema, problems, err := customer.Resolve(t.Context(), pool, cfg)
		if err != nil || len(problems) > 0 {
			t.Fatal(err, problems)
		}
		deps.Runs.Schema = schema
	})
}

const received = `{
  "id": 1,
  "event": "check_in",
  "customer": "4711",
  "at": "AT",
  "received_at": "RECEIVED",
  "campaigns": [
    "oil-change"
  ]
}
`

func TestAPIEvents(t *testing.T) {
	t.Parallel()
	s := newGate(t)
	token := s.tokens[access.Agent]
	post := func(body string, headers ...string) answer {
		t.Helper()
		return s.do("POST", s.base+"/v1/events", body, append([]string{"Authorization", "Bearer " + token, "Content-Type", "application/json"}, headers...)...)
	}
	body := `{"event": "check_in", "customer": 4711, "at": "2026-11-22T18:30:00+07:00", "data": {"gate": "north"}}`
	first := post(body, "Idempotency-Key", `"visit-1"`)
	if first.StatusCode != 202 {
		t.Fatal(first.Status, first.body)
	}
	at, _, _ := strings.Cut(first.body[strings.Index(first.body, `"at": "`)+7:], `"`)
	came, _, _ := strings.Cut(first.body[strings.Index(first.body, `"received_at": "`)+16:], `"`)
	if diff := cmp.Diff(strings.NewReplacer("AT", at, "RECEIVED", came).Replace(received), first.body); diff != "" {
		t.Error(diff)
	}
	again := post(`{"key": "visit-1", "customer": "4711", "event": "check_in", "data": {"gate":"north"}, "at": "2026-11-22T11:30:00Z"}`)
	if again.StatusCode != 202 || again.body != first.body {
		t.Errorf("the same again: %s %s", again.Status, again.body)
	}
	if n := s.count(`select count(*) from events where actor = 'agent'`); n != 1 {
		t.Errorf("%d events", n)
	}
	if n := s.count(`select count(*) from river_job where kind = 'event' and queue = 'events'`); n != 1 {
		t.Errorf("%d jobs", n)
	}
	for name, tt := range map[string]struct {
		body string
		want problem
	}{
		"another body": {strings.Replace(body, "north", "south", 1), problem{
			"Conflict", 409, "key_reused",
			"event 1 came with the same key, and was another: name, customer, at and data must be the same", "give each event a key of its own",
		}},
		"unknown customer": {`{"event": "check_in", "customer": "12"}`, problem{
			"Unprocessable Entity", 422, "unknown_customer",
			`there is no customer "12" in club.members`, "send the event when the row is committed there",
		}},
		"no name": {`{"customer": "4711"}`, problem{
			"Unprocessable Entity", 422, "invalid_event",
			`"" can't be the name of an event`, "such as check_in: a letter, then letters, digits, and _ . - between them, 60 at most",
		}},
		"data": {`{"event": "check_in", "customer": "4711", "data": [1]}`, problem{
			"Unprocessable Entity", 422, "invalid_event",
			"the data are not a JSON object: json: cannot unmarshal array into Go value of type map[string]interface {}", `such as {"gate": "north", "amount": 75000}`,
		}},
		"cut":  {`{"event": `, problem{"Bad Request", 400, "invalid_json", "the body is not a JSON object: unexpected end of JSON input", "send one object, such as {}; docs/access.md says what it holds"}},
		"at":   {`{"event": "check_in", "customer": "4711", "at": "now"}`, problem{"Unprocessable Entity", 422, "invalid_parameter", "at: write a time by RFC 3339, such as 2026-11-22T15:04:05+07:00", "correct at; docs/access.md says what it takes"}},
		"keys": {`{"event": "check_in", "customer": "4711", "key": "b"}`, problem{"Unprocessable Entity", 422, "invalid_parameter", "key: it is not that of the header Idempotency-Key; send one of them", "correct key; docs/access.md says what it takes"}},
	} {
		if diff := cmp.Diff(tt.want, problemOf(t, post(tt.body, "Idempotency-Key", "visit-1"))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if a := post(`{"event": "check_in", "customer": "4711", "data": {"gate": "` + strings.Repeat("x", maxBody) + `"}}`); a.StatusCode != 413 {
		t.Errorf("a large body: %s", a.Status)
	}
	if a := s.api("POST", "/v1/events", s.tokens[access.Analyst], body); a.StatusCode != 403 {
		t.Errorf("an analyst: %s", a.Status)
	}
	if a := post(`{"event": "chek_in", "customer": "4711"}`); a.StatusCode != 202 ||
		!strings.Contains(a.body, `"no campaign is triggered by chek_in, and sapa.yaml does not declare it; did you mean \"check_in\"?"`) {
		t.Errorf("%s %s", a.Status, a.body)
	}
}

func (s *inside) count(sql string) (n int) {
	s.t.Helper()
	s.must(s.pool.QueryRow(s.t.Context(), sql).Scan(&n))
	return n
}
