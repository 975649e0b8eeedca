package delivery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// sweepEvery is how often each process looks for work that nobody was woken for.
const sweepEvery = 5 * time.Second

func (e *Engine) sweepLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepEvery + time.Duration(rand.Int64N(int64(time.Second)))):
			if err := e.sweep(ctx); err != nil && ctx.Err() == nil {
				e.Log.Warn("sweep", "error", err)
			}
		}
	}
}

// sweep takes over from dead workers, wakes workers for batches that are due and held by nobody, and finishes runs
// that have nothing left.
func (e *Engine) sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := e.buryDead(ctx); err != nil {
		return err
	}
	rows, _ := e.Pool.Query(ctx, `
		select b.id as batch, b.channel, b.due_at
		from batches b join runs r on r.id = b.run_id
		where not b.done and b.worker is null and b.due_at <= $1 and r.state = 'sending'
		order by b.due_at limit 1000`, e.Now())
	due, err := pgx.CollectRows(rows, pgx.RowToStructByName[Wakeup])
	if err != nil {
		return fmt.Errorf("list due batches: %w", err)
	}
	if err := wakeAgain(ctx, e.client, due, e.Now()); err != nil {
		return err
	}
	return e.finishRuns(ctx)
}

func (e *Engine) finishRuns(ctx context.Context) error {
	_, err := e.Pool.Exec(ctx, `
		update runs r set state = 'done', reason = null, finished_at = clock_timestamp()
		where r.state = 'sending' and not exists (select from batches b where b.run_id = r.id and not b.done)`)
	if err != nil {
		return fmt.Errorf("finish runs: %w", err)
	}
	return nil
}

// buryDead makes the claims of workers that fell silent unknown and frees their batches. The epoch of a batch grows
// when it is taken again, and a worker that wakes up has long lost its permission to hand over.
func (e *Engine) buryDead(ctx context.Context) error {
	var workers, messages int
	err := e.Pool.QueryRow(ctx, burySQL, silence).Scan(&workers, &messages)
	if err != nil {
		return fmt.Errorf("take over from dead workers: %w", err)
	}
	if workers > 0 {
		e.Log.Warn("took over from dead workers", "workers", workers, "unknown", messages)
	}
	return nil
}

const burySQL = `
with dead as (
	update workers set stopped_at = clock_timestamp()
	where id in (select id from workers where stopped_at is null and heartbeat_at < clock_timestamp() - $1::interval for update skip locked)
	returning id
), held as (
	select b.id, b.run_id, b.lo, b.hi, b.worker, b.epoch from batches b join dead d on d.id = b.worker
	for update of b
), lost as (
	update messages m set state = 'unknown', attempts = m.attempts + 1
	from held h
	where m.id between h.lo and h.hi and m.state = 'claimed' and m.worker = h.worker and m.epoch = h.epoch
	returning m.id, h.run_id, m.attempts, m.worker, m.epoch, m.claimed_at
), tried as (
	insert into attempts (message_id, number, worker, epoch, at, verdict, words)
	select id, attempts, worker, epoch, claimed_at, 'unknown', 'the process that held it died' from lost
), counted as (
	insert into run_totals (run_id, state, delta)
	select l.run_id, s.state, sum(s.sign) from lost l, (values ('unknown', 1), ('claimed', -1)) s(state, sign) group by l.run_id, s.state
), freed as (
	update batches b set worker = null, epoch = b.epoch + 1 from held h where b.id = h.id
)
select (select count(*) from dead), (select count(*) from lost)`
