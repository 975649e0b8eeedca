package campaign

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/internal/pg"
)

// Begin makes a run of the campaign's current version and leaves planning and sending to the processes that serve: for
// callers who can't wait. A run that can't be planned is cancelled with the reason.
func (p *Planner) Begin(ctx context.Context, s Start) (*Run, error) {
	r, _, err := p.newRun(ctx, s)
	if err != nil {
		return nil, err
	}
	err = pg.InTx(ctx, p.Pool, func(tx pgx.Tx) error {
		if err := insertRun(ctx, tx, r, s.Actor); err != nil {
			return err
		}
		if err := recordRun(ctx, tx, r, s.Actor); err != nil {
			return err
		}
		return p.planLater(ctx, tx, r.ID)
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// ResumeLater is Resume for callers who can't wait: what must be planned first is planned by a process that serves.
func (p *Planner) ResumeLater(ctx context.Context, id int, actor string) error {
	r, err := p.run(ctx, p.Pool, id)
	if err != nil {
		return err
	}
	if r.State == "planning" || r.State == "paused" && !r.planned {
		return p.change(ctx, id, actor, "resume", []string{r.State}, "planning", "", func(tx pgx.Tx) error { return p.planLater(ctx, tx, id) })
	}
	return p.change(ctx, id, actor, "resume", []string{"paused"}, "sending", "", p.wake(ctx, id))
}

func (p *Planner) planLater(ctx context.Context, tx pgx.Tx, id int) error {
	return p.Queue.InsertTx(ctx, tx, PlanArgs{Run: id}, nil)
}

// recordRun writes into the audit log that somebody began a run by hand.
func recordRun(ctx context.Context, tx pgx.Tx, r *Run, actor string) error {
	var version int
	if err := tx.QueryRow(ctx, `select number from versions where id = $1`, r.VersionID).Scan(&version); err != nil {
		return fmt.Errorf("read version %d: %w", r.VersionID, err)
	}
	return access.Record(ctx, tx, access.Entry{Actor: actor, Action: "run", Subject: fmt.Sprintf("run %d", r.ID), Detail: map[string]any{
		"campaign": r.Campaign, "version": version, "tick": r.Tick.Format("2006-01-02T15:04"), "label": r.Label,
	}})
}
