package campaign

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
)

// climbEvery is how often batches are looked for whose next rung may be due, and climbMost how many of a run one transaction
// looks at.
const (
	climbEvery = 5 * time.Second
	climbMost  = 40
)

// climbAfter is how long a rung waits; nil: there is no ladder.
func (c *Campaign) climbAfter() *time.Duration {
	if !c.climbs() {
		return nil
	}
	after := time.Duration(c.Definition.Then.After)
	return &after
}

// firstLook is how long after its moment a batch is looked at at the latest: mostly it is given back before, and looked at then.
func (c *Campaign) firstLook() *time.Duration {
	after := c.climbAfter()
	if after != nil {
		*after += time.Hour
	}
	return after
}

// patience is how long a batch rests between two looks for what waits for an outcome, and how much later than due a look may be, so
// that messages which were sent one after the other are looked at together.
func patience(after time.Duration) (rest, late time.Duration) {
	return min(max(after/48, 5*time.Second), time.Hour), min(max(after/1000, time.Second), time.Minute)
}

// climbAll is Climb, again and again.
func (p *Planner) climbAll(ctx context.Context) {
	if err := p.Climb(ctx); err != nil && ctx.Err() == nil {
		p.Log.Error("plan the next rung", slog.Any("error", err))
	}
}

// Climb plans every rung whose time has come: a message by another channel for those who did not respond in time, and whose message
// failed or could not be delivered. It may be called by any number of processes.
func (p *Planner) Climb(ctx context.Context) error {
	if err := p.noticeUndelivered(ctx); err != nil {
		return err
	}
	if err := delivery.EndLadders(ctx, p.Pool, p.Now()); err != nil {
		return err
	}
	passed := []int{} // runs that this round does not look at any more
	var trouble error
	for {
		run, err := p.nextClimb(ctx, passed)
		if err != nil || run == 0 {
			return errors.Join(trouble, err)
		}
		looked, err := p.climbRun(ctx, run)
		if err != nil && (pg.Fleeting(err) || ctx.Err() != nil) {
			return errors.Join(trouble, err)
		}
		if err != nil {
			trouble = errors.Join(trouble, err, p.putOffClimb(ctx, run, err))
		}
		if !looked {
			passed = append(passed, run)
		}
	}
}

// nextClimb is the run of the batch that is to be looked at first; 0: there is none, but for those of some runs.
func (p *Planner) nextClimb(ctx context.Context, passed []int) (run int, err error) {
	err = p.Pool.QueryRow(ctx, `
		select b.run_id from batches b join runs r on r.id = b.run_id
		where b.climb_at <= $1 and b.worker is null and r.state in ('sending', 'done') and r.climb_after is not null and b.run_id <> all($2)
		order by b.climb_at, b.id limit 1`, p.Now(), passed).Scan(&run)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look for the next rung: %w", err)
	}
	return run, nil
}

// noticeUndelivered has batches looked at in which messages turned out not to arrive.
func (p *Planner) noticeUndelivered(ctx context.Context) error {
	_, err := p.Pool.Exec(ctx, `
		with missed as (
			select x.message_id from responses x
			where x.kind = 'undelivered' and x.link = -1 and x.first_at > $1::timestamptz - interval '15 minutes'
			  and not exists (select from rungs g where g.message_id = x.message_id)
		)
		update batches b set climb_at = '-infinity'
		from missed x join messages m on m.id = x.message_id
		where b.run_id = m.run_id and b.climb_at > $1 and b.climb_at < 'infinity' and m.id between b.lo and b.hi`, p.Now())
	if err != nil {
		return fmt.Errorf("look for undelivered messages: %w", err)
	}
	return nil
}

// putOffClimb notes on the run why its next rung can't be planned, and lets it wait, so that it does not stop the others.
func (p *Planner) putOffClimb(ctx context.Context, run int, cause error) error {
	_, err := p.Pool.Exec(ctx, `
		with late as (
			update batches set climb_at = $2 where run_id = $1 and climb_at <= $3
		)
		update runs set reason = $4 where id = $1 and state in ('sending', 'done')`,
		run, p.Now().Add(repairWait), p.Now(), "the next rung can't be planned: "+cause.Error()+"; it is tried again every 10 minutes")
	if err != nil {
		return fmt.Errorf("note on run %d: %w", run, err)
	}
	return nil
}

// climbRun is Climb for one run. It is false where somebody else looks at the run at this moment.
func (p *Planner) climbRun(ctx context.Context, id int) (looked bool, err error) {
	r, err := p.run(ctx, p.Pool, id)
	if err != nil {
		return false, err
	}
	c, err := p.Library.version(ctx, r.VersionID)
	if err != nil {
		return false, fmt.Errorf("plan the next rung of run %d: %w", id, err)
	}
	for tries := 1; ; tries++ {
		a := &ascent{p: p, r: r, c: c}
		err = pg.InTx(ctx, p.Pool, func(tx pgx.Tx) error {
			a.tx = tx
			return a.climb(ctx)
		})
		if !errors.Is(err, errMoved) || tries == planTries {
			break
		}
	}
	switch {
	case errors.Is(err, errBusy):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("plan the next rung of run %d: %w", id, err)
	}
	return true, nil
}

// errBusy says that somebody else holds the run, or that it does not send any more.
var errBusy = errors.New("the run is held by somebody else")

// ascent is one transaction that plans rungs of a run.
type ascent struct {
	p  *Planner
	tx pgx.Tx
	r  *Run
	c  *Campaign

	batches []int64
	args    pgx.NamedArgs
	planned int
}

func (a *ascent) climb(ctx context.Context) error {
	steps := []func(context.Context) error{
		a.lock, a.look, a.ask, a.choose, a.write, a.release, a.lookAgain, a.wake,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// exec runs statements of the ascent with its arguments.
func (a *ascent) exec(ctx context.Context, what, sql string) (int, error) {
	tag, err := a.tx.Exec(ctx, sql, a.args)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	return int(tag.RowsAffected()), nil
}

// lock holds the run and batches of it that nobody holds. Erasures wait, or are over.
func (a *ascent) lock(ctx context.Context) error {
	var count int64
	err := a.tx.QueryRow(ctx, `
		select message_base, message_count, state::text from runs
		where id = $1 and state in ('sending', 'done') and climb_after is not null for no key update skip locked`, a.r.ID).
		Scan(&a.r.messageBase, &count, &a.r.State)
	if errors.Is(err, pgx.ErrNoRows) {
		return errBusy
	}
	if err != nil {
		return fmt.Errorf("lock the run: %w", err)
	}
	if err := customer.ShareErasures(ctx, a.tx); err != nil {
		return err
	}
	rows, _ := a.tx.Query(ctx, `
		select id from batches where run_id = $1 and climb_at <= $2 and worker is null
		order by climb_at, id limit $3 for update skip locked`, a.r.ID, a.p.Now(), climbMost)
	if a.batches, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
		return fmt.Errorf("lock batches: %w", err)
	}
	if len(a.batches) == 0 {
		return errBusy
	}
	after := time.Duration(a.c.Definition.Then.After)
	rest, late := patience(after)
	w := a.c.window(a.r)
	a.args = pgx.NamedArgs{
		"run": a.r.ID, "base": a.r.messageBase, "top": a.r.messageBase + count, "batches": a.batches, "now": a.p.Now(), "after": after, "rest": rest, "late": late,
		"evidence": append(evidence(a.c.unless()), "unsubscribe"), "campaign": a.r.CampaignID, "as_of": a.r.AsOf, "climb": *a.c.firstLook(),
		"size": delivery.BatchSize, "priority": a.c.batchPriority(), "triggered": a.c.Triggered(),
		"tick": a.r.Tick, "by_zone": w.byZone, "zone": w.zone, "default_zone": a.c.schema.Zone, "seed": a.r.seed(), "channel": a.c.Channel(),
	}
	if _, err := a.tx.Exec(ctx, `set local work_mem = '64MB'; set local jit = off`); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return nil
}

// look judges the messages of the batches, in table seen, and finds those whose turn is over and that nothing came back of, in
// table climbers.
func (a *ascent) look(ctx context.Context) error {
	if _, err := a.tx.Exec(ctx, climbTables+`; alter table climbers `+ladderColumns); err != nil {
		return fmt.Errorf("make temporary tables: %w", err)
	}
	if _, err := a.exec(ctx, "judge messages", seenSQL); err != nil {
		return err
	}
	_, err := a.exec(ctx, "find whose turn it is", climbersSQL)
	return err
}

const climbTables = `
create temporary table seen (message_id bigint, customer_key text collate "C", step int, state text, turn text, due_at timestamptz, batch bigint, not_after timestamptz) on commit drop;
create temporary table climbers (
	message_id bigint, customer_key text collate "C", step int, turn text, tried text[], carried int, not_after timestamptz,
	fault text, region text, zone text
) on commit drop`

// turn is what a message waits for, or why it waits no more: wait (for an outcome), later (until due_at), over; anything else is
// why the next one follows.
const seenSQL = `
insert into seen
select m.id, m.customer_key, m.step, m.state,
       case
       when m.state in ('planned', 'claimed', 'unknown') then 'wait'
       when m.state = 'sent' and exists (select from responses x where x.message_id = m.id and x.kind = 'undelivered' and x.link = -1)
            and not exists (select from responses x where x.message_id = m.id and x.kind = 'delivered') then 'undelivered'
       when m.state = 'sent' and coalesce(a.at, m.claimed_at, m.not_before) + @after::interval <= @now::timestamptz then 'no response'
       when m.state = 'sent' then 'later'
       when m.state = 'failed' and m.reason <> 'opted out' then 'failed: ' || m.reason
       when m.state = 'skipped' and (m.reason in ('suppressed', 'no address') or m.reason like 'bad address%') then 'skipped: ' || m.reason
       else 'over'
       end, coalesce(a.at, m.claimed_at, m.not_before) + @after::interval, b.id, m.not_after
from batches b
join messages m on m.id between b.lo and b.hi
left join attempts a on a.message_id = m.id and a.number = m.attempts and m.state = 'sent'
where b.id = any(@batches::bigint[]) and not exists (select from rungs g where g.message_id = m.id)`

// The ladder of a message are the messages of its run that had its occasion at this step and before. A response to any of them
// counts. Where a later run has taken the occasion over, nothing is left to climb; nor where the next step's belongs to a message of
// another run, which its provider has reported on after it was taken for failed. Nobody climbs who was erased.
const climbersSQL = `
insert into climbers (message_id, customer_key, step, turn, tried, carried, not_after, fault)
select s.message_id, s.customer_key, s.step, s.turn, l.tried, o.carried, s.not_after, 'gone'
from seen s
cross join lateral (select count(*) as carried, min(o.occasion collate "C") as occasion from occasions o where o.message_id = s.message_id) o
cross join lateral (
	select array_agg(x.id) as ids, array_agg(x.channel) as tried
	from occasions e join messages x on x.id = e.message_id and x.run_id = @run
	where e.campaign_id = @campaign and e.customer_key = s.customer_key and e.occasion = o.occasion and e.step <= s.step
) l
where s.turn not in ('wait', 'later', 'over') and o.carried > 0
  and not exists (select from responses x where x.message_id = any(l.ids) and x.kind = any(@evidence::text[]) and x.link = -1)
  and not exists (
      select from occasions e join occasions n on (n.campaign_id, n.customer_key, n.occasion, n.step) = (e.campaign_id, e.customer_key, e.occasion, e.step + 1)
      where e.message_id = s.message_id and n.spent)
  and s.customer_key not in (select pseudonym from erasures)
  and not exists (select from erasures e where e.customer_key = s.customer_key)`

// wake lets the run send what was planned, and says in the audit log what that was.
func (a *ascent) wake(ctx context.Context) error {
	if a.planned == 0 {
		return nil
	}
	_, err := a.tx.Exec(ctx, `update runs set state = 'sending', finished_at = null, reason = null where id = $1 and state = 'done'`, a.r.ID)
	if err != nil {
		return fmt.Errorf("let the run send: %w", err)
	}
	err = access.Record(ctx, a.tx, access.Entry{Actor: "sapa", Action: "next rung", Subject: fmt.Sprintf("run %d", a.r.ID), Detail: map[string]any{"messages": a.planned}})
	if err != nil {
		return err
	}
	batches, err := delivery.WakeupsFrom(ctx, a.tx, a.r.ID, a.args["top"].(int64))
	if err != nil {
		return err
	}
	return a.p.Queue.WakeTx(ctx, a.tx, batches)
}

// climbing adds the state done to states of a run in which something can be done to it, where its ladder goes on.
func (p *Planner) climbing(ctx context.Context, id int, from ...string) ([]string, error) {
	var waits bool
	err := p.Pool.QueryRow(ctx, `
		select exists (select from batches b join runs r on r.id = b.run_id
		               where b.run_id = $1 and b.climb_at < 'infinity' and r.climb_after is not null and r.state = 'done')`, id).Scan(&waits)
	if err != nil {
		return nil, fmt.Errorf("read run %d: %w", id, err)
	}
	if waits {
		from = append(from, "done")
	}
	return from, nil
}

// climbAgain forgets that the ladders of messages which are planned again were over.
func (p *Planner) climbAgain(ctx context.Context, tx pgx.Tx, id int) error {
	_, err := tx.Exec(ctx, `
		delete from rungs g using runs r, messages m
		where r.id = $1 and g.message_id > r.message_base and g.message_id <= r.message_base + r.message_count and g.next_id is null
		  and m.id = g.message_id and m.state = 'planned'`, id)
	if err != nil {
		return fmt.Errorf("open the ladders of run %d: %w", id, err)
	}
	return nil
}
