package report

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// callLine is a line of a run's exported list.
type callLine struct {
	ID                                 int64
	Key, Name, Phone                   *string
	Reason, Offer, Script, State, Note *string
	Outcome, Agent, Because            *string
	Tries                              int
	DueAt                              *time.Time
	LastAt                             *time.Time
}

// WriteCallsCSV writes a run's list of calls, one line each (RFC 4180) with a head, for those who call with another program. It
// has names and telephone numbers. Those that the agents have not made yet come as they would be given out, then the others. It
// returns how many there are; a run without calls is an error.
func WriteCallsCSV(ctx context.Context, db pg.DBTX, w io.Writer, run int) (n int, err error) {
	rows, _ := db.Query(ctx, `
		select c.message_id, c.customer_key, c.name, a.normalised, c.reason, c.offer, c.script, m.state::text, t.note,
		       c.outcome, coalesce(t.agent, c.claimed_by), m.reason, c.tries, case when c.done_at is null then c.due_at end, t.at
		from calls c
		left join messages m on m.id = c.message_id
		left join addresses a on a.id = m.address_id
		left join lateral (select * from call_tries t where t.message_id = c.message_id order by t.number desc limit 1) t on true
		where c.run_id = $1
		order by c.done_at is not null, c.due_at, c.message_id`, run)
	out := csv.NewWriter(w)
	if err := out.Write([]string{"call", "customer_key", "name", "phone", "reason", "offer", "script", "due_at", "unanswered", "state", "because", "outcome", "agent", "last_at", "note"}); err != nil {
		return 0, fmt.Errorf("write calls of run %d: %w", run, err)
	}
	var c callLine
	into := []any{&c.ID, &c.Key, &c.Name, &c.Phone, &c.Reason, &c.Offer, &c.Script, &c.State, &c.Note, &c.Outcome, &c.Agent, &c.Because, &c.Tries, &c.DueAt, &c.LastAt}
	_, err = pgx.ForEachRow(rows, into, func() error {
		n++
		return out.Write(c.fields())
	})
	if err == nil && n == 0 {
		return 0, notFound(fmt.Sprintf("run %d has no calls; see: sapa calls", run))
	}
	out.Flush()
	if err == nil {
		err = out.Error()
	}
	if err != nil {
		return n, fmt.Errorf("write calls of run %d: %w", run, err)
	}
	return n, nil
}

// fields are the line's. A telephone number is one for sure (E.164), and stands as it is, with its +, so that programs can read it.
func (c *callLine) fields() []string {
	text := func(p *string) string { return harmless(value(p)) }
	return []string{
		strconv.FormatInt(c.ID, 10), text(c.Key), text(c.Name), value(c.Phone), text(c.Reason), text(c.Offer), text(c.Script), timeText(c.DueAt),
		strconv.Itoa(c.Tries), value(c.State), text(c.Because), value(c.Outcome), text(c.Agent), timeText(c.LastAt), text(c.Note),
	}
}
