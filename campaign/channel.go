package campaign

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Channels are those by which a campaign's newest version sends. The error is ErrNotFound's where there is none.
func (l *Library) Channels(ctx context.Context, name string) ([]string, error) {
	c, _, err := l.current(ctx, name)
	if err != nil {
		return nil, err
	}
	return c.Channels(), nil
}

// RunChannels are the channels by which a run sends: those of its messages, which exist whether or not its version still fits
// the company's tables, else the version's. The error is ErrNotFound's where there is no such run.
func (l *Library) RunChannels(ctx context.Context, run int) ([]string, error) {
	var version int
	var channels []string
	err := l.db.QueryRow(ctx, `
		select version_id, array(select distinct b.channel from batches b where b.run_id = r.id order by 1) from runs r where r.id = $1`, run).Scan(&version, &channels)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("run %d: %w; see: sapa status --all", run, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read run %d: %w", run, err)
	}
	if len(channels) > 0 {
		return channels, nil
	}
	c, err := l.version(ctx, version)
	if err != nil {
		return nil, err
	}
	return c.Channels(), nil
}
