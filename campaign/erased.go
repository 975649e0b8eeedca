package campaign

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// shareErasures makes a plan and an erasure wait for each other (package privacy takes the same lock alone): what the plan
// reads of a customer it has written before they are erased, or it finds them erased.
func shareErasures(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock_shared(hashtextextended('sapa erasure ' || current_schema(), 0))`); err != nil {
		return fmt.Errorf("wait for erasures: %w", err)
	}
	return nil
}

// hideErased makes customers whom the rule means, but who were erased while the company's own row stays, nobody: they are
// skipped under their pseudonym, without anything of theirs going into the address book or the ledger.
func hideErased(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `
		update due d
		set customer_key = e.pseudonym, occasion = 'erased', row_key = null, raw = null, zone = null, opted_in = null
		from erasures e
		where e.customer_key = d.customer_key`)
	if err != nil {
		return fmt.Errorf("leave out who was erased: %w", err)
	}
	return nil
}
