// Package email is the e-mail channel: kept SMTP connections, one message to one recipient per transaction.
//
// go-mail opens the connection (TLS, STARTTLS, AUTH). The dialogue on it is our own, because the engine must know
// exactly whether the write that completes a message was entered: before it, whatever breaks leaves the message
// unsent; after it, only the server's complete replies tell. How much travels at once depends on what the server offers, and bears:
//
//   - CHUNKING (RFC 3030) and PIPELINING (RFC 2920): MAIL, RCPT, BDAT and the content of a message that fits in a block are
//     one write. One round trip for each message, which is in doubt for only that one.
//   - PIPELINING: the write with a message's final dot also holds MAIL, RCPT and DATA of the next one. One round trip for
//     each message; one that is taken up waits for its predecessor's, and is in doubt for two.
//   - Where no next message is there, or a message is larger than a block, or a server gets out of step, MAIL, RCPT and DATA
//     travel in one group of their own; else step by step.
//
// There is no NOOP, and a RSET only where a refused transaction must be ended. verdict.go says how each reply is read, and
// chunk.go how three replies together are.
package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"sync/atomic"

	mail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/sapa-crm/sapa/channels"
)

// Channel is one account at an SMTP server. It is safe for concurrent use; each Session is its own connection.
type Channel struct {
	cfg Config
	// most is the manner that a server which offers PIPELINING is trusted with. What gets it out of step is not done
	// again by any session of this channel, so that it falls back step by step.
	most  atomic.Int32
	shown atomic.Bool // an envelope behind a final dot was answered
	takes atomic.Bool // a message in a chunk was accepted
}

var _ channels.Channel = (*Channel)(nil)

// New makes the channel. It does not connect.
func New(cfg Config) (*Channel, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("set up e-mail: %w", err)
	}
	c := &Channel{cfg: cfg.withDefaults()}
	c.most.Store(int32(chunked))
	return c, nil
}

// distrust has all sessions do less than what went wrong.
func (c *Channel) distrust(wrong manner) {
	for most := c.most.Load(); most >= int32(wrong) && wrong > stepwise; most = c.most.Load() {
		if c.most.CompareAndSwap(most, int32(wrong)-1) {
			return
		}
	}
}

// Name is "email".
func (c *Channel) Name() string { return "email" }

// Account is the server's URL without credentials, such as "smtp://mail.example:587".
func (c *Channel) Account() string { return c.cfg.account() }

// String is the account, so that no way of printing a Channel shows its credentials.
func (c *Channel) String() string { return c.Account() }

// GoString is the same as String.
func (c *Channel) GoString() string { return c.Account() }

// Open connects, encrypts and logs in, within the connect timeout and the context. The error is Permanent when the
// server refuses the credentials or can't do what the configuration asks for, else Unavailable.
func (c *Channel) Open(ctx context.Context) (channels.Session, error) {
	l := newLogin(c.cfg)
	conn, client, err := c.connect(ctx, l)
	if err != nil {
		return nil, c.explain(ctx, l, err)
	}
	return newSession(c, conn, client), nil
}

// connect has go-mail dial and shake hands. It keeps hold of the connection, which go-mail neither closes when a later
// step fails nor interrupts when the context ends.
func (c *Channel) connect(ctx context.Context, l *login) (net.Conn, *smtp.Client, error) {
	var conn net.Conn
	stop := func() bool { return true }
	dial := func(dialCtx context.Context, _, _ string) (net.Conn, error) {
		dialled, err := c.dial(dialCtx)
		if err != nil {
			return nil, err
		}
		conn = dialled
		stop = context.AfterFunc(ctx, func() { _ = dialled.Close() })
		return dialled, nil
	}
	client, err := c.handshake(ctx, l, dial)
	if stopped := stop(); err == nil && !stopped {
		err = context.Cause(ctx)
	}
	if err != nil && conn != nil {
		_ = conn.Close()
	}
	return conn, client, err
}

// dial connects, and encrypts at once for smtps.
func (c *Channel) dial(ctx context.Context) (net.Conn, error) {
	addr := net.JoinHostPort(c.cfg.Host, strconv.Itoa(c.cfg.Port))
	if c.cfg.Implicit {
		return (&tls.Dialer{Config: c.tlsConfig()}).DialContext(ctx, "tcp", addr)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
}

func (c *Channel) tlsConfig() *tls.Config {
	return &tls.Config{
		ServerName:         c.cfg.Host,
		RootCAs:            c.cfg.RootCAs,
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: c.cfg.TLS == TLSOpportunistic && c.cfg.User == "" && !c.cfg.Implicit, // RFC 7435: nothing to protect
	}
}

var errNoSTARTTLS = errors.New("the server offers no STARTTLS")

// handshake runs greeting, EHLO, STARTTLS and AUTH. Whether a required encryption is there is asked here and in login,
// before a secret is sent, rather than by go-mail, whose error for it has no type.
func (c *Channel) handshake(ctx context.Context, l *login, dial mail.DialContextFunc) (*smtp.Client, error) {
	policy := mail.TLSOpportunistic
	if c.cfg.Implicit || c.cfg.TLS == TLSNone {
		policy = mail.NoTLS
	}
	options := []mail.Option{
		mail.WithPort(c.cfg.Port), mail.WithTimeout(c.cfg.ConnectTimeout), mail.WithTLSConfig(c.tlsConfig()),
		mail.WithTLSPolicy(policy), mail.WithDialContextFunc(dial),
	}
	if c.cfg.Helo != "" {
		options = append(options, mail.WithHELO(c.cfg.Helo))
	}
	if c.cfg.User != "" {
		options = append(options, mail.WithSMTPAuthCustom(l))
	}
	dialler, err := mail.NewClient(c.cfg.Host, options...)
	if err != nil {
		return nil, err
	}
	client, err := dialler.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := client.GetTLSConnectionState(); err != nil && c.cfg.TLS == TLSRequired {
		return nil, errNoSTARTTLS
	}
	return client, nil
}

// explain turns an error of connect into a verdict with words that say what to mend.
func (c *Channel) explain(ctx context.Context, l *login, err error) error {
	answer, answered := errors.AsType[*textproto.Error](err)
	_, notTLS := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case ctx.Err() != nil:
		return channels.Unavailable(fmt.Errorf("connect to %s: %w", c.Account(), context.Cause(ctx)))
	case errors.Is(err, errNoSTARTTLS):
		return channels.Permanent(fmt.Errorf("%s offers no STARTTLS, so nothing was sent: use smtps:// for TLS from the start, or add ?tls=none to SMTP_URL "+
			"where the way to the server is safe without encryption", c.Account()))
	case errors.Is(err, errNoMechanism):
		return channels.Permanent(fmt.Errorf("log in to %s: %w", c.Account(), errNoMechanism))
	case answered && l.started && answer.Code >= 500:
		return channels.Permanent(fmt.Errorf("the SMTP server refused the user name or password (%s): check SMTP_URL", answerOf(answer)))
	case answered && l.started:
		return channels.Unavailable(fmt.Errorf("the SMTP server can't check the password now (%s)", answerOf(answer)))
	case answered:
		return channels.Unavailable(fmt.Errorf("the SMTP server %s turned us away (%s)", c.Account(), answerOf(answer)))
	case notTLS:
		return channels.Unavailable(fmt.Errorf("%s does not begin with TLS: try smtp:// instead of smtps:// in SMTP_URL: %w", c.Account(), err))
	}
	return channels.Unavailable(fmt.Errorf("can't reach the SMTP server %s: %w", c.Account(), err))
}

func answerOf(e *textproto.Error) string {
	enhanced, words := cutEnhanced(e.Code, []byte(e.Msg))
	r := reply{e.Code, string(enhanced), clean(string(words))}
	return r.full()
}
