// Package httpsend is what channels share that hand a message over as one HTTP request: a kept connection, the moment from
// which the message counts as handed over, the time limits, and whom not to connect to. A channel adds how a message
// becomes a request and how an answer is read:
//
//	channel, err := httpsend.New(httpsend.Config{
//		Name: "chat", URL: "https://api.example/send", Compose: compose, Read: read,
//	})
//
// It speaks HTTP/1.1 (RFC 9112) over a connection of its own, and not by net/http's client, for the engine must know whether
// the write of a request was entered, and a client that connects anew by itself can't say. A session is one connection with
// one request at a time; it connects again when the server has closed an idle one. Redirects are not followed, and no proxy
// is used.
package httpsend

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/channels"
)

// The time limits used where a Config leaves one at zero, and how much is read of an answer.
const (
	defaultConnectTimeout = 15 * time.Second
	defaultAnswerTimeout  = 30 * time.Second
	maxAnswer             = 64 << 10
)

// Config is one account: where requests go and what is in them.
type Config struct {
	Name string // the channel's word in campaign files
	// URL is the server's: https, or http on this machine. Nothing else is ever connected to.
	URL string
	// Networks are private networks in which the URL's host may be. Without them, a host name that leads to a loopback,
	// private or link-local address is refused; a host that is written as an address is not.
	Networks []netip.Prefix

	ConnectTimeout time.Duration // name, connection and TLS; 0 is 15 s
	AnswerTimeout  time.Duration // from the hand-over to the whole answer; 0 is 30 s
	RootCAs        *x509.CertPool

	// Compose makes the request for a message; its host must be the URL's. An error is a verdict on this message alone;
	// without a verdict it is Permanent. The context is only for http.NewRequestWithContext.
	Compose func(ctx context.Context, m *channels.Message) (*http.Request, error)
	// Read reads the server's answer. The error is a verdict; Unavailable ends the session. Nil is Judge.
	Read func(m *channels.Message, a Answer) (channels.Receipt, error)
	// Repeatable says that the server takes a request that is made twice as once. Then a message without an answer is not
	// Unknown but tried again.
	Repeatable bool
}

// Channel is one account. It is safe for concurrent use.
type Channel struct {
	cfg  Config
	url  *url.URL
	addr string // host and port
}

// New checks the configuration. It does not connect. Its errors never repeat the URL, which may hold a token.
func New(cfg Config) (*Channel, error) {
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("the URL can't be read: write one such as https://api.example/send")
	case u.Scheme == "http" && !thisMachine(u.Hostname()):
		return nil, errors.New("the URL must begin with https://; http:// can be read by everybody on the way and is for this machine only")
	}
	cfg.ConnectTimeout = cmp.Or(cfg.ConnectTimeout, defaultConnectTimeout)
	cfg.AnswerTimeout = cmp.Or(cfg.AnswerTimeout, defaultAnswerTimeout)
	if cfg.Read == nil {
		cfg.Read = func(_ *channels.Message, a Answer) (channels.Receipt, error) { return Judge(a, cfg.Repeatable) }
	}
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	return &Channel{cfg: cfg, url: u, addr: net.JoinHostPort(u.Hostname(), port)}, nil
}

var _ channels.Channel = (*Channel)(nil)

// Name is the channel's word in campaign files.
func (c *Channel) Name() string { return c.cfg.Name }

// Account is the server, as String.
func (c *Channel) Account() string { return c.String() }

// String is the server without what may be secret in the URL, such as "https://api.example".
func (c *Channel) String() string { return c.url.Scheme + "://" + c.url.Host }

// Open connects. The error is an Unavailable.
func (c *Channel) Open(ctx context.Context) (channels.Session, error) {
	s := &session{channel: c}
	if err := s.connect(ctx); err != nil {
		return nil, channels.Unavailable(err)
	}
	return s, nil
}

// dial connects within the time limit.
func (c *Channel) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.ConnectTimeout, errNoConnection)
	defer cancel()
	conn, err := (&net.Dialer{ControlContext: c.control}).DialContext(ctx, "tcp", c.addr)
	if err == nil && c.url.Scheme == "https" {
		conn, err = c.secure(ctx, conn)
	}
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return nil, fmt.Errorf("can't reach %s: %w", c, err)
}

func (c *Channel) secure(ctx context.Context, raw net.Conn) (net.Conn, error) {
	conn := tls.Client(raw, &tls.Config{ServerName: c.url.Hostname(), RootCAs: c.cfg.RootCAs, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return conn, nil
}

var errNoConnection = errors.New("no connection in time")

func thisMachine(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
