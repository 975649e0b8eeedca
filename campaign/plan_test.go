package campaign_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/customer"
)

// started is what beginning a run gave.
type started struct {
	run  *campaign.Run
	plan *campaign.Plan
	err  error
}

// startAtOnce begins runs of campaigns at the same moment.
func (s *shop) startAtOnce(names ...string) []started {
	begun := make(chan started, len(names))
	for _, name := range names {
		p := s.process()
		go func() {
			r, plan, err := p.Start(context.Background(), campaign.Start{Campaign: name, Actor: "tester"})
			begun <- started{r, plan, err}
		}()
	}
	list := make([]started, len(names))
	for i := range list {
		list[i] = <-begun
	}
	return list
}

// Two plans of a campaign meet at the campaign's lock, and the first one skips some: their occasions are released, and
// the second takes them over without stumbling over the first's rows.
func TestSecondPlanTakesOverWhatTheFirstSkipped(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(20)
	s.exec(`update shop.customers set email = null where id <= 5`)
	s.apply("birthday", birthdayYAML, nil)
	release := s.lockCampaigns()
	done := make(chan []started, 1)
	go func() { done <- s.startAtOnce("birthday", "birthday") }()
	s.awaitLocks(2)
	release()
	var planned, already, skipped int
	for _, b := range <-done {
		s.must(b.err)
		planned, already, skipped = planned+b.plan.Planned, already+b.plan.Already, skipped+b.plan.Skipped["no address"]
	}
	if planned != 15 || already != 15 || skipped != 10 {
		t.Errorf("planned %d, already %d, skipped %d; want 15, 15, 10", planned, already, skipped)
	}
	s.addsUp()
}

// An occasion that was free when the plan was made, and that a provider's report takes before it is written, gets no
// second message: the run is not planned.
func TestOccasionTakenWhilePlanning(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(3)
	s.exec(`update shop.customers set email = null where id = 2`)
	s.apply("birthday", birthdayYAML, nil)
	s.start("birthday")
	s.exec(`update shop.customers set email = 'budi@mail.example' where id = 2`)
	s.exec(`create function taken() returns trigger language plpgsql as $$ begin
			update occasions set spent = true where customer_key = '2'; return null;
		end $$;
		create trigger taken after insert on messages for each statement execute function taken()`)
	_, _, err := s.planner.Start(t.Context(), campaign.Start{Campaign: "birthday", Actor: "tester"})
	if err == nil || !strings.Contains(err.Error(), "occasions were taken while the run was planned") {
		t.Errorf("%v", err)
	}
	if n := s.number(`select count(*) from messages where customer_key = '2'`); n != 1 {
		t.Errorf("%d messages for an occasion that was taken, want only the first", n)
	}
}

// Plans of different campaigns that meet the same new customers wait for each other, and none ends in a deadlock.
func TestPlansOfDifferentCampaigns(t *testing.T) {
	t.Parallel()
	s := setup(t)
	names := []string{"one", "two", "three"}
	for _, name := range names {
		s.apply(name, strings.Replace(birthdayYAML, "campaign: birthday", "campaign: "+name, 1), nil)
	}
	for round := range 4 {
		s.exec(`insert into shop.customers (id, first_name, email, birth_date)
			select $1::int * 1000 + i, 'Budi', 'budi' || $1::int * 1000 + i || '@mail.example', date '1990-11-23' from generate_series(1, 300) i order by random()`, round)
		for _, b := range s.startAtOnce(append(names, names...)...) {
			s.must(b.err)
		}
	}
	if n := s.number(`select count(*) from messages where state = 'planned'`); n != 3*4*300 {
		t.Errorf("%d messages, want %d", n, 3*4*300)
	}
	s.addsUp()
}

// Making a run does not wait for another run of the campaign that is being planned.
func TestRunsAreMadeWhileOthersPlan(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(5)
	s.apply("birthday", birthdayYAML, nil)
	s.exec(`create function stall() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(4711); return new; end $$`)
	s.exec(`create trigger stall before insert on occasions for each row execute function stall()`)
	tx, err := s.pool.Begin(t.Context())
	s.must(err)
	_, err = tx.Exec(t.Context(), `select pg_advisory_xact_lock(4711)`)
	s.must(err)
	begun := make(chan []started, 1)
	go func() { begun <- s.startAtOnce("birthday") }()
	s.awaitLocks(1)
	limit, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = s.pool.Exec(limit, `insert into runs (campaign_id, version_id, tick, as_of, actor) select campaign_id, id, now(), now(), 'tester' from versions`)
	s.must(err)
	s.must(tx.Rollback(t.Context()))
	s.must((<-begun)[0].err)
}

// A run that is cancelled before its planner holds it is not planned.
func TestCancelBeforePlanning(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(20)
	s.apply("birthday", birthdayYAML, nil)
	tx, err := s.pool.Begin(t.Context())
	s.must(err)
	_, err = tx.Exec(t.Context(), `select pg_advisory_xact_lock(hashtextextended('sapa ensure_month', 0))`)
	s.must(err)
	begun := make(chan []started, 1)
	go func() { begun <- s.startAtOnce("birthday") }()
	s.awaitLocks(1)
	run := s.number(`select id from runs`)
	s.must(s.planner.Cancel(t.Context(), run, "tester"))
	s.must(tx.Rollback(t.Context()))
	if b := <-begun; !errors.Is(b[0].err, campaign.ErrState) {
		t.Errorf("the planner ended with %v", b[0].err)
	}
	if p := s.await(run, "cancelled"); len(p.Counts) != 0 || p.Reason != "cancelled by tester" {
		t.Errorf("%+v", p)
	}
	if _, plan := s.start("birthday"); plan.Planned != 20 {
		t.Errorf("a later run: %+v", plan)
	}
}

// madeRun makes a run of the campaign birthday that is not planned, as a process leaves it that died.
func (s *shop) madeRun(scheduled bool, age string) int {
	s.t.Helper()
	return s.number(`insert into runs (campaign_id, version_id, tick, as_of, scheduled, actor, created_at)
		select campaign_id, id, '2026-11-23 09:00', '2026-11-23 02:00Z', $1, 'tester', clock_timestamp() - $2::interval from versions returning id`, scheduled, age)
}

// Runs whose planner died: those of a schedule are planned by whoever keeps schedules, those by hand say how to go on.
// One that is young may still have its planner, and one whose row is held has it.
func TestRunsWithoutPlanner(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(20)
	s.apply("birthday", birthdayYAML, nil)
	held := s.madeRun(true, "2 hours")
	tx, err := s.pool.Begin(t.Context())
	s.must(err)
	_, err = tx.Exec(t.Context(), `select from runs where id = $1 for no key update`, held) // as planners do
	s.must(err)
	young := s.madeRun(true, "10 seconds")
	byHand := s.madeRun(false, "2 minutes")
	scheduled := s.madeRun(true, "2 minutes")

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { s.planner.RunSchedules(ctx); close(ended) }()
	if p := s.await(scheduled, "sending"); p.Counts["planned"] != 20 {
		t.Errorf("the scheduled run: %+v", p)
	}
	stop()
	<-ended
	for run, reason := range map[int]string{
		held: "", young: "",
		byHand: fmt.Sprintf("whoever planned it is gone; plan it anew with: sapa resume %d, or end it with: sapa cancel %d", byHand, byHand),
	} {
		if p := s.await(run, "planning"); p.Reason != reason {
			t.Errorf("run %d says %q, want %q", run, p.Reason, reason)
		}
	}
	s.must(tx.Rollback(t.Context()))
	s.must(s.planner.Resume(t.Context(), byHand, "tester"))
	if p := s.await(byHand, "done"); p.Counts["already"] != 20 || p.Reason != "" {
		t.Errorf("resumed: %+v", p)
	}
	s.addsUp()
}

// While the company's table is locked, a scheduled run stays in state planning, to be tried again, and one by hand ends
// with the reason.
func TestPlanWhileTheTableIsLocked(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(20)
	s.apply("birthday", birthdayYAML, nil)
	byHand, scheduled := s.madeRun(false, "1 second"), s.madeRun(true, "1 second")
	s.exec(`create index on shop.customers (id)`) // the check of keys needs no lock that the next line takes
	tx, err := s.pool.Begin(t.Context())
	s.must(err)
	_, err = tx.Exec(t.Context(), `alter table shop.customers add column shoe_size int`)
	s.must(err)
	limit, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, run := range []int{byHand, scheduled} {
		if err := s.planner.PlanRun(limit, run); err == nil || !strings.Contains(err.Error(), "lock timeout") {
			t.Errorf("plan: %v", err)
		}
	}
	s.await(byHand, "cancelled")
	s.await(scheduled, "planning")
	s.must(tx.Commit(t.Context()))
	s.must(s.planner.PlanRun(t.Context(), scheduled))
	if p := s.await(scheduled, "sending"); p.Counts["planned"] != 20 {
		t.Errorf("planned: %+v", p)
	}
}

// What planning skipped has no batch; a retry makes one, and everything is asked again before it is sent.
func TestRetryOfWhatPlanningSkipped(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(8)
	s.exec(`update shop.customers set newsletter_ok = false where id in (1, 2)`)
	for _, id := range []int{3, 4} {
		s.must(customer.Suppress(t.Context(), s.pool, "email", fmt.Sprintf("budi%d@mail.example", id), customer.Suppression{Reason: "complaint", Source: "test", At: monday}))
	}
	s.apply("birthday", birthdayYAML, nil)
	run, plan := s.start("birthday")
	if plan.Planned != 4 {
		t.Fatalf("plan: %+v", plan)
	}
	s.send(s.engine("smtp://"+s.mail.SMTPAddr()), run.ID, "done")
	s.exec(`update shop.customers set newsletter_ok = true where id = 1`)
	s.exec(`delete from suppressions where address = 'budi3@mail.example'`)
	n, err := s.planner.Retry(t.Context(), run.ID, "tester")
	s.must(err)
	if n != 4 {
		t.Errorf("%d messages are retried, want 4", n)
	}
	p := s.send(s.engine("smtp://"+s.mail.SMTPAddr()), run.ID, "done")
	if d := cmp.Diff(map[string]int{"skipped: no consent": 1, "skipped: suppressed": 1}, p.Reasons); d != "" || p.Counts["sent"] != 6 {
		t.Errorf("after the retry: %v %s", p.Counts, d)
	}
	s.addsUp()
}

// Where consent is denied unless it was given, a retry sends to nobody who has not given it, and the ledger's word wins
// over the default in both directions.
func TestRetryAsksForConsent(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.resolve(strings.NewReplacer("SMTP", s.mail.SMTPAddr(), "default: granted", "default: denied").Replace(shopYAML))
	s.customers(4)
	s.exec(`update shop.customers set newsletter_ok = true where id = 1`)
	s.must(customer.SetConsent(t.Context(), s.pool, customer.ConsentChange{CustomerKey: "2", Channel: "email", Topic: "greetings", Granted: true, Source: "test", At: monday}))
	s.apply("birthday", birthdayYAML, nil)
	run, plan := s.start("birthday")
	if plan.Planned != 2 || plan.Skipped["no consent"] != 2 {
		t.Fatalf("plan: %+v", plan)
	}
	s.exec(`update shop.customers set newsletter_ok = null where id = 1`) // it no longer says yes
	if _, err := s.planner.Retry(t.Context(), run.ID, "tester"); err != nil {
		t.Fatal(err)
	}
	p := s.send(s.engine("smtp://"+s.mail.SMTPAddr()), run.ID, "done")
	if d := cmp.Diff(map[string]int{"skipped: no consent": 3}, p.Reasons); d != "" || p.Counts["sent"] != 1 {
		t.Errorf("after the retry: %v %s", p.Counts, d)
	}
	s.addsUp()
}

// A retry does not get around the cooldown: only planning knows it.
func TestRetryKeepsTheCooldown(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(5)
	s.apply("birthday", birthdayYAML, nil)
	s.start("birthday")
	s.apply("birthday", strings.Replace(birthdayYAML, "occasion: today()", "cooldown: 300d\n  occasion: '\"other\"'", 1), nil)
	run, plan := s.start("birthday")
	if plan.Skipped["cooldown"] != 5 {
		t.Fatalf("plan: %+v", plan)
	}
	if n, err := s.planner.Retry(t.Context(), run.ID, "tester"); err != nil || n != 0 {
		t.Errorf("%d messages are retried (%v), want none", n, err)
	}
	s.await(run.ID, "done")
	s.addsUp()
}

// A run that was paused when its last message had gone is done as soon as it is resumed.
func TestResumeOfWhatIsThrough(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(5)
	s.apply("birthday", birthdayYAML, nil)
	run, _ := s.start("birthday")
	s.send(s.engine("smtp://"+s.mail.SMTPAddr()), run.ID, "done")
	s.exec(`update runs set state = 'paused', finished_at = null`)
	s.must(s.planner.Resume(t.Context(), run.ID, "tester"))
	s.await(run.ID, "done")
	if err := s.planner.Resume(t.Context(), run.ID, "tester"); !errors.Is(err, campaign.ErrState) {
		t.Errorf("resume of a run that is done: %v", err)
	}
}

// TestLargePlanIsMeasured looks at what PostgreSQL thinks of the ledger after a large plan.
func TestLargePlanIsMeasured(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.apply("birthday", birthdayYAML, nil)
	s.customers(10_000)
	s.start("birthday")
	for _, table := range []string{"messages", "occasions"} {
		rows := s.number(`select max(reltuples)::int from pg_class where relname ~ $1 and relkind = 'r'`, "^"+table)
		if rows != 10_000 {
			t.Errorf("PostgreSQL thinks that %s has %d rows after a plan of 10,000", table, rows)
		}
	}
}
