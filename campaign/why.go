package campaign

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/segment"
)

// Why says whether one customer would get a campaign's message, and all that decides it, in the order in which planning and
// sending decide.
type Why struct {
	Campaign    string         `json:"campaign"`
	Version     int            `json:"version"`
	CustomerKey string         `json:"customer_key"`
	Name        string         `json:"name,omitempty"`
	AsOf        time.Time      `json:"as_of"`
	Today       string         `json:"today"`             // the date that the rule calls today()
	Day         string         `json:"-"`                 // for people: today, or on 2026-12-24
	Gets        bool           `json:"gets"`              // the message would be sent
	ByHand      bool           `json:"by_hand,omitempty"` // it would be sent if somebody ran the campaign now: only its schedule is against it
	When        *time.Time     `json:"when,omitempty"`
	Reasons     []Reason       `json:"reasons,omitempty"` // why it would not be sent
	Customer    *segment.Trace `json:"customer,omitempty"`
	Rows        []WhyRow       `json:"rows"`
	Checks      []WhyCheck     `json:"checks"`
	Channels    []WhyChannel   `json:"channels,omitempty"` // of a campaign with several, in the customer's order
	Earlier     []Earlier      `json:"earlier,omitempty"`
	Next        string         `json:"next,omitempty"`      // the first date on which the rule, the occasion and the cooldown would let it go
	NextGets    bool           `json:"next_gets,omitempty"` // on that date nothing else stands in the way, as far as is known
	NoNext      string         `json:"no_next,omitempty"`   // why there is no next date where one may be expected
}

// Reason is why somebody would not get a message: the name of a WhyCheck, and what it found.
type Reason struct {
	Check string `json:"check"`
	Text  string `json:"text"` // the rule does not mean them
}

// WhyRow is what the rule says of the customer, or of one of the customer's rows of `each`, and what a plan would make of it.
type WhyRow struct {
	Key      string         `json:"key,omitempty"`  // of the row of `each`
	Name     string         `json:"name,omitempty"` // vehicle 21
	Rule     *segment.Trace `json:"rule"`
	Occasion string         `json:"occasion,omitempty"` // of a row that is meant
	Outcome  string         `json:"outcome"`            // not meant, no request, already, planned, skipped
	Reason   string         `json:"reason,omitempty"`   // of skipped
}

// WhyCheck is one of the questions that a message has to pass.
type WhyCheck struct {
	Name string `json:"name"` // customer, rule, request, erasure, occasion, address, suppression, consent, cooldown, time, quiet, spread, cap, limits, quarantine, schedule
	OK   bool   `json:"ok"`
	Text string `json:"text"` // what was found: withdrawn on 2026-11-03
}

// Earlier is a message that the customer had, or was to have, from the campaign.
type Earlier struct {
	Occasion string    `json:"occasion"`
	State    string    `json:"state"` // of the message; "" where it is not kept any more
	Reason   string    `json:"reason,omitempty"`
	Run      int       `json:"run,omitempty"`
	At       time.Time `json:"at"`    // when it was sent, else planned
	Spent    bool      `json:"spent"` // the occasion is not used again
}

const notMeant = "not meant"

// whyAhead is how many days are looked ahead for the next date.
const whyAhead = 400

// inquiry is the making of a Why.
type inquiry struct {
	p      *Planner // its clock stands still
	tx     pgx.Tx   // taken back at the end
	c      *Campaign
	r      *Run
	clock  segment.Clock
	who    recipient
	base   []segment.Candidate // the customer
	rows   []segment.Candidate // what the rule is asked of
	today  bool                // it runs today
	paused bool                // messages, by the customer
	until  time.Time           // before this moment something that ends by itself stands in the way
	out    *Why
}

// Why asks a campaign's current version about one customer, by the key as the database writes it. A zero tick is now, in the
// company's zone; otherwise the question is asked as of that time. Nothing is kept of it. The error for a customer who is not
// there is customer.ErrNoCustomer's.
func (p *Planner) Why(ctx context.Context, name, key string, tick time.Time) (*Why, error) {
	c, r, err := p.Library.current(ctx, name)
	if err != nil {
		return nil, err
	}
	p.freeze(r, c, Start{Tick: tick})
	still := *p
	still.Now = func() time.Time { return r.AsOf }
	q := &inquiry{p: &still, c: c, r: r}
	q.out = &Why{Campaign: name, CustomerKey: key, AsOf: r.AsOf, Day: "today"}
	if zone := c.clock(r.Tick, r.AsOf).Zone; !date(p.Now().In(zone)).Equal(date(r.Tick)) {
		q.out.Day = "on " + r.Tick.Format(time.DateOnly)
	}
	if err := p.Pool.QueryRow(ctx, `select number from versions where id = $1`, r.VersionID).Scan(&q.out.Version); err != nil {
		return nil, fmt.Errorf("read the version of %s: %w", name, err)
	}
	err = pg.InTx(ctx, p.Pool, func(tx pgx.Tx) error {
		q.tx = tx
		if err := q.ask(ctx, !tick.IsZero()); err != nil {
			return err
		}
		return errDryRun
	})
	if !errors.Is(err, errDryRun) {
		return nil, err
	}
	return q.out, nil
}

func (q *inquiry) ask(ctx context.Context, asOf bool) error {
	var err error
	if q.who, err = q.c.recipient(ctx, q.tx, q.out.CustomerKey); err != nil {
		return err
	}
	q.out.Name = q.who.name
	schedule, err := q.schedule(ctx, asOf)
	if err != nil {
		return err
	}
	if err := q.c.give(ctx, q.tx, q.r); err != nil {
		return err
	}
	q.clock = q.c.clockOf(q.r)
	if err := q.fillFacts(ctx); err != nil {
		return err
	}
	q.out.Today = q.clock.Today.Format(time.DateOnly)
	if err := q.askRules(ctx); err != nil {
		return err
	}
	judged, err := q.judge(ctx)
	if err != nil {
		return err
	}
	q.take(judged)
	if err := q.askLedger(ctx); err != nil {
		return err
	}
	q.check("schedule", q.today, "%s", schedule)
	q.conclude(judged)
	return q.next(ctx)
}

// fillFacts is Campaign.fillFacts for the one customer, whose rule stands for customers.where.
func (q *inquiry) fillFacts(ctx context.Context) error {
	one, err := segment.One(q.c.schema, q.out.CustomerKey)
	if err != nil {
		return err
	}
	if err := segment.FillFacts(ctx, q.tx, one, q.clock, q.c.questions()...); err != nil {
		return &CompanyError{fmt.Errorf("ask the company's tables: %w", pg.WithoutValues(err))}
	}
	return nil
}

func (q *inquiry) check(name string, ok bool, format string, args ...any) {
	q.out.Checks = append(q.out.Checks, WhyCheck{name, ok, fmt.Sprintf(format, args...)})
}

// askRules evaluates customers.where and the campaign's rule.
func (q *inquiry) askRules(ctx context.Context) (err error) {
	c, key := q.c, q.out.CustomerKey
	if q.base, err = segment.Candidates(ctx, q.tx, segment.NewScope(c.schema), key, q.clock, c.base); err != nil {
		return &CompanyError{err}
	}
	if len(q.base) == 0 {
		return fmt.Errorf("customer %q: %w in %s", key, customer.ErrNoCustomer, c.schema.Customer.Table)
	}
	if q.rows, err = segment.Candidates(ctx, q.tx, c.scope, key, q.clock, c.base, c.where); err != nil {
		return &CompanyError{err}
	}
	if c.base != nil {
		if q.out.Customer, err = c.base.Trace(q.clock, q.base[0].Row); err != nil {
			return err
		}
		q.check("customer", q.out.Customer.Holds, "%s", map[bool]string{true: "counts as a customer", false: "does not count as a customer"}[q.out.Customer.Holds])
	}
	meant := 0
	for _, row := range q.rows {
		t, err := c.where.Trace(q.clock, row.Row)
		if err != nil {
			return err
		}
		if t.Holds {
			meant++
		}
		q.out.Rows = append(q.out.Rows, WhyRow{Key: row.Key.Each, Name: q.rowName(row.Key.Each), Rule: t, Outcome: notMeant})
	}
	q.check("rule", meant > 0, "%s", q.meantText(meant))
	return nil
}

func (q *inquiry) rowName(key string) string {
	if key == "" {
		return ""
	}
	return q.c.eachName + " " + key
}

func (q *inquiry) meantText(meant int) string {
	switch {
	case q.c.each == nil && meant > 0:
		return "means them"
	case q.c.each == nil:
		return "does not mean them"
	case len(q.rows) == 0:
		return "they have no " + q.c.each.Name
	}
	return fmt.Sprintf("means %d of %d %s", meant, len(q.rows), q.c.each.Name)
}

// recipient is what the company's row says about reaching a customer.
type recipient struct {
	name, raw, region string
	zone              string // as written
	optedIn           *bool
}

// recipient reads the address as a plan does.
func (c *Campaign) recipient(ctx context.Context, db pg.DBTX, key string) (r recipient, err error) {
	q, err := segment.Audience(segment.NewScope(c.schema), nil, nil, &segment.Args{}, anyClock())
	if err != nil {
		return r, err
	}
	q.Only(key)
	column := func(name, cast string) string {
		if name == "" {
			return "null::" + cast
		}
		return segment.CustomerAlias + "." + pgx.Identifier{name}.Sanitize() + "::" + cast
	}
	sql := fmt.Sprintf(`select coalesce(%s, ''), coalesce(left(%s, %d), ''), coalesce(%s, ''), coalesce(%s, ''), %s from %s where %s`,
		column(c.schema.Name.Column, "text"), c.rawAddressSQL(), customer.MaxRawAddress, c.regionSQL(q),
		column(c.schema.Timezone.Column, "text"), column(c.schema.Consent.Columns[c.Channel()], "boolean"), q.From, q.Where)
	err = db.QueryRow(ctx, sql, append([]any{pgx.QueryExecModeExec}, q.Args.Values()...)...).Scan(&r.name, &r.raw, &r.region, &r.zone, &r.optedIn)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, fmt.Errorf("customer %q: %w in %s", key, customer.ErrNoCustomer, c.schema.Customer.Table)
	}
	if err != nil {
		return r, &CompanyError{fmt.Errorf("ask the company's tables: %w", pg.WithoutValues(err))}
	}
	return r, nil
}

// judgement is what a plan makes of one occasion.
type judgement struct {
	RowKey    *string
	Occasion  string
	Already   bool
	Reason    string
	NotBefore *time.Time
}

// judge plans the run for one customer alone, by the statements that plan it for all, and takes it back.
func (q *inquiry) judge(ctx context.Context) (list []judgement, err error) {
	one := *q.r
	one.only = q.out.CustomerKey
	err = pg.InTx(ctx, q.tx, func(tx pgx.Tx) error {
		if err := customer.ShareErasures(ctx, tx); err != nil {
			return err
		}
		if err := q.p.selectDue(ctx, tx, &one, q.c); err != nil {
			return err
		}
		if err := q.p.draft(ctx, tx, &one, q.c); err != nil {
			return err
		}
		rows, _ := tx.Query(ctx, `
			select d.row_key, d.occasion, f.occasion is null as already, coalesce(w.reason, '') as reason, w.not_before
			from due d
			left join fresh f on f.customer_key = d.customer_key and f.occasion = d.occasion
			left join drafts w on w.customer_key = f.customer_key and (w.occasion is null or w.occasion = f.occasion)
			order by d.row_key, d.occasion`)
		if list, err = pgx.CollectRows(rows, pgx.RowToStructByName[judgement]); err != nil {
			return fmt.Errorf("read the plan for one customer: %w", err)
		}
		return errDryRun
	})
	if errors.Is(err, errDryRun) {
		return list, nil
	}
	return nil, err
}

// take notes the plan's outcomes on the rows.
func (q *inquiry) take(judged []judgement) {
	for i := range q.out.Rows {
		row := &q.out.Rows[i]
		for _, j := range judged {
			if j.RowKey != nil && *j.RowKey != row.Key {
				continue
			}
			row.Occasion, row.Reason = j.Occasion, j.Reason
			switch {
			case j.Already:
				row.Outcome = "already"
			case j.Reason != "":
				row.Outcome = "skipped"
			default:
				row.Outcome = "planned"
			}
		}
		if row.Outcome == notMeant && row.Rule.Holds && q.c.Confirms() {
			row.Outcome = "no request"
		}
	}
}

// conclude says whether the message would be sent: what the plan says, unless nothing is planned at all.
func (q *inquiry) conclude(judged []judgement) {
	out := q.out
	planned := false
	for _, j := range judged {
		if !j.Already && j.Reason == "" {
			planned, out.When = true, j.NotBefore
		}
	}
	for _, c := range out.Checks {
		if !c.OK {
			out.Reasons = append(out.Reasons, Reason{c.Name, c.Text})
		}
	}
	if !planned && len(out.Reasons) == 0 { // something changed while the question was asked
		out.Reasons = append(out.Reasons, Reason{"plan", strings.Join(unplanned(judged), ", ")})
	}
	if out.Gets = planned && len(out.Reasons) == 0; !out.Gets {
		out.When = nil
	}
	out.ByHand = planned && len(out.Reasons) == 1 && out.Reasons[0].Check == "schedule"
}

func unplanned(judged []judgement) []string {
	list := []string{"it would not be planned"}
	for _, j := range judged {
		if j.Reason != "" {
			list = append(list, j.Reason)
		}
	}
	return list
}
