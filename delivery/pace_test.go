package delivery

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

// book is the table send_slots, in a test's own time.
type book struct {
	mu   sync.Mutex
	next time.Time
	trip time.Duration // to the database and back
}

func (b *book) lease(_ context.Context, _ string, length time.Duration) (time.Time, error) {
	time.Sleep(b.trip / 2)
	defer time.Sleep(b.trip / 2)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if !b.next.Before(now.Add(slotHorizon)) {
		return time.Time{}, errNoSlots
	}
	start := b.next
	if start.Before(now) {
		start = now
	}
	b.next = start.Add(length)
	return start, nil
}

// sends is what connections of several processes do with their slots, in a minute with work waiting.
func (b *book) sends(t *testing.T, perSecond float64, processes, connections int, late func() time.Duration) []time.Time {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var mu sync.Mutex
	var sent []time.Time
	var all sync.WaitGroup
	for range processes {
		p := newPacer("test", perSecond, nil)
		p.lease = b.lease
		defer p.close()
		for range connections {
			all.Go(func() {
				for {
					at, err := p.slot(ctx)
					if err != nil {
						return
					}
					sleep(ctx, time.Until(at))
					if ctx.Err() != nil {
						return
					}
					if wait := late(); wait > 0 {
						if wait > slotLapse {
							sleep(ctx, wait)
							continue // as feed does
						}
						sleep(ctx, wait)
					}
					mu.Lock()
					sent = append(sent, time.Now())
					mu.Unlock()
				}
			})
		}
	}
	all.Wait()
	slices.SortFunc(sent, time.Time.Compare)
	return sent
}

// most is the largest number of sends within a window.
func most(sent []time.Time, window time.Duration) (n int) {
	for i, first := range sent {
		end, _ := slices.BinarySearchFunc(sent[i:], first.Add(window), time.Time.Compare)
		n = max(n, end)
	}
	return n
}

// With work waiting, processes together send at the rate: in no ten seconds 2 % more, and in a minute not 2 % less.
func TestPaceOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rate                   float64
		processes, connections int
		trip                   time.Duration
	}{
		"three processes":    {50, 3, 4, 4 * time.Millisecond},
		"one connection":     {50, 1, 1, 4 * time.Millisecond},
		"fast":               {2000, 2, 32, 10 * time.Millisecond},
		"slow":               {0.5, 3, 4, 4 * time.Millisecond},
		"a slow database":    {200, 3, 8, 60 * time.Millisecond},
		"many processes":     {20, 12, 8, 4 * time.Millisecond},
		"one every 40 s":     {0.025, 2, 2, 4 * time.Millisecond},
		"not a round number": {7.3, 2, 3, 4 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := &book{trip: c.trip}
				sent := b.sends(t, c.rate, c.processes, c.connections, func() time.Duration { return 0 })
				if n, limit := most(sent, 10*time.Second), 1+10*c.rate*1.02; float64(n) > limit {
					t.Errorf("%d in ten seconds, and %.1f may be", n, limit)
				}
				if n, least := len(sent), 60*c.rate*0.98-1; float64(n) < least {
					t.Errorf("%d in a minute, and at least %.1f should be", n, least)
				}
			})
		})
	}
}

// Connections that are busy for long lose their slots, and do not catch up on them.
func TestPaceIsNotCaughtUpOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dice := rand.New(rand.NewPCG(1, 2))
		var mu sync.Mutex
		late := func() time.Duration {
			mu.Lock()
			defer mu.Unlock()
			if dice.IntN(20) == 0 {
				return time.Duration(dice.Int64N(int64(3 * time.Second)))
			}
			return time.Duration(dice.Int64N(int64(slotLapse)))
		}
		b := &book{trip: 4 * time.Millisecond}
		sent := b.sends(t, 50, 3, 16, late)
		if n := most(sent, 10*time.Second); n > 510 {
			t.Errorf("%d in ten seconds", n)
		}
	})
}

// Processes share an account's slots by the database: leases follow each other, an account's do not touch another's,
// and not more are given than lie ahead.
func TestLeaseSlots(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	ctx := t.Context()
	begun := time.Now()
	first, err := leaseSlots(ctx, pool, "a", 200*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if first.Before(begun.Add(-time.Second)) || first.After(time.Now().Add(time.Second)) {
		t.Errorf("the first slot is %s from now", time.Until(first))
	}
	second, err := leaseSlots(ctx, pool, "a", 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	// Each start is known to half of its way to the database and back.
	if gap, took := second.Sub(first), time.Since(begun); gap < 200*time.Millisecond-took || gap > 200*time.Millisecond+took {
		t.Errorf("leases are %s apart, want 200 ms", gap)
	}
	if _, err := leaseSlots(ctx, pool, "a", time.Second); err != errNoSlots { //nolint:errorlint // this very one
		t.Errorf("slots ten seconds ahead: %v", err)
	}
	if _, err := leaseSlots(ctx, pool, "b", time.Second); err != nil {
		t.Errorf("another account: %v", err)
	}
	if _, err := pool.Exec(ctx, `update send_slots set next_at = clock_timestamp() - interval '1 hour' where account = 'a'`); err != nil {
		t.Fatal(err)
	}
	later, err := leaseSlots(ctx, pool, "a", time.Second)
	if err != nil || later.Before(begun) {
		t.Errorf("slots of an hour ago are leased: %s, %v", later, err)
	}
}
