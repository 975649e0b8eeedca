package delivery

import (
	"context"
	"sync"
	"time"
)

// speed is how many messages a second get through a line, as far as was seen.
type speed struct {
	mu        sync.Mutex
	perSecond float64
	since     time.Time // of the messages that are being counted
	last      time.Time
	count     int
}

// It is counted anew this often, and after a pause as long as this.
const (
	speedSample = 50 * time.Millisecond
	speedGap    = time.Second
)

// saw notes that messages got through.
func (s *speed) saw(messages int, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.last) > speedGap { // it may have become slow, and is counted anew before much is claimed
		s.since, s.count, s.perSecond = now, 0, 0
	} else if s.count += messages; now.Sub(s.since) >= speedSample {
		s.perSecond = float64(s.count) / now.Sub(s.since).Seconds()
		s.since, s.count = now, 0
	}
	s.last = now
}

// in is how many messages get through in a time; 0 when it is not known.
func (s *speed) in(d time.Duration) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.perSecond * d.Seconds())
}

// nearest is how soon a provider answers at its best: what lies between us and it. It is looked for anew all the time, since
// providers move.
type nearest struct {
	mu           sync.Mutex
	since        time.Time
	before, best time.Duration // of the time before since, and after it
}

const nearestFor = 5 * time.Second

// saw notes how long an answer took.
func (n *nearest) saw(took time.Duration, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now.Sub(n.since) > nearestFor {
		n.since, n.before, n.best = now, n.best, 0
	}
	if n.best == 0 || took < n.best {
		n.best = took
	}
}

// get is 0 when nothing was seen.
func (n *nearest) get() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.before == 0 || n.best != 0 && n.best < n.before {
		return n.best
	}
	return n.before
}

// sessions is how many sessions are of use: twice as many as have a message under way at any time, so that they are not what
// it depends on. Fewer do the same work in fewer round trips, each of which has a message's end and the next one's beginning.
func (l *line) sessions() int {
	away := l.nearest.get()
	if away == 0 {
		return min(l.account.connections(), firstSessions)
	}
	return min(l.account.connections(), firstSessions+2*l.speed.in(away))
}

// firstSessions are opened before anything is known of the provider.
const firstSessions = 4

// claimSize is how many messages to claim: what gets through in about a second.
func (l *line) claimSize() int {
	if rate := l.account.Rate; rate > 0 {
		return max(1, min(BatchSize, int(rate)))
	}
	if n := l.speed.in(time.Second); n > 0 {
		return max(l.account.connections(), min(BatchSize, n))
	}
	return InDoubt
}

// atOnce is how many messages of a batch may be in hand: two for each session, or what gets through while two are answered and
// a statement is made, so that statements are few; what is in hand when a process is killed is in doubt. Of a rate it is what goes in
// a quarter of a second, two for each session, and never more than in a second.
func (l *line) atOnce() int {
	if rate := l.account.Rate; rate > 0 {
		return max(1, min(InDoubt, max(int(rate/4), min(int(rate), 2*l.account.connections()))))
	}
	return min(InDoubt, max(2*l.account.connections(), l.speed.in(2*l.nearest.get()+statementTime)))
}

// statementTime is what a statement of the ledger takes at most, as a rule.
const statementTime = 50 * time.Millisecond

// fast says that a whole batch gets through in a second. Then the next one is claimed and filled before it is its turn.
func (l *line) fast() bool { return l.claimSize() >= BatchSize }

// turn is one batch's right to open messages on a line: batches of an account do so one after the other, so that one of them
// has as much of the window as there is, and statements are few.
type turn struct {
	line *line
	mine bool
}

// await waits for it, unless the line is fast: then the batch is claimed and filled first. It is false when the context ends.
func (t *turn) await(ctx context.Context) bool {
	if t.line.fast() {
		return true
	}
	select {
	case t.line.turn <- struct{}{}:
		t.mine = true
		return true
	case <-ctx.Done():
		return false
	}
}

// end lets the next one have it.
func (t *turn) end() {
	if t.mine {
		t.mine = false
		<-t.line.turn
	}
}
