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

// Alert is what somebody of the company was told about a customer. Its words may name anybody.
type Alert struct {
	ID          int64      `json:"id"`
	At          time.Time  `json:"at"`
	Desk        string     `json:"desk"`
	Title       string     `json:"title"`
	Text        string     `json:"text"`
	CustomerKey *string    `json:"customer_key"`
	Campaign    string     `json:"campaign"`
	MessageID   int64      `json:"message_id,string"`
	DoneAt      *time.Time `json:"done_at"`
	DoneBy      *string    `json:"done_by"`
}

// AlertFilter chooses alerts; the zero value chooses those of all desks that nobody has seen to.
type AlertFilter struct {
	Desk  string // only this one's
	All   bool   // also those that somebody has seen to
	Limit int    // at most so many, the latest; 0: all
}

// Alerts lists alerts, the latest first.
func Alerts(ctx context.Context, db pg.DBTX, f AlertFilter) ([]Alert, error) {
	rows, _ := db.Query(ctx, `
		select id, at, desk, title, text, customer_key, campaign, message_id, done_at, done_by
		from alerts
		where (@desk = '' or desk = @desk) and (@all::boolean or done_at is null)
		order by id desc
		limit nullif(@limit, 0)`, pgx.NamedArgs{"desk": f.Desk, "all": f.All, "limit": f.Limit})
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Alert])
	if err != nil {
		return nil, fmt.Errorf("list alerts: %w", err)
	}
	return list, nil
}

// OpenAlerts are how many alerts of each desk nobody has seen to.
func OpenAlerts(ctx context.Context, db pg.DBTX) (map[string]int, error) {
	rows, _ := db.Query(ctx, `select desk, count(*)::int from alerts where done_at is null group by desk`)
	open := map[string]int{}
	var desk string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&desk, &n}, func() error { open[desk] = n; return nil }); err != nil {
		return nil, fmt.Errorf("count alerts: %w", err)
	}
	return open, nil
}

// WriteAlertsCSV writes one line per alert (RFC 4180), with a head.
func WriteAlertsCSV(w io.Writer, list []Alert) error {
	c := csv.NewWriter(w)
	if err := c.Write([]string{"id", "at", "desk", "title", "text", "customer_key", "campaign", "message_id", "done_at", "done_by"}); err != nil {
		return fmt.Errorf("write alerts: %w", err)
	}
	for _, a := range list {
		err := c.Write([]string{
			strconv.FormatInt(a.ID, 10), timeText(&a.At), a.Desk, harmless(a.Title), harmless(a.Text), harmless(value(a.CustomerKey)), a.Campaign,
			strconv.FormatInt(a.MessageID, 10), timeText(a.DoneAt), value(a.DoneBy),
		})
		if err != nil {
			return fmt.Errorf("write alerts: %w", err)
		}
	}
	c.Flush()
	return c.Error()
}
