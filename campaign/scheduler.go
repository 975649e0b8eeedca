package campaign

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/delivery"
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
	river.AddWorker(workers, &eventWorker{planner: p})
}

// tickEvery is how often due schedules are looked for, and orphansEvery runs without a planner.
const (
	tickEvery    = time.Second
	orphansEvery = 5 * time.Second
)

// RunSchedules makes runs of due ticks, and looks after runs whose planner died and events whose job was lost, until the context ends. Any number of
// processes may do so: a schedule is locked while its tick is taken, and next_at moves in the transaction that makes the
// run and its job, so that no tick is lost and none comes twice.
func (p *Planner) RunSchedules(ctx context.Context) {
	var loops sync.WaitGroup
	loops.Go(func() { p.every(ctx, tickEvery, p.takeDue) })
	loops.Go(func() { p.every(ctx, orphansEvery, p.planOrphans) })
	loops.Go(func() { p.every(ctx, eventsEvery, p.sweepEvents) })
	loops.Go(func() { p.every(ctx, closeEvery, p.closeDays) })
	loops.Go(func() { p.every(ctx, climbEvery, p.climbAll) })
	loops.Wait()
}

// every calls f again and again until the context ends, as long as the database is ours.
func (p *Planner) every(ctx context.Context, wait time.Duration, f func(context.Context)) {
	ticker := time.NewTicker(wait)
	defer ticker.Stop()
	silent := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := delivery.CheckInstallation(ctx, p.Pool)
		if err != nil && !silent && ctx.Err() == nil {
			p.Log.Error("schedule", slog.Any("error", err))
		}
		if silent = err != nil; !silent {
			f(ctx)
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
		if err := delivery.CheckInstallation(ctx, tx); err != nil {
			return err
		}
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
	why := missedTick
	q, err := readQuarantine(ctx, tx, r.CampaignID)
	if q != nil {
		run, why = nil, "quarantine"
	}
	if err == nil {
		err = p.skipTicks(ctx, tx, r, c.calendar.skipped(noted, run, next), why)
	}
	if err == nil && run != nil {
		r.Tick, r.AsOf = *run, p.Now()
		err = p.makeRun(ctx, tx, r)
	}
	if err != nil {
		return err
	}
	return p.move(ctx, tx, r, c.calendar, next)
}

// missedTick is why a tick makes no run of its own: nothing ran when it came, and it is too late for it, or a later one
// stands for it.
const missedTick = "missed"

// skippedMost is how many skipped ticks are listed one by one; of more, the last of these stands for the rest.
const skippedMost = 50

// skipped are the ticks that are left behind when a schedule moves from the noted tick to next with one run, or none.
func (c *calendar) skipped(noted time.Time, run, next *time.Time) []time.Time {
	var list []time.Time
	for t, ok := noted, true; ok && (next == nil || t.Before(*next)); t, ok = c.next(t) {
		if run == nil || !t.Equal(*run) {
			list = append(list, t)
		}
	}
	return list
}

// skipTicks notes in the audit log which ticks make no run.
func (p *Planner) skipTicks(ctx context.Context, tx pgx.Tx, r *Run, ticks []time.Time, why string) error {
	if len(ticks) > 0 {
		p.Log.Warn("ticks skipped", slog.Int("campaign", r.CampaignID), slog.Int("ticks", len(ticks)), slog.String("reason", why))
	}
	for i, tick := range ticks {
		detail := map[string]any{"tick": tick.Format(tickFormat), "reason": why}
		if i == skippedMost-1 && len(ticks) > skippedMost {
			detail["and_more"], detail["until"] = len(ticks)-skippedMost, ticks[len(ticks)-1].Format(tickFormat)
		}
		if err := access.Record(ctx, tx, access.Entry{Actor: "sapa", Action: "skip tick", Subject: "campaign " + r.Campaign, Detail: detail}); err != nil {
			return err
		}
		if i == skippedMost-1 {
			return nil
		}
	}
	return nil
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
