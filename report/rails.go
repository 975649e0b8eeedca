package report

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// SeedCopy is the copy of a run for one of the company's own people.
type SeedCopy struct {
	Channel string    `json:"channel"`
	Address string    `json:"address"`
	State   string    `json:"state"` // claimed, sent, failed, skipped or unknown
	At      time.Time `json:"at"`
	Words   string    `json:"words,omitempty"` // the provider's, or why it was skipped
}

// Seeds lists what became of a run's copies for the company's own people. They are in none of the totals.
func Seeds(ctx context.Context, db pg.DBTX, run int) ([]SeedCopy, error) {
	rows, _ := db.Query(ctx, `
		select channel, address, state, at, coalesce(words, '') as words from seed_messages where run_id = $1 order by channel, address`, run)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[SeedCopy])
	if err != nil {
		return nil, fmt.Errorf("read seeds of run %d: %w", run, err)
	}
	return list, nil
}
