package campaign

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/segment"
)

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("not found")
	ErrState    = errors.New("the run is in another state")
)

// stateError is an ErrState.
type stateError struct {
	action string
	run    int
	name   string // of the campaign
	state  string
}

func (e *stateError) Error() string {
	text := fmt.Sprintf("can't %s run %d: it is %s", e.action, e.run, e.state)
	if e.state == "cancelled" {
		text += "; start it again: sapa run " + e.name
	}
	return text
}

func (e *stateError) Is(target error) bool { return target == ErrState }

// Run is one execution of a version with frozen time.
type Run struct {
	ID         int
	CampaignID int
	Campaign   string
	VersionID  int
	Tick       time.Time // civil
	AsOf       time.Time
	Label      string
	State      string
	Reason     string
	Scheduled  bool

	planned     bool   // its messages exist
	due, fresh  int64  // rows of these tables
	wanted      bool   // there is table wanted, of requests to be confirmed
	confirmed   bool   // a person has said that its size is meant
	only        string // key of the one customer who is asked about; "": all
	look        int    // how many of a dry run's first messages are looked at
	first       []*Preview
	messageBase int64
	given       *segment.Given // what its rules need of all customers
	event       *segment.Event // whose messages are planned; nil: no event triggers it
	month       int            // of a run that an event makes
}

// Planner plans runs and changes their state. All fields are required but Log.
type Planner struct {
	Pool    *pgxpool.Pool
	Schema  *customer.Schema
	Library *Library
	Queue   *delivery.Queue
	Now     func() time.Time
	Log     *slog.Logger
}

// Start says how a run by hand is begun.
type Start struct {
	Campaign string
	Tick     time.Time // civil; zero: now in the company's zone
	Label    string    // to repeat on purpose
	Actor    string
	Yes      bool // an unusually large run is meant; otherwise it is planned, and paused until somebody resumes it

	PublicURL string // of a rehearsal: what the short links of text messages begin with
}

// Start makes a run of the campaign's current version and plans it. It may be called by two processes at once: each
// makes a run, and the second finds every occasion spent. A run that waits for a person is paused; its plan says why. Of a
// run that would pass max_audience nothing is kept but in the audit log; the error is an ErrTooMany.
func (p *Planner) Start(ctx context.Context, s Start) (*Run, *Plan, error) {
	r, c, err := p.newRun(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	if err := p.insertRun(ctx, r, s.Actor); err != nil {
		return nil, nil, err
	}
	plan, err := p.plan(ctx, r, c, false)
	if refused := (*tooMany)(nil); errors.As(err, &refused) {
		return nil, nil, errors.Join(refused, p.forget(ctx, r, s.Actor))
	}
	if err != nil {
		return r, nil, p.stopPlanning(ctx, r, fmt.Errorf("plan run %d: %w", r.ID, err))
	}
	return r, plan, nil
}

// DryRun plans and takes everything back.
func (p *Planner) DryRun(ctx context.Context, s Start) (*Run, *Plan, error) {
	r, c, err := p.newRun(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	plan, err := p.plan(ctx, r, c, true)
	return r, plan, err
}

func (p *Planner) newRun(ctx context.Context, s Start) (*Run, *Campaign, error) {
	c, r, err := p.Library.current(ctx, s.Campaign)
	if err != nil {
		return nil, nil, err
	}
	if c.Triggered() {
		return nil, nil, &triggeredError{s.Campaign, c.Event()}
	}
	p.freeze(r, c, s)
	return r, c, nil
}

// freeze gives a run by hand its time.
func (p *Planner) freeze(r *Run, c *Campaign, s Start) {
	r.Tick, r.AsOf = s.Tick, p.Now()
	zone := c.clock(s.Tick, r.AsOf).Zone
	if s.Tick.IsZero() {
		now := r.AsOf.In(zone)
		r.Tick = time.Date(now.Year(), now.Month(), now.Day(), now.Hour(), now.Minute(), now.Second(), 0, time.UTC)
	} else {
		r.AsOf = instant(s.Tick, zone)
	}
	r.Label, r.confirmed = s.Label, s.Yes
}

func (p *Planner) insertRun(ctx context.Context, r *Run, actor string) error {
	return pg.InTx(ctx, p.Pool, func(tx pgx.Tx) error {
		if err := insertRun(ctx, tx, r, actor); err != nil {
			return err
		}
		return recordRun(ctx, tx, r, actor)
	})
}

func insertRun(ctx context.Context, tx pgx.Tx, r *Run, actor string) error {
	if !r.Scheduled {
		if err := mayRun(ctx, tx, r); err != nil {
			return err
		}
	}
	r.State = "planning"
	err := tx.QueryRow(ctx, `
		insert into runs (campaign_id, version_id, tick, as_of, label, scheduled, actor)
		values ($1, $2, $3, $4, $5, $6, $7) returning id`,
		r.CampaignID, r.VersionID, r.Tick, r.AsOf, r.Label, r.Scheduled, actor).Scan(&r.ID)
	if err != nil {
		return fmt.Errorf("make a run of %s: %w", r.Campaign, err)
	}
	return nil
}

// planOrStop plans a run; one that can't be planned is paused with the reason, or cancelled when it was begun by hand and
// somebody is looking on. While the database is away a scheduled run stays in state planning, to be tried again.
func (p *Planner) planOrStop(ctx context.Context, r *Run, c *Campaign) (*Plan, error) {
	plan, err := p.plan(ctx, r, c, false)
	if err == nil {
		return plan, nil
	}
	return nil, p.stopPlanning(ctx, r, fmt.Errorf("plan run %d: %w", r.ID, err))
}

// stopPlanning notes on the run why it can't be planned, and returns that with what went wrong in noting.
func (p *Planner) stopPlanning(ctx context.Context, r *Run, err error) error {
	state := "cancelled"
	if r.Scheduled {
		state = "paused"
	}
	if errors.Is(err, ErrState) || r.Scheduled && pg.Fleeting(err) {
		return err
	}
	return errors.Join(err, p.noteStop(context.WithoutCancel(ctx), r.ID, state, "planning: "+errors.Unwrap(err).Error()))
}

// noteStop stops a run that could not be planned. The database's words stay on the run: they may quote a value.
func (p *Planner) noteStop(ctx context.Context, run int, state, reason string) error {
	return pg.InTx(ctx, p.Pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `update runs set state = $2::run_state, reason = $3 where id = $1 and state = 'planning'`, run, state, reason)
		if err != nil {
			return fmt.Errorf("stop run %d: %w", run, err)
		}
		if tag.RowsAffected() == 0 {
			return nil
		}
		action := map[string]string{"cancelled": "cancel", "paused": "pause"}[state]
		return access.Record(ctx, tx, access.Entry{Actor: "sapa", Action: action, Subject: fmt.Sprintf("run %d", run), Detail: map[string]any{"from": "planning", "to": state}})
	})
}

// PlanRun plans a run that exists: one of the schedule, as the River job plan_run asks for, or one whose planner died.
// Where somebody else plans it at this moment it waits for that. A run that is not being planned any more is left alone,
// so that a job that comes twice does no harm.
func (p *Planner) PlanRun(ctx context.Context, id int) error {
	if err := delivery.CheckInstallation(ctx, p.Pool); err != nil {
		return err
	}
	r, err := p.run(ctx, p.Pool, id)
	if err != nil {
		return err
	}
	if r.State != "planning" {
		return nil
	}
	c, err := p.Library.version(ctx, r.VersionID)
	if err != nil {
		return p.stopPlanning(ctx, r, fmt.Errorf("plan run %d: %w", r.ID, err))
	}
	if _, err = p.planOrStop(ctx, r, c); errors.Is(err, ErrState) {
		return nil
	}
	return err
}

// orphaned is how long a run may be in state planning before its planner is looked for.
const orphaned = time.Minute

// planOrphans looks after runs whose planner died. A planner holds the run's row, so a row that is free has none. Those
// of schedules are planned, one after the other, whatever becomes of the one before; those that somebody began by hand,
// who may think by now that nothing was sent, say how to go on.
func (p *Planner) planOrphans(ctx context.Context) {
	orphans, err := p.orphans(ctx)
	if err != nil && ctx.Err() == nil {
		p.Log.Error("look for runs without a planner", slog.Any("error", err))
	}
	for _, id := range orphans {
		p.Log.Warn("plan a run whose planner is gone", slog.Int("run", id))
		if err := p.PlanRun(ctx, id); err != nil && ctx.Err() == nil {
			p.Log.Error("plan", slog.Int("run", id), slog.Any("error", err))
		}
	}
}

func (p *Planner) orphans(ctx context.Context) ([]int, error) {
	_, err := p.Pool.Exec(ctx, `
		update runs r set reason = format('whoever planned it is gone; plan it anew with: sapa resume %s, or end it with: sapa cancel %s', r.id, r.id)
		where r.id in (select id from runs
		               where state = 'planning' and not scheduled and reason is null and created_at < clock_timestamp() - $1::interval
		               for update skip locked)`, orphaned)
	if err != nil {
		return nil, err
	}
	rows, _ := p.Pool.Query(ctx, `select id from runs
		where state = 'planning' and scheduled and created_at < clock_timestamp() - $1::interval order by id for no key update skip locked`, orphaned)
	return pgx.CollectRows(rows, pgx.RowTo[int])
}

func (p *Planner) run(ctx context.Context, db pg.DBTX, id int) (*Run, error) {
	r := &Run{}
	err := db.QueryRow(ctx, `
		select r.id, r.campaign_id, c.name, r.version_id, r.tick, r.as_of, r.label, r.state::text, coalesce(r.reason, ''), r.scheduled,
			coalesce(r.message_base, 0), r.planned_at is not null
		from runs r join campaigns c on c.id = r.campaign_id where r.id = $1`, id).
		Scan(&r.ID, &r.CampaignID, &r.Campaign, &r.VersionID, &r.Tick, &r.AsOf, &r.Label, &r.State, &r.Reason, &r.Scheduled, &r.messageBase, &r.planned)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("run %d: %w; see: sapa status --all", id, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read run %d: %w", id, err)
	}
	return r, nil
}

// Pause stops a run; what is being handed over at this moment is still recorded.
func (p *Planner) Pause(ctx context.Context, id int, actor, reason string) error {
	from, err := p.climbing(ctx, id, "sending")
	if err != nil {
		return err
	}
	return p.change(ctx, id, actor, "pause", from, "paused", reason, nil)
}

// Resume lets a paused run send on. One that could not be planned, or whose planner died, is planned first.
func (p *Planner) Resume(ctx context.Context, id int, actor string) error {
	r, err := p.run(ctx, p.Pool, id)
	if err != nil {
		return err
	}
	switch {
	case r.State == "sending": // whoever asks may just want to send it from here, at once
		return pg.InTx(ctx, p.Pool, p.wake(ctx, id))
	case r.State == "planning":
		return p.replan(ctx, id, actor, "planning")
	case r.State == "paused" && !r.planned:
		return p.replan(ctx, id, actor, "paused")
	}
	return p.change(ctx, id, actor, "resume", []string{"paused"}, "sending", "", p.wake(ctx, id))
}

func (p *Planner) replan(ctx context.Context, id int, actor, from string) error {
	err := p.change(ctx, id, actor, "resume", []string{from}, "planning", "", nil)
	if err != nil && !(from == "planning" && errors.Is(err, ErrState)) { // it has been planned meanwhile
		return err
	}
	return p.PlanRun(ctx, id)
}

// Cancel ends a run: what is planned will not be sent, and its occasions are free for a later run. The state is committed
// before that is written for each message, which takes a while for many, so that all who send feel it at once.
func (p *Planner) Cancel(ctx context.Context, id int, actor string) error {
	from, err := p.climbing(ctx, id, "planning", "sending", "paused")
	if err == nil {
		err = p.change(ctx, id, actor, "cancel", from, "cancelled", "cancelled by "+actor, nil)
	}
	if err != nil {
		return err
	}
	if err := delivery.Cancel(ctx, p.Pool, id); err != nil {
		return fmt.Errorf("run %d sends nothing more, and whoever sends will skip what is left of it: %w", id, err)
	}
	return nil
}

// Retry plans a run's failed and skipped messages again and lets it send; it returns how many. Those whose occasion a
// later run has taken over, and those without a usable address, stay as they are; where that is all of them, so does
// the run.
func (p *Planner) Retry(ctx context.Context, id int, actor string) (n int, err error) {
	err = p.change(ctx, id, actor, "retry", []string{"done", "sending", "paused"}, "sending", "", func(tx pgx.Tx) error {
		n, err = delivery.Retry(ctx, tx, id, addresslessChannels(), p.Now())
		if err == nil && n == 0 {
			err = errNothing
		}
		if err == nil {
			err = p.climbAgain(ctx, tx, id)
		}
		if err != nil {
			return err
		}
		return p.wake(ctx, id)(tx)
	})
	if errors.Is(err, errNothing) {
		return 0, nil
	}
	return n, err
}

// errNothing takes a change back that would change nothing.
var errNothing = errors.New("nothing to do")

func (p *Planner) wake(ctx context.Context, id int) func(pgx.Tx) error {
	return func(tx pgx.Tx) error {
		if err := delivery.Rouse(ctx, tx, id, p.Now()); err != nil {
			return err
		}
		batches, err := delivery.Wakeups(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := p.Queue.WakeTx(ctx, tx, batches); err != nil {
			return err
		}
		return delivery.Finish(ctx, tx, id) // nothing may have been left
	}
}

// change moves a run from one of some states to another, with the actor in the audit log, in one transaction that holds
// the campaign's lock.
func (p *Planner) change(ctx context.Context, id int, actor, action string, from []string, to, reason string, also func(pgx.Tx) error) error {
	return pg.InTx(ctx, p.Pool, func(tx pgx.Tx) error {
		if to != "paused" && to != "cancelled" {
			if err := delivery.CheckInstallation(ctx, tx); err != nil {
				return err
			}
		}
		state, err := lockRun(ctx, tx, id, action, from)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `update runs set state = $2::run_state, reason = nullif($3, ''),
			finished_at = case when $2 = 'cancelled' then clock_timestamp() end where id = $1`, id, to, reason)
		if err != nil {
			return fmt.Errorf("%s run %d: %w", action, id, err)
		}
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		if action == "resume" || action == "retry" {
			if err := trust(ctx, tx, id, actor); err != nil {
				return err
			}
		}
		return access.Record(ctx, tx, access.Entry{Actor: actor, Action: action, Subject: fmt.Sprintf("run %d", id), Detail: map[string]any{"from": state, "to": to, "reason": reason}})
	})
}

// lockRun holds a run's row and its campaign's, and says the run's state, which must be one of some.
func lockRun(ctx context.Context, tx pgx.Tx, id int, action string, from []string) (state string, err error) {
	var name string
	err = tx.QueryRow(ctx, `
		select c.name, r.state::text from runs r join campaigns c on c.id = r.campaign_id where r.id = $1 for no key update`, id).Scan(&name, &state)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", fmt.Errorf("run %d: %w; see: sapa status --all", id, ErrNotFound)
	case err != nil:
		return "", fmt.Errorf("%s run %d: %w", action, id, err)
	case !slices.Contains(from, state):
		return "", &stateError{action, id, name, state}
	}
	return state, nil
}
