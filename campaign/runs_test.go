package campaign_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/sandbox"
)

// Two processes start the same campaign at the same moment and both send: one message each.
func TestTwoProcessesAtOnce(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(900)
	s.apply("birthday", birthdayYAML, nil)
	type started struct {
		run  *campaign.Run
		plan *campaign.Plan
		err  error
	}
	results := make(chan started, 2)
	for range 2 {
		go func() {
			r, p, err := s.planner.Start(t.Context(), campaign.Start{Campaign: "birthday", Actor: "tester"})
			results <- started{r, p, err}
		}()
	}
	a, b := <-results, <-results
	s.must(errors.Join(a.err, b.err))
	if a.plan.Planned+b.plan.Planned != 900 || a.plan.Already+b.plan.Already != 900 {
		t.Errorf("planned %+v and %+v; together 900 should be planned and 900 have been already", a.plan, b.plan)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	for range 2 {
		e := s.engine("smtp://" + s.mail.SMTPAddr())
		go func() { ended <- e.Run(ctx, nil) }()
	}
	s.await(a.run.ID, "done")
	s.await(b.run.ID, "done")
	stop()
	s.must(errors.Join(<-ended, <-ended))
	s.addsUp()
	if n := s.mail.Counts().Accepted; n != 900 {
		t.Errorf("the server accepted %d messages, want 900", n)
	}
}

// byEmail are the channels of a plan whose messages all go by e-mail.
func byEmail(messages int) []campaign.PlanChannel {
	return []campaign.PlanChannel{{Channel: "email", Messages: messages}}
}

// Everything that can keep a message from its customer is skipped with its reason, and nobody disappears.
func TestSkipsHaveReasons(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(10)
	s.exec(`update shop.customers set email = null where id = 1`)
	s.exec(`update shop.customers set email = 'no address' where id = 2`)
	s.exec(`update shop.customers set newsletter_ok = false where id = 3`)
	s.must(customer.SetConsent(t.Context(), s.pool, customer.ConsentChange{CustomerKey: "4", Channel: "email", Topic: "greetings", Source: "test", At: monday}))
	s.must(customer.SetConsent(t.Context(), s.pool, customer.ConsentChange{CustomerKey: "5", Channel: "email", Topic: "other", Source: "test", At: monday}))
	s.must(customer.Suppress(t.Context(), s.pool, "email", "budi6@mail.example", customer.Suppression{Reason: "complaint", Source: "test", At: monday}))
	s.exec(`update shop.customers set timezone = 'Mars/Olympus' where id = 7`)
	s.apply("birthday", birthdayYAML, nil)

	run, plan := s.start("birthday")
	want := &campaign.Plan{
		Run: run.ID, Audience: 10, Planned: 5, Zones: 1,
		Skipped:  map[string]int{"no address": 1, "bad address": 1, "no consent": 2, "suppressed": 1},
		Channels: byEmail(5),
	}
	if d := cmp.Diff(want, plan); d != "" {
		t.Error(d)
	}
	// After planning: one unsubscribes, one is suppressed, one opts out in the company's own column, one is deleted.
	s.must(customer.SetConsent(t.Context(), s.pool, customer.ConsentChange{CustomerKey: "5", Channel: customer.Every, Topic: customer.Every, Source: "test", At: monday}))
	s.must(customer.Suppress(t.Context(), s.pool, "email", "budi7@mail.example", customer.Suppression{Reason: "complaint", Source: "test", At: monday}))
	s.exec(`update shop.customers set newsletter_ok = false where id = 8`)
	s.exec(`delete from shop.customers where id = 9`)
	p := s.send(s.engine("smtp://"+s.mail.SMTPAddr()), run.ID, "done")
	wantReasons := map[string]int{"skipped: no address": 1, "skipped: bad address": 1, "skipped: no consent": 4, "skipped: suppressed": 2, "skipped: gone": 1}
	if d := cmp.Diff(wantReasons, p.Reasons); d != "" {
		t.Error(d)
	}
	if p.Counts["sent"] != 1 || s.mail.Counts().Accepted != 1 {
		t.Errorf("sent %d, accepted %d; want customer 10 alone", p.Counts["sent"], s.mail.Counts().Accepted)
	}
	s.addsUp()
}

// A wrong password burns nothing: the run pauses with words that say what to do, and goes on when it is mended.
func TestWrongPasswordPausesTheRun(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(100)
	s.apply("birthday", birthdayYAML, nil)
	refusing := startRefusingServer(t, "535 5.7.8 authentication failed")
	run, _ := s.start("birthday")
	p := s.send(s.engine("smtp://user:wrong@"+refusing+"?tls=none"), run.ID, "paused")
	if !strings.Contains(p.Reason, "535") {
		t.Errorf("the reason does not tell: %q", p.Reason)
	}
	if p.Counts["planned"] != 100 {
		t.Errorf("all must still be planned: %v", p.Counts)
	}
	s.addsUp()
	s.must(s.planner.Resume(t.Context(), run.ID, "tester"))
	if p = s.send(s.engine("smtp://"+s.mail.SMTPAddr()), run.ID, "done"); p.Counts["sent"] != 100 {
		t.Errorf("after mending: %v", p.Counts)
	}
	s.addsUp()
}

// A column that disappears after planning concerns everybody and fails nobody.
func TestDroppedColumnPausesTheRun(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(100)
	s.apply("birthday", birthdayYAML, nil)
	run, _ := s.start("birthday")
	s.exec(`alter table shop.customers rename column first_name to given_name`)
	p := s.send(s.engine("smtp://"+s.mail.SMTPAddr()), run.ID, "paused")
	if !strings.Contains(p.Reason, "first_name") || !strings.Contains(p.Reason, "sapa resume") {
		t.Errorf("the reason does not tell: %q", p.Reason)
	}
	if p.Counts["planned"] != 100 || s.mail.Counts().Accepted != 0 {
		t.Errorf("nothing may be sent or burned: %v", p.Counts)
	}
	s.addsUp()
	s.exec(`alter table shop.customers rename column given_name to first_name`)
	s.must(s.planner.Resume(t.Context(), run.ID, "tester"))
	if p = s.send(s.engine("smtp://"+s.mail.SMTPAddr()), run.ID, "done"); p.Counts["sent"] != 100 {
		t.Errorf("after mending: %v", p.Counts)
	}
}

// One recipient that the server refuses fails alone; its address is suppressed; a value that is missing fails alone.
func TestOneBadRecipientFailsAlone(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(50)
	s.exec(`update shop.customers set email = 'budi+bounce@mail.example' where id = 7`)
	s.exec(`update shop.customers set first_name = null where id = 8`)
	s.apply("birthday", birthdayYAML, nil)
	run, _ := s.start("birthday")
	p := s.send(s.engine("smtp://"+s.mail.SMTPAddr()), run.ID, "done")
	if p.Counts["sent"] != 48 {
		t.Errorf("sent %d, want 48: %v", p.Counts["sent"], p.Reasons)
	}
	if d := cmp.Diff(map[string]int{"failed: hard bounce": 1, "failed: content": 1}, p.Reasons); d != "" {
		t.Error(d)
	}
	if n := s.number(`select count(*) from suppressions where address = 'budi+bounce@mail.example' and reason = 'hard bounce'`); n != 1 {
		t.Errorf("the refused address is suppressed %d times", n)
	}
	if n := s.number(`select count(*) from attempts where verdict = 'content' and words like '%customer.first_name is missing%'`); n != 1 {
		t.Errorf("the missing value is told of %d times", n)
	}
	s.addsUp()

	// The data is mended: retry sends to the one whose name was missing, and not to the suppressed address.
	s.exec(`update shop.customers set first_name = 'Siti' where id = 8`)
	n, err := s.planner.Retry(t.Context(), run.ID, "tester")
	s.must(err)
	if n != 2 {
		t.Errorf("retry planned %d, want 2", n)
	}
	p = s.send(s.engine("smtp://"+s.mail.SMTPAddr()), run.ID, "done")
	if d := cmp.Diff(map[string]int{"skipped: suppressed": 1}, p.Reasons); d != "" || p.Counts["sent"] != 49 {
		t.Errorf("after retry: %v %s", p.Counts, d)
	}
	s.addsUp()
}

// Failed and skipped messages release their occasion: a later run takes it up, and a retry of the old run does not.
func TestLaterRunTakesOver(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(20)
	s.exec(`update shop.customers set first_name = null where id <= 5`)
	s.apply("birthday", birthdayYAML, nil)
	first, _ := s.start("birthday")
	s.send(s.engine("smtp://"+s.mail.SMTPAddr()), first.ID, "done")
	s.exec(`update shop.customers set first_name = 'Siti' where id <= 5`)
	second, plan := s.start("birthday")
	if plan.Already != 15 || plan.Planned != 5 {
		t.Errorf("the second run: %+v", plan)
	}
	s.send(s.engine("smtp://"+s.mail.SMTPAddr()), second.ID, "done")
	if n, err := s.planner.Retry(t.Context(), first.ID, "tester"); err != nil || n != 0 {
		t.Errorf("retry of the first run planned %d (%v), want none", n, err)
	}
	if n := s.mail.Counts().Accepted; n != 20 {
		t.Errorf("%d messages in all, want 20", n)
	}
	s.addsUp()
}

func TestCancelSkipsWhatIsPlanned(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(30)
	s.apply("birthday", birthdayYAML, nil)
	run, _ := s.start("birthday")
	s.must(s.planner.Cancel(t.Context(), run.ID, "tester"))
	p := s.await(run.ID, "cancelled")
	if p.Reasons["skipped: cancelled"] != 30 {
		t.Errorf("after cancel: %v", p.Reasons)
	}
	s.addsUp()
	if err := s.planner.Resume(t.Context(), run.ID, "tester"); !errors.Is(err, campaign.ErrState) {
		t.Errorf("resume of a cancelled run: %v", err)
	}
	_, plan := s.start("birthday")
	if plan.Planned != 30 {
		t.Errorf("a later run: %+v", plan)
	}
	s.addsUp()
}

// A dry run leaves nothing behind.
func TestDryRun(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(30)
	s.apply("birthday", birthdayYAML, nil)
	_, plan, err := s.planner.DryRun(t.Context(), campaign.Start{Campaign: "birthday", Actor: "tester"})
	s.must(err)
	if plan.Planned != 30 {
		t.Errorf("dry run: %+v", plan)
	}
	if n := s.number(`select (select count(*) from runs) + (select count(*) from messages) + (select count(*) from occasions) + (select count(*) from run_totals)`); n != 0 {
		t.Errorf("a dry run left %d rows", n)
	}
}

const oilYAML = `
campaign: oil-change
audience:
  each: customer.vehicles as vehicle
  where: vehicle.next_service_on >= today() && vehicle.next_service_on <= today() + days(14)
  occasion: [vehicle.id, vehicle.next_service_on]
MERGE
content:
  email:
    subject: Ganti oli
    text: "BODY"
`

func TestEachRowIsAnOccasion(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(3)
	s.exec(`insert into shop.vehicles values (10, 1, 'B 1', '2026-12-01'), (11, 1, 'B 2', '2026-11-25'), (12, 2, 'B 3', '2026-12-24'), (13, 3, 'B 4', null)`)
	yaml := strings.NewReplacer("MERGE", "", "BODY", "{{ vehicle.plate }}").Replace(oilYAML)
	s.apply("oil-change", yaml, nil)
	run, plan := s.start("oil-change")
	if plan.Planned != 2 {
		t.Errorf("plan: %+v", plan)
	}
	s.send(s.engine("smtp://"+s.mail.SMTPAddr()), run.ID, "done")
	s.exec(`update shop.vehicles set next_service_on = '2026-11-30' where id = 10`) // the date was corrected: another occasion
	if _, plan = s.start("oil-change"); plan.Planned != 1 || plan.Already != 1 {
		t.Errorf("after the correction: %+v", plan)
	}
	got := s.strings(`select customer_key || ' ' || occasion || ' ' || row_key from occasions order by 1`)
	want := []string{`1 "10","2026-11-30" 10`, `1 "10","2026-12-01" 10`, `1 "11","2026-11-25" 11`}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	s.addsUp()
}

func TestMergedRowsShareAMessage(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(2)
	s.exec(`insert into shop.vehicles values (10, 1, 'B 1', '2026-12-01'), (11, 1, 'B 2', '2026-11-25'), (12, 2, 'B 3', '2026-11-24')`)
	yaml := strings.NewReplacer("MERGE", "  merge: customer", "BODY", "{{ vehicles | map: 'plate' | join: ', ' }}").Replace(oilYAML)
	s.apply("oil-change", yaml, nil)
	run, plan := s.start("oil-change")
	if plan.Audience != 2 || plan.Planned != 2 {
		t.Errorf("plan: %+v", plan)
	}
	s.send(s.engine("smtp://"+s.mail.SMTPAddr()), run.ID, "done")
	if n := s.number(`select count(*) from occasions where spent`); n != 3 {
		t.Errorf("%d occasions are spent, want 3", n)
	}
	var bodies []string
	for m := range s.mail.Each(sandbox.Filter{}) {
		_, raw, err := s.mail.Message(m.ID)
		s.must(err)
		mail, err := sandbox.ParseMail(raw)
		s.must(err)
		bodies = append(bodies, strings.TrimSpace(mail.Text))
	}
	if !strings.Contains(strings.Join(bodies, "|"), "B 1, B 2") {
		t.Errorf("the bodies are %q; one should name both cars", bodies)
	}
	s.addsUp()
}

func TestAgainAndCooldown(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(5)
	s.apply("birthday", birthdayYAML, nil)
	s.start("birthday")
	_, plan, err := s.planner.Start(t.Context(), campaign.Start{Campaign: "birthday", Label: "second wave", Actor: "tester"})
	s.must(err)
	if plan.Planned != 5 {
		t.Errorf("--again: %+v", plan)
	}
	s.apply("birthday", strings.Replace(birthdayYAML, "occasion: today()", "cooldown: 300d\n  occasion: '\"other\"'", 1), nil)
	_, plan = s.start("birthday")
	if plan.Skipped["cooldown"] != 5 {
		t.Errorf("cooldown: %+v", plan)
	}
	s.addsUp()
}

func (s *shop) strings(sql string) (list []string) {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), sql)
	s.must(err)
	defer rows.Close()
	for rows.Next() {
		var text string
		s.must(rows.Scan(&text))
		list = append(list, text)
	}
	s.must(rows.Err())
	return list
}

// A rule that SQL can't say exactly is decided row by row, with the same answer in the plan and in previews.
func TestResidualRule(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(3000)
	s.apply("birthday", strings.Replace(birthdayYAML, "birthday(customer.birth_date)", `customer.first_name matches "^B.d[a-z] .*7$" && birthday(customer.birth_date)`, 1), nil)
	run, plan := s.start("birthday")
	if plan.Audience != 300 || plan.Planned != 300 {
		t.Errorf("plan: %+v", plan)
	}
	if n := s.number(`select count(*) from messages where run_id = $1 and customer_key not like '%7'`, run.ID); n != 0 {
		t.Errorf("%d messages for people whom the rule does not mean", n)
	}
	s.apply("oil-change", strings.NewReplacer("MERGE", "", "BODY", "{{ vehicle.plate }}", "where: ", `where: vehicle.plate matches "^B .$" && `).Replace(oilYAML), nil)
	s.exec(`insert into shop.vehicles values (10, 1, 'B 1', '2026-12-01'), (11, 1, 'BX 2', '2026-11-25'), (12, 2, 'B 3', '2026-11-24')`)
	if _, plan = s.start("oil-change"); plan.Planned != 2 {
		t.Errorf("with each: %+v", plan)
	}
	s.addsUp()
}
