package campaign

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/pg"
)

// PlanArgs asks a worker to plan a run that the schedule has made.
type PlanArgs struct {
	Run int `json:"run"`
}

// Kind names the job.
func (PlanArgs) Kind() string { return "plan_run" }

type planWorker struct {
	river.WorkerDefaults[PlanArgs]
	planner *Planner
}

// Work plans the run. What stands in its way is on the run, which is then paused, and to work the job again does nothing;
// only what could not even be noted there, as when the database was away, is tried again.
func (w *planWorker) Work(ctx context.Context, job *river.Job[PlanArgs]) error {
	err := w.planner.PlanRun(ctx, job.Args.Run)
	if err != nil {
		w.planner.Log.Error("plan", slog.Int("run", job.Args.Run), slog.Any("error", err))
	}
	return err
}

// Timeout lets River give a job to somebody else, an hour after its process died.
func (w *planWorker) Timeout(*river.Job[PlanArgs]) time.Duration { return time.Hour }

// AddWorkers registers the planner's jobs with a River client.
func (p *Planner) AddWorkers(workers *river.Workers) {
	river.AddWorker(workers, &planWorker{planner: p})
}

// tickEvery is how often due schedules are looked for.
const tickEvery = time.Second

// RunSchedules makes runs of due ticks until the context ends. Any number of processes may do so: a schedule is locked
// while its tick is taken, and next_at moves in the transaction that makes the run and its job, so that no tick is lost
// and none comes twice.
func (p *Planner) RunSchedules(ctx context.Context) {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			p.takeDue(ctx)
			if err := p.planOrphans(ctx); err != nil && ctx.Err() == nil {
				p.Log.Error("schedule", slog.Any("error", err))
			}
		}
	}
}

// takeDue takes every schedule that is due.
func (p *Planner) takeDue(ctx context.Context) {
	for {
		more, err := p.Tick(ctx)
		if err != nil && ctx.Err() == nil {
			p.Log.Error("schedule", slog.Any("error", err))
		}
		if err != nil || !more {
			return
		}
	}
}

// Tick takes one due schedule, if there is one, and makes the run that it asks for.
func (p *Planner) Tick(ctx context.Context) (more bool, err error) {
	err = pg.InTx(ctx, p.Pool, func(tx pgx.Tx) error {
		r := &Run{Scheduled: true}
		var tick time.Time
		err := tx.QueryRow(ctx, `
			select s.campaign_id, c.name, c.version_id, s.next_tick
			from schedules s join campaigns c on c.id = s.campaign_id
			where s.next_at <= $1
			order by s.next_at limit 1
			for update of s skip locked`, p.Now()).Scan(&r.CampaignID, &r.Campaign, &r.VersionID, &tick)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for due schedules: %w", err)
		}
		more = true
		return p.take(ctx, tx, r, tick)
	})
	return more, err
}

func (p *Planner) take(ctx context.Context, tx pgx.Tx, r *Run, noted time.Time) error {
	c, err := p.Library.version(ctx, r.VersionID)
	if unfit := diag.List(nil); errors.As(err, &unfit) {
		return p.waitForRepair(ctx, tx, r, err)
	}
	if err != nil {
		return err
	}
	if c.calendar == nil {
		return p.move(ctx, tx, r, nil, nil)
	}
	run, next := c.calendar.due(noted, p.Now())
	if run == nil {
		p.Log.Warn("tick skipped", slog.Int("campaign", r.CampaignID), slog.Time("tick", noted))
		err = access.Record(ctx, tx, access.Entry{Actor: "sapa", Action: "skip tick", Subject: "campaign " + r.Campaign, Detail: map[string]any{"tick": noted.Format(tickFormat)}})
	} else {
		r.Tick, r.AsOf = *run, p.Now()
		err = p.makeRun(ctx, tx, r)
	}
	if err != nil {
		return err
	}
	return p.move(ctx, tx, r, c.calendar, next)
}

// makeRun makes the run of a tick, and the job that plans it.
func (p *Planner) makeRun(ctx context.Context, tx pgx.Tx, r *Run) error {
	if err := insertRun(ctx, tx, r, "schedule"); err != nil {
		return err
	}
	err := access.Record(ctx, tx, access.Entry{Actor: "schedule", Action: "run", Subject: fmt.Sprintf("run %d", r.ID), Detail: map[string]any{"campaign": r.Campaign, "tick": r.Tick.Format(tickFormat)}})
	if err != nil {
		return err
	}
	return p.Queue.InsertTx(ctx, tx, PlanArgs{Run: r.ID}, nil)
}

// move notes the next tick; nil ends the schedule.
func (p *Planner) move(ctx context.Context, tx pgx.Tx, r *Run, c *calendar, next *time.Time) error {
	var at *time.Time
	if next != nil {
		t := c.planAt(*next)
		at = &t
	}
	_, err := tx.Exec(ctx, `update schedules set next_tick = $2, next_at = $3, changed_at = now() where campaign_id = $1`, r.CampaignID, next, at)
	if err != nil {
		return fmt.Errorf("move schedule of %s: %w", r.Campaign, err)
	}
	return nil
}

// repairWait is how long a schedule whose version can't be used waits before it is looked at again.
const repairWait = 10 * time.Minute

// waitForRepair notes in the audit log that a version no longer fits the company's tables. The tick is not lost: it is
// looked at again later, and as soon as another version is applied.
func (p *Planner) waitForRepair(ctx context.Context, tx pgx.Tx, r *Run, cause error) error {
	p.Log.Error("schedule", slog.Int("campaign", r.CampaignID), slog.Any("error", cause))
	_, err := tx.Exec(ctx, `update schedules set next_at = $2 where campaign_id = $1`, r.CampaignID, p.Now().Add(repairWait))
	if err != nil {
		return fmt.Errorf("move schedule of %s: %w", r.Campaign, err)
	}
	return access.Record(ctx, tx, access.Entry{Actor: "sapa", Action: "schedule failed", Subject: "campaign " + r.Campaign, Detail: map[string]any{"error": cause.Error()}})
}
