package delivery

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sapa-crm/sapa/internal/pg"
)

// persist tries again until it has worked: what happened must not be forgotten while the database is away. It gives up
// when the database says that trying again won't help, and when this process waits for nothing any more.
func (e *Engine) persist(ctx context.Context, f func(context.Context) error) error {
	ctx = context.WithoutCancel(ctx)
	const first, last = 50 * time.Millisecond, 2 * time.Second
	for wait, tries := first, 1; ; wait, tries = min(2*wait, last), tries+1 {
		err := within(ctx, time.Minute, f)
		if err == nil {
			return nil
		}
		if pg.Refused(err) && tries >= 3 {
			e.Log.Error("give up", slog.Any("error", err))
			return err
		}
		e.Log.Warn("try again", slog.Int("tries", tries), slog.Any("error", err))
		select {
		case <-e.over:
			return err
		case <-time.After(wait):
		}
	}
}

// startPatience is how long a process that starts waits for a database that is away, restarts or recovers.
const startPatience = 30 * time.Second

// patiently tries again for a while.
func patiently(ctx context.Context, f func() error) error {
	for wait, until := 50*time.Millisecond, time.Now().Add(startPatience); ; wait = min(2*wait, time.Second) {
		err := f()
		if !pg.Fleeting(err) && !errors.Is(err, context.DeadlineExceeded) || time.Now().After(until) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

func within(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return f(ctx)
}

// holdings are the batches that this process takes, sends or gives back at this moment, as far as it knows itself.
type holdings struct {
	mu      sync.Mutex
	batches map[int64]bool
}

// add notes a batch; it is false when it is noted already.
func (h *holdings) add(batch int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.batches[batch] {
		return false
	}
	if h.batches == nil {
		h.batches = map[int64]bool{}
	}
	h.batches[batch] = true
	return true
}

func (h *holdings) remove(batch int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.batches, batch)
}

func (h *holdings) has(batch int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.batches[batch]
}

func (h *holdings) list() []int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.AppendSeq([]int64{}, maps.Keys(h.batches)) // never nil, which would be NULL
}
