package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/segment"
)

// WakeupsFrom is Wakeups for the batches behind a message's id: those that an event has added to a run.
func WakeupsFrom(ctx context.Context, db pg.DBTX, run int, behind int64) ([]Wakeup, error) {
	rows, _ := db.Query(ctx, `
		select id as batch, channel, lane, due_at, triggered, priority
		from batches where run_id = $1 and lo > $2 and not done and worker is null order by id`, run, behind)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Wakeup])
	if err != nil {
		return nil, fmt.Errorf("list batches of run %d: %w", run, err)
	}
	return list, nil
}

// CountAdded notes messages that were added to a run in table contacts, where the run has been noted there. Call it behind
// CountContacts, whose lock it needs.
func CountAdded(ctx context.Context, tx pgx.Tx, run int, lo, hi int64) error {
	_, err := tx.Exec(ctx, `
		insert into contacts (customer, message_id)
		select hashtextextended(m.customer_key, 0), m.id from messages m
		where m.id between $2 and $3 and m.state = 'planned' and exists (select from contact_runs where run_id = $1)
		on conflict do nothing`, run, lo, hi)
	if err != nil {
		return fmt.Errorf("note the contacts of run %d: %w", run, err)
	}
	return nil
}

// findEvents gives messages of a triggered run the events that triggered them; those of later rungs have that of the first.
func (f *filler) findEvents(ctx context.Context, claimed []*message) error {
	if f.content.Event == nil || len(claimed) == 0 {
		return nil
	}
	ids := make([]int64, len(claimed))
	for i, m := range claimed {
		ids[i] = m.ID
	}
	rows, _ := f.engine.Pool.Query(ctx, `
		with recursive first as (
			select id, id as at from unnest($2::bigint[]) id
			union all
			select f.id, r.message_id from first f join rungs r on r.next_id = f.at
		)
		select f.id, e.id, e.at from first f
		join triggers t on t.run_id = $1 and f.at between t.lo and t.hi
		join events e on e.id = t.event_id`, f.lease.run, ids)
	type eventOf struct {
		Message, Event int64
		At             time.Time
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[eventOf])
	if err != nil {
		return fmt.Errorf("find the events of run %d: %w", f.lease.run, err)
	}
	of, events := map[int64]eventOf{}, []int64{}
	for _, e := range list {
		of[e.Message], events = e, append(events, e.Event)
	}
	found, err := segment.ReadEvents(ctx, f.engine.Pool, f.content.Event, f.engine.Schema.Zone, events...)
	if err != nil {
		return err
	}
	for _, m := range claimed {
		m.event, m.eventAt = found[of[m.ID].Event], of[m.ID].At
	}
	return nil
}

// stillMeantByEvents is stillMeant for messages that events have triggered: the rule is asked as of each event.
func (f *filler) stillMeantByEvents(ctx context.Context, claimed []*message) (func(*message) meant, error) {
	by := map[int64]meant{}
	for _, m := range claimed {
		if m.event == nil || f.engine.Now().Sub(m.eventAt) <= ruleHolds || by[m.event.ID] != nil {
			continue
		}
		keys, err := f.engine.Library.StillByEvent(ctx, f.lease.run, m.event.ID)
		if err != nil {
			return nil, err
		}
		by[m.event.ID] = newMeant(keys)
	}
	return func(m *message) meant {
		if m.event == nil {
			return nil
		}
		return by[m.event.ID]
	}, nil
}

func newMeant(keys []segment.Key) meant {
	still := make(meant, len(keys))
	for _, k := range keys {
		still[k] = true
	}
	return still
}
