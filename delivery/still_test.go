package delivery_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/sandbox"
)

// The rule is asked again when it was asked long ago: whom it does not mean any more is skipped, with the run's own date.
func TestRuleIsAskedAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		later time.Duration
		want  string
	}{
		"at once":       {9 * time.Minute, "sent 3"},
		"after a while": {10*time.Minute + time.Second, "sent 2, skipped no longer eligible 1"},
		"the next day":  {15 * time.Hour, "sent 2, skipped no longer eligible 1"}, // by the run's date it is still their birthday
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.birthday(3)
			run := s.start()
			s.exec(`update shop.customers set birth_date = '1990-12-24' where id = 2`) // it was mended
			s.clock.set(monday.Add(c.later))
			s.run(sending{Connections: 1})
			s.await(run, "done")
			got := s.text(`select string_agg(concat_ws(' ', state, reason, n), ', ' order by state) from (
				select state::text, reason, count(*) as n from messages group by 1, 2) m`)
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if n := s.number(`select count(*) from occasions where spent`); n != s.number(`select count(*) from messages where state = 'sent'`) {
				t.Errorf("%d occasions are spent", n)
			}
			s.checkBooks()
			s.checkMail()
		})
	}
}

const carsYAML = `
campaign: birthday
audience:
  each: customer.vehicles as vehicle
  where: vehicle.due <= today()
  occasion: [vehicle.id, vehicle.due]
  merge: customer
channels: [email]
content:
  email: {subject: "Service", text: "{{ vehicles | map: 'plate' | join: ', ' }}"}
`

// Of rows in one message those are named that the rule still means, and who has none left is skipped.
func TestRowsAreAskedAgain(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.exec(`insert into shop.customers (id, first_name, email) select i, 'Budi', 'budi' || i || '@mail.example' from generate_series(1, 3) i`)
	s.exec(`insert into shop.vehicles select 10 * c + v, c, 'H ' || c || v, date '2026-11-20' from generate_series(1, 3) c, generate_series(1, 2) v`)
	s.apply("birthday", carsYAML)
	run := s.start()
	s.exec(`update shop.vehicles set due = '2027-05-20' where id in (11, 21, 22)`) // their oil was changed
	s.clock.set(monday.Add(time.Hour))
	s.run(sending{Connections: 1})
	s.await(run, "done")
	got := s.text(`select string_agg(concat_ws(' ', customer_key, state, reason), ', ' order by customer_key) from messages`)
	if want := "1 sent, 2 skipped no longer eligible, 3 sent"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var texts []string
	for raw, err := range s.mail.EachRaw() {
		s.must(err)
		mail, err := sandbox.ParseMail(raw)
		s.must(err)
		texts = append(texts, strings.TrimSpace(mail.Text))
	}
	slices.Sort(texts)
	if d := cmp.Diff([]string{"H 12", "H 31, H 32"}, texts); d != "" {
		t.Error(d)
	}
	s.checkBooks()
}
