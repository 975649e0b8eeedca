package main

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/secret"
	"github.com/sapa-crm/sapa/sandbox"
)

func configured(publicURL, smtp, twilio string) *session {
	config := &customer.Config{PublicURL: publicURL}
	if smtp != "" {
		config.Channels.Email = &customer.EmailSettings{SMTP: secret.Text(smtp), From: customer.Mailbox{Addr: "halo@bengkel.example"}}
	}
	if twilio != "" {
		config.Channels.SMS = &customer.SMSSettings{Twilio: secret.Text(twilio), From: "+628111234567"}
	}
	return &session{config: config}
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	s := configured("", "smtp://127.0.0.1:2525", "https://AC12:token@api.twilio.com")
	s.config.Channels.SMS.Rate = customer.Rate{Count: 600, Per: 60e9}
	accounts, err := s.accounts()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for name, a := range accounts {
		got[name] = a.Channel.Account()
		if a.Channel.Name() != name {
			t.Errorf("%s is registered as %s", a.Channel.Name(), name)
		}
	}
	if diff := cmp.Diff(map[string]string{"email": "smtp://127.0.0.1:2525", "sms": "https://api.twilio.com/AC12"}, got); diff != "" {
		t.Error(diff)
	}
	if a := accounts["sms"]; a.From.Addr != "+628111234567" || a.Rate != 10 || a.Connections != smsConnections {
		t.Errorf("%+v", a)
	}
	hooks, err := s.webhooks()
	if names := slices.Collect(maps.Keys(hooks)); err != nil || !slices.Equal(names, []string{"sms"}) {
		t.Error(names, err)
	}
}

// What sapa.yaml says of second accounts, warm-ups and recipients' domains reaches the engine.
func TestAccountsWithFallbacks(t *testing.T) {
	t.Parallel()
	config, problems := customer.LoadConfig("sapa.yaml", `
customers: {table: customers, key: id}
channels:
  email:
    smtp: smtp://one.example
    from: Halo <halo@bengkel.example>
    reply_to: cs@bengkel.example
    warm_up: {start: 500/day, double_every: 2d}
    domains: {gmail.com: 20/s}
    fallback: {smtp: "smtps://two.example", rate: 5/s, connections: 3, warm_up: {start: 100/day, double_every: 1d}}
  sms:
    twilio: https://AC12:t@api.twilio.com
    from: "+628111234567"
    fallback: {twilio: "https://AC13:t@api.twilio.com", messaging_service: MG123, rate: 1/s}
`, func(string) string { return "" })
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	s := &session{config: config}
	accounts, err := s.accounts()
	if err != nil {
		t.Fatal(err)
	}
	mail, sms := accounts["email"], accounts["sms"]
	second := mail.Fallback
	if mail.WarmUp == nil || *mail.WarmUp != (customer.WarmUp{Start: 500, DoubleEvery: 2}) || len(mail.Throttles) != 1 {
		t.Errorf("%+v", mail)
	}
	if second.Channel.Account() != "smtps://two.example:465" || second.From != mail.From || second.ReplyTo != mail.ReplyTo || second.Rate != 5 ||
		second.Connections != 3 || *second.WarmUp != (customer.WarmUp{Start: 100, DoubleEvery: 1}) || second.Fallback != nil {
		t.Errorf("%+v", second)
	}
	if second := sms.Fallback; second.Channel.Account() != "https://api.twilio.com/AC13" || second.From.Addr != "" || second.Rate != 1 || second.Connections != smsConnections {
		t.Errorf("%+v", second)
	}
	config.Channels.Email.Fallback.SMTP = "smtp://127.0.0.1"
	config.Channels.Email.SMTP, config.Channels.SMS = "smtp://127.0.0.1:2525", nil
	if _, err := s.publicURL(); err != nil {
		t.Error(err)
	}
	config.Channels.Email.Fallback.SMTP = "smtp://two.example"
	if _, err := s.publicURL(); err == nil {
		t.Error("a second account beyond this machine needs no public_url")
	}
}

func TestMissingAccounts(t *testing.T) {
	t.Parallel()
	for channel, want := range map[string]string{
		"email":  `no account for email in sapa.yaml: below channels:, write  email: {smtp: "${SMTP_URL}", from: "You <you@example.com>"}`,
		"sms":    `no account for sms in sapa.yaml: below channels:, write  sms: {twilio: "${TWILIO_URL}", from: "+628111234567"}`,
		"letter": `no account for letter in sapa.yaml: below channels:, write  letter: {}  and your address:  company: {name: Bengkel Maju, address: Jl. Pemuda 1, 50132 Semarang}`,
		"pager":  `this release of Sapa has no channel "pager"`,
	} {
		if _, err := configured("", "", "").account(channel); err == nil || err.Error() != want {
			t.Error(err)
		}
	}
	_, err := configured("", "", "https://AC12:to-ken@api.twilio.com").account("sms")
	const want = "sapa.yaml: channels.sms: user and password of the Twilio URL are letters and digits only: write " +
		"https://ACxxx:token@api.twilio.com, or https://SKxxx:secret@api.twilio.com/ACxxx with an API key"
	if err == nil || err.Error() != want {
		t.Error(err)
	}
}

// Customers, and the providers' reports, must find the way back unless everything stays on this machine.
func TestPublicURLIsNeededBeyondThisMachine(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ public, smtp, twilio, want string }{
		{"https://sapa.bengkel.example", "smtp://mail.example", "https://AC12:t@api.twilio.com", "https://sapa.bengkel.example"},
		{"", "smtp://127.0.0.1:2525", "http://AC12:t@localhost:8025", defaultPublic},
		{"", "", "", defaultPublic},
		{"", "smtp://mail.example", "", ""},
		{"", "", "https://AC12:t@api.twilio.com", ""},
		{"", "smtp://127.0.0.1:2525", "https://AC12:t@api.twilio.com", ""},
	} {
		got, err := configured(test.public, test.smtp, test.twilio).publicURL()
		if got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%+v: %q %v", test, got, err)
		}
	}
}

// The account from sapa.yaml, the sandbox's API, the signatures of its reports, and the price: one text all the way.
func TestTextThroughTheSandbox(t *testing.T) {
	t.Parallel()
	type call struct {
		url, signature string
		form           url.Values
	}
	calls := make(chan call, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		calls <- call{"http://" + r.Host + r.RequestURI, r.Header.Get("X-Twilio-Signature"), r.PostForm}
	}))
	t.Cleanup(hook.Close)
	box, err := sandbox.Start(t.Context(), sandbox.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	s := configured("", "", box.TwilioURL())
	account, err := s.account("sms")
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := sendOne(t.Context(), account.Channel, &channels.Message{
		ID: 1, Token: "t1", To: channels.Address{Addr: "+6281234567890"}, Text: "Halo 🎂", CallbackURL: hook.URL + "/hooks/sms/report/t1",
	})
	if err != nil || receipt.Code != http.StatusCreated || receipt.Segments != 1 || receipt.Encoding != "UCS-2" || receipt.HandedOver.IsZero() {
		t.Fatalf("%+v %v", receipt, err)
	}
	hooks, err := s.webhooks()
	if err != nil {
		t.Fatal(err)
	}
	for status := channels.ReportStatus(""); status != channels.ReportDelivered; {
		c := <-calls
		report, err := hooks["sms"].Report(c.url, c.signature, c.form)
		if err != nil || report.ProviderID != receipt.ProviderID {
			t.Fatalf("%+v %v", report, err)
		}
		status = report.Status
	}
	inquirers, err := s.inquirers()
	if err != nil {
		t.Fatal(err)
	}
	got, err := inquirers["sms"].Inquire(t.Context(), receipt.ProviderID)
	want := channels.Inquiry{Report: channels.Report{ProviderID: receipt.ProviderID, Status: channels.ReportDelivered}, Segments: 1, Price: "0.00750", Currency: "USD"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}
