package delivery

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// openAhead is how long before its moment a message may be opened, and openSoon how long before it must be: so that the
// statement that opens messages is there in time, and opens several where they follow each other quickly.
const (
	openAhead = 100 * time.Millisecond
	openSoon  = 30 * time.Millisecond
)

// paced is what a flow knows of the moments at which its messages may go that have a throttle. A nil one is that of a
// flow without: everything may go at once.
type paced struct {
	log   *slog.Logger
	slots []time.Time     // of what was offered, and then of the queue, as far as they are known; zero: at once
	asked <-chan struct{} // closed when a throttle has more slots
	freed <-chan struct{} // closed when a throttle has a place
	again time.Time       // when slots are asked for again
	until time.Time       // up to when it is known what may be opened
}

// pace looks whether messages that were claimed have a throttle. From then on the flow waits for no turn and leaves
// its turn to others, who have no reason to wait for it.
func (f *flow) pace(ready []filled) {
	if f.paced != nil {
		return
	}
	for _, m := range ready {
		if m.throttle == nil {
			continue
		}
		f.paced = &paced{log: f.engine.Log, slots: make([]time.Time, len(f.offered))}
		if f.turn != nil {
			f.turn.end()
			f.turn = nil
		}
		return
	}
}

// soon is how many messages at the beginning of a queue may be opened now: those that have their moments soon, and a place.
func (p *paced) soon(ctx context.Context, queue []filled, offered int, now time.Time) int {
	p.freed, p.until = nil, now
	for i, m := range queue {
		at, known := p.slot(ctx, offered+i, m.throttle, now)
		if !known || at.Sub(now) > openAhead || i == 0 && at.Sub(now) > openSoon {
			return i
		}
		if ok, freed := m.throttle.enter(m.ID); !ok {
			p.freed = freed
			return i
		}
	}
	return len(queue)
}

// slot is when the message at a position may go, if that is known yet.
func (p *paced) slot(ctx context.Context, i int, t *throttle, now time.Time) (at time.Time, known bool) {
	if i < len(p.slots) {
		return p.slots[i], true
	}
	if t != nil && !t.pace.unlimited() {
		if p.asked != nil || now.Before(p.again) {
			return time.Time{}, false
		}
		var err error
		at, p.asked, err = t.pace.take(ctx)
		if err != nil {
			p.log.Warn("lease sending slots", slog.String("lane", t.lane), slog.Any("error", err))
			p.again = now.Add(gateEvery)
		}
		if at.IsZero() {
			return at, false
		}
		p.asked = nil
	}
	p.slots = append(p.slots, at)
	return at, true
}

// departing are the parcels whose moments have come.
func (p *paced) departing(offered []parcel, now time.Time) []parcel {
	if p == nil {
		return offered
	}
	for i := range offered {
		if p.slots[i].After(now) {
			return offered[:i]
		}
	}
	return offered
}

// left notes that the first parcels are on their way.
func (p *paced) left(n int) {
	if p != nil {
		p.slots = p.slots[n:]
	}
}

// drop forgets the moments of messages that will not go, and gives their places free.
func (p *paced) drop(queue []filled) {
	for _, m := range queue {
		m.throttle.leave(m.ID)
	}
	p.slots = nil
}

// alarm wakes the flow when something may be done: a parcel has its moment, or the queue's first message soon has.
func (p *paced) alarm(offered int, now time.Time) (<-chan time.Time, func()) {
	if p == nil {
		return nil, func() {}
	}
	var at time.Time
	if p.again.After(p.until) {
		at = p.again
	}
	for i, slot := range p.slots {
		from := now
		if i >= offered {
			slot, from = slot.Add(-openSoon), p.until
		}
		if slot.After(from) && (at.IsZero() || slot.Before(at)) {
			at = slot
		}
	}
	if at.IsZero() {
		return nil, func() {}
	}
	t := time.NewTimer(at.Sub(now))
	return t.C, func() { t.Stop() }
}

// more is closed when there may be more slots or places; heard must follow.
func (p *paced) more() <-chan struct{} {
	switch {
	case p == nil:
		return nil
	case p.freed != nil:
		return p.freed
	}
	return p.asked
}

func (p *paced) heard() {
	if p.freed != nil {
		p.freed = nil
		return
	}
	p.asked = nil
}

// errUsedUp says that nothing is left of the day's amount of the account's warm-up.
var errUsedUp = errors.New("today's messages of the warm-up are used")
