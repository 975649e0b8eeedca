package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sapa-crm/sapa/internal/pg"
)

// gateEvery bounds how long a pause, resume or cancel takes to be felt by a running send.
const gateEvery = 250 * time.Millisecond

// gate knows which of the runs being sent by this process may go on. The claim checks the run's state in the database;
// the gate makes the messages of a claim that was made before feel a pause, too.
type gate struct {
	db     pg.DBTX
	mu     sync.Mutex
	users  map[int]int  // run → batches being sent here
	closed map[int]bool // run is not in state sending
}

func newGate(db pg.DBTX) *gate {
	return &gate{db: db, users: map[int]int{}, closed: map[int]bool{}}
}

func (g *gate) enter(run int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.users[run]++
}

func (g *gate) leave(run int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.users[run]--; g.users[run] <= 0 {
		delete(g.users, run)
		delete(g.closed, run)
	}
}

func (g *gate) open(run int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.closed[run]
}

func (g *gate) watch(ctx context.Context, log *slog.Logger) {
	ticker := time.NewTicker(gateEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := g.refresh(ctx); err != nil && ctx.Err() == nil {
				log.Warn("look at run states", slog.Any("error", err))
			}
		}
	}
}

func (g *gate) refresh(ctx context.Context) error {
	runs := g.active()
	if len(runs) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	rows, err := g.db.Query(ctx, `select id, state <> 'sending' from runs where id = any($1)`, runs)
	if err != nil {
		return fmt.Errorf("read run states: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var run int
		var closed bool
		if err := rows.Scan(&run, &closed); err != nil {
			return fmt.Errorf("read run states: %w", err)
		}
		g.set(run, closed)
	}
	return rows.Err()
}

func (g *gate) active() []int {
	g.mu.Lock()
	defer g.mu.Unlock()
	runs := make([]int, 0, len(g.users))
	for run := range g.users {
		runs = append(runs, run)
	}
	return runs
}

func (g *gate) set(run int, closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, active := g.users[run]; active {
		g.closed[run] = closed
	}
}
