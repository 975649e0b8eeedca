package report

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// Message is one message of a run, without its address.
type Message struct {
	MessageID   int64      `json:"message_id,string"`
	CustomerKey string     `json:"customer_key"`
	Channel     string     `json:"channel"`
	State       string     `json:"state"`
	Reason      *string    `json:"reason"`
	NotBefore   *time.Time `json:"not_before"` // of a planned one: it may go from then on
	SentAt      *time.Time `json:"sent_at"`
	OpenedAt    *time.Time `json:"opened_at"`
	ClickedAt   *time.Time `json:"clicked_at"`
	Attempts    int        `json:"attempts"`
	Code        *int       `json:"code"`
	Words       *string    `json:"words"`

	DeliveredAt     *time.Time `json:"delivered_at"` // these as the provider reported
	UndeliveredAt   *time.Time `json:"undelivered_at"`
	UndeliveredCode *int       `json:"undelivered_code"`
	RepliedAt       *time.Time `json:"replied_at"`

	Step    int     `json:"step"`                     // which rung of its ladder it is; 0: the first
	Follows *int64  `json:"follows,string,omitempty"` // the message of the rung before
	Because *string `json:"because,omitempty"`        // and why this one follows
}

// Messages lists at most limit messages of a run, in the order of their ids; limit 0 and state "" are all of them. A run
// that does not exist is an error.
func Messages(ctx context.Context, db pg.DBTX, run int, state string, limit int) ([]Message, error) {
	rows, _ := db.Query(ctx, `
		select message_id, customer_key, channel, state, reason,
		       case when state = 'planned' then (select m.not_before from messages m where m.id = message_id) end as not_before, sent_at, opened_at, clicked_at, attempts, code, words,
		       delivered_at, undelivered_at, undelivered_code, replied_at, step, follows, because
		from report_messages
		where run_id = $1 and (state = $2 or $2 = '')
		order by message_id
		limit nullif($3, 0)`, run, state, limit)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Message])
	if err != nil {
		return nil, fmt.Errorf("list messages of run %d: %w", run, err)
	}
	if len(list) > 0 {
		return list, nil
	}
	var exists bool
	if err := db.QueryRow(ctx, `select exists (select from runs where id = $1)`, run).Scan(&exists); err != nil {
		return nil, fmt.Errorf("list messages of run %d: %w", run, err)
	}
	if !exists {
		return nil, noRun(Filter{Run: run})
	}
	return nil, nil
}
