// Package twilio is three channels by Twilio's REST API, version 2010-04-01, through twilio-go: sms (New), whatsapp
// (NewWhatsApp) and voice (NewVoice).
//
// A session is one kept HTTP/1.1 connection with one request at a time. twilio-go makes the requests and reads the
// answers, but it takes no context and hides what the engine must know: whether the write of the request was entered.
// request.go therefore stands between it and the connection. The request's body is what hands a message over: it is
// read by the transport when the connection stands, after the headers went into a buffer and before anything is
// written. verdict.go says how each answer is read. What differs between the channels is in sms.go, whatsapp.go and
// voice.go.
package twilio

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	openapi "github.com/twilio/twilio-go/rest/api/v2010"

	"github.com/sapa-crm/sapa/channels"
)

// Channel is one account at Twilio, used for text messages, WhatsApp or calls. It is safe for concurrent use.
type Channel struct {
	kind
	cfg       Config
	inquiries *http.Transport // of Inquire and Find, kept between calls
}

// kind is what differs between the channels.
type kind interface {
	// Name is the channel's word in campaign files.
	Name() string
	// title is the channel in words.
	title() string
	// checkSender says what is wrong with the account's sender.
	checkSender(Config) error
	// compose makes the request of a message. Its errors are verdicts on this message alone.
	compose(context.Context, Config, *channels.Message) (order, error)
	// measure fills in what a message that was handed over is charged as.
	measure(*channels.Receipt, *channels.Message)
	// list asks for one of what the account has sent.
	list(*openapi.ApiService, Config) error
	// fetch asks for one message.
	fetch(*openapi.ApiService, Config, string) (sent, error)
	// find asks for messages that may be the lost one.
	find(*openapi.ApiService, Config, channels.Lost) ([]sent, error)
	// report reads the form of a status callback, and what its address says.
	report(address string, form url.Values) (channels.Report, error)
	// inbound reads the form of a message of a customer.
	inbound(form url.Values) (channels.Inbound, error)
	// answer is the TwiML that tells the customer a text.
	answer(text string) []byte
}

// order is a request that hands a message over.
type order func(*openapi.ApiService) (taken, error)

// taken is Twilio's answer to an order.
type taken struct{ sid, status, segments string }

var (
	_ channels.Channel  = (*Channel)(nil)
	_ channels.Webhook  = (*Channel)(nil)
	_ channels.Inquirer = (*Channel)(nil)
	_ channels.Finder   = (*Channel)(nil)
)

// New makes the channel for text messages. It does not connect.
func New(cfg Config) (*Channel, error) { return newChannel(cfg, sms{}) }

// NewWhatsApp makes the channel for WhatsApp. It does not connect.
func NewWhatsApp(cfg Config) (*Channel, error) { return newChannel(cfg, whatsApp{}) }

// NewVoice makes the channel for calls that speak by themselves. It does not connect.
func NewVoice(cfg Config) (*Channel, error) { return newChannel(cfg, voice{}) }

func newChannel(cfg Config, k kind) (*Channel, error) {
	err := cfg.validate()
	if err == nil {
		err = k.checkSender(cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("set up %s: %w", k.title(), err)
	}
	c := &Channel{kind: k, cfg: cfg.withDefaults()}
	c.inquiries = c.transport()
	return c, nil
}

// Account is the account's URL without credentials, such as "https://api.twilio.com/ACxxx".
func (c *Channel) Account() string { return c.cfg.account() }

// String is the account, so that no way of printing a Channel shows its credentials.
func (c *Channel) String() string { return c.Account() }

// GoString is the same as String.
func (c *Channel) GoString() string { return c.Account() }

// transport keeps one connection of HTTP/1.1, on which a request is one thing after the other.
func (c *Channel) transport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	abandoned := 4 * c.cfg.ConnectTimeout // request.go has the limits; this one ends what nobody waits for any more
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: abandoned}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: c.cfg.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: abandoned,
		MaxConnsPerHost:     1,
		MaxIdleConnsPerHost: 1,
		IdleConnTimeout:     time.Minute,
		Protocols:           protocols,
	}
}

// Open connects and asks for one entry of the account's list of messages or calls, which shows whether the credentials are
// good, also those of an API key, which may not read the account itself. The error is Permanent when Twilio refuses them,
// else Unavailable.
func (c *Channel) Open(ctx context.Context) (channels.Session, error) {
	transport := c.transport()
	answer, err := c.ask(ctx, transport, func(api *openapi.ApiService) error { return c.list(api, c.cfg) })
	if err := c.explainOpen(answer, err); err != nil {
		transport.CloseIdleConnections()
		return nil, err
	}
	return &session{channel: c, transport: transport}, nil
}

// explainOpen turns the answer to the first question into a verdict with words that say what to mend.
func (c *Channel) explainOpen(a answer, err error) error {
	switch {
	case a.status == 0:
		return channels.Unavailable(fmt.Errorf("can't reach Twilio at %s: %w", c.Account(), err))
	case a.status < 300, a.status == http.StatusTooManyRequests:
		return nil
	case a.code == codeAuthorization: // a key that may send and not read, perhaps
		return nil
	case a.code == codeAuthenticate, a.code == codeForbidden, a.code == 0 && a.status == http.StatusUnauthorized:
		return channels.Permanent(fmt.Errorf("Twilio refused the credentials or the account %s (%s): check TWILIO_URL and whether the account is active", c.Account(), a))
	case a.code == codeNotFound:
		return channels.Permanent(fmt.Errorf("Twilio knows no account %s (%s): check TWILIO_URL", c.Account(), a))
	}
	return channels.Unavailable(fmt.Errorf("%s can't be used now (%s)", c.Account(), a))
}
