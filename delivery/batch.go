package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/channels"
)

// lease is this process's right to a batch: it lasts while the batch carries this worker and epoch.
type lease struct {
	batch   int64
	run     int
	version int
	lo, hi  int64 // what is left of the range: lo moves on with the claims
	epoch   int
	channel string
	tick    time.Time
}

// sendBatch takes the batch, sends what is due of it and gives it back. A batch that is taken, done, not due or of a
// run that does not send is left alone: the job was late or came twice.
func (e *Engine) sendBatch(ctx context.Context, batch int64) error {
	l, err := e.take(ctx, batch)
	if err != nil || l == nil {
		return err
	}
	e.gate.enter(l.run)
	defer e.gate.leave(l.run)
	pause, workErr := e.workBatch(ctx, l)
	// What was claimed and not handed over has been released; the lease itself must go back even when we are stopping.
	giveCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return errors.Join(workErr, e.giveBack(giveCtx, l, pause))
}

func (e *Engine) take(ctx context.Context, batch int64) (*lease, error) {
	l := &lease{batch: batch}
	err := e.Pool.QueryRow(ctx, `
		update batches b set worker = $2, epoch = b.epoch + 1
		from runs r
		where b.id = $1 and r.id = b.run_id and r.state = 'sending'
		  and not b.done and b.worker is null and b.due_at <= $3
		returning b.run_id, r.version_id, b.lo, b.hi, b.epoch, b.channel, r.tick`,
		batch, e.node.id, e.Now()).Scan(&l.run, &l.version, &l.lo, &l.hi, &l.epoch, &l.channel, &l.tick)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("take batch %d: %w", batch, err)
	}
	return l, nil
}

// workBatch claims and sends until nothing of the batch is due, or something stands in the way; pause is how long the
// batch should then rest.
func (e *Engine) workBatch(ctx context.Context, l *lease) (pause time.Duration, err error) {
	account, ok := e.Accounts[l.channel]
	if !ok {
		return 0, e.pauseRun(ctx, l, fmt.Sprintf("channel %s is not configured in sapa.yaml on %s", l.channel, hostname()))
	}
	content, err := e.Library.Content(ctx, l.version)
	if err != nil {
		return 0, e.pauseRun(ctx, l, fmt.Sprintf("the applied version can't be used any more: %v", err))
	}
	fill, err := newFiller(e, l, content)
	if err != nil {
		return 0, e.pauseRun(ctx, l, fmt.Sprintf("the applied version can't be used any more: %v", err))
	}
	s := &sender{engine: e, lease: l, account: account, pool: e.sessions[l.channel], limit: e.limits[l.channel]}
	defer s.putBack()
	for ctx.Err() == nil && e.gate.open(l.run) && e.node.permit() == nil {
		if err := s.connect(ctx); err != nil {
			return e.cantOpen(ctx, l, s, err)
		}
		claimed, err := e.claim(ctx, l, s.claimSize(), content.Topic)
		if err != nil || len(claimed) == 0 {
			return 0, err
		}
		ready, refused, err := fill.fill(ctx, claimed)
		if err != nil {
			return 0, e.companyTrouble(ctx, l, claimed, err)
		}
		if err := e.record(ctx, l, refused); err != nil {
			return 0, err
		}
		if err := s.handOver(ctx, ready); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// cantOpen decides what a provider that can't be reached means: wrong credentials or settings pause the run, since
// waiting will not mend them; anything else lets the batch rest until the breaker closes.
func (e *Engine) cantOpen(ctx context.Context, l *lease, s *sender, err error) (time.Duration, error) {
	if ctx.Err() != nil {
		return 0, nil
	}
	e.Log.Warn("provider", "channel", l.channel, "account", s.account.Channel.Account(), "error", err)
	if channels.VerdictOf(err) == channels.VerdictPermanent {
		return 0, e.pauseRun(ctx, l, err.Error())
	}
	return max(time.Second, s.pool.wait()), e.note(ctx, l.run, err.Error())
}

// companyTrouble releases a claim whose values could not be read, and pauses the run: an SQL error on the company's
// tables concerns everybody, and must fail nobody.
func (e *Engine) companyTrouble(ctx context.Context, l *lease, claimed []*message, cause error) error {
	free := context.WithoutCancel(ctx)
	if err := e.release(free, l, ids(claimed)); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	return e.pauseRun(free, l, fmt.Sprintf("the company's tables can't be read as when the campaign was applied: %v; mend it, then: sapa resume %d", cause, l.run))
}

// giveBack ends the lease. A batch with messages left becomes due again when the first of them is, or after pause; one
// without is done, and with the last of them its run.
func (e *Engine) giveBack(ctx context.Context, l *lease, pause time.Duration) error {
	var done bool
	var due time.Time
	err := e.Pool.QueryRow(ctx, `
		with left_over as (
			select min(m.not_before) as due, count(*) as n
			from messages m, batches b
			where b.id = $1 and m.id between b.lo and b.hi and m.state in ('planned', 'claimed')
		)
		update batches b
		set worker = null, done = o.n = 0, due_at = greatest(coalesce(o.due, b.due_at), $4::timestamptz)
		from left_over o
		where b.id = $1 and b.worker = $2 and b.epoch = $3
		returning b.done, b.due_at`,
		l.batch, e.node.id, l.epoch, e.Now().Add(pause)).Scan(&done, &due)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // somebody else has taken it over
	}
	if err != nil {
		return fmt.Errorf("give back batch %d: %w", l.batch, err)
	}
	if done {
		return finishRun(ctx, e.Pool, l.run)
	}
	if !e.gate.open(l.run) {
		return nil // resume makes new jobs
	}
	_, err = e.client.Insert(ctx, SendArgs{Batch: l.batch, Channel: l.channel}, wakeParams([]Wakeup{{l.batch, l.channel, due}}, false, e.Now())[0].InsertOpts)
	if err != nil {
		return fmt.Errorf("wake batch %d again: %w", l.batch, err)
	}
	return nil
}
