package sandbox

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "github.com/twilio/twilio-go/rest/api/v2010"
)

const (
	waCustomer = "whatsapp:" + customer
	waSender   = "whatsapp:" + sender
	anyContent = "HX0123456789abcdef0123456789abcdef"
)

// callTo are the parameters of a call that asks for a key.
func callTo(to string, h *hook) *api.CreateCallParams {
	const twiml = `<?xml version="1.0" encoding="UTF-8"?>
<Response><Gather input="dtmf" numDigits="1" action="HOOK/press?key1=interested&amp;key9=stop"><Say language="id-ID">Halo Budi. Tekan 1.</Say><Play>https://bengkel.example/a.mp3</Play></Gather></Response>`
	return (&api.CreateCallParams{}).SetTo(to).SetFrom(sender).SetTwiml(strings.ReplaceAll(twiml, "HOOK", h.URL)).
		SetStatusCallback(h.URL + "/hooks/voice/report/t1").SetStatusCallbackEvent([]string{"initiated", "answered", "completed"})
}

// TestCallsByTwiliosOwnClientAndDescription drives calls and WhatsApp messages by twilio-go; what goes over the wire in
// either direction must be as Twilio describes it.
func TestCallsByTwiliosOwnClientAndDescription(t *testing.T) {
	t.Parallel()
	c := newContract(t)
	h := newHook(t)
	h.answerWith(func(form url.Values) (int, string, string) {
		if form.Get("Digits") == "" {
			return http.StatusNoContent, "", ""
		}
		return http.StatusOK, "text/xml; charset=utf-8", `<Response><Say language="id-ID">Terima kasih.</Say></Response>`
	})
	s := start(t, Config{InboundURL: h.URL + "/in"})
	twilio := twilioClientAs(t, s, DefaultAccountSID, DefaultAuthToken, c)
	calls := map[string]string{}
	for to, want := range map[string]string{
		customer: "completed", "+6281255557001": "completed", "+6281255557486": "busy", "+6281255557487": "no-answer", "+6281255557404": "failed",
	} {
		call, err := twilio.CreateCall(callTo(to, h))
		if err != nil {
			t.Fatal(err)
		}
		if *call.Status != "queued" || call.StartTime != nil || call.Price != nil {
			t.Errorf("created %+v", call)
		}
		calls[*call.Sid] = want
	}
	whatsApp, err := twilio.CreateMessage((&api.CreateMessageParams{}).SetTo(waCustomer).SetFrom(waSender).
		SetContentSid(anyContent).SetContentVariables(`{"1":"Budi","2":"AB 12"}`))
	if err != nil || *whatsApp.To != waCustomer || *whatsApp.Body != "["+anyContent+"]\n{{1}} = Budi\n{{2}} = AB 12" {
		t.Errorf("%+v, %v", whatsApp, err)
	}
	settle(t, s)
	for sid, want := range calls {
		call, err := twilio.FetchCall(sid, nil)
		if err != nil || *call.Status != want || call.EndTime == nil || (*call.Price == "-0.02000") != (want == "completed") {
			t.Errorf("fetched %+v, %v; want %s", call, err, want)
		}
	}
	if m, err := twilio.FetchMessage(*whatsApp.Sid, nil); err != nil || *m.Status != "read" {
		t.Errorf("%+v, %v", m, err)
	}
	list, err := twilio.ListCall((&api.ListCallParams{}).SetPageSize(2).SetStartTimeAfter(time.Now().Add(-time.Hour)).SetFrom(sender))
	if err != nil || len(list) != len(calls) {
		t.Errorf("%d calls, %v", len(list), err)
	}
	if messages, err := twilio.ListMessage(nil); err != nil || len(messages) != 1 {
		t.Errorf("%d messages, %v", len(messages), err)
	}
	for code, p := range map[int]*api.CreateCallParams{
		21211: callTo("123", h), 21212: callTo(customer, h).SetFrom("BENGKEL"), 12100: callTo(customer, h).SetTwiml("<Response>"),
		21626: callTo(customer, h).SetStatusCallbackEvent([]string{"sold"}), 20429: callTo("+6281255550429", h),
	} {
		if _, err := twilio.CreateCall(p); errorCode(err) != code {
			t.Errorf("%v, want error %d", err, code)
		}
	}
	plain := twilioClient(t, s)
	if _, err := plain.FetchCall(*whatsApp.Sid, nil); errorCode(err) != 20404 {
		t.Errorf("%v, want error 20404", err)
	}
	if _, err := plain.FetchMessage(anyKey(calls), nil); errorCode(err) != 20404 {
		t.Errorf("%v, want error 20404", err)
	}
	path := "/2010-04-01/Accounts/{AccountSid}/Calls"
	for exchange, want := range map[string]int{"post " + path + ".json 201": 5, "get " + path + "/{Sid}.json 200": 5, "get " + path + ".json 200": 3} {
		if got := c.checked[exchange]; got != want {
			t.Errorf("%d times %s, want %d", got, exchange, want)
		}
	}
}

func anyKey(m map[string]string) string {
	for key := range m {
		return key
	}
	return ""
}

// A call tells what it was asked to tell, a key is told with its meaning in the address, and the page shows what was heard,
// also of a sandbox that was started again.
func TestTranscript(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	h.answerWith(func(form url.Values) (int, string, string) {
		if form.Get("Digits") == "" {
			return http.StatusNoContent, "", ""
		}
		return http.StatusOK, "text/xml", `<Response><Say language="id-ID">Terima kasih.</Say></Response>`
	})
	dir := t.TempDir()
	s := start(t, Config{Dir: dir})
	call, err := twilioClient(t, s).CreateCall(callTo("+6281255557009", h))
	if err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	var told []string
	for _, f := range h.all() {
		told = append(told, strings.TrimSpace(f.Get("path")+" "+f.Get("CallStatus")+" "+f.Get("Digits")+" "+f.Get("SipResponseCode")))
	}
	want := []string{
		"/hooks/voice/report/t1 initiated", "/hooks/voice/report/t1 in-progress", "/press in-progress 9",
		"/hooks/voice/report/t1 completed  200",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, Config{Dir: dir})
	settle(t, s)
	text, err := s.TextBySID(*call.Sid)
	if err != nil {
		t.Fatal(err)
	}
	heard := []Heard{
		{"call", "[id-ID] Halo Budi. Tekan 1."},
		{"call", "♪ https://bengkel.example/a.mp3"},
		{"call", "(waits for a key)"},
		{"customer", "presses 9"},
		{"answer", "[id-ID] Terima kasih."},
	}
	if diff := cmp.Diff(heard, text.Heard); diff != "" || text.Token != "t1" || text.Channel != ChannelVoice || text.Verdict.Rule != "voice-press-9" {
		t.Error(diff, text.Message)
	}
	_, page := request(t, s, http.MethodGet, "/messages/1", nil)
	for _, words := range []string{"Call to &#43;6281255557009", "presses 9", "[id-ID] Terima kasih.", "told: pressed 9", "completed"} {
		if !strings.Contains(page, words) {
			t.Errorf("no %q on the page", words)
		}
	}
	if c := s.Counts(); c.Calls != 1 || c.Texts != 0 || c.WhatsApp != 0 {
		t.Errorf("%+v", c)
	}
}

// WhatsApp takes free text only within a day of the customer's own message, templates always; STOP is left to the client.
func TestWhatsAppSessions(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	h.answerWith(func(url.Values) (int, string, string) {
		return http.StatusOK, "text/xml", `<Response><Message>Baik.</Message></Response>`
	})
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	s := start(t, Config{InboundURL: h.URL + "/hooks/sms/inbound", Now: func() time.Time { return now }})
	send := func(to string, free bool) string {
		t.Helper()
		p := (&api.CreateMessageParams{}).SetTo(to).SetFrom(waSender)
		if free {
			p.SetBody("Halo")
		} else {
			p.SetContentSid(anyContent)
		}
		m := mustText(t, s, p)
		settle(t, s)
		text, err := s.TextBySID(*m.Sid)
		if err != nil || text.Channel != ChannelWhatsApp {
			t.Fatal(text, err)
		}
		return strings.TrimSpace(text.SMS.Status + " " + strings.TrimPrefix(carrierError(text.SMS.Error), "Failed to send freeform message because you are "))
	}
	const outside = "undelivered outside the allowed window. If you are using WhatsApp, please use a Message Template."
	check := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	check(send(waCustomer, true), outside)
	check(send(waCustomer, false), "read")
	check(send("whatsapp:+6281255556324", false), "undelivered Invalid message recipient")
	check(send("whatsapp:+6281255556400", false), "delivered")
	if said, err := s.Reply(t.Context(), waCustomer, waSender, "STOP"); err != nil || said != "Baik." {
		t.Error(said, err)
	}
	form := h.all()[0]
	if form.Get("path") != "/hooks/whatsapp/inbound" || form.Get("From") != waCustomer || form.Get("To") != waSender || form.Has("OptOutType") || form.Get("WaId") != customer[1:] {
		t.Errorf("%v", form)
	}
	check(send(waCustomer, true), "read")
	now = now.Add(24 * time.Hour)
	check(send(waCustomer, true), outside)
	for code, p := range map[int]*api.CreateMessageParams{
		21910: (&api.CreateMessageParams{}).SetTo(waCustomer).SetFrom(sender).SetBody("x"),
		63007: (&api.CreateMessageParams{}).SetTo(waCustomer).SetFrom("whatsapp:BENGKEL").SetBody("x"),
		21655: (&api.CreateMessageParams{}).SetTo(waCustomer).SetFrom(waSender).SetContentSid("HX1"),
		21656: (&api.CreateMessageParams{}).SetTo(waCustomer).SetFrom(waSender).SetContentSid(anyContent).SetContentVariables(`{"1":""}`),
	} {
		if _, err := twilioClient(t, s).CreateMessage(p); errorCode(err) != code {
			t.Errorf("%v, want error %d", err, code)
		}
	}
	if _, err := s.Reply(t.Context(), waCustomer, sender, "Halo"); err == nil {
		t.Error("a WhatsApp message to a number of texts was taken")
	}
}
