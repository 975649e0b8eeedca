package customer

import (
	"context"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// SuppressedAddress is one as it is listed and exported.
type SuppressedAddress struct {
	Channel string
	Address string // "" where it is not known
	Digest  []byte // of one that came as a digest and was never met; nil for others
	Suppression
}

// Known is the address, or what is known instead of it.
func (s *SuppressedAddress) Known() string {
	switch {
	case s.Address != "":
		return s.Address
	case s.Digest != nil:
		return "sha256:" + hex.EncodeToString(s.Digest)
	}
	return "(erased)"
}

// ListSuppressions calls each for every suppressed address of a channel ("" for all), the latest first.
func ListSuppressions(ctx context.Context, db pg.DBTX, channel string, each func(*SuppressedAddress) error) error {
	rows, err := db.Query(ctx, `
		select channel, coalesce(address, ''), null::bytea, reason, source, at from suppressions where $1 in ('', channel)
		union all
		select channel, '', digest, reason, source, at from suppressed_digests where $1 in ('', channel)
		order by 6 desc, 1, 2, 3`, channel)
	if err != nil {
		return fmt.Errorf("list suppressions: %w", err)
	}
	var s SuppressedAddress
	_, err = pgx.ForEachRow(rows, []any{&s.Channel, &s.Address, &s.Digest, &s.Reason, &s.Source, &s.At}, func() error { return each(&s) })
	if err != nil {
		return fmt.Errorf("list suppressions: %w", err)
	}
	return nil
}

// Exported says how many suppressed addresses were exported, and how many could not be.
type Exported struct {
	Written int
	Erased  int // whose text is gone: only our own keyed hash is left, which means nothing elsewhere
	Hashed  int // that came as digests, which can only be exported as such
}

// ExportSuppressions writes the suppressed addresses of a channel ("" for all) as CSV with a header: the addresses, or
// their digests, in the form that ImportSuppressions reads.
func ExportSuppressions(ctx context.Context, db pg.DBTX, w io.Writer, channel string, hashed bool) (done Exported, err error) {
	out := csv.NewWriter(w)
	title := "address"
	if hashed {
		title = "sha256"
	}
	if err := out.Write([]string{title, "channel", "reason", "source", "at"}); err != nil {
		return done, fmt.Errorf("export suppressions: %w", err)
	}
	err = ListSuppressions(ctx, db, channel, func(s *SuppressedAddress) error {
		text := s.Address
		switch {
		case s.Address == "" && s.Digest == nil:
			done.Erased++
			return nil
		case s.Digest != nil && !hashed:
			done.Hashed++
			return nil
		case s.Digest != nil:
			text = hex.EncodeToString(s.Digest)
		case hashed:
			text = hex.EncodeToString(Digest(s.Address))
		}
		done.Written++
		return out.Write([]string{text, s.Channel, s.Reason, s.Source, s.At.UTC().Format(time.RFC3339)})
	})
	out.Flush()
	if err = errors.Join(err, out.Error()); err != nil {
		return done, fmt.Errorf("export suppressions: %w", err)
	}
	return done, nil
}
