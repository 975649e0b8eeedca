package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/time/rate"

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
	limit   *rate.Limiter
	session channels.Session
	broken  int   // sessions in a row that broke without taking a message
	cause   error // why the last of them did
}

// connect makes sure that there is a session.
func (s *sender) connect(ctx context.Context) (err error) {
	if s.session != nil {
		return nil
	}
	if s.broken > 2 {
		return channels.Unavailable(fmt.Errorf("no message is taken: %w", s.cause))
	}
	if s.session, err = s.pool.get(ctx); err != nil {
		s.session = nil
		return err
	}
	return s.engine.clearNote(ctx, s.lease.run)
}

func (s *sender) putBack() {
	if s.session != nil {
		s.pool.put(s.session)
		s.session = nil
	}
}

// claimSize is how many messages to claim: at most claimMost, and at most what the rate allows in a second.
func (s *sender) claimSize() int {
	if s.account.Rate <= 0 {
		return claimMost
	}
	return max(1, min(claimMost, int(s.account.Rate)/s.account.connections()))
}

// handOver feeds the messages to the session at the account's rate and records every verdict. The error is the
// database's; what happened to messages is in the ledger.
func (s *sender) handOver(ctx context.Context, ready []filled) error {
	if len(ready) == 0 {
		return nil
	}
	in := make(chan *channels.Message)
	feedCtx, stopFeeding := context.WithCancel(ctx)
	defer stopFeeding()
	fed := make(chan int, 1)
	go func() { fed <- s.feed(feedCtx, ready, in) }()

	rec := newRecorder(s.engine, s.lease, ready)
	sessionErr := s.session.Deliver(ctx, in, s.permit, rec.done)
	stopFeeding()
	n := <-fed
	taken := rec.count()
	rec.skipRest(ready[min(n, len(ready)):])
	if err := rec.close(); err != nil {
		return err
	}
	if taken > 0 {
		s.pool.up()
		s.broken = 0
	}
	if sessionErr != nil {
		s.dropSession(taken, sessionErr)
	}
	return nil
}

// feed sends messages to in as the rate allows, until permission ends; it returns how many were taken.
func (s *sender) feed(ctx context.Context, ready []filled, in chan<- *channels.Message) int {
	defer close(in)
	for i, m := range ready {
		if s.limit.Wait(ctx) != nil || s.permit() != nil {
			return i
		}
		select {
		case in <- m.mail:
		case <-ctx.Done():
			return i
		}
	}
	return len(ready)
}

// permit is the last look before a hand-over: our lease and the run's state.
func (s *sender) permit() error {
	if !s.engine.gate.open(s.lease.run) {
		return errPaused
	}
	return s.engine.node.permit()
}

// dropSession forgets a session that broke; three in a row that took nothing open the breaker. One that we broke off
// ourselves, because of a pause, says nothing about the provider.
func (s *sender) dropSession(taken int, err error) {
	session := s.session
	s.session = nil
	go func() { _ = session.Close() }() // it is broken; its goodbye may block and matters to nobody
	if taken > 0 || errors.Is(err, errPaused) || errors.Is(err, errNoLease) {
		return
	}
	s.engine.Log.Warn("session broke", slog.String("channel", s.lease.channel), slog.Int64("batch", s.lease.batch), slog.Any("error", err))
	s.cause = err
	if s.broken++; s.broken > 2 {
		s.pool.trip()
	}
}

// recorder collects a claim's verdicts and writes them while later messages are still being handed over.
type recorder struct {
	engine   *Engine
	lease    *lease
	byID     map[int64]*message
	outcomes chan outcome
	finished chan error
	n        int // verdicts with an answer; only touched by the session's goroutine, then by close's
}

// flushEvery bounds how late a verdict reaches the ledger.
const flushEvery = 200 * time.Millisecond

func newRecorder(e *Engine, l *lease, ready []filled) *recorder {
	r := &recorder{engine: e, lease: l, byID: make(map[int64]*message, len(ready)),
		outcomes: make(chan outcome, len(ready)), finished: make(chan error, 1)}
	for _, m := range ready {
		r.byID[m.ID] = m.message
	}
	go r.run()
	return r
}

// done is the session's callback. The channel has room for every message, so that it never blocks.
func (r *recorder) done(m *channels.Message, receipt channels.Receipt, err error) {
	if channels.VerdictOf(err) != channels.VerdictUnavailable {
		r.n++
	}
	r.outcomes <- r.engine.judge(r.byID[m.ID], receipt, err)
}

// skipRest gives back messages that the session never received.
func (r *recorder) skipRest(rest []filled) {
	for _, m := range rest {
		r.outcomes <- r.engine.judge(m.message, channels.Receipt{}, channels.Unavailable(errPaused))
	}
}

// count is how many messages were answered for.
func (r *recorder) count() int { return r.n }

func (r *recorder) close() error {
	close(r.outcomes)
	return <-r.finished
}

func (r *recorder) run() {
	var pending []outcome
	var firstErr error
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	flush := func() {
		if err := r.engine.record(context.Background(), r.lease, pending); err != nil && firstErr == nil {
			firstErr = err
		}
		pending = nil
	}
	for {
		select {
		case o, ok := <-r.outcomes:
			if !ok {
				flush()
				r.finished <- firstErr
				return
			}
			pending = append(pending, o)
		case <-ticker.C:
			flush()
		}
	}
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "this machine"
	}
	return name
}
