package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/sandbox"
)

// hear waits until everything that settles unknown texts by itself has come: the sandbox's reports, and the look-ups of
// those that are unknown after them. The drill's processes still work.
func (d *drill) hear(ctx context.Context) error {
	if d.public == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, drillPatience)
	defer cancel()
	if err := d.mail.WaitCallbacks(ctx); err != nil {
		return fmt.Errorf("wait for reports: %w", err)
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		n, err := d.toLookUp(ctx)
		if err != nil || n == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d unknown messages are still to be looked up: %w", n, ctx.Err())
		case <-tick.C:
		}
	}
}

// toLookUp counts unknown texts whose last look-up, or last report, may still come.
func (d *drill) toLookUp(ctx context.Context) (n int, err error) {
	w := d.o.waits
	err = d.pool.QueryRow(ctx, `
		select (select count(*) from messages m join attempts a on a.message_id = m.id and a.number = m.attempts
		        where m.run_id = $1 and m.state = 'unknown' and m.channel <> 'email'
		          and clock_timestamp() - coalesce(a.handed_over, a.at) < $2::interval)
		     + (select count(distinct message_id) from delivery_reports where open)`,
		d.run, slices.Max(w.LookUp)+5*w.LookUpEvery/2).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count messages that are to be looked up: %w", err)
	}
	return n, nil
}

// countSettled counts what was unknown until a report or a look-up said that it was accepted.
func (d *drill) countSettled(ctx context.Context) error {
	err := d.pool.QueryRow(ctx, `
		select count(*) filter (where a.words = 'the provider reported on it'), count(*) filter (where a.words = 'found in the provider''s list')
		from messages m join attempts a on a.message_id = m.id where m.run_id = $1`, d.run).Scan(&d.result.ByReport, &d.result.ByLookUp)
	if err != nil {
		return fmt.Errorf("count what was settled: %w", err)
	}
	return nil
}

// resolveByHand settles the texts that are unknown after reports and look-ups as an operator would, who looks each number up
// in the provider's list of messages: the drill writes to each number once, so that a number which is there got its text,
// and one which is not did not.
func (d *drill) resolveByHand(ctx context.Context) error {
	arrived := map[string]bool{}
	for m := range d.mail.Each(sandbox.Filter{Which: sandbox.Accepted}) {
		if m.SMS != nil {
			arrived[strings.TrimPrefix(m.To[0], "whatsapp:")] = true
		}
	}
	rows, _ := d.pool.Query(ctx, `
		select m.customer_key, c.phone from messages m join drill.customers c on c.id = m.customer_key::bigint
		where m.run_id = $1 and m.state = 'unknown' and m.channel <> 'email'`, d.run)
	decisions := [2]resolveOptions{{accepted: true}, {refused: true}}
	var key, phone string
	_, err := pgx.ForEachRow(rows, []any{&key, &phone}, func() error {
		o := &decisions[1]
		if arrived[phone] {
			o = &decisions[0]
		}
		o.customers = append(o.customers, key)
		return nil
	})
	if err != nil {
		return fmt.Errorf("list unknown texts: %w", err)
	}
	for _, o := range decisions {
		if err := d.decide(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// decide is sapa resolve RUN --accepted, or --refused, for some customers.
func (d *drill) decide(ctx context.Context, o resolveOptions) error {
	if len(o.customers) == 0 {
		return nil
	}
	unknown, err := d.planner.Unknown(ctx, d.run, o.customers)
	if err != nil {
		return err
	}
	findings, by, err := o.findings(ctx, d.app, d.session, unknown)
	if err != nil {
		return err
	}
	settled, err := d.planner.Resolve(ctx, d.run, findings, "drill", by)
	for is, n := range settled {
		if d.result.ByHand += n; is == delivery.WasAccepted {
			d.result.HandSent += n
		}
	}
	return err
}
