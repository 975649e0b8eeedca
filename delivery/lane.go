package delivery

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
)

// workLane sends a batch of a lane, and then further ones, one after the other, as long as there are any that are due. Where
// enough batches of the lane are worked here already, those who do go on with what there is.
func (e *Engine) workLane(ctx context.Context, job SendArgs) error {
	lane := job.Channel + " " + job.Lane
	if !e.lanes.enter(lane) {
		return nil
	}
	for {
		if err := e.sendBatch(ctx, job); err != nil {
			e.quitLane(lane)
			return err
		}
		if ctx.Err() != nil || e.ending() || e.rest(ctx, job) > 0 {
			e.quitLane(lane)
			return nil
		}
		next, err := e.nextOfLane(ctx, job)
		switch {
		case err != nil:
			e.quitLane(lane)
			return err
		case next > 0:
			job.Batch = next
		case !e.lanes.leave(lane):
			return nil
		}
	}
}

// quitLane leaves a lane, also when there is more to do: the sweep finds that.
func (e *Engine) quitLane(lane string) {
	for e.lanes.leave(lane) {
	}
}

func (e *Engine) ending() bool {
	select {
	case <-e.stopping:
		return true
	default:
		return false
	}
}

// nextOfLane is the batch of a lane that should be sent next; 0 when none is due.
func (e *Engine) nextOfLane(ctx context.Context, job SendArgs) (batch int64, err error) {
	err = e.Pool.QueryRow(ctx, `
		select b.id from batches b join runs r on r.id = b.run_id
		where b.channel = $1 and b.lane = $2 and b.lane <> '' and not b.done and b.worker is null and b.due_at <= $3 and r.state = 'sending'
		order by b.priority, b.due_at, b.id limit 1`, job.Channel, job.Lane, e.Now()).Scan(&batch)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look for the next batch to %s: %w", job.Lane, err)
	}
	return batch, nil
}

// lanesOf is whose places of the window a channel's lanes take.
func lanesOf(channel string) string { return channel + " lanes" }

// lanePlaces is how many places of the window are for messages that have waited for a throttle: what the throttles let go in
// about a third of a second.
func lanePlaces(throttles customer.Throttles) int {
	if len(throttles) == 0 {
		return 0
	}
	perSecond := 0.0
	for _, t := range throttles {
		perSecond += t.Rate.PerSecond()
	}
	return max(8, min((InDoubt-reserved)/2, int(perSecond/3)))
}

// places is whose places of the window the batch's messages take.
func (l *lease) places(way *line) string {
	if l.throttle != nil && !l.triggered {
		return lanesOf(l.channel)
	}
	return way.places
}

// laned is the channel whose messages planning puts into lanes.
const laned = "email"

// atOnce is how many messages may be in hand: of a lane, what its throttle lets go in a second.
func (f *flow) atOnce() int {
	if t := f.lease.throttle; t != nil && t.rate > 0 {
		return max(2, min(f.engine.window.lanes[lanesOf(f.lease.channel)], int(t.rate)))
	}
	return f.line.atOnce()
}

// claimSize is how many messages to claim: what gets through in about a second.
func (f *flow) claimSize() int {
	if t := f.lease.throttle; t != nil && t.rate > 0 {
		return max(1, min(f.line.claimSize(), int(t.rate)))
	}
	return f.line.claimSize()
}
