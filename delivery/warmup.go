package delivery

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// A new account begins slowly: start messages on the first day of its use, twice as many every so many days, until that
// would be all that it takes. What is used of each day's amount is counted in the database, for all processes together:
// a process reserves some of it before it hands over anything, uses that up message by message, and gives back what it
// did not need. What a process had reserved that was killed counts as used. Days are business days in the company's zone.

// pocketful is how many messages a process reserves at a time: what it loses for the day when it is killed.
const pocketful = 64

// warmUp is an account's warm-up in this process. A nil one is none: it allows everything.
type warmUp struct {
	account string // as in table send_slots
	name    string // for people
	plan    customer.WarmUp
	full    int // messages a day at which the warm-up is over
	zone    *time.Location
	now     func() time.Time // business time
	db      pg.DBTX

	asking sync.Mutex // held while the database is asked; never by who gives verdicts

	mu     sync.Mutex
	day    time.Time          // to which the rest belongs
	over   bool               // the account needs no warm-up any more
	left   int                // reserved and not used
	amount int                // of the day, when it was last asked for
	spent  bool               // nothing was left of it then
	taken  map[int64]struct{} // messages that have used one of this day's and have no verdict
	last   time.Time          // when one was used or reserved, by this process's clock
}

// newWarmUp is that of an account; nil when it has none. slots is the account's name in table send_slots.
func newWarmUp(slots string, a *Account, zone *time.Location, now func() time.Time, db pg.DBTX) *warmUp {
	if a.WarmUp == nil {
		return nil
	}
	return &warmUp{
		account: slots, name: a.Channel.Account(), plan: *a.WarmUp, full: customer.FullDay(a.Rate), zone: zone, now: now, db: db,
		taken: map[int64]struct{}{},
	}
}

// slotName is what the rows of an account in send_slots and warm_up_days are called.
func slotName(channel string, a Account, second bool) string {
	switch {
	case !second:
		return channel + " " + a.Channel.Account()
	case a.Fallback.Channel.Account() == a.Channel.Account(): // another user at the same server
		return channel + " " + a.Channel.Account() + " (fallback)"
	}
	return channel + " " + a.Fallback.Channel.Account()
}

// today is the business day, as the database's dates are: midnight in UTC.
func (w *warmUp) today() time.Time {
	y, m, d := w.now().In(w.zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// tomorrow is when the next business day begins.
func (w *warmUp) tomorrow() time.Time {
	y, m, d := w.now().In(w.zone).Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, w.zone)
}

// take uses one message of the day's amount for a message that is about to be handed over; settle says what came of it.
// It is false when nothing is left until tomorrow.
func (w *warmUp) take(ctx context.Context, id int64) (bool, error) {
	if w == nil {
		return true, nil
	}
	for {
		ok, spent := w.use(id)
		if ok || spent {
			return ok, nil
		}
		if err := w.refill(ctx); err != nil {
			return false, err
		}
	}
}

// use takes one of what this process has reserved.
func (w *warmUp) use(id int64) (ok, spent bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn()
	if w.over {
		return true, false
	}
	if w.left == 0 {
		return false, w.spent
	}
	w.left--
	w.taken[id], w.last = struct{}{}, time.Now()
	return true, false
}

// refill reserves some more of the day's amount, unless somebody else just has.
func (w *warmUp) refill(ctx context.Context) error {
	w.asking.Lock()
	defer w.asking.Unlock()
	day, needed := w.needs()
	if !needed {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	granted, amount, err := w.reserve(ctx, day, pocketful)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.turn(); !w.day.Equal(day) {
		return nil // midnight passed: it is of no use any more
	}
	w.over, w.left, w.spent, w.last = amount == nil, w.left+granted, granted == 0, time.Now()
	if amount != nil {
		w.amount = *amount
	}
	return nil
}

func (w *warmUp) needs() (day time.Time, needed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn()
	return w.day, w.left == 0 && !w.over
}

// turn begins a new day. What is left of the one before is of no use to anybody.
func (w *warmUp) turn() {
	if today := w.today(); !today.Equal(w.day) {
		w.day, w.left, w.spent, w.amount = today, 0, false, 0
		clear(w.taken)
	}
}

// settle ends a message's use of the day: what was not handed over can be used by another one.
func (w *warmUp) settle(id int64, handedOver bool) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn()
	if _, ok := w.taken[id]; ok && !handedOver {
		w.left++
	}
	delete(w.taken, id)
}

// warmUpNote begins the note on a run that waits for tomorrow.
const warmUpNote = "warm-up: "

// rest says until when nothing may go, and why; the zero time when something may.
func (w *warmUp) rest() (until time.Time, why string) {
	if w == nil {
		return time.Time{}, ""
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn()
	if !w.spent || w.left > 0 || w.over {
		return time.Time{}, ""
	}
	until = w.tomorrow()
	return until, fmt.Sprintf(warmUpNote+"today's %s of %s are used; goes on at %s (%s)", thousands(w.amount), w.name, until.Format("15:04"), w.zone)
}

// reserve takes up to n of a day's amount; no amount means that the warm-up is over. Reservations of all processes follow each
// other by the day's row, which is locked by a statement of its own, so that the next one sees what whoever held it has written.
func (w *warmUp) reserve(ctx context.Context, day time.Time, n int) (granted int, amount *int, err error) {
	var b pgx.Batch
	b.Queue(`insert into warm_up_days (account, day, used) values ($1, $2, 0) on conflict do nothing`, w.account, day)
	b.Queue(`select from warm_up_days where account = $1 and day = $2 for update`, w.account, day)
	b.Queue(reserveSQL, pgx.NamedArgs{"account": w.account, "day": day, "n": n, "amounts": w.amounts(), "every": int(w.plan.DoubleEvery)})
	granted, amount, err = readReserve(w.db.SendBatch(ctx, &b))
	if err != nil {
		return 0, nil, fmt.Errorf("reserve of the warm-up of %s: %w", w.account, err)
	}
	return granted, amount, nil
}

func readReserve(results pgx.BatchResults) (granted int, amount *int, err error) {
	defer results.Close() //nolint:errcheck // it repeats the error, and after the last row there is none
	for range 2 {
		if _, err := results.Exec(); err != nil {
			return 0, nil, err
		}
	}
	if err := results.QueryRow().Scan(&granted, &amount); err != nil {
		return 0, nil, err
	}
	return granted, amount, results.Close() // its commit
}

// reserveSQL counts days from the first one of which something was used. An account that has no amount any more is warm.
const reserveSQL = `
with today as (
	select d.used, (@amounts::bigint[])[1 + (@day::date - coalesce(f.first, @day::date)) / @every::int] as amount
	from warm_up_days d, (select min(day) as first from warm_up_days where account = @account and used > 0 and day <= @day::date) f
	where d.account = @account and d.day = @day::date
)
update warm_up_days d set used = greatest(t.used, least(t.used + @n::bigint, t.amount))
from today t
where d.account = @account and d.day = @day::date
returning d.used - t.used, t.amount`

// amounts are those of the days of the warm-up: one for each time that it doubles.
func (w *warmUp) amounts() []int {
	var list []int
	for day := 0; ; day += int(w.plan.DoubleEvery) {
		amount, during := w.plan.Amount(day, w.full)
		if !during {
			return list
		}
		list = append(list, amount)
	}
}

// look is called now and then: what this process has not used for a while goes back to the others, and whether they have
// given something back is known here.
func (w *warmUp) look(ctx context.Context, idle time.Duration) error {
	if w == nil {
		return nil
	}
	if until, _ := w.rest(); !until.IsZero() {
		return w.refill(ctx)
	}
	return w.unpack(ctx, idle)
}

// unpack gives back what is left, when nothing was used for so long.
func (w *warmUp) unpack(ctx context.Context, idle time.Duration) error {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	w.turn()
	day, n := w.day, w.left
	if time.Since(w.last) < idle {
		n = 0
	}
	w.left -= n
	w.mu.Unlock()
	if n == 0 {
		return nil
	}
	return w.giveBack(ctx, day, n)
}

func (w *warmUp) giveBack(ctx context.Context, day time.Time, n int) error {
	_, err := w.db.Exec(ctx, `update warm_up_days set used = greatest(0, used - $3) where account = $1 and day = $2`, w.account, day, n)
	if err != nil {
		return fmt.Errorf("give back of the warm-up of %s: %w", w.account, err)
	}
	return nil
}

// WarmUpState is how far the warm-up of an account has got.
type WarmUpState struct {
	Channel string `json:"channel"`
	Account string `json:"account"`     // without credentials
	Day     int    `json:"day"`         // 1 is that of the first use; 0: it was not used yet
	Amount  int    `json:"amount"`      // of today, or of the first day
	Used    int    `json:"used"`        // today
	Over    bool   `json:"over"`        // the account takes what its rate allows
	Second  bool   `json:"is_fallback"` // it is the fallback
}

// WarmUps are the states of all accounts that have a warm-up, in the order of channels. zone is the company's, now
// business time.
func WarmUps(ctx context.Context, db pg.DBTX, accounts map[string]Account, zone string, now time.Time) ([]WarmUpState, error) {
	at, err := time.LoadLocation(zone)
	if err != nil {
		return nil, fmt.Errorf("read warm-ups: %w", err)
	}
	var list []WarmUpState
	for _, channel := range slices.Sorted(maps.Keys(accounts)) {
		first, second := accounts[channel], accounts[channel].Fallback
		for _, a := range []*Account{&first, second} {
			if a == nil || a.WarmUp == nil {
				continue
			}
			w := newWarmUp(slotName(channel, first, a == second), a, at, func() time.Time { return now }, db)
			state, err := w.state(ctx)
			if err != nil {
				return nil, err
			}
			state.Channel, state.Second = channel, a == second
			list = append(list, state)
		}
	}
	return list, nil
}

func (w *warmUp) state(ctx context.Context) (WarmUpState, error) {
	s := WarmUpState{Account: w.name}
	today := w.today()
	var first *time.Time
	err := w.db.QueryRow(ctx, `
		select min(day) filter (where used > 0), coalesce(max(used) filter (where day = $2), 0) from warm_up_days where account = $1 and day <= $2`,
		w.account, today).Scan(&first, &s.Used)
	if err != nil {
		return s, fmt.Errorf("read the warm-up of %s: %w", w.account, err)
	}
	if first == nil {
		first = &today
	} else {
		s.Day = int(today.Sub(*first)/(24*time.Hour)) + 1
	}
	amount, during := w.plan.Amount(max(0, s.Day-1), w.full)
	s.Amount, s.Over = amount, !during
	return s, nil
}

// String says it for people.
func (s WarmUpState) String() string {
	switch {
	case s.Over:
		return fmt.Sprintf("%s %s is warm", s.Channel, s.Account)
	case s.Day == 0:
		return fmt.Sprintf("%s %s was not used yet: %s on the first day", s.Channel, s.Account, thousands(s.Amount))
	}
	return fmt.Sprintf("%s %s, day %d: %s of %s used today", s.Channel, s.Account, s.Day, thousands(s.Used), thousands(s.Amount))
}
