package campaign

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/response"
	"github.com/sapa-crm/sapa/segment"
	"github.com/sapa-crm/sapa/templates"
)

// Preview is a message as it would be sent, with links that lead where the author pointed them and without a pixel.
type Preview struct {
	CustomerKey string            `json:"customer_key"`
	Rows        []string          `json:"rows,omitempty"` // keys of the rows of `each`; nil without it
	Due         bool              `json:"in_audience"`    // the customer is in the audience now
	Address     string            `json:"address"`        // as the company wrote it
	Message     *channels.Message `json:"message"`
}

// Preview composes the message for one customer: the one of key, or the first of the audience who has an address. A customer outside the
// audience gets a preview all the same, unless the campaign goes through rows and there is none. A zero tick is now, in
// the company's zone.
func (c *Campaign) Preview(ctx context.Context, db pg.DBTX, key string, tick, now time.Time) (*Preview, error) {
	r := &Run{Tick: tick, AsOf: now}
	if zone := c.clock(now, now).Zone; tick.IsZero() {
		r.Tick = now.In(zone)
	} else {
		r.AsOf = instant(tick, zone) // the same moment as a run's
	}
	p, err := c.choose(ctx, db, r, key)
	if err != nil {
		return nil, err
	}
	composer, err := delivery.NewComposer(c.schema, c.Content, r.Tick)
	if err != nil {
		return nil, err
	}
	person, err := c.read(ctx, db, p, composer)
	if err != nil {
		return nil, err
	}
	p.Message, err = composer.Compose(*person, plainURLs{c})
	if err != nil {
		return nil, fmt.Errorf("the message for customer %s would fail: %w", p.CustomerKey, err)
	}
	p.Message.To.Addr, p.Message.Date = p.Address, now
	return p, nil
}

// choose finds whom to preview.
func (c *Campaign) choose(ctx context.Context, db pg.DBTX, r *Run, key string) (*Preview, error) {
	p, err := c.chooseFrom(ctx, db, r, key, c.where)
	switch {
	case err != nil:
		return nil, err
	case p != nil:
		p.Due = true
		return p, nil
	case key == "":
		return nil, errors.New("nobody is in the audience now; name somebody with --customer, or another day with --as-of")
	}
	p, err = c.chooseFrom(ctx, db, r, key, nil)
	switch {
	case p != nil || err != nil:
		return p, err
	case c.each != nil:
		return nil, fmt.Errorf("customer %s: %w, or has no %s", key, ErrNotFound, c.each.Name)
	}
	return nil, fmt.Errorf("customer %s: %w", key, ErrNotFound)
}

// chooseFrom finds the customer, or the first, for whom the rule holds; nil when there is none. The rows of `each` come
// in the order in which they are sent.
func (c *Campaign) chooseFrom(ctx context.Context, db pg.DBTX, r *Run, key string, where *segment.Rule) (*Preview, error) {
	clock := c.clock(r.Tick, r.AsOf)
	q, err := segment.Audience(c.scope, c.base, where, &segment.Args{}, clock)
	if err == nil && !q.Exact {
		q, err = c.decided(ctx, db, q, key, clock)
	}
	if err != nil {
		return nil, err
	}
	occasion, err := c.occasionSQL(r, q, clock)
	if err != nil {
		return nil, err
	}
	address, _ := c.schema.Address(c.Channel())
	only := ""
	if key != "" {
		only = fmt.Sprintf(" and %s = %s", c.keySQL(), q.Args.Bind(key, "text"))
	}
	keyColumn := segment.CustomerAlias + "." + c.schema.KeyColumn().SQL()
	sql := fmt.Sprintf(`select %[1]s::text, array_agg(%[2]s order by (%[3]s) collate "C"), coalesce(min(%[4]s::text), '')
		from %[5]s where %[6]s%[7]s group by %[1]s order by coalesce(min(%[4]s::text), '') = '', %[1]s limit 1`,
		keyColumn, c.rowKeySQL("''::text"), occasion, segment.CustomerAlias+"."+pgx.Identifier{address.Column}.Sanitize(), q.From, q.Where, only)
	p := &Preview{}
	err = db.QueryRow(ctx, sql, append([]any{pgx.QueryExecModeExec}, q.Args.Values()...)...).Scan(&p.CustomerKey, &p.Rows, &p.Address)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask the company's tables: %w", err)
	}
	switch {
	case c.each == nil:
		p.Rows = nil
	case !c.Merged():
		p.Rows = p.Rows[:1]
	}
	return p, nil
}

// decided is the query for one customer's rows of a query that SQL can't say exactly: those of key, or of the first whom
// the rule means.
func (c *Campaign) decided(ctx context.Context, db pg.DBTX, q *segment.Query, key string, clock segment.Clock) (*segment.Query, error) {
	var rows []string
	err := q.Keys(ctx, db, func(keys []segment.Key) error {
		for _, k := range keys {
			if key == "" {
				key = k.Customer
			}
			if k.Customer == key {
				rows = append(rows, k.Each)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ask the company's tables: %w", err)
	}
	one, err := segment.Audience(c.scope, nil, nil, &segment.Args{}, clock)
	if err != nil {
		return nil, err
	}
	one.Where = fmt.Sprintf("%s = %s and %s = any(%s)", c.keySQL(), one.Args.Bind(key, "text"), c.rowKeySQL("''"), one.Args.Bind(rows, "text[]"))
	return one, nil
}

func (c *Campaign) read(ctx context.Context, db pg.DBTX, p *Preview, composer *delivery.Composer) (*delivery.Person, error) {
	customers, err := customer.NewFetch(c.schema.Customer, composer.CustomerPaths())
	if err != nil {
		return nil, err
	}
	found, err := customers.Rows(ctx, db, []string{p.CustomerKey})
	if err != nil {
		return nil, err
	}
	person := &delivery.Person{Customer: found[p.CustomerKey]}
	if c.each == nil {
		return person, nil
	}
	fetch, err := customer.NewFetch(c.each.Target, composer.RowPaths())
	if err != nil {
		return nil, err
	}
	rows, err := fetch.Rows(ctx, db, p.Rows)
	if err != nil {
		return nil, err
	}
	for _, k := range p.Rows {
		person.Rows = append(person.Rows, rows[k])
	}
	return person, nil
}

// plainURLs lead where the author pointed: a preview is no message, and nothing of it is tracked.
type plainURLs struct{ c *Campaign }

func (u plainURLs) Open() string { return "" }

func (u plainURLs) Click(part response.Part, link int, query string) (string, error) {
	t := u.c.Content.Email.HTML
	if part == response.Text {
		t = u.c.Content.Email.Text
	}
	return templates.Target(t.Links()[link].URL, query), nil
}

func (u plainURLs) Unsubscribe() string { return "https://unsubscribe.invalid/preview" }
func (u plainURLs) Preferences() string { return "https://preferences.invalid/preview" }
func (u plainURLs) Confirm() string     { return "https://confirm.invalid/preview" }
