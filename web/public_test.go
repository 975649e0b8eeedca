package web

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
	"github.com/sapa-crm/sapa/response"
)

func TestMain(m *testing.M) { pgtest.MainNoLeaks(m) }

const browser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// site is a public listener on loopback over a database with one run of ten messages.
type site struct {
	t      *testing.T
	pool   *pgxpool.Pool
	run    *ledgertest.Run
	urls   *response.URLs
	client *http.Client
	log    *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Builder.Write(p)
}

func (b *lockedBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.String()
}

func newSite(t *testing.T, change func(*PublicDeps)) *site {
	t.Helper()
	s := &site{t: t, pool: pgtest.Pool(t), log: &lockedBuffer{}}
	s.run = ledgertest.NewCampaign(t, s.pool, "oil-change", "service-reminders", "https://bengkel.example/booking").Run(t, "", 10)
	keys, err := response.LoadKeyring(t.Context(), s.pool)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	rec := response.NewRecorder(s.pool, response.RecorderOptions{Log: log})
	deps := PublicDeps{
		Tracker: response.NewTracker(s.pool, keys, rec), Company: "Bengkel Maju", Log: log,
		Now: func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) },
	}
	if change != nil {
		change(&deps)
	}
	base := serve(t, Public(deps))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := rec.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	if s.urls, err = response.NewURLs(base, keys); err != nil {
		t.Fatal(err)
	}
	jar, _ := cookiejar.New(nil)
	s.client = &http.Client{Jar: jar, Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

// serve answers on a port of loopback until the test ends.
func serve(t *testing.T, h http.Handler) (base string) {
	t.Helper()
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- ServeListener(ctx, l, h) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return "http://" + l.Addr().String()
}

type answer struct {
	*http.Response
	body string
}

func (s *site) do(method, url, body string, headers ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("User-Agent", browser)
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{res, string(text)}
}

func (s *site) lines(sql string, args ...any) []string {
	s.t.Helper()
	rows, _ := s.pool.Query(s.t.Context(), sql, args...)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

func (s *site) hits() []string {
	s.t.Helper()
	return s.lines(`select concat_ws(' ', kind, message_id - $1, host(ip), verdict) from hits order by id`, s.run.Base)
}

func (s *site) consents() []string {
	s.t.Helper()
	return s.lines(`select concat_ws(' ', customer_key, channel, topic, granted, source) from consents order by id`)
}

func TestPixel(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	a := s.do("GET", s.urls.Open(s.run.Base+1), "")
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "image/gif" || a.body != pixel || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %v %q", a.Status, a.Header, a.body)
	}
	if a = s.do("HEAD", s.urls.Open(s.run.Base+1), ""); a.StatusCode != 200 || a.body != "" || a.ContentLength != int64(len(pixel)) {
		t.Errorf("HEAD: %s %v %q", a.Status, a.Header, a.body)
	}
	if diff := cmp.Diff([]string{"open 1 127.0.0.1 human", "open 1 127.0.0.1 scanner"}, s.hits()); diff != "" {
		t.Error(diff)
	}
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	link, err := s.urls.Click(s.run.Base+2, response.HTML, 0, "plate=H+1234+AB")
	if err != nil {
		t.Fatal(err)
	}
	a := s.do("GET", link, "")
	if a.StatusCode != 302 || a.Header.Get("Location") != "https://bengkel.example/booking?plate=H+1234+AB" || a.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("%s %v", a.Status, a.Header)
	}
	if a := s.do("GET", link+"?url=https://evil.example", ""); a.Header.Get("Location") != "https://bengkel.example/booking?plate=H+1234+AB" {
		t.Errorf("leads to %s", a.Header.Get("Location"))
	}
	if diff := cmp.Diff([]string{"click 2 127.0.0.1 human", "click 2 127.0.0.1 human"}, s.hits()); diff != "" {
		t.Error(diff)
	}
}

func TestUnknownLinks(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	base, _, _ := strings.Cut(s.urls.Open(1), "/o/")
	cut := s.urls.Unsubscribe(s.run.Base + 1)
	for _, url := range []string{
		base + "/", base + "/o/", base + "/admin", base + "/c/https%3A%2F%2Fevil.example", s.urls.Open(s.run.Base+1) + "x",
		strings.Replace(s.urls.Open(s.run.Base+1), "/o/", "/c/", 1), cut[:len(cut)-2], s.urls.Unsubscribe(s.run.Base + 11),
	} {
		a := s.do("GET", url, "", "Accept-Language", "en")
		if a.StatusCode != 404 || !strings.Contains(a.body, "<h1>We don’t know this link</h1>") || a.Header.Get("Location") != "" {
			t.Errorf("GET %s: %s\n%s", url, a.Status, a.body)
		}
	}
	for url, method := range map[string]string{s.urls.Open(s.run.Base + 1): "POST", s.urls.Unsubscribe(s.run.Base + 1): "PUT"} {
		if a := s.do(method, url, ""); a.StatusCode != 405 || a.Header.Get("Allow") == "" {
			t.Errorf("%s %s: %s", method, url, a.Status)
		}
	}
	if got := s.hits(); len(got) > 0 {
		t.Errorf("recorded %q", got)
	}
}

func TestUnsubscribePage(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	url := s.urls.Unsubscribe(s.run.Base + 3)
	step := func(method, body, lang, want string, buttons ...string) {
		t.Helper()
		a := s.do(method, url, body, "Accept-Language", lang)
		if a.StatusCode != 200 || !strings.Contains(a.body, "<h1>"+want+"</h1>") {
			t.Fatalf("%s %q: %s\n%s", method, body, a.Status, a.body)
		}
		var got []string
		for _, part := range strings.Split(a.body, `value="`)[1:] {
			scope, _, _ := strings.Cut(part, `"`)
			got = append(got, scope)
		}
		if diff := cmp.Diff(buttons, got); diff != "" {
			t.Errorf("%s %q, buttons (-want +got):\n%s", method, body, diff)
		}
	}
	step("GET", "", "id-ID,id;q=0.9,en;q=0.8", "Berhenti berlangganan?", "topic", "everything")
	step("GET", "", "en-GB", "Unsubscribe?", "topic", "everything")
	step("GET", "", "", "Berhenti berlangganan?", "topic", "everything")
	if got := s.consents(); len(got) > 0 {
		t.Fatalf("a GET changed consent: %q", got)
	}
	step("POST", "scope=topic", "en", "You are unsubscribed", "everything", "back")
	step("POST", "scope=topic", "id", "Anda sudah berhenti berlangganan", "everything", "back")
	step("POST", "scope=everything", "en", "You are unsubscribed", "back")
	step("GET", "", "en", "You are unsubscribed", "back")
	step("POST", "scope=back", "en", "You are subscribed again", "topic", "everything")
	step("GET", "", "en", "Unsubscribe?", "topic", "everything")
	want := []string{
		"c3 email service-reminders f unsubscribe page",
		"c3 * * f unsubscribe page",
		"c3 email service-reminders t unsubscribe page",
	}
	if diff := cmp.Diff(want, s.consents()); diff != "" {
		t.Errorf("consents (-want +got):\n%s", diff)
	}
	got := s.lines(`select sum(total) || ' ' || sum(uniq) from response_totals where kind = 'unsubscribe'`)
	if diff := cmp.Diff([]string{"3 1"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestPageIsGuarded(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	a := s.do("GET", s.urls.Unsubscribe(s.run.Base+3), "", "Accept-Language", "de,en;q=0.5")
	for header, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow",
		"X-Content-Type-Options": "nosniff", "Content-Language": "en", "Set-Cookie": "",
	} {
		if got := a.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	policy := a.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy is %s", policy)
	}
	if strings.Contains(a.body, "<script") || !strings.Contains(a.body, `<html lang="en">`) || !strings.Contains(a.body, "“service reminders”") {
		t.Errorf("body is\n%s", a.body)
	}
	if !strings.Contains(a.body, "<style>"+pageCSS+"</style>") {
		t.Error("the style is not the one whose hash is in the policy")
	}
	if a := s.do("GET", s.urls.Unsubscribe(s.run.Base+3)+"?lang=id", "", "Accept-Language", "en"); a.Header.Get("Content-Language") != "id" {
		t.Errorf("?lang=id is in %s", a.Header.Get("Content-Language"))
	}
}

// RFC 8058 section 3.1: a POST with this one field, urlencoded or multipart, without cookies; no redirect.
func TestOneClick(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	a := s.do("POST", s.urls.Unsubscribe(s.run.Base+4), "List-Unsubscribe=One-Click", "User-Agent", "")
	if a.StatusCode != 200 || a.body != "unsubscribed\n" || len(a.Cookies()) > 0 {
		t.Errorf("%s %q", a.Status, a.body)
	}
	var form strings.Builder
	m := multipart.NewWriter(&form)
	if err := errors.Join(m.WriteField("List-Unsubscribe", "One-Click"), m.Close()); err != nil {
		t.Fatal(err)
	}
	a = s.do("POST", s.urls.Unsubscribe(s.run.Base+5), form.String(), "Content-Type", m.FormDataContentType())
	if a.StatusCode != 200 || a.body != "unsubscribed\n" {
		t.Errorf("%s %q", a.Status, a.body)
	}
	want := []string{"c4 email service-reminders f one-click", "c5 email service-reminders f one-click"}
	if diff := cmp.Diff(want, s.consents()); diff != "" {
		t.Errorf("consents (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"unsubscribe 4 127.0.0.1 human", "unsubscribe 5 127.0.0.1 human"}, s.hits()); diff != "" {
		t.Error(diff)
	}
}

func TestBadForms(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	url := s.urls.Unsubscribe(s.run.Base + 4)
	for body, status := range map[string]int{
		"": 400, "scope=nothing": 400, "List-Unsubscribe=Maybe": 400, "a=%zz": 400,
		"scope=topic&x=" + strings.Repeat("x", maxForm): 400,
	} {
		if a := s.do("POST", url, body); a.StatusCode != status {
			t.Errorf("POST of %d bytes %.20q: %s", len(body), body, a.Status)
		}
	}
	if a := s.do("POST", url+"?scope=topic", ""); a.StatusCode != 400 {
		t.Errorf("a POST whose field is in the URL: %s", a.Status)
	}
	if got := s.consents(); len(got) > 0 {
		t.Errorf("changed consent: %q", got)
	}
}

// When the decision can't be recorded, the page says so and nothing is confirmed.
func TestTroubleIsNotConfirmed(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	ledgertest.Exec(t, s.pool, `alter table consents rename to consents_away`)
	for _, body := range []string{"scope=topic", "List-Unsubscribe=One-Click"} {
		a := s.do("POST", s.urls.Unsubscribe(s.run.Base+4), body, "Accept-Language", "en")
		if a.StatusCode != 503 || a.Header.Get("Retry-After") == "" || !strings.Contains(a.body, "Your request has not been recorded.") {
			t.Errorf("%s: %s\n%s", body, a.Status, a.body)
		}
	}
}

func TestLogsNameNobody(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	open := s.urls.Open(s.run.Base + 1)
	_, token, _ := strings.Cut(open, "/o/")
	s.do("GET", open, "")
	s.do("GET", strings.Replace(open, "/o/", "/c/", 1), "")
	s.do("GET", strings.Replace(open, "/o/", "/x/", 1), "")
	text := s.log.text()
	if !strings.Contains(text, "route=/o/{token} status=200") || !strings.Contains(text, "route=/c/{token} status=404") || !strings.Contains(text, "route=other status=404") {
		t.Errorf("log lacks the requests:\n%s", text)
	}
	if strings.Contains(text, token) || strings.Contains(text, "127.0.0.1") {
		t.Errorf("log names somebody:\n%s", text)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	sick := errors.New("no connection")
	var mu sync.Mutex
	var state error
	s := newSite(t, func(d *PublicDeps) {
		d.PublicURL = "https://bengkel.example/sapa/"
		d.Healthy = func(context.Context) error { mu.Lock(); defer mu.Unlock(); return state }
	})
	base, _, _ := strings.Cut(s.urls.Open(1), "/o/")
	if a := s.do("GET", base+"/sapa/healthz", ""); a.StatusCode != 200 || a.body != "ok\n" {
		t.Errorf("%s %q", a.Status, a.body)
	}
	mu.Lock()
	state = sick
	mu.Unlock()
	if a := s.do("GET", base+"/healthz", ""); a.StatusCode != 503 || a.body != "the database does not answer\n" {
		t.Errorf("%s %q", a.Status, a.body)
	}
}

func TestPanicIsOutlived(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(d *PublicDeps) {
		d.Healthy = func(context.Context) error { panic("boom") }
	})
	base, _, _ := strings.Cut(s.urls.Open(1), "/o/")
	if a := s.do("GET", base+"/healthz", ""); a.StatusCode != 500 || strings.Contains(a.body, "boom") {
		t.Errorf("%s %q", a.Status, a.body)
	}
	if !strings.Contains(s.log.text(), "panic=boom") {
		t.Error("the panic is not logged")
	}
	if a := s.do("GET", s.urls.Open(s.run.Base+1), ""); a.StatusCode != 200 {
		t.Errorf("afterwards: %s", a.Status)
	}
}

func TestClientIP(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, c := range []struct {
		remote    string
		forwarded []string
		trusted   []netip.Prefix
		want      string
	}{
		{"203.0.113.9:1", []string{"198.51.100.1"}, nil, "203.0.113.9"},
		{"203.0.113.9:1", []string{"198.51.100.1"}, proxies, "203.0.113.9"},
		{"10.0.0.1:1", []string{"198.51.100.1"}, proxies, "198.51.100.1"},
		{"[::ffff:10.0.0.1]:1", []string{"198.51.100.1"}, proxies, "198.51.100.1"},
		{"10.0.0.1:1", []string{"6.6.6.6, 198.51.100.1, 10.9.9.9"}, proxies, "198.51.100.1"},
		{"10.0.0.1:1", []string{"6.6.6.6", "198.51.100.1"}, proxies, "198.51.100.1"},
		{"10.0.0.1:1", []string{"garbage"}, proxies, "10.0.0.1"},
		{"10.0.0.1:1", nil, proxies, "10.0.0.1"},
		{"[fe80::1%eth0]:1", nil, nil, "fe80::1"},
		{"pipe", nil, nil, "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := clientIP(r, c.trusted).String(); got != c.want {
			t.Errorf("%s via %q: %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
}

// A request under way is answered when the server stops.
func TestServeDrains(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-release
		_, _ = w.Write([]byte("done"))
	})
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- ServeListener(ctx, l, h) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	body := make(chan string, 1)
	go func() {
		res, err := client.Get("http://" + l.Addr().String())
		if err != nil {
			body <- err.Error()
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		body <- string(b)
	}()
	<-begun
	stop()
	close(release)
	if got := <-body; got != "done" {
		t.Errorf("the request got %q", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("serve: %v", err)
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = Serve(t.Context(), l.Addr().String(), http.NotFoundHandler())
	want := "listen on " + l.Addr().String() + ": another process uses it\n  stop that one, or choose another port"
	if err == nil || err.Error() != want {
		t.Errorf("error is %v", err)
	}
}

func TestPrefixes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		"": {""}, "https://x": {""}, "https://x/": {""}, "https://x/sapa/": {"", "/sapa"}, "https://x/a/b": {"", "/a/b"},
	} {
		if diff := cmp.Diff(want, prefixes(in)); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
	}
}
