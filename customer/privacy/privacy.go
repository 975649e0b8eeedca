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
// that refer to them, and nothing of both may go in between. Planning holds it shared (campaign/plan.go).
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
	addresses []string
}

// readRow looks the customer up in the company's table. A key that the column's type can't have is nobody's.
func readRow(ctx context.Context, db customer.Querier, s *customer.Schema, key string) (row, error) {
	r := row{key: key}
	var paths [][]string
	for _, f := range []customer.Field{s.Email, s.Phone} {
		if f.Column != "" {
			paths = append(paths, []string{f.Column})
		}
	}
	fetch, err := customer.NewFetch(s.Customer, paths)
	if err != nil {
		return r, err
	}
	found, err := fetch.Rows(ctx, db, []string{key})
	if misfit(err) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	for k, values := range found {
		r.present, r.key = true, k
		for _, p := range paths {
			if text, ok := values[p[0]].(string); ok && text != "" {
				r.addresses = append(r.addresses, cut(text))
			}
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
