package httpsend

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/sapa-crm/sapa/channels"
)

// session is one kept connection; it connects again by itself when the server has closed an idle one.
type session struct {
	channel *Channel
	conn    net.Conn // nil: none now
	in      *bufio.Reader
	broken  error // set for good by whatever ends the session
}

func (s *session) connect(ctx context.Context) error {
	conn, err := s.channel.dial(ctx)
	if err != nil {
		return err
	}
	s.conn, s.in = conn, bufio.NewReader(conn)
	return nil
}

func (s *session) hangUp() {
	if s.conn != nil {
		_ = s.conn.Close() // nobody waits for anything on it
		s.conn = nil
	}
}

// Close hangs up.
func (s *session) Close() error {
	s.hangUp()
	if s.broken == nil {
		s.broken = channels.Unavailable(errors.New("the session is closed"))
	}
	return nil
}

// Deliver hands over one message after the other; see channels.Session.
func (s *session) Deliver(ctx context.Context, in <-chan *channels.Message, permit func(*channels.Message) error,
	done func(*channels.Message, channels.Receipt, error),
) error {
	for s.broken == nil {
		m, ok := channels.Receive(ctx, in)
		if !ok {
			return nil
		}
		receipt, err := s.deliver(ctx, m, permit)
		done(m, receipt, err)
	}
	return s.broken
}

func (s *session) deliver(ctx context.Context, m *channels.Message, permit func(*channels.Message) error) (channels.Receipt, error) {
	request, err := s.channel.compose(ctx, m)
	if err != nil {
		return channels.Receipt{}, err
	}
	if err := s.ready(ctx); err != nil {
		s.broken = channels.Unavailable(err)
		return channels.Receipt{}, s.broken
	}
	if err := allowed(ctx, m, permit); err != nil {
		return channels.Receipt{}, channels.Unavailable(err) // nothing is wrong with the connection
	}
	at := time.Now()
	answer, err := s.exchange(request, at.Add(s.channel.cfg.AnswerTimeout))
	if err != nil {
		s.hangUp()
		return channels.Receipt{HandedOver: at}, s.channel.lost(err)
	}
	receipt, err := s.channel.cfg.Read(m, answer)
	receipt.HandedOver, receipt.Words = at, cut(receipt.Words, channels.MaxWords)
	if receipt.Code == 0 {
		receipt.Code = answer.Status
	}
	if channels.VerdictOf(err) == channels.VerdictUnavailable {
		s.broken = err
	}
	return receipt, err
}

// compose asks the channel for the request. One that would go to somebody else is a mistake of the channel's.
func (c *Channel) compose(ctx context.Context, m *channels.Message) (*http.Request, error) {
	request, err := c.cfg.Compose(ctx, m)
	switch {
	case err != nil && channels.VerdictOf(err) == channels.VerdictUnknown:
		return nil, channels.Permanent(err)
	case err != nil:
		return nil, err
	case request.URL.Scheme != c.url.Scheme || request.URL.Host != c.url.Host:
		return nil, channels.Permanent(fmt.Errorf("the request would go to another server than %s", c))
	}
	return request, nil
}

// ready gives the session a connection that the server has not closed.
func (s *session) ready(ctx context.Context) error {
	if s.conn != nil && stale(s.conn) {
		s.hangUp()
	}
	if s.conn != nil {
		return nil
	}
	return s.connect(ctx)
}

func allowed(ctx context.Context, m *channels.Message, permit func(*channels.Message) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return permit(m)
}

// lost is the verdict on a message that was handed over and not answered.
func (c *Channel) lost(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("no answer within %s", c.cfg.AnswerTimeout)
	}
	err = fmt.Errorf("the message was handed over and %s did not answer: %w", c, err)
	if c.cfg.Repeatable {
		return channels.RetryAfter(err, 0)
	}
	return channels.Unknown(err)
}

// exchange writes the request and reads its answer.
func (s *session) exchange(request *http.Request, until time.Time) (Answer, error) {
	if err := s.conn.SetDeadline(until); err != nil {
		return Answer{}, err
	}
	out := bufio.NewWriter(s.conn)
	if err := request.Write(out); err != nil {
		return Answer{}, err
	}
	if err := out.Flush(); err != nil {
		return Answer{}, err
	}
	response, err := s.response(request) //nolint:bodyclose // closing would read a body without an end; the connection is closed instead
	if err != nil {
		return Answer{}, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return Answer{}, err
	}
	_, more := response.Body.Read(make([]byte, 1))
	if response.Close || !errors.Is(more, io.EOF) || s.in.Buffered() > 0 {
		s.hangUp() // the rest is nobody's
	}
	return Answer{Status: response.StatusCode, Header: response.Header, Body: body}, nil
}

// maxInterim bounds how many interim answers (RFC 9110 section 15.2) are passed over.
const maxInterim = 10

// maxHead bounds the head of an answer, with those of interim ones.
const maxHead = 64 << 10

func (s *session) response(request *http.Request) (*http.Response, error) {
	limit := &io.LimitedReader{R: s.conn, N: maxHead + maxAnswer}
	s.in.Reset(limit)
	for range maxInterim {
		response, err := http.ReadResponse(s.in, request)
		if err != nil {
			return nil, err
		}
		if response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			return response, nil
		}
	}
	return nil, errors.New("nothing but interim answers")
}

// stale says whether the server has closed a connection, or said something unasked on it. It looks at the socket without
// taking anything from it. A server of TLS has nothing to say unasked, since we ask for no tickets of sessions (RFC 8446
// section 4.2.9); from one that does we part for nothing, once.
func stale(conn net.Conn) bool {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true
	}
	var peeked error
	if err := raw.Control(func(fd uintptr) {
		_, _, peeked = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}); err != nil {
		return true
	}
	return !errors.Is(peeked, syscall.EAGAIN)
}
