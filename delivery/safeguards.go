package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/text/language"
	english "golang.org/x/text/message"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// Safeguards are the shares of a run's messages beyond which it pauses. They count from the run's beginning, or from when
// a person let it go on; a zero share is not asked.
type Safeguards struct {
	Bounces, Failures, Unsubscribes customer.Share
	Content                         customer.Share // of people whom the template can't be filled for: quarantine
	After                           int            // how many messages must have an outcome before a share counts
}

// quarantineFrom is for how many people at least a template must fail before its campaign is in quarantine.
const quarantineFrom = 10

// numbers are what safeguards are asked about: messages of a run since its baseline.
type numbers struct {
	Outcomes     int // sent, failed and unknown
	Bounces      int // refused for good because of the address, or reported as not reached
	Failures     int // of whatever kind
	Content      int // among Failures: the template could not be filled
	Unsubscribes int
	Claimed      int // being filled or handed over at this moment
	Resumed      bool
}

// judge says why a run must stop, "" when it need not, and whether its campaign must, too.
func (s Safeguards) judge(n numbers) (reason string, quarantine bool) {
	since := ""
	if n.Resumed {
		since = " since it was resumed"
	}
	beyond := func(count, of int, limit customer.Share) bool {
		return limit > 0 && of > 0 && float64(count) > float64(limit)*float64(of)
	}
	say := func(what, key string, count, of int, limit customer.Share) string {
		return fmt.Sprintf("%s%s: %s of %s (%.1f%%), more than pause_if: %s %s", what, since, thousands(count), thousands(of),
			100*float64(count)/float64(of), key, limit)
	}
	// Who is being filled at this moment counts: a claim's failures are recorded before the rest of it is handed over.
	if of := n.Outcomes + n.Claimed; n.Content >= quarantineFrom && beyond(n.Content, of, s.Content) {
		return say("the template could not be filled", "content", n.Content, of, s.Content), true
	}
	if n.Outcomes < s.After {
		return "", false
	}
	for _, limit := range []struct {
		what, key string
		count     int
		share     customer.Share
	}{
		{"addresses bounced", "bounces", n.Bounces, s.Bounces},
		{"messages failed", "failures", n.Failures, s.Failures},
		{"customers unsubscribed", "unsubscribes", n.Unsubscribes, s.Unsubscribes},
	} {
		if beyond(limit.count, n.Outcomes, limit.share) {
			return say(limit.what, limit.key, limit.count, n.Outcomes, limit.share), false
		}
	}
	return "", false
}

func thousands(n int) string { return english.NewPrinter(language.English).Sprintf("%d", n) }

// countsSQL are a run's numbers from its totals: cheap at any size.
const countsSQL = `
	select t.outcomes, t.bounces + r.undelivered as bounces, t.failures, t.content, r.unsubscribes, t.claimed
	from (select coalesce(sum(delta) filter (where state in ('sent', 'failed', 'unknown')), 0)::bigint as outcomes,
	             coalesce(sum(delta) filter (where state = 'failed' and reason = 'hard bounce'), 0)::bigint as bounces,
	             coalesce(sum(delta) filter (where state = 'failed'), 0)::bigint as failures,
	             coalesce(sum(delta) filter (where state = 'failed' and reason = 'content'), 0)::bigint as content,
	             coalesce(sum(delta) filter (where state = 'claimed'), 0)::bigint as claimed
	      from run_totals where run_id = @run) t,
	     (select coalesce(sum(uniq) filter (where kind = 'unsubscribe'), 0)::bigint as unsubscribes,
	             coalesce(sum(uniq) filter (where kind = 'undelivered'), 0)::bigint as undelivered
	      from response_totals where run_id = @run and link = -1) r`

// Rebase lets a run's safeguards count from now: a person has seen what they said and lets the run go on.
func Rebase(ctx context.Context, tx pgx.Tx, run int) error {
	_, err := tx.Exec(ctx, `
		insert into run_baselines (run_id, outcomes, bounces, failures, content, unsubscribes)
		select @run, outcomes, bounces, failures, content, unsubscribes from (`+countsSQL+`) now
		on conflict (run_id) do update set outcomes = excluded.outcomes, bounces = excluded.bounces, failures = excluded.failures,
			content = excluded.content, unsubscribes = excluded.unsubscribes, at = now()`, pgx.NamedArgs{"run": run})
	if err != nil {
		return fmt.Errorf("note the numbers of run %d: %w", run, err)
	}
	return nil
}

// readNumbers reads a run's version and what its safeguards are asked about. What was taken back since the baseline, as by
// a retry, counts as nothing.
func readNumbers(ctx context.Context, db pg.DBTX, run int) (version int, n numbers, err error) {
	err = db.QueryRow(ctx, `
		select r.version_id, greatest(0, c.outcomes - coalesce(b.outcomes, 0)), greatest(0, c.bounces - coalesce(b.bounces, 0)),
		       greatest(0, c.failures - coalesce(b.failures, 0)), greatest(0, c.content - coalesce(b.content, 0)),
		       greatest(0, c.unsubscribes - coalesce(b.unsubscribes, 0)), c.claimed, b.run_id is not null
		from runs r left join run_baselines b on b.run_id = r.id, (`+countsSQL+`) c
		where r.id = @run`, pgx.NamedArgs{"run": run}).
		Scan(&version, &n.Outcomes, &n.Bounces, &n.Failures, &n.Content, &n.Unsubscribes, &n.Claimed, &n.Resumed)
	if err != nil {
		return 0, n, fmt.Errorf("read the numbers of run %d: %w", run, err)
	}
	return version, n, nil
}

// guardEvery is how often the numbers of a run that is being sent here are looked at; and guardSoon how often at most when
// there is a reason to look.
const (
	guardEvery = time.Second
	guardSoon  = 200 * time.Millisecond
)

// guard remembers which runs' numbers should be looked at.
type guard struct {
	mu   sync.Mutex
	last map[int]time.Time // run → when it was looked at
	owed map[int]bool      // runs that have changed since, and of which this process may hold no batch any more
}

func newGuard() *guard { return &guard{last: map[int]time.Time{}, owed: map[int]bool{}} }

// owe asks that a run's numbers are looked at once more, soon.
func (g *guard) owe(run int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.owed[run] = true
}

// may says whether a run was not looked at just now; the caller then does.
func (g *guard) may(run int, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Sub(g.last[run]) < guardSoon {
		g.owed[run] = true
		return false
	}
	g.last[run] = now
	delete(g.owed, run)
	return true
}

// take are the runs that are owed a look, and the given ones.
func (g *guard) take(active []int, now time.Time) []int {
	g.mu.Lock()
	defer g.mu.Unlock()
	last := map[int]time.Time{}
	for _, run := range active {
		g.owed[run] = true
	}
	var runs []int
	for run := range g.owed {
		runs, last[run] = append(runs, run), now
	}
	g.last, g.owed = last, map[int]bool{}
	return runs
}

// guardLoop looks at the runs that this process sends.
func (e *Engine) guardLoop(ctx context.Context) {
	ticker := time.NewTicker(guardEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			e.guardRuns(ctx, e.guard.take(e.gate.active(), time.Now()))
		}
	}
}

func (e *Engine) guardRuns(ctx context.Context, runs []int) {
	for _, run := range runs {
		err := within(ctx, 10*time.Second, func(ctx context.Context) error { return e.guardRun(ctx, run) })
		if err != nil && ctx.Err() == nil {
			e.guard.owe(run)
			e.Log.Warn("look at a run's numbers", slog.Int("run", run), slog.Any("error", err))
		}
	}
}

// guardSoon looks at a run now, unless that has just been done.
func (e *Engine) guardSoon(ctx context.Context, run int) {
	if e.guard.may(run, time.Now()) {
		e.guardRuns(ctx, []int{run})
	}
}

// guardRun pauses a run, and puts its campaign into quarantine, where its numbers say so.
func (e *Engine) guardRun(ctx context.Context, run int) error {
	version, n, err := readNumbers(ctx, e.Pool, run)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	content, err := e.Library.Content(ctx, version)
	if err != nil {
		return err
	}
	reason, quarantined := content.Safeguards.judge(n)
	if reason == "" {
		return nil
	}
	return pg.InTx(ctx, e.Pool, func(tx pgx.Tx) error {
		if quarantined {
			if err := quarantine(ctx, tx, run, reason); err != nil {
				return err
			}
		}
		return e.stop(ctx, tx, run, reason)
	})
}

// stop pauses a run of which something is left to send.
func (e *Engine) stop(ctx context.Context, tx pgx.Tx, run int, reason string) error {
	tag, err := tx.Exec(ctx, `
		update runs set state = 'paused', reason = $2
		where id = $1 and state = 'sending'
		  and (select sum(delta) from run_totals where run_id = $1 and state in ('planned', 'claimed')) > 0`, run, reason)
	if err != nil {
		return fmt.Errorf("pause run %d: %w", run, err)
	}
	if tag.RowsAffected() == 0 {
		return noteTooLate(ctx, tx, run, reason)
	}
	e.gate.set(run, true)
	e.Log.Warn("run paused", slog.Int("run", run))
	return access.Record(ctx, tx, access.Entry{Actor: "sapa", Action: "pause", Subject: fmt.Sprintf("run %d", run), Detail: map[string]any{"reason": reason}})
}

// tooLate ends the reason of a run that is done and that its safeguards would have paused.
const tooLate = "; the run was over before it could be paused"

// noteTooLate tells people what a run's numbers are when nothing was left of it to stop.
func noteTooLate(ctx context.Context, tx pgx.Tx, run int, reason string) error {
	_, err := tx.Exec(ctx, `update runs set reason = $2 where id = $1 and state = 'done' and reason is distinct from $2`, run, reason+tooLate)
	if err != nil {
		return fmt.Errorf("note on run %d: %w", run, err)
	}
	return nil
}

// quarantine keeps a campaign from making runs by the version of this one, until another is applied or a person lets it go on.
func quarantine(ctx context.Context, tx pgx.Tx, run int, reason string) error {
	var campaign string
	err := tx.QueryRow(ctx, `
		with made as (
			insert into quarantines (campaign_id, version_id, run_id, reason)
			select r.campaign_id, r.version_id, r.id, $2
			from runs r join campaigns c on c.id = r.campaign_id and c.version_id = r.version_id
			where r.id = $1
			on conflict do nothing
			returning campaign_id)
		select c.name from made m join campaigns c on c.id = m.campaign_id`, run, reason).Scan(&campaign)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("put the campaign of run %d into quarantine: %w", run, err)
	}
	return access.Record(ctx, tx, access.Entry{
		Actor: "sapa", Action: "quarantine", Subject: "campaign " + campaign, Detail: map[string]any{"run": run, "reason": reason},
	})
}
