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

// sessionPool keeps open sessions between batches.
type sessionPool struct {
	channel channels.Channel
	mu      sync.Mutex
	idle    []idle
	down    int       // failures to open in a row: the breaker's memory
	until   time.Time // the breaker is open until then
}

type idle struct {
	session channels.Session
	since   time.Time
}

func newSessionPool(c channels.Channel) *sessionPool { return &sessionPool{channel: c} }

// get takes an idle session or opens one. While the breaker is open it fails at once with Unavailable.
func (p *sessionPool) get(ctx context.Context) (channels.Session, error) {
	if s := p.takeIdle(); s != nil {
		return s, nil
	}
	if wait := p.wait(); wait > 0 {
		return nil, channels.Unavailable(fmt.Errorf("%s could not be used a moment ago; trying again in %s", p.channel.Account(), wait.Round(time.Second)))
	}
	s, err := p.channel.Open(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.down++
		p.until = time.Now().Add(breakerDelay(p.down))
		return nil, err
	}
	return s, nil
}

// breakerDelay is how long a provider that can't be used is left alone: 2 s, doubling, at most a minute.
func breakerDelay(failures int) time.Duration {
	return min(time.Minute, time.Second<<min(failures, 6))
}

// wait is how long the breaker still holds; 0 when it does not.
func (p *sessionPool) wait() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, time.Until(p.until))
}

func (p *sessionPool) takeIdle() channels.Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		last := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if time.Since(last.since) < idleSession {
			return last.session
		}
		go func() { _ = last.session.Close() }() // a stale connection: its goodbye may block and matters to nobody
	}
	return nil
}

// up says that a message was taken: the breaker forgets.
func (p *sessionPool) up() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down, p.until = 0, time.Time{}
}

func (p *sessionPool) put(s channels.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, idle{s, time.Now()})
}

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

// trip opens the breaker: the provider takes connections but no messages.
func (p *sessionPool) trip() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down++
	p.until = time.Now().Add(breakerDelay(p.down))
}
