package campaign

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// EventFilter chooses events. Limit is required.
type EventFilter struct {
	Name     string
	Customer string
	Open     bool // only those that wait to be handled
	Limit    int  // the latest so many
}

// ListedEvent is an event that was taken, and what it did. Its data, which are personal, are not listed.
type ListedEvent struct {
	ID         int64       `json:"id"`
	Event      string      `json:"event"`
	Customer   string      `json:"customer"`
	At         time.Time   `json:"at"`
	ReceivedAt time.Time   `json:"received_at"`
	Actor      string      `json:"actor"`
	Warnings   []string    `json:"warnings,omitempty"`
	Triggered  []Triggered `json:"triggered"`
}

// Triggered is what an event came to with a campaign.
type Triggered struct {
	Campaign string `json:"campaign"`
	Outcome  string `json:"outcome,omitempty"` // planned, skipped: …, already, not meant, quarantine, removed, erased; "": it waits
	Run      int    `json:"run,omitempty"`
	Message  int64  `json:"message,omitempty"` // the first
	Messages int64  `json:"messages,omitempty"`
	State    string `json:"state,omitempty"` // of the first message, now: sent, or failed: refused
	Tries    int    `json:"tries,omitempty"` // in vain
	Trouble  string `json:"trouble,omitempty"`
}

// ListEvents lists the last events, the latest last.
func ListEvents(ctx context.Context, db pg.DBTX, f EventFilter) ([]ListedEvent, error) {
	rows, _ := db.Query(ctx, `
		select e.id, e.name, e.customer_key, e.happened_at, e.at, e.actor, e.warnings from events e
		where ($1 = '' or e.name = $1) and ($2 = '' or e.customer_key = $2)
		  and (not $3 or exists (select from triggers t where t.event_id = e.id and t.handled_at is null))
		order by e.id desc limit $4`, f.Name, f.Customer, f.Open, f.Limit)
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e ListedEvent, err error) {
		e.Triggered = []Triggered{}
		return e, row.Scan(&e.ID, &e.Event, &e.Customer, &e.At, &e.ReceivedAt, &e.Actor, &e.Warnings)
	})
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	slices.Reverse(list)
	return list, readTriggered(ctx, db, list)
}

func readTriggered(ctx context.Context, db pg.DBTX, list []ListedEvent) error {
	at, ids := map[int64]int{}, []int64{}
	for i, e := range list {
		at[e.ID], ids = i, append(ids, e.ID)
	}
	rows, _ := db.Query(ctx, `
		select t.event_id, c.name, coalesce(t.outcome, ''), coalesce(t.run_id, 0), coalesce(t.lo, 0), coalesce(t.hi - t.lo + 1, 0),
		       coalesce(concat_ws(': ', m.state::text, m.reason), ''), t.tries, coalesce(t.trouble, '')
		from triggers t join campaigns c on c.id = t.campaign_id left join messages m on m.id = t.lo
		where t.event_id = any($1) order by t.event_id, c.name`, ids)
	var event int64
	var t Triggered
	_, err := pgx.ForEachRow(rows, []any{&event, &t.Campaign, &t.Outcome, &t.Run, &t.Message, &t.Messages, &t.State, &t.Tries, &t.Trouble}, func() error {
		e := &list[at[event]]
		e.Triggered = append(e.Triggered, t)
		return nil
	})
	if err != nil {
		return fmt.Errorf("list what events did: %w", err)
	}
	return nil
}
