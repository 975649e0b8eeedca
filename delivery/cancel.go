package delivery

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// Cancel skips everything of a run that is still planned. The run must be cancelled already, or be so with the same
// transaction, so that nothing is claimed any more. What a worker holds at this moment comes back to the plan or is
// recorded, and whoever frees the last batch cancels again. It may be called any number of times.
func Cancel(ctx context.Context, db pg.DBTX, run int) error {
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		// The batches first, as by everybody: who finishes one by hand at this moment waits for us, or we for them.
		if _, err := tx.Exec(ctx, `select from batches where run_id = $1 and not done order by id for update`, run); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, cancelSQL, run); err != nil {
			return err
		}
		return releaseCancelled(ctx, tx, run)
	})
	if err != nil {
		return fmt.Errorf("cancel run %d: %w", run, err)
	}
	return nil
}

const cancelSQL = `
with waiting as (
	select m.id
	from runs r join messages m on m.id between r.message_base + 1 and r.message_base + r.message_count
	where r.id = $1 and r.state = 'cancelled' and m.state = 'planned'
	order by m.id for update of m
), moved as (
	update messages m set state = 'skipped', reason = 'cancelled'
	from waiting w where m.id = w.id
	returning m.id
), released as (
	update occasions o set spent = false from moved m where o.message_id = m.id
), finished as (
	update batches b set done = true from runs r
	where b.run_id = $1 and r.id = $1 and r.state = 'cancelled' and b.worker is null and not b.done
)
insert into run_totals (run_id, state, reason, delta)
select $1, 'skipped', 'cancelled', count(*) from moved having count(*) > 0
union all
select $1, 'planned', '', -count(*) from moved having count(*) > 0`
