package campaign

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// Plan is what planning a run made, or would make.
type Plan struct {
	Run      int            `json:"run,omitempty"`
	Audience int            `json:"audience"` // occasions that the rule means now: customers, or rows of `each`
	Already  int            `json:"already"`  // whose occasion was spent before
	Planned  int            `json:"planned"`
	Skipped  map[string]int `json:"skipped"`                 // by reason
	Zones    int            `json:"unknown_zones,omitempty"` // customers whose zone is not a known name; they take the default
	PutOff   int            `json:"put_off,omitempty"`       // of Planned: whose moment lies in quiet hours, and is put off to their end
	Capped   int            `json:"capped,omitempty"`        // of Planned, in a dry run: for whom a cap leaves no room, as things are now
	OnCap    string         `json:"on_cap,omitempty"`        // and what becomes of these: skip or postpone
	First    *time.Time     `json:"first,omitempty"`         // when the first may go and the last, where quiet hours or spread decide
	Last     *time.Time     `json:"last,omitempty"`
	Hold     string         `json:"hold,omitempty"`    // why the run waits for a person before anything is sent; "": it does not
	Refused  string         `json:"refused,omitempty"` // of a dry run: why a run would be refused

	Channels []PlanChannel   `json:"channels,omitempty"`            // what Planned goes by
	Budget   *customer.Money `json:"budget,omitempty"`              // what the run may cost
	Left     *customer.Money `json:"left,omitempty"`                // of the budget, after this plan
	Odd      int             `json:"unknown_preferences,omitempty"` // customers whose preferred channel is not the name of one
}

// Total is what the parts must add up to.
func (p *Plan) Total() int {
	n := p.Already + p.Planned
	for _, skipped := range p.Skipped {
		n += skipped
	}
	return n
}

// messages is how many the run has.
func (p *Plan) messages() int { return p.Total() - p.Already }

// totals are the run's first totals, column by column.
func (p *Plan) totals() (states, reasons []string, counts []int) {
	add := func(state, reason string, n int) {
		states, reasons, counts = append(states, state), append(reasons, reason), append(counts, n)
	}
	add("planned", "", p.Planned)
	for _, reason := range slices.Sorted(maps.Keys(p.Skipped)) {
		add("skipped", reason, p.Skipped[reason])
	}
	add("already", "", p.Already)
	add("audience", "", p.Audience)
	return states, reasons, counts
}

// maxMessages is how many messages a run can have: the bits of a message's id that count within a run.
const maxMessages = 1<<28 - 1

// errDryRun rolls a dry run back.
var errDryRun = errors.New("dry run")

// plan fills the ledger for a run whose row exists: one transaction, so that a run is planned whole or not at all. It
// holds the run's row from its first statement on, so that a run in state planning whose row is free has lost its
// planner. Later it locks the campaign's row, so that two runs of a campaign never plan at the same time and the second
// sees the first's occasions. Everybody locks in this order: run, address book, campaign.
func (p *Planner) plan(ctx context.Context, r *Run, c *Campaign, dryRun bool) (*Plan, error) {
	if err := customer.CheckKeys(ctx, p.Pool, p.Schema); err != nil {
		return nil, err
	}
	if err := c.fillFacts(ctx, p.Pool, r); err != nil {
		return nil, err
	}
	if !dryRun {
		if err := p.prepareRun(ctx, r); err != nil {
			return nil, err
		}
	}
	if err := p.giveFor(ctx, r, c, dryRun); err != nil {
		return nil, err
	}
	for tries := 1; ; tries++ {
		plan, err := p.planOnce(ctx, r, c, dryRun)
		if !errors.Is(err, errMoved) || tries == planTries {
			return plan, err
		}
	}
}

// planTries is how often a plan is made anew that came upon occasions which were taken meanwhile.
const planTries = 5

func (p *Planner) planOnce(ctx context.Context, r *Run, c *Campaign, dryRun bool) (*Plan, error) {
	plan := &Plan{Run: r.ID}
	err := pg.InTx(ctx, p.Pool, func(tx pgx.Tx) error {
		if err := p.fill(ctx, tx, r, c, plan, dryRun); err != nil {
			return err
		}
		if dryRun {
			var err error
			if r.first, err = readFirst(ctx, tx, c, r.look); err != nil {
				return err
			}
			return errDryRun
		}
		return p.open(ctx, tx, r, plan)
	})
	if dryRun && errors.Is(err, errDryRun) {
		return plan, nil
	}
	if err != nil {
		return nil, err
	}
	if plan.Audience >= largePlan {
		p.measure(ctx, r)
	}
	return plan, nil
}

// largePlan is from how many messages on PostgreSQL is told at once how large the ledger has become.
const largePlan = 10_000

// measure tells PostgreSQL how large the ledger has become. It finds that out by itself within a minute or two; but where it
// looked while the plan was not committed it took the month's first messages for none, and would join as if they were, for each
// claim. The run is planned whether this works or not.
func (p *Planner) measure(ctx context.Context, r *Run) {
	var partition string
	err := p.Pool.QueryRow(ctx, `select tableoid::regclass::text from messages where id > $1 order by id limit 1`, r.messageBase).Scan(&partition)
	if err == nil {
		_, _ = p.Pool.Exec(ctx, `analyze (skip_locked) occasions, `+partition)
	}
}

func (p *Planner) fill(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign, plan *Plan, dryRun bool) error {
	if !dryRun {
		if err := p.lockRun(ctx, tx, r); err != nil {
			return err
		}
	}
	if err := customer.ShareErasures(ctx, tx); err != nil {
		return err
	}
	// Compiling these statements takes longer than running them.
	if _, err := tx.Exec(ctx, `set local work_mem = '64MB'; set local jit = off`); err != nil {
		return fmt.Errorf("begin the plan: %w", err)
	}
	if err := p.selectDue(ctx, tx, r, c); err != nil {
		return err
	}
	return p.write(ctx, tx, r, c, plan)
}

// prepareRun gives the run its range of message ids, and makes sure of the month's partitions, in a transaction of its
// own: making a partition locks the whole table.
func (p *Planner) prepareRun(ctx context.Context, r *Run) error {
	var month int
	err := p.Pool.QueryRow(ctx, `
		update runs set message_base = coalesce(message_base, (months.n::bigint << 44) | ((id & 65535)::bigint << 28))
		from (select (extract(year from now())::int - 2026) * 12 + extract(month from now())::int - 1 as n) months
		where id = $1 and state = 'planning'
		returning message_base >> 44`, r.ID).Scan(&month)
	if errors.Is(err, pgx.ErrNoRows) {
		return errPlanned(r)
	}
	if err != nil {
		return fmt.Errorf("prepare run %d: %w", r.ID, err)
	}
	if _, err := p.Pool.Exec(ctx, `select ensure_month($1)`, month); err != nil {
		return fmt.Errorf("prepare run %d: make the month's partitions: %w", r.ID, err)
	}
	return nil
}

func errPlanned(r *Run) error {
	return fmt.Errorf("run %d is not being planned any more: %w", r.ID, ErrState)
}

func (p *Planner) lockRun(ctx context.Context, tx pgx.Tx, r *Run) error {
	err := tx.QueryRow(ctx, `select message_base from runs where id = $1 and state = 'planning' for no key update`, r.ID).Scan(&r.messageBase)
	if errors.Is(err, pgx.ErrNoRows) {
		return errPlanned(r)
	}
	if err != nil {
		return fmt.Errorf("lock run %d: %w", r.ID, err)
	}
	return nil
}
