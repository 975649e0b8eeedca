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
	ended         bool // the context has ended
	released      bool // the limiter is done with
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

// next sets the time limit of the next reads and writes.
func (l *limiter) next(limit time.Duration, interruptible bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.interruptible = interruptible
	if l.ended && interruptible {
		limit = -time.Second
	}
	_ = l.conn.SetDeadline(time.Now().Add(limit)) // fails on a closed connection, where the read fails too
}

func (l *limiter) interrupt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.interruptible && !l.released {
		_ = l.conn.SetDeadline(time.Now().Add(-time.Second))
	}
}
