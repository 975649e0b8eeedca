package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// settleMost is how many messages one transaction settles at most.
const settleMost = 1000

// Settle makes messages sent that the provider has reported on: a report proves that it accepted them, whatever we
// believed. One that is claimed at this moment is left to the worker that has it; its report stays open, and the sweep
// looks again. It may be called any number of times and beside anything else. It returns how many messages became sent.
//
// Besides unknown messages these are some that we took for not handed over: planned for another attempt, given up, or
// refused or skipped at a later attempt than the one that the provider accepted. Were they left so, a retry would send
// them twice.
func Settle(ctx context.Context, db pg.DBTX, messages []int64) (int, error) {
	ids := slices.Compact(slices.Sorted(slices.Values(messages)))
	n := 0
	for chunk := range slices.Chunk(ids, settleMost) {
		moved, err := settle(ctx, db, chunk)
		if err != nil {
			return n, fmt.Errorf("settle %d messages: %w", len(chunk), err)
		}
		n += len(moved)
		if err := closeBatches(ctx, db, moved); err != nil {
			return n, err
		}
	}
	return n, nil
}

// settledMessage is a message that became sent.
type settledMessage struct {
	ID  int64
	Run int
	Was string
}

// settle locks the messages by a statement of its own, so that the next one sees what whoever held those locks has done.
func settle(ctx context.Context, db pg.DBTX, ids []int64) (moved []settledMessage, err error) {
	err = pg.InTx(ctx, db, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `
			select id from messages where id = any($1) and state not in ('claimed', 'sent', 'held_out') order by id for update`, ids)
		held, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		if len(held) > 0 {
			rows, _ = tx.Query(ctx, settleSQL, held)
			if moved, err = pgx.CollectRows(rows, pgx.RowToStructByPos[settledMessage]); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, closeReportsSQL, ids)
		return err
	})
	return moved, err
}

// The attempt that was left without an answer is the one that the provider took. Where every attempt had an answer, or
// was taken back, one is added.
const settleSQL = `
with proof as (
	select distinct on (message_id) message_id, provider_id, code, at
	from delivery_reports where message_id = any($1) order by message_id, at, status, provider_id
), held as (
	select m.id, m.run_id, m.state as was, coalesce(m.reason, '') as reason, p.provider_id, p.code, p.at
	from messages m join proof p on p.message_id = m.id
	where m.id = any($1)
), moved as (
	update messages m set state = 'sent', reason = null, attempts = m.attempts + (h.was <> 'unknown')::int
	from held h
	where m.id = h.id
	returning m.id, m.run_id, m.attempts, m.worker, m.epoch, h.was, h.reason, h.provider_id, h.code, h.at
), amended as (
	update attempts a
	set verdict = 'accepted', provider_id = m.provider_id, code = m.code, words = 'the provider reported on it',
	    handed_over = coalesce(a.handed_over, a.at)
	from moved m
	where m.was = 'unknown' and a.message_id = m.id and a.number = m.attempts
	returning m.run_id, a.segments
), added as (
	insert into attempts (message_id, number, worker, epoch, at, handed_over, code, verdict, provider_id, words)
	select id, attempts, coalesce(worker, 0), coalesce(epoch, 0), at, at, code, 'accepted', provider_id, 'the provider reported on it'
	from moved where was <> 'unknown'
), spent as (
	update occasions o set spent = true -- those of the rungs before, too
	from moved m join occasions own on own.message_id = m.id
	where (o.campaign_id, o.customer_key, o.occasion) = (own.campaign_id, own.customer_key, own.occasion) and o.step <= own.step and not o.spent
), charged as (
	insert into run_costs (run_id, segments) select run_id, sum(segments) from amended where segments > 0 group by run_id
), counted as (
	insert into run_totals (run_id, state, reason, delta)
	select run_id, 'sent', '', count(*) from moved group by run_id
	union all
	select run_id, was::text, reason, -count(*) from moved group by run_id, was, reason
)
select id, run_id, was::text from moved order by id`

// A report is closed when its message shows it, or is not there any more.
const closeReportsSQL = `
update delivery_reports d set open = false
from (select message_id, provider_id, status from delivery_reports r
      where message_id = any($1) and open
        and not exists (select from messages m where m.id = r.message_id and m.state not in ('sent', 'held_out'))
      order by message_id, provider_id, status for update) o
where (d.message_id, d.provider_id, d.status) = (o.message_id, o.provider_id, o.status)`

// closeBatches ends batches in which settling left nothing to send, and with the last of them their run. Otherwise they
// would be open until the message's next attempt was due. The batches are locked first, so that nobody plans a message
// of theirs meanwhile.
func closeBatches(ctx context.Context, db pg.DBTX, moved []settledMessage) error {
	var planned []int64
	var runs []int
	for _, m := range moved {
		if m.Was == "planned" {
			planned, runs = append(planned, m.ID), append(runs, m.Run)
		}
	}
	if len(planned) == 0 {
		return nil
	}
	slices.Sort(runs)
	runs = slices.Compact(runs)
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `
			select id from batches b
			where b.run_id = any($1) and not done and worker is null and exists (select from unnest($2::bigint[]) m(id) where m.id between b.lo and b.hi)
			order by id for update`, runs, planned)
		batches, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil || len(batches) == 0 {
			return err
		}
		_, err = tx.Exec(ctx, `
			update batches b set done = true, climb_at = case when b.climb_at is not null then '-infinity'::timestamptz end
			where id = any($1) and not exists (
				select from messages m where m.id between b.lo and b.hi and m.state in ('planned', 'claimed'))`, batches)
		return err
	})
	if err != nil {
		return fmt.Errorf("close batches of settled messages: %w", err)
	}
	for _, run := range runs {
		if err := Finish(ctx, db, run); err != nil {
			return err
		}
	}
	return nil
}

// settleOpen settles messages whose reports came while they were claimed, and closes reports that are shown by now.
func (e *Engine) settleOpen(ctx context.Context) error {
	for last := int64(-1); ; {
		rows, _ := e.Pool.Query(ctx, `
			select distinct message_id from delivery_reports where open and message_id > $1 order by message_id limit $2`, last, settleMost)
		open, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return fmt.Errorf("list open reports: %w", err)
		}
		if len(open) == 0 {
			return nil
		}
		last = open[len(open)-1]
		n, err := Settle(ctx, e.Pool, open)
		if err != nil {
			return err
		}
		if n > 0 {
			e.Log.Info("settled by the provider's reports", slog.Int("messages", n))
		}
	}
}
