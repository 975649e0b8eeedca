package access

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// Logged is an entry of the audit log.
type Logged struct {
	ID      int64          `json:"id"`
	At      time.Time      `json:"at"` // by the database's clock
	Actor   string         `json:"actor"`
	Action  string         `json:"action"`
	Subject string         `json:"subject"`
	Detail  map[string]any `json:"detail"`
}

// LogFilter chooses entries; the zero value chooses the newest.
type LogFilter struct {
	Actor   string    // exactly
	Action  string    // exactly
	Subject string    // exactly, such as "run 12"; or a word, such as "run": everything of that kind
	Since   time.Time // at this moment or later
	Before  int64     // entries older than the one with this number; 0: from the newest
	Limit   int       // at most so many; 0: 50
}

// defaultLimit is how many entries a page of the log has.
const defaultLimit = 50

// Log lists entries of the audit log, the newest first. The next page is Before the last one's ID.
func Log(ctx context.Context, db pg.DBTX, f LogFilter) ([]Logged, error) {
	if f.Limit <= 0 {
		f.Limit = defaultLimit
	}
	args := pgx.NamedArgs{"actor": f.Actor, "action": f.Action, "subject": f.Subject, "since": f.Since, "before": f.Before, "limit": f.Limit}
	rows, _ := db.Query(ctx, `
		select id, at, actor, action, subject, detail from audit_log
		where (@actor::text = '' or actor = @actor) and (@action::text = '' or action = @action)
		  and (@subject::text = '' or subject = @subject or starts_with(subject, @subject || ' '))
		  and at >= @since and (@before::bigint = 0 or id < @before)
		order by id desc limit @limit`, args)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Logged])
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return list, nil
}
