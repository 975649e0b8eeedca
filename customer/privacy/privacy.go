// Package privacy makes Sapa forget, and tell what it knows: a customer who asked for it is erased or exported, personal
// data goes when it is old enough, and months of messages are dropped.
//
//	e, err := privacy.Erase(ctx, pool, schema, privacy.EraseOptions{Customer: "42", Actor: "ani", Now: time.Now})
//	err = privacy.Export(ctx, pool, os.Stdout, privacy.ExportOptions{Customer: "42", Now: time.Now()})
//
// Where personal data is, and what each of these does to it, is in docs/privacy.md. What is kept of an erased customer,
// so that totals stay true, is kept under a pseudonym that is never made of their key.
package privacy

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// lock makes whoever forgets wait for whoever plans, and the other way round: a plan reads addresses and writes messages
// that refer to them, and nothing of both may go in between. Planning holds it shared: customer.ShareErasures.
func lock(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('sapa erasure ' || current_schema(), 0))`); err != nil {
		return fmt.Errorf("wait for plans: %w", err)
	}
	return nil
}

// row is what the company's own table says about a customer.
type row struct {
	present   bool
	key       string // as the database writes it
	addresses []address
}

// address is one of the customer's as the company wrote it, cut as the address book cuts it.
type address struct {
	channel, raw string
	normalised   string // "" when it can't be used
}

func (r *row) raws() []string {
	list := []string{}
	for _, a := range r.addresses {
		list = append(list, a.raw)
	}
	return list
}

// hashes are those of the addresses that can be used, with their channels and digests.
func (r *row) hashes(h *customer.Hasher) (channels []string, hashes, digests [][]byte) {
	channels, hashes, digests = []string{}, [][]byte{}, [][]byte{}
	for _, a := range r.addresses {
		if a.normalised != "" {
			channels = append(channels, a.channel)
			hashes = append(hashes, h.Hash(a.channel, a.normalised))
			digests = append(digests, customer.Digest(a.normalised))
		}
	}
	return channels, hashes, digests
}

// readRow looks the customer up in the company's table. A key that the column's type can't have is nobody's there, but
// Sapa may know it from before.
func readRow(ctx context.Context, db customer.Querier, s *customer.Schema, key string) (row, error) {
	r := row{key: key}
	canonical, ok := s.CanonicalKey(key)
	if !ok {
		return r, nil
	}
	r.key = canonical
	people, err := s.People(ctx, db, []string{canonical})
	if err != nil {
		return r, err
	}
	if p, ok := people[canonical]; ok {
		r.present = true
		for channel, raw := range p.Addresses {
			a := address{channel: channel, raw: cut(raw)}
			if read, err := customer.Normalise(channel, a.raw, p.Region); err == nil { // else the book has none of the channel
				a.normalised = read.Normalised
			}
			r.addresses = append(r.addresses, a)
		}
	}
	return r, nil
}

// cut is what the address book looks at.
func cut(raw string) string {
	if letters := []rune(raw); len(letters) > customer.MaxRawAddress {
		return string(letters[:customer.MaxRawAddress])
	}
	return raw
}

// inTx is pg.InTx, again when the database chose this transaction to break a deadlock.
func inTx(ctx context.Context, db pg.DBTX, f func(pgx.Tx) error) error {
	for try := 1; ; try++ {
		err := pg.InTx(ctx, db, f)
		if err == nil || try == 5 || !collided(err) {
			return err
		}
	}
}
