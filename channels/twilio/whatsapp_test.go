package twilio

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
)

const template1 = "HX0123456789abcdef0123456789abcdef"

func waMessage(parts map[string]string) *channels.Message {
	return &channels.Message{ID: 1, Token: "t1", To: channels.Address{Addr: "+628120000001"}, Parts: parts, CallbackURL: "https://sapa.example/hooks/whatsapp/report/t1"}
}

func TestWhatsAppRequests(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	wrote := now.Add(-time.Hour)
	for name, test := range map[string]struct {
		parts   map[string]string
		service string
		want    url.Values
		refused string
	}{
		"template": {
			parts: map[string]string{"template": template1, "variables.1": "Budi", "variables.2": " AB\n12  CD "},
			want: url.Values{
				"To": {"whatsapp:+628120000001"}, "From": {"whatsapp:+628110000001"}, "ContentSid": {template1},
				"ContentVariables": {`{"1":"Budi","2":"AB 12 CD"}`}, "StatusCallback": {"https://sapa.example/hooks/whatsapp/report/t1"},
			},
		},
		"a variable that is not UTF-8": {
			parts: map[string]string{"template": template1, "variables.1": "Bu\xff di"},
			want: url.Values{
				"To": {"whatsapp:+628120000001"}, "From": {"whatsapp:+628110000001"}, "ContentSid": {template1},
				"ContentVariables": {"{\"1\":\"Bu\uFFFD di\"}"}, "StatusCallback": {"https://sapa.example/hooks/whatsapp/report/t1"},
			},
		},
		"template without variables, by a service": {
			parts: map[string]string{"template": template1}, service: "MG01",
			want: url.Values{
				"To": {"whatsapp:+628120000001"}, "MessagingServiceSid": {"MG01"}, "ContentSid": {template1},
				"StatusCallback": {"https://sapa.example/hooks/whatsapp/report/t1"},
			},
		},
		"text within the session": {
			parts: map[string]string{"text": "Halo"},
			want: url.Values{
				"To": {"whatsapp:+628120000001"}, "From": {"whatsapp:+628110000001"}, "Body": {"Halo"},
				"StatusCallback": {"https://sapa.example/hooks/whatsapp/report/t1"},
			},
		},
		"both":              {parts: map[string]string{"template": template1, "text": "x"}, refused: "exactly one of template and text must be given, and not be empty"},
		"neither":           {refused: "exactly one of template and text must be given, and not be empty"},
		"an empty variable": {parts: map[string]string{"template": template1, "variables.2": " \t"}, refused: "the template's variable 2 is empty, which WhatsApp does not take: give it a default"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, false)
			s.make = NewWhatsApp
			c := s.channel(func(c *Config) {
				c.Now = func() time.Time { return now }
				c.WroteSince = func(_ context.Context, number string, since time.Time) (bool, error) {
					return number == "+628120000001" && !wrote.Before(since), nil
				}
				if test.service != "" {
					c.From, c.MessagingService = "", test.service
				}
			})
			r, err, _ := send(t.Context(), t, c, waMessage(test.parts), always)
			if test.refused != "" {
				if channels.VerdictOf(err) != channels.VerdictPermanent || err.Error() != test.refused || len(s.seen()) != 0 {
					t.Errorf("%v, %v", err, s.seen())
				}
				return
			}
			if err != nil || r.Segments != 0 || r.ProviderID == "" {
				t.Fatal(r, err)
			}
			if diff := cmp.Diff([]url.Values{test.want}, s.taken); diff != "" {
				t.Errorf("the form (-want +got):\n%s", diff)
			}
		})
	}
}

// Free text goes to those who wrote within 24 hours, less a margin; whether they did must be known.
func TestWhatsAppSession(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	away := errors.New("the database is away")
	for name, test := range map[string]struct {
		wrote time.Duration // before now
		err   error
		want  string
	}{
		"yesterday morning": {24*time.Hour - 6*time.Minute, nil, "accepted"},
		"a day ago":         {24*time.Hour - 4*time.Minute, nil, "permanent"},
		"not known":         {0, away, "unavailable"},
	} {
		s := newServer(t, false)
		s.make = NewWhatsApp
		c := s.channel(func(c *Config) {
			c.Now = func() time.Time { return now }
			c.WroteSince = func(_ context.Context, _ string, since time.Time) (bool, error) {
				return !now.Add(-test.wrote).Before(since), test.err
			}
		})
		r, err, broken := send(t.Context(), t, c, waMessage(map[string]string{"text": "Halo"}), always)
		if got := channels.VerdictOf(err).String(); got != test.want || broken != nil || r.HandedOver.IsZero() != (test.want != "accepted") {
			t.Errorf("%s: %s, %v, %v", name, got, err, broken)
		}
	}
}

func TestWhatsAppReports(t *testing.T) {
	t.Parallel()
	s := newServer(t, false)
	s.make = NewWhatsApp
	c := s.channel()
	const address = "https://sapa.example/hooks/whatsapp/report/t1"
	for status, want := range map[string]channels.Report{
		"read":        {ProviderID: "SM1", Status: channels.ReportRead},
		"undelivered": {ProviderID: "SM1", Status: channels.ReportUndelivered, Code: 63024, Words: "the number has no WhatsApp, an old version of it, or has not agreed to its terms"},
	} {
		form := url.Values{"MessageSid": {"SM1"}, "MessageStatus": {status}, "To": {"whatsapp:+62812"}}
		if want.Code != 0 {
			form.Set("ErrorCode", "63024")
		}
		got, err := c.Report(address, c.sign(address, form), form)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
	}
	form := url.Values{"MessageSid": {"SM2"}, "From": {"whatsapp:+628120000001"}, "To": {"whatsapp:+628110000001"}, "Body": {"BERHENTI"}, "NumMedia": {"0"}}
	in, err := c.Inbound(address, c.sign(address, form), form)
	if diff := cmp.Diff(channels.Inbound{ProviderID: "SM2", From: "+628120000001", To: "+628110000001", Text: "BERHENTI"}, in); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// What comes to the address of another channel is refused: its STOP would suppress the wrong one.
func TestInboundOfAnotherChannel(t *testing.T) {
	t.Parallel()
	const address = "https://sapa.example/hooks/x/inbound"
	for _, test := range []struct {
		make func(Config) (*Channel, error)
		from string
	}{
		{New, "whatsapp:+628120000001"}, {New, "messenger:4711"}, {NewWhatsApp, "+628120000001"}, {NewWhatsApp, "rcs:+628120000001"},
	} {
		s := newServer(t, false)
		s.make = test.make
		c := s.channel()
		form := url.Values{"MessageSid": {"SM2"}, "From": {test.from}, "To": {"+628110000001"}, "Body": {"STOP"}}
		in, err := c.Inbound(address, c.sign(address, form), form)
		if in != (channels.Inbound{}) || err == nil || err.Error() != "a message that came by another channel: enter at each sender, in Twilio's console, the address of its own channel, /hooks/sms/inbound or /hooks/whatsapp/inbound" {
			t.Errorf("%s by %s: %+v, %v", test.from, c.Name(), in, err)
		}
	}
}

// What refuses one message, or one number, harms no others; what refuses the sender concerns everybody.
func TestBreadthVerdicts(t *testing.T) {
	t.Parallel()
	whatsApp := waMessage(map[string]string{"template": template1})
	call := waMessage(map[string]string{"say": "Halo"})
	for _, test := range []struct {
		make     func(Config) (*Channel, error)
		message  *channels.Message
		status   int
		code     int
		want     string
		suppress string
		words    string
	}{
		{NewWhatsApp, whatsApp, 400, 21656, "permanent", "", "Twilio refused the message (HTTP 400, error 21656)"},
		{NewWhatsApp, whatsApp, 400, 63018, "retry", "", "Twilio refused the message (HTTP 400, error 63018)"},
		{NewWhatsApp, whatsApp, 400, 63007, "unavailable", "", "Twilio refuses the account or its sender (HTTP 400, error 63007): check channels.whatsapp.from"},
		{NewVoice, call, 400, 21217, "suppress", "no such number", "Twilio refused the message (HTTP 400, error 21217)"},
		{NewVoice, call, 403, 21216, "permanent", "", "Twilio refused the message (HTTP 403, error 21216)"},
		{NewVoice, call, 400, 13224, "permanent", "", "Twilio refused the message (HTTP 400, error 13224)"},
		{NewVoice, call, 429, 10004, "retry", "", "Twilio refused the message (HTTP 429, error 10004)"},
		{NewVoice, call, 400, 21210, "unavailable", "", "Twilio refuses the account or its sender (HTTP 400, error 21210): check channels.voice.from"},
		{NewVoice, call, 500, 20500, "unknown", "", "the message was handed over and Twilio could not say what became of it (HTTP 500, error 20500)"},
	} {
		s := newServer(t, false)
		s.make, s.reply = test.make, func(*http.Request) *reply { return failure(test.status, test.code, "x") }
		_, err, _ := send(t.Context(), t, s.channel(), test.message, always)
		if got := channels.VerdictOf(err).String(); got != test.want || channels.SuppressReason(err) != test.suppress || err.Error() != test.words {
			t.Errorf("%d: %s %q: %v", test.code, got, channels.SuppressReason(err), err)
		}
	}
}
