package campaign_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/delivery"
)

// Cancelling ends ladders: of whom nothing was accepted, or may have been, all occasions are free for a later run, those of the rungs
// before what was skipped, too; of others as soon as what was on its way has failed.
func TestCancelledLadder(t *testing.T) {
	t.Parallel()
	s, clock := setupLadder(t)
	s.reachable(5)
	s.apply("oil", climbYAML, nil)
	run, _ := s.start("oil")
	s.became("failed", "refused", "1", "2", "3", "4", "5")
	s.climb()
	s.became("sent", "", "2")
	s.became("unknown", "", "3", "4")
	s.exec(`with moved as (update messages set state = 'claimed' where state = 'planned' and customer_key = '5' returning run_id)
		insert into run_totals (run_id, state, delta) select run_id, v.state, v.delta from moved, (values ('claimed', 1), ('planned', -1)) v(state, delta)`)
	s.must(s.planner.Cancel(t.Context(), run.ID, "ani"))
	s.expectSpent("1 0 false", "1 1 false", "2 0 true", "2 1 true", "3 0 true", "3 1 true", "4 0 true", "4 1 true", "5 0 true", "5 1 true")
	s.expectRungs(map[string][]string{"1": {"0 whatsapp failed refused", "1 sms skipped cancelled"}})
	s.climb()

	s.became("failed", "refused", "5") // its worker had it when the run was cancelled
	s.exec(`update batches set climb_at = $1 where climb_at = '-infinity'`, clock.Now())
	s.climb()
	s.expectSpent("1 0 false", "1 1 false", "2 0 true", "2 1 true", "3 0 true", "3 1 true", "4 0 true", "4 1 true", "5 0 false", "5 1 false")
	s.exec(`update messages set state = 'failed', reason = 'not accepted' where state = 'unknown' and customer_key = '3'`) // by a log
	s.exec(`update occasions set spent = false where message_id = (select max(id) from messages where customer_key = '3')`)
	s.exec(`insert into run_totals (run_id, state, reason, delta) values ($1, 'failed', 'not accepted', 1), ($1, 'unknown', '', -1)`, run.ID)
	clock.set(t, "2026-11-23T10:01+07:00") // it is looked for again every hour
	s.climb()
	s.expectSpent("1 0 false", "1 1 false", "2 0 true", "2 1 true", "3 0 false", "3 1 false", "4 0 true", "4 1 true", "5 0 false", "5 1 false")
	s.became("sent", "", "4")
	s.climb()
	if n := s.number(`select count(*) from batches where climb_at < 'infinity'`); n > 0 {
		t.Errorf("%d batches of a run whose ladders are over are looked at again", n)
	}
	if _, plan := s.start("oil"); plan.Already != 2 || plan.Planned != 3 {
		t.Errorf("a later run: %+v", plan)
	}
	s.climbedRight()
}

// However the last rung ends without having been accepted, all of the ladder's occasions are free.
func TestLadderEnds(t *testing.T) {
	t.Parallel()
	s, _ := setupLadder(t)
	s.apply("oil", strings.NewReplacer("[whatsapp, sms, email]", "[whatsapp, sms]", "  email: {subject: Halo, text: Halo}\n", "").Replace(climbYAML), nil)
	ends := []string{
		"failed refused", "failed hard bounce", "failed opted out", "failed gave up", "failed content", "failed not accepted",
		"skipped cap", "skipped erased", "skipped too late", "skipped no address", "skipped suppressed", "skipped no consent", "skipped paused", "skipped gone",
		"skipped no longer eligible",
	}
	s.reachable(len(ends))
	s.start("oil")
	var keys []string
	for i := range ends {
		keys = append(keys, fmt.Sprint(i+1))
	}
	s.became("failed", "refused", keys...)
	s.climb()
	for i, end := range ends {
		state, reason, _ := strings.Cut(end, " ")
		s.became(state, reason, keys[i])
	}
	s.climb()
	if d := cmp.Diff([]string(nil), s.strings(`select m.state || ' ' || m.reason || ', step ' || l.step from occasions l
		join occasions o on (o.customer_key, o.occasion, o.step) = (l.customer_key, l.occasion, 1) join messages m on m.id = o.message_id where l.spent order by 1`)); d != "" {
		t.Errorf("occasions are still spent:\n%s", d)
	}
	if _, plan := s.start("oil"); plan.Already != 0 {
		t.Errorf("a later run: %+v", plan)
	}
}

// Erasing a customer ends their ladders, and releases all occasions of those by which nothing was sent.
func TestErasedLadder(t *testing.T) {
	t.Parallel()
	s, _ := setupLadder(t)
	s.reachable(2)
	s.apply("oil", climbYAML, nil)
	s.start("oil")
	s.became("failed", "refused", "1")
	s.became("sent", "", "2")
	s.respond("undelivered", "2")
	s.climb()
	s.expectSpent("1 0 true", "1 1 true", "2 0 true", "2 1 true")
	s.erase("1", "2")
	got := s.strings(`select m.state || ' ' || o.step || ' ' || o.spent from occasions o join messages m on m.id = o.message_id order by m.id`)
	if d := cmp.Diff([]string{"failed 0 false", "sent 0 true", "skipped 1 false", "skipped 1 false"}, got); d != "" {
		t.Error(d)
	}
}

// A provider reports on a message at the moment at which its ladder ends, or is cancelled: it is sent, and stays spent.
func TestReportAsLadderEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*shop, int) error{
		"ends": func(s *shop, _ int) error { return s.planner.Climb(s.t.Context()) },
		"cancelled": func(s *shop, run int) error {
			s.exec(`update runs set state = 'cancelled' where id = $1`, run)
			return delivery.Cancel(s.t.Context(), s.pool, run)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := setupLadder(t)
			s.reachable(1)
			s.apply("oil", climbYAML, nil)
			run, _ := s.start("oil")
			for range 2 {
				s.became("failed", "refused", "1")
				s.climb()
			}
			s.became("skipped", "cap", "1")
			first := int64(s.number(`select min(id) from messages`))
			s.exec(`insert into delivery_reports (message_id, provider_id, status, at, open) values ($1, 'SM1', 'sent', $2, true)`, first, s.now())
			reporting, err := s.pool.Begin(t.Context())
			s.must(err)
			defer reporting.Rollback(context.WithoutCancel(t.Context())) //nolint:errcheck // the test is over
			if n, err := delivery.Settle(t.Context(), reporting, []int64{first}); err != nil || n != 1 {
				t.Fatal(n, err)
			}
			ended := make(chan error, 1)
			go func() { ended <- end(s, run.ID) }()
			s.waitsOr(ended)
			s.must(reporting.Commit(t.Context()))
			s.must(<-ended)
			s.expectRungs(map[string][]string{"1": {"0 whatsapp sent", "1 sms failed refused", "2 email skipped cap"}})
			if n := s.number(`select count(*) from occasions where step = 0 and spent`); n != 1 {
				t.Error("the message was accepted, and another run would send it again")
			}
		})
	}
}

// waitsOr waits until somebody waits for a lock, or something has ended, whose answer it leaves.
func (s *shop) waitsOr(ended chan error) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); len(ended) == 0; time.Sleep(5 * time.Millisecond) {
		if s.number(`select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`) > 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatal("nobody waits for a lock, and nothing has ended after a minute")
		}
	}
}

// A provider reports on the second message of a ladder that is over, and whose first occasion a later run has: its ladder ends where it
// meets that message, and others of the run go on.
func TestClimbMeetsALateReport(t *testing.T) {
	t.Parallel()
	s, _ := setupLadder(t)
	s.reachable(2)
	s.apply("oil", strings.NewReplacer("[whatsapp, sms, email]", "[whatsapp, sms]", "  email: {subject: Halo, text: Halo}\n", "").Replace(climbYAML), nil)
	s.start("oil")
	for range 2 {
		s.became("failed", "refused", "1", "2")
		s.climb()
	}
	late := int64(s.number(`select id from messages where step = 1 and customer_key = '1'`))
	s.start("oil")
	s.exec(`insert into delivery_reports (message_id, provider_id, status, at, open) values ($1, 'SM1', 'sent', $2, true)`, late, s.now())
	if n, err := delivery.Settle(t.Context(), s.pool, []int64{late}); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	s.became("failed", "refused", "1", "2")
	s.climb()
	s.expectRungs(map[string][]string{
		"1": {"0 whatsapp failed refused", "0 whatsapp failed refused", "1 sms sent"},
		"2": {"0 whatsapp failed refused", "0 whatsapp failed refused", "1 sms failed refused", "1 sms planned"},
	})
}

// A provider reports on the second message of a ladder that is over: with it the occasion of the first is spent again.
func TestLateReportSpendsTheLadder(t *testing.T) {
	t.Parallel()
	s, _ := setupLadder(t)
	s.reachable(1)
	s.apply("oil", strings.NewReplacer("[whatsapp, sms, email]", "[whatsapp, sms]", "  email: {subject: Halo, text: Halo}\n", "").Replace(climbYAML), nil)
	s.start("oil")
	for range 2 {
		s.became("failed", "refused", "1")
		s.climb()
	}
	s.expectSpent("1 0 false", "1 1 false")
	late := int64(s.number(`select max(id) from messages`))
	s.exec(`insert into delivery_reports (message_id, provider_id, status, at, open) values ($1, 'SM1', 'sent', $2, true)`, late, s.now())
	if n, err := delivery.Settle(t.Context(), s.pool, []int64{late}); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	s.expectSpent("1 0 true", "1 1 true")
	if _, plan := s.start("oil"); plan.Already != 1 {
		t.Errorf("a later run: %+v", plan)
	}
}

// Whoever holds a run, or what stands in the way of it, keeps no other from climbing in the same round.
func TestClimbPassesBusyRuns(t *testing.T) {
	t.Parallel()
	s, _ := setupLadder(t)
	s.reachable(1)
	var runs []int
	for _, name := range []string{"busy", "broken", "oil", "held"} {
		s.apply(name, strings.Replace(climbYAML, "campaign: oil", "campaign: "+name, 1), nil)
		run, _ := s.start(name)
		runs = append(runs, run.ID)
	}
	s.became("failed", "refused", "1")
	s.exec(`update versions set source = 'campaign: [' where id = (select version_id from runs where id = $1)`, runs[1])
	s.planner = s.process() // which has not read it yet
	tx, err := s.pool.Begin(t.Context())
	s.must(err)
	_, err = tx.Exec(t.Context(), `select from runs where id = $1 for no key update`, runs[0])
	s.must(err)
	_, err = tx.Exec(t.Context(), `select from batches where run_id = $1 for update`, runs[3])
	s.must(err)
	if err := s.planner.Climb(t.Context()); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("run %d", runs[1])) {
		t.Errorf("%v", err)
	}
	climbed := func() []string { return s.strings(`select run_id::text from messages where step = 1 order by run_id`) }
	if d := cmp.Diff([]string{fmt.Sprint(runs[2])}, climbed()); d != "" {
		t.Error(d)
	}
	s.must(tx.Rollback(t.Context()))
	s.climb()
	if d := cmp.Diff([]string{fmt.Sprint(runs[0]), fmt.Sprint(runs[2]), fmt.Sprint(runs[3])}, climbed()); d != "" {
		t.Error(d)
	}
}

// Of a day's events messages, their rungs and what a retry takes up lie between each other, and each ladder goes on.
func TestLadderOfEvents(t *testing.T) {
	t.Parallel()
	s, _ := setupLadder(t)
	s.reachable(4)
	s.exec(`update crm.customers set phone = null where id = 2`)
	s.exec(`update crm.customers set newsletter_ok = false, sms_ok = false where id = 3`)
	s.exec(`insert into consents (customer_key, channel, topic, granted, source, at) values ('3', '*', '*', false, 'test', now())`)
	s.apply("oil", strings.NewReplacer(", occasion: today()}", "}\ntrigger: {event: check_in}").Replace(climbYAML), nil)
	come := func(keys ...string) {
		t.Helper()
		for _, key := range keys {
			s.must(s.planner.HandleEvent(t.Context(), s.event(checkIn(key, "{}")).ID, 1))
		}
		s.climbedRight()
	}
	come("1", "2", "3", "4", "3", "2", "1")
	s.expectRungs(map[string][]string{
		"1": {"0 whatsapp planned", "0 whatsapp planned"}, "2": {"0 email planned", "0 email planned"},
		"3": {"0 whatsapp skipped no consent", "0 whatsapp skipped no consent"}, "4": {"0 whatsapp planned"},
	})
	s.became("failed", "refused", "1", "4")
	s.climb()
	come("3", "4")
	s.exec(`update crm.customers set newsletter_ok = true, sms_ok = true where id = 3`)
	s.became("failed", "refused", "2")
	s.climb()
	n, err := s.planner.Retry(t.Context(), 1, "ani")
	s.must(err)
	if n != 5 { // of customers 2 and 3
		t.Errorf("%d messages are tried again", n)
	}
	s.climbedRight()
	s.exec(`delete from consents`)
	s.became("failed", "refused", "1", "2", "3", "4")
	s.climb()
	s.expectRungs(map[string][]string{
		"1": {"0 whatsapp failed refused", "0 whatsapp failed refused", "1 sms failed refused", "1 sms failed refused", "2 email planned", "2 email planned"},
		"2": {"0 email failed refused", "0 email failed refused"},
		"3": {"0 whatsapp failed refused", "0 whatsapp failed refused", "0 whatsapp failed refused", "1 sms planned", "1 sms planned", "1 sms planned"},
		"4": {"0 whatsapp failed refused", "0 whatsapp failed refused", "1 sms failed refused", "1 sms planned", "2 email planned"},
	})
	s.became("sent", "", "1", "3", "4")
	s.climb()
	if n := s.number(`select count(*) from occasions o join messages m on m.id = o.message_id where o.spent <> (m.customer_key <> '2')`); n > 0 {
		t.Errorf("%d occasions are spent wrongly", n)
	}
}
