package calldesk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/channels/calls"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
)

// claim gives an agent the first call that nobody has, and whose customer nobody has. ErrNone: there is none.
func (d *Desk) claim(ctx context.Context, agent string) error {
	hours, err := d.quiet(ctx)
	if err != nil {
		return err
	}
	return d.inTx(ctx, func(tx pgx.Tx) error {
		if has, err := d.takeBack(ctx, tx, agent); err != nil || has {
			return err
		}
		for passed := []int64{}; ; {
			id, key, err := d.candidate(ctx, tx, agent, hours, passed)
			if err != nil {
				return err
			}
			ok, err := d.take(ctx, tx, agent, id, key)
			if err != nil || ok {
				return err
			}
			passed = append(passed, id)
		}
	})
}

// takeBack makes calls anybody's again that were kept for somebody who did not say what came of them, and says whether the
// agent, who has another window open, has one meanwhile.
func (d *Desk) takeBack(ctx context.Context, tx pgx.Tx, agent string) (has bool, err error) {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('sapa agent ' || current_schema() || ' ' || $1, 0))`, agent); err != nil {
		return false, fmt.Errorf("take back calls: %w", err)
	}
	_, err = tx.Exec(ctx, `
		update calls set claimed_by = null, claimed_at = null, claimed_until = null
		where message_id in (
			select c.message_id from calls c
			where c.claimed_by is not null and c.claimed_until <= $1
			order by 1 for update of c skip locked)`, d.Now())
	if err != nil {
		return false, fmt.Errorf("take back calls: %w", err)
	}
	err = tx.QueryRow(ctx, `select exists (select from calls where claimed_by = $1)`, agent).Scan(&has)
	return has, err
}

// quietHours are those of the runs that have calls, one line for each window; and the runs whose calls are held.
type quietHours struct {
	runs     []int
	from, to []string
	held     []int
}

func (d *Desk) quiet(ctx context.Context) (q quietHours, err error) {
	rows, _ := d.Pool.Query(ctx, `
		select r.id, r.version_id, coalesce(r.reason, '') from runs r
		where r.state = 'sending' and exists (select from calls c where c.run_id = r.id and c.done_at is null) order by 1`)
	type run struct {
		ID, Version int
		Reason      string
	}
	runs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[run])
	if err != nil {
		return q, fmt.Errorf("list runs with calls: %w", err)
	}
	q.held = d.resting.runs(d.Now())
	for _, r := range runs {
		content, err := d.Library.Content(ctx, r.Version)
		if err != nil {
			if err := d.hold(ctx, r.ID, err); err != nil {
				return q, err
			}
			q.held = append(q.held, r.ID)
			continue
		}
		if !slices.Contains(q.held, r.ID) {
			if err := d.free(ctx, r.ID, r.Reason); err != nil {
				return q, err
			}
		}
		for _, w := range content.Limits.Quiet {
			q.runs, q.from, q.to = append(q.runs, r.ID), append(q.from, clock(w.From)), append(q.to, clock(w.To))
		}
	}
	return q, nil
}

func clock(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }

// candidate locks the call that comes next: one that the customer agreed on with this agent, then by the campaign's priority,
// then by its time. What others are about to take is passed over.
func (d *Desk) candidate(ctx context.Context, tx pgx.Tx, agent string, q quietHours, passed []int64) (id int64, key string, err error) {
	closed := d.Settings.Hours.Closed()
	err = tx.QueryRow(ctx, `
		select c.message_id, c.customer_key
		from calls c
		join runs r on r.id = c.run_id and r.state = 'sending'
		join messages m on m.id = c.message_id and m.state = 'planned' and m.not_before >= timestamptz '9999-01-01Z' -- it waits for a person
		where c.done_at is null and c.claimed_by is null and c.run_id <> all(@held::int[]) and c.due_at <= @now and (m.not_after is null or m.not_after > @now)
		  and (c.keeper is null or c.keeper = @agent or c.due_at <= @now::timestamptz - @keep::interval)
		  and quiet_until(@now, coalesce(m.zone, @zone), @closed::time, @opened::time) = @now
		  and not exists (select from unnest(@runs::int[], @from::time[], @to::time[]) q(run, f, t)
		                  where q.run = c.run_id and quiet_until(@now, coalesce(m.zone, @zone), q.f, q.t) > @now)
		  and not exists (select from calls o where o.customer_key = c.customer_key and o.claimed_by is not null)
		  and c.message_id <> all(@passed::bigint[])
		order by (c.keeper = @agent) is not true, r.priority desc, c.due_at, c.message_id
		limit 1
		for update of c skip locked`,
		pgx.NamedArgs{
			"now": d.Now(), "agent": agent, "keep": keepFor, "zone": d.Schema.Zone, "closed": clock(closed.From), "opened": clock(closed.To),
			"runs": q.runs, "from": q.from, "to": q.to, "held": q.held, "passed": passed,
		}).Scan(&id, &key)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, "", ErrNone
	}
	if err != nil {
		return 0, "", fmt.Errorf("look for the next call: %w", err)
	}
	return id, key, nil
}

// take makes a locked call the agent's, unless its customer is, or is about to be, somebody's by another call.
func (d *Desk) take(ctx context.Context, tx pgx.Tx, agent string, id int64, key string) (ok bool, err error) {
	err = tx.QueryRow(ctx, `select pg_try_advisory_xact_lock(hashtextextended('sapa call ' || current_schema() || ' ' || $1, 0))`, key).Scan(&ok)
	if err != nil || !ok {
		return false, err
	}
	now := d.Now()
	tag, err := tx.Exec(ctx, `
		update calls c set claimed_by = $2, claimed_at = $3, claimed_until = $4
		where message_id = $1 and not exists (select from calls o where o.customer_key = c.customer_key and o.claimed_by is not null)`,
		id, agent, now, now.Add(time.Duration(d.Settings.Claim)))
	if err != nil {
		return false, fmt.Errorf("take call %d: %w", id, err)
	}
	return tag.RowsAffected() == 1, nil
}

// look fills in the customer's card, and says why they may not be called any more; "" where they may. What the call says names
// only rows that it is still about. The error may be the run's own: its version's, or its tables'.
func (d *Desk) look(ctx context.Context, c *given) (reason string, err error) {
	if c.Phone == "" {
		return "no address", nil
	}
	if _, yes, err := customer.Suppressed(ctx, d.Pool, calls.Name, c.Phone); err != nil || yes {
		return "suppressed", err
	}
	opted, there, err := d.opted(ctx, c.CustomerKey)
	if err != nil {
		return "", err
	}
	if !there {
		return "gone", nil
	}
	if reason, err = d.consents(ctx, c, opted); err != nil || reason != "" {
		return reason, err
	}
	again := delivery.Again{Recheck: delivery.Recheck{Pool: d.Pool, Schema: d.Schema, Library: d.Library, Now: d.Now}, URLs: d.URLs}
	parts, reason, err := again.Look(ctx, c.ID)
	if err != nil || reason != "" {
		return reason, err
	}
	if parts != nil {
		if err := d.reword(ctx, c, parts); err != nil {
			return "", err
		}
	}
	c.Card, err = d.card(ctx, c.CustomerKey)
	return "", err
}

// reword keeps what a call says since some of its rows are not due any more.
func (d *Desk) reword(ctx context.Context, c *given, parts map[string]string) error {
	if c.Reason == parts[calls.Reason] && c.Offer == parts[calls.Offer] && c.Script == parts[calls.Script] {
		return nil
	}
	c.Reason, c.Offer, c.Script = parts[calls.Reason], parts[calls.Offer], parts[calls.Script]
	_, err := d.Pool.Exec(ctx, `
		update calls set reason = $2, offer = $3, script = $4 where message_id = $1 and claimed_by is not null`, c.ID, c.Reason, c.Offer, c.Script)
	if err != nil {
		return fmt.Errorf("write call %d anew: %w", c.ID, err)
	}
	return nil
}

// consents asks what the customer said about being called, in planning's order.
func (d *Desk) consents(ctx context.Context, c *given, opted *bool) (reason string, err error) {
	ledger, err := customer.ReadLedger(ctx, d.Pool, c.CustomerKey)
	if err != nil {
		return "", err
	}
	switch s := d.Schema.Standing(ledger, opted, calls.Name, c.topic, d.Now()); {
	case s.Granted:
		return "", nil
	case s.Paused():
		return "paused", nil
	}
	return "no consent", nil
}

// skip puts calls aside that may not be made any more.
func (d *Desk) skip(ctx context.Context, ids []int64, reason string) error {
	how := delivery.ByHand{State: "skipped", Reason: reason, At: d.Now()}
	if reason == "content" {
		how.State, how.Words = "failed", "nothing can be said without the rows that are not due any more"
	}
	err := d.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select from calls where message_id = any($1) order by message_id for update`, ids); err != nil {
			return err
		}
		if _, err := delivery.FinishByHand(ctx, tx, ids, how); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			update calls set done_at = $2, claimed_by = null, claimed_at = null, claimed_until = null, keeper = null where message_id = any($1) and done_at is null`, ids, d.Now())
		return err
	})
	if err != nil {
		return fmt.Errorf("put %d calls aside: %w", len(ids), err)
	}
	return nil
}

// atOnce is how many calls one transaction puts aside.
const atOnce = 1000

// Tidy puts calls aside whose time is over, reason "too late", and takes those off the list whose message was cancelled, erased
// or settled by others. What an agent has at this moment is left to them. It may be called at any time.
func (d *Desk) Tidy(ctx context.Context) error {
	_, err := d.Pool.Exec(ctx, `
		update calls c set done_at = $1, claimed_by = null, claimed_at = null, claimed_until = null, keeper = null
		from messages m
		where m.id = c.message_id and c.done_at is null and (c.claimed_until is null or c.claimed_until <= $1) and m.state in ('sent', 'failed', 'skipped')`, d.Now())
	if err != nil {
		return fmt.Errorf("tidy the list of calls: %w", err)
	}
	for {
		rows, _ := d.Pool.Query(ctx, `
			select c.message_id from calls c join messages m on m.id = c.message_id
			where c.done_at is null and m.not_after <= $1 and (c.claimed_until is null or c.claimed_until <= $1)
			  and m.state = 'planned' and m.not_before >= timestamptz '9999-01-01Z'
			order by 1 limit $2`, d.Now(), atOnce)
		late, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return fmt.Errorf("look for calls whose time is over: %w", err)
		}
		if len(late) == 0 {
			return nil
		}
		if err := d.skip(ctx, late, "too late"); err != nil {
			return err
		}
	}
}
