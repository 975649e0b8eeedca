package delivery

import (
	"context"
	"time"

	"github.com/sapa-crm/sapa/channels"
)

// A channel may have two accounts. Messages go by the first one, and by the second while the first can't be used: its
// breaker has been open for a while (Config.Patience), or it refuses our credentials or what the settings ask for. Whether the first is back is
// then tried without messages, so that these don't wait for it; when a session can be had again messages are
// offered to it, and when one is answered it has taken over. A message belongs to the account that it was offered to: one
// whose hand-over to the first account is unknown is unknown, whatever the second could do.

// standing is how an account stands, by its breaker.
type standing struct {
	open    bool
	refused bool      // it was opened by credentials or settings, which waiting does not mend
	since   time.Time // when the breaker opened first since the account last answered
	until   time.Time // nothing is tried before
	probing bool      // somebody tries at this moment
	ready   bool      // there is a session that nobody has tried a message on, or that was kept
}

// mayTry says whether a session may be asked for.
func (s standing) mayTry(now time.Time) bool {
	return !s.open || !s.probing && !now.Before(s.until)
}

// wait is how long until mayTry could say yes.
func (s standing) wait(now time.Time) time.Duration {
	switch {
	case !s.open:
		return 0
	case s.probing:
		return time.Second
	}
	return max(0, s.until.Sub(now))
}

// way is the account that a message goes by.
type way int

// The ways. With byNone the message waits.
const (
	byNone way = iota
	byFirst
	bySecond
)

// route chooses the account for the next messages, or says how long to wait. second is nil where there is one account; the
// first one's breaker must have been open for patience before it is used.
func route(first standing, second *standing, patience time.Duration, now time.Time) (by way, wait time.Duration) {
	switch {
	case second == nil && first.mayTry(now), !first.open || first.ready:
		return byFirst, 0
	case second == nil:
		return byNone, first.wait(now)
	case !first.refused && now.Sub(first.since) < patience:
		return byNone, min(max(first.wait(now), probeEvery), first.since.Add(patience).Sub(now))
	case second.mayTry(now) || second.ready:
		return bySecond, 0
	}
	return byNone, min(max(first.wait(now), probeEvery), second.wait(now))
}

// probeEvery is how often it is looked whether the first of two accounts is to be tried.
const probeEvery = 250 * time.Millisecond

// standing is how the account stands.
func (p *sessionPool) standing() standing {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := standing{open: p.trips > 0, since: p.since, until: p.until, probing: p.probing}
	s.refused = s.open && channels.VerdictOf(p.cause) == channels.VerdictPermanent
	if n := len(p.idle); n > 0 {
		s.ready = time.Since(p.idle[n-1].since) < idleSession
	}
	return s
}

// probe tries, without a message, whether sessions can be had again.
func (p *sessionPool) probe(ctx context.Context) {
	if s := p.standing(); !s.open || s.ready || !s.mayTry(time.Now()) {
		return
	}
	c, err := p.get(ctx)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.probing = p.probing && !c.probe
	p.idle = append(p.idle, idle{session: c.Session, since: time.Now(), probe: true})
}
