package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
)

// The messages of a triggered campaign belong to one run for each version and business day, to which events add messages at
// its end (docs/adr/0009-events-share-a-run-a-day.md). While its day lasts the run is open: it is sending, also when nothing
// is left to send.

// dayRun makes the run of the event's day where holdDay has found none. Who makes it holds the campaign.
func (p *Planner) dayRun(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign) error {
	if r.ID != 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, `select from campaigns where id = $1 for no key update`, r.CampaignID); err != nil {
		return fmt.Errorf("lock the campaign: %w", err)
	}
	var made bool
	err := tx.QueryRow(ctx, `select exists (select from runs where `+ofDay+`)`, r.CampaignID, r.VersionID, r.Tick).Scan(&made)
	switch {
	case err != nil:
		return fmt.Errorf("look for the run of the day: %w", err)
	case made: // by whoever held the campaign before: its run must be locked before the campaign
		return errMoved
	}
	return p.makeDay(ctx, tx, r, c)
}

const ofDay = `campaign_id = $1 and version_id = $2 and tick = $3 and event is not null and state <> 'cancelled'`

// holdDay finds and holds the run of the event's day, where there is one.
func (p *Planner) holdDay(ctx context.Context, tx pgx.Tx, r *Run) error {
	err := tx.QueryRow(ctx, `
		select id, state::text, message_base + message_count from runs where `+ofDay+` order by id desc limit 1 for no key update`,
		r.CampaignID, r.VersionID, r.Tick).Scan(&r.ID, &r.State, &r.messageBase)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("look for the run of the day: %w", err)
	}
	return nil
}

// makeDay makes a run that has no messages yet.
func (p *Planner) makeDay(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign) error {
	if err := mayRun(ctx, tx, r); err != nil {
		return err
	}
	var given any
	if r.given != nil {
		b, err := json.Marshal(r.given)
		if err != nil {
			return fmt.Errorf("keep what the run is given: %w", err)
		}
		given = string(b)
	}
	open := !r.Tick.Before(date(p.Now().In(p.zone())))
	err := tx.QueryRow(ctx, `
		insert into runs (campaign_id, version_id, tick, as_of, actor, event, open, state, given, planned_at, message_count)
		values ($1, $2, $3, $4, 'event', $5, $6, 'sending', $7::jsonb, clock_timestamp(), 0) returning id`,
		r.CampaignID, r.VersionID, r.Tick, r.AsOf, c.Event(), open, given).Scan(&r.ID)
	if err != nil {
		return fmt.Errorf("make the run of the day: %w", err)
	}
	err = tx.QueryRow(ctx, `
		update runs set message_base = ($2::bigint << 44) | ((id & 65535)::bigint << 28) where id = $1 returning message_base`,
		r.ID, r.month).Scan(&r.messageBase)
	if err != nil {
		return fmt.Errorf("make the run of the day: %w", err)
	}
	r.State = "sending"
	return recordRun(ctx, tx, r, "event")
}

// giveDay is giveRun for the run of the event's day, which is made where there is none yet: what a rule needs of all customers
// is found out once a day.
func (p *Planner) giveDay(ctx context.Context, r *Run, c *Campaign) error {
	var kept []byte
	err := p.Pool.QueryRow(ctx, `select given from runs where `+ofDay+` order by id desc limit 1`, r.CampaignID, r.VersionID, r.Tick).Scan(&kept)
	if err == nil {
		return r.take(kept)
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("look for the run of the day: %w", err)
	}
	if err := c.give(ctx, p.Pool, r); err != nil {
		return err
	}
	err = pg.InTx(ctx, p.Pool, func(tx pgx.Tx) error { return p.dayRun(ctx, tx, r, c) })
	if errors.Is(err, errMoved) { // somebody else has made it meanwhile
		return p.giveDay(ctx, r, c)
	}
	return err
}

// extend takes the messages that were written behind those of the run into it, and wakes workers for them.
func (p *Planner) extend(ctx context.Context, tx pgx.Tx, r *Run, plan *Plan) error {
	reason := ""
	if plan.Hold != "" && r.State != "paused" {
		reason = held(plan.Hold, r.ID)
	}
	var open bool
	err := tx.QueryRow(ctx, `
		update runs set message_count = message_count + $2, planned_at = clock_timestamp(), finished_at = null,
			state = case when $3 <> '' then 'paused' when state = 'done' then 'sending' else state::text end::run_state,
			reason = case when $3 <> '' then $3 else reason end
		where id = $1 returning state::text, open`, r.ID, plan.messages(), reason).Scan(&r.State, &open)
	if err != nil {
		return fmt.Errorf("extend run %d: %w", r.ID, err)
	}
	if reason != "" {
		err := access.Record(ctx, tx, access.Entry{Actor: "sapa", Action: "hold", Subject: fmt.Sprintf("run %d", r.ID), Detail: map[string]any{"reason": plan.Hold}})
		if err != nil {
			return err
		}
	}
	if err := delivery.CountAdded(ctx, tx, r.ID, r.messageBase+1, r.messageBase+int64(plan.messages())); err != nil {
		return err
	}
	if r.State == "sending" {
		batches, err := delivery.WakeupsFrom(ctx, tx, r.ID, r.messageBase)
		if err != nil {
			return err
		}
		if err := p.Queue.WakeTx(ctx, tx, batches); err != nil {
			return err
		}
	}
	if open {
		return nil
	}
	return delivery.Finish(ctx, tx, r.ID) // nothing may be left to send of a day that is over
}

// holdEvents says whether an event's message is the one that passes max_audience: its run then waits for a person.
func (p *Planner) holdEvents(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign, planned int) (hold string, err error) {
	most := int(c.limits().MaxAudience)
	if most == 0 || r.ID == 0 || planned == 0 {
		return "", nil
	}
	var before int
	if err := tx.QueryRow(ctx, `select message_count from runs where id = $1`, r.ID).Scan(&before); err != nil {
		return "", fmt.Errorf("count the messages of run %d: %w", r.ID, err)
	}
	if before <= most && before+planned > most {
		hold = fmt.Sprintf("the day's events make more messages than max_audience, %s", thousands(most))
	}
	return hold, nil
}

// closeDays ends the runs of days that are over, when all of their messages have gone.
func (p *Planner) closeDays(ctx context.Context) {
	rows, _ := p.Pool.Query(ctx, `update runs set open = false where open and tick < $1 returning id`, date(p.Now().In(p.zone())))
	over, err := pgx.CollectRows(rows, pgx.RowTo[int])
	for _, run := range over {
		if err == nil {
			err = delivery.Finish(ctx, p.Pool, run)
		}
	}
	if err != nil && ctx.Err() == nil {
		p.Log.Error("close the day's runs", slog.Any("error", err))
	}
}

// closeEvery is how often runs of days that are over are looked for.
const closeEvery = 5 * time.Second
