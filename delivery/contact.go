package delivery

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// Contact is a message that counts for a customer's caps, or will.
type Contact struct {
	Campaign string
	At       time.Time      // when it was claimed; of one that is planned, when it may go
	Planned  bool           // its campaign has a higher priority than the one that is asked about
	Caps     []customer.Cap // of one that is planned: those that it is under
}

// Contacts reads what one customer got and is about to get, from the ledger itself: above is the priority from which on
// planned messages matter. The claim asks the same of table contacts, which has it by customer, and of many at once.
func Contacts(ctx context.Context, db pg.DBTX, key string, above int, moment time.Time) ([]Contact, error) {
	rows, _ := db.Query(ctx, `
		select distinct on (m.id) c.name, case when m.state = 'planned' then greatest(m.not_before, $3) else least(coalesce(m.claimed_at, m.not_before), $3) end,
		       m.state = 'planned', r.cap_most, r.cap_within
		from campaigns c
		join occasions o on o.campaign_id = c.id and o.customer_key = $1
		join messages m on m.id = o.message_id
		join runs r on r.id = m.run_id
		where not r.cap_exempt and (m.state in ('claimed', 'sent', 'unknown')
		      or m.state = 'planned' and r.priority > $2 and (m.not_after is null or m.not_after > $3))
		order by m.id`, key, above, moment)
	var list []Contact
	var c Contact
	var most []int
	var within []time.Duration
	_, err := pgx.ForEachRow(rows, []any{&c.Campaign, &c.At, &c.Planned, &most, &within}, func() error {
		c.Caps = nil
		if c.Planned {
			for i := range most {
				c.Caps = append(c.Caps, customer.Cap{Most: most[i], Within: within[i]})
			}
		}
		list = append(list, c)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what counts for caps: %w", err)
	}
	return list, nil
}

// Crowded is a cap that leaves no room for a message at a moment.
type Crowded struct {
	Cap  customer.Cap
	Had  int       // what counts for it: messages had
	Next []Contact // and planned ones of higher priority, for which the place is kept
	Free time.Time // when there is room again
}

// Crowded is the cap that leaves no room for another message at a moment, and of several the one that does so longest; nil:
// there is room. It decides as the function capped does in the database.
func (l *Limits) Crowded(contacts []Contact, moment time.Time) *Crowded {
	var worst *Crowded
	ask := func(c customer.Cap, at time.Time, ahead bool) {
		full := Crowded{Cap: c}
		for _, k := range contacts {
			if !k.At.After(at.Add(-c.Within)) || k.At.After(at) || k.Planned && !ahead {
				continue
			}
			if k.Planned {
				full.Next = append(full.Next, k)
			} else {
				full.Had++
			}
		}
		if full.Had+len(full.Next) < c.Most || ahead && full.Had >= c.Most {
			return
		}
		full.Free = free(contacts, c, moment)
		if worst == nil || full.Free.After(worst.Free) {
			worst = &full
		}
	}
	for _, c := range l.Caps {
		ask(c, moment, false)
	}
	if len(l.Caps) == 0 {
		return nil
	}
	for _, k := range contacts {
		for _, c := range k.Caps {
			if k.At.Add(-c.Within).Before(moment) {
				ask(c, k.At, true)
			}
		}
	}
	return worst
}

// free is when a cap that is full has room again, once the planned messages have gone.
func free(contacts []Contact, c customer.Cap, moment time.Time) time.Time {
	var times []time.Time
	for _, k := range contacts {
		if k.At.After(moment.Add(-c.Within)) {
			times = append(times, k.At)
		}
	}
	slices.SortFunc(times, func(a, b time.Time) int { return b.Compare(a) })
	if len(times) < c.Most {
		return moment.Add(c.Within)
	}
	return times[c.Most-1].Add(c.Within)
}
