package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// sweepLoop looks for what nobody was woken for: at once, since nothing may have run for a while, and then about as often
// as the heart beats, not all processes at the same time.
func (e *Engine) sweepLoop(ctx context.Context) {
	every := e.Lease.Heartbeat
	for wait := time.Duration(0); ; wait = every + time.Duration(rand.Int64N(int64(every)/4+1)) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		err := within(ctx, time.Minute, e.sweep)
		if err != nil && ctx.Err() == nil {
			e.Log.Warn("sweep", slog.Any("error", err))
		}
	}
}

// sweep looks whether the database is still ours, takes over from dead workers, frees what this process has forgotten, settles what providers have reported on,
// wakes workers for batches that are due and that nobody holds, and mends the states of runs. Each step can be left out or done twice.
func (e *Engine) sweep(ctx context.Context) error {
	if err := e.lookHome(ctx); err != nil {
		return err
	}
	var bury error
	if e.node.mayBury() {
		bury = e.buryDead(ctx)
	}
	return errors.Join(bury, e.loseSeeds(ctx), e.freeForgotten(ctx), e.settleOpen(ctx), e.mendRuns(ctx), e.lookAtWarmUps(ctx), e.wakeDue(ctx))
}

// buryDead declares workers dead that fell silent.
func (e *Engine) buryDead(ctx context.Context) error {
	workers, messages, err := e.bury(ctx, `
		update workers set stopped_at = clock_timestamp()
		where id in (select id from workers
		             where stopped_at is null and heartbeat_at < clock_timestamp() - $1::interval
		             order by id for update skip locked)`, e.Lease.Silence)
	if err != nil {
		return fmt.Errorf("take over from dead workers: %w", err)
	}
	if workers+messages > 0 {
		e.Log.Warn("took over from dead workers", slog.Int("workers", workers), slog.Int("unknown", messages))
	}
	return nil
}

// signOff ends this process's registration and leaves what it still holds to others.
func (e *Engine) signOff(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	worker := e.node.life.Load().worker
	_, messages, err := e.bury(ctx, `update workers set stopped_at = clock_timestamp() where id = $1 and stopped_at is null`, worker)
	if err != nil {
		return fmt.Errorf("sign off worker %d: %w", worker, err)
	}
	if messages > 0 {
		e.Log.Warn("stopped without an answer to everything", slog.Int("unknown", messages))
	}
	return nil
}

// bury stops some workers, and then frees the batches of all workers that have stopped: of what they had claimed, those
// that they may have handed over become unknown, and the others are planned again.
// These are locked by a statement of their own: after it the next one sees every claim that was made under the old
// lease, and no other can follow. A worker that wakes up has long lost its permission to hand over.
func (e *Engine) bury(ctx context.Context, stop string, args ...any) (workers, messages int, err error) {
	err = pg.InTx(ctx, e.Pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, stop, args...)
		if err != nil {
			return err
		}
		workers = int(tag.RowsAffected())
		rows, _ := tx.Query(ctx, `
			select b.id from batches b join workers w on w.id = b.worker
			where not b.done and w.stopped_at is not null
			order by b.id for update of b`)
		batches, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil || len(batches) == 0 {
			return err
		}
		return tx.QueryRow(ctx, burySQL, batches, e.repeatable()).Scan(&messages)
	})
	return workers, messages, err
}

// repeatable are the channels of which a message may be handed over twice.
func (e *Engine) repeatable() []string {
	names := []string{}
	for name, a := range e.Accounts {
		if a.Repeatable {
			names = append(names, name)
		}
	}
	return names
}

const burySQL = `
with held as (
	select id, run_id, lo, hi, worker, epoch, handed_to from batches where id = any($1)
), claimed as (
	select m.id, h.run_id, m.channel <> all($2::text[]) and coalesce(m.id <= h.handed_to, false) as handed
	from held h join messages m on m.id between h.lo and h.hi and m.state = 'claimed' and m.worker = h.worker and m.epoch = h.epoch
	order by m.id for update of m
), lost as (
	update messages m
	set state = case when c.handed then 'unknown' else 'planned' end::message_state, attempts = m.attempts + c.handed::int
	from claimed c
	where m.id = c.id
	returning m.id, c.run_id, m.state, m.attempts, m.worker, m.epoch, m.claimed_at
), tried as (
	insert into attempts (message_id, number, worker, epoch, at, verdict, words)
	select id, attempts, worker, epoch, claimed_at, 'unknown', 'the process that held it stopped without saying' from lost where state = 'unknown'
), counted as (
	insert into run_totals (run_id, state, delta)
	select run_id, state::text, count(*) from lost group by run_id, state
	union all
	select run_id, 'claimed', -count(*) from lost group by run_id
), freed as (
	update batches b set worker = null, epoch = b.epoch + 1 from held h where b.id = h.id
)
select count(*) from lost where state = 'unknown'`

// freeForgotten gives back batches that the ledger says this process holds and that it knows nothing of: the answer to
// a statement was lost, or the batch could not be given back. What of it may have been handed over only the ledger knows.
func (e *Engine) freeForgotten(ctx context.Context) error {
	l := e.node.life.Load()
	rows, _ := e.Pool.Query(ctx, `select id, run_id, lo, hi, epoch, channel from batches where worker = $1 and not done`, l.worker)
	var list []*lease
	b := lease{}
	_, err := pgx.ForEachRow(rows, []any{&b.batch, &b.run, &b.lo, &b.hi, &b.epoch, &b.channel}, func() error {
		if !e.held.has(b.batch) {
			forgotten := b
			forgotten.life, forgotten.forgotten = l, !e.Accounts[b.channel].Repeatable
			list = append(list, &forgotten)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list batches held here: %w", err)
	}
	for _, l := range list {
		e.Log.Warn("free a forgotten batch", slog.Int64("batch", l.batch))
		if _, err := e.free(ctx, l, 0); err != nil {
			return err
		}
	}
	return nil
}

// mendRuns moves runs on where whoever should have done so died in between: runs without open batches are done, a done
// run with an open batch sends again, and a cancelled one is cancelled to the end.
func (e *Engine) mendRuns(ctx context.Context) error {
	_, err := e.Pool.Exec(ctx, `
		with moved as (
			update runs r set state = 'done', reason = null, finished_at = clock_timestamp()
			where r.state = 'sending' and not r.open and not exists (select from batches b where b.run_id = r.id and not b.done)
			returning id
		) `+recordMoved, pgx.NamedArgs{"action": "finish", "from": "sending", "to": "done"})
	if err != nil {
		return fmt.Errorf("finish runs: %w", err)
	}
	_, err = e.Pool.Exec(ctx, `
		with moved as (
			update runs r set state = 'sending', finished_at = null
			where r.state = 'done' and r.id in (select run_id from batches where not done)
			returning id
		) `+recordMoved, pgx.NamedArgs{"action": "reopen", "from": "done", "to": "sending"})
	if err != nil {
		return fmt.Errorf("reopen runs: %w", err)
	}
	rows, _ := e.Pool.Query(ctx, `select id from runs where state = 'cancelled' and id in (select run_id from batches where not done and worker is null)`)
	cancelled, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return fmt.Errorf("list cancelled runs: %w", err)
	}
	for _, run := range cancelled {
		if err := Cancel(ctx, e.Pool, run); err != nil {
			return err
		}
	}
	return nil
}

// wakeDue inserts jobs for batches that are due, free and without a job that River will start soon. A running job does
// not count: it may be that of a process that died. Those of this process wait for their turn.
func (e *Engine) wakeDue(ctx context.Context) error {
	rows, _ := e.Pool.Query(ctx, `
		select d.batch, d.channel, d.lane, d.due_at, d.triggered, d.priority
		from (
		select b.id as batch, b.channel, b.lane, b.due_at, b.triggered, b.priority,
		       row_number() over (partition by b.channel, b.lane order by b.due_at, b.id) as n
		from batches b join runs r on r.id = b.run_id
		where not b.done and b.worker is null and b.due_at <= $1 and r.state = 'sending'
		  and b.id not in (
			select (j.args ->> 'batch')::bigint from river_job j
			where j.kind = 'send_batch' and j.state in ('available', 'pending', 'retryable', 'scheduled')
			  and j.scheduled_at <= now() + $2::interval)
		  and b.id <> all($3::bigint[])
		  and (b.lane = '' or b.triggered or b.channel || ' ' || b.lane <> all($4::text[]))
		) d
		where d.lane = '' or d.triggered or d.n <= $5
		order by d.due_at limit 1000`, e.Now(), 3*e.Lease.Heartbeat, e.held.list(), e.lanes.full(), laneWorkers)
	due, err := pgx.CollectRows(rows, pgx.RowToStructByName[Wakeup])
	if err != nil {
		return fmt.Errorf("list due batches: %w", err)
	}
	return wake(ctx, e.client, due, e.Now())
}
