package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/internal/pg"
)

// lease is this process's right to a batch: it lasts while the batch carries this worker and epoch.
type lease struct {
	batch   int64
	run     int
	version int
	lo, hi  int64 // the batch's range
	next    int64 // where the next claim looks: what lies before it is done, or was claimed
	epoch   int
	channel string
	lane    string
	// throttle is that of the lane; nil where it has none.
	throttle *throttle
	// triggered messages go before others.
	triggered bool
	priority  int16 // of its jobs
	tick      time.Time
	asOf      time.Time
	life      *life
	// inHand are the messages that may have been handed over, and whose verdicts the ledger does not take. Where they are
	// forgotten, all up to the batch's handed_to may have been.
	inHand    []int64
	forgotten bool
}

// sendBatch takes the batch, sends what is due of it and gives it back. A batch that is taken, done, not due or of a
// run that does not send is left alone: the job was late or came twice.
func (e *Engine) sendBatch(ctx context.Context, job SendArgs) error {
	ctx, cancel := until(ctx, e.stopping)
	defer cancel()
	if !e.held.add(job.Batch) {
		return river.JobSnooze(time.Second) // an older lease of ours, which we have lost, still waits for an answer
	}
	defer e.held.remove(job.Batch)
	way, _, _ := e.way(job.Channel)
	if way == nil {
		way = e.lines[job.Channel] // its breaker says what to do
	}
	var t *turn
	if way != nil && !job.Triggered && e.throttles[job.Channel].lane(job.Lane) == nil {
		t = &turn{line: way}
		if !t.await(ctx) {
			return river.JobSnooze(0) // somebody else may have it
		}
		defer t.end()
	}
	l, err := e.take(ctx, job.Batch)
	if ctx.Err() != nil && l == nil {
		return nil // we were told to stop; signing off frees it, should it have been taken
	}
	if err != nil || l == nil {
		return err
	}
	e.gate.enter(l.run)
	defer e.gate.leave(l.run)
	pause, workErr := e.workBatch(ctx, l, way, t)
	if ctx.Err() != nil {
		workErr = nil // we were told to stop
	}
	return errors.Join(workErr, e.giveBack(ctx, l, pause))
}

func (e *Engine) take(ctx context.Context, batch int64) (*lease, error) {
	l := &lease{batch: batch, life: e.node.life.Load()}
	err := e.books.QueryRow(ctx, `
		update batches b set worker = $2, epoch = b.epoch + 1, handed_to = null
		from runs r
		where b.id = $1 and r.id = b.run_id and r.state = 'sending'
		  and not b.done and b.worker is null and b.due_at <= $3
		  and exists (select from workers w where w.id = $2 and w.stopped_at is null)
		  and exists (select from installation i, pg_control_system() c
		              where i.system_identifier = c.system_identifier::text and i.database_name = current_database())
		returning b.run_id, r.version_id, b.lo, b.hi, b.epoch, b.channel, b.lane, b.triggered, b.priority, r.tick, r.as_of`,
		batch, l.life.worker, e.Now()).Scan(&l.run, &l.version, &l.lo, &l.hi, &l.epoch, &l.channel, &l.lane, &l.triggered, &l.priority, &l.tick, &l.asOf)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("take batch %d: %w", batch, err)
	}
	l.next, l.throttle = l.lo, e.throttles[l.channel].lane(l.lane)
	return l, nil
}

// workBatch claims and sends until nothing of the batch is due, or something stands in the way; pause is how long the
// batch should then rest. A panic ends only this batch.
func (e *Engine) workBatch(ctx context.Context, l *lease, way *line, t *turn) (pause time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			e.Log.Error("panic", slog.Int64("batch", l.batch), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			pause, err = panicPause, fmt.Errorf("batch %d: panic: %v", l.batch, p)
		}
	}()
	if way == nil {
		return 0, e.pauseRun(ctx, l, "channel", fmt.Sprintf("channel %s is not configured in sapa.yaml on %s", l.channel, hostname()))
	}
	content, err := e.Library.Content(ctx, l.version)
	if pg.Fleeting(err) {
		return trouble, err
	}
	if err != nil {
		return e.misfit(ctx, l, err)
	}
	fill, err := newFiller(e, l, content)
	if err != nil {
		return e.misfit(ctx, l, err)
	}
	fill.account = way.account
	if err := way.join(ctx); err != nil {
		return e.cantOpen(ctx, l, way, err)
	}
	defer way.leave()
	f := &flow{
		engine: e, lease: l, line: way, fill: fill, places: l.places(way), turn: t,
		inHand: map[int64]*message{}, answers: make(chan answer, InDoubt),
	}
	f.most = f.atOnce()
	return f.run(ctx)
}

// How long a batch rests after a panic in its work, and after trouble with the database.
const (
	panicPause = time.Minute
	trouble    = 5 * time.Second
)

// misfit decides what a version means that does not fit what this process read when it started: sapa.yaml or the tables
// may have been changed since, and a process that started later can use it. The batch is left to others as long as there
// are any; with nobody else the run pauses.
func (e *Engine) misfit(ctx context.Context, l *lease, cause error) (time.Duration, error) {
	reason := fmt.Sprintf("the sapa process %s/pid %d can't use the applied version: %v\nif sapa.yaml or the tables were changed after it started, restart it, then: sapa resume %d",
		hostname(), os.Getpid(), cause, l.run)
	others, err := e.othersLive(ctx, l)
	switch {
	case err != nil:
		return trouble, err
	case others:
		e.Log.Warn("version does not fit; left to others", slog.Int("run", l.run), slog.Int64("batch", l.batch))
		return trouble, e.note(ctx, l.run, reason)
	}
	return 0, e.pauseRun(ctx, l, "version", reason)
}

// othersLive says whether another process sends, too.
func (e *Engine) othersLive(ctx context.Context, l *lease) (live bool, err error) {
	err = e.Pool.QueryRow(ctx, `
		select exists (select from workers where id <> $1 and stopped_at is null and heartbeat_at > clock_timestamp() - $2::interval)`,
		l.life.worker, e.node.lease.Silence).Scan(&live)
	if err != nil {
		return false, fmt.Errorf("look for other processes: %w", err)
	}
	return live, nil
}

// cantOpen decides what a provider that can't be reached means: wrong credentials or settings pause the run, since
// waiting will not mend them; anything else lets the batch rest until the breaker closes.
func (e *Engine) cantOpen(ctx context.Context, l *lease, way *line, err error) (time.Duration, error) {
	if ctx.Err() != nil || errors.Is(err, errPaused) { // we were told to stop
		return 0, nil
	}
	e.Log.Warn("provider", slog.String("channel", l.channel), slog.String("account", way.account.Channel.Account()), slog.Any("error", err))
	other := e.other(way)
	if channels.VerdictOf(err) == channels.VerdictPermanent && (other == nil || other.pool.standing().refused) {
		return 0, e.pauseRun(ctx, l, "provider", err.Error())
	}
	if next, wait, _ := e.way(l.channel); next == nil || next == way {
		return max(time.Second, wait), e.note(ctx, l.run, err.Error())
	}
	return 0, nil // there is another way
}

// companyTrouble releases a claim whose values could not be read. An SQL error on the company's tables concerns
// everybody and must fail nobody: the run pauses. A database that is away, or that did not answer in time, is waited for.
func (e *Engine) companyTrouble(ctx context.Context, l *lease, claimed []*message, cause error) (time.Duration, error) {
	if err := e.release(ctx, l, ids(claimed)); err != nil || ctx.Err() != nil {
		return 0, err
	}
	if pg.Fleeting(cause) {
		return trouble, errors.Join(cause, e.note(ctx, l.run, fmt.Sprintf("the company's tables could not be read: %v", cause)))
	}
	return 0, e.pauseRun(ctx, l, "company tables", fmt.Sprintf("the company's tables can't be read as when the campaign was applied: %v; mend it, then: sapa resume %d", cause, l.run))
}

// giveBack ends the lease, however long the database takes. A batch with messages left becomes due again when the first
// of them is, or after pause; one without is done, and with the last of them its run.
func (e *Engine) giveBack(ctx context.Context, l *lease, pause time.Duration) error {
	return e.persist(ctx, func(ctx context.Context) error {
		after, err := e.free(ctx, l, pause)
		if err != nil || after == nil {
			return err
		}
		switch {
		case after.run == "cancelled" && !after.done:
			return Cancel(ctx, e.Pool, l.run)
		case after.done:
			e.guard.owe(l.run) // a short run may be over before its numbers were looked at
			return Finish(ctx, e.Pool, l.run)
		case after.run != "sending":
			return nil // resume makes new jobs
		case !after.due.Before(byHand()):
			return nil // all that is left waits for people
		}
		return wake(ctx, e.client, []Wakeup{{l.batch, l.channel, l.lane, after.due, l.triggered, l.priority}}, e.Now())
	})
}

// freed is a batch that was given back.
type freed struct {
	done bool
	due  time.Time
	run  string // its run's state
}

// free gives the batch back. Nothing of it may stay claimed: what a session had and what no verdict was recorded for is
// unknown, and what no session had, because the answer to the claim was lost, is planned. It is nil when the lease was
// over. The batch is locked by a statement of its own, so that the next one sees what whoever held that lock has done.
func (e *Engine) free(ctx context.Context, l *lease, pause time.Duration) (*freed, error) {
	var b pgx.Batch
	b.Queue(`select from batches where id = $1 for update`, l.batch)
	b.Queue(freeSQL, pgx.NamedArgs{
		"batch": l.batch, "worker": l.life.worker, "epoch": l.epoch, "run": l.run, "lo": l.lo, "hi": l.hi,
		"in_hand": l.inHand, "forgotten": l.forgotten, "earliest": e.Now().Add(pause),
	})
	f, err := readFreed(e.books.SendBatch(ctx, &b))
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("give back batch %d: %w", l.batch, err)
	}
	return f, nil
}

func readFreed(results pgx.BatchResults) (*freed, error) {
	defer results.Close() //nolint:errcheck // it repeats the error, and after the last row there is none
	if _, err := results.Exec(); err != nil {
		return nil, err
	}
	f := &freed{}
	if err := results.QueryRow().Scan(&f.done, &f.due, &f.run); err != nil {
		return nil, err
	}
	return f, results.Close() // its commit
}

const freeSQL = `
with left_over as (
	select m.id, coalesce(m.id = any(@in_hand::bigint[]), false) or @forgotten::boolean and coalesce(m.id <= b.handed_to, false) as handed
	from batches b, messages m
	where b.id = @batch and m.id between @lo and @hi and m.state = 'claimed' and m.worker = @worker and m.epoch = @epoch
	order by m.id for update of m
), dropped as (
	update messages m
	set state = case when o.handed then 'unknown' else 'planned' end::message_state, attempts = m.attempts + o.handed::int
	from left_over o
	where m.id = o.id and m.id between @lo and @hi
	returning m.id, m.state, m.attempts, m.not_before, m.claimed_at
), tried as (
	insert into attempts (message_id, number, worker, epoch, at, verdict, words)
	select id, attempts, @worker, @epoch, claimed_at, 'unknown', 'its verdict could not be recorded' from dropped where state = 'unknown'
), counted as (
	insert into run_totals (run_id, state, delta)
	select @run::int, state::text, count(*) from dropped group by state
	union all
	select @run::int, 'claimed', -count(*) from dropped having count(*) > 0
), remaining as (
	select min(not_before) as due, count(*) as n
	from (select not_before from messages where id between @lo and @hi and state = 'planned'
	      union all
	      select not_before from dropped where state = 'planned') planned
)
update batches b
set worker = null, done = r.n = 0, due_at = greatest(coalesce(r.due, b.due_at), @earliest::timestamptz),
    climb_at = case when b.climb_at is not null then '-infinity'::timestamptz end -- a next rung may be due
from remaining r
where b.id = @batch and b.worker = @worker and b.epoch = @epoch
returning b.done, b.due_at, (select state::text from runs where id = b.run_id)`
