package campaign

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/segment"
)

// What an event came to with a campaign, in triggers.outcome.
const (
	outcomePlanned    = "planned"
	outcomeSkipped    = "skipped" // a colon and the reason follow
	outcomeAlready    = "already"
	outcomeNotMeant   = notMeant
	outcomeErased     = "erased"
	outcomeQuarantine = "quarantine"
	outcomeRemoved    = "removed"
)

// handling is one event's turn with one campaign.
type handling struct {
	event       int64
	campaignID  int
	campaign    string
	name        string // of the event
	customer    string
	at          time.Time // when it came
	live        bool      // the campaign's file is still there
	quarantined bool
}

// HandleEvent finds out what an event means for a campaign that it triggers, and plans the message, unless somebody else does
// so at this moment or has done so. What stands in its way is noted, and it is tried again later; the error is what could not
// even be noted.
func (p *Planner) HandleEvent(ctx context.Context, event int64, campaign int) error {
	if err := delivery.CheckInstallation(ctx, p.Pool); err != nil {
		return err
	}
	h, err := p.readHandling(ctx, event, campaign)
	if err != nil || h == nil {
		return err
	}
	err = p.handle(ctx, h)
	if err == nil || ctx.Err() != nil {
		return err
	}
	err = pg.WithoutValues(err)
	p.Log.Error("event", slog.Int64("event", event), slog.Int("campaign", campaign), slog.Any("error", err))
	return p.noteTrouble(ctx, h, err)
}

// readHandling is nil where the event has been handled.
func (p *Planner) readHandling(ctx context.Context, event int64, campaign int) (*handling, error) {
	h := &handling{event: event, campaignID: campaign}
	err := p.Pool.QueryRow(ctx, `
		select c.name, e.name, e.customer_key, e.at, exists (select from schedules s where s.campaign_id = c.id),
		       exists (select from quarantines q where q.campaign_id = c.id)
		from triggers t join events e on e.id = t.event_id join campaigns c on c.id = t.campaign_id
		where t.event_id = $1 and t.campaign_id = $2 and t.handled_at is null`, event, campaign).
		Scan(&h.campaign, &h.name, &h.customer, &h.at, &h.live, &h.quarantined)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read event %d: %w", event, err)
	}
	return h, nil
}

// noteTrouble lets the event wait for longer each time, ten minutes at most.
func (p *Planner) noteTrouble(ctx context.Context, h *handling, trouble error) error {
	_, err := p.Pool.Exec(ctx, `
		update triggers set tries = tries + 1, trouble = $3, due_at = clock_timestamp() + least(600, power(2, least(tries, 10))) * interval '1 second'
		where event_id = $1 and campaign_id = $2 and handled_at is null`, h.event, h.campaignID, trouble.Error())
	if err != nil {
		return errors.Join(trouble, fmt.Errorf("note on event %d: %w", h.event, err))
	}
	return nil
}

func (p *Planner) handle(ctx context.Context, h *handling) error {
	c, r, err := p.Library.current(ctx, h.campaign)
	switch {
	case !h.live, errors.Is(err, ErrNotFound), err == nil && c.Event() != h.name:
		return p.settleAlone(ctx, h, outcomeRemoved)
	case err != nil:
		return err
	case h.quarantined:
		return p.settleAlone(ctx, h, outcomeQuarantine)
	}
	events, err := segment.ReadEvents(ctx, p.Pool, c.event, c.schema.Zone, h.event)
	if err != nil {
		return err
	}
	r.event, r.only, r.AsOf, r.Tick = events[h.event], h.customer, h.at, date(h.at.In(p.zone()))
	if r.event == nil {
		return nil // deleted
	}
	if err := p.readyEvent(ctx, r, c); err != nil {
		return err
	}
	for tries := 1; ; tries++ {
		err := p.planEvent(ctx, h, r, c)
		if !errors.Is(err, errMoved) || tries == planTries {
			return err
		}
	}
}

// readyEvent makes ready what planning needs: the address book's facts about the customer, the month's partitions, and
// thresholds, which are found out once for a day's run.
func (p *Planner) readyEvent(ctx context.Context, r *Run, c *Campaign) error {
	one, err := segment.One(c.schema, r.only)
	if err != nil {
		return err
	}
	if err := segment.FillFacts(ctx, p.Pool, one, c.clockOf(r), c.questions()...); err != nil {
		return &CompanyError{fmt.Errorf("ask the company's tables: %w", pg.WithoutValues(err))}
	}
	if err := p.Pool.QueryRow(ctx, `select `+thisMonth).Scan(&r.month); err != nil {
		return fmt.Errorf("read the month: %w", err)
	}
	if _, err := p.Pool.Exec(ctx, `select ensure_month($1)`, r.month); err != nil {
		return fmt.Errorf("make the month's partitions: %w", err)
	}
	if !segment.Needs(c.questions()...) {
		return nil
	}
	return p.giveDay(ctx, r, c)
}

// thisMonth counts from January 2026, by the database's clock.
const thisMonth = `(extract(year from now())::int - 2026) * 12 + extract(month from now())::int - 1`

// planEvent plans the messages that the event means, in one transaction, into the run of its day. It locks
// in the order in which everybody does: run, erasures, address book, campaign; and the event's row, so that nobody else plans it.
func (p *Planner) planEvent(ctx context.Context, h *handling, r *Run, c *Campaign) error {
	return pg.InTx(ctx, p.Pool, func(tx pgx.Tx) error {
		r.ID = 0
		if err := p.holdDay(ctx, tx, r); err != nil {
			return err
		}
		if err := customer.ShareErasures(ctx, tx); err != nil {
			return err
		}
		mine, outcome, err := p.holdEvent(ctx, tx, h)
		if err != nil || !mine {
			return err
		}
		if outcome != "" {
			return p.settle(ctx, tx, h, nil, outcome)
		}
		if _, err := tx.Exec(ctx, `set local jit = off`); err != nil {
			return fmt.Errorf("begin the plan: %w", err)
		}
		if err := p.selectDue(ctx, tx, r, c); err != nil {
			return err
		}
		switch {
		case r.due == 0:
			return p.settle(ctx, tx, h, nil, outcomeNotMeant)
		case r.due > 1 && c.each == nil:
			return fmt.Errorf("%d rows of %s have the key of this customer", r.due, c.schema.Customer.Table)
		}
		if err := p.dayRun(ctx, tx, r, c); err != nil {
			return err
		}
		plan := &Plan{Run: r.ID}
		if err := p.write(ctx, tx, r, c, plan); err != nil {
			return err
		}
		if err := p.extend(ctx, tx, r, plan); err != nil {
			return err
		}
		return p.settle(ctx, tx, h, r, planOutcome(plan), plan.messages())
	})
}

// holdEvent locks the event's turn with the campaign; mine is false when somebody else has it or has done it. outcome is what
// has become of it already: its customer was erased.
func (p *Planner) holdEvent(ctx context.Context, tx pgx.Tx, h *handling) (mine bool, outcome string, err error) {
	var key string
	err = tx.QueryRow(ctx, `
		select e.customer_key from triggers t join events e on e.id = t.event_id
		where t.event_id = $1 and t.campaign_id = $2 and t.handled_at is null for no key update of t skip locked`, h.event, h.campaignID).Scan(&key)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, "", nil
	}
	if err != nil {
		return false, "", fmt.Errorf("hold event %d: %w", h.event, err)
	}
	at, err := customer.ErasedAt(ctx, tx, key)
	if err == nil && (key != h.customer || !at.IsZero()) {
		outcome = outcomeErased
	}
	return true, outcome, err
}

func planOutcome(plan *Plan) string {
	if plan.Planned > 0 {
		return outcomePlanned
	}
	for reason := range plan.Skipped {
		return outcomeSkipped + ": " + reason
	}
	return outcomeAlready
}

// settle notes what the event came to, and the messages, the last of its run, that it has.
func (p *Planner) settle(ctx context.Context, tx pgx.Tx, h *handling, r *Run, outcome string, messages ...int) error {
	var run, lo, hi any
	if r != nil {
		if run = r.ID; messages[0] > 0 {
			lo, hi = r.messageBase+1, r.messageBase+int64(messages[0])
		}
	}
	_, err := tx.Exec(ctx, `
		update triggers set handled_at = $3, outcome = $4, run_id = $5, lo = $6, hi = $7, trouble = null
		where event_id = $1 and campaign_id = $2`, h.event, h.campaignID, p.Now(), outcome, run, lo, hi)
	if err != nil {
		return fmt.Errorf("note what event %d came to: %w", h.event, err)
	}
	return nil
}

// settleAlone is settle for what needs no plan.
func (p *Planner) settleAlone(ctx context.Context, h *handling, outcome string) error {
	return pg.InTx(ctx, p.Pool, func(tx pgx.Tx) error {
		mine, _, err := p.holdEvent(ctx, tx, h)
		if err != nil || !mine {
			return err
		}
		return p.settle(ctx, tx, h, nil, outcome)
	})
}

type eventWorker struct {
	river.WorkerDefaults[EventArgs]
	planner *Planner
}

// Work handles the event. What could not be handled is left to the sweep.
func (w *eventWorker) Work(ctx context.Context, job *river.Job[EventArgs]) error {
	return w.planner.HandleEvent(ctx, job.Args.Event, job.Args.Campaign)
}

// Events are looked for again eventsEvery; those without a result whose job should have come eventPatience ago.
const (
	eventsEvery   = time.Second
	eventPatience = 2 * time.Second
	eventsAtOnce  = 100
)

// sweepEvents handles events whose job was lost, or came to nothing.
func (p *Planner) sweepEvents(ctx context.Context) {
	rows, _ := p.Pool.Query(ctx, `
		select event_id as event, campaign_id as campaign from triggers
		where handled_at is null and due_at < clock_timestamp() - $1::interval order by due_at limit $2`, eventPatience, eventsAtOnce)
	due, err := pgx.CollectRows(rows, pgx.RowToStructByName[EventArgs])
	for _, e := range due {
		if err != nil || ctx.Err() != nil {
			break
		}
		err = p.HandleEvent(ctx, e.Event, e.Campaign)
	}
	if err != nil && ctx.Err() == nil {
		p.Log.Error("events", slog.Any("error", err))
	}
}
