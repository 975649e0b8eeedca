package campaign

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

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

// pretend finds the last event that would have triggered the campaign: of one customer, or of anybody where key is "".
func (c *Campaign) pretend(ctx context.Context, db pg.DBTX, key string, now time.Time) (*pretended, error) {
	p := &pretended{event: c.anyEvent(now)}
	err := db.QueryRow(ctx, `select id, customer_key, at from events where name = $1 and ($2 = '' or customer_key = $2) order by id desc limit 1`,
		c.Event(), key).Scan(&p.last, &p.customer, &p.at)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the last event %s: %w", c.Event(), err)
	}
	events, err := segment.ReadEvents(ctx, db, c.event, c.schema.Zone, p.last)
	if err != nil {
		return nil, err
	}
	if e := events[p.last]; e != nil {
		p.event = e.AsOf(now)
	}
	return p, nil
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
