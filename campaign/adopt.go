package campaign

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/pg"
)

// Adoption is what adopting a database did, or would do.
type Adoption struct {
	From    delivery.Place `json:"from"`
	To      delivery.Place `json:"to"`
	Paused  []PausedRun    `json:"paused"`  // runs that were being planned or sent
	Waiting []PausedRun    `json:"waiting"` // runs that were paused before; they stay so
	Moved   []string       `json:"moved"`   // campaigns whose ticks have passed; their schedules go on with the next one
	Stopped []string       `json:"stopped"` // campaigns whose version does not fit the tables here; sapa apply begins their schedules anew
}

// Needed says whether the database was another than the one that was recorded.
func (a *Adoption) Needed() bool { return a.From != a.To }

// AdoptOptions say how a database is adopted.
type AdoptOptions struct {
	DryRun bool // take everything back
	Hold   bool // hold everything also in the recorded database: it may be a physical copy, which can't be told from the first one
}

// PausedRun is a run that adopting held, or that was paused before.
type PausedRun struct {
	Run      int    `json:"run"`
	Campaign string `json:"campaign"`
	Waiting  int    `json:"waiting"` // messages that it would still send
}

// Adopt makes this database the one that sends. First it holds everything that another one may be sending, too: each run
// that is being planned or sent is paused, and ticks that have passed make no run. What was in the hands of workers
// becomes unknown, as after any worker's death. A database that is the recorded one is left alone, unless everything is
// to be held in it, too.
func (p *Planner) Adopt(ctx context.Context, actor string, o AdoptOptions) (*Adoption, error) {
	a := &Adoption{Paused: []PausedRun{}, Waiting: []PausedRun{}, Moved: []string{}, Stopped: []string{}}
	err := pg.InTx(ctx, p.Pool, func(tx pgx.Tx) error {
		if err := p.adopt(ctx, tx, a, actor, o.Hold); err != nil {
			return err
		}
		if o.DryRun {
			return errDryRun
		}
		return nil
	})
	if err != nil && !errors.Is(err, errDryRun) {
		return nil, fmt.Errorf("adopt the database: %w", err)
	}
	return a, nil
}

func (p *Planner) adopt(ctx context.Context, tx pgx.Tx, a *Adoption, actor string, hold bool) (err error) {
	if _, err := tx.Exec(ctx, `select from installation for update`); err != nil {
		return err
	}
	if a.From, a.To, err = delivery.ReadPlaces(ctx, tx); err != nil || !a.Needed() && !hold {
		return err
	}
	if err := readPaused(ctx, tx, a); err != nil {
		return err
	}
	if err := p.holdRuns(ctx, tx, a, actor); err != nil {
		return err
	}
	if err := p.passTicks(ctx, tx, a); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `update installation set system_identifier = $1, database_name = $2`, a.To.SystemIdentifier, a.To.Database)
	if err != nil {
		return err
	}
	return access.Record(ctx, tx, access.Entry{
		Actor: actor, Action: "adopt", Subject: "database " + a.To.Database,
		Detail: map[string]any{"from": a.From, "to": a.To, "paused": len(a.Paused)},
	})
}

// adopted is the reason of a run that adopting paused.
const adopted = "the database was adopted here, and the one it was copied from may have sent this; look before you let it go on"

// holdRuns pauses what is being planned or sent, and what a sweep would let send again.
func (p *Planner) holdRuns(ctx context.Context, tx pgx.Tx, a *Adoption, actor string) error {
	rows, _ := tx.Query(ctx, `
		with held as (
			update runs set state = 'paused', reason = $1, finished_at = null
			where state in ('planning', 'sending') or state = 'done' and id in (select run_id from batches where not done)
			returning id, campaign_id)
		select h.id, c.name, (select coalesce(sum(delta), 0)::int from run_totals where run_id = h.id and state in ('planned', 'claimed'))
		from held h join campaigns c on c.id = h.campaign_id order by h.id`, adopted)
	paused, err := pgx.CollectRows(rows, pgx.RowToStructByPos[PausedRun])
	if err != nil {
		return fmt.Errorf("hold runs: %w", err)
	}
	a.Paused = append(a.Paused, paused...)
	for _, r := range paused {
		err := access.Record(ctx, tx, access.Entry{Actor: actor, Action: "pause", Subject: fmt.Sprintf("run %d", r.Run), Detail: map[string]any{"reason": "adopt"}})
		if err != nil {
			return err
		}
	}
	return nil
}

// readPaused lists the runs that are paused already.
func readPaused(ctx context.Context, tx pgx.Tx, a *Adoption) error {
	rows, _ := tx.Query(ctx, `
		select r.id, c.name, (select coalesce(sum(delta), 0)::int from run_totals where run_id = r.id and state in ('planned', 'claimed'))
		from runs r join campaigns c on c.id = r.campaign_id where r.state = 'paused' order by r.id`)
	paused, err := pgx.CollectRows(rows, pgx.RowToStructByPos[PausedRun])
	if err != nil {
		return fmt.Errorf("look for paused runs: %w", err)
	}
	a.Waiting = append(a.Waiting, paused...)
	return nil
}

// passTicks moves every schedule that is due to its next tick, without a run.
func (p *Planner) passTicks(ctx context.Context, tx pgx.Tx, a *Adoption) error {
	type due struct {
		CampaignID, VersionID int
		Campaign              string
		NextTick              time.Time
	}
	rows, _ := tx.Query(ctx, `
		select s.campaign_id, c.version_id, c.name as campaign, s.next_tick
		from schedules s join campaigns c on c.id = s.campaign_id
		where s.next_at <= $1 and s.next_tick is not null order by c.name for update of s`, p.Now())
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[due])
	if err != nil {
		return fmt.Errorf("look for due schedules: %w", err)
	}
	for _, d := range list {
		r := &Run{CampaignID: d.CampaignID, Campaign: d.Campaign, VersionID: d.VersionID}
		if err := p.passTick(ctx, tx, a, r, d.NextTick); err != nil {
			return err
		}
	}
	return nil
}

func (p *Planner) passTick(ctx context.Context, tx pgx.Tx, a *Adoption, r *Run, noted time.Time) error {
	c, err := p.Library.version(ctx, r.VersionID)
	if unfit := diag.List(nil); errors.As(err, &unfit) {
		a.Stopped = append(a.Stopped, r.Campaign)
		if _, err := tx.Exec(ctx, `delete from schedules where campaign_id = $1`, r.CampaignID); err != nil {
			return fmt.Errorf("end the schedule of %s: %w", r.Campaign, err)
		}
		return access.Record(ctx, tx, access.Entry{Actor: "sapa", Action: "remove", Subject: "campaign " + r.Campaign, Detail: map[string]any{"reason": "adopt"}})
	}
	if err != nil {
		return err
	}
	if c.calendar == nil {
		return p.move(ctx, tx, r, nil, nil)
	}
	a.Moved = append(a.Moved, r.Campaign)
	_, next := c.calendar.due(noted, p.Now())
	if err := p.skipTicks(ctx, tx, r, c.calendar.skipped(noted, nil, next), "adopt"); err != nil {
		return err
	}
	return p.move(ctx, tx, r, c.calendar, next)
}
