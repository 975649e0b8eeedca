package delivery

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sapa-crm/sapa/channels"
)

// idleSession is how long a session is kept without work; servers drop silent clients after a few minutes.
const idleSession = 30 * time.Second

// sessionPool keeps open sessions between batches, and leaves a provider alone that can't be used: the breaker. A
// refused login or connection opens it at once, and so do three sessions in a row that broke before any message was
// answered. While it is open nothing is tried; then one sender alone tries, and the others follow when that went well.
type sessionPool struct {
	channel channels.Channel
	opened  func(error) // hears of every attempt to open one
	mu      sync.Mutex
	idle    []idle
	strikes int       // new sessions in a row that broke without an answer
	trips   int       // openings of the breaker in a row
	since   time.Time // the first of them
	until   time.Time // the breaker is open until then
	probing bool      // a sender is trying whether the provider is back
	cause   error     // what opened the breaker
}

type idle struct {
	session channels.Session
	since   time.Time
	kept    bool // it was used before
	probe   bool // it was opened to see whether the provider is back, and has had no message
}

// forgets is how long after a session was put back unused it may be the server's forgetting it that breaks it.
const forgets = time.Second

func newSessionPool(c channels.Channel) *sessionPool {
	return &sessionPool{channel: c, opened: func(error) {}}
}

// maxStrikes is how many new sessions may break before any message was answered until the breaker opens.
const maxStrikes = 3

// connection is a session with what the breaker must know about it.
type connection struct {
	channels.Session
	kept  bool // it was used before, so that its breaking may be the server's forgetting it
	probe bool // everybody waits for what comes of it
}

// get takes an idle session or opens one. While the breaker is open it fails at once, with Unavailable and the cause.
func (p *sessionPool) get(ctx context.Context) (*connection, error) {
	if c := p.takeIdle(); c != nil {
		return c, nil
	}
	probe, err := p.enter()
	if err != nil {
		return nil, err
	}
	s, err := p.channel.Open(ctx)
	p.opened(err)
	if err != nil {
		p.refused(ctx, probe, err)
		return nil, err
	}
	return &connection{Session: s, probe: probe}, nil
}

// enter asks the breaker whether a session may be opened now.
func (p *sessionPool) enter() (probe bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trips == 0 {
		return false, nil
	}
	if p.probing || time.Now().Before(p.until) {
		return false, channels.Unavailable(fmt.Errorf("%s can't be used now: %w", p.channel.Account(), p.cause))
	}
	p.probing = true
	return true, nil
}

// refused notes that no session could be opened.
func (p *sessionPool) refused(ctx context.Context, probe bool, cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if probe {
		p.probing = false
	}
	if ctx.Err() == nil { // else it was us who gave up
		p.trip(probe, cause)
	}
}

// trip opens the breaker: for 2 s, doubling each time, at most a minute. Senders that failed at the same time count once.
func (p *sessionPool) trip(probe bool, cause error) {
	p.cause = cause
	if now := time.Now(); probe || now.After(p.until) {
		if p.trips == 0 {
			p.since = now
		}
		p.trips++
		p.until = now.Add(min(time.Minute, time.Second<<min(p.trips, 6)))
	}
}

// broke notes that a session ended. answered says whether it took, or refused for itself, at least one message; a
// session that we broke off ourselves says nothing, and has no cause.
func (p *sessionPool) broke(c *connection, answered bool, cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.probe {
		p.probing = false
	}
	switch {
	case answered || cause == nil:
	case c.kept:
		p.closeIdle() // they are as old
	default:
		if p.strikes++; p.strikes >= maxStrikes || p.trips > 0 {
			p.trip(c.probe, cause)
		}
	}
}

// answered notes that the provider works: the breaker closes and forgets.
func (p *sessionPool) answered(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.strikes, p.trips, p.since, p.until, p.cause = 0, 0, time.Time{}, time.Time{}, nil
	if c.probe {
		c.probe, p.probing = false, false
	}
}

// wait is how long the breaker still holds, and why; 0 when it does not.
func (p *sessionPool) wait() (time.Duration, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.trips == 0:
		return 0, nil
	case p.probing:
		return time.Second, p.cause
	}
	return max(0, time.Until(p.until)), p.cause
}

func (p *sessionPool) takeIdle() *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	last := p.idle[len(p.idle)-1]
	if time.Since(last.since) >= idleSession {
		p.closeIdle() // those below have waited longer
		return nil
	}
	p.idle = p.idle[:len(p.idle)-1]
	c := &connection{Session: last.session, kept: last.kept || !last.probe && time.Since(last.since) >= forgets}
	if last.probe && p.trips > 0 && !p.probing {
		c.probe, p.probing = true, true
	}
	return c
}

func (p *sessionPool) put(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.probe {
		p.probing = false
	}
	p.idle = append(p.idle, idle{session: c.Session, since: time.Now(), kept: c.kept, probe: c.probe})
}

// closeIdle forgets all idle sessions. Their goodbyes may block and matter to nobody.
func (p *sessionPool) closeIdle() {
	for _, i := range p.idle {
		go func() { _ = i.session.Close() }()
	}
	p.idle = nil
}

// closeAll says goodbye on all idle sessions and waits for it.
func (p *sessionPool) closeAll() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	var wg sync.WaitGroup
	for _, i := range idle {
		wg.Go(func() { _ = i.session.Close() })
	}
	wg.Wait()
}
