package campaign

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// Preview is a message as it would be sent. The links of an e-mail lead where the author pointed them, and it has no
// pixel. Those of a text message have examples of codes, which lead nowhere, so that it is as long as it will be.
type Preview struct {
	CustomerKey string            `json:"customer_key"`
	Channel     string            `json:"channel"`
	Channels    []PreviewChannel  `json:"channels,omitempty"` // of a campaign with several: those that were asked, in the customer's order
	Rows        []string          `json:"rows,omitempty"`     // keys of the rows of `each`; nil without it
	Due         bool              `json:"in_audience"`        // the customer is in the audience now
	Skipped     string            `json:"skipped,omitempty"`  // of a customer in the audience: why a plan would skip them
	Address     string            `json:"address"`            // as the company wrote it
	Number      string            `json:"number,omitempty"`   // of a phone: as it is dialled, E.164
	Unusable    string            `json:"unusable,omitempty"` // of a phone: why no text reaches it
	Message     *channels.Message `json:"message"`
	Links       []ExampleLink     `json:"links,omitempty"` // of a text message
	Cost        *TextCost         `json:"cost,omitempty"`  // of a text message
}

// ExampleLink is a short link of a previewed text message, and where one in its place leads.
type ExampleLink struct {
	Short  string `json:"short"`
	Target string `json:"target"`
}

// Preview composes the message for one customer: the one of key, or the first of the audience who has an address. A customer outside the
// audience gets a preview all the same, unless the campaign goes through rows and there is none. Of several channels it is that by which
// a run would reach the customer; where none does, the first in their order. A zero tick is now, in the company's zone. publicURL is
// what short links begin with.
func (c *Campaign) Preview(ctx context.Context, db pg.DBTX, key string, tick, now time.Time, publicURL string) (*Preview, error) {
	v := &viewing{db: db, now: now, publicURL: publicURL}
	key, err := v.prepare(ctx, c, key, tick)
	if err != nil {
		return nil, err
	}
	if c.laddered() {
		return v.ladder(ctx, c, key)
	}
	p, reason, err := v.look(ctx, c, key)
	if err != nil {
		return nil, err
	}
	if p.Due {
		p.Skipped = reason
	}
	return v.compose(ctx, c, p)
}

// compose fills in the message. The error is about this customer alone.
func (p *Preview) compose(c *Campaign, composer *delivery.Composer, person *delivery.Person, publicURL string, now time.Time) (err error) {
	switch p.Channel = c.Channel(); p.Channel {
	case "email":
		p.Message, err = composer.Compose(*person, delivery.PlainURLs{Content: c.Content})
	default:
		err = p.composeText(composer, person, &exampleURLs{c: c, publicURL: publicURL})
	}
	if err == nil {
		p.Message.To.Addr, p.Message.Date = p.Address, now
	}
	return err
}

func (p *Preview) composeText(composer *delivery.Composer, person *delivery.Person, urls *exampleURLs) (err error) {
	if p.Message, err = composer.Compose(*person, urls); err != nil {
		return err
	}
	p.Links = urls.links
	if p.Channel == "sms" {
		p.Cost = MeasureText(p.Message.Text)
	}
	return nil
}

// choose finds whom to preview. Where there is a ledger, the first of the audience is one who was not erased.
func (c *Campaign) choose(ctx context.Context, db pg.DBTX, r *Run, key string, ledger bool) (*Preview, error) {
	p, err := c.chooseFrom(ctx, db, r, key, c.where, ledger)
	switch {
	case err != nil:
		return nil, err
	case p != nil:
		p.Due = true
		return p, nil
	case key == "":
		return nil, errors.New("nobody is in the audience now; name somebody with --customer, or another day with --as-of")
	}
	p, err = c.chooseFrom(ctx, db, r, key, nil, ledger)
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
func (c *Campaign) chooseFrom(ctx context.Context, db pg.DBTX, r *Run, key string, where *segment.Rule, ledger bool) (*Preview, error) {
	clock := c.clockOf(r)
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
	only := ""
	if key != "" {
		only = fmt.Sprintf(" and %s = %s", c.keySQL(), q.Args.Bind(key, "text"))
	}
	if key == "" && ledger {
		only = " and not exists (select from erasures e where e.customer_key = " + c.keySQL() + ")"
	}
	keyColumn := segment.CustomerAlias + "." + c.schema.KeyColumn().SQL()
	region := c.regionSQL(q)
	sql := fmt.Sprintf(`select %[1]s::text, array_agg(%[2]s order by (%[3]s) collate "C"), coalesce(min(%[4]s::text), ''), coalesce(min(%[8]s), '')
		from %[5]s where %[6]s%[7]s group by %[1]s order by coalesce(min(%[4]s::text), '') = '', %[1]s limit 1`,
		keyColumn, c.rowKeySQL("''::text"), occasion, c.rawAddressSQL(), q.From, q.Where, only, region)
	p := &Preview{}
	err = db.QueryRow(ctx, sql, append([]any{pgx.QueryExecModeExec}, q.Args.Values()...)...).Scan(&p.CustomerKey, &p.Rows, &p.Address, &region)
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
	if c.regional() && p.Address != "" {
		if number, err := customer.Normalise(c.Channel(), p.Address, region); err == nil {
			p.Number, p.Unusable = number.Normalised, number.Reason
		}
	}
	return p, nil
}

var errEnough = errors.New("enough")

// decided is the query for one customer's rows of a query that SQL can't say exactly: those of key, or of the first whom
// the rule means. Nobody else is asked.
func (c *Campaign) decided(ctx context.Context, db pg.DBTX, q *segment.Query, key string, clock segment.Clock) (*segment.Query, error) {
	if key == "" {
		err := q.Keys(ctx, db, func(keys []segment.Key) error {
			if len(keys) == 0 {
				return nil
			}
			key = keys[0].Customer
			return errEnough
		})
		if err != nil && !errors.Is(err, errEnough) {
			return nil, fmt.Errorf("ask the company's tables: %w", err)
		}
	}
	var rows []string
	if key != "" {
		q.Where = fmt.Sprintf("%s = %s and (%s)", c.keySQL(), q.Args.Bind(key, "text"), q.Where)
		err := q.Keys(ctx, db, func(keys []segment.Key) error {
			for _, k := range keys {
				rows = append(rows, k.Each)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("ask the company's tables: %w", err)
		}
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

// exampleURLs are as long as those of a message that is sent.
type exampleURLs struct {
	c         *Campaign
	publicURL string
	links     []ExampleLink
}

func (u *exampleURLs) Open() string { return "" }

func (u *exampleURLs) Click(_ response.Part, link int, query string) (string, error) {
	return u.short(templates.Target(u.c.Content.ShortLink(link), query)), nil
}

func (u *exampleURLs) Unsubscribe() string { return u.short("the customer's page to unsubscribe") }
func (u *exampleURLs) Preferences() string { return u.short("the customer's page of preferences") }
func (u *exampleURLs) Confirm() string     { return u.short("the customer's page to confirm") }

// short is the example of a short link: the same target has one in a message.
func (u *exampleURLs) short(target string) string {
	for _, l := range u.links {
		if l.Target == target {
			return l.Short
		}
	}
	code := fmt.Sprintf("Ab3dE9x%d", len(u.links)%10)
	u.links = append(u.links, ExampleLink{strings.TrimSuffix(u.publicURL, "/") + "/s/" + code, target})
	return u.links[len(u.links)-1].Short
}
