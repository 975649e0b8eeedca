package web

import (
	"bufio"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/report"
	"github.com/sapa-crm/sapa/response"
)

// newDesks is a private listener with two desks, whose feed listens to the database.
func newDesks(t *testing.T) *inside {
	t.Helper()
	return newInside(t, func(d *PrivateDeps) {
		pool := d.Runs.Pool
		feed := report.NewAlertFeed(pool, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
		ended := make(chan struct{})
		go func() { defer close(ended); feed.Run(ctx) }()
		t.Cleanup(func() { stop(); <-ended })
		d.Alerts = AlertDeps{
			Desks: []AlertDesk{{"front-desk", "Front desk"}, {"workshop", "Workshop"}},
			List: func(ctx context.Context, f report.AlertFilter) ([]report.Alert, error) {
				return report.Alerts(ctx, pool, f)
			},
			Open: func(ctx context.Context) (map[string]int, error) { return report.OpenAlerts(ctx, pool) },
			Done: func(ctx context.Context, ids []int64, actor string) (int, error) {
				return response.MarkAlertsDone(ctx, pool, ids, actor, d.Now())
			},
			Watch: feed.Watch,
		}
	})
}

// raise is what channel alert does.
func (s *inside) raise(message int64, desk, title string) {
	s.t.Helper()
	_, err := s.pool.Exec(s.t.Context(), `with made as (
			insert into alerts (message_id, desk, title, text, customer_key, campaign, at) values ($1, $2, $3, 'Say hello', 'c1', 'check-in', $4) returning desk
		) select pg_notify('sapa_alerts', current_schema() || ' ' || desk) from made`, message, desk, title, s.now())
	s.must(err)
}

func TestDeskPages(t *testing.T) {
	t.Parallel()
	s := newDesks(t)
	cookie := s.as(access.Agent)
	if a := s.get("/alerts", cookie); a.StatusCode != 200 || strings.Count(a.body, "nothing to do") != 2 || !strings.Contains(a.body, `<a href="/alerts/front-desk">Front desk</a>`) {
		t.Errorf("the desks: %s\n%s", a.Status, a.body)
	}
	s.raise(7, "front-desk", "Ani <b>has</b> a birthday")
	s.raise(8, "workshop", "Budi waits")
	if a := s.get("/alerts", cookie); strings.Count(a.body, "1 to see to") != 2 {
		t.Errorf("the desks: %s", a.body)
	}
	a := s.get("/alerts/front-desk", cookie)
	for _, want := range []string{
		`<a href="/alerts" aria-current="true">Alerts</a>`, "<h1>Front desk</h1>", "<h2>Ani &lt;b&gt;has&lt;/b&gt; a birthday</h2>", `<p class="words">Say hello</p>`, "check-in · customer c1",
		`<button name="id" value="1">Done<span class="unseen">`, `data-feed="/alerts/front-desk/feed"`, `<meta http-equiv="refresh" content="15">`,
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page has no %s:\n%s", want, a.body)
		}
	}
	if strings.Contains(a.body, "Budi") {
		t.Error("the page shows another desk's alert")
	}
	if got := a.Header.Get("Content-Security-Policy"); got != alertsPolicy {
		t.Errorf("policy %s", got)
	}
	if a := s.get("/alerts.js", cookie); a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/javascript; charset=utf-8" || !strings.Contains(a.body, "EventSource") {
		t.Errorf("the script: %s", a.Status)
	}
	for path, status := range map[string]int{"/alerts/nowhere": 404, "/alerts/nowhere/feed": 404, "/alerts/front-desk?all=true": 200} {
		if a := s.get(path, cookie); a.StatusCode != status {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
}

func TestAlertDone(t *testing.T) {
	t.Parallel()
	s := newDesks(t)
	cookie := s.as(access.Agent)
	s.raise(7, "front-desk", "Ani has a birthday")
	done := func(id string, headers ...string) answer {
		return s.do("POST", s.base+"/alerts/front-desk", "id="+id, append([]string{"Cookie", cookie}, headers...)...)
	}
	if a := done("1", "Sec-Fetch-Site", "cross-site"); a.StatusCode != 403 {
		t.Errorf("from another site: %s", a.Status)
	}
	if a := done("x", "Sec-Fetch-Site", "same-origin"); a.StatusCode != 400 {
		t.Errorf("no number: %s", a.Status)
	}
	for range 2 { // somebody else may be faster
		if a := done("1", "Sec-Fetch-Site", "same-origin"); a.StatusCode != 303 || a.Header.Get("Location") != "/alerts/front-desk" {
			t.Errorf("done: %s", a.Status)
		}
	}
	if a := s.get("/alerts/front-desk", cookie); strings.Contains(a.body, "birthday") {
		t.Errorf("it is still there: %s", a.body)
	}
	if a := s.get("/alerts/front-desk?all=true", cookie); !strings.Contains(a.body, "done by agent, <time") || strings.Contains(a.body, "<button name") {
		t.Errorf("everything: %s", a.body)
	}
	got := s.lines(`select concat_ws(' ', actor, action, subject, detail) from audit_log where subject = 'alerts'`)
	if diff := cmp.Diff([]string{`agent see to alerts alerts {"ids": [1]}`}, got); diff != "" {
		t.Error(diff)
	}
}

// The feed sends the list at once and whenever it changes, and to a browser that has it nothing.
func TestAlertFeed(t *testing.T) {
	t.Parallel()
	s := newDesks(t)
	cookie := s.as(access.Agent)
	s.raise(7, "front-desk", "Ani has a birthday")
	feed := s.feed(cookie, "")
	first, list := feed.event()
	if !strings.Contains(list, "Ani has a birthday") {
		t.Errorf("the list: %s", list)
	}
	s.raise(8, "workshop", "Budi waits")
	s.raise(9, "front-desk", "Citra is here")
	second, list := feed.event()
	if second == first || strings.Index(list, "Citra") > strings.Index(list, "Ani") || strings.Contains(list, "Budi") {
		t.Errorf("the list: %s", list)
	}
	_, err := response.MarkAlertsDone(t.Context(), s.pool, []int64{1}, "agent", s.now())
	s.must(err)
	third, list := feed.event()
	if strings.Contains(list, "Ani") || !strings.Contains(list, "Citra") {
		t.Errorf("the list: %s", list)
	}
	_, err = response.MarkAlertsDone(t.Context(), s.pool, []int64{3}, "agent", s.now())
	s.must(err)
	last, list := feed.event()
	if last == third || list != "<!-- the list -->\n" { // a browser drops what has no data
		t.Errorf("the empty list: %q", list)
	}
	again := s.feed(cookie, last)
	if line := again.line(); line != ":" {
		t.Errorf("a browser that has the list is told %q", line)
	}
	missed := s.feed(cookie, second)
	if id, _ := missed.event(); id != last {
		t.Errorf("a browser that has an older list is told %s, want %s", id, last)
	}
}

// stream is a feed as a browser reads it.
type stream struct {
	t *testing.T
	r *bufio.Reader
}

func (s *inside) feed(cookie, last string) *stream {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	s.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", s.base+"/alerts/front-desk/feed", nil)
	s.must(err)
	r.Header.Set("Cookie", cookie)
	r.Header.Set("Last-Event-ID", last)
	a, err := s.client.Do(r)
	s.must(err)
	s.t.Cleanup(func() { _ = a.Body.Close() })
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
		s.t.Fatalf("the feed: %s %v", a.Status, a.Header)
	}
	f := &stream{s.t, bufio.NewReader(a.Body)}
	if line := f.line() + f.line(); line != "retry: 2000" {
		s.t.Fatalf("the feed begins %q", line)
	}
	return f
}

func (f *stream) line() string {
	f.t.Helper()
	line, err := f.r.ReadString('\n')
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\n")
}

// event is the next list with its id.
func (f *stream) event() (id, list string) {
	f.t.Helper()
	for {
		line := f.line()
		switch {
		case line == "" && id != "":
			return id, list
		case strings.HasPrefix(line, "id: "):
			id = line[4:]
		case strings.HasPrefix(line, "data: "):
			list += line[6:] + "\n"
		}
	}
}
