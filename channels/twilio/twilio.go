// Package twilio is the SMS channel by Twilio's REST API, version 2010-04-01, through twilio-go.
//
// A session is one kept HTTP/1.1 connection with one request at a time. twilio-go makes the requests and reads the
// answers, but it takes no context and hides what the engine must know: whether the write of the request was entered.
// request.go therefore stands between it and the connection. The request's body is what hands a message over: it is
// read by the transport when the connection stands, after the headers went into a buffer and before anything is
// written. verdict.go says how each answer is read.
package twilio

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	openapi "github.com/twilio/twilio-go/rest/api/v2010"

	"github.com/sapa-crm/sapa/channels"
)

// Channel is one account at Twilio. It is safe for concurrent use.
type Channel struct {
	cfg       Config
	inquiries *http.Transport // of Inquire, kept between calls
}

var (
	_ channels.Channel  = (*Channel)(nil)
	_ channels.Webhook  = (*Channel)(nil)
	_ channels.Inquirer = (*Channel)(nil)
)

// New makes the channel. It does not connect.
func New(cfg Config) (*Channel, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("set up SMS: %w", err)
	}
	c := &Channel{cfg: cfg.withDefaults()}
	c.inquiries = c.transport()
	return c, nil
}

// Name is "sms".
func (c *Channel) Name() string { return "sms" }

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
	abandoned := 2 * c.cfg.ConnectTimeout // request.go has the limits; this one ends what nobody waits for any more
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

// Open connects and asks for one message of the account's list, which shows whether the credentials are good, also
// those of an API key, which may not read the account itself. The error is Permanent when Twilio refuses them, else
// Unavailable.
func (c *Channel) Open(ctx context.Context) (channels.Session, error) {
	transport := c.transport()
	one := 1
	answer, err := c.ask(ctx, transport, func(api *openapi.ApiService) error {
		params := &openapi.ListMessageParams{PathAccountSid: &c.cfg.AccountSID}
		_, err := api.PageMessage(params.SetPageSize(one), "", "")
		return err
	})
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

// Inquire asks for one message: how far it got, its price, and in how many parts it went.
func (c *Channel) Inquire(ctx context.Context, providerID string) (channels.Inquiry, error) {
	if !plain.MatchString(providerID) {
		return channels.Inquiry{}, fmt.Errorf("ask Twilio for a message: %w", channels.ErrNoMessage)
	}
	var found *openapi.ApiV2010Message
	a, err := c.ask(ctx, c.inquiries, func(api *openapi.ApiService) (err error) {
		found, err = api.FetchMessage(providerID, &openapi.FetchMessageParams{PathAccountSid: &c.cfg.AccountSID})
		return err
	})
	switch {
	case err == nil && found != nil && text(found.Sid) != "":
		return inquiry(found), nil
	case a.status == http.StatusNotFound && a.code == codeNotFound:
		return channels.Inquiry{}, fmt.Errorf("ask Twilio for message %s: %w", providerID, channels.ErrNoMessage)
	case a.status == http.StatusTooManyRequests:
		return channels.Inquiry{}, channels.Unavailable(fmt.Errorf("ask Twilio for message %s: %s", providerID, a))
	}
	if err := c.explainOpen(a, err); err != nil {
		return channels.Inquiry{}, err
	}
	return channels.Inquiry{}, channels.Unavailable(errors.New("Twilio's answer can't be read"))
}
