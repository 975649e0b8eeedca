package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
	"github.com/sapa-crm/sapa/report"
	"github.com/sapa-crm/sapa/response"
)

const passphrase = "kopi pagi di semarang"

// inside is a private listener on loopback over a database with one run, and a user of each role, who has the role's name.
type inside struct {
	*site
	base   string
	gate   *access.Gate
	clock  atomic.Pointer[time.Time]
	tokens map[access.Role]string
}

func newInside(t *testing.T, change func(*PrivateDeps)) *inside {
	t.Helper()
	s := &inside{site: &site{t: t, pool: pgtest.Pool(t), log: &lockedBuffer{}}, tokens: map[access.Role]string{}}
	s.run = ledgertest.NewCampaign(t, s.pool, "oil-change", "service-reminders").Run(t, "", 10)
	s.run.Settle(t, 1, 3, "sent", "")
	s.run.Settle(t, 4, 4, "failed", "refused")
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	s.clock.Store(&noon)
	var err error
	if s.gate, err = access.NewGate(t.Context(), s.pool, s.now); err != nil {
		t.Fatal(err)
	}
	for _, role := range access.Roles() {
		s.must(access.AddUser(t.Context(), s.pool, "root", string(role), role, passphrase, noon))
		s.tokens[role], _, err = access.AddToken(t.Context(), s.pool, "root", string(role), "", time.Time{}, noon)
		s.must(err)
	}
	deps := privateDeps(t, s.pool, s.gate, s.now)
	deps.Log = slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if change != nil {
		change(&deps)
	}
	s.base = serve(t, Private(deps))
	s.client = &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

func privateDeps(t *testing.T, pool *pgxpool.Pool, gate *access.Gate, now func() time.Time) PrivateDeps {
	t.Helper()
	queue, err := delivery.NewQueue(pool, "sapa", now)
	if err != nil {
		t.Fatal(err)
	}
	return PrivateDeps{
		Gate: gate, Runs: &campaign.Planner{Pool: pool, Queue: queue, Now: now}, Company: "Bengkel Maju", Now: now, Ready: pool.Ping,
		Reports: func(ctx context.Context, f report.Filter) (report.Report, error) {
			return report.Campaigns(ctx, pool, f)
		},
		Overview: func(ctx context.Context) ([]report.Applied, error) { return report.Overview(ctx, pool) },
		Audit: func(ctx context.Context, f access.LogFilter) ([]access.Logged, error) {
			return access.Log(ctx, pool, f)
		},
		Users: func(ctx context.Context) ([]access.User, error) { return access.Users(ctx, pool, now()) },
		Replies: func(ctx context.Context, f report.ReplyFilter) ([]report.Reply, error) {
			return report.Replies(ctx, pool, f)
		},
		Seen: func(ctx context.Context, ids []int64, actor string) (int, error) {
			return response.MarkSeen(ctx, pool, ids, actor, now())
		},
	}
}

func (s *inside) now() time.Time        { return *s.clock.Load() }
func (s *inside) pass(by time.Duration) { at := s.now().Add(by); s.clock.Store(&at) }

func (s *inside) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// login posts the form as a browser does; the cookie is "" when it is not let in.
func (s *inside) login(name, password string) (answer, string) {
	s.t.Helper()
	form := url.Values{"name": {name}, "password": {password}}
	a := s.do("POST", s.base+"/login", form.Encode(), "Sec-Fetch-Site", "same-origin")
	for _, c := range a.Cookies() {
		return a, c.Name + "=" + c.Value
	}
	return a, ""
}

// as is the cookie of somebody with that role.
func (s *inside) as(role access.Role) string {
	s.t.Helper()
	a, cookie := s.login(string(role), passphrase)
	if cookie == "" {
		s.t.Fatalf("%s is not let in: %s", role, a.Status)
	}
	return cookie
}

func (s *inside) get(path, cookie string) answer {
	s.t.Helper()
	return s.do("GET", s.base+path, "", "Cookie", cookie)
}

func (s *inside) post(path, cookie string) answer {
	s.t.Helper()
	return s.do("POST", s.base+path, "x=1", "Cookie", cookie, "Sec-Fetch-Site", "same-origin")
}

// api calls the API with a token.
func (s *inside) api(method, path, token, body string) answer {
	s.t.Helper()
	headers := []string{"Authorization", "Bearer " + token}
	if body != "" {
		headers = append(headers, "Content-Type", "application/json")
	}
	return s.do(method, s.base+path, body, headers...)
}

func (s *inside) state() string {
	s.t.Helper()
	return s.lines(`select state::text from runs where id = $1`, s.run.ID)[0]
}

// audited are the audit log's lines about runs.
func (s *inside) audited() []string {
	s.t.Helper()
	return s.lines(`select concat_ws(' ', actor, action, subject) from audit_log where subject like 'run %' order by id`)
}

// Without login there is the login page, its style and the probes; every other address leads to the login.
func TestNothingWithoutLogin(t *testing.T) {
	t.Parallel()
	s := newInside(t, nil)
	for path, status := range map[string]int{"/login": 200, "/private.css": 200, "/healthz": 200, "/readyz": 200} {
		if a := s.get(path, ""); a.StatusCode != status {
			t.Errorf("GET %s: %s", path, a.Status)
		}
	}
	for path, to := range map[string]string{
		"/": "/login", "/runs/1": "/login?next=%2Fruns%2F1", "/runs/1/cancel": "/login?next=%2Fruns%2F1%2Fcancel", "/log?actor=ani": "/login?next=%2Flog%3Factor%3Dani",
		"/users": "/login?next=%2Fusers", "/nothing": "/login?next=%2Fnothing", "/private/home.html": "/login?next=%2Fprivate%2Fhome.html",
	} {
		for _, cookie := range []string{"", "sapa_session=" + strings.Repeat("A", 43), "sapa_session="} {
			a := s.get(path, cookie)
			if a.StatusCode != 303 || a.Header.Get("Location") != to || strings.Contains(a.body, "oil-change") {
				t.Errorf("GET %s with %q: %s to %s, want to %s\n%s", path, cookie, a.Status, a.Header.Get("Location"), to, a.body)
			}
		}
	}
	for _, path := range []string{"/runs/1/pause", "/runs/1/cancel", "/logout", "/"} {
		if a := s.post(path, ""); a.StatusCode != 303 || a.Header.Get("Location") != "/login" {
			t.Errorf("POST %s: %s", path, a.Status)
		}
	}
	for _, path := range []string{"/v1/runs", "/v1/", "/v1/nothing", "/v1/log"} {
		a := s.do("GET", s.base+path, "", "Cookie", s.as(access.Operator)) // the API takes no cookies
		if a.StatusCode != 401 || a.Header.Get("WWW-Authenticate") != `Bearer realm="sapa"` {
			t.Errorf("GET %s: %s %q", path, a.Status, a.Header.Get("WWW-Authenticate"))
		}
	}
	if got := s.state(); got != "sending" {
		t.Errorf("the run is %s", got)
	}
}

// What each role is answered at each address, by pages and API.
func TestRolesAndRoutes(t *testing.T) {
	t.Parallel()
	s := newInside(t, nil)
	var seen []string
	cookies := map[access.Role]string{}
	pages := map[string]string{ // who may; all others get 403
		"GET /{$}": "marketer agent analyst operator", "POST /logout": "marketer agent analyst operator",
		"GET /runs/{run}": "marketer analyst operator", "GET /runs/{run}/cancel": "marketer operator", "POST /runs/{run}/{action}": "marketer operator",
		"GET /alerts": "marketer agent operator", "GET /alerts.js": "marketer agent operator", "GET /alerts/{desk}": "marketer agent operator",
		"POST /alerts/{desk}": "marketer agent operator", "GET /alerts/{desk}/feed": "marketer agent operator",
		"GET /replies": "marketer agent operator", "POST /replies": "marketer agent operator", "GET /log": "marketer operator", "GET /users": "operator",
		"GET /calls": "agent operator", "POST /calls": "agent operator", "GET /calls/{call}": "agent operator", "POST /calls/{call}": "agent operator",
	}
	for _, route := range (&private{}).pageRoutes() {
		may, ok := pages[route.pattern]
		if !ok {
			t.Errorf("%s is not in this table", route.pattern)
		}
		seen = append(seen, route.pattern)
		method, path, _ := strings.Cut(strings.NewReplacer("{$}", "", "{run}", "77", "{action}", "pause", "{desk}", "nowhere").Replace(route.pattern), " ")
		for _, role := range access.Roles() {
			if cookies[role] == "" || path == "/logout" {
				cookies[role] = s.as(role)
			}
			a := s.do(method, s.base+path, "", "Cookie", cookies[role], "Sec-Fetch-Site", "same-origin")
			if path == "/logout" {
				cookies[role] = ""
			}
			if allowed := slices.Contains(strings.Fields(may), string(role)); allowed != (a.StatusCode != 403) {
				t.Errorf("%s as %s: %s", route.pattern, role, a.Status)
			}
		}
	}
	api := map[string]string{
		"GET /v1/runs": "marketer analyst operator", "GET /v1/runs/{run}": "marketer analyst operator", "POST /v1/campaigns/{campaign}/runs": "marketer operator",
		"POST /v1/runs/{run}/pause": "marketer operator", "POST /v1/runs/{run}/resume": "marketer operator", "POST /v1/runs/{run}/cancel": "marketer operator",
		"POST /v1/runs/{run}/retry": "marketer operator", "GET /v1/report": "marketer analyst operator", "GET /v1/log": "marketer operator",
		"POST /v1/events": "marketer agent operator",
		"GET /v1/calls":   "agent operator", "POST /v1/calls/next": "agent operator", "POST /v1/calls/{call}/done": "agent operator", "POST /v1/calls/{call}/release": "agent operator",
	}
	for _, route := range (&private{}).apiRoutes() {
		may, ok := api[route.pattern]
		if !ok {
			t.Errorf("%s is not in this table", route.pattern)
		}
		seen = append(seen, route.pattern)
		// A body with an unknown field, so that nobody starts anything.
		method, path, _ := strings.Cut(strings.NewReplacer("{run}", "77", "{call}", "77", "{campaign}", "oil-change").Replace(route.pattern), " ")
		body := ""
		if method == "POST" {
			body = `{"nothing": 1}`
		}
		for _, role := range access.Roles() {
			a := s.api(method, path, s.tokens[role], body)
			if allowed := slices.Contains(strings.Fields(may), string(role)); allowed != (a.StatusCode != 403) || a.StatusCode == 401 {
				t.Errorf("%s as %s: %s", route.pattern, role, a.Status)
			}
		}
	}
	if len(seen) != len(pages)+len(api) {
		t.Errorf("the tables have %d routes, the listener %d: %q", len(pages)+len(api), len(seen), seen)
	}
}

func TestLoginAndLogout(t *testing.T) {
	t.Parallel()
	s := newInside(t, nil)
	a, cookie := s.login("marketer", passphrase)
	if a.StatusCode != 303 || a.Header.Get("Location") != "/" {
		t.Fatalf("login: %s to %q", a.Status, a.Header.Get("Location"))
	}
	set := a.Header.Get("Set-Cookie")
	if name, rest, _ := strings.Cut(set, "="); name != "sapa_session" || rest[43:] != "; Path=/; HttpOnly; SameSite=Strict" {
		t.Errorf("cookie is %s", set)
	}
	if a := s.get("/", cookie); a.StatusCode != 200 || !strings.Contains(a.body, "oil-change") || !strings.Contains(a.body, "marketer (marketer)") {
		t.Errorf("home: %s\n%s", a.Status, a.body)
	}
	if a := s.get("/login?next=/log", cookie); a.StatusCode != 303 || a.Header.Get("Location") != "/log" {
		t.Errorf("the login page, logged in: %s", a.Status)
	}
	if a := s.post("/logout", cookie); a.StatusCode != 303 || a.Header.Get("Location") != "/login" || !strings.HasPrefix(a.Header.Get("Set-Cookie"), "sapa_session=; Path=/; Max-Age=0") {
		t.Errorf("logout: %s %s", a.Status, a.Header.Get("Set-Cookie"))
	}
	if a := s.get("/", cookie); a.StatusCode != 303 {
		t.Errorf("the cookie still opens: %s", a.Status)
	}
	_, first := s.login("marketer", passphrase)
	form := url.Values{"name": {"marketer"}, "password": {passphrase}}
	again := s.do("POST", s.base+"/login", form.Encode(), "Cookie", first)
	if len(again.Cookies()) != 1 || again.Cookies()[0].Value == strings.TrimPrefix(first, "sapa_session=") {
		t.Error("a login keeps the secret from before")
	}
	if a := s.get("/", first); a.StatusCode != 303 {
		t.Error("the session from before the login goes on")
	}
}

// What a wrong login says does not depend on who was asked for, nor does the address to come back to.
func TestWrongLogins(t *testing.T) {
	t.Parallel()
	s := newInside(t, nil)
	say := func(name string) string {
		a, cookie := s.login(name, "wrong")
		if cookie != "" || len(a.Cookies()) > 0 {
			t.Errorf("%s is given a cookie", name)
		}
		return fmt.Sprintln(a.StatusCode, a.Header.Get("Retry-After"), strings.ReplaceAll(a.body, `value="`+name+`"`, `value="NAME"`))
	}
	for try := range 7 {
		known, unknown := say("marketer"), say("nobody")
		if diff := cmp.Diff(known, unknown); diff != "" {
			t.Errorf("try %d differs (-known +unknown):\n%s", try, diff)
		}
		want := "The name or the password is wrong."
		if try >= 5 {
			want = "There were too many wrong attempts. Try again in a minute."
		}
		if !strings.Contains(known, want) || try >= 5 != strings.HasPrefix(known, "429 30 ") {
			t.Errorf("try %d says\n%s", try, known)
		}
	}
	if _, cookie := s.login("marketer", passphrase); cookie != "" {
		t.Error("a blocked account is let in")
	}
	s.pass(30 * time.Second)
	if _, cookie := s.login("marketer", passphrase); cookie == "" {
		t.Error("after the block the right password is not let in")
	}
	if strings.Contains(s.log.text(), "wrong") || strings.Contains(s.log.text(), "nobody") {
		t.Errorf("the log says who tried what:\n%s", s.log.text())
	}
}

func TestOnlyOurOwnAddressesAfterLogin(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]string{
		"/log?actor=ani": "/log?actor=ani", "/runs/3": "/runs/3", "": "/", "//evil.example": "/", "///evil.example": "/", "https://evil.example/": "/", `/\evil.example`: "/",
		"evil": "/", "/login?next=/login": "/", "/logout": "/", "javascript:alert(1)": "/", "/a\nSet-Cookie: x": "/", "\\\\evil": "/", "/%zz": "/",
	} {
		if got := localPath(to); got != want {
			t.Errorf("%q leads to %q, want %q", to, got, want)
		}
	}
	s := newInside(t, nil)
	form := url.Values{"name": {"operator"}, "password": {passphrase}, "next": {"//evil.example"}}
	if a := s.do("POST", s.base+"/login", form.Encode()); a.Header.Get("Location") != "/" {
		t.Errorf("after the login to %s", a.Header.Get("Location"))
	}
}

func TestCrossSiteRequestsAreRefused(t *testing.T) {
	t.Parallel()
	s := newInside(t, nil)
	cookie := s.as(access.Operator)
	path := fmt.Sprintf("/runs/%d/pause", s.run.ID)
	for what, headers := range map[string][]string{
		"another site": {"Sec-Fetch-Site", "cross-site"}, "another port of this machine": {"Sec-Fetch-Site", "same-site"},
		"an old browser": {"Origin", "http://evil.example"}, "a page without origin": {"Origin", "null"},
	} {
		for _, to := range []string{path, "/login", "/logout", "/v1/runs/1/pause"} {
			a := s.do("POST", s.base+to, "x=1", append([]string{"Cookie", cookie}, headers...)...)
			if a.StatusCode != 403 || len(a.Cookies()) > 0 {
				t.Errorf("%s posts to %s: %s", what, to, a.Status)
			}
		}
	}
	if got := s.state(); got != "sending" {
		t.Errorf("the run is %s", got)
	}
	if a := s.do("POST", s.base+path, "", "Cookie", cookie, "Origin", s.base); a.StatusCode != 303 {
		t.Errorf("our own page: %s", a.Status)
	}
}

func TestPrivateHeaders(t *testing.T) {
	t.Parallel()
	s := newInside(t, func(d *PrivateDeps) { d.Secure = true })
	for _, path := range []string{"/login", "/", "/private.css", "/v1/runs", "/healthz", "/nothing"} {
		a := s.get(path, "")
		for header, want := range map[string]string{
			"Cache-Control": "no-store", "Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Content-Security-Policy":   "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"Strict-Transport-Security": "max-age=31536000", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := a.Header.Get(header); got != want {
				t.Errorf("%s: %s: %q, want %q", path, header, got, want)
			}
		}
	}
	a, _ := s.login("analyst", passphrase)
	if set := a.Header.Get("Set-Cookie"); !strings.HasPrefix(set, "__Host-sapa_session=") || !strings.HasSuffix(set, "; Path=/; HttpOnly; Secure; SameSite=Strict") {
		t.Errorf("cookie is %s", set)
	}
	if a := s.do("POST", s.base+"/login", "name=x&password="+strings.Repeat("x", maxBody)); a.StatusCode != 400 {
		t.Errorf("a body beyond the limit: %s", a.Status)
	}
}

func TestProbes(t *testing.T) {
	t.Parallel()
	s := newInside(t, func(d *PrivateDeps) { d.Ready = func(context.Context) error { return io.ErrUnexpectedEOF } })
	if a := s.get("/healthz", ""); a.StatusCode != 200 || a.body != "ok\n" {
		t.Errorf("healthz: %s %q", a.Status, a.body)
	}
	if a := s.get("/readyz", ""); a.StatusCode != 503 || a.body != "not ready; the log says why\n" {
		t.Errorf("readyz: %s %q", a.Status, a.body)
	}
}

// The database away is said, not shown.
func TestPrivateTrouble(t *testing.T) {
	t.Parallel()
	s := newInside(t, func(d *PrivateDeps) {
		d.Reports = func(context.Context, report.Filter) (report.Report, error) {
			return report.Report{}, fmt.Errorf("secret words: %w", io.ErrUnexpectedEOF)
		}
		d.Users = func(ctx context.Context) ([]access.User, error) { <-ctx.Done(); return nil, ctx.Err() }
	})
	if a := s.get("/", s.as(access.Analyst)); a.StatusCode != 503 || strings.Contains(a.body, "secret") || !strings.Contains(a.body, "The log of sapa serve says what it is") {
		t.Errorf("%s\n%s", a.Status, a.body)
	}
	if !strings.Contains(s.log.text(), "secret words") {
		t.Error("the log does not say what it is")
	}
	a := s.api("GET", "/v1/report", s.tokens[access.Analyst], "")
	if a.StatusCode != 503 || a.Header.Get("Retry-After") == "" || strings.Contains(a.body, "secret") {
		t.Errorf("%s\n%s", a.Status, a.body)
	}
}

// problemOf decodes an error of the API.
func problemOf(t *testing.T, a answer) problem {
	t.Helper()
	var e problem
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || a.Header.Get("Content-Type") != "application/problem+json" || e.Status != a.StatusCode || e.Title != http.StatusText(e.Status) {
		t.Errorf("%s %s is no problem: %v\n%s", a.Request.Method, a.Request.URL.Path, err, a.body)
	}
	return e
}
