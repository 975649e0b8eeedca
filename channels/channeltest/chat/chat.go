// Package chat is a channel to rooms of the company's chat server: the example of docs/adding-a-channel.md.
package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/httpsend"
	"github.com/sapa-crm/sapa/internal/secret"
)

// Settings are the section channels.chat of sapa.yaml.
type Settings struct {
	URL   string      `yaml:"url,required"` // the server's, such as https://chat.bengkel.example
	Token secret.Text `yaml:"token,required"`
}

// Kind is what package kinds lists.
func Kind() channels.Kind {
	return channels.KindOf(Form(), `chat: {url: "https://chat.example", token: "${CHAT_TOKEN}"}`, func(s Settings) (channels.Opened, error) {
		c, err := New(s)
		return channels.Opened{Channel: c, URL: s.URL, Connections: 2}, err
	})
}

// Form says what a campaign writes below content: chat:
func Form() channels.Form {
	return channels.Form{
		Channel: "chat", About: "A line in a room of the company's chat", Address: channels.NoAddress,
		Example: `chat: {room: sales, text: "{{ customer.name }} is back"}`,
		Parts: []channels.Part{
			{Key: "room", Kind: channels.Constant, Required: true, About: "The room's name"},
			{Key: "text", Kind: channels.Text, Required: true, About: "What is said there"},
		},
	}
}

// New makes the channel. It does not connect.
func New(s Settings) (channels.Channel, error) {
	return httpsend.New(httpsend.Config{Name: "chat", URL: s.URL, Compose: s.compose, Read: read})
}

func (s Settings) compose(ctx context.Context, m *channels.Message) (*http.Request, error) {
	if m.Parts["room"] == "" || m.Parts["text"] == "" {
		return nil, channels.Permanent(errors.New("the room or the text is empty"))
	}
	body, err := json.Marshal(map[string]string{"room": m.Parts["room"], "text": m.Parts["text"]})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/messages", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+s.Token.Reveal())
	return r, nil
}

func read(_ *channels.Message, a httpsend.Answer) (channels.Receipt, error) {
	receipt, err := httpsend.Judge(a, false)
	var said struct {
		ID int `json:"id"`
	}
	if err == nil && json.Unmarshal(a.Body, &said) == nil {
		receipt.ProviderID = strconv.Itoa(said.ID)
	}
	return receipt, err
}
