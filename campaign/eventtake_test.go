package campaign_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sapa-crm/sapa/campaign"
)

func TestEventKey(t *testing.T) {
	t.Parallel()
	s := club(t)
	e := checkIn("1", `{"gate": "north", "amount": 10}`)
	e.Key = "visit-1"
	first := s.event(e)
	e.Data = json.RawMessage(`{ "amount":10,"gate":"north" }`)
	again := s.event(e)
	if !again.Repeated || first.Repeated {
		t.Error("the second is the repetition")
	}
	again.Repeated = false
	if diff := cmp.Diff(first, again, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	e.Data = json.RawMessage(`{"gate": "south"}`)
	_, err := s.planner.Receive(t.Context(), e)
	if refused, ok := errors.AsType[*campaign.EventError](err); !ok || refused.Code != campaign.EventKeyReused ||
		err.Error() != "event 1 came with the same key, and was another: name, customer, at and data must be the same; give each event a key of its own" {
		t.Error(err)
	}
	if n := s.number(`select count(*) from events`) + s.number(`select count(*) from triggers`); n != 2 {
		t.Errorf("%d rows", n)
	}
}

func TestEventRefused(t *testing.T) {
	t.Parallel()
	s := club(t)
	s.exec(`insert into erasures (customer_key, key_hash, at, actor, row_present) values ('2', 'x', $1, 'ani', true)`, monday)
	for name, tt := range map[string]struct {
		event campaign.Event
		want  string
	}{
		"name":        {campaign.Event{Name: "check in", Customer: "1"}, `"check in" can't be the name of an event; such as check_in: a letter, then letters, digits, and _ . - between them, 60 at most`},
		"nobody":      {campaign.Event{Name: "check_in"}, "the event has no customer; give the customer's key"},
		"unknown":     {checkIn("99", ""), `there is no customer "99" in shop.customers; send the event when the row is committed there`},
		"no key":      {checkIn("x", ""), `there is no customer "x" in shop.customers; send the event when the row is committed there`},
		"erased":      {checkIn("2", ""), "customer 2 was erased on 2026-11-23; nothing is kept of them"},
		"list":        {checkIn("1", "[1]"), `the data are not a JSON object: json: cannot unmarshal array into Go value of type map[string]interface {}; such as {"gate": "north", "amount": 75000}`},
		"cut":         {checkIn("1", `{"a": `), `the data are not a JSON object: unexpected EOF; such as {"gate": "north", "amount": 75000}`},
		"two":         {checkIn("1", `{} {}`), "something follows the JSON object of the data; send one object"},
		"brace":       {checkIn("1", `{"gate": "north"}}`), "something follows the JSON object of the data; send one object"},
		"key's NUL":   {checkIn("1\x00", ""), `no customer can have the key "1\x00"; give the customer's key as your table has it`},
		"key's bytes": {checkIn("1\xff", ""), `no customer can have the key "1\xff"; give the customer's key as your table has it`},
		"year": {
			campaign.Event{Name: "check_in", Customer: "1", At: time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -5*3600))},
			"the event can't have been in the year 10000; such as 2026-11-22T15:04:05+07:00",
		},
		"NUL":      {checkIn("1", `{"gate": "\u0000"}`), "the data can't be stored: unsupported Unicode escape sequence"},
		"large":    {checkIn("1", `{"a": "`+strings.Repeat("x", campaign.MaxEventData)+`"}`), "the data have 16,393 bytes, and at most 16,384 are taken; send what campaigns need, and leave the rest where it is"},
		"long key": {campaign.Event{Name: "check_in", Customer: "1", Key: "ä"}, "a key has at most 200 characters, of those that ASCII prints; such as a UUID, or order-4711-paid"},
	} {
		_, err := s.planner.Receive(t.Context(), tt.event)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v\nwant: %s", name, err, tt.want)
		}
	}
	if n := s.number(`select count(*) from events`); n != 0 {
		t.Errorf("%d were kept", n)
	}
}

func TestEventWarnings(t *testing.T) {
	t.Parallel()
	s := club(t)
	for _, tt := range []struct {
		event campaign.Event
		want  []string
	}{
		{checkIn("1", `{"gate": "north", "amount": null}`), nil},
		{checkIn("1", `{"gate": 7, "amount": "many", "address": {"city": 1}, "gat": 1, "zone": 2, "\u001b[2J": 3}`), []string{
			"data.address.city is no text, which sapa.yaml says it is, and so it is missing",
			"data.amount is no number, which sapa.yaml says it is, and so it is missing",
			"data.gate is no text, which sapa.yaml says it is, and so it is missing",
			`data."\x1b[2J" is not declared in sapa.yaml, and so no rule can ask about it`,
			"data.gat is not declared in sapa.yaml, and so no rule can ask about it",
			"data.zone is not declared in sapa.yaml, and so no rule can ask about it",
		}},
		{campaign.Event{Name: "chek_in", Customer: "1"}, []string{`no campaign is triggered by chek_in, and sapa.yaml does not declare it; did you mean "check_in"?`}},
	} {
		if diff := cmp.Diff(tt.want, s.event(tt.event).Warnings); diff != "" {
			t.Error(diff)
		}
	}
}

// A sender who declares nothing is not told, and has not kept, thousands of warnings.
func TestEventWarningsAreFew(t *testing.T) {
	t.Parallel()
	s := club(t)
	data, want := map[string]int{}, []string{}
	for i := range 25 {
		name := fmt.Sprintf("x%02d", i)
		if data[name] = i; i < 20 {
			want = append(want, "data."+name+" is not declared in sapa.yaml, and so no rule can ask about it")
		}
	}
	text, err := json.Marshal(data)
	s.must(err)
	if diff := cmp.Diff(append(want, "and 5 more warnings"), s.event(checkIn("1", string(text))).Warnings); diff != "" {
		t.Error(diff)
	}
}

// An event that waited comes to nothing where its campaign is in quarantine, listens to another event, or is gone, and where
// its customer was erased; each says so, and nothing is planned.
func TestEventComesToNothing(t *testing.T) {
	t.Parallel()
	s := club(t)
	for _, tt := range []struct{ change, back, want string }{
		{`insert into quarantines (campaign_id, version_id, run_id, reason) select 1, max(id), 1, 'test' from versions`, `delete from quarantines`, "quarantine"},
		{`insert into erasures (customer_key, key_hash, at, actor, row_present) values ('1', 'x', now(), 'ani', true)`, `delete from erasures`, "erased"},
		{`update events set name = 'paid'`, `update events set name = 'check_in'`, "removed"},
		{`delete from schedules`, `insert into schedules (campaign_id) values (1)`, "removed"},
	} {
		id := s.event(checkIn("1", `{"gate": "north"}`)).ID
		s.exec(tt.change)
		s.must(s.planner.HandleEvent(t.Context(), id, 1))
		if got := s.settledNow(id); got.Outcome != tt.want || got.Run != 0 {
			t.Errorf("%s: %+v, want %s", tt.change, got, tt.want)
		}
		s.exec(tt.back)
	}
	if n := s.number(`select count(*) from messages`); n != 0 {
		t.Errorf("%d messages", n)
	}
	id := s.event(checkIn("1", `{"gate": "north"}`)).ID
	s.must(s.planner.HandleEvent(t.Context(), id, 1))
	if got := s.settledNow(id); got.Outcome != "planned" {
		t.Errorf("with nothing in its way: %+v", got)
	}
}
