package email

import (
	"context"
	"errors"
	"net"

	"github.com/sapa-crm/sapa/channels"
)

// envelope runs MAIL, RCPT and DATA, with a RSET before them where one is due, or takes their replies where they have gone
// out already. It is nil when the server waits for the content.
func (s *session) envelope(ctx context.Context, tx *transaction) error {
	if tx.sent == oneTrip {
		return s.judgeEnvelope(ctx, tx, s.wire.takeAll())
	}
	if err := s.wire.unsolicited(unasked); err != nil {
		return s.breakOff(err)
	}
	tx.sent = min(s.manner(), grouped) // in chunks, too: the message is larger than one
	var failed error
	for _, c := range s.commands(tx) {
		s.wire.put(c.verb, tx, c.line)
		if tx.sent == grouped && c.verb != verbData {
			continue
		}
		failed = s.wire.exchange()
		if failed != nil || tx.sent == stepwise && !c.verb.positive(tx.replies[c.verb]) {
			break
		}
	}
	return s.judgeEnvelope(ctx, tx, failed)
}

const resetLine = "RSET\r\n"

type command struct {
	verb verb
	line []byte
}

func (s *session) commands(tx *transaction) []command {
	out := make([]command, 0, 4)
	if s.reset {
		out = append(out, command{verbReset, []byte(resetLine)})
	}
	return append(out, command{verbMail, tx.envelope[:tx.rcpt]}, command{verbRcpt, tx.envelope[tx.rcpt:tx.data]}, command{verbData, tx.envelope[tx.data:]})
}

// judgeEnvelope reads the replies in order. A refusal that was received whole counts even when the connection broke
// after it.
func (s *session) judgeEnvelope(ctx context.Context, tx *transaction, failed error) error {
	first := verbMail
	if s.reset {
		first = verbReset
	}
	for v := first; v <= verbData; v++ {
		r := tx.replies[v]
		switch {
		case r.code == 0:
			return s.lost(ctx, tx, failed)
		case !v.expected(r), v == verbReset && !v.positive(r):
			s.channel.distrust(tx.sent)
			return s.breakOff(outOfStep(v, r))
		case !v.positive(r):
			return s.refused(tx, v, failed)
		case v == verbReset:
			s.reset = false
		case v == verbMail && tx.sent == oneTrip:
			s.channel.shown.Store(true)
		}
	}
	return nil
}

// refused is the verdict on the first refusal in the envelope, after a look at the replies behind it.
func (s *session) refused(tx *transaction, v verb, failed error) error {
	r := tx.replies[v]
	for after := v + 1; after <= verbData; after++ {
		if a := tx.replies[after]; a.code != 0 && a.class() < 4 && (v != verbRcpt || a.code != 354) {
			s.channel.distrust(tx.sent)
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
	if v == verbMail && s.untried(tx) {
		s.channel.distrust(oneTrip)
	}
	return err
}

// emptyData ends a DATA that the server opened although it had refused the recipient: a single dot (RFC 2920 section
// 3.1). Its reply says nothing about the message.
func (s *session) emptyData(tx *transaction) {
	s.wire.put(verbDot, tx, []byte(".\r\n"))
	if err := s.wire.exchange(); err != nil {
		s.broken = channels.Unavailable(err)
	}
}

// lost is the verdict when the connection broke before the server had refused anything.
func (s *session) lost(ctx context.Context, tx *transaction, failed error) error {
	if ctx.Err() != nil {
		return s.breakOff(context.Cause(ctx))
	}
	answered := tx.replies[verbMail].code != 0 || tx.sent == oneTrip // then the dot before it was
	if errors.Is(failed, errMalformed) || answered && isTimeout(failed) || s.untried(tx) {
		s.channel.distrust(tx.sent)
	}
	return s.breakOff(brokeBefore(failed))
}

// untried says whether the envelope went out behind a final dot, and it is not known that the server bears that: it may
// be why it failed.
func (s *session) untried(tx *transaction) bool {
	return tx.sent == oneTrip && !s.channel.shown.Load()
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}
