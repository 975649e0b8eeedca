package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/report"
)

func TestAPIReads(t *testing.T) {
	t.Parallel()
	s := newInside(t, nil)
	token := s.tokens[access.Analyst]
	read := func(path string, into any) {
		t.Helper()
		a := s.api("GET", path, token, "")
		if a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("GET %s: %s %s\n%s", path, a.Status, a.Header.Get("Content-Type"), a.body)
		}
		if err := json.Unmarshal([]byte(a.body), into); err != nil {
			t.Errorf("GET %s: %v", path, err)
		}
	}
	type run struct {
		Run                            int
		Campaign, State                string
		Audience, Sent, Failed, Opened int
		AddsUp                         bool `json:"adds_up"`
	}
	want := run{1, "oil-change", "sending", 10, 3, 1, 0, true}
	var list struct{ Runs []run }
	for _, path := range []string{"/v1/runs", "/v1/runs?campaign=oil-change&open=true&limit=1&since=30d", "/v1/runs?open=false"} {
		read(path, &list)
		if diff := cmp.Diff([]run{want}, list.Runs); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	s.run.Campaign.Run(t, "again", 2)
	read("/v1/runs?limit=1", &list)
	if len(list.Runs) != 1 || list.Runs[0].Run != 2 {
		t.Errorf("the newest is %+v", list.Runs)
	}
	var one run
	read("/v1/runs/1", &one)
	if diff := cmp.Diff(want, one); diff != "" {
		t.Errorf("run 1 (-want +got):\n%s", diff)
	}
	var rep struct {
		Campaigns []struct {
			Campaign string
			Runs     []run
		}
	}
	read("/v1/report?campaign=oil-change&run=1", &rep)
	if len(rep.Campaigns) != 1 || cmp.Diff([]run{want}, rep.Campaigns[0].Runs) != "" {
		t.Errorf("the report is %+v", rep)
	}
}

func TestAPIChangesRuns(t *testing.T) {
	t.Parallel()
	s := newInside(t, nil)
	token := s.tokens[access.Marketer]
	ledgertest.Exec(t, s.pool, `insert into batches (run_id, lo, hi, due_at, channel) values ($1, $2, $3, '2027-01-01', 'email')`, s.run.ID, s.run.Base+5, s.run.Base+10)
	step := func(action, body, state string) {
		t.Helper()
		a := s.api("POST", "/v1/runs/1/"+action, token, body)
		var run struct {
			Run          int
			State        string
			Reason       *string
			PlannedAgain *int `json:"planned_again"`
		}
		if err := json.Unmarshal([]byte(a.body), &run); err != nil || a.StatusCode != 200 || run.Run != 1 || run.State != state || (run.PlannedAgain != nil) != (action == "retry") {
			t.Errorf("%s: %s %v\n%s", action, a.Status, err, a.body)
		}
	}
	step("pause", "", "paused")
	step("resume", "{}", "sending")
	step("retry", "", "sending")
	step("cancel", "", "cancelled")
	want := []string{"marketer pause run 1", "marketer resume run 1", "marketer cancel run 1"}
	if diff := cmp.Diff(want, s.audited()); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
	a := s.api("POST", "/v1/runs/1/resume", token, "")
	if diff := cmp.Diff(problem{"Conflict", 409, "wrong_state", "can't resume run 1: it is cancelled", "look at the run's state: GET /v1/runs/{run}"}, problemOf(t, a)); diff != "" {
		t.Errorf("resuming what is cancelled (-want +got):\n%s", diff)
	}
}

func TestAPILog(t *testing.T) {
	t.Parallel()
	s := newInside(t, nil)
	for i := range 5 {
		s.must(access.Record(t.Context(), s.pool, access.Entry{Actor: "ani", Action: "pause", Subject: fmt.Sprintf("run %d", i)}))
	}
	var subjects []string
	path := "/v1/log?actor=ani&limit=2"
	for next := path; next != ""; {
		var page struct {
			Entries []access.Logged
			Next    *int64
		}
		a := s.api("GET", next, s.tokens[access.Operator], "")
		s.must(json.Unmarshal([]byte(a.body), &page))
		for _, e := range page.Entries {
			subjects = append(subjects, e.Subject)
		}
		next = ""
		if page.Next != nil {
			next = fmt.Sprintf("%s&before=%d", path, *page.Next)
		}
	}
	if diff := cmp.Diff([]string{"run 4", "run 3", "run 2", "run 1", "run 0"}, subjects); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAPIProblems(t *testing.T) {
	t.Parallel()
	s := newInside(t, nil)
	token := s.tokens[access.Operator]
	for _, tt := range []struct {
		method, path, body string
		want               problem
	}{
		{"GET", "/v1/runs/77", "", problem{"", 404, "not_found", "there is no run 77", "see: GET /v1/runs"}},
		{"GET", "/v1/runs/x", "", problem{"", 404, "not_found", `run "x": not found`, ""}},
		{"GET", "/v1/runs?campaign=oilchange", "", problem{"", 404, "not_found", `there is no campaign "oilchange"`, `did you mean "oil-change"?`}},
		{"POST", "/v1/runs/77/pause", "", problem{"", 404, "not_found", "run 77: not found", "see: GET /v1/runs"}},
		{"POST", "/v1/runs/x/pause", "", problem{"", 404, "not_found", `run "x": not found`, "see: GET /v1/runs"}},
		{"GET", "/v1/nothing", "", problem{"", 404, "not_found", "there is no /v1/nothing", "docs/access.md lists the API"}},
		{"POST", "/v1/runs/1/fly", "", problem{"", 404, "not_found", "there is no /v1/runs/1/fly", "docs/access.md lists the API"}},
		{"POST", "/v1/report", "", problem{"", 405, "method_not_allowed", "/v1/report does not answer POST", "use GET"}},
		{"DELETE", "/v1/runs/1/pause", "", problem{"", 405, "method_not_allowed", "/v1/runs/1/pause does not answer DELETE", "use POST"}},
		{"GET", "/v1/runs?cmpaign=x", "", problem{"", 422, "unknown_field", `no parameter "cmpaign"`, `did you mean "campaign"?`}},
		{"GET", "/v1/runs?run=3", "", problem{"", 422, "unknown_field", `no parameter "run"`, "known here: campaign, limit, open, since"}},
		{"GET", "/v1/runs/1?open=true", "", problem{"", 422, "unknown_field", `no parameter "open"`, "leave it out; there are none"}},
		{"GET", "/v1/runs?limit=0", "", problem{"", 422, "invalid_parameter", "limit: write a number from 1 to 500", "correct limit; docs/access.md says what it takes"}},
		{"GET", "/v1/runs?limit=1&limit=2", "", problem{"", 422, "invalid_parameter", "limit: it is there twice", "correct limit; docs/access.md says what it takes"}},
		{"GET", "/v1/runs?open=yes", "", problem{"", 422, "invalid_parameter", "open: write true or false", "correct open; docs/access.md says what it takes"}},
		{"GET", "/v1/log?since=x", "", problem{"", 422, "invalid_parameter", "since: x is neither a date such as 2026-11-01 nor a time such as 30d or 12h", "correct since; docs/access.md says what it takes"}},
		{"GET", "/v1/log?before=x", "", problem{"", 422, "invalid_parameter", "before: write the number of an entry, such as `next` of the page before", "correct before; docs/access.md says what it takes"}},
		{"GET", "/v1/report?run=x", "", problem{"", 422, "invalid_parameter", "run: write a run's number", "correct run; docs/access.md says what it takes"}},
		{"POST", "/v1/campaigns/oil-change/runs", `{"asof": "2026-11-22"}`, problem{"", 422, "unknown_field", `no field "asof"`, `did you mean "as_of"?`}},
		{"POST", "/v1/campaigns/oil-change/runs", `{"AS_OF": "2026-11-22"}`, problem{"", 422, "unknown_field", `no field "AS_OF"`, `did you mean "as_of"?`}},
		{"POST", "/v1/campaigns/oil-change/runs", `{"as_of": 7}`, problem{"", 422, "invalid_parameter", "as_of: it is a number; write a string", "correct as_of; docs/access.md says what it takes"}},
		{"POST", "/v1/runs/1/pause", `{"reason": "x"}`, problem{"", 422, "unknown_field", `no field "reason"`, "leave it out; there are none"}},
		{"POST", "/v1/runs/1/pause", `[1]`, problem{"", 400, "invalid_json", "the body is not a JSON object: what came is of type array", "send one object, such as {}; docs/access.md says what it holds"}},
		{"POST", "/v1/runs/1/pause", `{"a": 1} {}`, problem{"", 400, "invalid_json", "the body is not a JSON object: invalid character '{' after top-level value", "send one object, such as {}; docs/access.md says what it holds"}},
		{"POST", "/v1/runs/1/pause", `{"a": "` + strings.Repeat("x", maxBody) + `"}`, problem{"", 413, "too_large", "the body has more than 16384 bytes", ""}},
	} {
		got := problemOf(t, s.api(tt.method, tt.path, token, tt.body))
		got.Title = ""
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s %s %.40s (-want +got):\n%s", tt.method, tt.path, tt.body, diff)
		}
	}
	a := s.do("POST", s.base+"/v1/runs/1/pause", `{"x": 1}`, "Authorization", "Bearer "+token, "Content-Type", "text/plain")
	if e := problemOf(t, a); e.Code != "unsupported_media_type" || e.Status != 415 {
		t.Errorf("a body that is not said to be JSON: %+v", e)
	}
	e := problemOf(t, s.api("GET", "/v1/log", s.tokens[access.Analyst], ""))
	want := problem{"Forbidden", 403, "forbidden", "analyst has the role analyst, which may not read log", "use the token of a user who may, or on the machine: sapa user set-role analyst ROLE"}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := s.state(); got != "sending" {
		t.Errorf("the run is %s", got)
	}
}

// Each error that somebody can do something about has a class of its own; what is ours is not shown.
func TestProblemClasses(t *testing.T) {
	t.Parallel()
	for code, err := range map[string]error{
		"409 not_approved": campaign.ErrUnapproved, "409 quarantined": campaign.ErrQuarantined, "409 foreign_database": delivery.ErrForeign, "409 wrong_state": campaign.ErrState,
		"404 not_found": report.ErrNotFound, "503 too_slow": context.DeadlineExceeded, "503 unavailable": errors.New("secret words"),
		"409 unfit_version": diag.List{{Message: "secret words"}},
	} {
		e := asProblem(fmt.Errorf("start: %w", err))
		if got := fmt.Sprint(e.Status, " ", e.Code); got != code || strings.Contains(e.Detail+e.Mend, "secret") {
			t.Errorf("%v is %s: %+v", err, got, e)
		}
	}
}

func TestWrongTokensAreSlowed(t *testing.T) {
	t.Parallel()
	s := newInside(t, nil)
	for i := range 20 {
		a := s.api("GET", "/v1/runs", "sapa_wrong", "")
		if e := problemOf(t, a); e.Code != "unauthenticated" || strings.Contains(a.body, "sapa_wrong") {
			t.Fatalf("try %d: %+v", i, e)
		}
	}
	a := s.api("GET", "/v1/runs", "sapa_wrong", "")
	if e := problemOf(t, a); e.Status != 429 || e.Code != "too_many_failures" || a.Header.Get("Retry-After") != "30" {
		t.Errorf("one more: %+v, Retry-After %s", e, a.Header.Get("Retry-After"))
	}
	if a := s.api("GET", "/v1/runs", s.tokens[access.Analyst], ""); a.StatusCode != 200 {
		t.Errorf("a right token from there: %s", a.Status)
	}
}
