package campaign_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/customer/privacy"
)

// erase forgets customers, as a person would ask for it.
func (s *shop) erase(keys ...string) {
	s.t.Helper()
	for _, key := range keys {
		_, err := privacy.Erase(s.t.Context(), s.pool, s.schema, privacy.EraseOptions{Customer: key, Actor: "tester", Now: s.planner.Now})
		s.must(err)
	}
}

// A customer who was erased gets nothing while the company's row stays, and comes back into no table of Sapa's. Who shared
// the address is written to as before.
func TestErasedAreNotWrittenTo(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(4)
	s.exec(`update shop.customers set email = 'keluarga@mail.example' where id in (2, 3)`)
	s.apply("birthday", birthdayYAML, nil)
	run, _ := s.start("birthday")
	s.send(s.engine("smtp://"+s.mail.SMTPAddr()), run.ID, "done")
	sent := s.mail.Counts().Accepted
	s.erase("1", "2")
	s.exec(`delete from addresses where raw = 'keluarga@mail.example'`) // as when nobody else had been written to
	s.apply("birthday", strings.Replace(birthdayYAML, "occasion: today()", `occasion: '"again"'`, 1), nil)
	run, plan := s.start("birthday")
	if plan.Audience != 4 || plan.Planned != 2 || plan.Skipped["erased"] != 2 {
		t.Errorf("plan: %+v", plan)
	}
	s.send(s.engine("smtp://"+s.mail.SMTPAddr()), run.ID, "done")
	if n := s.mail.Counts().Accepted - sent; n != 2 {
		t.Errorf("%d messages were sent, want 2", n)
	}
	got := s.strings(`select customer_key || ' ' || state || ' ' || coalesce(reason, '') || ' ' || coalesce((select raw from addresses where id = address_id), '')
		from messages where run_id = 2 order by 1`)
	want := []string{"3 sent  keluarga@mail.example", "4 sent  budi4@mail.example", "erased:1 skipped erased ", "erased:2 skipped erased "}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"budi4@mail.example", "keluarga@mail.example"}, s.strings(`select raw from addresses order by 1`)); d != "" {
		t.Errorf("the address book:\n%s", d)
	}
	if n := s.number(`select count(*) from occasions where customer_key in ('1', '2')`); n != 0 {
		t.Errorf("%d occasions under the keys", n)
	}
	if n, err := s.planner.Retry(t.Context(), run.ID, "tester"); err != nil || n != 0 {
		t.Errorf("retry: %d %v", n, err)
	}
	s.addsUp()
}

// Whoever gets the key of a customer who was erased and whose row has gone inherits nothing: neither occasions nor
// decisions.
func TestReusedKeyInheritsNothing(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(2)
	s.apply("birthday", birthdayYAML, nil)
	s.start("birthday")
	s.exec(`insert into consents (customer_key, channel, topic, granted, source, at) values ('1', '*', '*', false, 'unsubscribe page', now())`)
	s.erase("1")
	s.exec(`delete from shop.customers where id = 1`)
	if _, plan := s.start("birthday"); plan.Audience != 1 || plan.Already != 1 {
		t.Errorf("without the row: %+v", plan)
	}
	s.exec(`insert into shop.customers (id, first_name, email, birth_date) values (1, 'Eka', 'eka@mail.example', '1991-11-23')`)
	if _, plan := s.start("birthday"); plan.Planned != 0 || plan.Skipped["erased"] != 1 {
		t.Errorf("nobody has noticed yet that the row was gone: %+v", plan)
	}
	s.exec(`delete from shop.customers where id = 1`)
	s.erase("1") // and now it is noticed
	s.exec(`insert into shop.customers (id, first_name, email, birth_date) values (1, 'Eka', 'eka@mail.example', '1991-11-23')`)
	if _, plan := s.start("birthday"); plan.Planned != 1 || plan.Already != 1 {
		t.Errorf("somebody new: %+v", plan)
	}
	s.addsUp()
}

// Rows of an erased customer are one skipped message, whatever they are.
func TestErasedWithRows(t *testing.T) {
	t.Parallel()
	for _, merge := range []string{"", "  merge: customer"} {
		s := setup(t)
		s.customers(2)
		s.exec(`insert into shop.vehicles values (10, 1, 'B 1', '2026-12-01'), (11, 1, 'B 2', '2026-11-25'), (12, 2, 'B 3', '2026-11-24')`)
		s.apply("oil-change", strings.NewReplacer("MERGE", merge, "BODY", "{{ customer.first_name }}").Replace(oilYAML), nil)
		s.start("oil-change")
		s.erase("1")
		for range 2 { // also when the skipped one is there already
			if _, plan := s.start("oil-change"); plan.Planned != 0 || plan.Already != 1 || plan.Skipped["erased"] != 1 {
				t.Errorf("%q: %+v", merge, plan)
			}
		}
		if n := s.number(`select count(*) from occasions where customer_key = '1' or row_key in ('10', '11') or occasion similar to '%"(10|11)"%'`); n != 0 {
			t.Errorf("%q: %d occasions say something about the customer's rows", merge, n)
		}
		s.addsUp()
	}
}

// What comes back to the plan after its customer was erased is not sent: the claim knows.
func TestClaimSkipsErased(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(2)
	s.apply("birthday", birthdayYAML, nil)
	run, _ := s.start("birthday")
	s.exec(`update messages set state = 'unknown', reason = null where customer_key = '1'`)
	s.exec(`insert into run_totals (run_id, state, delta) values (1, 'unknown', 1), (1, 'planned', -1)`)
	s.erase("1")
	s.exec(`update messages set state = 'planned' where state = 'unknown'`) // as late evidence does: it was not handed over
	s.exec(`insert into run_totals (run_id, state, delta) values (1, 'unknown', -1), (1, 'planned', 1)`)
	p := s.send(s.engine("smtp://"+s.mail.SMTPAddr()), run.ID, "done")
	if p.Counts["sent"] != 1 || p.Reasons["skipped: erased"] != 1 {
		t.Errorf("%+v", p)
	}
	s.addsUp()
}

// A value that does not fit may be anybody's: the reason of a run, which stays, says what is wrong and not whose it is.
func TestReasonsQuoteNobody(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(3)
	s.exec(`alter table shop.customers rename to people; alter table shop.people add written text`)
	s.exec(`create view shop.customers as select id, first_name, email, coalesce(written::date, birth_date) as birth_date,
		coalesce(written::date::text, city) as city, timezone, newsletter_ok from shop.people`)
	s.apply("birthday", strings.Replace(birthdayYAML, "birthday(customer.birth_date)", "customer.id > 0", 1), nil)
	s.start("birthday")
	s.apply("late", strings.NewReplacer("campaign: birthday", "campaign: late", "{{ customer.first_name }}", "{{ customer.city | default: 0 }}",
		"birthday(customer.birth_date)", "customer.id > 0").Replace(birthdayYAML), nil)
	late, _ := s.start("late")
	s.exec(`update shop.people set written = 'Zulkifli' where id = 2`)
	s.apply("birthday", birthdayYAML, nil)
	if _, _, err := s.planner.Start(t.Context(), campaign.Start{Campaign: "birthday", Actor: "tester"}); err == nil || strings.Contains(err.Error(), "Zulkifli") {
		t.Errorf("%v", err)
	}
	s.send(s.engine("smtp://"+s.mail.SMTPAddr()), late.ID, "paused")
	got := s.strings(`select id || ' ' || state || ' ' || substring(reason from 'invalid input.*') from runs where reason is not null order by id`)
	want := []string{
		`2 paused invalid input syntax for type date: "…" (SQLSTATE 22007); mend it, then: sapa resume 2`,
		`3 cancelled invalid input syntax for type date: "…" (SQLSTATE 22007)`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if n := s.number(`select (select count(*) from runs where reason like '%Zulkifli%') + (select count(*) from audit_log where detail::text like '%Zulkifli%')
		+ (select count(*) from river_job where errors::text like '%Zulkifli%')`); n != 0 {
		t.Errorf("%d rows quote the value", n)
	}
}
