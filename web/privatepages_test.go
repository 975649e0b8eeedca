package web

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/internal/ledgertest"
)

func TestButtons(t *testing.T) {
	t.Parallel()
	s := newInside(t, nil)
	cookie, at := s.as(access.Marketer), fmt.Sprintf("/runs/%d", s.run.ID)
	step := func(action, state, said string, buttons ...string) {
		t.Helper()
		a := s.post(at+"/"+action, cookie)
		if a.StatusCode != 303 {
			t.Fatalf("%s: %s\n%s", action, a.Status, a.body)
		}
		page := s.get(a.Header.Get("Location"), cookie)
		if got := s.state(); got != state || !strings.Contains(page.body, `role="status">`+said) {
			t.Errorf("after %s the run is %s, the page\n%s", action, got, page.body)
		}
		var got []string
		for _, part := range strings.Split(page.body, at+"/")[1:] {
			name, _, _ := strings.Cut(part, `"`)
			got = append(got, name)
		}
		if diff := cmp.Diff(buttons, got); diff != "" {
			t.Errorf("buttons after %s (-want +got):\n%s", action, diff)
		}
	}
	step("pause", "paused", "The run is paused.", "resume", "cancel")
	if a := s.get(at, s.as(access.Analyst)); a.StatusCode != 200 || strings.Contains(a.body, `action="/runs`) || strings.Contains(a.body, "/cancel") {
		t.Errorf("an analyst is shown buttons: %s\n%s", a.Status, a.body)
	}
	if a := s.post(at+"/pause", cookie); a.StatusCode != 409 || !strings.Contains(a.body, fmt.Sprintf("Can&#39;t pause run %d: it is paused.", s.run.ID)) {
		t.Errorf("pausing twice: %s\n%s", a.Status, a.body)
	}
	ledgertest.Exec(t, s.pool, `insert into batches (run_id, lo, hi, due_at, channel) values ($1, $2, $3, '2027-01-01', 'email')`, s.run.ID, s.run.Base+5, s.run.Base+10)
	step("resume", "sending", "The run goes on.", "pause", "cancel")
	if a := s.get(at+"/cancel", cookie); a.StatusCode != 200 || !strings.Contains(a.body, "3 messages are sent and 6 wait.") {
		t.Errorf("asking: %s\n%s", a.Status, a.body)
	}
	if got := s.state(); got != "sending" {
		t.Errorf("asking made the run %s", got)
	}
	step("cancel", "cancelled", "The run is cancelled.")
	want := []string{"marketer pause run 1", "marketer resume run 1", "marketer cancel run 1"}
	if diff := cmp.Diff(want, s.audited()); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
	for _, path := range []string{"/runs/77/pause", "/runs/x/pause", "/runs/1/none", "/runs/1/fly", "/runs/0/pause"} {
		if a := s.post(path, cookie); a.StatusCode != 404 {
			t.Errorf("POST %s: %s", path, a.Status)
		}
	}
	for _, path := range []string{"/runs/77", "/runs/x", "/runs/77/cancel", "/nothing"} {
		if a := s.get(path, cookie); a.StatusCode != 404 {
			t.Errorf("GET %s: %s", path, a.Status)
		}
	}
}

func TestRetryButton(t *testing.T) {
	t.Parallel()
	s := newInside(t, nil)
	cookie, at := s.as(access.Operator), fmt.Sprintf("/runs/%d", s.run.ID)
	ledgertest.Exec(t, s.pool, `update runs set state = 'done'`)
	if a := s.get(at, cookie); !strings.Contains(a.body, "Retry failed and skipped") {
		t.Errorf("no button:\n%s", a.body)
	}
	if a := s.get(s.post(at+"/retry", cookie).Header.Get("Location"), cookie); !strings.Contains(a.body, "Nothing could be planned again") {
		t.Errorf("without an address:\n%s", a.body)
	}
	ledgertest.Exec(t, s.pool, `insert into addresses (channel, raw, normalised) values ('email', 'a@example.com', 'a@example.com')`)
	ledgertest.Exec(t, s.pool, `update messages set address_id = 1`)
	if a := s.get(s.post(at+"/retry", cookie).Header.Get("Location"), cookie); !strings.Contains(a.body, "What failed or was skipped is planned again.") {
		t.Errorf("with an address:\n%s", a.body)
	}
	if got := s.state(); got != "sending" {
		t.Errorf("the run is %s", got)
	}
}

func TestLogPage(t *testing.T) {
	t.Parallel()
	s := newInside(t, nil)
	for i := range 60 {
		s.must(access.Record(t.Context(), s.pool, access.Entry{Actor: "ani", Action: "pause", Subject: fmt.Sprintf("run %d", i), Detail: map[string]any{"<b>": i}}))
	}
	cookie := s.as(access.Operator)
	rows := func(path string, status int) (n int, older string, body string) {
		t.Helper()
		a := s.get(path, cookie)
		if a.StatusCode != status {
			t.Errorf("%s: %s", path, a.Status)
		}
		_, rest, _ := strings.Cut(a.body, `<a href="/log?`)
		older, _, _ = strings.Cut(rest, `"`)
		return strings.Count(a.body, "<tr><td>"), "/log?" + strings.ReplaceAll(older, "&amp;", "&"), a.body
	}
	n, older, body := rows("/log?actor=ani", 200)
	if n != 50 || !strings.Contains(body, `value="ani"`) || !strings.Contains(body, "{&#34;\\u003cb\\u003e&#34;:59}") {
		t.Errorf("first page has %d\n%s", n, body)
	}
	if n, next, _ := rows(older, 200); n != 10 || next != "/log?" {
		t.Errorf("second page %s has %d, then %q", older, n, next)
	}
	if n, _, _ := rows("/log?subject=run+7", 200); n != 1 {
		t.Errorf("run 7 has %d", n)
	}
	if n, _, body := rows("/log?actor=nobody", 200); n != 0 || !strings.Contains(body, "No entry fits.") {
		t.Errorf("nobody has %d", n)
	}
	if _, _, body := rows("/log?since=yesterday", 422); !strings.Contains(body, "Since: yesterday is neither a date such as 2026-11-01 nor a time such as 30d or 12h.") {
		t.Errorf("since yesterday:\n%s", body)
	}
}

func TestRepliesPage(t *testing.T) {
	t.Parallel()
	s := newInside(t, nil)
	ledgertest.Exec(t, s.pool, `insert into inbound (at, channel, provider_id, sender, sender_hash, recipient, body, kind, message_id, customer_key)
		select $1, 'sms', 'SM' || i, '+62811000000' || i, '\x00', '+6281', case when i < 4 then '<b>Besok jam ' || i || ' bisa?' end, case i when 3 then 'stop' else 'reply' end, $2::bigint + i, 'c' || i
		from generate_series(1, 4) i`, s.now(), s.run.Base)
	cookie := s.as(access.Agent)
	if a := s.get("/", cookie); a.StatusCode != 303 || a.Header.Get("Location") != "/replies" {
		t.Errorf("an agent's first page: %s to %s", a.Status, a.Header.Get("Location"))
	}
	shown := func(path string) (ids []string, body string) {
		t.Helper()
		a := s.get(path, cookie)
		for _, part := range strings.Split(a.body, `name="id" value="`)[1:] {
			id, _, _ := strings.Cut(part, `"`)
			ids = append(ids, id)
		}
		if a.StatusCode != 200 || strings.Contains(a.body, "+62811") || strings.Contains(a.body, "<b>") {
			t.Errorf("%s: %s\n%s", path, a.Status, a.body)
		}
		return ids, a.body
	}
	ids, body := shown("/replies")
	if diff := cmp.Diff([]string{"4", "2", "1"}, ids); diff != "" || !strings.Contains(body, "&lt;b&gt;Besok jam 2 bisa?") || !strings.Contains(body, "deleted") {
		t.Errorf("unread (-want +got):\n%s\n%s", diff, body)
	}
	a := s.do("POST", s.base+"/replies", "id=1&id=4&id=77", "Cookie", cookie)
	if a.StatusCode != 303 || a.Header.Get("Location") != "/replies?read=2" {
		t.Errorf("marking: %s to %s", a.Status, a.Header.Get("Location"))
	}
	ids, body = shown("/replies?read=2")
	if diff := cmp.Diff([]string{"2"}, ids); diff != "" || !strings.Contains(body, "2 marked as read.") {
		t.Errorf("afterwards (-want +got):\n%s\n%s", diff, body)
	}
	if _, body = shown("/replies?all=true"); strings.Count(body, "<tr><td>") != 4 || !strings.Contains(body, "stop:") {
		t.Errorf("everything:\n%s", body)
	}
	if a := s.do("POST", s.base+"/replies", "id=x", "Cookie", cookie); a.StatusCode != 400 {
		t.Errorf("a strange number: %s", a.Status)
	}
	want := []string{"agent read replies"}
	if diff := cmp.Diff(want, s.lines(`select concat_ws(' ', actor, action) from audit_log where subject = 'inbound'`)); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
}

func TestUsersPage(t *testing.T) {
	t.Parallel()
	s := newInside(t, nil)
	a := s.get("/users", s.as(access.Operator))
	for _, want := range []string{`<th scope="row">agent</th><td>agent</td><td>yes</td>`, `<th scope="row">operator</th>`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %s in\n%s", want, a.body)
		}
	}
	if strings.Contains(a.body, "argon2") || strings.Contains(a.body, "sapa_") {
		t.Error("the page shows secrets")
	}
}
