package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Permission lasts for Permit after the last successful heartbeat was sent, not after it was answered.
func TestPermitLapses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &life{lasts: 20 * time.Second}
		sent := time.Now()
		l.beat.Store(&sent)
		time.Sleep(20 * time.Second)
		if err := l.permit(); err != nil {
			t.Errorf("after 20 s: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if err := l.permit(); !errors.Is(err, errNoLease) {
			t.Errorf("after more than 20 s: %v", err)
		}
		now := time.Now()
		l.beat.Store(&now)
		l.over.Store(true)
		if err := l.permit(); !errors.Is(err, errNoLease) {
			t.Errorf("declared dead: %v", err)
		}
		l.over.Store(false)
		slept := now.Add(-time.Minute).Round(0) // a machine that slept: its monotonic clock did not
		l.beat.Store(&slept)
		if err := l.permit(); !errors.Is(err, errNoLease) {
			t.Errorf("after sleep: %v", err)
		}
	})
}

// After a gap of its own, a process leaves others the time to come back before it takes over from them.
func TestMayBury(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &node{lease: Lease{}.withDefaults()}
		l := &life{lasts: n.lease.Permit}
		now := time.Now()
		l.beat.Store(&now)
		n.life.Store(l)
		if !n.mayBury() {
			t.Error("a new process may take over at once")
		}
		time.Sleep(time.Minute)
		if n.mayBury() {
			t.Error("a process that has no lease itself may not take over")
		}
		now = time.Now()
		l.beat.Store(&now)
		n.regained = now
		if n.mayBury() {
			t.Error("right after a gap it may not take over")
		}
	})
}

func TestLeaseIsChecked(t *testing.T) {
	t.Parallel()
	for _, l := range []Lease{
		{Heartbeat: time.Second}, {Heartbeat: 2, Permit: 1, Silence: 3}, {Heartbeat: 1, Permit: 3, Silence: 3}, {Permit: 1, Silence: 2},
	} {
		if l.check() == nil {
			t.Errorf("%+v was accepted", l)
		}
	}
	if err := (Lease{}).withDefaults().check(); err != nil {
		t.Error(err)
	}
}

// Outcomes are held while the database is away, and not for ever when it refuses them.
func TestPersist(t *testing.T) {
	t.Parallel()
	refused := &pgconn.PgError{Code: "23505"}
	for name, c := range map[string]struct {
		errs []error
		want error
		took time.Duration
	}{
		"at once":          {nil, nil, 0},
		"after an outage":  {[]error{io.ErrUnexpectedEOF, &pgconn.PgError{Code: "57P03"}, &pgconn.PgError{Code: "55000"}, io.EOF, io.EOF, io.EOF, io.EOF, io.EOF}, nil, 7150 * time.Millisecond},
		"refused":          {[]error{refused, refused, refused}, refused, 150 * time.Millisecond},
		"refused at first": {[]error{refused, refused}, nil, 150 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := &Engine{Config: Config{Log: slog.New(slog.DiscardHandler)}, over: make(chan struct{})}
			errs, begun := c.errs, time.Now()
			ended, cancel := context.WithCancel(t.Context())
			cancel() // the work's context ends nothing
			err := e.persist(ended, func(ctx context.Context) error {
				if ctx.Err() != nil {
					t.Error("the context has ended")
				}
				if len(errs) == 0 {
					return nil
				}
				err := errs[0]
				errs = errs[1:]
				return err
			})
			if !errors.Is(err, c.want) || len(errs) > 0 {
				t.Errorf("%s: %v, want %v; %d left", name, err, c.want, len(errs))
			}
			if took := time.Since(begun); took != c.took {
				t.Errorf("%s: took %s, want %s", name, took, c.took)
			}
		})
	}
}

// A process that waits for nothing any more tries once.
func TestPersistIsOver(t *testing.T) {
	t.Parallel()
	e := &Engine{Config: Config{Log: slog.New(slog.DiscardHandler)}, over: make(chan struct{})}
	close(e.over)
	n := 0
	err := e.persist(t.Context(), func(context.Context) error { n++; return fmt.Errorf("read: %w", io.EOF) })
	if n != 1 || !errors.Is(err, io.EOF) {
		t.Errorf("%d tries: %v", n, err)
	}
}
