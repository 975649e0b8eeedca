package delivery

import (
	"context"
	"strings"
	"sync"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// The servers of some recipients take less than our account does: sapa.yaml gives their domains a throttle. A message waits
// for a slot of its recipient's throttle, which all processes share as they share those of the account's rate, before it
// waits for one of the account's. So that nobody waits behind it, planning puts the messages of a throttle into batches of
// their own, a lane. What a batch of another lane has of such messages, because the throttle is younger than its
// plan, waits all the same.

// throttles are those of a channel, by the recipients' domains. The zero value is none.
type throttles struct {
	byDomain map[string]*throttle
	all      []*throttle
}

// throttle is what the server of some recipients takes.
type throttle struct {
	lane string
	pace *pacer
	room chan struct{} // as many places as messages may be under way at once; nil: any number

	mu     sync.Mutex
	inside map[int64]struct{} // messages that have a place
}

func newThrottles(channel string, list customer.Throttles, db pg.DBTX) throttles {
	t := throttles{byDomain: map[string]*throttle{}}
	for _, l := range list {
		one := &throttle{lane: l.Lane, pace: interleaved(newPacer(channel+" to "+l.Lane, l.Rate.PerSecond(), db)), inside: map[int64]struct{}{}}
		if l.Connections > 0 {
			one.room = make(chan struct{}, l.Connections)
		}
		t.all = append(t.all, one)
		for _, domain := range l.Domains {
			t.byDomain[domain] = one
		}
	}
	return t
}

// interleaved makes a pacer's leases short, so that this process's slots lie between those of others: who waits for a slot of a
// throttle and then for one of the account must not wait for the second until the first has lapsed.
func interleaved(p *pacer) *pacer {
	if !p.unlimited() {
		p.count = max(1, int(slotsAhead/4/p.step))
	}
	return p
}

// of is the throttle of an address; nil where there is none.
func (t throttles) of(address string) *throttle {
	if len(t.byDomain) == 0 {
		return nil
	}
	return t.byDomain[strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])]
}

// close ends what the pacers do.
func (t throttles) close() {
	for _, one := range t.all {
		one.pace.close()
	}
}

// pacer gives the slots of the throttle; a throttle without a rate has as many as are asked for.
func (t *throttle) pacer() *pacer {
	if t == nil {
		return &pacer{}
	}
	return t.pace
}

// enter waits until one more message may be under way, or the context ends. leave must follow; it may come twice.
func (t *throttle) enter(ctx context.Context, id int64) bool {
	if t == nil || t.room == nil {
		return true
	}
	select {
	case t.room <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inside[id] = struct{}{}
	return true
}

// leave gives the place of a message free, when it has one.
func (t *throttle) leave(id int64) {
	if t == nil || t.room == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.inside[id]; ok {
		delete(t.inside, id)
		<-t.room
	}
}

// lanes are the throttled lanes whose batches this process works: one at a time, since more would not go faster and would only
// hold messages claimed. The one who works a lane looks for its next batch when a batch has nothing left to hand over; who
// comes meanwhile has nothing to do.
type lanes struct {
	mu   sync.Mutex
	busy map[string]bool // lane → somebody came meanwhile
}

// enter says whether the caller may work the lane. Otherwise whoever does looks once more before leaving it.
func (l *lanes) enter(lane string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, busy := l.busy[lane]; busy {
		l.busy[lane] = true
		return false
	}
	if l.busy == nil {
		l.busy = map[string]bool{}
	}
	l.busy[lane] = false
	return true
}

// leave ends the caller's work, unless somebody came since enter or since leave last said so: then there may be more.
func (l *lanes) leave(lane string) (more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy[lane] {
		l.busy[lane] = false
		return true
	}
	delete(l.busy, lane)
	return false
}
