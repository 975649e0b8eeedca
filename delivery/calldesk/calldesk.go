// Package calldesk gives calls to the people who make them, and takes what came of each: the list of channel calls at work.
//
//	d := &calldesk.Desk{Pool: pool, Schema: schema, Library: library, URLs: urls, Settings: settings.WithDefaults(), Now: time.Now}
//	call, err := d.Next(ctx, "ani")                                     // ErrNone: nobody is to be called now
//	_, err = d.Done(ctx, "ani", call.ID, calldesk.Result{Outcome: calls.Order, Note: "roses"})
//
// A customer is with one agent at a time, whatever campaigns want them called. Whether they may be called is asked again when
// the call is given out. docs/calls.md has the rules.
package calldesk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/response"
)

// Desk works the list of calls. All fields but Log are required. Any number of agents may use a Desk at once.
type Desk struct {
	Pool     *pgxpool.Pool
	Schema   *customer.Schema
	Library  delivery.Library
	URLs     *response.URLs         // of links in what agents say
	Settings customer.CallsSettings // WithDefaults
	Now      func() time.Time       // business time
	Log      *slog.Logger           // nil: nobody reads it

	resting resting
}

// Errors that callers branch on.
var (
	ErrNone     = errors.New("nobody is to be called now")
	ErrNotFound = errors.New("there is no such call")
	ErrState    = errors.New("that is not possible with this call now")
	ErrTime     = errors.New("that is no time to call back")
)

// Call is a call that an agent has been given.
type Call struct {
	ID          int64      `json:"id,string"` // the message's
	Run         int        `json:"run"`
	Campaign    string     `json:"campaign"`
	CustomerKey string     `json:"customer_key"`
	Name        string     `json:"name"`
	Phone       string     `json:"phone"` // E.164
	Locale      string     `json:"locale"`
	Zone        string     `json:"zone"` // the customer's
	Reason      string     `json:"reason"`
	Offer       string     `json:"offer"`
	Script      string     `json:"script"`
	Tries       int        `json:"tries"`    // so often nobody answered
	Last        bool       `json:"last"`     // if nobody answers now, it is given up
	CallBack    bool       `json:"callback"` // the customer expects it
	Until       time.Time  `json:"until"`    // so long it is kept for the agent
	Card        []CardLine `json:"card"`
	Stop        *Stop      `json:"stop"` // why it must not be made any more; nil: it may
}

// CardLine is a value of the customer's row.
type CardLine struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// keepFor is how long after its time a call back is kept for the agent who agreed on it.
const keepFor = 30 * time.Minute

// mostRefused bounds how many calls that may not be made any more are put aside while one agent waits.
const mostRefused = 300

// Next gives an agent the next call: the one that they have already, as Current does, or the first that may be made now. What may
// not be made any more is put aside with its reason. The error is ErrNone where there is nothing to do, else the database's.
func (d *Desk) Next(ctx context.Context, agent string) (*Call, error) {
	for range mostRefused {
		c, err := d.Current(ctx, agent)
		if !errors.Is(err, ErrNone) {
			return c, err
		}
		if err := d.claim(ctx, agent); err != nil {
			return nil, err
		}
		if c, err = d.first(ctx, agent); c != nil || err != nil {
			return c, err
		}
	}
	return nil, fmt.Errorf("%w: %d calls in a row may not be made any more; ask again", ErrNone, mostRefused)
}

// first looks at a call that an agent has just been given; nil where they are not to see it.
func (d *Desk) first(ctx context.Context, agent string) (*Call, error) {
	c, err := d.held(ctx, agent)
	if errors.Is(err, ErrNone) {
		return nil, nil // it was taken away at once
	}
	if err != nil {
		return nil, err
	}
	reason, err := d.look(ctx, c)
	switch {
	case err != nil:
		cause := fmt.Errorf("look at call %d: %w", c.ID, err)
		return nil, cmp.Or(d.drop(context.WithoutCancel(ctx), agent, c.ID), d.hold(ctx, c.Run, cause))
	case reason != "":
		return nil, d.skip(ctx, []int64{c.ID}, reason)
	}
	return &c.Call, nil
}

// Current is the call that an agent has; ErrNone: none. They may be speaking at this moment: where it must not be made any
// more, it stays theirs, with Stop, and without what leads to calling.
func (d *Desk) Current(ctx context.Context, agent string) (*Call, error) {
	c, err := d.held(ctx, agent)
	if err != nil {
		return nil, err
	}
	reason := d.moved(ctx, c)
	if reason == "" {
		if reason, err = d.look(ctx, c); err != nil {
			if err := d.hold(ctx, c.Run, fmt.Errorf("look at call %d: %w", c.ID, err)); err != nil {
				return nil, err
			}
			reason = notRead
		}
	}
	if reason != "" {
		c.stop(reason)
	}
	return &c.Call, nil
}

// given is a call with what is looked at before it is made.
type given struct {
	Call
	version        int
	topic          string
	state, because string // the message's
	runState       string
	notAfter       *time.Time
}

// held reads the call that an agent has.
func (d *Desk) held(ctx context.Context, agent string) (*given, error) {
	c := &given{}
	err := d.Pool.QueryRow(ctx, `
		select c.message_id, c.run_id, g.name, v.id, v.topic, c.customer_key, coalesce(c.name, ''), coalesce(a.normalised, ''),
		       coalesce(c.locale, ''), coalesce(m.zone, $3), coalesce(c.reason, ''), coalesce(c.offer, ''), coalesce(c.script, ''), c.tries,
		       c.keeper is not null, c.claimed_until, m.state::text, coalesce(m.reason, ''), r.state::text, m.not_after
		from calls c
		join runs r on r.id = c.run_id join campaigns g on g.id = r.campaign_id join versions v on v.id = r.version_id
		join messages m on m.id = c.message_id
		left join addresses a on a.id = m.address_id
		where c.claimed_by = $1 and c.claimed_until > $2`, agent, d.Now(), d.Schema.Zone).
		Scan(&c.ID, &c.Run, &c.Campaign, &c.version, &c.topic, &c.CustomerKey, &c.Name, &c.Phone, &c.Locale, &c.Zone,
			&c.Reason, &c.Offer, &c.Script, &c.Tries, &c.CallBack, &c.Until, &c.state, &c.because, &c.runState, &c.notAfter)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("read the call of an agent: %w", err)
	}
	c.Last = c.Tries+1 >= d.Settings.Tries
	return c, nil
}

// Release gives a call back, for somebody else to make.
func (d *Desk) Release(ctx context.Context, agent string, id int64) error {
	return d.inTx(ctx, func(tx pgx.Tx) error {
		o, err := d.open(ctx, tx, agent, id)
		if err != nil {
			return err
		}
		if o.claimedBy == nil {
			return fmt.Errorf("call %d: %w: nobody has it", id, ErrState)
		}
		_, err = tx.Exec(ctx, `
			update calls set claimed_by = null, claimed_at = null, claimed_until = null, keeper = null, due_at = greatest(due_at, $2)
			where message_id = $1`, id, d.Now())
		return err
	})
}

// drop gives a call back that could not be looked at.
func (d *Desk) drop(ctx context.Context, agent string, id int64) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := d.Pool.Exec(ctx, `
		update calls set claimed_by = null, claimed_at = null, claimed_until = null where message_id = $1 and claimed_by = $2`, id, agent)
	return err
}

// inTx runs f in a transaction that waits for erasures.
func (d *Desk) inTx(ctx context.Context, f func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, d.Pool, func(tx pgx.Tx) error {
		if err := customer.ShareErasures(ctx, tx); err != nil {
			return err
		}
		return f(tx)
	})
}

// openCall is a call that is not done, locked.
type openCall struct {
	id                  int64
	customerKey         string
	phone               *string
	tries               int
	claimedBy           *string
	claimedUntil        *time.Time
	zone, outcome       string
	version, run        int
	notAfter            *time.Time
	campaign, cancelled string
	erased              bool
}

// open locks a call that is not done and that no other agent has.
func (d *Desk) open(ctx context.Context, tx pgx.Tx, agent string, id int64) (*openCall, error) {
	o := &openCall{id: id}
	var done *time.Time
	err := tx.QueryRow(ctx, `
		select c.customer_key, a.normalised, c.tries, c.claimed_by, c.claimed_until, coalesce(m.zone, $2), coalesce(c.outcome, ''), c.done_at,
		       r.version_id, r.id, m.not_after, g.name, case when m.state = 'planned' then '' else concat_ws(': ', m.state, m.reason) end,
		       exists (select from erasures e where e.pseudonym = c.customer_key)
		from calls c
		join runs r on r.id = c.run_id join campaigns g on g.id = r.campaign_id
		join messages m on m.id = c.message_id
		left join addresses a on a.id = m.address_id
		where c.message_id = $1
		for update of c`, id, d.Schema.Zone).
		Scan(&o.customerKey, &o.phone, &o.tries, &o.claimedBy, &o.claimedUntil, &o.zone, &o.outcome, &done, &o.version, &o.run, &o.notAfter, &o.campaign, &o.cancelled, &o.erased)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, fmt.Errorf("call %d: %w", id, ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("read call %d: %w", id, err)
	case done != nil && o.outcome != "":
		return nil, fmt.Errorf("call %d: %w: it is done, %s", id, ErrState, o.outcome)
	case o.claimedBy != nil && *o.claimedBy != agent && o.claimedUntil.After(d.Now()):
		return nil, fmt.Errorf("call %d: %w: %s has it until %s", id, ErrState, *o.claimedBy, o.claimedUntil.In(d.zone(o.zone)).Format("15:04"))
	}
	return o, nil
}

// zone is a zone by its name; the company's where it is none.
func (d *Desk) zone(name string) *time.Location {
	for _, name := range []string{name, d.Schema.Zone} {
		if where, err := time.LoadLocation(name); err == nil {
			return where
		}
	}
	return time.UTC
}
