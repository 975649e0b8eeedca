package twilio

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sapa-crm/sapa/channels"
)

// A lost message is found when exactly one of Twilio's fits: to the number, from our sender, in the time, not known as
// another, and, of messages, with a text that only it has.
func TestFind(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	entry := func(sid, body string, change ...string) string {
		fields := map[string]string{
			"sid": sid, "body": body, "direction": "outbound-api", "from": "+628110000001", "to": "+628120000001", "status": "delivered",
			"date_created": at.Add(2 * time.Second).Format(time.RFC1123Z),
		}
		for i := 0; i < len(change); i += 2 {
			fields[change[i]] = change[i+1]
		}
		var list []string
		for k, v := range fields {
			list = append(list, fmt.Sprintf("%q: %q", k, v))
		}
		return "{" + strings.Join(list, ", ") + "}"
	}
	const ours, others = "Halo https://s.example/s/Ab3dE9x0", "Kode Anda 123456"
	for name, test := range map[string]struct {
		make    func(Config) (*Channel, error)
		marks   []string
		entries []string
		want    string // "" is none
	}{
		"one has the mark":          {New, []string{"/s/Ab3dE9x0"}, []string{entry("SM1", others), entry("SM2", ours)}, "SM2"},
		"none has it":               {New, []string{"/s/Ab3dE9x1"}, []string{entry("SM1", others), entry("SM2", ours)}, ""},
		"two have it":               {New, []string{"/s/Ab3dE9x0"}, []string{entry("SM1", ours), entry("SM2", ours)}, ""},
		"one of two is known":       {New, []string{"/s/Ab3dE9x0"}, []string{entry("SM9", ours), entry("SM2", ours)}, "SM2"},
		"without a mark":            {New, nil, []string{entry("SM2", ours)}, ""},
		"from another sender":       {New, []string{"/s/Ab3dE9x0"}, []string{entry("SM2", ours, "from", "+628110000002")}, ""},
		"from the customer":         {New, []string{"/s/Ab3dE9x0"}, []string{entry("SM2", ours, "direction", "inbound")}, ""},
		"of another time":           {New, []string{"/s/Ab3dE9x0"}, []string{entry("SM2", ours, "date_created", at.Add(2*time.Minute).Format(time.RFC1123Z))}, ""},
		"of no time":                {New, []string{"/s/Ab3dE9x0"}, []string{entry("SM2", ours, "date_created", "")}, ""},
		"by WhatsApp":               {NewWhatsApp, []string{"/s/Ab3dE9x0"}, []string{entry("SM2", ours, "from", "whatsapp:+628110000001")}, "SM2"},
		"a call":                    {NewVoice, nil, []string{entry("CA2", "")}, "CA2"},
		"a call at the same time":   {NewVoice, nil, []string{entry("CA1", ""), entry("CA2", "")}, ""},
		"a call that is known":      {NewVoice, nil, []string{entry("SM9", ""), entry("CA2", "")}, "CA2"},
		"a call of no time":         {NewVoice, nil, []string{entry("CA2", "", "date_created", "", "start_time", at.Format(time.RFC1123Z))}, ""},
		"without an id":             {New, []string{"/s/Ab3dE9x0"}, []string{entry("", ours)}, ""},
		"one of more pages":         {New, []string{"/s/Ab3dE9x0"}, []string{entry("SM2", ours)}, ""},
		"a call of more pages":      {NewVoice, nil, []string{entry("CA2", "")}, ""},
		"by WhatsApp, as a text":    {New, []string{"/s/Ab3dE9x0"}, []string{entry("SM2", ours, "from", "whatsapp:+628110000001")}, ""},
		"of a service":              {newByService, []string{"/s/Ab3dE9x0"}, []string{entry("SM2", ours, "messaging_service_sid", "MG01")}, "SM2"},
		"of another service":        {newByService, []string{"/s/Ab3dE9x0"}, []string{entry("SM2", ours, "messaging_service_sid", "MG02")}, ""},
		"shortly before":            {New, []string{"/s/Ab3dE9x0"}, []string{entry("SM2", ours, "date_created", at.Add(-4*time.Second).Format(time.RFC1123Z))}, "SM2"},
		"long before":               {New, []string{"/s/Ab3dE9x0"}, []string{entry("SM2", ours, "date_created", at.Add(-6*time.Second).Format(time.RFC1123Z))}, ""},
		"a call by another program": {NewVoice, nil, []string{entry("CA2", "", "direction", "outbound-dial")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, false)
			s.make = test.make
			s.reply = func(*http.Request) *reply {
				list := strings.Join(test.entries, ", ")
				next := "null"
				if strings.HasSuffix(name, "of more pages") {
					next = `"/2010-04-01/Accounts/AC1/Messages.json?Page=1"`
				}
				return &reply{status: 200, body: `{"messages": [` + list + `], "calls": [` + list + `], "next_page_uri": ` + next + `}`}
			}
			got, err := s.channel().Find(t.Context(), channels.Lost{
				To: "+628120000001", Since: at, Until: at.Add(time.Minute), Marks: test.marks, Known: []string{"SM9"},
			})
			if got.ProviderID != test.want || (test.want == "") != errors.Is(err, channels.ErrNoMessage) {
				t.Errorf("%+v, %v", got, err)
			}
			if name == "without a mark" && len(s.seen()) > 0 {
				t.Errorf("asked %v", s.seen())
			}
		})
	}
}

// newByService is New of an account that sends by a Messaging Service.
func newByService(cfg Config) (*Channel, error) {
	cfg.From, cfg.MessagingService = "", "MG01"
	return New(cfg)
}

// Twilio is asked for the number and from shortly before the hand-over on; that it can't answer proves nothing either.
func TestFindAsks(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	s := newServer(t, false)
	s.reply = func(*http.Request) *reply { return failure(500, 20500, "x") }
	for i, test := range []struct {
		make func(Config) (*Channel, error)
		want url.Values
	}{
		{New, url.Values{"To": {"+628120000001"}, "DateSent>": {"2026-11-22T07:59:00Z"}, "PageSize": {"200"}}},
		{NewWhatsApp, url.Values{"To": {"whatsapp:+628120000001"}, "DateSent>": {"2026-11-22T07:59:00Z"}, "PageSize": {"200"}}},
		{NewVoice, url.Values{"To": {"+628120000001"}, "From": {"+628110000001"}, "StartTime>": {"2026-11-22T07:59:00Z"}, "PageSize": {"200"}}},
	} {
		s.make = test.make
		_, err := s.channel().Find(t.Context(), channels.Lost{To: "+628120000001", Since: at, Until: at, Marks: []string{"x"}})
		if channels.VerdictOf(err) != channels.VerdictUnavailable || errors.Is(err, channels.ErrNoMessage) {
			t.Error(err)
		}
		if got := s.requests[i].URL.Query(); got.Encode() != test.want.Encode() {
			t.Errorf("asked %v", got)
		}
	}
	s.reply = func(*http.Request) *reply { return &reply{status: 302, body: `{"messages": []}`} }
	if _, err := s.channel().Find(t.Context(), channels.Lost{Marks: []string{"x"}}); channels.VerdictOf(err) != channels.VerdictUnavailable || errors.Is(err, channels.ErrNoMessage) {
		t.Errorf("a redirect: %v", err)
	}
}
