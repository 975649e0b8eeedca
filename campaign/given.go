package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/segment"
)

// clockOf is the clock of a run, with what was prepared of all customers.
func (c *Campaign) clockOf(r *Run) segment.Clock {
	clock := c.clock(r.Tick, r.AsOf)
	clock.Given = r.given
	if r.event != nil {
		clock.Event = r.event
	}
	return clock
}

// questions are all that a campaign asks of customers.
func (c *Campaign) questions() []segment.Question {
	all := []segment.Question{c.where}
	for _, v := range c.occasion {
		all = append(all, v)
	}
	return all
}

// give finds out what the campaign's rules need of all customers, where the run does not have it yet.
func (c *Campaign) give(ctx context.Context, db segment.DB, r *Run) error {
	clock, err := segment.Prepare(ctx, db, c.scope, c.base, c.clockOf(r), c.questions()...)
	if err != nil {
		return &CompanyError{fmt.Errorf("ask the company's tables: %w", pg.WithoutValues(err))}
	}
	r.given = clock.Given
	return nil
}

// giveRun is give for a run that is in the ledger, which keeps what was found out: whoever asks the run's rules again gets
// the same. Where two find out at once, the first is believed.
func (p *Planner) giveRun(ctx context.Context, r *Run, c *Campaign) error {
	if !segment.Needs(c.questions()...) {
		return nil
	}
	var kept []byte
	if err := p.Pool.QueryRow(ctx, `select given from runs where id = $1`, r.ID).Scan(&kept); err != nil {
		return fmt.Errorf("read what run %d was given: %w", r.ID, err)
	}
	if err := r.take(kept); err != nil {
		return err
	}
	before := r.given
	if err := c.give(ctx, p.Pool, r); err != nil || r.given == before {
		return err
	}
	found, err := json.Marshal(r.given)
	if err != nil {
		return fmt.Errorf("keep what run %d was given: %w", r.ID, err)
	}
	err = p.Pool.QueryRow(ctx, `update runs set given = $2::jsonb || coalesce(given, '{}') where id = $1 and state = 'planning' returning given`,
		r.ID, string(found)).Scan(&kept)
	if errors.Is(err, pgx.ErrNoRows) {
		return errPlanned(r)
	}
	if err != nil {
		return fmt.Errorf("keep what run %d was given: %w", r.ID, err)
	}
	return r.take(kept)
}

// take reads what the ledger keeps of a run.
func (r *Run) take(kept []byte) error {
	if kept == nil {
		return nil
	}
	r.given = &segment.Given{}
	if err := json.Unmarshal(kept, r.given); err != nil {
		return fmt.Errorf("read what run %d was given: %w", r.ID, err)
	}
	return nil
}

// giveFor is giveRun, or give for a dry run, which is in no ledger.
func (p *Planner) giveFor(ctx context.Context, r *Run, c *Campaign, dryRun bool) error {
	if dryRun {
		return c.give(ctx, p.Pool, r)
	}
	return p.giveRun(ctx, r, c)
}
