package delivery

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/internal/pg"
)

// pauseRun stops a run for everybody, with the reason that people will read. Its claims have been released before. The
// audit log, which is never erased from, has only what kind of reason it is: the words may quote an address.
func (e *Engine) pauseRun(ctx context.Context, l *lease, because, reason string) error {
	e.Log.Warn("run paused", slog.Int("run", l.run), slog.Int64("batch", l.batch))
	e.gate.set(l.run, true)
	return PauseForCause(ctx, e.Pool, l.run, because, reason)
}

// PauseForCause pauses a run that sends, as Sapa itself does it: reason is what people read, because what kind of reason it is.
func PauseForCause(ctx context.Context, db pg.DBTX, run int, because, reason string) error {
	return pg.InTx(ctx, db, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `update runs set state = 'paused', reason = $2 where id = $1 and state = 'sending'`, run, reason)
		if err != nil {
			return fmt.Errorf("pause run %d: %w", run, err)
		}
		if tag.RowsAffected() == 0 {
			return nil
		}
		return access.Record(ctx, tx, access.Entry{
			Actor: "sapa", Action: "pause", Subject: fmt.Sprintf("run %d", run), Detail: map[string]any{"because": because},
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
