package campaign

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/segment"
)

// pretended is an event that has not come, for previews and for sapa why: as the last one, or as sapa.yaml declares it.
type pretended struct {
	event    *segment.Event
	last     int64 // the event whose data it has; 0: none
	customer string
	at       time.Time // when that came
}

// pretend finds the last event that would have triggered the campaign: of one customer, or where key is "" of anybody who is
// still there.
func (c *Campaign) pretend(ctx context.Context, db pg.DBTX, key string, now time.Time) (*pretended, error) {
	p := &pretended{event: c.anyEvent(now)}
	last, err := c.lastEvents(ctx, db, key)
	if err != nil {
		return nil, err
	}
	if key == "" {
		if last, err = c.ofCustomers(ctx, db, last); err != nil {
			return nil, err
		}
	}
	if len(last) == 0 {
		return p, nil
	}
	p.last, p.customer, p.at = last[0].ID, last[0].Customer, last[0].At
	events, err := segment.ReadEvents(ctx, db, c.event, c.schema.Zone, p.last)
	if err != nil {
		return nil, err
	}
	if e := events[p.last]; e != nil {
		p.event = e.AsOf(now)
	}
	return p, nil
}

// lastMost is how many events are looked through for one whose customer is still there.
const lastMost = 100

// lastEvent is an event that came.
type lastEvent struct {
	ID       int64
	Customer string
	At       time.Time
}

// lastEvents are the last events of the campaign's name, the latest first: of one customer, or of anybody.
func (c *Campaign) lastEvents(ctx context.Context, db pg.DBTX, key string) ([]lastEvent, error) {
	rows, _ := db.Query(ctx, `
		select id, customer_key, at from events where name = $1 and ($2 = '' or customer_key = $2) order by id desc limit $3`,
		c.Event(), key, lastMost)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[lastEvent])
	if err != nil {
		return nil, fmt.Errorf("look for the last event %s: %w", c.Event(), err)
	}
	return list, nil
}

// ofCustomers leaves those events whose customers are in the company's table: not erased, and not gone.
func (c *Campaign) ofCustomers(ctx context.Context, db pg.DBTX, list []lastEvent) ([]lastEvent, error) {
	var keys []string
	for _, e := range list {
		if key, ok := c.schema.CanonicalKey(e.Customer); ok {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	fetch, err := customer.NewFetch(c.schema.Customer, nil)
	if err != nil {
		return nil, err
	}
	found, err := fetch.Rows(ctx, db, keys)
	if err != nil {
		return nil, &CompanyError{err}
	}
	return slices.DeleteFunc(list, func(e lastEvent) bool { return found[e.Customer] == nil }), nil
}

// pretendFor gives a preview its event, and where no customer is named the one whose event came last.
func (c *Campaign) pretendFor(ctx context.Context, db pg.DBTX, r *Run, key string) (string, error) {
	if !c.Triggered() {
		return key, nil
	}
	p, err := c.pretend(ctx, db, key, r.AsOf)
	if err != nil {
		return "", err
	}
	if r.event = p.event; key == "" {
		key = p.customer
	}
	return key, nil
}

// trigger asks the question as if the campaign's event came at this moment, and says which that is.
func (q *inquiry) trigger(ctx context.Context) (string, error) {
	p, err := q.c.pretend(ctx, q.tx, q.out.CustomerKey, q.r.AsOf)
	if err != nil {
		return "", err
	}
	q.today, q.r.event = true, p.event
	text := fmt.Sprintf("goes when the event %s comes: asked as if it came now, ", q.c.Event())
	if p.last == 0 {
		return text + "with an example of what sapa.yaml declares, since none of theirs is known", nil
	}
	return text + fmt.Sprintf("with the data of their last one, event %d of %s", p.last, p.at.In(q.clockZone()).Format("2006-01-02 15:04")), nil
}

func (q *inquiry) clockZone() *time.Location { return q.c.clock(q.r.Tick, q.r.AsOf).Zone }
