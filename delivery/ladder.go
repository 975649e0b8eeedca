package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// While a ladder goes on its first occasion is spent, also after the first message failed. So what skips or fails a message releases
// that message's own occasions only, and whoever ends a ladder those of its other rungs: the sweep that plans rungs (package
// campaign), or, of cancelled runs, whose ladders are all over, the code here.

// releaseCancelled frees all occasions of a cancelled run's ladders of which nothing is planned, claimed, sent, unknown or held out.
// Their messages are locked by a statement of its own: a provider may report on one that was taken for failed, and must find
// its occasion released, or we find it sent.
func releaseCancelled(ctx context.Context, tx pgx.Tx, run int) error {
	for _, sql := range []string{
		`select count(*) from (
			select m.id from over l
			join occasions o on (o.campaign_id, o.customer_key, o.occasion) = (l.campaign_id, l.customer_key, l.occasion)
			join messages m on m.id = o.message_id
			where m.run_id = $1 and m.state in ('failed', 'skipped')
			order by m.id for share of m) held`,
		`update occasions o set spent = false
		from over l, messages own
		where (o.campaign_id, o.customer_key, o.occasion) = (l.campaign_id, l.customer_key, l.occasion) and o.spent
		  and own.id = o.message_id and own.run_id = $1 and own.state in ('failed', 'skipped')
		  and not exists (
			select from occasions x join messages m on m.id = x.message_id
			where (x.campaign_id, x.customer_key, x.occasion) = (o.campaign_id, o.customer_key, o.occasion)
			  and m.state in ('planned', 'claimed', 'sent', 'unknown', 'held_out'))`,
	} {
		if _, err := tx.Exec(ctx, `
			with over as materialized (
				select distinct o.campaign_id, o.customer_key, o.occasion
				from runs r
				join messages m on m.id between r.message_base + 1 and r.message_base + r.message_count
				join occasions o on o.message_id = m.id
				where r.id = $1 and r.state = 'cancelled' and r.climb_after is not null and m.state in ('failed', 'skipped') and o.spent
			) `+sql, run); err != nil {
			return fmt.Errorf("release the occasions of ladders: %w", err)
		}
	}
	return nil
}

// restCancelled is how long a batch of a cancelled run rests between two looks whether its last messages have an outcome.
const restCancelled = time.Hour

// EndLadders releases the occasions of cancelled runs whose last messages came back, or were settled, after the run was cancelled:
// nothing is planned of their ladders any more. now is business time.
func EndLadders(ctx context.Context, db pg.DBTX, now time.Time) error {
	rows, _ := db.Query(ctx, `
		select distinct b.run_id from batches b join runs r on r.id = b.run_id
		where b.climb_at <= $1 and b.worker is null and r.state = 'cancelled'`, now)
	runs, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return fmt.Errorf("look for ladders of cancelled runs: %w", err)
	}
	for _, run := range runs {
		if err := endLadders(ctx, db, run, now); err != nil {
			return fmt.Errorf("end the ladders of run %d: %w", run, err)
		}
	}
	return nil
}

// endLadders is EndLadders for one run. When its batches are looked at next is noted before: what has an outcome by then is seen.
func endLadders(ctx context.Context, db pg.DBTX, run int, now time.Time) error {
	return pg.InTx(ctx, db, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `select from batches where run_id = $1 and (not done or climb_at <= $2) order by id for update`, run, now)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			update batches b set climb_at = case when exists (
				select from messages m where m.id between b.lo and b.hi and m.state in ('planned', 'claimed', 'unknown')) then $3::timestamptz else 'infinity' end
			where run_id = $1 and climb_at <= $2 and worker is null`, run, now, now.Add(restCancelled))
		if err != nil {
			return err
		}
		return Cancel(ctx, tx, run)
	})
}
