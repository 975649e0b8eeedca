package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// Lease says how a process shows that it lives, and when others may take over what it holds. The zero value is right
// but for tests.
type Lease struct {
	// Heartbeat is how often a process says that it lives, and how often it looks for work that nobody was woken for; 5 s.
	Heartbeat time.Duration
	// Permit is how long after sending its last successful heartbeat a process may hand over, by its own clock; 20 s. It
	// is shorter than Silence, so that a process that was stopped and wakes up sends nothing.
	Permit time.Duration
	// Silence is how long after a heartbeat another takes over, by the database's clock; 30 s.
	Silence time.Duration
}

const defaultSilence = 30 * time.Second

func (l Lease) withDefaults() Lease {
	if l == (Lease{}) {
		return DefaultLease()
	}
	return l
}

// DefaultLease is what the zero value stands for.
func DefaultLease() Lease {
	return Lease{Heartbeat: 5 * time.Second, Permit: 20 * time.Second, Silence: defaultSilence}
}

func (l Lease) check() error {
	if 0 < l.Heartbeat && l.Heartbeat < l.Permit && l.Permit < l.Silence {
		return nil
	}
	return fmt.Errorf("delivery.New: Lease must have Heartbeat < Permit < Silence, not %s, %s, %s", l.Heartbeat, l.Permit, l.Silence)
}

// errNoLease says that this process may not hand over anything now.
var errNoLease = errors.New("this process was silent for too long and may have been replaced; nothing more is handed over")

// node is this process among those that send.
type node struct {
	db    pg.DBTX
	lease Lease
	log   *slog.Logger
	life  atomic.Pointer[life]

	mu       sync.Mutex
	regained time.Time // when a heartbeat succeeded after a gap in which others may have fallen silent, too
}

// life is one row of the table workers. A process that others have declared dead, because it was stopped or could not
// reach the database, goes on under another one; what it holds stays with the old one and is lost.
type life struct {
	worker int
	lasts  time.Duration
	beat   atomic.Pointer[time.Time] // when the last successful heartbeat was sent
	over   atomic.Bool               // others have declared it dead
}

func startNode(ctx context.Context, db pg.DBTX, lease Lease, log *slog.Logger) (*node, error) {
	n := &node{db: db, lease: lease, log: log}
	return n, n.register(ctx)
}

func (n *node) register(ctx context.Context) error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	l := &life{lasts: n.lease.Permit}
	sent := time.Now()
	l.beat.Store(&sent)
	err = n.db.QueryRow(ctx, `insert into workers (host, pid, started_at, heartbeat_at) values ($1, $2, clock_timestamp(), clock_timestamp())
		returning id`, host, os.Getpid()).Scan(&l.worker)
	if err != nil {
		return fmt.Errorf("register worker: %w", err)
	}
	n.life.Store(l)
	return nil
}

// permit is asked before each hand-over. Both clocks are asked: the monotonic one stands still while a machine sleeps,
// the other one can be set back.
func (l *life) permit() error {
	now, beat := time.Now(), *l.beat.Load()
	if l.over.Load() || now.Sub(beat) > l.lasts || now.Round(0).Sub(beat.Round(0)) > l.lasts {
		return errNoLease
	}
	return nil
}

// beat keeps the lease alive until the context ends.
func (n *node) beat(ctx context.Context) {
	ticker := time.NewTicker(n.lease.Heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := n.beatOnce(ctx); err != nil && ctx.Err() == nil {
				n.log.Warn("heartbeat", slog.Int("worker", n.life.Load().worker), slog.Any("error", err))
			}
		}
	}
}

func (n *node) beatOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, n.lease.Permit/2)
	defer cancel()
	l, sent := n.life.Load(), time.Now()
	lapsed := l.permit() != nil
	err := n.db.QueryRow(ctx, `update workers set heartbeat_at = clock_timestamp() where id = $1 and stopped_at is null returning id`, l.worker).Scan(new(int))
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		l.over.Store(true)
		n.log.Warn("declared dead by others; going on as another worker", slog.Int("worker", l.worker))
		err = n.register(ctx)
	case err == nil:
		l.beat.Store(&sent)
	}
	if err == nil && lapsed {
		n.mu.Lock()
		n.regained = time.Now()
		n.mu.Unlock()
	}
	return err
}

// mayBury says whether this process may take over from others. After a gap of its own it first gives them the time to
// come back: when the database was away, everybody fell silent.
func (n *node) mayBury() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.life.Load().permit() == nil && (n.regained.IsZero() || time.Since(n.regained) > n.lease.Silence)
}

// Alive counts the processes that send now.
func Alive(ctx context.Context, db pg.DBTX) (int, error) {
	var n int
	err := db.QueryRow(ctx, `select count(*) from workers
		where stopped_at is null and heartbeat_at > clock_timestamp() - $1::interval`, defaultSilence).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count workers: %w", err)
	}
	return n, nil
}
