package web

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // HMAC-SHA1 is Twilio's choice
	"encoding/base64"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/twilio"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/response"
)

const authToken = "12345"

// phoneSite is a site whose messages are texts by Twilio, and where public_url leads.
type phoneSite struct {
	*site
	public string
}

func newPhoneSite(t *testing.T, public string) *phoneSite {
	t.Helper()
	cfg, err := twilio.Parse("http://ACsandbox:" + authToken + "@127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	cfg.From = "+628119999999"
	channel, err := twilio.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := &phoneSite{public: public}
	s.site = newSite(t, func(d *PublicDeps) {
		d.PublicURL, d.Webhooks = public, map[string]channels.Webhook{"sms": channel}
		d.Hooks = response.NewHooks(d.Tracker, response.HookOptions{Company: d.Company, Log: slog.New(slog.DiscardHandler)})
	})
	hasher, err := customer.LoadHasher(t.Context(), s.pool)
	if err != nil {
		t.Fatal(err)
	}
	const number = "+628110000001"
	ledgertest.Exec(t, s.pool, `
		with a as (insert into addresses (channel, raw, normalised, hash) values ('sms', $1, $1, $2) returning id)
		update messages m set channel = 'sms', address_id = a.id, state = 'sent' from a where m.id = $3`, number, hasher.Hash("sms", number), s.run.Base+1)
	return s
}

// base is where the test reaches the listener; urls names it.
func (s *phoneSite) base() string {
	base, _, _ := strings.Cut(s.urls.Open(1), "/o/")
	return base
}

// sign is Twilio's signature (https://www.twilio.com/docs/usage/security).
func sign(token, address string, form url.Values) string {
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(address))
	for _, key := range slices.Sorted(maps.Keys(form)) {
		mac.Write([]byte(key + form.Get(key)))
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// post sends a form to path as a proxy would, with its own idea of the host, signed for the address that Twilio was told.
func (s *phoneSite) post(path, told string, form url.Values, headers ...string) answer {
	s.t.Helper()
	return s.do("POST", s.base()+path, form.Encode(), append([]string{"X-Twilio-Signature", sign(authToken, told, form)}, headers...)...)
}

func delivered(sid string) url.Values {
	return url.Values{"MessageSid": {sid}, "MessageStatus": {"delivered"}, "AccountSid": {"ACsandbox"}, "To": {"+628110000001"}}
}

func texted(sid, text string) url.Values {
	return url.Values{"MessageSid": {sid}, "From": {"+628110000001"}, "To": {"+628119999999"}, "Body": {text}, "NumMedia": {"0"}}
}

func (s *phoneSite) reports() []string {
	s.t.Helper()
	return s.lines(`select concat_ws(' ', message_id - $1, provider_id, status) from delivery_reports order by 1`, s.run.Base)
}

func (s *phoneSite) reportPath(n int64) string {
	return "/hooks/sms/report/" + s.urls.MessageToken(s.run.Base+n)
}

// What is signed for public_url counts, wherever the proxy sends it; what is not leaves no trace.
func TestReportSignatures(t *testing.T) {
	t.Parallel()
	s := newPhoneSite(t, "https://bengkel.example/sapa")
	told := func(n int64) string { return s.public + s.reportPath(n) }
	form := delivered("SM1")
	for name, c := range map[string]struct {
		n       int64
		path    string // where the proxy sends it
		headers []string
		form    url.Values
		want    int
	}{
		"prefix kept":      {n: 1, path: "/sapa" + s.reportPath(1), want: 204},
		"prefix stripped":  {n: 2, path: s.reportPath(2), want: 204},
		"port named":       {n: 3, path: s.reportPath(3), want: 204, headers: []string{"X-Twilio-Signature", sign(authToken, strings.Replace(told(3), ".example", ".example:443", 1), form)}},
		"signed for Host":  {n: 4, path: s.reportPath(4), want: 403, headers: []string{"X-Twilio-Signature", sign(authToken, s.base()+s.reportPath(4), form)}},
		"another token":    {n: 5, path: s.reportPath(5), want: 403, headers: []string{"X-Twilio-Signature", sign("54321", told(5), form)}},
		"another message":  {n: 6, path: s.reportPath(7), want: 403},
		"no signature":     {n: 8, path: s.reportPath(8), want: 403, headers: []string{"X-Twilio-Signature", ""}},
		"nonsense":         {n: 8, path: s.reportPath(8), want: 403, headers: []string{"X-Twilio-Signature", "%%%"}},
		"another query":    {n: 8, path: s.reportPath(8) + "?x=1", want: 403},
		"changed form":     {n: 8, path: s.reportPath(8), form: delivered("SM8"), want: 403},
		"nothing reported": {n: 8, path: s.reportPath(8), form: url.Values{"MessageSid": {"SM8"}}, want: 400, headers: []string{"X-Twilio-Signature", sign(authToken, told(8), url.Values{"MessageSid": {"SM8"}})}},
	} {
		sent := form
		if c.form != nil {
			sent = c.form
		}
		headers := append([]string{"X-Twilio-Signature", sign(authToken, told(c.n), form)}, c.headers...)
		got := s.do("POST", s.base()+c.path, sent.Encode(), headers...)
		if got.StatusCode != c.want {
			t.Errorf("%s: %d %s, want %d", name, got.StatusCode, got.body, c.want)
		}
	}
	if diff := cmp.Diff([]string{"1 SM1 delivered", "2 SM1 delivered", "3 SM1 delivered"}, s.reports()); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
}

// A report that comes again changes nothing; a token of another kind, or of nothing, is not found though Twilio signed it.
func TestReportsOverHTTP(t *testing.T) {
	t.Parallel()
	s := newPhoneSite(t, "https://bengkel.example")
	form := delivered("SM1")
	for range 3 {
		if got := s.post(s.reportPath(1), s.public+s.reportPath(1), form); got.StatusCode != 204 || got.body != "" {
			t.Errorf("%d %q", got.StatusCode, got.body)
		}
	}
	if diff := cmp.Diff([]string{"delivered 1/1"}, s.lines(`select kind || ' ' || sum(total) || '/' || sum(uniq) from response_totals group by kind`)); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	_, openToken, _ := strings.Cut(s.urls.Open(s.run.Base+2), "/o/")
	for path, want := range map[string]int{
		"/hooks/sms/report/" + openToken:                       404,
		"/hooks/sms/report/nonsense":                           404,
		"/hooks/fax/report/" + s.urls.MessageToken(s.run.Base): 404,
		"/hooks/sms":       404,
		"/hooks/sms/other": 404,
		"/hooks/":          404,
	} {
		if got := s.post(path, s.public+path, form); got.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, got.StatusCode, want)
		}
	}
	if got := s.do("GET", s.base()+s.reportPath(1), ""); got.StatusCode != 405 || got.Header.Get("Allow") != "POST" {
		t.Errorf("GET: %d, Allow %q", got.StatusCode, got.Header.Get("Allow"))
	}
	large := delivered("SM2")
	large.Set("Body", strings.Repeat("x", maxHook))
	if got := s.post(s.reportPath(2), s.public+s.reportPath(2), large); got.StatusCode != 413 {
		t.Errorf("a large form: %d", got.StatusCode)
	}
	ledgertest.Exec(t, s.pool, `alter table delivery_reports rename to away`)
	if got := s.post(s.reportPath(3), s.public+s.reportPath(3), form); got.StatusCode != 503 {
		t.Errorf("without a table: %d", got.StatusCode)
	}
	ledgertest.Exec(t, s.pool, `alter table away rename to delivery_reports`)
	if diff := cmp.Diff([]string{"1 SM1 delivered"}, s.reports()); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
	for _, secret := range []string{"+62811", s.urls.MessageToken(s.run.Base + 1), authToken} {
		if strings.Contains(s.log.text(), secret) {
			t.Errorf("the log names %q:\n%s", secret, s.log.text())
		}
	}
}

// A text is answered in TwiML, and again the same when Twilio repeats itself.
func TestInboundOverHTTP(t *testing.T) {
	t.Parallel()
	s := newPhoneSite(t, "https://bengkel.example/sapa")
	const told = "https://bengkel.example/sapa/hooks/sms/inbound?account=1"
	const head = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	for _, c := range []struct{ sid, text, want string }{
		{"IN1", "Besok jam 9 ya", "<Response></Response>\n"},
		{"IN2", "berhenti", "<Response><Message>Bengkel Maju: Anda tidak akan menerima SMS dari kami lagi. Balas MULAI untuk menerimanya lagi.</Message></Response>\n"},
		{"IN2", "berhenti", "<Response><Message>Bengkel Maju: Anda tidak akan menerima SMS dari kami lagi. Balas MULAI untuk menerimanya lagi.</Message></Response>\n"},
	} {
		got := s.post("/hooks/sms/inbound?account=1", told, texted(c.sid, c.text))
		if got.StatusCode != 200 || got.body != head+c.want || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/xml") {
			t.Errorf("%q: %d %s %q", c.text, got.StatusCode, got.Header.Get("Content-Type"), got.body)
		}
	}
	if got := s.post("/hooks/sms/inbound", told, texted("IN3", "stop")); got.StatusCode != 403 {
		t.Errorf("with another address: %d", got.StatusCode)
	}
	if diff := cmp.Diff([]string{"IN1 reply 1", "IN2 stop 1"}, s.lines(`select concat_ws(' ', provider_id, kind, message_id - $1) from inbound order by id`, s.run.Base)); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if got := s.lines(`select channel || ' ' || reason from suppressions`); !slices.Equal(got, []string{"sms stop"}) {
		t.Errorf("suppressions %q", got)
	}
	if strings.Contains(s.log.text(), "+62811") || strings.Contains(s.log.text(), "berhenti") {
		t.Errorf("the log names a customer:\n%s", s.log.text())
	}
	ledgertest.Exec(t, s.pool, `alter table inbound rename to away`)
	if got := s.post("/hooks/sms/inbound?account=1", told, texted("IN4", "stop")); got.StatusCode != 503 {
		t.Errorf("without a table: %d", got.StatusCode)
	}
}

// A public_url whose own path is that of the hooks is no channel.
func TestHooksBelowHooks(t *testing.T) {
	t.Parallel()
	s := newPhoneSite(t, "https://bengkel.example/hooks")
	for n, prefix := range []string{"", "/hooks"} {
		path := s.reportPath(int64(n))
		if got := s.post(prefix+path, s.public+path, delivered("SM1")); got.StatusCode != 204 {
			t.Errorf("%s%s: %d", prefix, path, got.StatusCode)
		}
	}
}
