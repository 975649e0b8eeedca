package campaign

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Channel is the channel by which a campaign's newest version sends. The error is ErrNotFound's where there is none.
func (l *Library) Channel(ctx context.Context, name string) (string, error) {
	c, _, err := l.current(ctx, name)
	if err != nil {
		return "", err
	}
	return c.Channel(), nil
}

// RunChannel is the channel by which a run sends: that of its messages, which exist whether or not its version still fits
// the company's tables, else the version's. The error is ErrNotFound's where there is no such run.
func (l *Library) RunChannel(ctx context.Context, run int) (string, error) {
	var version int
	var channel *string
	err := l.db.QueryRow(ctx, `
		select version_id, (select b.channel from batches b where b.run_id = r.id limit 1) from runs r where r.id = $1`, run).Scan(&version, &channel)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("run %d: %w; see: sapa status --all", run, ErrNotFound)
	}
	if err != nil {
		return "", fmt.Errorf("read run %d: %w", run, err)
	}
	if channel != nil {
		return *channel, nil
	}
	c, err := l.version(ctx, version)
	if err != nil {
		return "", err
	}
	return c.Channel(), nil
}
