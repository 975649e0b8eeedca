package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// A provider account's rate holds across processes, as slots: moments by the database's clock, as far apart as the rate
// says, at each of which one message may be handed over. A process leases the next slots of an account for up to
// slotsAhead at a time, and each message waits for one of them. A slot that nobody has used slotLapse after its moment is
// lost, so that what was not sent in time is not caught up on: in no window of ten seconds do more messages go than the rate
// allows and those of slotLapse.
const (
	slotsAhead = 200 * time.Millisecond
	slotLapse  = 100 * time.Millisecond
	// slotHorizon bounds how far ahead slots are leased by all processes together.
	slotHorizon = 2 * time.Second
	// slotSetBack is how far ahead slots can't have been leased: the database's clock was set back. Nobody waits for its old time.
	slotSetBack = time.Minute
)

// pacer gives this process's messages their slots. The zero rate is no limit.
type pacer struct {
	account string
	step    time.Duration // from slot to slot; 0 is no limit
	count   int           // slots of a lease
	lease   func(ctx context.Context, account string, length time.Duration) (start time.Time, err error)

	over   chan struct{} // closed when nobody needs slots any more
	leases sync.WaitGroup

	mu     sync.Mutex
	slots  []span        // leased, in their order
	asking chan struct{} // closed when the lease that is being asked for is there; nil: none is
	err    error         // of the last lease
}

// span is slots that follow each other: by this process's clock.
type span struct {
	next time.Time
	left int
}

func newPacer(account string, perSecond float64, db pg.DBTX) *pacer {
	if perSecond <= 0 {
		return &pacer{over: make(chan struct{})}
	}
	step := time.Duration(float64(time.Second) / perSecond)
	return &pacer{
		account: account, step: step, count: max(1, int(slotsAhead/step)), over: make(chan struct{}),
		lease: func(ctx context.Context, account string, length time.Duration) (time.Time, error) {
			return leaseSlots(ctx, db, account, length)
		},
	}
}

// errNoSlots says that other processes have leased all slots of the next seconds.
var errNoSlots = errors.New("all slots of the next seconds are leased")

// leaseSlots takes the next slots of an account and says when they begin, by this process's clock. Between the two clocks
// lies at most half of the way to the database and back, in either direction. That an answer or a commit is lost costs slots, and no
// more: nothing needs it to be durable.
func leaseSlots(ctx context.Context, db pg.DBTX, account string, length time.Duration) (time.Time, error) {
	asked := time.Now()
	var start, now time.Time
	err := db.QueryRow(ctx, `
		insert into send_slots (account, next_at) values ($1, clock_timestamp() + $2::interval)
		on conflict (account) do update
		set next_at = least(greatest(send_slots.next_at, clock_timestamp()), clock_timestamp() + $3::interval) + $2::interval
		where send_slots.next_at not between clock_timestamp() + $3::interval and clock_timestamp() + $4::interval
		returning next_at - $2::interval, clock_timestamp()`, account, length, slotHorizon, slotHorizon+max(slotSetBack, 2*length)).Scan(&start, &now)
	if errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, errNoSlots
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("lease slots of %s: %w", account, err)
	}
	answered := time.Now()
	middle := asked.Add(answered.Sub(asked) / 2)
	return middle.Add(start.Sub(now)), nil
}

// close ends what the pacer does. It is not used any more.
func (p *pacer) close() {
	close(p.over)
	p.leases.Wait()
}

func (p *pacer) unlimited() bool { return p.step == 0 }

// slot is the next slot; it may lie ahead. It fails when the context ends, or when the database gives none.
func (p *pacer) slot(ctx context.Context) (time.Time, error) {
	for {
		at, asked, err := p.take(ctx)
		if err != nil || !at.IsZero() {
			return at, err
		}
		select {
		case <-asked:
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		}
	}
}

// take is the next slot that has not lapsed. Without one it is zero, and the channel is closed when more slots were asked
// for. The next lease is asked for while the last slots of this one are given away.
func (p *pacer) take(ctx context.Context) (at time.Time, asked <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for len(p.slots) > 0 && at.IsZero() {
		s := &p.slots[0]
		if late := now.Add(-slotLapse).Sub(s.next); late > 0 {
			skipped := min(s.left, int(late/p.step)+1)
			s.next, s.left = s.next.Add(time.Duration(skipped)*p.step), s.left-skipped
		}
		if s.left > 0 {
			at = s.next
			s.next, s.left = s.next.Add(p.step), s.left-1
		}
		if s.left == 0 {
			p.slots = p.slots[1:]
		}
	}
	if !at.IsZero() && (p.count == 1 || p.ahead(now) >= slotsAhead/2) { // a single slot is only leased for a message that waits
		return at, nil, nil
	}
	if p.asking == nil {
		if at.IsZero() && p.err != nil {
			err, p.err = p.err, nil
			return at, nil, err
		}
		p.asking = make(chan struct{})
		p.leases.Go(func() { p.ask(context.WithoutCancel(ctx)) })
	}
	return at, p.asking, nil
}

// ahead is how long the leased slots last.
func (p *pacer) ahead(now time.Time) time.Duration {
	if len(p.slots) == 0 {
		return 0
	}
	last := p.slots[len(p.slots)-1]
	return last.next.Add(time.Duration(last.left) * p.step).Sub(now)
}

// ask leases slots.
func (p *pacer) ask(ctx context.Context) {
	ctx, end := until(ctx, p.over)
	defer end()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	start, err := p.lease(ctx, p.account, time.Duration(p.count)*p.step)
	if errors.Is(err, errNoSlots) {
		sleep(ctx, min(time.Second, max(slotsAhead/4, p.step/8))) // others are served first
		err = nil
	} else if err == nil {
		p.add(span{start, p.count})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
	close(p.asking)
	p.asking = nil
}

func (p *pacer) add(s span) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slots = append(p.slots, s)
}
