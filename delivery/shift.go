package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sapa-crm/sapa/channels"
)

// shift is those who work on sessions of a line at the same time and take messages from the same place. It ends when nobody
// has messages any more, and when one of its sessions broke: sessions take what they can get, so only when all have
// returned is it known whether a message was taken by one that says nothing about it.
type shift struct {
	in    chan *channels.Message
	hands sync.WaitGroup
	ended atomic.Bool

	mu    sync.Mutex
	given map[*channels.Message]parcel // and without a verdict
}

func newShift(room int) *shift {
	return &shift{in: make(chan *channels.Message, room), given: map[*channels.Message]parcel{}}
}

// give notes that a parcel is offered.
func (s *shift) give(p parcel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.given[p.mail] = p
}

// forget takes an offer back.
func (s *shift) forget(m *channels.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.given, m)
}

func (s *shift) find(m *channels.Message) (parcel, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.given[m]
	return p, ok
}

// permit is the session's question before a hand-over.
func (s *shift) permit(m *channels.Message) error {
	p, ok := s.find(m)
	if !ok {
		return errPaused
	}
	return p.owner.permit()
}

// verdict gives a message's verdict to its owner. A second one is not heard; nor is one about a message that was not given.
func (s *shift) verdict(m *channels.Message, receipt channels.Receipt, err error) (heard bool) {
	s.mu.Lock()
	p, ok := s.given[m]
	delete(s.given, m)
	s.mu.Unlock()
	if ok {
		p.owner.verdict(m, receipt, err)
	}
	return ok
}

// end lets the shift's sessions finish. offered was not taken; untaken is what else nobody has. What somebody took and said
// nothing about is Unknown, as soon as all have returned.
func (s *shift) end(offered *channels.Message) (untaken []parcel) {
	s.forget(offered)
	s.ended.Store(true)
	close(s.in)
	for m := range s.in {
		if p, ok := s.find(m); ok {
			s.forget(m)
			untaken = append(untaken, p)
		}
	}
	go func() {
		s.hands.Wait()
		for m := range s.given { // nobody else is left
			s.verdict(m, channels.Receipt{}, channels.Unknown(errSilent))
		}
	}()
	return untaken
}

// errSilent says that a session took a message and gave no verdict on it.
var errSilent = errors.New("the channel gave no verdict")

// work gets a session and lets it take messages until the shift ends or it breaks.
func (l *line) work(ctx context.Context, s *shift) {
	session, err := l.pool.get(ctx)
	told := l.tell(event{shift: s, opened: true, err: err})
	if err != nil {
		return
	}
	if !told {
		_ = session.Close()
		return
	}
	answered := false
	cause := l.deliver(ctx, s, session, &answered)
	l.judge(ctx, session, answered, cause)
	l.tell(event{shift: s, ended: true, err: cause})
}

func (l *line) tell(e event) bool {
	select {
	case l.events <- e:
		return true
	case <-l.over:
		return false
	}
}

// deliver lets the session take messages. A panic, and an end for no reason, are errors like any other that breaks it.
func (l *line) deliver(ctx context.Context, s *shift, session *connection, answered *bool) (cause error) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("panic", slog.String("channel", l.channel), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			cause = fmt.Errorf("the channel broke off: panic: %v", p)
		}
	}()
	var channel channels.Session = session
	if l.fault == FaultEarlyRecord {
		channel = hasty{session}
	}
	cause = channel.Deliver(ctx, s.in, s.permit, func(m *channels.Message, r channels.Receipt, err error) {
		verdict := channels.VerdictOf(err)
		if !s.verdict(m, r, err) {
			return
		}
		took := answeredAfter(r)
		l.meter.Attempted(l.channel, verdict, took)
		if took > 0 {
			l.nearest.saw(took, time.Now())
		}
		if verdict != channels.VerdictUnavailable && verdict != channels.VerdictUnknown && !*answered {
			*answered = true
			l.pool.answered(session)
		}
	})
	if cause == nil && !s.ended.Load() && ctx.Err() == nil {
		cause = errors.New("the channel stopped taking messages")
	}
	return cause
}

// judge decides what becomes of the session. One that we broke off ourselves, because of a pause, says nothing about
// the provider.
func (l *line) judge(ctx context.Context, session *connection, answered bool, cause error) {
	if cause == nil {
		session.kept = session.kept || answered
		l.pool.put(session)
		return
	}
	go func() { _ = session.Close() }() // it is broken; its goodbye may block and matters to nobody
	if errors.Is(cause, errPaused) || errors.Is(cause, errNoLease) || errors.Is(cause, ErrForeign) || ctx.Err() != nil {
		cause = nil
	} else {
		l.log.Warn("session broke", slog.String("channel", l.channel), slog.Any("error", cause))
	}
	l.pool.broke(session, answered, cause)
}
