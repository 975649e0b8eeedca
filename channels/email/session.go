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

// holdDot is how long a message whose content is due waits for the next one, so that they travel together. A sender that
// is busy has the next one at hand within that time, however its goroutines are scheduled; one that is not loses no more
// than that.
const holdDot = time.Millisecond

// session is one connection, between two transactions whenever no Deliver runs.
type session struct {
	channel *Channel
	wire    dialogue
	offers  extensions
	compose composer
	made    [2]transaction // used in turn, by a message on its way and the next one
	turn    int
	hold    time.Duration // see holdDot; 0: nothing is waited for
	timer   *time.Timer
	heard   bool  // a message that went in a chunk was answered
	reset   bool  // a refused transaction is open on the server: RSET goes before the next MAIL
	broken  error // set for good by whatever ends the session
}

func newSession(c *Channel, conn net.Conn, client *smtp.Client) *session {
	offers := extensionsOf(client)
	s := &session{
		channel: c,
		wire: dialogue{
			conn: conn, r: client.Text.R, w: client.Text.W, ahead: aheadOf(conn), command: c.cfg.CommandTimeout, data: c.cfg.DataTimeout,
		},
		offers:  offers,
		compose: composer{from: c.cfg.From, eightBit: offers.eightBit, utf8: offers.utf8},
		hold:    holdDot,
		timer:   time.NewTimer(holdDot),
	}
	s.timer.Stop()
	return s
}

// feed is what Deliver was given.
type feed struct {
	in     <-chan *channels.Message
	permit func(*channels.Message) error
	done   func(*channels.Message, channels.Receipt, error)
}

// Deliver hands over one message after the other; see channels.Session.
func (s *session) Deliver(ctx context.Context, in <-chan *channels.Message, permit func(*channels.Message) error,
	done func(*channels.Message, channels.Receipt, error),
) error {
	limit, release := limitBy(ctx, s.wire.conn)
	defer release()
	s.wire.limit = limit
	f := feed{in, permit, done}
	for s.broken == nil {
		m, ok := channels.Receive(ctx, in)
		if !ok {
			return nil
		}
		for tx := s.prepare(m); tx != nil; {
			tx = s.deliver(ctx, tx, f)
		}
	}
	return s.broken
}

// deliver says what became of one message, and returns the one that was received meanwhile; nil: none was.
func (s *session) deliver(ctx context.Context, tx *transaction, f feed) (next *transaction) {
	err := s.broken
	switch {
	case tx.unfit != nil:
		err = channels.Permanent(tx.unfit)
	case err == nil && tx.chunk:
		err = s.chunk(ctx, tx, f.permit)
	case err == nil:
		next, err = s.transact(ctx, tx, f)
	}
	f.done(tx.msg, tx.receipt, err)
	return next
}

// transact takes one message through its transaction: envelope, permit, hand over, answer. Where the next message is there
// by then, its envelope goes out with this one's final dot.
func (s *session) transact(ctx context.Context, tx *transaction, f feed) (next *transaction, err error) {
	if err := s.envelope(ctx, tx); err != nil {
		return nil, err
	}
	last, err := s.wire.writeBlocks(tx.content)
	if err != nil {
		return nil, s.cutShort(ctx, tx, err)
	}
	if s.manner() == oneTrip {
		next = s.following(ctx, f.in)
	}
	if err := s.ready(ctx, tx, f.permit); err != nil {
		return next, s.breakOff(err) // in mid-DATA there is no way back but to hang up
	}
	if err := s.wire.writeLast(tx, last, next); err != nil {
		return next, s.cutShort(ctx, tx, err)
	}
	return next, s.answer(tx)
}

// manner is how far commands may be sent ahead now.
func (s *session) manner() manner {
	most := manner(s.channel.most.Load())
	switch {
	case !s.offers.pipelining:
		return stepwise
	case !s.offers.chunking:
		return min(most, oneTrip)
	}
	return most
}

// following is the message that comes next, if it is there, or comes before this one has been held for too long.
func (s *session) following(ctx context.Context, in <-chan *channels.Message) *transaction {
	var m *channels.Message // stays nil where in is closed
	select {
	case m = <-in:
	default:
		m = s.await(ctx, in)
	}
	if m == nil {
		return nil
	}
	return s.prepare(m)
}

// await waits for a message for as long as a dot may be held.
func (s *session) await(ctx context.Context, in <-chan *channels.Message) (m *channels.Message) {
	if s.hold == 0 {
		return nil
	}
	s.timer.Reset(s.hold)
	defer s.timer.Stop()
	select {
	case m = <-in:
	case <-s.timer.C:
	case <-ctx.Done():
	}
	return m
}

// ready is the last look before a message is handed over. No reply is outstanding then.
func (s *session) ready(ctx context.Context, tx *transaction, permit func(*channels.Message) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := s.wire.unsolicited("answered before it had the message"); err != nil {
		return err
	}
	return permit(tx.msg)
}

// prepare composes the message and its envelope.
func (s *session) prepare(m *channels.Message) *transaction {
	s.turn = 1 - s.turn
	tx := &s.made[s.turn]
	*tx = transaction{msg: m, buf: tx.buf, envelope: tx.envelope[:0]}
	tx.unfit = s.fit(tx)
	return tx
}

// keptContent is how large a message's buffer may be to be used again.
const keptContent = 1 << 20

// fit fills the transaction. Its errors concern this message alone.
func (s *session) fit(tx *transaction) error {
	if cap(tx.buf) > keptContent {
		tx.buf = nil
	}
	composed, err := s.compose.compose(tx.buf, tx.msg)
	if err != nil {
		return err
	}
	tx.buf = composed.buf
	if s.offers.size > 0 && len(composed.content) > s.offers.size {
		return fmt.Errorf("the message has %d octets and the server takes %d", len(composed.content), s.offers.size)
	}
	tx.content, tx.utf8, tx.from = composed.content, composed.utf8, composed.frame.sender.addr
	if tx.chunk = s.manner() == chunked && len(tx.content) <= block; !tx.chunk {
		tx.content = composed.forData()
	}
	tx.address(composed)
	return nil
}

// cutShort is the verdict when the content could not be written. The server may have said why before it hung up, and
// may even have read it all.
func (s *session) cutShort(ctx context.Context, tx *transaction, failed error) error {
	handedOver := !tx.receipt.HandedOver.IsZero()
	if ctx.Err() != nil && !handedOver {
		return s.breakOff(context.Cause(ctx))
	}
	s.broken = channels.Unavailable(fmt.Errorf("the connection to the SMTP server broke: %w", failed))
	_ = s.wire.conn.SetDeadline(time.Now().Add(defaultQuitTimeout))
	r, err := readReply(s.wire.r)
	switch {
	case handedOver && err == nil && verbDot.expected(r):
		err, _ = s.judge(tx, verbDot, r)
		return err
	case handedOver:
		return channels.Unknown(fmt.Errorf("the connection broke while the message was handed over: %w", failed))
	case err == nil && r.class() >= 4:
		err, _ = s.judge(tx, verbData, r)
		return err
	}
	return s.broken
}

// answer waits for the reply to the final dot, which is the verdict on the message.
func (s *session) answer(tx *transaction) error {
	_, r, failed := s.wire.take()
	if failed != nil {
		s.broken = channels.Unavailable(fmt.Errorf("the connection to the SMTP server broke: %w", failed))
		return channels.Unknown(fmt.Errorf("the message was handed over and the server did not answer: %w", failed))
	}
	if !verbDot.expected(r) {
		s.broken = channels.Unavailable(outOfStep(verbDot, r))
		return channels.Unknown(outOfStep(verbDot, r))
	}
	err, ends := s.judge(tx, verbDot, r)
	if ends {
		s.broken = channels.Unavailable(closing(r))
	}
	return err
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
