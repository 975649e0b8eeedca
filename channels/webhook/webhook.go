// Package webhook is the channel to a program of the company's, or to a service that it uses: each message is one signed
// POST, as Standard Webhooks 1.0.0 (https://github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md)
// has it. The body is JSON:
//
//	{"type":"message","timestamp":"2026-11-22T01:00:00Z","data":{
//	  "campaign":"oil-change","topic":"service-reminders","customer":"17","locale":"id-ID",
//	  "data":{"plate":"H 1234 AB"},"text":"Sudah waktunya ganti oli."}}
//
// and webhook-id is the same however often a message is sent. Receivers must take a repeated id as done: then a message
// whose answer was lost, or was 5xx, may be sent again, and is.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/httpsend"
	"github.com/sapa-crm/sapa/internal/secret"
)

// Config is one receiver.
type Config struct {
	URL      secret.Text // https, or http on this machine
	Secret   secret.Text // whsec_ and 24 to 64 bytes in base64
	Networks []netip.Prefix
	Timeout  time.Duration // from the request to its answer; 0 is 20 s
	RootCAs  *x509.CertPool
	Now      func() time.Time // nil is time.Now; receivers refuse what is some minutes off
}

// The specification advises to wait 15 to 30 s for an answer, and wants secrets of 24 to 64 bytes.
const (
	defaultTimeout = 20 * time.Second
	leastSecret    = 24
	mostSecret     = 64
)

// Channel is one receiver. It is safe for concurrent use.
type Channel struct {
	url     string
	key     []byte
	now     func() time.Time
	account *httpsend.Channel
}

var _ channels.Channel = (*Channel)(nil)

// New makes the channel. It does not connect. Its errors repeat neither the URL nor the secret.
func New(cfg Config) (*Channel, error) {
	key, err := key(cfg.Secret)
	if err != nil {
		return nil, err
	}
	c := &Channel{url: cfg.URL.Reveal(), key: key, now: cfg.Now}
	if c.now == nil {
		c.now = time.Now
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	c.account, err = httpsend.New(httpsend.Config{
		Name: "webhook", URL: c.url, Networks: cfg.Networks, AnswerTimeout: cfg.Timeout, RootCAs: cfg.RootCAs,
		Compose: c.compose, Read: c.read, Repeatable: true,
	})
	if err != nil {
		return nil, fmt.Errorf("set up the webhook: %w", err)
	}
	return c, nil
}

func key(s secret.Text) ([]byte, error) {
	text, marked := strings.CutPrefix(s.Reveal(), "whsec_")
	key, err := base64.StdEncoding.DecodeString(text)
	if !marked || err != nil || len(key) < leastSecret || len(key) > mostSecret {
		return nil, fmt.Errorf("the webhook's secret must be whsec_ and %d to %d bytes in base64", leastSecret, mostSecret)
	}
	return key, nil
}

// Name is "webhook".
func (c *Channel) Name() string { return c.account.Name() }

// Account is the receiver's server, without what may be secret in its URL.
func (c *Channel) Account() string { return c.account.Account() }

// String is the account, so that no way of printing a Channel shows its secrets.
func (c *Channel) String() string { return c.Account() }

// GoString is the same as String.
func (c *Channel) GoString() string { return c.Account() }

// LogValue is the same as String.
func (c *Channel) LogValue() slog.Value { return slog.StringValue(c.Account()) }

// Open connects. The error is an Unavailable.
func (c *Channel) Open(ctx context.Context) (channels.Session, error) { return c.account.Open(ctx) }

// envelope is the body, in the specification's form; its fields and those of data are only ever added to.
type envelope struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"` // when the message was composed
	Data      data      `json:"data"`
}

type data struct {
	Campaign string            `json:"campaign"`
	Topic    string            `json:"topic,omitempty"`
	Customer string            `json:"customer,omitempty"` // the key, as text
	Locale   string            `json:"locale,omitempty"`
	Data     map[string]string `json:"data,omitempty"`
	Text     string            `json:"text,omitempty"`
}

// maxBody bounds a body: the specification advises against more than 20 kB, and what is larger by far is a mistake.
const maxBody = 256 << 10

func (c *Channel) body(m *channels.Message) ([]byte, error) {
	e := envelope{Type: "message", Timestamp: m.Date.UTC().Truncate(time.Millisecond), Data: data{
		Campaign: m.Campaign, Topic: m.Topic, Customer: m.Customer, Locale: m.Locale, Text: m.Parts["text"], Data: map[string]string{},
	}}
	for part, text := range m.Parts {
		if !utf8.ValidString(text) {
			return nil, channels.Permanent(errors.New("a part is not valid UTF-8"))
		}
		if name, ok := strings.CutPrefix(part, "data."); ok {
			e.Data.Data[name] = text
		}
	}
	if len(e.Data.Data) == 0 && e.Data.Text == "" {
		return nil, channels.Permanent(errors.New("there is neither data nor text"))
	}
	body := new(bytes.Buffer)
	encoder := json.NewEncoder(body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		return nil, channels.Permanent(err)
	}
	if body.Len() > maxBody {
		return nil, channels.Permanent(fmt.Errorf("the request would have %d bytes, more than %d", body.Len(), maxBody))
	}
	return bytes.TrimSuffix(body.Bytes(), []byte("\n")), nil
}

func (c *Channel) compose(ctx context.Context, m *channels.Message) (*http.Request, error) {
	body, err := c.body(m)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, channels.Permanent(errors.New("the URL can't be read"))
	}
	name, at := id(m), c.now().Unix()
	for header, value := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "Sapa",
		"webhook-id": name, "webhook-timestamp": strconv.FormatInt(at, 10), "webhook-signature": sign(c.key, name, at, body),
	} {
		r.Header.Set(header, value)
	}
	return r, nil
}

// id is the message's: the same at each attempt, and another one in another installation. Its token is not told, since
// pages are opened with that. There is no full stop in it, which separates what is signed.
func id(m *channels.Message) string {
	sum := sha256.Sum256([]byte("webhook " + m.Token))
	return "msg_" + hex.EncodeToString(sum[:12])
}

// sign is the specification's signature scheme v1.
func sign(key []byte, id string, at int64, body []byte) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", id, at, body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// read is the verdict on an answer; docs/delivery.md has it for readers.
func (c *Channel) read(m *channels.Message, a httpsend.Answer) (channels.Receipt, error) {
	receipt, err := httpsend.Judge(a, true)
	receipt.ProviderID = id(m)
	return receipt, err
}
