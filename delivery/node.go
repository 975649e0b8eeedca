package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/sapa-crm/sapa/internal/pg"
)

const (
	heartbeatEvery = 5 * time.Second
	// silence after which another worker takes over, by the database's clock.
	silence = 30 * time.Second
	// permitted is how long after sending its last successful heartbeat a worker may hand over, by its own monotonic
	// clock. It is shorter than silence, so that a process that was stopped and wakes up sends nothing.
	permitted = 20 * time.Second
)

// errNoLease says that this process may not hand over anything now.
var errNoLease = errors.New("this process was silent for too long and may have been replaced; nothing more is handed over")

// node is this process in the table workers.
type node struct {
	id       int
	started  time.Time    // carries the monotonic clock
	lastBeat atomic.Int64 // when the last successful heartbeat was sent, in ns since started
}

func startNode(ctx context.Context, db pg.DBTX) (*node, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	n := &node{started: time.Now()}
	err = db.QueryRow(ctx, `insert into workers (host, pid) values ($1, $2) returning id`, host, os.Getpid()).Scan(&n.id)
	if err != nil {
		return nil, fmt.Errorf("register worker: %w", err)
	}
	return n, nil
}

// permit is asked before each hand-over.
func (n *node) permit() error {
	if time.Since(n.started)-time.Duration(n.lastBeat.Load()) > permitted {
		return errNoLease
	}
	return nil
}

// beat keeps the lease alive. A heartbeat that finds the worker stopped by others is not renewed: permit ends by itself.
func (n *node) beat(ctx context.Context, db pg.DBTX, log *slog.Logger) {
	ticker := time.NewTicker(heartbeatEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := n.beatOnce(ctx, db); err != nil && ctx.Err() == nil {
				log.Warn("heartbeat", "worker", n.id, "error", err)
			}
		}
	}
}

func (n *node) beatOnce(ctx context.Context, db pg.DBTX) error {
	ctx, cancel := context.WithTimeout(ctx, heartbeatEvery)
	defer cancel()
	sent := time.Since(n.started)
	tag, err := db.Exec(ctx, `update workers set heartbeat_at = clock_timestamp() where id = $1 and stopped_at is null`, n.id)
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return errNoLease
	}
	n.lastBeat.Store(int64(sent))
	return nil
}

func (n *node) stop(ctx context.Context, db pg.DBTX) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := db.Exec(ctx, `update workers set stopped_at = now() where id = $1`, n.id); err != nil {
		return fmt.Errorf("sign off worker: %w", err)
	}
	return nil
}

// Alive counts the processes that send now.
func Alive(ctx context.Context, db pg.DBTX) (int, error) {
	var n int
	err := db.QueryRow(ctx, `select count(*) from workers
		where stopped_at is null and heartbeat_at > now() - $1::interval`, silence).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count workers: %w", err)
	}
	return n, nil
}
