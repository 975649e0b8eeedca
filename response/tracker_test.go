package response

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

const browser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

var someone = Visit{At: noon, Method: "GET", UserAgent: browser, IP: netip.MustParseAddr("2001:db8::7")}

// bundle is a Tracker on a database with one run of ten messages.
type bundle struct {
	pool    *pgxpool.Pool
	keys    *Keyring
	urls    *URLs
	rec     *Recorder
	tracker *Tracker
	run     *ledgertest.Run
}

func setup(t testing.TB) *bundle {
	t.Helper()
	pool := pgtest.Pool(t)
	b := &bundle{pool: pool}
	b.run = ledgertest.NewCampaign(t, pool, "oil-change", "service-reminders",
		"https://bengkel.example/booking?from=mail#times", "https://bengkel.example/", "ftp://bengkel.example/").Run(t, "", 10)
	var err error
	if b.keys, err = LoadKeyring(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	if b.urls, err = NewURLs("https://sapa.example", b.keys); err != nil {
		t.Fatal(err)
	}
	b.rec = newRecorder(t, pool, RecorderOptions{})
	b.tracker = NewTracker(pool, b.keys, b.rec)
	return b
}

// token is the last segment of a URL.
func token(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

func (b *bundle) click(t testing.TB, n int64, link int, query string) string {
	t.Helper()
	url, err := b.urls.Click(b.run.Base+n, HTML, link, query)
	if err != nil {
		t.Fatal(err)
	}
	return token(url)
}

func (b *bundle) unsubscribe(n int64) string { return token(b.urls.Unsubscribe(b.run.Base + n)) }

func TestClickLeadsToTheFixedAddress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i, c := range []struct {
		link        int
		query, want string
	}{
		{0, "", "https://bengkel.example/booking?from=mail#times"},
		{0, "plate=H+1234+AB", "https://bengkel.example/booking?from=mail&plate=H+1234+AB#times"},
		{1, "name=Siti%20N&x=1", "https://bengkel.example/?name=Siti%20N&x=1"},
		{1, "a=é b\r\nSet-Cookie: x#\"<", "https://bengkel.example/?a=%C3%A9%20b%0D%0ASet-Cookie:%20x%23%22%3C"},
	} {
		visit := someone
		visit.At = noon.Add(time.Duration(i) * time.Minute)
		got, err := b.tracker.Click(t.Context(), b.click(t, 1, c.link, c.query), visit)
		if err != nil || got != c.want {
			t.Errorf("link %d with %q leads to %q (%v), want %q", c.link, c.query, got, err, c.want)
		}
	}
	got := lines(t, b.pool, `select concat_ws(' ', kind, part, link, host(ip), verdict) from hits order by id limit 1`)
	if diff := cmp.Diff([]string{"click html 0 2001:db8::7 human"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestClickRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	elsewhere, err := b.urls.Click(99<<44|1, HTML, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token string
		want  error
	}{
		"no token":         {"https://evil.example", ErrToken},
		"another kind":     {token(b.urls.Open(b.run.Base + 1)), ErrToken},
		"no such link":     {b.click(t, 1, 9, ""), ErrNoLink},
		"not http":         {b.click(t, 1, 2, ""), ErrNoLink},
		"no such run":      {token(elsewhere), ErrNoLink},
		"past the run":     {b.click(t, 11, 0, ""), ErrNoLink},
		"before the first": {b.click(t, 0, 0, ""), ErrNoLink},
	} {
		if target, err := b.tracker.Click(t.Context(), c.token, someone); !errors.Is(err, c.want) {
			t.Errorf("%s: %q, %v", name, target, err)
		}
	}
	if err := b.tracker.Open(t.Context(), b.click(t, 1, 0, ""), someone); !errors.Is(err, ErrToken) {
		t.Errorf("a click's token opens: %v", err)
	}
	if got := lines(t, b.pool, `select kind from hits`); len(got) > 0 {
		t.Errorf("recorded %q", got)
	}
}

func TestClickDoesNotWaitForItsRow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	release := block(t, b.pool)
	defer release()
	start := time.Now()
	if _, err := b.tracker.Click(t.Context(), b.click(t, 1, 1, ""), someone); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took < Patience || took > Patience+2*time.Second {
		t.Errorf("the redirect took %v", took)
	}
	release()
	closeRecorder(t, b.rec)
	if diff := cmp.Diff([]string{"click 1/1", "click html 1 1/1"}, totals(t, b.pool)); diff != "" {
		t.Error(diff)
	}
	if s := b.rec.Stats(); s.Late != 1 {
		t.Errorf("stats: %+v", s)
	}
}

// A database that hangs keeps nobody waiting for an address that is not in memory, and no connection busy.
func TestClickGivesUpLookingForItsAddress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, table := range []string{"runs", "links"} {
		release := lock(t, b.pool, table)
		defer release()
		start := time.Now()
		target, err := b.tracker.Click(t.Context(), b.click(t, 1, 1, ""), someone)
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNoLink) {
			t.Errorf("with %s locked: %q, %v", table, target, err)
		}
		if took := time.Since(start); took > lookUpPatience+2*time.Second {
			t.Errorf("with %s locked: the answer took %v", table, took)
		}
		release()
	}
	if _, err := b.tracker.Click(t.Context(), b.click(t, 1, 1, ""), someone); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A serving process learns of a key that another one added.
func TestTrackerReloadsKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ledgertest.Exec(t, b.pool, `insert into signing_keys (secret) values (decode(repeat('5a', 32), 'hex'))`)
	newer, err := LoadKeyring(t.Context(), b.pool)
	if err != nil {
		t.Fatal(err)
	}
	text := mustSign(t, newer, Token{Kind: Open, MessageID: b.run.Base + 1})
	if err := b.tracker.Open(t.Context(), text, someone); err != nil {
		t.Error(err)
	}
	forged := mustSign(t, ring(9), Token{Kind: Open, MessageID: b.run.Base + 1})
	if err := b.tracker.Open(t.Context(), forged, someone); !errors.Is(err, ErrToken) {
		t.Errorf("forged: %v", err)
	}
	if b.tracker.mayReload(noon.Add(9 * time.Second)) {
		t.Error("forged tokens make us read the keys again and again")
	}
}

func consents(t testing.TB, b *bundle) []string {
	return lines(t, b.pool, `
		select concat_ws(' ', customer_key, channel, topic, granted, source, (evidence->>'message')::bigint - $1, evidence->>'ip', nullif(left(evidence->>'user_agent', 7), ''))
		from consents order by id`, b.run.Base)
}

func TestUnsubscribe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	check := func(step string, got Subscription, err error, want Subscription) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", step, err, diff)
		}
	}
	topic, mail := customer.Topic{Name: "service-reminders"}, "email"

	s, err := b.tracker.Subscription(ctx, b.unsubscribe(3), someone)
	check("page", s, err, Subscription{Topic: topic, Channel: mail})
	if got := consents(t, b); len(got) > 0 {
		t.Fatalf("looking at the page changed consent: %q", got)
	}
	s, err = b.tracker.Unsubscribe(ctx, b.unsubscribe(3), ThisTopic, ByOneClick, someone)
	check("one click", s, err, Subscription{Topic: topic, Channel: mail, Ended: true})
	s, err = b.tracker.Unsubscribe(ctx, b.unsubscribe(3), ThisTopic, ByPage, someone)
	check("again", s, err, Subscription{Topic: topic, Channel: mail, Ended: true})
	s, err = b.tracker.Unsubscribe(ctx, b.unsubscribe(3), Everything, ByPage, someone)
	check("everything", s, err, Subscription{Topic: topic, Channel: mail, Ended: true, All: true})
	s, err = b.tracker.Resubscribe(ctx, b.unsubscribe(3), someone)
	check("way back", s, err, Subscription{Topic: topic, Channel: mail})
	s, err = b.tracker.Subscription(ctx, b.unsubscribe(4), someone)
	check("somebody else", s, err, Subscription{Topic: topic, Channel: mail})

	want := []string{
		"c3 email service-reminders f one-click 3 2001:db8::7 Mozilla",
		"c3 * * f unsubscribe page 3 2001:db8::7 Mozilla",
		"c3 email service-reminders t unsubscribe page 3 2001:db8::7 Mozilla",
	}
	if diff := cmp.Diff(want, consents(t, b)); diff != "" {
		t.Errorf("consents (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"unsubscribe 3/1"}, totals(t, b.pool)); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	hits := lines(t, b.pool, `select kind from hits order by id`)
	if diff := cmp.Diff([]string{"page", "unsubscribe", "unsubscribe", "unsubscribe", "resubscribe", "page"}, hits); diff != "" {
		t.Errorf("hits (-want +got):\n%s", diff)
	}
}

// An unsubscribe that can't be committed is not confirmed and leaves nothing behind.
func TestUnsubscribeIsAllOrNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ledgertest.Exec(t, b.pool, `alter table responses rename to responses_away`)
	if _, err := b.tracker.Unsubscribe(t.Context(), b.unsubscribe(3), ThisTopic, ByPage, someone); err == nil {
		t.Error("confirmed")
	}
	if got := consents(t, b); len(got) > 0 {
		t.Errorf("half done: %q", got)
	}
}

// The link of a message whose month was dropped still unsubscribes, on every channel.
func TestUnsubscribeFromADroppedMonth(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ledgertest.Exec(t, b.pool, `delete from messages`)
	s, err := b.tracker.Unsubscribe(t.Context(), b.unsubscribe(3), ThisTopic, ByPage, Visit{At: noon, Method: "POST"})
	if diff := cmp.Diff(Subscription{Topic: customer.Topic{Name: "service-reminders"}, Channel: "*", Ended: true}, s); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"c3 * service-reminders f unsubscribe page 3"}, consents(t, b)); diff != "" {
		t.Error(diff)
	}
	ledgertest.Exec(t, b.pool, `delete from occasions`)
	if _, err := b.tracker.Subscription(t.Context(), b.unsubscribe(3), someone); !errors.Is(err, ErrNoLink) {
		t.Errorf("nobody known: %v", err)
	}
}

// A message that does not know its channel any more ends every channel, also one that was granted again in between.
func TestUnsubscribeFromADroppedMonthAfterComingBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	later := b.run.Campaign.Run(t, "later", 3)
	newer := token(b.urls.Unsubscribe(later.Base + 3))
	ledgertest.Exec(t, b.pool, `delete from messages where run_id = $1`, b.run.ID)
	older := b.unsubscribe(3)
	ctx := t.Context()
	unsubscribe := func(s string) (Subscription, error) {
		return b.tracker.Unsubscribe(ctx, s, ThisTopic, ByOneClick, Visit{At: noon, Method: "POST"})
	}
	look := func(s string) (Subscription, error) { return b.tracker.Subscription(ctx, s, someone) }
	back := func(s string) (Subscription, error) {
		return b.tracker.Resubscribe(ctx, s, Visit{At: noon, Method: "POST"})
	}
	for i, step := range []struct {
		do    func(string) (Subscription, error)
		token string
		ended bool
	}{
		{unsubscribe, older, true},
		{back, newer, false},
		{look, older, false},
		{unsubscribe, older, true},
		{unsubscribe, older, true},
		{look, newer, true},
		{back, older, false},
		{unsubscribe, newer, true},
		{back, older, false},
		{look, newer, false},
	} {
		if s, err := step.do(step.token); err != nil || s.Ended != step.ended {
			t.Errorf("step %d: %+v, %v", i+1, s, err)
		}
	}
	want := []string{"* f", "email t", "* f", "* t", "email f", "* t"}
	got := lines(t, b.pool, `select channel || ' ' || left(granted::text, 1) from consents where topic = 'service-reminders' order by id`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("consents (-want +got):\n%s", diff)
	}
}

func TestConcurrentUnsubscribesWriteOneRow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	errs := make(chan error)
	for range 8 {
		go func() {
			_, err := b.tracker.Unsubscribe(context.WithoutCancel(t.Context()), b.unsubscribe(3), ThisTopic, ByOneClick, someone)
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got := consents(t, b); len(got) != 1 {
		t.Errorf("consents: %q", got)
	}
	if diff := cmp.Diff([]string{"unsubscribe 8/1"}, totals(t, b.pool)); diff != "" {
		t.Error(diff)
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	const gmail = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
	const prefetch = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0"
	for _, c := range []struct {
		r       Request
		verdict Verdict
		reason  string
	}{
		{Request{Method: "GET", UserAgent: browser}, Human, ""},
		{Request{Method: "GET", UserAgent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"}, Human, ""},
		{Request{Method: "HEAD", UserAgent: browser}, Scanner, "HEAD request"},
		{Request{Method: "GET", UserAgent: browser, Purpose: "prefetch"}, Scanner, "prefetch"},
		{Request{Method: "GET"}, Scanner, "no user agent"},
		{Request{Method: "GET", UserAgent: "Mozilla/5.0"}, Proxy, "Apple Mail Privacy Protection"},
		{Request{Method: "GET", UserAgent: prefetch}, Proxy, "Gmail prefetch"},
		{Request{Method: "GET", UserAgent: gmail}, Human, "through Google's image proxy"},
		{Request{Method: "GET", UserAgent: "YahooMailProxy; https://help.yahoo.com/"}, Human, "through Yahoo's image proxy"},
		{Request{Method: "GET", UserAgent: "Mozilla/5.0 (compatible; bingbot/2.0)"}, Scanner, "program: bot"},
		{Request{Method: "GET", UserAgent: "Python-urllib/3.12"}, Scanner, "program: python"},
		{Request{Method: "GET", UserAgent: "Mozilla/5.0 (Linux; Android 10; CUBOT X30) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36"}, Human, ""},
		{Request{Method: "GET", UserAgent: "Mozilla/5.0 (Linux; Android 9; CUBOT) AppleWebKit/537.36"}, Human, ""},
		{Request{Method: "GET", UserAgent: "Mozilla/5.0 (Linux; U; Android 12; CUBOT_P50)"}, Human, ""},
		{Request{Method: "GET", UserAgent: "Mozilla/5.0 (Linux; Android 13; Rubyphone Helwps) HealthMonitorApp/1.0"}, Human, ""},
		{Request{Method: "GET", UserAgent: "TelegramBot (like TwitterBot)"}, Scanner, "program: bot"},
		{Request{Method: "GET", UserAgent: "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"}, Scanner, "program: bot"},
		{Request{Method: "GET", UserAgent: "Slack-ImgProxy (+https://api.slack.com/robots)"}, Scanner, "program: robots"},
		{Request{Method: "GET", UserAgent: "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)"}, Scanner, "program: bot"},
		{Request{Method: "GET", UserAgent: "Ruby"}, Scanner, "program: ruby"},
		{Request{Method: "GET", UserAgent: "LWP::Simple/6.67"}, Scanner, "program: lwp"},
		{Request{Method: "GET", UserAgent: "Site Monitor/2.1"}, Scanner, "program: monitor"},
	} {
		if v, reason := Judge(c.r); v != c.verdict || reason != c.reason {
			t.Errorf("%+v: %s, %q", c.r, v, reason)
		}
	}
}
