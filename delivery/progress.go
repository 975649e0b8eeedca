package delivery

import (
	"context"
	"fmt"
	"strings"
	"time"

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
	// Resting is until when nothing can be done: all that is left waits for another attempt, or for its hour.
	Resting *time.Time `json:"resting_until,omitempty"`
	// Open says that the run waits for more events of its day, and is sending also when nothing is left to send.
	Open bool `json:"open,omitempty"`
	// ByHand says that all that is left waits for people: letters to be posted, calls to be made.
	ByHand bool `json:"waits_for_people,omitempty"`
}

// WarmingUp says that a run waits for the next day of its account's warm-up.
func (p *Progress) WarmingUp() bool { return strings.HasPrefix(p.Reason, warmUpNote) }

// restless is how soon something must be due for a run not to be resting.
const restless = 5 * time.Second

// ReadProgress reads a run's totals. now is business time.
func ReadProgress(ctx context.Context, db pg.DBTX, run int, now time.Time) (*Progress, error) {
	p := &Progress{Run: run, Counts: map[string]int{}, Reasons: map[string]int{}}
	err := db.QueryRow(ctx, `
		select state::text, coalesce(reason, ''), open, (
			select case when count(worker) = 0 and min(due_at) > $2 then min(due_at) end from batches where run_id = $1 and not done)
		from runs where id = $1`, run, now.Add(restless)).Scan(&p.State, &p.Reason, &p.Open, &p.Resting)
	if err != nil {
		return nil, fmt.Errorf("read run %d: %w", run, err)
	}
	if p.Resting != nil && !p.Resting.Before(byHand()) {
		p.Resting, p.ByHand = nil, true
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
	return p.Counts["audience"] + p.Counts["rung"] - p.Counts["already"]
}

// Waiting is how many are still to be handed over.
func (p *Progress) Waiting() int { return p.Counts["planned"] + p.Counts["claimed"] }
