package customer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// Suppression is an address never to be used again on a channel.
type Suppression struct {
	Reason string // hard bounce, complaint, by hand, …
	Source string // message 123, import, an actor
	At     time.Time
}

// Suppress forbids a normalised address on a channel for ever. Where it is forbidden already, the first reason stays.
func Suppress(ctx context.Context, db pg.DBTX, channel, address string, s Suppression) error {
	h, err := LoadHasher(ctx, db)
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, `
		insert into suppressions (channel, hash, address, reason, source, at)
		values (@channel, @hash, @address, @reason, @source, @at) on conflict do nothing`,
		pgx.NamedArgs{
			"channel": channel, "hash": h.Hash(channel, address), "address": address,
			"reason": s.Reason, "source": s.Source, "at": s.At,
		})
	if err != nil {
		return fmt.Errorf("suppress an address on %s: %w", channel, err)
	}
	return nil
}

// Unsuppress permits an address again. It says whether it was forbidden.
func Unsuppress(ctx context.Context, db pg.DBTX, channel, address string) (bool, error) {
	h, err := LoadHasher(ctx, db)
	if err != nil {
		return false, err
	}
	tag, err := db.Exec(ctx, `delete from suppressions where channel = $1 and hash = $2`, channel, h.Hash(channel, address))
	if err != nil {
		return false, fmt.Errorf("unsuppress an address on %s: %w", channel, err)
	}
	return tag.RowsAffected() > 0, nil
}

// Suppressed says whether and why a normalised address is forbidden on a channel.
func Suppressed(ctx context.Context, db pg.DBTX, channel, address string) (s Suppression, yes bool, err error) {
	h, err := LoadHasher(ctx, db)
	if err != nil {
		return s, false, err
	}
	err = db.QueryRow(ctx, `select reason, source, at from suppressions where channel = $1 and hash = $2`,
		channel, h.Hash(channel, address)).Scan(&s.Reason, &s.Source, &s.At)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, false, nil
	}
	if err != nil {
		return s, false, fmt.Errorf("look up a suppression on %s: %w", channel, err)
	}
	return s, true, nil
}
