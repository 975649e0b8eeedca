package webhook

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/channeltest"
	"github.com/sapa-crm/sapa/internal/secret"
)

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func TestConformance(t *testing.T) {
	t.Parallel()
	channeltest.Run(t, func(t *testing.T) channeltest.Provider {
		return channeltest.HTTP{
			New: func(url string) channels.Channel { return receiver(t, url+"/hooks/sapa") },
			Recipient: func(i int) channels.Address {
				return channels.Address{Name: "Ibu Ani " + strconv.Itoa(i)}
			},
			Fill: func(m *channels.Message) {
				m.Parts = map[string]string{"data.to": m.To.Name, "data.token": m.Token, "text": "Halo"}
			},
			Request: func(_ *http.Request, body []byte) (to, token string) {
				var e envelope
				if err := json.Unmarshal(body, &e); err != nil {
					t.Error(err)
				}
				return e.Data.Data["to"], e.Data.Data["token"]
			},
			Replies: map[channeltest.Answer]channeltest.Reply{
				channeltest.Accept:       {Status: 204},
				channeltest.Refuse:       {Status: 422, Body: "no such plate"},
				channeltest.RefuseForNow: {Status: 503, Header: http.Header{"Retry-After": {"7"}}},
			},
			Unfit: map[string]func(*channels.Message){
				"no parts":         func(m *channels.Message) { m.Parts = nil },
				"a part not UTF-8": func(m *channels.Message) { m.Parts["text"] = "\xff" },
			},
			Repeatable: true,
		}.Start(t)
	})
}

func receiver(t *testing.T, url string) *Channel {
	t.Helper()
	c, err := New(Config{URL: secret.Text(url), Secret: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
