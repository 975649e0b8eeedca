package campaign

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
)

// ErrQuarantined says that a campaign makes no runs, because its template failed for too many people.
var ErrQuarantined = errors.New("the campaign is in quarantine")

// Quarantine is a campaign that makes no runs until another version is applied, or a person lets it go on.
type Quarantine struct {
	Campaign string    `json:"campaign"`
	Version  int       `json:"version"`
	Run      int       `json:"run"` // which showed it
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"`
}

type quarantinedError struct{ q Quarantine }

func (e *quarantinedError) Error() string {
	return fmt.Sprintf("%s is in quarantine since run %d: %s\nwhy: sapa messages %[2]d --state failed; then mend the template and apply it, or let the campaign go on as it is: sapa resume %[1]s",
		e.q.Campaign, e.q.Run, e.q.Reason)
}

func (e *quarantinedError) Is(target error) bool { return target == ErrQuarantined }

// Quarantines lists the campaigns in quarantine by name.
func Quarantines(ctx context.Context, db pg.DBTX) ([]Quarantine, error) {
	rows, _ := db.Query(ctx, `
		select c.name as campaign, v.number as version, q.run_id as run, q.reason, q.at
		from quarantines q join campaigns c on c.id = q.campaign_id join versions v on v.id = q.version_id order by c.name`)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Quarantine])
	if err != nil {
		return nil, fmt.Errorf("list campaigns in quarantine: %w", err)
	}
	return list, nil
}

// readQuarantine is a campaign's quarantine; nil: it is in none.
func readQuarantine(ctx context.Context, db pg.DBTX, campaign int) (*Quarantine, error) {
	rows, _ := db.Query(ctx, `
		select c.name as campaign, v.number as version, q.run_id as run, q.reason, q.at
		from quarantines q join campaigns c on c.id = q.campaign_id join versions v on v.id = q.version_id where q.campaign_id = $1`, campaign)
	q, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Quarantine])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for a quarantine: %w", err)
	}
	return &q, nil
}

// mayRun refuses a run by hand of a campaign in quarantine, and any in a database that is a copy.
func mayRun(ctx context.Context, db pg.DBTX, r *Run) error {
	if err := delivery.CheckInstallation(ctx, db); err != nil {
		return err
	}
	q, err := readQuarantine(ctx, db, r.CampaignID)
	if err == nil && q != nil {
		err = &quarantinedError{*q}
	}
	return err
}

// Release lets a campaign in quarantine make runs again, by the version that it has. The error for one that is in none is
// an ErrNotFound.
func (p *Planner) Release(ctx context.Context, campaign, actor string) error {
	return pg.InTx(ctx, p.Pool, func(tx pgx.Tx) error {
		var id int
		err := tx.QueryRow(ctx, `select q.campaign_id from quarantines q join campaigns c on c.id = q.campaign_id where c.name = $1 for update of q`, campaign).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("a campaign %q in quarantine: %w; see: sapa status", campaign, ErrNotFound)
		}
		if err != nil {
			return fmt.Errorf("let %s go on: %w", campaign, err)
		}
		return release(ctx, tx, id, actor)
	})
}

// release ends a campaign's quarantine, if it is in one.
func release(ctx context.Context, tx pgx.Tx, campaign int, actor string) error {
	var name string
	var run int
	err := tx.QueryRow(ctx, `
		delete from quarantines q using campaigns c where c.id = q.campaign_id and q.campaign_id = $1 returning c.name, q.run_id`, campaign).Scan(&name, &run)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("end the quarantine: %w", err)
	}
	return access.Record(ctx, tx, access.Entry{Actor: actor, Action: "release", Subject: "campaign " + name, Detail: map[string]any{"run": run}})
}

// trust is what a person's letting a run go on means for the rails: its shares count from now, and its campaign's
// quarantine is over.
func trust(ctx context.Context, tx pgx.Tx, run int, actor string) error {
	if err := delivery.Rebase(ctx, tx, run); err != nil {
		return err
	}
	var campaign int
	if err := tx.QueryRow(ctx, `select campaign_id from runs where id = $1`, run).Scan(&campaign); err != nil {
		return fmt.Errorf("read run %d: %w", run, err)
	}
	return release(ctx, tx, campaign, actor)
}
