package campaign_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// clock is business time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(t *testing.T, text string) {
	t.Helper()
	now, err := time.Parse("2006-01-02T15:04Z07:00", text)
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// setupClock is a workshop whose clock the test moves.
func setupClock(t *testing.T, now string) (*shop, *clock) {
	t.Helper()
	s, c := setupCRM(t), &clock{}
	c.set(t, now)
	s.now = c.Now
	s.resolve(crmYAML)
	return s, c
}

// store applies the campaigns of a project, and nothing else is left of what was applied before.
func (s *shop) store(files map[string]string) ([]campaign.Change, error) {
	s.t.Helper()
	return campaign.Apply(s.t.Context(), s.pool, s.load(files), s.now(), "tester")
}

// ticks takes everything that is due.
func (s *shop) ticks() {
	s.t.Helper()
	for {
		more, err := s.planner.Tick(s.t.Context())
		s.must(err)
		if !more {
			return
		}
	}
}

// scheduled is a campaign with a schedule.
func scheduled(name, schedule string) map[string]string {
	return map[string]string{"campaigns/" + name + ".yaml": `
campaign: ` + name + `
audience: {where: "true"}
schedule: ` + schedule + `
content: {email: {subject: Halo, text: Halo}}
`}
}

const allRuns = `select to_char(tick, 'YYYY-MM-DD HH24:MI') || ' ' || actor || ' ' || scheduled from runs order by id`

// Whoever looks, and however many do at the same time, each tick makes one run and one job that plans it.
func TestEachTickMakesOneRun(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-23T07:00+07:00")
	_, err := s.store(scheduled("daily", `{cron: "0 8 * * *"}`))
	s.must(err)
	for _, now := range []string{"2026-11-23T07:59+07:00", "2026-11-23T08:00+07:00", "2026-11-23T08:00+07:00", "2026-11-24T08:03+07:00"} {
		clock.set(t, now)
		s.ticksByMany(4)
	}
	want := []string{"2026-11-23 08:00 schedule true", "2026-11-24 08:00 schedule true"}
	if d := cmp.Diff(want, s.strings(allRuns)); d != "" {
		t.Error(d)
	}
	if n := s.number(`select count(*) from river_job where kind = 'plan_run'`); n != 2 {
		t.Errorf("%d jobs plan 2 runs", n)
	}
	if d := cmp.Diff([]string{"2026-11-25 08:00 2026-11-25 01:00"}, s.strings(nextTicks)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"2026-11-23 01:00", "2026-11-24 01:03"}, s.strings(`select to_char(as_of, 'YYYY-MM-DD HH24:MI') from runs order by id`)); d != "" {
		t.Error("as_of is when the run was made:", d)
	}
}

const nextTicks = `select coalesce(to_char(next_tick, 'YYYY-MM-DD HH24:MI') || ' ' || to_char(next_at, 'YYYY-MM-DD HH24:MI'), 'over') from schedules order by campaign_id`

// ticksByMany looks from several processes at once, each with its own connections.
func (s *shop) ticksByMany(n int) {
	s.t.Helper()
	var all sync.WaitGroup
	failed := make(chan error, n)
	for range n {
		p := s.process()
		all.Go(func() {
			for {
				more, err := p.Tick(s.t.Context())
				if err != nil || !more {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(failed)
	for err := range failed {
		s.must(err)
	}
}

// process is a planner with a pool, a library and a queue of its own.
func (s *shop) process() *campaign.Planner {
	s.t.Helper()
	pool, err := pg.Connect(s.t.Context(), pgtest.URL(s.pool), pg.Options{})
	s.must(err)
	s.t.Cleanup(pool.Close)
	queue, err := delivery.NewQueue(pool, pg.DefaultSchema, s.now)
	s.must(err)
	return &campaign.Planner{Pool: pool, Schema: s.schema, Library: campaign.NewLibrary(pool, s.schema, s.library.Base()), Queue: queue, Now: s.now, Log: s.log}
}

// Nothing ran for days: the latest tick is caught up, or none, and the schedule goes on.
func TestMissedTicks(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-20T07:00+07:00")
	_, err := s.store(map[string]string{
		"campaigns/once.yaml":  scheduled("once", `{cron: "0 8 * * *"}`)["campaigns/once.yaml"],
		"campaigns/skip.yaml":  scheduled("skip", `{cron: "0 8 * * *", catch_up: skip}`)["campaigns/skip.yaml"],
		"campaigns/until.yaml": scheduled("until", `{cron: "0 8 * * *", until: "18:00"}`)["campaigns/until.yaml"],
	})
	s.must(err)
	clock.set(t, "2026-11-23T07:00+07:00")
	s.ticks()
	runs := `select c.name || ' ' || to_char(tick, 'YYYY-MM-DD HH24:MI') from runs r join campaigns c on c.id = r.campaign_id order by c.name, tick`
	if d := cmp.Diff([]string{"once 2026-11-22 08:00"}, s.strings(runs)); d != "" {
		t.Error(d)
	}
	skipped := s.strings(`select subject || ' ' || (detail->>'tick') from audit_log where action = 'skip tick' order by 1`)
	want := []string{ // each by itself, also those before the one that is caught up
		"campaign once 2026-11-20 08:00", "campaign once 2026-11-21 08:00",
		"campaign skip 2026-11-20 08:00", "campaign skip 2026-11-21 08:00", "campaign skip 2026-11-22 08:00",
		"campaign until 2026-11-20 08:00", "campaign until 2026-11-21 08:00", "campaign until 2026-11-22 08:00",
	}
	if d := cmp.Diff(want, skipped); d != "" {
		t.Error(d)
	}
	clock.set(t, "2026-11-23T08:00+07:00")
	s.ticks()
	want = []string{"once 2026-11-22 08:00", "once 2026-11-23 08:00", "skip 2026-11-23 08:00", "until 2026-11-23 08:00"}
	if d := cmp.Diff(want, s.strings(runs)); d != "" {
		t.Error(d)
	}
}

// people have one customer in each zone; the customer's number is the position in the list.
func (s *shop) people(zones ...string) {
	s.t.Helper()
	s.exec(`insert into crm.customers (id, first_name, email, zone) select n, 'Budi', 'budi' || n || '@mail.example', zone
		from unnest($1::text[]) with ordinality u(zone, n)`, zones)
}

// planScheduled plans all runs that the schedules have made, as their jobs do.
func (s *shop) planScheduled() {
	s.t.Helper()
	for _, id := range s.numbers(`select id from runs where state = 'planning' order by id`) {
		s.must(s.planner.PlanRun(s.t.Context(), id))
	}
}

func (s *shop) numbers(sql string) (list []int) {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), sql)
	s.must(err)
	defer rows.Close()
	for rows.Next() {
		var n int
		s.must(rows.Scan(&n))
		list = append(list, n)
	}
	s.must(rows.Err())
	return list
}

// Each customer gets the message at the tick where they live, to the minute, from the first zone to the last, on days
// when clocks change, too; and none after `until` there.
func TestCustomersZones(t *testing.T) {
	t.Parallel()
	const window = `select c.zone || ' ' || to_char(not_before, 'YYYY-MM-DD HH24:MI') || coalesce(' ' || to_char(not_after, 'YYYY-MM-DD HH24:MI'), '')
		from messages m join crm.customers c on c.id::text = m.customer_key where run_id = (select max(id) from runs) order by m.not_before, c.id`
	cases := []struct {
		schedule, now string
		want          []string
	}{
		{`{cron: "30 7 * * *", timezone: customer, until: "18:00"}`, "2026-11-22T17:20+00:00", []string{
			"Pacific/Kiritimati 2026-11-22 17:30 2026-11-23 04:00",
			"Pacific/Chatham 2026-11-22 17:45 2026-11-23 04:15",
			"Asia/Jayapura 2026-11-22 22:30 2026-11-23 09:00",
			"Asia/Jakarta 2026-11-23 00:30 2026-11-23 11:00",
			"Mars/Olympus 2026-11-23 00:30 2026-11-23 11:00", // not a zone: the default
			"Asia/Kathmandu 2026-11-23 01:45 2026-11-23 12:15",
			"America/New_York 2026-11-23 12:30 2026-11-23 23:00",
			"Pacific/Pago_Pago 2026-11-23 18:30 2026-11-24 05:00",
		}},
		{`{at: 2026-11-01 01:30, timezone: customer}`, "2026-10-31T11:20+00:00", []string{ // comes twice in New York
			"Pacific/Kiritimati 2026-10-31 11:30",
			"Pacific/Chatham 2026-10-31 11:45",
			"Asia/Jayapura 2026-10-31 16:30",
			"Asia/Jakarta 2026-10-31 18:30",
			"Mars/Olympus 2026-10-31 18:30",
			"Asia/Kathmandu 2026-10-31 19:45",
			"America/New_York 2026-11-01 06:30",
			"Pacific/Pago_Pago 2026-11-01 12:30",
		}},
		{`{at: 2027-03-14 02:30, timezone: America/New_York, until: "05:00"}`, "2027-03-14T07:30+00:00", []string{ // skipped there: 03:30 on the new clock
			"Pacific/Pago_Pago 2027-03-14 07:30 2027-03-14 09:00",
			"America/New_York 2027-03-14 07:30 2027-03-14 09:00",
			"Asia/Kathmandu 2027-03-14 07:30 2027-03-14 09:00",
			"Asia/Jakarta 2027-03-14 07:30 2027-03-14 09:00",
			"Mars/Olympus 2027-03-14 07:30 2027-03-14 09:00",
			"Asia/Jayapura 2027-03-14 07:30 2027-03-14 09:00",
			"Pacific/Chatham 2027-03-14 07:30 2027-03-14 09:00",
			"Pacific/Kiritimati 2027-03-14 07:30 2027-03-14 09:00",
		}},
	}
	for _, c := range cases {
		s, clock := setupClock(t, "2026-10-01T00:00+00:00")
		s.people("Pacific/Pago_Pago", "America/New_York", "Asia/Kathmandu", "Asia/Jakarta", "Mars/Olympus", "Asia/Jayapura", "Pacific/Chatham", "Pacific/Kiritimati")
		_, err := s.store(scheduled("zones", c.schedule))
		s.must(err)
		clock.set(t, c.now)
		s.ticks()
		s.planScheduled()
		if d := cmp.Diff(c.want, s.strings(window)); d != "" {
			t.Error(c.schedule, d)
		}
		s.addsUp()
	}
}

// A message that was not sent before `until` is skipped when it is claimed, and nobody gets it at night.
func TestTooLate(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-23T07:00+07:00")
	s.people("Asia/Jakarta", "Asia/Jakarta", "Europe/Berlin")
	_, err := s.store(scheduled("morning", `{cron: "0 8 * * *", timezone: customer, until: "18:00"}`))
	s.must(err)
	s.ticks()
	s.planScheduled()
	if n := s.number(`select count(*) from messages where state = 'planned'`); n != 3 {
		t.Fatalf("%d are planned, want 3", n)
	}
	clock.set(t, "2026-11-23T18:00+07:00") // noon in Berlin
	run := s.numbers(`select id from runs`)[0]
	p := s.send(s.engine("smtp://"+s.mail.SMTPAddr()), run, "done")
	if d := cmp.Diff(map[string]int{"skipped: too late": 2}, p.Reasons); d != "" || p.Counts["sent"] != 1 {
		t.Errorf("%v %s", p.Counts, d)
	}
	s.addsUp()
}

// Messages wait for their zones: what is not due is not sent, and what is due later is.
func TestZonesWait(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-22T17:50+00:00")
	s.people("Pacific/Kiritimati", "Asia/Jakarta")
	_, err := s.store(scheduled("morning", `{cron: "0 8 * * *", timezone: customer}`))
	s.must(err)
	s.ticks()
	s.planScheduled()
	run := s.numbers(`select id from runs`)[0]
	clock.set(t, "2026-11-22T18:00+00:00")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	e := s.engine("smtp://" + s.mail.SMTPAddr())
	go func() { ended <- e.Run(ctx, nil) }()
	s.awaitSent(run, 1)
	if n := s.mail.Counts().Accepted; n != 1 {
		t.Errorf("%d messages went at eight in Kiritimati", n)
	}
	stop()
	s.must(<-ended)
	clock.set(t, "2026-11-23T01:00+00:00")
	s.send(s.engine("smtp://"+s.mail.SMTPAddr()), run, "done")
	if n := s.mail.Counts().Accepted; n != 2 {
		t.Errorf("%d messages in all, want 2", n)
	}
	s.addsUp()
}

// awaitSent waits until so many of a run's messages are sent.
func (s *shop) awaitSent(run, n int) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		p, err := delivery.ReadProgress(s.t.Context(), s.pool, run, s.now())
		s.must(err)
		if p.Counts["sent"] >= n {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("after a minute: %v", p.Counts)
		}
	}
}

// A schedule makes, plans and sends a run while nobody looks on.
func TestScheduleByItself(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-23T07:59+07:00")
	s.people("Asia/Jakarta", "Asia/Makassar")
	_, err := s.store(scheduled("morning", `{cron: "0 8 * * *"}`))
	s.must(err)
	clock.set(t, "2026-11-23T08:00+07:00")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	e := s.engine("smtp://" + s.mail.SMTPAddr())
	go func() { ended <- e.Run(ctx, s.planner.AddWorkers) }()
	go func() { s.planner.RunSchedules(ctx); ended <- nil }()
	for deadline := time.Now().Add(time.Minute); s.mail.Counts().Accepted < 2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing was sent within a minute")
		}
	}
	s.await(s.numbers(`select id from runs`)[0], "done")
	stop()
	s.must(errors.Join(<-ended, <-ended))
	s.addsUp()
}

// A version that no longer fits the company's tables loses no tick: it waits until it fits, or another is applied.
func TestVersionThatNoLongerFits(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-23T07:00+07:00")
	s.people("Asia/Jakarta")
	daily := func(where string) map[string]string {
		files := scheduled("daily", `{cron: "0 8 * * *"}`)
		files["campaigns/daily.yaml"] = strings.Replace(files["campaigns/daily.yaml"], `"true"`, where, 1)
		return files
	}
	_, err := s.store(daily(`customer.plan == nil`))
	s.must(err)
	s.exec(`alter table crm.customers rename column plan to tariff`)
	s.resolve(crmYAML)
	clock.set(t, "2026-11-23T08:00+07:00")
	s.ticks()
	s.ticks()
	if n := s.number(`select count(*) from runs`); n != 0 {
		t.Errorf("%d runs of a version that can't be used", n)
	}
	told := s.strings(`select detail->>'error' from audit_log where action = 'schedule failed'`)
	if len(told) != 1 || !strings.Contains(told[0], `unknown column "plan" of customer`) {
		t.Errorf("the audit log says %q", told)
	}
	if d := cmp.Diff([]string{"2026-11-23 08:00 2026-11-23 01:10"}, s.strings(nextTicks)); d != "" {
		t.Error(d)
	}
	clock.set(t, "2026-11-23T08:02+07:00")
	changes, err := s.store(daily(`customer.tariff == nil`))
	s.must(err)
	if changes[0].Tick != "2026-11-23 08:00" {
		t.Errorf("the tick that waits is not kept: %+v", changes[0])
	}
	s.ticks()
	if d := cmp.Diff([]string{"2026-11-23 08:00 schedule true"}, s.strings(allRuns)); d != "" {
		t.Error(d)
	}
}

// A job that finds the database's or the company's fault leaves a run that says so, and does not plan it twice.
func TestPlanningFails(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-23T07:00+07:00")
	s.people("Asia/Jakarta")
	_, err := s.store(scheduled("daily", `{cron: "0 8 * * *"}`))
	s.must(err)
	clock.set(t, "2026-11-23T08:00+07:00")
	s.ticks()
	s.exec(`alter table crm.customers rename column zone to time_zone`)
	run := s.numbers(`select id from runs`)[0]
	if err := s.planner.PlanRun(t.Context(), run); err == nil || !strings.Contains(err.Error(), "zone") {
		t.Errorf("the error does not tell: %v", err)
	}
	s.exec(`alter table crm.customers rename column time_zone to zone`)
	s.must(s.planner.PlanRun(t.Context(), run)) // the job again
	if states := s.strings(`select state || ': ' || reason from runs`); len(states) != 1 || !strings.HasPrefix(states[0], "paused: planning: ") {
		t.Errorf("the run is %q", states)
	}
	s.must(s.planner.Resume(t.Context(), run, "tester"))
	if d := cmp.Diff([]string{"sending 1"}, s.strings(runState)); d != "" {
		t.Error("after resuming:", d)
	}
	s.addsUp()
}

const runState = `select state || coalesce(': ' || reason, '') || ' ' || coalesce(message_count, 0) from runs`

// lockCampaigns stops all planning before it writes, until it is released.
func (s *shop) lockCampaigns() (release func()) {
	s.t.Helper()
	tx, err := s.pool.Begin(s.t.Context())
	s.must(err)
	_, err = tx.Exec(s.t.Context(), `select from campaigns for no key update`)
	s.must(err)
	return func() { s.must(tx.Rollback(s.t.Context())) }
}

// dueRun is a scheduled run for n customers that is not planned yet.
func dueRun(t *testing.T, n int) (*shop, int) {
	t.Helper()
	s, clock := setupClock(t, "2026-11-23T07:00+07:00")
	s.people(slices.Repeat([]string{"Asia/Jakarta"}, n)...)
	_, err := s.store(scheduled("daily", `{cron: "0 8 * * *"}`))
	s.must(err)
	clock.set(t, "2026-11-23T08:00+07:00")
	s.ticks()
	return s, s.numbers(`select id from runs`)[0]
}

// Two processes plan the same run at the same time, as when a job is taken for dead: it is planned once.
func TestTwoPlanTheSameRun(t *testing.T) {
	t.Parallel()
	s, run := dueRun(t, 50)
	release := s.lockCampaigns()
	ended := make(chan error, 2)
	for range 2 {
		p := s.process()
		go func() { ended <- p.PlanRun(t.Context(), run) }()
	}
	s.awaitLocks(2)
	release()
	s.must(errors.Join(<-ended, <-ended))
	if d := cmp.Diff([]string{"sending 50"}, s.strings(runState)); d != "" {
		t.Error(d)
	}
	s.addsUp()
}

// A run that is cancelled while it is planned is not sent.
func TestCancelWhilePlanning(t *testing.T) {
	t.Parallel()
	s, run := dueRun(t, 50)
	release := s.lockCampaigns()
	ended := make(chan error, 2)
	go func() { ended <- s.planner.PlanRun(t.Context(), run) }()
	s.awaitLocks(1)
	go func() { ended <- s.planner.Cancel(t.Context(), run, "tester") }()
	s.awaitLocks(2)
	release()
	s.must(errors.Join(<-ended, <-ended))
	if got := s.strings(runState); !strings.HasPrefix(got[0], "cancelled: cancelled by tester") {
		t.Errorf("the run is %q", got)
	}
	if n := s.number(`select count(*) from messages where state <> 'skipped'`); n != 0 {
		t.Errorf("%d messages of a run that was cancelled can be sent", n)
	}
	s.addsUp()
}

// A process that is told to stop while it plans leaves the run to another.
func TestPlanningStops(t *testing.T) {
	t.Parallel()
	s, run := dueRun(t, 50)
	release := s.lockCampaigns()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	p := s.process()
	go func() { ended <- p.PlanRun(ctx, run) }()
	s.awaitLocks(1)
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("planning ended with %v", err)
	}
	release()
	if d := cmp.Diff([]string{"planning 0"}, s.strings(runState)); d != "" {
		t.Error(d)
	}
	s.must(s.planner.PlanRun(t.Context(), run))
	if d := cmp.Diff([]string{"sending 50"}, s.strings(runState)); d != "" {
		t.Error(d)
	}
	s.addsUp()
}
