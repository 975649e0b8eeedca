package email

import (
	"context"
	"net"
	"sync"
	"time"
)

// limiter sets the connection's deadlines, and cuts the interruptible waits short when the context ends.
type limiter struct {
	mu            sync.Mutex
	conn          net.Conn
	interruptible bool
	limit         time.Duration // the one that was set last; 0: none, or it was cut short
	since         time.Time     // when it was set
	ended         bool          // the context has ended
	released      bool          // the limiter is done with
}

// limitBy returns a limiter that follows the context until release is called.
func limitBy(ctx context.Context, conn net.Conn) (l *limiter, release func()) {
	l = &limiter{conn: conn}
	stop := context.AfterFunc(ctx, l.interrupt)
	return l, func() {
		stop()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.released = true
	}
}

// next sets the time limit of the next reads and writes. One that was set just now stays: a thirtieth of a limit is nobody's
// concern, and the same limit is set for what is written and the first reply to it.
func (l *limiter) next(limit time.Duration, interruptible bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.interruptible = interruptible
	if l.ended && interruptible {
		l.cut()
		return
	}
	now := time.Now()
	if limit == l.limit && now.Sub(l.since) < limit/30 {
		return
	}
	l.limit, l.since = limit, now
	_ = l.conn.SetDeadline(now.Add(limit)) // fails on a closed connection, where the read fails too
}

func (l *limiter) interrupt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.interruptible && !l.released {
		l.cut()
	}
}

// cut ends the waits of now.
func (l *limiter) cut() {
	l.limit = 0
	_ = l.conn.SetDeadline(time.Now().Add(-time.Second))
}
