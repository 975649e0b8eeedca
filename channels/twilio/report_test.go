package twilio

import (
	"encoding/xml"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twilio/twilio-go/client"

	"github.com/sapa-crm/sapa/channels"
)

// signing is a channel whose auth token is that of Twilio's published examples.
func signing(t *testing.T) *Channel {
	t.Helper()
	c, err := New(Config{BaseURL: "https://api.twilio.com", AccountSID: "AC1", User: "AC1", Password: "x", AuthToken: "12345", From: "Bengkel"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The values are those of Twilio's documentation on securing requests and of its libraries' tests.
func TestSignatureOfPublishedExamples(t *testing.T) {
	t.Parallel()
	const address = "https://mycompany.com/myapp.php?foo=1&bar=2"
	call := func() url.Values {
		return url.Values{
			"CallSid": {"CA1234567890ABCDE"}, "Caller": {"+14158675309"}, "Digits": {"1234"}, "From": {"+14158675309"}, "To": {"+18005551212"},
		}
	}
	prefixed := call() // of twilio-go: one key begins with another
	prefixed["ReasonConferenceEnded"], prefixed["Reason"] = []string{"test"}, []string{"Participant"}
	repeated := url.Values{"Sid": {"CA123"}, "SidAccount": {"AC123"}, "Digits": {"5678", "1234", "1234"}}
	changed := call()
	changed.Set("Digits", "1235")
	for name, test := range map[string]struct {
		url, signature string
		form           url.Values
		want           bool
	}{
		"documented":               {address, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", call(), true},
		"with the standard port":   {"https://mycompany.com:443/myapp.php?foo=1&bar=2", "RSOYDt4T1cUTdK1PDd93/VVr8B8=", call(), true},
		"a key that begins a key":  {address, "vOEb5UThFn24KEfnOFLQY2AE5FY=", prefixed, true},
		"repeated keys":            {address, "IK+Dwps556ElfBT0I3Rgjkr1wJU=", repeated, true},
		"http":                     {"http://mycompany.com/myapp.php?foo=1&bar=2", "n2xBNyzSW7rfYStDtOFiFMv7qNo=", prefixed, true},
		"http, with another port":  {"http://mycompany.com:1234/myapp.php?foo=1&bar=2", "n2xBNyzSW7rfYStDtOFiFMv7qNo=", prefixed, true},
		"http instead of https":    {"http://mycompany.com/myapp.php?foo=1&bar=2", "RSOYDt4T1cUTdK1PDd93/VVr8B8=", call(), false},
		"another query":            {"https://mycompany.com/myapp.php?foo=1&bar=3", "RSOYDt4T1cUTdK1PDd93/VVr8B8=", call(), false},
		"another value":            {address, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", changed, false},
		"another signature":        {address, "RSOYDt4T1cUTdK1PDd93/VVr8B9=", call(), false},
		"none":                     {address, "", call(), false},
		"the beginning of one":     {address, "RSOYDt4T1cUTdK1PDd93/VVr8A==", call(), false},
		"no base64":                {address, "RSOYDt4T1cUTdK1PDd93!VVr8B8=", call(), false},
		"the form is left out":     {address, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", nil, false},
		"sorted by the whole pair": {address, "95+Bu0JVPi0r/SsESZCVf0dWAjw=", prefixed, false},
	} {
		if got := signing(t).signed(test.url, test.signature, test.form); got != test.want {
			t.Errorf("%s: signed %v, want %v", name, got, test.want)
		}
	}
}

// Twilio may have signed a URL with or without its standard port. twilio-go agrees, but for IPv6.
func TestSignatureAndPorts(t *testing.T) {
	t.Parallel()
	c, form := signing(t), url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"sent"}}
	library := client.NewRequestValidator("12345")
	for _, test := range []struct {
		told, signed string
		want         bool
	}{
		{"https://sapa.example/hooks/x?a=b", "https://sapa.example:443/hooks/x?a=b", true},
		{"https://sapa.example:8443/hooks/x", "https://sapa.example:8443/hooks/x", true},
		{"https://sapa.example:8443/hooks/x", "https://sapa.example/hooks/x", true},
		{"http://sapa.example/hooks/x", "http://sapa.example:80/hooks/x", true},
		{"http://sapa.example/hooks/x", "http://sapa.example:443/hooks/x", false},
		{"https://sapa.example", "https://sapa.example:443", true},
		{"https://sapa.example/a:1/b", "https://sapa.example/a/b", false},
		{"https://[2001:db8::1]:8443/hooks/x", "https://[2001:db8::1]/hooks/x", true},
		{"https://[2001:db8::1]/hooks/x", "https://[2001:db8::1]:443/hooks/x", true},
		{"https://user:pw@sapa.example/x", "https://user:pw@sapa.example:443/x", true},
	} {
		signature := c.sign(test.signed, form)
		if got := c.signed(test.told, signature, form); got != test.want {
			t.Errorf("told %s, signed %s: %v", test.told, test.signed, got)
		}
		flat := map[string]string{"MessageSid": "SM1", "MessageStatus": "sent"}
		if ipv6 := test.told[8] == '['; !ipv6 && library.Validate(test.told, flat, signature) != test.want {
			t.Errorf("twilio-go says otherwise of %s signed as %s", test.told, test.signed)
		}
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	const address = "https://sapa.example/hooks/sms/report/token"
	c := signing(t)
	for name, test := range map[string]struct {
		form url.Values
		want channels.Report
		err  string
	}{
		"queued":    {url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"queued"}}, channels.Report{ProviderID: "SM1", Status: channels.ReportAccepted}, ""},
		"sent":      {url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"sent"}}, channels.Report{ProviderID: "SM1", Status: channels.ReportSent}, ""},
		"old names": {url.Values{"SmsSid": {"SM1"}, "SmsStatus": {"delivered"}}, channels.Report{ProviderID: "SM1", Status: channels.ReportDelivered}, ""},
		"read":      {url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"read"}}, channels.Report{ProviderID: "SM1", Status: channels.ReportRead}, ""},
		"canceled":  {url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"canceled"}}, channels.Report{ProviderID: "SM1", Status: channels.ReportUndelivered}, ""},
		"in parts":  {url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"partially_delivered"}}, channels.Report{ProviderID: "SM1", Status: channels.ReportSent}, ""},
		"many words": {
			url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"failed"}, "ErrorCode": {"39999"}, "ErrorMessage": {strings.Repeat("x", channels.MaxWords+1)}},
			channels.Report{ProviderID: "SM1", Status: channels.ReportUndelivered, Code: 39999, Words: strings.Repeat("x", channels.MaxWords)},
			"",
		},
		"a status to come": {url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"teleported"}}, channels.Report{ProviderID: "SM1", Status: channels.ReportAccepted}, ""},
		"dead number": {
			url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"undelivered"}, "ErrorCode": {"30005"}},
			channels.Report{ProviderID: "SM1", Status: channels.ReportUndelivered, Code: 30005, Words: "no such number, or not in use any more", Suppress: "no such number"},
			"",
		},
		"landline": {
			url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"undelivered"}, "ErrorCode": {"30006"}},
			channels.Report{ProviderID: "SM1", Status: channels.ReportUndelivered, Code: 30006, Words: "a landline, or a network that can't be reached", Suppress: "not a mobile number"},
			"",
		},
		"opted out": {
			url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"failed"}, "ErrorCode": {"21610"}},
			channels.Report{ProviderID: "SM1", Status: channels.ReportUndelivered, Code: 21610, Words: "the customer has opted out with STOP", Suppress: "opted out"},
			"",
		},
		"switched off": {
			url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"undelivered"}, "ErrorCode": {"30003"}},
			channels.Report{ProviderID: "SM1", Status: channels.ReportUndelivered, Code: 30003, Words: "the phone can't be reached now: switched off, out of range, or unable to receive"},
			"",
		},
		"a code to come": {
			url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"failed"}, "ErrorCode": {"39999"}, "ErrorMessage": {"Sunspots"}},
			channels.Report{ProviderID: "SM1", Status: channels.ReportUndelivered, Code: 39999, Words: "Sunspots"},
			"",
		},
		"no id":      {url.Values{"MessageStatus": {"sent"}}, channels.Report{}, "a report without MessageSid or MessageStatus"},
		"no status":  {url.Values{"MessageSid": {"SM1"}}, channels.Report{}, "a report without MessageSid or MessageStatus"},
		"wrong code": {url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"failed"}, "ErrorCode": {"x"}}, channels.Report{}, "a report whose ErrorCode is no number"},
	} {
		got, err := c.Report(address, c.sign(address, test.form), test.form)
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil && err.Error() != test.err || err == nil && test.err != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
		if _, err := c.Report(address+"x", c.sign(address, test.form), test.form); !errors.Is(err, channels.ErrSignature) {
			t.Errorf("%s: at another address: %v", name, err)
		}
	}
}

func TestInbound(t *testing.T) {
	t.Parallel()
	const address = "https://sapa.example/hooks/sms/inbound"
	c := signing(t)
	for name, test := range map[string]struct {
		form url.Values
		want channels.Inbound
		err  string
	}{
		"a text": {
			url.Values{"MessageSid": {"SM1"}, "From": {"+628120000001"}, "To": {"+628110000001"}, "Body": {"Terima kasih <3\n"}, "NumMedia": {"0"}},
			channels.Inbound{ProviderID: "SM1", From: "+628120000001", To: "+628110000001", Text: "Terima kasih <3\n"},
			"",
		},
		"a picture": {
			url.Values{"SmsMessageSid": {"MM1"}, "From": {"+628120000001"}, "To": {"+628110000001"}, "Body": {""}, "NumMedia": {"2"}},
			channels.Inbound{ProviderID: "MM1", From: "+628120000001", To: "+628110000001", Media: 2},
			"",
		},
		"answered by Twilio": {
			url.Values{"MessageSid": {"SM1"}, "From": {"+628120000001"}, "To": {"+628110000001"}, "Body": {"STOP"}, "OptOutType": {"STOP"}},
			channels.Inbound{ProviderID: "SM1", From: "+628120000001", To: "+628110000001", Text: "STOP", Answered: true},
			"",
		},
		"no sender": {url.Values{"MessageSid": {"SM1"}, "To": {"+628110000001"}}, channels.Inbound{}, "a message without MessageSid, From or To"},
		"bad media": {url.Values{"MessageSid": {"SM1"}, "From": {"1"}, "To": {"2"}, "NumMedia": {"-1"}}, channels.Inbound{}, "a message whose NumMedia is no number"},
	} {
		got, err := c.Inbound(address, c.sign(address, test.form), test.form)
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil && err.Error() != test.err || err == nil && test.err != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
		if _, err := c.Inbound(address, "", test.form); !errors.Is(err, channels.ErrSignature) {
			t.Errorf("%s: unsigned: %v", name, err)
		}
	}
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	c := signing(t)
	contentType, body := c.Answer(`Anda berhenti. </Message><Redirect>http://evil</Redirect> & "selamat"`)
	var parsed struct {
		XMLName xml.Name `xml:"Response"`
		Message []string
		Other   []string `xml:",any"`
	}
	if err := xml.Unmarshal(body, &parsed); err != nil {
		t.Fatal(err)
	}
	want := []string{`Anda berhenti. </Message><Redirect>http://evil</Redirect> & "selamat"`}
	if diff := cmp.Diff(want, parsed.Message); diff != "" || len(parsed.Other) > 0 || contentType != "text/xml; charset=utf-8" {
		t.Error(diff, parsed.Other, contentType)
	}
	if _, body := c.Answer(""); string(body) != xml.Header+"<Response></Response>\n" {
		t.Errorf("%s", body)
	}
	if c.SignatureHeader() != "X-Twilio-Signature" {
		t.Error(c.SignatureHeader())
	}
}
