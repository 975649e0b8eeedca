package email

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/wneessen/go-mail/smtp"

	"github.com/sapa-crm/sapa/channels"
)

// session is one connection, between two transactions whenever no Deliver runs.
type session struct {
	channel *Channel
	wire    dialogue
	offers  extensions
	compose composer
	reset   bool  // a refused transaction is open on the server: RSET goes before the next MAIL
	broken  error // set for good by whatever ends the session
}

func newSession(c *Channel, conn net.Conn, client *smtp.Client) *session {
	offers := extensionsOf(client)
	return &session{
		channel: c,
		wire: dialogue{
			conn: conn, r: client.Text.R, w: client.Text.W, ahead: aheadOf(conn), command: c.cfg.CommandTimeout, data: c.cfg.DataTimeout,
		},
		offers:  offers,
		compose: composer{from: c.cfg.From, eightBit: offers.eightBit, utf8: offers.utf8},
	}
}

// Deliver hands over one message after the other; see channels.Session.
func (s *session) Deliver(ctx context.Context, in <-chan *channels.Message, permit func(*channels.Message) error,
	done func(*channels.Message, channels.Receipt, error),
) error {
	limit, release := limitBy(ctx, s.wire.conn)
	defer release()
	s.wire.limit = limit
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

// deliver takes one message through its transaction: compose, envelope, permit, hand over, answer.
func (s *session) deliver(ctx context.Context, m *channels.Message, permit func(*channels.Message) error) (channels.Receipt, error) {
	tx, err := s.prepare(m)
	if err != nil {
		return channels.Receipt{}, channels.Permanent(err)
	}
	if err := s.envelope(ctx, tx); err != nil {
		return tx.receipt, err
	}
	last, err := s.wire.writeBlocks(tx.content)
	if err != nil {
		return s.cutShort(ctx, tx, err)
	}
	if err := s.wire.unsolicited("answered before it had the message"); err != nil {
		return tx.receipt, s.breakOff(err)
	}
	if err := permit(m); err != nil {
		return tx.receipt, s.breakOff(err) // in mid-DATA there is no way back but to hang up
	}
	if err := s.wire.writeLast(tx, last); err != nil {
		return s.cutShort(ctx, tx, err)
	}
	return s.answer(tx)
}

// prepare composes the message and its envelope. Its errors concern this message alone.
func (s *session) prepare(m *channels.Message) (*transaction, error) {
	composed, err := s.compose.compose(m)
	if err != nil {
		return nil, err
	}
	if s.offers.size > 0 && len(composed.content) > s.offers.size {
		return nil, fmt.Errorf("the message has %d octets and the server takes %d", len(composed.content), s.offers.size)
	}
	tx := &transaction{msg: m, content: composed.content, utf8: composed.utf8}
	tx.from = composed.from.addr
	tx.mail = "MAIL FROM:<" + tx.from + ">"
	tx.rcpt = "RCPT TO:<" + composed.to.addr + ">"
	if composed.eightBit || composed.utf8 {
		tx.mail += " BODY=8BITMIME"
	}
	if composed.utf8 {
		tx.mail += " SMTPUTF8"
	}
	return tx, nil
}

// envelope runs MAIL, RCPT and DATA, with a RSET before them where one is due. It is nil when the server waits for the
// content.
func (s *session) envelope(ctx context.Context, tx *transaction) error {
	if err := s.wire.unsolicited("said something that it was not asked"); err != nil {
		return s.breakOff(err)
	}
	pipelined := s.offers.pipelining && !s.channel.stepwise.Load()
	var failed error
	for _, c := range s.commands(tx) {
		s.wire.put(c.verb, tx, c.line)
		if pipelined && c.verb != verbData {
			continue
		}
		failed = s.wire.exchange()
		if failed != nil || !pipelined && !c.verb.positive(tx.replies[c.verb]) {
			break
		}
	}
	return s.judgeEnvelope(ctx, tx, failed, pipelined)
}

type command struct {
	verb verb
	line string
}

func (s *session) commands(tx *transaction) []command {
	out := make([]command, 0, 4)
	if s.reset {
		out = append(out, command{verbReset, "RSET"})
	}
	return append(out, command{verbMail, tx.mail}, command{verbRcpt, tx.rcpt}, command{verbData, "DATA"})
}

// judgeEnvelope reads the replies in order. A refusal that was received whole counts even when the connection broke
// after it.
func (s *session) judgeEnvelope(ctx context.Context, tx *transaction, failed error, pipelined bool) error {
	first := verbMail
	if s.reset {
		first = verbReset
	}
	for v := first; v <= verbData; v++ {
		r := tx.replies[v]
		switch {
		case r.code == 0:
			return s.lost(ctx, tx, failed, pipelined)
		case !v.expected(r), v == verbReset && !v.positive(r):
			s.distrust(pipelined)
			return s.breakOff(outOfStep(v, r))
		case !v.positive(r):
			return s.refused(tx, v, failed, pipelined)
		case v == verbReset:
			s.reset = false
		}
	}
	return nil
}

// refused is the verdict on the first refusal in the envelope, after a look at the replies behind it.
func (s *session) refused(tx *transaction, v verb, failed error, pipelined bool) error {
	r := tx.replies[v]
	for after := v + 1; after <= verbData; after++ {
		if a := tx.replies[after]; a.code != 0 && a.class() < 4 && (v != verbRcpt || a.code != 354) {
			s.distrust(pipelined)
			return s.breakOff(outOfStep(after, a))
		}
	}
	err, ends := s.judge(tx, v, r)
	s.reset = s.reset || v > verbMail
	switch {
	case ends:
		s.broken = err
	case failed != nil:
		s.broken = channels.Unavailable(failed)
	case tx.replies[verbData].class() == 3:
		s.emptyData(tx)
	}
	return err
}

// emptyData ends a DATA that the server opened although it had refused the recipient: a single dot (RFC 2920 section
// 3.1). Its reply says nothing about the message.
func (s *session) emptyData(tx *transaction) {
	s.wire.put(verbDot, tx, ".")
	if err := s.wire.exchange(); err != nil {
		s.broken = channels.Unavailable(err)
	}
}

// lost is the verdict when the connection broke before the server had refused anything.
func (s *session) lost(ctx context.Context, tx *transaction, failed error, pipelined bool) error {
	if ctx.Err() != nil {
		return s.breakOff(context.Cause(ctx))
	}
	if errors.Is(failed, errMalformed) || tx.replies[verbMail].code != 0 && isTimeout(failed) {
		s.distrust(pipelined)
	}
	return s.breakOff(brokeBefore(failed))
}

// cutShort is the verdict when the content could not be written. The server may have said why before it hung up, and
// may even have read it all.
func (s *session) cutShort(ctx context.Context, tx *transaction, failed error) (channels.Receipt, error) {
	handedOver := !tx.receipt.HandedOver.IsZero()
	if ctx.Err() != nil && !handedOver {
		return tx.receipt, s.breakOff(context.Cause(ctx))
	}
	s.broken = channels.Unavailable(fmt.Errorf("the connection to the SMTP server broke: %w", failed))
	_ = s.wire.conn.SetDeadline(time.Now().Add(defaultQuitTimeout))
	r, err := readReply(s.wire.r)
	switch {
	case handedOver && err == nil && verbDot.expected(r):
		err, _ = s.judge(tx, verbDot, r)
		return tx.receipt, err
	case handedOver:
		return tx.receipt, channels.Unknown(fmt.Errorf("the connection broke while the message was handed over: %w", failed))
	case err == nil && r.class() >= 4:
		err, _ = s.judge(tx, verbData, r)
		return tx.receipt, err
	}
	return tx.receipt, s.broken
}

// answer waits for the reply to the final dot, which is the verdict on the message.
func (s *session) answer(tx *transaction) (channels.Receipt, error) {
	_, r, failed := s.wire.take()
	if failed != nil {
		s.broken = channels.Unavailable(fmt.Errorf("the connection to the SMTP server broke: %w", failed))
		return tx.receipt, channels.Unknown(fmt.Errorf("the message was handed over and the server did not answer: %w", failed))
	}
	if !verbDot.expected(r) {
		s.broken = channels.Unavailable(outOfStep(verbDot, r))
		return tx.receipt, channels.Unknown(outOfStep(verbDot, r))
	}
	err, ends := s.judge(tx, verbDot, r)
	if ends {
		s.broken = channels.Unavailable(closing(r))
	}
	return tx.receipt, err
}

// judge notes the reply that decides the message and says what it means, and whether the session must end with it.
func (s *session) judge(tx *transaction, v verb, r reply) (err error, ends bool) {
	tx.receipt.Code, tx.receipt.Enhanced, tx.receipt.Words = r.code, r.enhanced, r.words
	if v == verbDot && r.class() == 2 {
		tx.receipt.ProviderID = queueID(r.words)
		return nil, false
	}
	if v == verbMail {
		r.words = hideAddresses(r.words, tx.from)
	}
	return refusal(v, r, tx.utf8)
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}

// distrust turns pipelining off for the channel after a group went wrong in a way that PIPELINING may explain.
func (s *session) distrust(pipelined bool) {
	if pipelined {
		s.channel.stepwise.Store(true)
	}
}

// breakOff ends the session without its message having been handed over.
func (s *session) breakOff(err error) error {
	s.broken = channels.Unavailable(err)
	return s.broken
}

// Close says QUIT and hangs up, within about a second; a broken session just hangs up.
func (s *session) Close() error {
	if s.broken != nil {
		return s.wire.conn.Close()
	}
	s.broken = channels.Unavailable(errors.New("the session is closed"))
	_ = s.wire.conn.SetDeadline(time.Now().Add(defaultQuitTimeout))
	if _, err := s.wire.w.WriteString("QUIT\r\n"); err == nil && s.wire.w.Flush() == nil {
		_, _ = readReply(s.wire.r) // its answer changes nothing
	}
	return s.wire.conn.Close()
}
