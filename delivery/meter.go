package delivery

import (
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/channels"
)

// Meter hears what an engine does, for those who watch it. Its methods are called by many goroutines at once, in the midst
// of the work: they count and return.
type Meter interface {
	// Claimed: so many messages were claimed at once.
	Claimed(channel string, messages int)
	// Opened: a session was opened, or could not be.
	Opened(channel string, err error)
	// Attempted: a session gave its verdict on a message. answered is how long after the hand-over, 0 for a message that was
	// not handed over.
	Attempted(channel string, verdict channels.Verdict, answered time.Duration)
}

// unmetered is the Meter of an engine that nobody watches.
type unmetered struct{}

func (unmetered) Claimed(string, int)                               {}
func (unmetered) Opened(string, error)                              {}
func (unmetered) Attempted(string, channels.Verdict, time.Duration) {}

// answeredAfter is how long after its hand-over a message was answered. The receipt's time is this process's, with its
// monotonic clock.
func answeredAfter(r channels.Receipt) time.Duration {
	if r.HandedOver.IsZero() {
		return 0
	}
	return max(time.Nanosecond, time.Since(r.HandedOver))
}

// Health is how an engine is at this moment.
type Health struct {
	Working bool          // it has begun and has not been told to stop
	Worker  int           // its number in the table workers
	Beat    time.Duration // since the last successful heartbeat was sent
	Permit  time.Duration // how old that may be for anything to be handed over
	Foreign bool          // the database is not ours
	// Channels are those that it sends on, by name.
	Channels []ChannelHealth
	// Pools are the engine's own connections to the database, by what they are for.
	Pools map[string]*pgxpool.Stat
}

// ChannelHealth is how an engine uses one provider account.
type ChannelHealth struct {
	Name        string
	Rate        float64 // messages a second that the account may take; 0: as many as there are
	Connections int     // how many sessions it may have
	Idle        int     // sessions kept open without work
	Broken      bool    // the breaker is open: nothing is tried until it is tried again
	Trips       int     // how often in a row the breaker has opened
	Fallback    bool    // messages go by the second account
}

// running is what an engine has from the moment it works.
type running struct {
	node  *node
	pools map[string]*pgxpool.Pool
}

// Health looks at the engine. It may be called at any time, before Run and after it, too.
func (e *Engine) Health() Health {
	h := Health{Foreign: e.foreign.Load(), Permit: e.Lease.Permit, Pools: map[string]*pgxpool.Stat{}}
	if r := e.running.Load(); r != nil {
		l := r.node.life.Load()
		h.Worker, h.Beat, h.Working = l.worker, time.Since(*l.beat.Load()), true
		for name, pool := range r.pools {
			h.Pools[name] = pool.Stat()
		}
	}
	select {
	case <-e.stopping:
		h.Working = false
	default:
	}
	for name, a := range e.Accounts {
		c := e.lines[name].pool.health()
		c.Fallback = e.lines[name].goBySecond(e.Patience)
		c.Name, c.Rate, c.Connections = name, a.Rate, a.connections()
		h.Channels = append(h.Channels, c)
	}
	slices.SortFunc(h.Channels, func(a, b ChannelHealth) int { return strings.Compare(a.Name, b.Name) })
	return h
}

func (p *sessionPool) health() ChannelHealth {
	p.mu.Lock()
	defer p.mu.Unlock()
	return ChannelHealth{Idle: len(p.idle), Broken: p.trips > 0, Trips: p.trips}
}
