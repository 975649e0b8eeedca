package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/delivery/calldesk"
	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/report"
	"github.com/sapa-crm/sapa/segment"
)

const callsYAML = `
customers: {table: shop.customers, key: id, phone: phone, timezone: {default: Asia/Makassar}, consent: {default: granted}}
channels: {calls: {card: [favourite]}}
`

// quietVersions is a library of versions without limits.
type quietVersions struct{}

func (quietVersions) Content(context.Context, int) (*delivery.Content, error) {
	return &delivery.Content{Others: map[string]*delivery.Parts{"calls": {}}}, nil
}

func (quietVersions) Still(_ context.Context, _ int, customers []string) ([]segment.Key, error) {
	return []segment.Key{{Customer: customers[0]}}, nil
}

func (quietVersions) StillByEvent(context.Context, int, int64) ([]segment.Key, error) {
	return nil, nil
}

// newCalls is a private listener whose run is a list of calls: to c7 and c8 now, to c9 and c10 tomorrow.
func newCalls(t *testing.T) *inside {
	t.Helper()
	var s *inside
	desk := &calldesk.Desk{Library: quietVersions{}, Now: func() time.Time { return s.now() }}
	s = newInside(t, func(d *PrivateDeps) {
		d.Calls = CallDeps{
			Desk: desk,
			Runs: func(ctx context.Context) ([]report.CallRun, error) {
				return report.CallRuns(ctx, desk.Pool, 0, s.now())
			},
			History: func(ctx context.Context, key string) ([]report.Contact, error) {
				return report.History(ctx, desk.Pool, key, 10)
			},
		}
	})
	s.pass(-6 * time.Hour) // two in the afternoon in Makassar
	ledgertest.Exec(t, s.pool, `create schema shop; create table shop.customers (id text primary key, phone text, favourite text);
		insert into shop.customers select 'c' || i, '+62812000000' || i, '<b>roses</b>' from generate_series(1, 10) i`)
	cfg, problems := customer.LoadConfig("sapa.yaml", callsYAML, func(string) string { return "" })
	s.must(problems.Err())
	schema, problems, err := customer.Resolve(t.Context(), s.pool, cfg)
	s.must(err)
	s.must(problems.Err())
	desk.Pool, desk.Schema, desk.Settings = s.pool, schema, cfg.Channels.Calls.WithDefaults()
	ledgertest.Exec(t, s.pool, `insert into addresses (channel, raw, normalised) select 'calls', phone, phone from shop.customers`)
	ledgertest.Exec(t, s.pool, `update messages m set channel = 'calls', not_before = '9999-01-01Z', address_id = a.id
		from shop.customers c join addresses a on a.raw = c.phone where c.id = m.customer_key and m.state = 'planned'`)
	ledgertest.Exec(t, s.pool, `insert into calls (message_id, run_id, customer_key, name, reason, offer, script, due_at)
		select id, run_id, customer_key, case customer_key when 'c7' then 'Ibu <Sari>' end, 'bought <roses> last year', '10 %', E'Selamat siang!\nApa kabar?',
		       $1::timestamptz + case when customer_key in ('c7', 'c8') then interval '0' else interval '1 day' end
		from messages where state = 'planned' and customer_key in ('c7', 'c8', 'c9', 'c10')`, s.now())
	return s
}

// submit posts a form as a browser does.
func (s *inside) submit(path, cookie string, form url.Values) answer {
	s.t.Helper()
	return s.do("POST", s.base+path, form.Encode(), "Cookie", cookie, "Sec-Fetch-Site", "same-origin")
}

func TestCallsPage(t *testing.T) {
	t.Parallel()
	s := newCalls(t)
	cookie, at := s.as(access.Agent), fmt.Sprintf("/calls/%d", s.run.Base+7)
	has := func(what string, a answer, status int, words ...string) {
		t.Helper()
		if a.StatusCode != status {
			t.Errorf("%s: %s", what, a.Status)
		}
		for _, w := range words {
			if !strings.Contains(a.body, w) {
				t.Errorf("%s has no %q:\n%s", what, w, a.body)
			}
		}
	}
	if a := s.get("/", cookie); a.Header.Get("Location") != "/calls" {
		t.Errorf("an agent's first page is %s", a.Header.Get("Location"))
	}
	first := s.get("/calls", cookie)
	has("without a call", first, 200, "2 calls are due, 2 for later.", "Next call")
	if strings.Contains(first.body, "Campaigns") || strings.Contains(first.body, "Audit log") {
		t.Errorf("an agent is led to other pages:\n%s", first.body)
	}
	if a := s.submit("/calls", cookie, nil); a.StatusCode != 303 || a.Header.Get("Location") != "/calls" {
		t.Errorf("next: %s to %s", a.Status, a.Header.Get("Location"))
	}
	page := s.get("/calls", cookie)
	has("a call", page, 200, "<h1>Ibu &lt;Sari&gt;</h1>", `<a href="tel:&#43;628120000007">&#43;628120000007</a>`, "14:00 where they live",
		"bought &lt;roses&gt; last year", "10 %", "Selamat siang!\nApa kabar?", "&lt;b&gt;roses&lt;/b&gt;", `value="no-answer" class="quiet" accesskey="4"`, "Nothing so far.")
	for path, body := range map[string]string{"without": first.body, "with": page.body} {
		doc, err := html.Parse(strings.NewReader(body))
		s.must(err)
		for _, fault := range structureFaults(doc) {
			t.Errorf("%s a call: %s\n%s", path, fault, body)
		}
	}
	wrong := s.submit(at, cookie, url.Values{"outcome": {"call-back"}, "note": {"Wants <b>lilies</b>"}, "at": {"2026-11-22T21:30"}})
	has("a call back at night", wrong, 422, "That is no time to call back: from 20:00 to 08:00 nobody is called; choose another time than 2026-11-22 21:30.", `value="2026-11-22T21:30"`, "Wants &lt;b&gt;lilies&lt;/b&gt;</textarea>")
	has("no outcome", s.submit(at, cookie, url.Values{"note": {"x"}}), 422, "Say what came of the call with one of the buttons.")
	has("loaded again", s.get(at, cookie), 200, "<h1>Ibu &lt;Sari&gt;</h1>", "Nothing has been noted of this call yet.", `action="`+at+`"`)
	for _, path := range []string{"/calls/77", fmt.Sprintf("/calls/%d", s.run.Base+8)} {
		if a := s.get(path, cookie); a.StatusCode != 303 || a.Header.Get("Location") != "/calls" {
			t.Errorf("GET %s: %s to %s", path, a.Status, a.Header.Get("Location"))
		}
	}
	has("no number", s.get("/calls/x", cookie), 404)
	other := s.submit(fmt.Sprintf("/calls/%d", s.run.Base+8), cookie, url.Values{"outcome": {"call-back"}, "note": {"about c8"}, "at": {"x"}})
	has("of another call", other, 422, "<h1>Ibu &lt;Sari&gt;</h1>", "Nothing was noted, and the call is not yours any more.")
	if strings.Contains(other.body, "about c8") {
		t.Error("what was written about one customer is in the form of another")
	}
	if a := s.submit(at, cookie, url.Values{"outcome": {"interested"}, "note": {"lilies"}}); a.Header.Get("Location") != "/calls?done=done" {
		t.Errorf("interested: %s to %s\n%s", a.Status, a.Header.Get("Location"), a.body)
	}
	has("done", s.get("/calls?done=done", cookie), 200, "That is noted.", "1 call is due, 2 for later.")
	has("done twice", s.submit(at, cookie, url.Values{"outcome": {"order"}}), 409, "it is done, interested. Nothing was noted")
	has("another's", s.submit("/calls/77", cookie, url.Values{"outcome": {"order"}}), 404)
	has("no number", s.submit("/calls/x", cookie, url.Values{"outcome": {"order"}}), 404)
	s.submit("/calls", cookie, nil)
	has("the next one", s.get("/calls", cookie), 200, "<h1>Customer c8</h1>")
	ledgertest.Exec(t, s.pool, `update runs set state = 'paused' where id = $1`, s.run.ID)
	stopped := s.get("/calls", cookie)
	has("stopped", stopped, 200, "<h1>Customer c8</h1>", `<p class="error" role="alert">Do not call. The run is paused; nobody of it is called until somebody resumes it.</p>`, "Nobody was called: go on")
	for _, word := range []string{"tel:", "+62812", "Selamat siang", "What to say"} {
		if strings.Contains(stopped.body, word) {
			t.Errorf("a stopped call leads to calling by %q:\n%s", word, stopped.body)
		}
	}
	doc, err := html.Parse(strings.NewReader(stopped.body))
	s.must(err)
	for _, fault := range structureFaults(doc) {
		t.Errorf("stopped: %s", fault)
	}
	var next struct{ Call *calldesk.Call }
	s.must(json.Unmarshal([]byte(s.api("POST", "/v1/calls/next", s.tokens[access.Agent], "").body), &next))
	if next.Call == nil || next.Call.Stop == nil || next.Call.Stop.Reason != "run paused" || next.Call.Phone != "" {
		t.Errorf("by the API: %+v", next.Call)
	}
	ledgertest.Exec(t, s.pool, `update runs set state = 'sending' where id = $1`, s.run.ID)
	if a := s.submit(fmt.Sprintf("/calls/%d", s.run.Base+8), cookie, url.Values{"outcome": {"release"}}); a.Header.Get("Location") != "/calls?done=release" {
		t.Errorf("release: %s to %s", a.Status, a.Header.Get("Location"))
	}
	s.submit("/calls", s.as(access.Operator), nil)
	if a := s.submit("/calls", cookie, nil); a.Header.Get("Location") != "/calls?done=none" {
		t.Errorf("nobody left: %s to %s", a.Status, a.Header.Get("Location"))
	}
	has("nobody left", s.get("/calls?done=none", cookie), 200, "Nobody is to be called now.")
	has("the run", s.get(fmt.Sprintf("/runs/%d", s.run.ID), s.as(access.Marketer)), 200, "How the calls went", `<th scope="row">interested</th><td class="n">1</td>`)
	got, err := report.History(t.Context(), s.pool, "c7", 10)
	s.must(err)
	want := []report.Contact{{At: got[0].At, Channel: "calls", Campaign: new("oil-change"), What: "called: interested", Who: new("agent"), Words: new("lilies")}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the history (-want +got):\n%s", diff)
	}
}

func TestCallsAPI(t *testing.T) {
	t.Parallel()
	s := newCalls(t)
	token := s.tokens[access.Agent]
	var runs struct{ Runs []report.CallRun }
	s.must(json.Unmarshal([]byte(s.api("GET", "/v1/calls", token, "").body), &runs))
	if diff := cmp.Diff([]report.CallRun{{Run: s.run.ID, Campaign: "oil-change", State: "sending", Due: 2, Later: 2}}, runs.Runs); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	var next struct{ Call *apiCall }
	s.must(json.Unmarshal([]byte(s.api("POST", "/v1/calls/next", token, "").body), &next))
	if next.Call == nil || next.Call.ID != s.run.Base+7 || next.Call.Phone != "+628120000007" || next.Call.History == nil {
		t.Fatalf("next is %+v", next.Call)
	}
	at := fmt.Sprintf("/v1/calls/%d", next.Call.ID)
	for _, c := range []struct {
		path, token, body string
		status            int
		words             string
	}{
		{at + "/done", token, `{"outcome": "noanswer"}`, 422, `did you mean \"no-answer\"?`},
		{at + "/done", token, `{"outcome": "call-back"}`, 422, "at: that is no time to call back: say when the customer wants to be called"},
		{at + "/done", s.tokens[access.Operator], `{"outcome": "order"}`, 409, "agent has it until 14:15"},
		{"/v1/calls/77/done", token, `{"outcome": "order"}`, 404, "call 77: there is no such call"},
		{"/v1/calls/x/release", token, ``, 404, `call \"x\": there is no such call`},
		{at + "/done", token, `{"outcome": "no-answer", "note": "machine"}`, 200, `"open": true`},
		{at + "/release", token, ``, 409, "nobody has it"},
	} {
		a := s.api("POST", c.path, c.token, c.body)
		if a.StatusCode != c.status || !strings.Contains(a.body, c.words) {
			t.Errorf("POST %s %s: %s, want %d %s\n%s", c.path, c.body, a.Status, c.status, c.words, a.body)
		}
	}
	s.api("POST", "/v1/calls/next", token, "")
	if a := s.api("POST", "/v1/calls/next", s.tokens[access.Operator], ""); strings.TrimSpace(a.body) != "{\n  \"call\": null\n}" {
		t.Errorf("nobody left: %s", a.body)
	}
}

// Without the channel there is nothing, and no word of it in the menu.
func TestWithoutCalls(t *testing.T) {
	t.Parallel()
	s := newInside(t, nil)
	cookie := s.as(access.Agent)
	if a := s.get("/calls", cookie); a.StatusCode != 404 || !strings.Contains(a.body, "This company has no list of calls.") || strings.Contains(a.body, `href="/calls"`) {
		t.Errorf("%s\n%s", a.Status, a.body)
	}
	for _, path := range []string{"/calls", "/calls/7"} {
		if a := s.post(path, cookie); a.StatusCode != 404 {
			t.Errorf("POST %s: %s", path, a.Status)
		}
	}
	for _, path := range []string{"/v1/calls/next", "/v1/calls/7/done", "/v1/calls/7/release"} {
		if a := s.api("POST", path, s.tokens[access.Agent], `{}`); a.StatusCode != 404 {
			t.Errorf("POST %s: %s %s", path, a.Status, a.body)
		}
	}
}
