package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/internal/pg"
)

// pauseRun stops a run for everybody, with the reason that people will read. Its claims have been released before. The
// audit log, which is never erased from, has only what kind of reason it is: the words may quote an address.
func (e *Engine) pauseRun(ctx context.Context, l *lease, because, reason string) error {
	e.Log.Warn("run paused", slog.Int("run", l.run), slog.Int64("batch", l.batch))
	e.gate.set(l.run, true)
	return pg.InTx(ctx, e.Pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `update runs set state = 'paused', reason = $2 where id = $1 and state = 'sending'`, l.run, reason)
		if err != nil {
			return fmt.Errorf("pause run %d: %w", l.run, err)
		}
		if tag.RowsAffected() == 0 {
			return nil
		}
		return access.Record(ctx, tx, access.Entry{
			Actor: "sapa", Action: "pause", Subject: fmt.Sprintf("run %d", l.run), Detail: map[string]any{"because": because},
		})
	})
}

// note tells people why a run that sends does not move.
func (e *Engine) note(ctx context.Context, run int, reason string) error {
	_, err := e.Pool.Exec(ctx, `update runs set reason = $2 where id = $1 and state = 'sending' and reason is distinct from $2`, run, reason)
	if err != nil {
		return fmt.Errorf("note on run %d: %w", run, err)
	}
	return nil
}

// noteBatch is note for the run of a batch.
func (e *Engine) noteBatch(ctx context.Context, batch int64, reason string) error {
	_, err := e.Pool.Exec(ctx, `
		update runs r set reason = $2 from batches b
		where b.id = $1 and not b.done and r.id = b.run_id and r.state = 'sending' and r.reason is distinct from $2`, batch, reason)
	if err != nil {
		return fmt.Errorf("note on the run of batch %d: %w", batch, err)
	}
	return nil
}

func (e *Engine) clearNote(ctx context.Context, run int) error {
	_, err := e.Pool.Exec(ctx, `update runs set reason = null where id = $1 and state = 'sending' and reason is not null`, run)
	if err != nil {
		return fmt.Errorf("note on run %d: %w", run, err)
	}
	return nil
}

// Finish ends a run whose last batch is done. Every worker asks after its own commit, so the last one sees all.
func Finish(ctx context.Context, db pg.DBTX, run int) error {
	_, err := db.Exec(ctx, `
		with moved as (
			update runs set state = 'done', reason = null, finished_at = clock_timestamp()
			where id = @run and state = 'sending' and not open and not exists (select from batches where run_id = @run and not done)
			returning id
		) `+recordMoved, pgx.NamedArgs{"run": run, "action": "finish", "from": "sending", "to": "done"})
	if err != nil {
		return fmt.Errorf("finish run %d: %w", run, err)
	}
	return nil
}

// recordMoved writes runs that Sapa itself moved into the audit log, as access.Record does, within the statement that moves
// them: every worker asks for it after every batch, and mostly nothing moves.
const recordMoved = `
	insert into audit_log (actor, action, subject, detail)
	select 'sapa', @action::text, 'run ' || id, jsonb_build_object('from', @from::text, 'to', @to::text) from moved`

// Cancel skips everything of a run that is still planned. The run must be cancelled already, or be so with the same
// transaction, so that nothing is claimed any more. What a worker holds at this moment comes back to the plan or is
// recorded, and whoever frees the last batch cancels again. It may be called any number of times.
func Cancel(ctx context.Context, db pg.DBTX, run int) error {
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		// The batches first, as by everybody: who finishes one by hand at this moment waits for us, or we for them.
		if _, err := tx.Exec(ctx, `select from batches where run_id = $1 and not done order by id for update`, run); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, cancelSQL, run)
		return err
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

// Retry plans failed and skipped messages of a run again, unless a later run has taken their occasions over or they
// have no usable address; it returns how many. Everything that can skip a message is asked again by the claim and after
// it, but for the cooldown, the budget and whether another channel reaches, which only planning knows. The caller holds the campaign's lock. now is business time.
func Retry(ctx context.Context, tx pgx.Tx, run int, addressless []string, now time.Time) (int, error) {
	var n int
	err := tx.QueryRow(ctx, retrySQL, pgx.NamedArgs{"run": run, "now": now, "size": BatchSize, "addressless": addressless}).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("retry run %d: %w", run, err)
	}
	return n, nil
}

// Messages that planning skipped have no batch yet.
const retrySQL = `
with again as (
	select m.id, m.state, coalesce(m.reason, '') as reason
	from runs r join messages m on m.id between r.message_base + 1 and r.message_base + r.message_count
	where r.id = @run and m.state in ('failed', 'skipped') and (m.address_id is not null or m.channel = any(@addressless::text[]))
	  and m.reason not in ('gone', 'cancelled', 'cooldown', 'erased', 'no channel', 'budget') and m.reason not like 'bad address%'
	  and (m.not_after is null or m.not_after > @now)
	  and exists (select from occasions o where o.message_id = m.id)
	  and not exists (select from occasions o where o.message_id = m.id and o.spent)
	  and not exists ( -- of a ladder only the last rung, and when no other is spent
	      select from occasions o join occasions l on (l.campaign_id, l.customer_key, l.occasion) = (o.campaign_id, o.customer_key, o.occasion) and l.step <> o.step
	      where o.message_id = m.id and (l.spent or l.step > o.step and l.message_id between r.message_base + 1 and r.message_base + r.message_count))
	order by m.id for update of m
), moved as (
	update messages m set state = 'planned', reason = null, not_before = least(m.not_before, @now)
	from again a where m.id = a.id
	returning m.id, m.channel, m.customer_key, a.state, a.reason
), spent as (
	update occasions o set spent = true
	from moved m join occasions own on own.message_id = m.id
	where (o.campaign_id, o.customer_key, o.occasion) = (own.campaign_id, own.customer_key, own.occasion) and o.step <= own.step
), noted as ( -- planning did not note what it skipped
	insert into contacts (customer, message_id)
	select hashtextextended(m.customer_key, 0), m.id from moved m where exists (select from contact_runs where run_id = @run)
	on conflict do nothing
), reopened as (
	update batches b set done = false, due_at = least(b.due_at, @now)
	where b.run_id = @run and exists (select from moved m where m.id between b.lo and b.hi)
), added as (
	insert into batches (run_id, lo, hi, due_at, channel, climb_at, priority, triggered)
	select @run::int, min(id), max(id), @now::timestamptz, channel, @now::timestamptz + (select climb_after from runs where id = @run), coalesce((select min(priority) from batches where run_id = @run), 3),
	       exists (select from batches where run_id = @run and triggered)
	from (select id, channel, gap, island, (row_number() over (partition by channel, gap, island order by id) - 1) / @size::int as chunk
	      from (select id, channel, gap, row_number() over (order by id) - row_number() over (partition by channel, gap order by id) as island
	            from (select m.id, m.channel, (select count(*) from batches b where b.run_id = @run and b.hi < m.id) as gap
	                  from moved m
	                  where not exists (select from batches b where b.run_id = @run and m.id between b.lo and b.hi)) homeless) x) y
	group by channel, gap, island, chunk order by min(id) -- ranges never overlap: no other batch, and no other channel, lies within one
), counted as (
	insert into run_totals (run_id, state, reason, delta)
	select @run::int, state::text, reason, -count(*) from moved group by state, reason
	union all
	select @run::int, 'planned', '', count(*) from moved having count(*) > 0
)
select count(*) from moved`

// Wakeups lists the batches of a run that nobody holds and that are not done; of those of a lane that are due at the same
// time only the first, since who works a lane goes on with the next.
func Wakeups(ctx context.Context, db pg.DBTX, run int) ([]Wakeup, error) {
	rows, _ := db.Query(ctx, `
		select id as batch, channel, lane, due_at, triggered, priority
		from (select b.*, row_number() over (partition by lane, due_at order by id) as n from batches b where run_id = $1 and not done and worker is null) b
		where lane = '' or triggered or n <= $2
		order by id`, run, laneWorkers)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Wakeup])
	if err != nil {
		return nil, fmt.Errorf("list batches of run %d: %w", run, err)
	}
	return list, nil
}
