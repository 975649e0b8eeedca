package delivery

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// Progress is where a run stands: its state and its accounts.
type Progress struct {
	Run     int            `json:"run"`
	State   string         `json:"state"`
	Reason  string         `json:"reason,omitempty"` // why it is paused or does not move
	Counts  map[string]int `json:"counts"`           // by message state, and audience and already
	Reasons map[string]int `json:"reasons"`          // of failed and skipped: "failed: refused"
}

// ReadProgress reads a run's totals.
func ReadProgress(ctx context.Context, db pg.DBTX, run int) (*Progress, error) {
	p := &Progress{Run: run, Counts: map[string]int{}, Reasons: map[string]int{}}
	err := db.QueryRow(ctx, `select state::text, coalesce(reason, '') from runs where id = $1`, run).Scan(&p.State, &p.Reason)
	if err != nil {
		return nil, fmt.Errorf("read run %d: %w", run, err)
	}
	rows, err := db.Query(ctx, `select state, reason, sum(delta)::bigint from run_totals where run_id = $1 group by state, reason having sum(delta) <> 0`, run)
	if err != nil {
		return nil, fmt.Errorf("read totals of run %d: %w", run, err)
	}
	var state, reason string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&state, &reason, &n}, func() error {
		p.Counts[state] += n
		if reason != "" {
			p.Reasons[state+": "+reason] += n
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read totals of run %d: %w", run, err)
	}
	return p, nil
}

// Messages is how many messages of the run exist.
func (p *Progress) Messages() int {
	return p.Counts["audience"] - p.Counts["already"]
}

// Waiting is how many are still to be handed over.
func (p *Progress) Waiting() int { return p.Counts["planned"] + p.Counts["claimed"] }
