package chat

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/channeltest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	channeltest.Run(t, func(t *testing.T) channeltest.Provider {
		return channeltest.HTTP{
			New: func(url string) channels.Channel {
				c, err := New(Settings{URL: url, Token: "secret"})
				if err != nil {
					t.Fatal(err)
				}
				return c
			},
			Recipient: func(i int) channels.Address { return channels.Address{Name: "room-" + string(rune('a'+i))} },
			Fill:      func(m *channels.Message) { m.Parts = map[string]string{"room": m.To.Name, "text": m.Token} },
			Request: func(_ *http.Request, body []byte) (to, token string) {
				var said struct{ Room, Text string }
				if err := json.Unmarshal(body, &said); err != nil {
					t.Error(err)
				}
				return said.Room, said.Text
			},
			Replies: map[channeltest.Answer]channeltest.Reply{
				channeltest.Accept:       {Status: 201, Body: `{"id": 17}`},
				channeltest.Refuse:       {Status: 404, Body: "no such room"},
				channeltest.RefuseForNow: {Status: 429},
			},
			Unfit: map[string]func(*channels.Message){
				"no room": func(m *channels.Message) { m.Parts["room"] = "" },
				"no text": func(m *channels.Message) { m.Parts["text"] = "" },
			},
		}.Start(t)
	})
}
