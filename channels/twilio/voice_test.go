package twilio

import (
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
)

func TestScripts(t *testing.T) {
	t.Parallel()
	const callback = "https://sapa.example/hooks/voice/report/t1"
	for name, test := range map[string]struct {
		parts    map[string]string
		locale   string
		callback string
		want     string // without the header of XML
		refused  string
	}{
		"said in the customer's language": {
			parts: map[string]string{"say": " Halo <Budi> & Ani\n", "language": "customer"}, locale: "id_ID",
			want: `<Response><Say language="id-ID">Halo &lt;Budi&gt; &amp; Ani</Say></Response>`,
		},
		"said in one language, then played": {
			parts: map[string]string{"say": "Hello", "language": "en-GB", "play": "https://bengkel.example/a.mp3"}, locale: "id-ID",
			want: `<Response><Say language="en-GB">Hello</Say><Play>https://bengkel.example/a.mp3</Play></Response>`,
		},
		"keys": {
			parts: map[string]string{"say": "Halo", "press.1": "interested", "press.9": "stop"}, locale: "id-ID", callback: callback,
			want: `<Response><Gather input="dtmf" numDigits="1" timeout="8" method="POST" action="https://sapa.example/hooks/voice/report/t1?key1=interested&amp;key9=stop&amp;language=id-ID"><Say language="id-ID">Halo</Say></Gather></Response>`,
		},
		"keys that nobody would hear of": {
			parts: map[string]string{"play": "https://bengkel.example/a.mp3", "press.1": "interested"}, locale: "id-ID",
			want: `<Response><Play>https://bengkel.example/a.mp3</Play></Response>`,
		},
		"in the language of the account": {
			parts: map[string]string{"say": "Halo"},
			want:  `<Response><Say>Halo</Say></Response>`,
		},
		"as long as can be": {
			parts: map[string]string{"say": strings.Repeat("x", maxTwiML-len(xml.Header+"<Response><Say></Say></Response>\n"))},
			want:  "<Response><Say>" + strings.Repeat("x", maxTwiML-len(xml.Header+"<Response><Say></Say></Response>\n")) + "</Say></Response>",
		},
		"too long by one": {
			parts:   map[string]string{"say": strings.Repeat("ä", maxTwiML+1-len(xml.Header+"<Response><Say></Say></Response>\n"))},
			refused: "what the call says takes 4001 characters of TwiML: Twilio takes 4000 at most",
		},
		"no voice for the language": {parts: map[string]string{"say": "Halo"}, locale: "km-KH", refused: `there is no voice for the customer's language ("km-KH"): write language: in the campaign`},
		"nothing to say":            {parts: map[string]string{"press.1": "x"}, refused: "the call has nothing to say"},
		"no key":                    {parts: map[string]string{"say": "x", "press.12": "x"}, refused: `"12" can't be pressed: a key is one of 0 to 9 and *`},
		"a key without a meaning":   {parts: map[string]string{"say": "x", "press.1": " "}, refused: "the key 1 means nothing"},
		"too long":                  {parts: map[string]string{"say": strings.Repeat("x", 4000)}, refused: "what the call says takes 4072 characters of TwiML: Twilio takes 4000 at most"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, false)
			s.make = NewVoice
			m := waMessage(test.parts)
			m.Locale, m.CallbackURL = test.locale, test.callback
			_, err, _ := send(t.Context(), t, s.channel(), m, always)
			if test.refused != "" {
				if channels.VerdictOf(err) != channels.VerdictPermanent || err.Error() != test.refused || len(s.taken) != 0 {
					t.Error(err)
				}
				return
			}
			want := url.Values{"To": {"+628120000001"}, "From": {"+628110000001"}, "Twiml": {xml.Header + test.want + "\n"}}
			if test.callback != "" {
				want.Set("StatusCallback", test.callback)
				want["StatusCallbackEvent"] = []string{"initiated", "answered", "completed"}
			}
			if diff := cmp.Diff([]url.Values{want}, s.taken); diff != "" || err != nil {
				t.Error(err, diff)
			}
		})
	}
}

// A call that may not be made any more is not made; the claim knows what that means.
func TestCallsAreNotLate(t *testing.T) {
	t.Parallel()
	s := newServer(t, false)
	s.make = NewVoice
	m := waMessage(map[string]string{"say": "Halo"})
	m.ValidUntil = time.Now().Add(-time.Minute)
	_, err, _ := send(t.Context(), t, s.channel(), m, always)
	if channels.VerdictOf(err) != channels.VerdictRetry || len(s.taken) != 0 {
		t.Error(err, s.taken)
	}
}

// The conversation of a call is TwiML that speaks, or hangs up.
func TestAnswerOfCalls(t *testing.T) {
	t.Parallel()
	s := newServer(t, false)
	s.make = NewVoice
	for text, want := range map[string]string{"": "<Response></Response>", "Halo & <b>": "<Response><Say>Halo &amp; &lt;b&gt;</Say></Response>"} {
		if kind, body := s.channel().Answer(text); kind != "text/xml; charset=utf-8" || string(body) != xml.Header+want+"\n" {
			t.Errorf("%s: %s %s", text, kind, body)
		}
	}
}

func TestSpoken(t *testing.T) {
	t.Parallel()
	for locale, want := range map[string]string{
		"id": "id-ID", "id-ID": "id-ID", "id_ID": "id-ID", "en": "en-US", "en-GB": "en-GB", "en-SG": "en-US", "jv-ID": "id-ID", "su": "id-ID",
		"ms-SG": "ms-MY", "zh-TW": "cmn-TW", "zh": "cmn-CN", "zh-HK": "cmn-CN", "pt-AO": "pt-BR", "no": "nb-NO", "tl-PH": "fil-PH", "km-KH": "", "xx-y-z": "", "?": "",
	} {
		if got, ok := spoken(locale); got != want || ok != (want != "") {
			t.Errorf("%s is spoken as %s, want %s", locale, got, want)
		}
	}
}

func TestCallReports(t *testing.T) {
	t.Parallel()
	s := newServer(t, false)
	s.make = NewVoice
	c := s.channel()
	const plain = "https://sapa.example/hooks/voice/report/t1"
	const asked = plain + "?key1=interested&key9=stop&language=id-ID"
	call := func(more ...string) url.Values {
		form := url.Values{"CallSid": {"CA1"}, "From": {"+622112345678"}, "To": {"+628120000001"}}
		for i := 0; i < len(more); i += 2 {
			form.Set(more[i], more[i+1])
		}
		return form
	}
	reply := func(key, text string) *channels.Inbound {
		return &channels.Inbound{ProviderID: "CA1/" + key, From: "+628120000001", To: "+622112345678", Text: text}
	}
	say := func(words string) []byte {
		return []byte(xml.Header + `<Response><Say language="id-ID">` + words + `</Say></Response>` + "\n")
	}
	for name, test := range map[string]struct {
		address string
		form    url.Values
		want    channels.Report
		err     string
	}{
		"initiated": {plain, call("CallStatus", "initiated"), channels.Report{ProviderID: "CA1", Status: channels.ReportAccepted}, ""},
		"answered":  {plain, call("CallStatus", "in-progress"), channels.Report{ProviderID: "CA1", Status: channels.ReportSent}, ""},
		"completed": {plain, call("CallStatus", "completed", "SipResponseCode", "200"), channels.Report{ProviderID: "CA1", Status: channels.ReportDelivered}, ""},
		"busy": {
			plain, call("CallStatus", "busy", "SipResponseCode", "486"),
			channels.Report{ProviderID: "CA1", Status: channels.ReportUndelivered, Code: 486, Words: "the line was busy, or the call was declined"},
			"",
		},
		"no answer": {plain, call("CallStatus", "no-answer"), channels.Report{ProviderID: "CA1", Status: channels.ReportUndelivered, Words: "nobody answered"}, ""},
		"canceled":  {plain, call("CallStatus", "canceled"), channels.Report{ProviderID: "CA1", Status: channels.ReportUndelivered, Words: "called off before it was answered"}, ""},
		"failed": {
			plain, call("CallStatus", "failed", "ErrorCode", "13225"),
			channels.Report{ProviderID: "CA1", Status: channels.ReportUndelivered, Code: 13225, Words: "Twilio does not call this number"},
			"",
		},
		"two codes": {
			plain, call("CallStatus", "failed", "ErrorCode", "13225", "SipResponseCode", "403"),
			channels.Report{ProviderID: "CA1", Status: channels.ReportUndelivered, Code: 13225, Words: "Twilio does not call this number"},
			"",
		},
		"a key in English": {
			strings.Replace(asked, "id-ID", "en-GB", 1), call("CallStatus", "in-progress", "Digits", "1"),
			channels.Report{ProviderID: "CA1", Status: channels.ReportSent, Reply: reply("1", "interested"), Answer: []byte(xml.Header + `<Response><Say language="en-GB">Thank you. Goodbye.</Say></Response>` + "\n")},
			"",
		},
		"the key to stop in English": {
			strings.Replace(asked, "id-ID", "en-US", 1), call("CallStatus", "in-progress", "Digits", "9"),
			channels.Report{ProviderID: "CA1", Status: channels.ReportSent, Reply: reply("9", "stop"), Answer: []byte(xml.Header + `<Response><Say language="en-US">All right. We will not call you again.</Say></Response>` + "\n")},
			"",
		},
		"a key in another language": {
			strings.Replace(asked, "id-ID", "ja-JP", 1), call("CallStatus", "in-progress", "Digits", "1"),
			channels.Report{ProviderID: "CA1", Status: channels.ReportSent, Reply: reply("1", "interested"), Answer: []byte(xml.Header + "<Response></Response>\n")},
			"",
		},
		"a key of nobody": {asked, call("CallStatus", "in-progress", "Digits", "1", "To", ""), channels.Report{}, "a key without From or To"},
		"a key": {
			asked, call("CallStatus", "in-progress", "Digits", "1"),
			channels.Report{ProviderID: "CA1", Status: channels.ReportSent, Reply: reply("1", "interested"), Answer: say("Terima kasih. Sampai jumpa.")},
			"",
		},
		"the key to stop": {
			asked, call("CallStatus", "in-progress", "Digits", "9"),
			channels.Report{ProviderID: "CA1", Status: channels.ReportSent, Reply: reply("9", "stop"), Answer: say("Baik. Kami tidak akan menelepon Anda lagi.")},
			"",
		},
		"another key": {
			asked, call("CallStatus", "in-progress", "Digits", "5"),
			channels.Report{ProviderID: "CA1", Status: channels.ReportSent, Answer: []byte(xml.Header + "<Response></Response>\n")},
			"",
		},
		"no status": {plain, call(), channels.Report{}, "a report without CallSid or CallStatus"},
		"no code":   {plain, call("CallStatus", "busy", "SipResponseCode", "x"), channels.Report{}, "a report whose SipResponseCode is no number"},
	} {
		got, err := c.Report(test.address, c.sign(test.address, test.form), test.form)
		if diff := cmp.Diff(test.want, got); diff != "" || err == nil && test.err != "" || err != nil && err.Error() != test.err {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
		forged := strings.Replace(test.address, "interested", "stop", 1) + "&x"
		if _, err := c.Report(forged, c.sign(test.address, test.form), test.form); !errors.Is(err, channels.ErrSignature) {
			t.Errorf("%s: another address: %v", name, err)
		}
	}
	form := call("CallStatus", "ringing")
	if _, err := c.Inbound(plain, c.sign(plain, form), form); err == nil || err.Error() != "calls of customers are not taken here" {
		t.Error(err)
	}
}

func TestNewPhoneErrors(t *testing.T) {
	t.Parallel()
	good := Config{BaseURL: "https://api.twilio.com", AccountSID: "AC12", User: "AC12", Password: "hunter2", AuthToken: "hunter2", From: "+622112345678"}
	for want, test := range map[string]struct {
		make   func(Config) (*Channel, error)
		change func(*Config)
	}{
		`set up WhatsApp: the WhatsApp sender "BENGKEL" must be a number such as +628111234567`: {NewWhatsApp, func(c *Config) { c.From = "BENGKEL" }},
		"set up WhatsApp: exactly one sender is needed: a number, or a Messaging Service":       {NewWhatsApp, func(c *Config) { c.From = "" }},
		`set up calls: the caller "12345" must be a number such as +622112345678`:               {NewVoice, func(c *Config) { c.From = "12345" }},
		"set up calls: a Messaging Service can't call: give a number":                           {NewVoice, func(c *Config) { c.MessagingService = "MG12" }},
		"set up calls: a number is needed that customers see":                                   {NewVoice, func(c *Config) { c.From = "" }},
	} {
		cfg := good
		test.change(&cfg)
		if _, err := test.make(cfg); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	whatsApp, voice := WhatsAppForm(), VoiceForm()
	for _, test := range []struct {
		check func([]string) error
		keys  string
		want  string
	}{
		{whatsApp.Wrong, "template variables", ""},
		{whatsApp.Wrong, "text", ""},
		{whatsApp.Wrong, "template text", `"template" and "text" exclude each other`},
		{whatsApp.Wrong, "variables", `it needs a "template"; or a "text", which is only for customers who wrote to us within the last 24 hours`},
		{whatsApp.Wrong, "text variables", `"variables" belong to a template; a text has {{ … }} itself`},
		{voice.Wrong, "say press", ""},
		{voice.Wrong, "play", ""},
		{voice.Wrong, "press language", `it needs "say" or "play": words or a recording`},
	} {
		if err := test.check(strings.Fields(test.keys)); err == nil && test.want != "" || err != nil && err.Error() != test.want {
			t.Errorf("%s: %v", test.keys, err)
		}
	}
	for _, test := range []struct {
		form      channels.Form
		key, text string
		good      bool
	}{
		{whatsApp, "template", template1, true},
		{whatsApp, "template", "oil-change", false},
		{whatsApp, "variables", "1", true},
		{whatsApp, "variables", "first-name", false},
		{voice, "play", "https://bengkel.example/a.mp3", true},
		{voice, "play", "http://bengkel.example/a.mp3", false},
		{voice, "play", "https://ani:hunter2@bengkel.example/a.mp3", false},
		{voice, "press", "*", true},
		{voice, "press", "#", false},
		{voice, "press", "12", false},
	} {
		part, ok := test.form.Part(test.key)
		if !ok || part.Check == nil || (part.Check(test.text) == nil) != test.good || regexp.MustCompile(part.Pattern).MatchString(test.text) != test.good {
			t.Errorf("%s %s: %v", test.key, test.text, ok)
		}
	}
}

func TestInquireAboutCalls(t *testing.T) {
	t.Parallel()
	s := newServer(t, false)
	s.make = NewVoice
	s.reply = func(*http.Request) *reply {
		return &reply{status: 200, body: `{"sid": "CA1", "status": "completed", "price": "-0.02000", "price_unit": "USD", "duration": "12"}`}
	}
	got, err := s.channel().Inquire(t.Context(), "CA1")
	want := channels.Inquiry{Report: channels.Report{ProviderID: "CA1", Status: channels.ReportDelivered}, Price: "0.02000", Currency: "USD"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if diff := cmp.Diff([]string{"GET /2010-04-01/Accounts/" + testAccount + "/Calls/CA1.json"}, s.seen()); diff != "" {
		t.Error(diff)
	}
}
