package report

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// Channel is one row of view report_channels: the messages of a run by one channel at one rung of its ladder.
type Channel struct {
	Step         int     `json:"step"` // 0: the first message of each customer
	Channel      string  `json:"channel"`
	Messages     int64   `json:"messages"`
	Waiting      int64   `json:"waiting"` // planned and claimed
	Sent         int64   `json:"sent"`
	Failed       int64   `json:"failed"`
	Skipped      int64   `json:"skipped"`
	Unknown      int64   `json:"unknown"`
	Delivered    int64   `json:"delivered"`
	Undelivered  int64   `json:"undelivered"`
	Opened       int64   `json:"opened"`
	Clicked      int64   `json:"clicked"`
	Replied      int64   `json:"replied"`
	Unsubscribed int64   `json:"unsubscribed"`
	Planned      *int64  `json:"planned"`                             // messages that were to be sent when they were planned
	PlannedCost  *Amount `json:"planned_cost" db:"planned_cost"`      // what these cost by the estimate of sapa.yaml; nil: it has none
	Currency     *string `json:"planned_currency" db:"planned_money"` // of PlannedCost
}

// readChannels fills in the channels of a run that has several, or further rungs. It counts the run's messages.
func readChannels(ctx context.Context, db pg.DBTX, r *Run) error {
	var several bool
	err := db.QueryRow(ctx, `select count(*) > 1 from run_channels where run_id = $1`, r.RunID).Scan(&several)
	if err != nil || !several && r.Rungs == 0 {
		return err
	}
	rows, _ := db.Query(ctx, `
		select step, channel, messages, waiting, sent, failed, skipped, unknown, delivered, undelivered, opened, clicked, replied, unsubscribed,
		       planned, planned_cost, currency as planned_money
		from report_channels where run_id = $1 order by step, messages desc, channel`, r.RunID)
	if r.Channels, err = pgx.CollectRows(rows, pgx.RowToStructByName[Channel]); err != nil {
		return fmt.Errorf("read the channels of run %d: %w", r.RunID, err)
	}
	return nil
}

// channels prints what went by each channel, rung by rung, and what was planned to be spent.
func (p *printer) channels(r *Run) {
	if len(r.Channels) > 0 {
		p.line("")
	}
	for _, c := range r.Channels {
		rung := "by " + c.Channel
		if c.Step > 0 {
			rung = fmt.Sprintf("then by %s (rung %d)", c.Channel, c.Step+1)
		}
		p.line("  %s", strings.TrimRight(rung+": "+c.outcome(), ", "))
	}
	p.budget(r)
	if r.ClimbsAt != nil {
		p.line("  %s", p.faint("the next rung is looked for from "+r.ClimbsAt.Format("2 Jan 15:04 MST")+" on"))
	}
}

// outcome is "120 sent, 3 failed, 80 delivered; 42000.00 IDR planned".
func (c *Channel) outcome() string {
	parts := []string{}
	for _, n := range []struct {
		n    int64
		name string
	}{
		{c.Waiting, "waiting"},
		{c.Sent, "sent"},
		{c.Failed, "failed"},
		{c.Skipped, "skipped"},
		{c.Unknown, "unknown"},
		{c.Delivered, "delivered"},
		{c.Undelivered, "undelivered"},
		{c.Opened, "opened"},
		{c.Clicked, "clicked"},
		{c.Replied, "replied"},
		{c.Unsubscribed, "unsubscribed"},
	} {
		if n.n > 0 {
			parts = append(parts, number(n.n)+" "+n.name)
		}
	}
	text := strings.Join(parts, ", ")
	if c.PlannedCost != nil {
		text += fmt.Sprintf("; estimated at %s %s", c.PlannedCost, value(c.Currency))
	}
	return text
}

// budget is what was planned to be spent, and what is left.
func (p *printer) budget(r *Run) {
	if r.PlannedCost == nil && r.Budget == nil {
		return
	}
	planned := r.PlannedCost
	if planned == nil {
		planned = &Amount{}
	}
	line := fmt.Sprintf("  estimated cost %s %s", planned.short(), value(r.PlannedCurrency))
	if r.Budget != nil {
		line += fmt.Sprintf(" of a budget of %s; %s left", r.Budget.short(), r.Budget.Sub(planned).short())
	}
	p.line("%s", p.faint(line))
}

// Sub is what is left of a without b.
func (a *Amount) Sub(b *Amount) *Amount {
	var left Amount
	left.rat.Sub(&a.rat, &b.rat)
	return &left
}
