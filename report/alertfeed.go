package report

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/channels/alert"
)

// AlertFeed tells who looks at a desk when its alerts may have changed. One connection of its own listens for everybody;
// who needs to be sure looks from time to time by themselves, too: behind a pooler of transactions nothing is told.
type AlertFeed struct {
	pool *pgxpool.Pool // whose settings the connection has
	log  *slog.Logger

	mu       sync.Mutex
	watchers map[*watcher]bool // nil: the feed has ended
}

type watcher struct {
	desk    string
	changed chan struct{}
}

// NewAlertFeed makes a feed that Run must feed.
func NewAlertFeed(pool *pgxpool.Pool, log *slog.Logger) *AlertFeed {
	return &AlertFeed{pool: pool, log: log, watchers: map[*watcher]bool{}}
}

// Watch gives a value when the desk's alerts may have changed since the value before; one that was not taken yet stands
// for those after it. The channel is closed when the feed ends. stop must be called.
func (f *AlertFeed) Watch(desk string) (changed <-chan struct{}, stop func()) {
	w := &watcher{desk: desk, changed: make(chan struct{}, 1)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watchers == nil {
		close(w.changed)
		return w.changed, func() {}
	}
	f.watchers[w] = true
	return w.changed, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, w)
	}
}

// tell wakes those who look at a desk; "" is every desk.
func (f *AlertFeed) tell(desk string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watchers {
		if desk != "" && w.desk != desk {
			continue
		}
		select {
		case w.changed <- struct{}{}:
		default: // it has one already
		}
	}
}

func (f *AlertFeed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watchers {
		close(w.changed)
	}
	f.watchers = nil
}

// listenAgain is the wait before another connection is tried.
const listenAgain = 5 * time.Second

// Run listens until the context ends, and connects again when the connection is lost.
func (f *AlertFeed) Run(ctx context.Context) {
	defer f.end()
	for ctx.Err() == nil {
		if err := f.listen(ctx); err != nil && ctx.Err() == nil {
			f.log.Warn("alerts are not told at once for now", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(listenAgain):
		}
	}
}

// listen tells what one connection hears. What was missed before is told first.
func (f *AlertFeed) listen(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, f.pool.Config().ConnConfig)
	if err != nil {
		return fmt.Errorf("listen for alerts: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var schema string
	if err := conn.QueryRow(ctx, `select current_schema()`).Scan(&schema); err != nil {
		return fmt.Errorf("listen for alerts: %w", err)
	}
	if _, err := conn.Exec(ctx, `listen `+alert.Notify); err != nil {
		return fmt.Errorf("listen for alerts: %w", err)
	}
	f.tell("")
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return fmt.Errorf("listen for alerts: %w", err)
		}
		if desk, ours := strings.CutPrefix(n.Payload, schema+" "); ours {
			f.tell(desk)
		}
	}
}
