package customer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
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

// Digest is SHA-256 of a normalised address in lower case, the form in which suppression lists are exchanged without
// their addresses. Unlike Hasher's hash it needs no key, so that whoever has a list of addresses can find the address
// behind it: it is kept only of addresses that we do not know.
func Digest(normalised string) []byte {
	sum := sha256.Sum256([]byte(strings.ToLower(normalised)))
	return sum[:]
}

// Suppress forbids a normalised address on a channel for ever. Where it is forbidden already, the first reason stays.
func Suppress(ctx context.Context, db pg.DBTX, channel, address string, s Suppression) error {
	_, err := suppress(ctx, db, channel, address, s)
	return err
}

// suppress says whether the address was permitted before.
func suppress(ctx context.Context, db pg.DBTX, channel, address string, s Suppression) (added bool, err error) {
	h, err := LoadHasher(ctx, db)
	if err != nil {
		return false, err
	}
	err = db.QueryRow(ctx, `
		with met as (
			delete from suppressed_digests where channel = @channel and digest = @digest returning reason, source, at
		), added as (
			insert into suppressions (channel, hash, address, reason, source, at)
			select @channel, @hash, @address, coalesce(m.reason, @reason), coalesce(m.source, @source), coalesce(m.at, @at)
			from (select) one left join met m on true
			on conflict do nothing
			returning 1
		)
		select exists (select from added) and not exists (select from met)`,
		pgx.NamedArgs{
			"channel": channel, "hash": h.Hash(channel, address), "digest": Digest(address), "address": address,
			"reason": s.Reason, "source": s.Source, "at": s.At,
		}).Scan(&added)
	if err != nil {
		return false, fmt.Errorf("suppress an address on %s: %w", channel, err)
	}
	return added, nil
}

// Unsuppress permits an address again. It says whether it was forbidden.
func Unsuppress(ctx context.Context, db pg.DBTX, channel, address string) (was bool, err error) {
	h, err := LoadHasher(ctx, db)
	if err != nil {
		return false, err
	}
	err = db.QueryRow(ctx, `
		with one as (delete from suppressions where channel = $1 and hash = $2 returning 1),
		     other as (delete from suppressed_digests where channel = $1 and digest = $3 returning 1)
		select exists (select from one) or exists (select from other)`, channel, h.Hash(channel, address), Digest(address)).Scan(&was)
	if err != nil {
		return false, fmt.Errorf("unsuppress an address on %s: %w", channel, err)
	}
	return was, nil
}

// Suppressed says whether and why a normalised address is forbidden on a channel.
func Suppressed(ctx context.Context, db pg.DBTX, channel, address string) (s Suppression, yes bool, err error) {
	h, err := LoadHasher(ctx, db)
	if err != nil {
		return s, false, err
	}
	err = db.QueryRow(ctx, `
		select reason, source, at from suppressions where channel = $1 and hash = $2
		union all
		select reason, source, at from suppressed_digests where channel = $1 and digest = $3
		limit 1`, channel, h.Hash(channel, address), Digest(address)).Scan(&s.Reason, &s.Source, &s.At)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, false, nil
	}
	if err != nil {
		return s, false, fmt.Errorf("look up a suppression on %s: %w", channel, err)
	}
	return s, true, nil
}
