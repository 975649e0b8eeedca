package delivery

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sapa-crm/sapa/channels"
)

// door is a channel that opens sessions, or not; its sessions only know whether they were closed.
type door struct {
	fail   error
	opened int
	closed atomic.Int64
}

func (d *door) Name() string    { return "email" }
func (d *door) Account() string { return "smtp://mail.example" }

func (d *door) Open(context.Context) (channels.Session, error) {
	d.opened++
	if d.fail != nil {
		return nil, d.fail
	}
	return visit{d}, nil
}

type visit struct{ *door }

func (visit) Deliver(context.Context, <-chan *channels.Message, func(*channels.Message) error, func(*channels.Message, channels.Receipt, error)) error {
	return nil
}

func (v visit) Close() error {
	v.closed.Add(1)
	return nil
}

var errAway = channels.Unavailable(errors.New("connection refused"))

// The breaker waits 2 s, 4 s and so on to a minute, lets one sender through after each wait, and says why.
func TestBreakerWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &door{fail: errAway}
		p := newSessionPool(d)
		for i, want := range []int{2, 4, 8, 16, 32, 60, 60} {
			if _, err := p.get(t.Context()); err == nil || d.opened != i+1 {
				t.Fatalf("try %d: %v, %d tries", i, err, d.opened)
			}
			wait, cause := p.wait()
			if wait != time.Duration(want)*time.Second || !errors.Is(cause, errAway) {
				t.Errorf("after %d failures it waits %s (%v), want %d s", i+1, wait, cause, want)
			}
			time.Sleep(wait - time.Millisecond)
			_, err := p.get(t.Context())
			if d.opened != i+1 || channels.VerdictOf(err) != channels.VerdictUnavailable {
				t.Errorf("a try was let through before its time: %v", err)
			}
			if want := "smtp://mail.example can't be used now: connection refused"; err.Error() != want {
				t.Errorf("it says %q, want %q", err, want)
			}
			time.Sleep(time.Millisecond)
		}
	})
}

// After the wait one sender probes, the others wait for what comes of it; an answer closes the breaker for all.
func TestBreakerProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &door{fail: errAway}
		p := newSessionPool(d)
		_, _ = p.get(t.Context())
		time.Sleep(2 * time.Second)
		d.fail = nil
		probe, err := p.get(t.Context())
		if err != nil || !probe.probe {
			t.Fatalf("the probe: %+v %v", probe, err)
		}
		if _, err := p.get(t.Context()); err == nil {
			t.Error("a second sender was let through")
		}
		if wait, _ := p.wait(); wait != time.Second {
			t.Errorf("others wait %s, want 1s", wait)
		}
		p.answered(probe)
		if _, err := p.get(t.Context()); err != nil {
			t.Errorf("after an answer: %v", err)
		}
		d.fail = errAway
		if _, _ = p.get(t.Context()); d.opened != 4 {
			t.Errorf("%d tries, want 4", d.opened)
		}
		if wait, _ := p.wait(); wait != 2*time.Second {
			t.Errorf("the breaker has not forgotten: it waits %s", wait)
		}
	})
}

// Senders that fail at the same moment count once.
func TestBreakerCountsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newSessionPool(&door{fail: errAway})
		for range 8 {
			p.refused(t.Context(), false, errAway)
		}
		if wait, _ := p.wait(); wait != 2*time.Second {
			t.Errorf("it waits %s, want 2s", wait)
		}
	})
}

// Three new sessions that break without an answer open the breaker. A session that was kept, one that answered before
// it broke, and one that we broke off do not count.
func TestBreakerStrikes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		session  connection
		answered bool
		cause    error
		open     bool
	}{
		"new sessions":         {connection{}, false, errAway, true},
		"kept sessions":        {connection{kept: true}, false, errAway, false},
		"after an answer":      {connection{}, true, errAway, false},
		"broken off ourselves": {connection{}, false, nil, false},
	} {
		p := newSessionPool(&door{})
		for range 3 {
			if wait, _ := p.wait(); wait != 0 {
				t.Errorf("%s: the breaker is open too early", name)
			}
			if c.answered {
				p.answered(&c.session)
			}
			p.broke(&c.session, c.answered, c.cause)
		}
		if wait, _ := p.wait(); wait > 0 != c.open {
			t.Errorf("%s: the breaker is open: %v", name, wait > 0)
		}
	}
}

// A probe that ends without a word, because we broke it off, lets another one through.
func TestBrokenOffProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &door{fail: errAway}
		p := newSessionPool(d)
		_, _ = p.get(t.Context())
		time.Sleep(2 * time.Second)
		d.fail = nil
		for _, end := range []func(*connection){
			func(c *connection) { p.broke(c, false, nil) },
			func(c *connection) { p.put(c); p.closeAll() },
		} {
			probe, err := p.get(t.Context())
			if err != nil || !probe.probe {
				t.Fatalf("%+v %v", probe, err)
			}
			end(probe)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		d.fail = context.Canceled
		_, _ = p.get(ctx) // given up by us
		d.fail = nil
		if probe, err := p.get(t.Context()); err != nil || !probe.probe {
			t.Errorf("%+v %v", probe, err)
		}
	})
}

// Sessions are kept for half a minute without work, and no longer; when one turns out to be dead, so are the others.
func TestIdleSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &door{}
		p := newSessionPool(d)
		open := func(n int) (list []*connection) {
			for range n {
				c, err := p.get(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, c)
			}
			return list
		}
		for _, c := range open(3) {
			p.put(c)
		}
		time.Sleep(29 * time.Second)
		kept := open(2)
		if d.opened != 3 || !kept[0].kept {
			t.Errorf("%d sessions were opened, want 3", d.opened)
		}
		p.broke(kept[0], false, errAway)
		synctest.Wait()
		if n := d.closed.Load(); n != 1 {
			t.Errorf("%d idle sessions were closed with it, want 1", n)
		}
		p.put(kept[1])
		time.Sleep(30 * time.Second)
		if open(1); d.opened != 4 {
			t.Errorf("%d sessions were opened, want a new one", d.opened)
		}
		synctest.Wait()
		if n := d.closed.Load(); n != 2 {
			t.Errorf("%d sessions were closed, want the stale one, too", n)
		}
	})
}

// A session that was broken off because of a pause, a lost lease or the end of the process says nothing about the
// provider; one that broke by itself does, when no message was answered on it.
func TestJudgeOfSessions(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx   context.Context //nolint:containedctx // of one table test case
		cause error
		open  bool
	}{
		"paused":  {t.Context(), channels.Unavailable(errPaused), false},
		"lease":   {t.Context(), channels.Unavailable(errNoLease), false},
		"ending":  {ended, errAway, false},
		"by self": {t.Context(), errAway, true},
	} {
		d := &door{}
		l := &line{log: slog.New(slog.DiscardHandler), pool: newSessionPool(d)}
		for range maxStrikes {
			l.judge(c.ctx, &connection{Session: visit{d}}, false, c.cause)
		}
		if wait, _ := l.pool.wait(); wait > 0 != c.open {
			t.Errorf("%s: the breaker is open: %v", name, wait > 0)
		}
	}
}
