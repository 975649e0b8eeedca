package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// allowed takes back places of the window for which the account's warm-up has no messages left today.
func (f *flow) allowed(ctx context.Context, n int) (int, error) {
	for i := range n {
		ok, err := f.line.warm.take(ctx, f.queue[i].ID)
		if ok && err == nil {
			continue
		}
		granted := i
		if err != nil {
			granted = 0
			for _, m := range f.queue[:i] {
				f.line.warm.settle(m.ID, false)
			}
		}
		f.engine.window.free(f.places, max(n, len(f.pending))-max(granted, len(f.pending)))
		if granted == 0 && err == nil {
			f.drop(errUsedUp) // what was opened may go
		}
		return granted, err
	}
	return n, nil
}

// restToWarmUp lets the batch rest, and all others of the channel, when nothing is left of the day's amount of the first
// account. The second one's is no reason to wait until tomorrow: the first may be back before.
func (e *Engine) restToWarmUp(ctx context.Context, l *lease, way *line) (time.Duration, error) {
	until, why := way.warm.rest()
	if until.IsZero() {
		return 0, nil
	}
	if way != e.lines[l.channel] {
		return warmUpAgain, e.note(ctx, l.run, why)
	}
	return max(0, until.Sub(e.Now())), errors.Join(e.restUntil(ctx, l.channel, until, why), e.note(ctx, l.run, why))
}

// warmUpAgain is how soon it is looked again whether there is another way than by an account whose amount is used.
const warmUpAgain = time.Minute

// lookAtWarmUps lets processes share what is left of the day.
func (e *Engine) lookAtWarmUps(ctx context.Context) error {
	var failed error
	for l := range e.allLines() {
		failed = errors.Join(failed, l.warm.look(ctx, e.Lease.Heartbeat))
	}
	return failed
}

// restUntil lets the due batches of a channel that nobody holds rest until a moment of business time, and notes why on their runs.
func (e *Engine) restUntil(ctx context.Context, channel string, until time.Time, why string) error {
	_, err := e.Pool.Exec(ctx, `
		with rested as (
			update batches set due_at = $2
			where id in (select id from batches
			             where channel = $1 and not done and worker is null and due_at < $2 order by id for update skip locked)
			returning run_id
		)
		update runs set reason = $3
		where id in (select run_id from rested) and state = 'sending' and reason is distinct from $3`, channel, until, why)
	if err != nil {
		return fmt.Errorf("rest until tomorrow: %w", err)
	}
	return nil
}

// restWarm is how long a job should wait because the account's amount of today is used. What rests until tomorrow needs no job.
func (e *Engine) restWarm(ctx context.Context, job SendArgs, l *line) time.Duration {
	until, why := l.warm.rest()
	switch {
	case until.IsZero():
		return 0
	case l != e.lines[job.Channel]:
		e.noteRest(ctx, job, why)
		return warmUpAgain
	}
	if err := e.restUntil(ctx, job.Channel, until, why); err != nil {
		e.Log.Warn("warm-up", slog.Any("error", err))
	}
	return 0
}

// unpackWarmUps gives back what this process has reserved and not used.
func (e *Engine) unpackWarmUps(ctx context.Context) {
	for l := range e.allLines() {
		err := within(ctx, 2*time.Second, func(ctx context.Context) error { return l.warm.unpack(ctx, 0) })
		if err != nil {
			e.Log.Warn("warm-up", slog.Any("error", err))
		}
	}
}

// Rouse ends the rest of a run's batches: each is due when the first of its messages is. now is business time.
func Rouse(ctx context.Context, tx pgx.Tx, run int, now time.Time) error {
	_, err := tx.Exec(ctx, `
		update batches b set due_at = d.at
		from (select id, (select min(m.not_before) from messages m where m.id between r.lo and r.hi and m.state = 'planned') as at
		      from batches r where r.run_id = $1 and not r.done and r.worker is null and r.due_at > $2) d
		where b.id = d.id and b.due_at > d.at`, run, now)
	if err != nil {
		return fmt.Errorf("wake batches of run %d: %w", run, err)
	}
	return nil
}
