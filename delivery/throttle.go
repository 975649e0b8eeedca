package delivery

import (
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
	lane   string
	rate   float64 // messages a second; 0: no limit of its own
	places int     // how many messages may be under way at once; 0: any number
	pace   *pacer

	mu     sync.Mutex
	inside map[int64]struct{} // messages that have a place
	freed  chan struct{}      // closed when one has become free
}

func newThrottles(channel string, list customer.Throttles, db pg.DBTX) throttles {
	t := throttles{byDomain: map[string]*throttle{}}
	for _, l := range list {
		one := &throttle{
			lane: l.Lane, rate: l.Rate.PerSecond(), places: l.Connections, inside: map[int64]struct{}{}, freed: make(chan struct{}),
			pace: interleaved(newPacer(channel+" to "+l.Lane, l.Rate.PerSecond(), db)),
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

// lane is the throttle of a batch's lane; nil where there is none, or none any more.
func (t throttles) lane(name string) *throttle {
	for _, one := range t.all {
		if one.lane == name {
			return one
		}
	}
	return nil
}

// close ends what the pacers do.
func (t throttles) close() {
	for _, one := range t.all {
		one.pace.close()
	}
}

// enter takes a place for a message; leave must follow, and may come twice. Without any, the channel is closed when there may
// be one.
func (t *throttle) enter(id int64) (ok bool, freed <-chan struct{}) {
	if t == nil || t.places == 0 {
		return true, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.inside) >= t.places {
		return false, t.freed
	}
	t.inside[id] = struct{}{}
	return true, nil
}

// leave gives the place of a message free, when it has one.
func (t *throttle) leave(id int64) {
	if t == nil || t.places == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.inside[id]; ok {
		delete(t.inside, id)
		close(t.freed)
		t.freed = make(chan struct{})
	}
}

// lanes are the throttled lanes whose batches this process works: two of each at a time, so that one is claimed and filled
// while the other one's messages wait for their slots; more would not go faster and would only hold messages claimed. Who works a
// lane takes its next batch by itself; who comes meanwhile has nothing to do.
type lanes struct {
	mu   sync.Mutex
	busy map[string]*laneWork
}

type laneWork struct {
	workers int
	knocked bool // somebody came meanwhile
}

// laneWorkers is how many batches of a lane a process works at a time.
const laneWorkers = 2

// enter says whether the caller may work the lane. Otherwise somebody who does looks once more before leaving it.
func (l *lanes) enter(lane string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy == nil {
		l.busy = map[string]*laneWork{}
	}
	w := l.busy[lane]
	if w == nil {
		w = &laneWork{}
		l.busy[lane] = w
	}
	if w.workers == laneWorkers {
		w.knocked = true
		return false
	}
	w.workers++
	return true
}

// leave ends the caller's work, unless somebody came meanwhile: then there may be more.
func (l *lanes) leave(lane string) (more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.busy[lane]
	if w.knocked {
		w.knocked = false
		return true
	}
	if w.workers--; w.workers == 0 {
		delete(l.busy, lane)
	}
	return false
}

// full are the lanes that nobody else may work here.
func (l *lanes) full() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := []string{} // a statement asks for it
	for lane, w := range l.busy {
		if w.workers == laneWorkers {
			list = append(list, lane)
		}
	}
	return list
}
