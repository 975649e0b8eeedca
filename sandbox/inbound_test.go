package sandbox

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func xmlAnswer(body string) func(url.Values) (int, string, string) {
	return func(url.Values) (int, string, string) { return http.StatusOK, "text/xml; charset=utf-8", body }
}

func TestACustomerWrites(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	s := start(t, Config{InboundURL: h.URL + "/hooks/sms/inbound"})
	for twiml, want := range map[string]string{
		``: "",
		`<?xml version="1.0" encoding="UTF-8"?><Response/>`:                                 "",
		`<Response><Message>Terima kasih &amp; salam</Message></Response>`:                  "Terima kasih & salam",
		`<Response><Message><Body>Satu</Body></Message><Message>Dua</Message></Response>`:   "Satu\nDua",
		`<Response><Message to="+1"><Body>Satu</Body><Media>x</Media></Message></Response>`: "Satu",
		"<Response>\n  <Message>\n    Rapi\n  </Message>\n</Response>":                      "Rapi",
	} {
		h.answerWith(xmlAnswer(twiml))
		got, err := s.Reply(t.Context(), customer, sender, "Apakah bengkel buka?")
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", twiml, got, err, want)
		}
	}
	h.answerWith(func(url.Values) (int, string, string) { return http.StatusOK, "text/plain", "Polos" })
	if got, err := s.Reply(t.Context(), customer, sender, "Halo"); err != nil || got != "Polos" {
		t.Errorf("plain text: %q, %v", got, err)
	}
	form := h.all()[0]
	for name, want := range map[string]string{
		"From": customer, "To": sender, "Body": "Apakah bengkel buka?", "AccountSid": DefaultAccountSID, "NumMedia": "0", "NumSegments": "1",
		"SmsStatus": "received", "ApiVersion": "2010-04-01", "OptOutType": "", "path": "/hooks/sms/inbound",
	} {
		if got := form.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if _, ok := parseSID(form.Get("MessageSid")); !ok || form.Get("SmsSid") != form.Get("MessageSid") {
		t.Errorf("sid %q", form.Get("MessageSid"))
	}
	m, err := twilioClient(t, s).FetchMessage(form.Get("MessageSid"), nil)
	if err != nil || *m.Direction != "inbound" || string(*m.Status) != "received" || *m.Body != "Apakah bengkel buka?" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestWhatIsWrongWithACustomersText(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	s := start(t, Config{InboundURL: h.URL + "/in"})
	for want, send := range map[string]struct{ from, to, body string }{
		`customer's text: "0811" is not a customer's number: write it as +628111234567`: {"0811", sender, "x"},
		`customer's text: "x!" is not a sender's number`:                                {customer, "x!", "x"},
		`customer's text: it is empty: write something`:                                 {customer, sender, " \n"},
	} {
		if _, err := s.Reply(t.Context(), send.from, send.to, send.body); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if n := s.Counts().Inbound; n != 0 {
		t.Errorf("%d texts of customers, want none", n)
	}
	for want, answer := range map[string]func(url.Values) (int, string, string){
		"customer's text: the webhook answered 500 Internal Server Error":                                              func(url.Values) (int, string, string) { return 500, "", "" },
		`customer's text: the webhook answered with "application/json": Twilio wants text/xml (error 12300)`:           func(url.Values) (int, string, string) { return 200, "application/json", "{}" },
		"customer's text: the webhook's answer is not TwiML (error 12100): XML syntax error on line 1: unexpected EOF": xmlAnswer("<Response>"),
	} {
		h.answerWith(answer)
		if _, err := s.Reply(t.Context(), customer, sender, "Halo"); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if n := s.Counts().Inbound; n != 3 {
		t.Errorf("%d texts of customers, want 3", n)
	}
}

func TestStopAndStart(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	dir := t.TempDir()
	config := Config{Dir: dir, InboundURL: h.URL + "/in"}
	s := start(t, config)
	h.answerWith(xmlAnswer(`<Response><Message>Dari kami</Message></Response>`))
	stopped, lifted := optOutAnswer("STOP"), optOutAnswer("START")
	for _, step := range []struct {
		body, answer, kind string
		code               int // of a text to the customer afterwards
	}{
		{"YES", "Dari kami", "", 0}, // an answer as any other for who has not stopped
		{" stop ", stopped, "STOP", 21610},
		{"Halo?", "", "", 21610},
		{"restart", "", "", 21610},
		{"Unstop", lifted + "\nDari kami", "START", 0},
		{"QUIT", stopped, "STOP", 21610},
		{"HELP", optOutAnswer("HELP"), "HELP", 21610},
		{"yes", lifted + "\nDari kami", "START", 0},
		{"BERHENTI", "Dari kami", "", 0}, // that is the sender's to understand
		{"STOPALL", stopped, "STOP", 21610},
	} {
		got, err := s.Reply(t.Context(), customer, sender, step.body)
		if err != nil || got != step.answer {
			t.Errorf("%q: got %q, %v; want %q", step.body, got, err, step.answer)
		}
		all := h.all()
		if kind := all[len(all)-1].Get("OptOutType"); kind != step.kind {
			t.Errorf("%q: told as %q, want %q", step.body, kind, step.kind)
		}
		if _, err := twilioClient(t, s).CreateMessage(textTo(customer, "Promo", "")); errorCode(err) != step.code {
			t.Errorf("after %q: %v, want error %d", step.body, err, step.code)
		}
	}
	other := textTo(customer, "Dari nomor lain", "").SetFrom("+6281100000002")
	if _, err := twilioClient(t, s).CreateMessage(other); err != nil {
		t.Errorf("another sender: %v", err)
	}
	settle(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, config)
	if _, err := twilioClient(t, s).CreateMessage(textTo(customer, "Promo", "")); errorCode(err) != 21610 {
		t.Errorf("after a restart: %v, want error 21610", err)
	}
}

// TestSignatures has the example of Twilio's documentation and its client's tests.
func TestSignatures(t *testing.T) {
	t.Parallel()
	form := url.Values{
		"CallSid": {"CA1234567890ABCDE"}, "Caller": {"+14158675309"}, "Digits": {"1234"}, "From": {"+14158675309"}, "To": {"+18005551212"},
	}
	for range 50 { // whatever the order of a map
		if diff := cmp.Diff("RSOYDt4T1cUTdK1PDd93/VVr8B8=", sign("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", form)); diff != "" {
			t.Fatal(diff)
		}
	}
}
