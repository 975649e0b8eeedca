package privacy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// How often the retention is carried out, how often a process looks whether it is time, and how long after a failure it
// is tried again.
const (
	everyDay   = 24 * time.Hour
	lookEvery  = 5 * time.Minute
	againAfter = time.Hour
)

// RunDaily carries the retention out once a day, until the context ends. Any number of processes may do so: one of them
// does it. A process that dies in between leaves the rest to the next day.
func (k *Keeper) RunDaily(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		if _, err := k.RunDue(ctx); err != nil && ctx.Err() == nil {
			k.Log.Error("retention", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// RunDue is Run when nobody has begun it for a day; nil when somebody has.
func (k *Keeper) RunDue(ctx context.Context) (*Retained, error) {
	now := k.Now()
	var mine bool
	err := k.Pool.QueryRow(ctx, `
		insert into upkeep (name, at) values ('retention', $1)
		on conflict (name) do update set at = excluded.at where upkeep.at <= $2
		returning true`, now, now.Add(-everyDay)).Scan(&mine)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look whether retention is due: %w", err)
	}
	done, err := k.Run(ctx)
	if err != nil {
		_, noteErr := k.Pool.Exec(context.WithoutCancel(ctx), `update upkeep set at = $1 where name = 'retention'`, now.Add(againAfter-everyDay))
		return nil, errors.Join(err, noteErr)
	}
	return done, nil
}
