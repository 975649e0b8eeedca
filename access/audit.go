package access

import (
	"context"
	"fmt"

	"github.com/sapa-crm/sapa/internal/pg"
)

// Entry is a change that the audit log keeps.
type Entry struct {
	Actor   string         // an account of the operating system, a Sapa user, or "sapa" itself
	Action  string         // a verb: apply, run, pause, suppress, …
	Subject string         // what was changed: "run 12", "campaign birthday"
	Detail  map[string]any // more about it; never personal data
}

// Record appends to the audit log. Call it in the transaction that makes the change, so that neither is without the other.
func Record(ctx context.Context, db pg.DBTX, e Entry) error {
	if e.Detail == nil {
		e.Detail = map[string]any{}
	}
	_, err := db.Exec(ctx, `insert into audit_log (actor, action, subject, detail) values ($1, $2, $3, $4)`, e.Actor, e.Action, e.Subject, e.Detail)
	if err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	return nil
}
