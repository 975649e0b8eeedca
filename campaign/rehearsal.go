package campaign

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/delivery"
)

// Rehearsal is a dry run with the first of its messages.
type Rehearsal struct {
	*Plan
	Messages []*Preview `json:"messages"`          // the first that would be sent, as many as were asked for
	Looked   int        `json:"looked_at"`         // how many were composed to see whether that works
	Failing  []Failing  `json:"failing,omitempty"` // those of them that would fail
}

// Failing is a message that can't be composed.
type Failing struct {
	CustomerKey string `json:"customer_key"`
	Reason      string `json:"reason"`
}

// rehearsed is how many messages a rehearsal composes at least.
const rehearsed = 100

// Rehearse plans as DryRun does, and composes the first messages that would be sent; it keeps `show` of them. Nothing is
// stored. publicURL is what short links begin with.
func (p *Planner) Rehearse(ctx context.Context, s Start, show int, publicURL string) (*Run, *Rehearsal, error) {
	r, c, unapproved, err := p.newRehearsal(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	r.look = max(show, rehearsed)
	plan, err := p.plan(ctx, r, c, true)
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(mayRun(ctx, p.Pool, r), unapproved); err != nil {
		if !refuses(err) {
			return nil, nil, err
		}
		plan.Refused = strings.TrimSuffix(err.Error()+"\n"+plan.Refused, "\n")
	}
	composers := map[string]*delivery.Composer{}
	for _, channel := range c.Channels() {
		if composers[channel], err = delivery.NewComposer(c.schema, c.Content, channel, r.Tick); err != nil {
			return nil, nil, err
		}
	}
	out := &Rehearsal{Plan: plan, Messages: []*Preview{}, Looked: len(r.first)}
	for _, one := range r.first {
		failed, err := p.rehearse(ctx, c.By(one.Channel), composers[one.Channel], one, s.PublicURL)
		switch {
		case err != nil:
			return nil, nil, err
		case failed != nil:
			out.Failing = append(out.Failing, Failing{one.CustomerKey, failed.Error()})
		case len(out.Messages) < show:
			out.Messages = append(out.Messages, one)
		}
	}
	return r, out, nil
}

// newRehearsal is newRun; where no version is approved yet, it is a run of the one that waits, and unapproved says so.
func (p *Planner) newRehearsal(ctx context.Context, s Start) (r *Run, c *Campaign, unapproved, err error) {
	r, c, err = p.newRun(ctx, s)
	waits, ok := errors.AsType[*unapprovedError](err)
	if !ok {
		return r, c, nil, err
	}
	if c, err = p.Library.version(ctx, waits.w.versionID); err != nil {
		return nil, nil, nil, err
	}
	if c.Triggered() {
		return nil, nil, nil, &triggeredError{s.Campaign, c.Event()}
	}
	r = &Run{CampaignID: waits.w.campaignID, Campaign: s.Campaign, VersionID: waits.w.versionID}
	p.freeze(r, c, s)
	return r, c, waits, nil
}

// refuses says whether an error is a reason to refuse a run, not one that nothing is known.
func refuses(err error) bool {
	return errors.Is(err, delivery.ErrForeign) || errors.Is(err, ErrQuarantined) || errors.Is(err, ErrUnapproved)
}

// rehearse composes one message; failed is why that can't be done for this customer.
func (p *Planner) rehearse(ctx context.Context, c *Campaign, composer *delivery.Composer, one *Preview, publicURL string) (failed, err error) {
	person, err := c.read(ctx, p.Pool, one, composer)
	if err != nil {
		return nil, err
	}
	return one.compose(c, composer, person, publicURL, p.Now()), nil
}

// readFirst reads whom a plan's first messages are for.
func readFirst(ctx context.Context, tx pgx.Tx, c *Campaign, n int) ([]*Preview, error) {
	rowKeys := "case when d.row_key is not null then array[d.row_key] end"
	if c.Merged() {
		rowKeys = "(select array_agg(f.row_key order by f.occasion) from fresh f where f.customer_key = d.customer_key)"
	}
	rows, _ := tx.Query(ctx, `
		select d.customer_key, `+rowKeys+`, coalesce(a.normalised, ''), coalesce(d.channel, $2)
		from drafts d left join addresses a on a.id = d.address_id
		where d.reason is null order by d.n limit $1`, n, c.Channel())
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Preview, error) {
		one := &Preview{Due: true}
		return one, row.Scan(&one.CustomerKey, &one.Rows, &one.Address, &one.Channel)
	})
	if err != nil {
		return nil, fmt.Errorf("read the plan's first messages: %w", err)
	}
	return list, nil
}
