package delivery

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// calendar is a business clock that a test sets.
type calendar struct{ at atomic.Pointer[time.Time] }

func (c *calendar) set(text string) {
	at, err := time.Parse("2006-01-02 15:04 -0700", text)
	if err != nil {
		panic(err)
	}
	c.at.Store(&at)
}

func (c *calendar) now() time.Time { return *c.at.Load() }

var warming = Account{Channel: &door{}, Rate: 600. / (24 * 60 * 60), WarmUp: &customer.WarmUp{Start: 100, DoubleEvery: 2}}

var jakarta = time.FixedZone("Asia/Jakarta", 7*60*60)

// process is a process's view of an account's warm-up: 100 messages on the first two days, 200 on the next two, 400 on the
// two after, and then all that the rate of 600 a day allows.
func (c *calendar) process(db pg.DBTX) *warmUp {
	return newWarmUp("email smtp://mail.example", &warming, jakarta, c.now, db)
}

// use takes up to n and hands them over.
func use(t *testing.T, w *warmUp, n int) (used int) {
	t.Helper()
	for id := range int64(n) {
		ok, err := w.take(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		w.settle(id, true)
		used++
	}
	return used
}

// Each day has its amount, by the company's calendar; a day without messages counts, too.
func TestWarmUpByDays(t *testing.T) {
	t.Parallel()
	pool, c := pgtest.Pool(t), &calendar{}
	got := map[string]int{}
	for _, at := range []string{
		"2026-11-22 16:59 +0000", // 23:59 in Jakarta
		"2026-11-22 17:00 +0000", "2026-11-23 16:59 +0000", "2026-11-23 17:00 +0000",
		"2026-11-26 12:00 +0000", // the day between was quiet
		"2026-11-27 12:00 +0000", "2026-11-28 12:00 +0000", "2027-11-28 12:00 +0000",
	} {
		c.set(at)
		got[at] = use(t, c.process(pool), 1000)
	}
	want := map[string]int{
		"2026-11-22 16:59 +0000": 100,
		"2026-11-22 17:00 +0000": 100, "2026-11-23 16:59 +0000": 0, "2026-11-23 17:00 +0000": 200,
		"2026-11-26 12:00 +0000": 400,
		"2026-11-27 12:00 +0000": 400, "2026-11-28 12:00 +0000": 1000, "2027-11-28 12:00 +0000": 1000,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// A process that goes on over midnight uses nothing of the day before, and what it had left of that is gone.
func TestWarmUpOverMidnight(t *testing.T) {
	t.Parallel()
	pool, c := pgtest.Pool(t), &calendar{}
	c.set("2026-11-22 23:59 +0700")
	w := c.process(pool)
	if n := use(t, w, 10); n != 10 {
		t.Fatal(n)
	}
	if ok, err := w.take(t.Context(), 99); !ok || err != nil {
		t.Fatal(ok, err)
	}
	c.set("2026-11-23 00:00 +0700")
	w.settle(99, false) // of yesterday: it gives nobody one more today
	if n := use(t, w, 1000); n != 100 {
		t.Errorf("%d on the new day, want 100", n)
	}
	until, why := w.rest()
	if want := time.Date(2026, 11, 24, 0, 0, 0, 0, jakarta); !until.Equal(want) {
		t.Errorf("it rests until %s, want %s", until, want)
	}
	if want := "warm-up: today's 100 of smtp://mail.example are used; goes on at 00:00 (Asia/Jakarta)"; why != want {
		t.Errorf("it says %q, want %q", why, want)
	}
	c.set("2026-11-24 00:00 +0700")
	if until, why := w.rest(); !until.IsZero() || why != "" {
		t.Errorf("on the next day it rests until %s: %s", until, why)
	}
}

// Processes that reserve at the same time use the day's amount up and not one message more; one that was killed has used
// what it had reserved, and what was not handed over, or not needed, goes to others.
func TestWarmUpOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	pool, c := pgtest.Pool(t), &calendar{}
	c.set("2026-11-23 09:00 +0700")
	if n := use(t, c.process(pool), 1); n != 1 { // killed with the rest of its pocket
		t.Fatal(n)
	}
	var sent atomic.Int64
	var all sync.WaitGroup
	processes := make([]*warmUp, 4)
	for i := range processes {
		w := c.process(pool)
		processes[i] = w
		all.Go(func() {
			for id := int64(0); ; id++ {
				ok, err := w.take(context.WithoutCancel(t.Context()), id)
				if err != nil {
					t.Error(err)
				}
				if !ok || err != nil {
					return
				}
				sent.Add(1)
				w.settle(id, true)
			}
		})
	}
	all.Wait()
	if n := sent.Load(); n != 100-pocketful {
		t.Errorf("%d were sent, want %d", n, 100-pocketful)
	}
	c.set("2026-11-24 09:00 +0700")
	one, two := processes[0], processes[1]
	if n := use(t, one, 40); n != 40 {
		t.Fatal(n)
	}
	for id := range int64(2) { // a connection breaks before these were handed over
		if ok, err := one.take(t.Context(), id); !ok || err != nil {
			t.Fatal(ok, err)
		}
		one.settle(id, false)
	}
	if n := use(t, two, 1000); n != 100-pocketful {
		t.Errorf("the other one had %d", n)
	}
	must(t, two.look(t.Context(), 0))
	if until, _ := two.rest(); until.IsZero() {
		t.Error("something is left though nobody gave anything back")
	}
	must(t, one.look(t.Context(), time.Hour)) // used just now: nothing goes back
	must(t, two.look(t.Context(), 0))
	if until, _ := two.rest(); until.IsZero() {
		t.Error("something was given back too early")
	}
	must(t, one.unpack(t.Context(), 0))
	must(t, two.look(t.Context(), 0))
	if n := use(t, two, 1000); n != pocketful-40 {
		t.Errorf("the other one had %d of what was given back, want %d", n, pocketful-40)
	}
	if n := use(t, one, 1000); n != 0 {
		t.Errorf("%d beyond the day's amount", n)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Who needs no warm-up asks nobody.
func TestNoWarmUp(t *testing.T) {
	t.Parallel()
	var w *warmUp
	if ok, err := w.take(t.Context(), 1); !ok || err != nil {
		t.Error(ok, err)
	}
	w.settle(1, true)
	if until, _ := w.rest(); !until.IsZero() || w.look(t.Context(), 0) != nil || w.unpack(t.Context(), 0) != nil {
		t.Error("it rests")
	}
}

// The states of all accounts, as sapa doctor says them.
func TestWarmUpStates(t *testing.T) {
	t.Parallel()
	pool, c := pgtest.Pool(t), &calendar{}
	second := warming
	mail := warming
	mail.Fallback = &second
	accounts := map[string]Account{"sms": {Channel: &door{}}, "email": mail}
	states := func() (list []string) {
		all, err := WarmUps(t.Context(), pool, accounts, "Asia/Jakarta", c.now())
		must(t, err)
		for _, s := range all {
			list = append(list, s.String())
		}
		return list
	}
	c.set("2026-11-23 09:00 +0700")
	const unused = "email smtp://mail.example was not used yet: 100 on the first day"
	if d := cmp.Diff([]string{unused, unused}, states()); d != "" {
		t.Error(d)
	}
	use(t, c.process(pool), 10)
	if d := cmp.Diff([]string{"email smtp://mail.example, day 1: 64 of 100 used today", unused}, states()); d != "" {
		t.Error(d)
	}
	c.set("2026-11-25 00:00 +0700")
	if d := cmp.Diff([]string{"email smtp://mail.example, day 3: 0 of 200 used today", unused}, states()); d != "" {
		t.Error(d)
	}
	c.set("2026-11-29 00:00 +0700")
	if d := cmp.Diff([]string{"email smtp://mail.example is warm", unused}, states()); d != "" {
		t.Error(d)
	}
}
