package campaign

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// hideErased makes customers whom the rule means, but who were erased while the company's own row stays, nobody: they are
// skipped under their pseudonym, without anything of theirs going into the address book or the ledger.
func hideErased(ctx context.Context, tx pgx.Tx, laddered bool) error {
	_, err := tx.Exec(ctx, `
		update due d
		set customer_key = e.pseudonym, occasion = 'erased', row_key = null, raw = null, zone = null, opted_in = null,
			address_id = null, fault = 'erased', domain = null
		from erasures e
		where e.customer_key = d.customer_key`)
	if err == nil && laddered {
		_, err = tx.Exec(ctx, `update due set raws = null, opteds = null, preferred = null where fault = 'erased'`)
	}
	if err != nil {
		return fmt.Errorf("leave out who was erased: %w", err)
	}
	return nil
}
