package email

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sapa-crm/sapa/channels"
)

// chunk takes one message through its transaction: one write with the envelope, BDAT and the content (RFC 3030 section
// 4.2), and then the replies to all of it.
func (s *session) chunk(ctx context.Context, tx *transaction, permit func(*channels.Message) error) error {
	if ctx.Err() != nil {
		return channels.Unavailable(context.Cause(ctx))
	}
	if err := s.wire.unsolicited(unasked); err != nil {
		if errors.Is(err, errSpoke) {
			s.channel.distrust(chunked) // it may have read content as commands
		}
		return s.breakOff(err)
	}
	if err := permit(tx.msg); err != nil {
		return channels.Unavailable(err) // nothing of it has gone out, so the session goes on
	}
	failed := s.exchangeChunk(tx)
	handedOver := tx.receipt.HandedOver
	err := s.judgeChunk(tx, failed)
	if s.contradicted(tx, err) {
		tx.receipt.HandedOver = handedOver
		return channels.Unknown(errUnasked)
	}
	if s.broken == nil && s.reset && !tx.receipt.HandedOver.IsZero() {
		s.endRefused(tx)
	}
	return err
}

// exchangeChunk hands the message over and takes the replies, those that there are where writing it failed.
func (s *session) exchangeChunk(tx *transaction) error {
	tx.sent = chunked
	failed := s.wire.writeChunk(tx, s.reset)
	if failed != nil {
		s.wire.command, s.wire.data = defaultQuitTimeout, defaultQuitTimeout // for its last words
		_ = s.wire.takeAll()
	} else {
		failed = s.wire.takeAll()
	}
	if failed != nil {
		s.broken = channels.Unavailable(fmt.Errorf("the connection to the SMTP server broke: %w", failed))
	}
	return failed
}

// endRefused has a server that has refused content answer a RSET by itself, before the next message goes out: Exim 4.96
// refuses what is too big, then says 554 to nothing that it was asked, and hangs up.
func (s *session) endRefused(tx *transaction) {
	s.wire.put(verbReset, tx, []byte(resetLine))
	err := s.wire.exchange()
	if r := tx.replies[verbReset]; err == nil && !verbReset.positive(r) {
		err = outOfStep(verbReset, r)
	}
	if s.reset = false; err != nil {
		s.broken = channels.Unavailable(err)
	}
}

var errUnasked = fmt.Errorf("%w %s", errSpoke, unasked)

// contradicted ends the session where the server has said more than it was asked, and says whether the verdict would be
// another one, had the reply that nobody asked for come before the others. Only what came together with them is looked at.
func (s *session) contradicted(tx *transaction, verdict error) (yes bool) {
	for hasReply(s.wire.r) {
		r, err := readReply(s.wire.r)
		why := errUnasked
		if err == nil && r.code == 421 { // as some say behind the last message that they take
			why = closing(r)
		} else {
			yes = yes || err != nil || (verdict == nil) != (r.class() == 2)
			if yes || verdict == nil || tx.receipt.HandedOver.IsZero() { // else see endRefused
				s.channel.distrust(chunked)
			}
		}
		if s.broken == nil {
			s.broken = channels.Unavailable(why)
		}
	}
	return yes && channels.VerdictOf(verdict) != channels.VerdictUnknown
}

// judgeChunk reads the replies in order. What was answered whole counts, even when the connection broke after it.
func (s *session) judgeChunk(tx *transaction, failed error) error {
	first := verbMail
	if s.reset {
		first = verbReset
	}
	for v := first; v <= verbDot; v++ {
		r := tx.replies[v]
		switch {
		case v == verbData: // BDAT has none of its own
		case r.code == 0:
			return s.lostChunk(tx, failed)
		case v == verbDot && cantChunk(r), r.code == 421 && v == verbReset:
			return s.undone(tx, v, failed)
		case !v.expected(r), v == verbReset && !v.positive(r):
			return s.mixedUp(tx, v)
		case !v.positive(r):
			return s.undone(tx, v, failed)
		}
	}
	s.heard, s.reset = true, false
	s.channel.takes.Store(true)
	err, _ := s.judge(tx, verbDot, tx.replies[verbDot])
	return err
}

// cantChunk says whether the server refuses BDAT as such: it does not know the command, or not here.
func cantChunk(r reply) bool { return r.code >= 500 && r.code <= 504 }

// undone is the verdict on the first refusal, after a look at the replies behind it: where the envelope was refused, the
// content must have been refused, too.
func (s *session) undone(tx *transaction, v verb, failed error) error {
	for after := v + 1; after <= verbDot; after++ {
		if a := tx.replies[after]; a.code != 0 && a.class() < 4 {
			return s.mixedUp(tx, after)
		}
	}
	if errors.Is(failed, errMalformed) {
		return s.lostChunk(tx, failed)
	}
	s.heard, s.reset = true, true
	r := tx.replies[v]
	if v == verbDot && cantChunk(r) {
		return s.cant(tx, r)
	}
	if v != verbDot {
		tx.receipt.HandedOver = time.Time{}
	}
	err, ends := s.judge(tx, v, r)
	switch {
	case ends && v == verbDot:
		s.broken = channels.Unavailable(closing(r))
	case ends:
		s.broken = err
	case failed != nil:
		s.channel.distrust(chunked) // it could not go on behind content that it had refused
	}
	return err
}

// cant ends the session with a server that offered BDAT and refuses it. The message goes by another manner.
func (s *session) cant(tx *transaction, r reply) error {
	s.channel.distrust(chunked)
	tx.receipt = channels.Receipt{Code: r.code, Enhanced: r.enhanced, Words: r.words}
	return s.breakOff(fmt.Errorf("the SMTP server offers CHUNKING and refuses BDAT: %s", r))
}

// mixedUp is the verdict when a reply can't be the verb's: which one belongs to what is no longer known. Where one of the
// two envelope commands and the content were refused, the server did not take the message, whichever they belong to.
func (s *session) mixedUp(tx *transaction, v verb) error {
	s.channel.distrust(chunked)
	err := outOfStep(v, tx.replies[v])
	s.broken = channels.Unavailable(err)
	if tx.refused(verbDot) && (tx.refused(verbMail) || tx.refused(verbRcpt)) {
		tx.receipt.HandedOver = time.Time{}
		return s.broken
	}
	return channels.Unknown(err)
}

func (tx *transaction) refused(v verb) bool { return tx.replies[v].class() >= 4 }

// lostChunk is the verdict when the connection broke before the server had refused anything, or what it said was none. It is the server that is
// asked for less from then on where it never took a chunk, or where it hung up between messages: with a chunk on its way, that costs
// a message its certainty each time.
func (s *session) lostChunk(tx *transaction, failed error) error {
	silent := tx.replies[verbReset].code == 0 && tx.replies[verbMail].code == 0
	if errors.Is(failed, errMalformed) || !s.channel.takes.Load() || s.heard && silent && !isTimeout(failed) {
		s.channel.distrust(chunked)
	}
	return channels.Unknown(fmt.Errorf("the message was handed over and the server did not answer: %w", failed))
}
