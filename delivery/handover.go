package delivery

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/sapa-crm/sapa/channels"
)

// errPaused says that the run was paused, cancelled or that this process is stopping.
var errPaused = errors.New("the run does not send now")

// sender hands the messages of one batch over, on one session at a time.
type sender struct {
	engine  *Engine
	lease   *lease
	account Account
	pool    *sessionPool
	pace    *pacer
	session *connection
	thanked bool // the run has no note that is out of date
}

// connect makes sure that there is a session.
func (s *sender) connect(ctx context.Context) (err error) {
	if s.session == nil {
		s.session, err = s.pool.get(ctx)
	}
	return err
}

func (s *sender) putBack() {
	if s.session != nil {
		s.pool.put(s.session)
		s.session = nil
	}
}

// claimSize is how many messages to claim: at most ClaimMost, and at most what the rate allows in a second.
func (s *sender) claimSize() int {
	if s.account.Rate <= 0 {
		return ClaimMost
	}
	return max(1, min(ClaimMost, int(s.account.Rate)/s.account.connections()))
}

// handOver feeds the messages to the session at the account's rate and records every verdict. The error is the
// database's; what happened to messages is in the ledger.
func (s *sender) handOver(ctx context.Context, ready []filled) (err error) {
	if len(ready) == 0 {
		return nil
	}
	rec := newRecorder(s.engine, s.lease, ready)
	session := s.session
	s.session = nil // until it has shown that it can be used again, also when it panics
	cause := errors.New("the channel broke off")
	defer func() {
		err = rec.close()
		s.judge(ctx, session, rec.answered, cause)
	}()
	in := make(chan *channels.Message)
	feedCtx, stopFeeding := context.WithCancel(ctx)
	defer stopFeeding()
	fed := make(chan int, 1)
	go func() { fed <- s.feed(feedCtx, ready, in) }()
	var channel channels.Session = session
	if s.engine.Fault == FaultEarlyRecord {
		channel = hasty{session}
	}
	cause = channel.Deliver(ctx, in, s.allow, rec.done)
	stopFeeding()
	rec.rest(ready, <-fed)
	return nil
}

// feed sends messages to in as the rate allows, until permission ends; it returns how many were taken.
func (s *sender) feed(ctx context.Context, ready []filled, in chan<- *channels.Message) int {
	defer close(in)
	for i, m := range ready {
		for offered := false; !offered; {
			if !s.await(ctx) {
				return i
			}
			select {
			case in <- m.mail:
				offered = true
			case <-s.pace.lapse(): // the session is busy: this slot is lost
			case <-ctx.Done():
				return i
			}
		}
	}
	return len(ready)
}

// await waits for a slot, and gives it up as soon as permission ends.
func (s *sender) await(ctx context.Context) bool {
	for s.permit() == nil && ctx.Err() == nil {
		if s.pace.unlimited() {
			return true
		}
		at, err := s.slot(ctx)
		switch {
		case err == nil:
			return s.sleepUntil(ctx, at)
		case !errors.Is(err, context.DeadlineExceeded):
			s.engine.Log.Warn("lease sending slots", slog.Any("error", err))
			sleep(ctx, gateEvery)
		}
	}
	return false
}

// slot waits for a slot no longer than a pause may go unnoticed.
func (s *sender) slot(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, gateEvery)
	defer cancel()
	return s.pace.slot(ctx)
}

func (s *sender) sleepUntil(ctx context.Context, at time.Time) bool {
	for s.permit() == nil && ctx.Err() == nil {
		wait := time.Until(at)
		if wait <= 0 {
			return true
		}
		sleep(ctx, min(wait, gateEvery))
	}
	return false
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// allow is permit, as sessions ask it.
func (s *sender) allow(*channels.Message) error { return s.permit() }

// permit is the last look before a hand-over: the run's state, whose database it is, and our lease.
func (s *sender) permit() error {
	if !s.engine.gate.open(s.lease.run) {
		return errPaused
	}
	if s.engine.foreign.Load() {
		return errForeignHere
	}
	return s.lease.life.permit()
}

// judge decides what becomes of the session. One that we broke off ourselves, because of a pause, says nothing about
// the provider.
func (s *sender) judge(ctx context.Context, session *connection, answered bool, cause error) {
	if answered {
		s.pool.answered(session)
		s.thank(ctx)
	}
	if cause == nil {
		session.kept = session.kept || answered
		s.session = session
		return
	}
	go func() { _ = session.Close() }() // it is broken; its goodbye may block and matters to nobody
	if errors.Is(cause, errPaused) || errors.Is(cause, errNoLease) || errors.Is(cause, ErrForeign) || ctx.Err() != nil {
		cause = nil
	} else {
		s.engine.Log.Warn("session broke", slog.String("channel", s.lease.channel), slog.Int64("batch", s.lease.batch), slog.Any("error", cause))
	}
	s.pool.broke(session, answered, cause)
}

// thank takes the note away that says why the run does not move.
func (s *sender) thank(ctx context.Context) {
	if s.thanked {
		return
	}
	if err := s.engine.clearNote(ctx, s.lease.run); err != nil {
		s.engine.Log.Warn("clear note", slog.Int("run", s.lease.run), slog.Any("error", err))
		return
	}
	s.thanked = true
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "this machine"
	}
	return name
}
