package campaign_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/customer"
)

const climbYAML = `
campaign: oil
topic: service
audience: {where: "true", occasion: today()}
channels: [whatsapp, sms, email]
then: {after: 2d}
content:
  whatsapp: {text: "Halo"}
  sms: {text: Halo}
  email: {subject: Halo, text: Halo}
`

// reachable makes n customers whom every channel reaches.
func (s *shop) reachable(n int) {
	s.t.Helper()
	s.exec(`insert into crm.customers (id, full_name, email, phone)
		select i, 'Budi', 'budi' || i || '@mail.example', '0812' || 10000000 + i from generate_series(1, $1::int) i`, n)
}

// became records what became of planned messages, as sending would: each in the batch's last word.
func (s *shop) became(state, reason string, keys ...string) {
	s.t.Helper()
	s.exec(`
		with old as (
			select id, state as was from messages where state in ('planned', 'claimed', 'unknown') and customer_key = any($4)
		), moved as (
			update messages m set state = $1::text::message_state, reason = nullif($2, ''), attempts = attempts + 1, claimed_at = $3
			from old o where o.id = m.id returning m.id, m.run_id, m.attempts, o.was
		), tried as (
			insert into attempts (message_id, number, worker, epoch, at, verdict)
			select id, attempts, 1, 1, $3, case when $1 = 'sent' then 'accepted' else $1 end from moved where $1 <> 'skipped'
		), released as (
			update occasions o set spent = $1 not in ('failed', 'skipped') from moved m where o.message_id = m.id
		), closed as (
			update batches b set done = true, climb_at = case when climb_at is not null then '-infinity'::timestamptz end
			where exists (select from moved m where m.run_id = b.run_id and m.id between b.lo and b.hi)
		)
		insert into run_totals (run_id, state, reason, delta)
		select run_id, $1, $2, count(*) from moved group by 1
		union all select run_id, was::text, '', -count(*) from moved group by 1, was`, state, reason, s.now(), keys)
}

// respond records a response to the last message of a customer.
func (s *shop) respond(kind, key string) {
	s.t.Helper()
	s.exec(`insert into responses (message_id, kind, first_at) select max(id), $1, $2 from messages where customer_key = $3`, kind, s.now(), key)
}

// climb plans what is due.
func (s *shop) climb() {
	s.t.Helper()
	s.must(s.planner.Climb(s.t.Context()))
	s.climbedRight()
}

// rungsOf are the messages of a customer: step, channel and state.
func (s *shop) rungsOf(key string) []string {
	s.t.Helper()
	return s.strings(`select concat_ws(' ', step, channel, state, reason) from messages where customer_key = '` + key + `' order by step, id`)
}

func (s *shop) expectRungs(want map[string][]string) {
	s.t.Helper()
	got := map[string][]string{}
	for key := range want {
		got[key] = s.rungsOf(key)
	}
	if d := cmp.Diff(want, got); d != "" {
		s.t.Error(d)
	}
}

// expectSpent compares the occasions of all ladders: customer, step, spent.
func (s *shop) expectSpent(want ...string) {
	s.t.Helper()
	if d := cmp.Diff(want, s.strings(`select customer_key || ' ' || step || ' ' || spent from occasions order by customer_key, step`)); d != "" {
		s.t.Error(d)
	}
}

// Who does not respond goes on after the time, who failed at once; a response of any rung, unsubscribing, an erasure end the ladder.
func TestClimb(t *testing.T) {
	t.Parallel()
	s, clock := setupLadder(t)
	s.reachable(9)
	s.exec(`update crm.customers set email = null where id = 6`)
	s.apply("oil", climbYAML, nil)
	run, plan := s.start("oil")
	if d := cmp.Diff([]campaign.PlanChannel{{Channel: "whatsapp", Messages: 9}}, plan.Channels); d != "" {
		t.Fatal(d)
	}
	s.climb() // nothing is due
	s.became("sent", "", "1", "2", "3", "6", "8")
	s.became("failed", "refused", "4")
	s.became("failed", "opted out", "5")
	s.became("unknown", "", "7")
	s.became("skipped", "cap", "9")
	s.respond("delivered", "2")
	s.respond("unsubscribe", "3")
	s.exec(`update runs set state = 'done' where id = $1`, run.ID)
	s.climb()
	s.expectRungs(map[string][]string{
		"1": {"0 whatsapp sent"}, "2": {"0 whatsapp sent"}, "3": {"0 whatsapp sent"}, "6": {"0 whatsapp sent"}, "7": {"0 whatsapp unknown"},
		"4": {"0 whatsapp failed refused", "1 sms planned"}, "5": {"0 whatsapp failed opted out"}, "9": {"0 whatsapp skipped cap"},
	})
	if p := s.await(run.ID, "sending"); p.Counts["rung"] != 1 || p.Messages() != 10 {
		t.Errorf("%+v", p)
	}
	s.climb() // once is enough
	s.respond("undelivered", "8")
	s.climb()
	s.expectRungs(map[string][]string{"8": {"0 whatsapp sent", "1 sms planned"}})

	clock.set(t, "2026-11-25T08:59+07:00")
	s.climb()
	s.expectRungs(map[string][]string{"1": {"0 whatsapp sent"}})
	clock.set(t, "2026-11-25T09:02+07:00")
	s.exec(`insert into consents (customer_key, channel, topic, granted, source, at) values ('6', 'sms', '*', false, 'test', now())`)
	s.climb()
	s.expectRungs(map[string][]string{
		"1": {"0 whatsapp sent", "1 sms planned"}, "2": {"0 whatsapp sent"}, "3": {"0 whatsapp sent"}, "6": {"0 whatsapp sent"}, "7": {"0 whatsapp unknown"},
	})
	s.became("failed", "refused", "7") // by a person, or a log
	s.climb()
	s.expectRungs(map[string][]string{"7": {"0 whatsapp failed refused", "1 sms planned"}})

	// The third rung; the open of the first message, days later, ends the ladder of customer 1.
	s.became("sent", "", "1", "4", "7", "8")
	s.exec(`insert into responses (message_id, kind, first_at) select min(id), 'read', $1 from messages where customer_key = '1'`, s.now())
	clock.set(t, "2026-11-28T12:00+07:00")
	s.exec(`insert into erasures (customer_key, key_hash, at, actor, row_present) values ('8', '\x00', now(), 'test', true)`)
	s.climb()
	s.expectRungs(map[string][]string{
		"1": {"0 whatsapp sent", "1 sms sent"}, "4": {"0 whatsapp failed refused", "1 sms sent", "2 email planned"},
		"7": {"0 whatsapp failed refused", "1 sms sent", "2 email planned"}, "8": {"0 whatsapp sent", "1 sms sent"},
	})
	want := []string{"1 no response", "4 failed: refused", "4 no response", "6 no response; no channel", "7 failed: refused", "7 no response", "8 undelivered"}
	got := s.strings(`select m.customer_key || ' ' || g.because from rungs g join messages m on m.id = g.message_id order by m.customer_key, m.step`)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if n := s.number(`select count(*) from report_channels where run_id = $1`, run.ID); n != 3 {
		t.Errorf("%d rows in report_channels, want 3", n)
	}
}

// While a ladder goes on nobody else takes its occasion; when all of its messages failed, a later run does, and a retry takes up the
// last rung.
func TestLadderReleasesItsOccasion(t *testing.T) {
	t.Parallel()
	s, clock := setupLadder(t)
	s.reachable(2)
	s.apply("oil", strings.Replace(climbYAML, "then: {after: 2d}", "then: {after: 30min, unless: clicked}", 1), nil)
	run, _ := s.start("oil")
	s.became("failed", "refused", "1", "2")
	s.climb()
	s.expectSpent("1 0 true", "1 1 true", "2 0 true", "2 1 true")
	if _, plan := s.start("oil"); plan.Already != 2 {
		t.Errorf("another run: %+v", plan)
	}
	s.became("failed", "refused", "1")
	s.became("sent", "", "2")
	clock.set(t, "2026-11-23T09:10+07:00")
	s.climb()
	s.became("failed", "refused", "1")
	s.climb()
	s.expectSpent("1 0 false", "1 1 false", "1 2 false", "2 0 true", "2 1 true")
	n, err := s.planner.Retry(t.Context(), run.ID, "ani")
	s.must(err)
	if n != 1 {
		t.Errorf("%d messages are tried again, want the last rung's", n)
	}
	s.expectSpent("1 0 true", "1 1 true", "1 2 true", "2 0 true", "2 1 true")
	s.expectRungs(map[string][]string{"1": {"0 whatsapp failed refused", "1 sms failed refused", "2 email planned"}})
	s.became("failed", "refused", "1")
	s.climb()
	if _, plan := s.start("oil"); plan.Already != 1 || plan.Planned != 1 {
		t.Errorf("a later run: %+v", plan)
	}
	if n, err := s.planner.Retry(t.Context(), run.ID, "ani"); err != nil || n != 0 {
		t.Errorf("%d messages are tried again beside a later run (%v)", n, err)
	}
	s.climbedRight()
	s.became("failed", "refused", "1") // the later run's ladder begins anew
	s.climb()
	if d := cmp.Diff([]string{"0 whatsapp", "1 sms"}, s.strings(`select step || ' ' || channel from messages where run_id = (select max(run_id) from messages) order by id`)); d != "" {
		t.Error(d)
	}
}

// Many processes at once plan each rung once.
func TestClimbOfManyProcesses(t *testing.T) {
	t.Parallel()
	s, _ := setupLadder(t)
	s.reachable(700)
	s.apply("oil", climbYAML, nil)
	s.start("oil")
	var keys []string
	for i := range 700 {
		keys = append(keys, fmt.Sprint(i+1))
	}
	s.exec(`with small as (delete from batches returning run_id, lo, hi, due_at, channel, climb_at) -- more than one looks at in a transaction
		insert into batches (run_id, lo, hi, due_at, channel, climb_at)
		select run_id, n, least(n + 4, hi), due_at, channel, climb_at from small, generate_series(lo, hi, 5) n`)
	s.became("failed", "refused", keys...)
	errs := make(chan error, 4)
	for range 4 {
		p := s.process()
		go func() { errs <- p.Climb(t.Context()) }()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	s.climb()
	if n := s.number(`select count(*) from messages where step = 1 and state = 'planned' and channel = 'sms'`); n != 700 {
		t.Errorf("%d of 700 climbed", n)
	}
	if d := cmp.Diff([]string{"1 sms 700"}, s.strings(`select step || ' ' || channel || ' ' || messages from run_channels where step = 1`)); d != "" {
		t.Error(d)
	}
}

// A planner that dies in the middle leaves nothing, and the next one plans all.
func TestClimbDies(t *testing.T) {
	t.Parallel()
	s, _ := setupLadder(t)
	s.reachable(3)
	s.apply("oil", climbYAML, nil)
	s.start("oil")
	s.became("failed", "refused", "1", "2", "3")
	s.exec(`create function broken() returns trigger language plpgsql as $$ begin raise exception 'the connection is gone' using errcode = '57P01'; end $$;
		create trigger broken before insert on rungs for each row execute function broken()`)
	if err := s.planner.Climb(t.Context()); err == nil {
		t.Error("nothing went wrong")
	}
	if n := s.number(`select count(*) from messages where step > 0`); n != 0 {
		t.Errorf("%d messages of a rung that was not planned", n)
	}
	s.climbedRight()
	s.exec(`drop trigger broken on rungs`)
	s.climb()
	if n := s.number(`select count(*) from messages where step = 1`); n != 3 {
		t.Errorf("%d climbed, want 3", n)
	}
}

// A run that is done and whose ladder waits can be paused and cancelled; then nothing climbs.
func TestStopLadder(t *testing.T) {
	t.Parallel()
	s, clock := setupLadder(t)
	s.reachable(2)
	s.apply("oil", climbYAML, nil)
	run, _ := s.start("oil")
	s.became("sent", "", "1", "2")
	s.exec(`update runs set state = 'done' where id = $1`, run.ID)
	s.must(s.planner.Pause(t.Context(), run.ID, "ani", "wait"))
	clock.set(t, "2026-11-26T09:00+07:00")
	s.climb()
	s.expectRungs(map[string][]string{"1": {"0 whatsapp sent"}})
	s.must(s.planner.Resume(t.Context(), run.ID, "ani"))
	s.await(run.ID, "done")
	s.must(s.planner.Cancel(t.Context(), run.ID, "ani"))
	s.climb()
	s.expectRungs(map[string][]string{"1": {"0 whatsapp sent"}})
}

// The budget holds for the first rung and for later ones, in an order that is not that of the keys.
func TestBudget(t *testing.T) {
	t.Parallel()
	s, _ := setupLadder(t)
	s.reachable(40)
	text := strings.NewReplacer("[whatsapp, sms, email]", "[sms, email]", "  whatsapp: {text: \"Halo\"}\n", "").Replace(climbYAML)
	s.apply("oil", text+"limits: {budget: 3520 IDR}\n", nil)
	run, plan := s.start("oil")
	if plan.Planned != 10 || plan.Skipped["budget"] != 30 || plan.Left.String() != "20 IDR" || plan.Channels[0].Cost.String() != "3500 IDR" {
		t.Fatalf("%+v %v %v", plan, plan.Left, plan.Channels)
	}
	if n := s.number(`select count(*) from messages where state = 'planned' and customer_key::int <= 10`); n == 10 {
		t.Error("the budget is spent in the order of keys")
	}
	s.became("failed", "refused", s.strings(`select customer_key from messages where state = 'planned'`)...)
	s.climb()
	want := []string{"0 sms failed 10", "0 sms skipped 30", "1 email planned 4", "1 email skipped 6"}
	if d := cmp.Diff(want, s.strings(`select concat_ws(' ', step, channel, state, count(*)) from messages group by step, channel, state order by 1`)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"3520 IDR of 3520"}, s.strings(fmt.Sprintf(`select trim_scale(planned_cost) || ' ' || planned_currency || ' of ' || trim_scale(budget) from report_runs where run_id = %d`, run.ID))); d != "" {
		t.Error(d)
	}
}

// A rung of a schedule with an end goes within its hours, in the customer's zone, and not in quiet hours.
func TestRungKeepsHours(t *testing.T) {
	t.Parallel()
	s, clock := setupLadder(t)
	s.reachable(3)
	s.exec(`update crm.customers set zone = case id when 1 then 'Asia/Jayapura' when 2 then 'Asia/Jakarta' end`)
	s.apply("oil", climbYAML+`schedule: {cron: "0 8 * * *", timezone: customer, until: "18:00"}`+"\n", nil)
	clock.set(t, "2026-11-24T05:55+07:00")
	s.ticks()
	s.planScheduled()
	clock.set(t, "2026-11-24T16:30+07:00") // 18:30 in Jayapura
	s.became("failed", "refused", "1", "2", "3")
	s.climb()
	want := []string{"1 2026-11-24 23:00 2026-11-25 09:00", "2 2026-11-24 09:30 2026-11-24 11:00", "3 2026-11-24 09:30 2026-11-24 11:00"}
	got := s.strings(`select customer_key || ' ' || to_char(not_before at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' ' || to_char(not_after at time zone 'UTC', 'YYYY-MM-DD HH24:MI')
		from messages where step = 1 order by 1`)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// A company's table that can't be read puts the ladder off, and fails nobody.
func TestClimbWithoutTables(t *testing.T) {
	t.Parallel()
	s, clock := setupLadder(t)
	s.reachable(1)
	s.apply("oil", climbYAML, nil)
	run, _ := s.start("oil")
	s.became("failed", "refused", "1")
	s.exec(`alter table crm.customers rename column email to mail`)
	if err := s.planner.Climb(t.Context()); err == nil {
		t.Error("nothing went wrong")
	}
	if p := s.await(run.ID, "sending"); !strings.HasPrefix(p.Reason, "the next rung can't be planned: ") {
		t.Errorf("%q", p.Reason)
	}
	s.exec(`alter table crm.customers rename column mail to email`)
	clock.set(t, "2026-11-23T09:11+07:00")
	s.climb()
	s.expectRungs(map[string][]string{"1": {"0 whatsapp failed refused", "1 sms planned"}})
}

// Rows of a customer that share a message go on together.
func TestClimbMerged(t *testing.T) {
	t.Parallel()
	s, _ := setupLadder(t)
	s.reachable(2)
	s.exec(`insert into crm.vehicles select i, 1 + i % 2, 'H ' || i, date '2026-11-25' from generate_series(1, 5) i`)
	text := strings.Replace(climbYAML, `audience: {where: "true", occasion: today()}`, `audience: {each: customer.vehicles as vehicle, where: "true", occasion: [vehicle.id], merge: customer}`, 1)
	s.apply("oil", text, nil)
	s.start("oil")
	s.became("failed", "refused", "1", "2")
	s.must(customer.SetConsent(t.Context(), s.pool, customer.ConsentChange{CustomerKey: "2", Channel: "*", Topic: "*", Source: "test", At: s.now()}))
	s.climb()
	want := []string{"1 0 2 2 true", "1 1 2 2 true", "2 0 3 3 false"}
	got := s.strings(`select m.customer_key || ' ' || m.step || ' ' || m.occasions || ' ' || count(*) || ' ' || o.spent
		from messages m join occasions o on o.message_id = m.id group by m.id, o.spent order by 1`)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
