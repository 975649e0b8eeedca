package delivery_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/customer"
)

// What was decided after the run was planned holds at the claim, in the order of planning: a column that says no, the
// ledger's latest word, a column that says yes, the default.
func TestConsentAtTheClaim(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(10)
	run := s.start()
	everything := customer.ConsentChange{Channel: customer.Every, Topic: customer.Every}
	topic := customer.ConsentChange{Channel: "email", Topic: "greetings"}
	granted, other := topic, topic
	granted.Granted = true
	other.Topic = "offers"
	pause, over, resume := everything, everything, everything
	pause.Until, over.Until = monday.Add(time.Hour), monday.Add(-time.Hour)
	resume.Resumes, resume.Granted = true, true
	for key, said := range map[string][]customer.ConsentChange{
		"1": {topic}, "2": {everything, granted}, "3": {pause}, "4": {over}, "5": {pause, resume}, "6": {pause, granted},
		"7": {other}, "8": {granted}, "9": {topic, pause, resume}, "10": {pause, other},
	} {
		for _, c := range said {
			c.CustomerKey, c.Source, c.At = key, "test", monday
			s.must(customer.SetConsent(t.Context(), s.pool, c))
		}
	}
	s.exec(`update shop.customers set newsletter_ok = false where id = 8`)
	stop := s.run(sending{})
	s.await(run, "done")
	stop()
	got := s.text(`select string_agg(concat_ws(' ', customer_key, state, reason), ', ' order by customer_key::int) from messages`)
	want := "1 skipped no consent, 2 sent, 3 skipped paused, 4 sent, 5 sent, 6 sent, 7 sent, 8 skipped no consent, 9 skipped no consent, 10 skipped paused"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.checkBooks()
	s.checkMail()
}

// A topic that came to need a confirmation after the run was planned: a yes in the company's column is none.
func TestDoubleOptInAtTheFill(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(4)
	s.exec(`update shop.customers set newsletter_ok = case when id <= 3 then true end`)
	run := s.start()
	sender := s.sender()
	sender.schema.Topics = []customer.Topic{{Name: "greetings", OptIn: customer.OptInDouble}}
	confirmed := customer.ConsentChange{CustomerKey: "1", Channel: "email", Topic: "greetings", Granted: true, Source: "test", At: monday}
	s.must(customer.SetConsent(t.Context(), s.pool, confirmed))
	confirmed.CustomerKey = "2"
	s.must(customer.SetConsent(t.Context(), s.pool, confirmed))
	s.exec(`update shop.customers set newsletter_ok = false where id = 2`)
	e, err := sender.engine(sending{SMTP: s.mail.SMTPAddr(), Lease: quick})
	s.must(err)
	stop := s.runEngine(e)
	s.await(run, "done")
	stop()
	got := s.text(`select string_agg(concat_ws(' ', customer_key, state, reason), ', ' order by customer_key::int) from messages`)
	want := "1 sent, 2 skipped no consent, 3 skipped no consent, 4 skipped no consent"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.checkBooks()
}
