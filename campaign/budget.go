package campaign

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
)

// PlanChannel is what a plan sends by one channel.
type PlanChannel struct {
	Channel  string          `json:"channel"`
	Messages int             `json:"messages"`
	Each     *customer.Money `json:"each,omitempty"` // what one costs, by sapa.yaml; nil: it does not say
	Cost     *customer.Money `json:"cost,omitempty"` // what all cost
}

// budget is what a run may cost; nil: not limited.
func (c *Campaign) budget() *customer.Money {
	if l := c.Definition.Limits; l != nil && !l.Budget.IsZero() {
		return &l.Budget
	}
	return nil
}

// costs are what a message costs by each of the campaign's channels; nil: nobody knows.
func (c *Campaign) costs() []*string {
	list := make([]*string, len(c.Channels()))
	for i, channel := range c.Channels() {
		if cost, ok := c.schema.Costs[channel]; ok {
			list[i] = &cost.Amount
		}
	}
	return list
}

// checkBudget refuses a budget that can't be compared with the costs of the channels, and warns of what it does not count.
func (k *checker) checkBudget() {
	const at = "$.limits.budget"
	budget := k.c.budget()
	if budget == nil {
		return
	}
	var unknown []string
	for _, channel := range k.c.Channels() {
		cost, ok := k.c.schema.Costs[channel]
		switch {
		case !ok:
			unknown = append(unknown, channel)
		case cost.Currency != budget.Currency:
			k.problem(at, "write both in one currency", "the budget is in %s, and sapa.yaml says that %s costs %s", budget.Currency, channel, cost)
		}
	}
	if len(unknown) > 0 {
		k.warn(at, "in sapa.yaml, below channels: "+unknown[0]+":, write  cost: such as \"350 "+budget.Currency+"\"",
			"sapa.yaml has no cost for %s: its messages count nothing", andList(unknown))
	}
}

// andList is "sms and letter".
func andList(names []string) string {
	text := ""
	for i, name := range names {
		switch {
		case i == 0:
		case i == len(names)-1:
			text += " and "
		default:
			text += ", "
		}
		text += name
	}
	return text
}

// budgetLeftSQL is what is left of a budget for a run.
const budgetLeftSQL = `select $2::numeric - coalesce((select sum(cost) from run_channels where run_id = $1), 0)`

// budgetArgs are what affordedSQL asks for.
func (c *Campaign) budgetArgs(ctx context.Context, tx pgx.Tx, run int, args pgx.NamedArgs) error {
	budget := c.budget()
	if budget == nil {
		return nil
	}
	var left string
	if err := tx.QueryRow(ctx, `select (`+budgetLeftSQL+`)::text`, run, budget.Amount).Scan(&left); err != nil {
		return fmt.Errorf("read what is left of the budget: %w", err)
	}
	args["left"], args["costs"], args["ladder"] = left, c.costs(), c.Channels()
	return nil
}

// affordedSQL takes people until the budget is used, in an order that has nothing to do with their keys, and another with each
// run. Who costs nothing is always taken.
func (c *Campaign) affordedSQL() (steps, from string) {
	if c.budget() == nil {
		return "", "timed"
	}
	return `, priced as (
	select t.*, coalesce((@costs::text[]::numeric[])[array_position(@ladder::text[], coalesce(t.channel, @channel))], 0) as cost from timed t
), afforded as (
	select customer_key, occasion, row_key, address_id, not_before, not_after, occasions, lane, zone, channel,
	       case when reason is null and cost > 0
	             and sum(case when reason is null then cost else 0 end) over (
	                 order by hashtextextended(customer_key, @seed), customer_key, occasion rows unbounded preceding) > @left::text::numeric
	            then 'budget' else reason end as reason
	from priced
)`, "afforded"
}

// readChannels counts table drafts by channel, and what is left of the budget.
func (p *Planner) readChannels(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign, plan *Plan) error {
	plan.Channels = nil
	if c.laddered() {
		if err := p.countChannels(ctx, tx, c, plan); err != nil {
			return err
		}
	} else if plan.Planned > 0 {
		plan.Channels = []PlanChannel{{Channel: c.Channel(), Messages: plan.Planned}}
	}
	if err := c.price(ctx, tx, plan.Channels); err != nil {
		return err
	}
	if plan.Budget = c.budget(); plan.Budget == nil {
		return nil
	}
	left := customer.Money{Currency: plan.Budget.Currency}
	err := tx.QueryRow(ctx, `select trim_scale((`+budgetLeftSQL+`) - coalesce((select sum(c::numeric) from unnest($3::text[]) c), 0))::text`,
		r.ID, plan.Budget.Amount, amounts(plan.Channels)).Scan(&left.Amount)
	if err != nil {
		return fmt.Errorf("count what is left of the budget: %w", err)
	}
	plan.Left = &left
	return nil
}

// countChannels counts the drafts that are to be sent, in the order of the campaign's channels, and preferences that name none.
func (p *Planner) countChannels(ctx context.Context, tx pgx.Tx, c *Campaign, plan *Plan) error {
	rows, err := tx.Query(ctx, `select channel, count(*) from drafts where reason is null group by 1 order by array_position($1::text[], channel)`, c.channels)
	if err != nil {
		return fmt.Errorf("count the channels: %w", err)
	}
	if plan.Channels, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (one PlanChannel, err error) {
		return one, row.Scan(&one.Channel, &one.Messages)
	}); err != nil {
		return fmt.Errorf("count the channels: %w", err)
	}
	if c.schema.Preferred == "" {
		return nil
	}
	err = tx.QueryRow(ctx, `select count(distinct customer_key) from due where btrim(preferred) <> '' and lower(btrim(preferred)) <> all($1::text[])`, customer.Channels()).Scan(&plan.Odd)
	if err != nil {
		return fmt.Errorf("count preferences: %w", err)
	}
	return nil
}

// price says what messages cost by sapa.yaml.
func (c *Campaign) price(ctx context.Context, tx pgx.Tx, list []PlanChannel) error {
	for i := range list {
		one := &list[i]
		each, ok := c.schema.Costs[one.Channel]
		if !ok {
			continue
		}
		all := customer.Money{Currency: each.Currency}
		if err := tx.QueryRow(ctx, `select trim_scale($1::text::numeric * $2::int)::text`, each.Amount, one.Messages).Scan(&all.Amount); err != nil {
			return fmt.Errorf("count what messages cost: %w", err)
		}
		one.Each, one.Cost = &each, &all
	}
	return nil
}

// amounts are what channels cost.
func amounts(list []PlanChannel) []string {
	var costs []string
	for _, one := range list {
		if one.Cost != nil {
			costs = append(costs, one.Cost.Amount)
		}
	}
	return costs
}

// noteLadder notes what was planned by each channel, and what holds for the run's further rungs.
func (p *Planner) noteLadder(ctx context.Context, tx pgx.Tx, run int, c *Campaign, step int, list []PlanChannel) error {
	names, counts, costs, currencies := make([]string, len(list)), make([]int, len(list)), make([]*string, len(list)), make([]*string, len(list))
	for i, one := range list {
		names[i], counts[i] = one.Channel, one.Messages
		if one.Cost != nil {
			costs[i], currencies[i] = &one.Cost.Amount, &one.Cost.Currency
		}
	}
	_, err := tx.Exec(ctx, `
		insert into run_channels as o (run_id, step, channel, messages, cost, currency)
		select $1, $2, u.channel, u.messages, u.cost::numeric, u.currency
		from unnest($3::text[], $4::bigint[], $5::text[], $6::text[]) u(channel, messages, cost, currency)
		on conflict (run_id, step, channel) do update
		set messages = o.messages + excluded.messages, cost = coalesce(o.cost + excluded.cost, excluded.cost, o.cost), currency = coalesce(excluded.currency, o.currency)`,
		run, step, names, counts, costs, currencies)
	if err == nil && step == 0 && (c.climbs() || c.budget() != nil) {
		var budget, currency *string
		if b := c.budget(); b != nil {
			budget, currency = &b.Amount, &b.Currency
		}
		_, err = tx.Exec(ctx, `update runs set climb_after = $2, budget = $3::text::numeric, currency = $4 where id = $1`, run, c.climbAfter(), budget, currency)
	}
	if err != nil {
		return fmt.Errorf("note the channels of run %d: %w", run, err)
	}
	return nil
}
