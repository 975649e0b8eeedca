package campaign_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/customer"
)

// why asks about a customer, now.
func (s *shop) why(name, key string) *campaign.Why {
	s.t.Helper()
	w, err := s.planner.Why(s.t.Context(), name, key, time.Time{})
	s.must(err)
	return w
}

// allKinds makes customers of all kinds: with and without address, consent, birthday, vehicles that are due, suppressed ones
// and erased ones.
func (s *shop) allKinds(r *rand.Rand, n int) {
	s.t.Helper()
	s.customers(n)
	s.exec(`update shop.customers set birth_date = date '1990-11-20' + (id % 6)::int where id % 3 = 0`)
	s.exec(`update shop.customers set email = case id % 5 when 0 then null when 1 then 'nobody at all' when 2 then '' else email end where id % 4 = 1`)
	s.exec(`update shop.customers set newsletter_ok = case id % 3 when 0 then true when 1 then false end where id % 5 = 0`)
	s.exec(`update shop.customers set timezone = case id % 3 when 0 then 'Asia/Jayapura' when 1 then 'Mars/Olympus' end`)
	s.exec(`insert into shop.vehicles select i, 1 + i % $1, 'H ' || i, date '2026-11-10' + (i % 40) from generate_series(1, 2 * $1::int) i where i % 7 <> 0`, n)
	for i := range n {
		key := fmt.Sprint(i + 1)
		if r.IntN(3) > 0 {
			continue
		}
		for _, c := range said(r, key) {
			s.must(customer.SetConsent(s.t.Context(), s.pool, c))
		}
		if r.IntN(6) == 0 {
			s.must(customer.Suppress(s.t.Context(), s.pool, "email", "budi"+key+"@mail.example", customer.Suppression{Reason: "complaint", Source: "test", At: monday}))
		}
		if r.IntN(8) == 0 {
			s.exec(`insert into erasures (customer_key, key_hash, at, actor, row_present) values ($1, '\x00', $2, 'test', true)`, key, monday)
		}
	}
}

const whyBirthday = `
campaign: birthday
topic: greetings
audience: {where: "birthday(customer.birth_date)", occasion: today(), cooldown: 300d}
content: {email: {subject: Halo, text: Halo}}
`

const whyOil = `
campaign: oil
topic: greetings
audience:
  each: customer.vehicles as vehicle
  where: vehicle.next_service_on >= today() && vehicle.next_service_on <= today() + days(14) && lower(customer.first_name) != "x"
  occasion: [vehicle.id, vehicle.next_service_on]
MERGE
content: {email: {subject: Halo, text: Halo}}
`

// What is said of each customer before a run is what the run then does, and after it, that they had it.
func TestWhyAgreesWithRuns(t *testing.T) {
	t.Parallel()
	const people = 90
	for name, text := range map[string]string{
		"birthday": whyBirthday, "oil": strings.ReplaceAll(whyOil, "MERGE\n", ""), "merged": strings.NewReplacer("MERGE", "  merge: customer", "campaign: oil", "campaign: merged").Replace(whyOil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.withTopics("{default: granted, email: newsletter_ok}", twoTopics)
			seed := uint64(time.Now().UnixNano())
			s.allKinds(rand.New(rand.NewPCG(seed, 2)), people)
			s.apply(name, text, nil)
			first := s.agree(t, name, people, seed)
			if len(first) < 5 {
				t.Errorf("seed %d: too few kinds of outcomes: %v", seed, first)
			}
			s.exec(`update occasions set spent = false where customer_key like '%3'`) // as of a message that failed
			s.exec(`update occasions set occasion = occasion || ', earlier' where customer_key like '%2' or customer_key like '%6'`)
			if second := s.agree(t, name, people, seed); name == "birthday" && second["cooldown"] == 0 {
				t.Errorf("seed %d: nobody is in the cooldown: %v", seed, second)
			}
		})
	}
}

// agree compares what is said before a run with what the run does, and counts the outcomes.
func (s *shop) agree(t *testing.T, name string, people int, seed uint64) map[string]int {
	t.Helper()
	want := map[string]string{}
	for i := range people {
		w := s.why(name, fmt.Sprint(i+1))
		want[w.CustomerKey] = told(w)
	}
	run, _ := s.start(name)
	got := map[string]string{}
	for i := range people {
		got[fmt.Sprint(i+1)] = "not planned"
	}
	for _, line := range s.strings(fmt.Sprintf(`select customer_key || ' ' || coalesce(reason, 'planned') from messages where run_id = %d order by state = 'planned'`, run.ID)) {
		key, reason, _ := strings.Cut(line, " ")
		if strings.HasPrefix(key, "erased:") {
			key = s.strings(fmt.Sprintf(`select customer_key from erasures where pseudonym = '%s'`, key))[0]
		}
		got[key] = reason
	}
	for key, reason := range want { // who was erased is skipped, or not meant at all
		if reason == "erased" && got[key] == "not planned" {
			got[key] = "erased"
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("seed %d (-said +planned):\n%s", seed, d)
	}
	outcomes := map[string]int{}
	for _, reason := range got {
		outcomes[reason]++
	}
	t.Log(outcomes)
	return outcomes
}

// told is the reason that a plan would give.
func told(w *campaign.Why) string {
	if w.Gets {
		return "planned"
	}
	checks := map[string]string{}
	for _, r := range w.Reasons {
		checks[r.Check] = r.Text
	}
	for _, c := range []struct{ check, reason string }{
		{"erasure", "erased"}, {"rule", "not planned"}, {"occasion", "not planned"}, {"address", "bad address"}, {"suppression", "suppressed"}, {"consent", "no consent"}, {"cooldown", "cooldown"},
	} {
		text, failed := checks[c.check]
		switch {
		case !failed:
			continue
		case strings.HasPrefix(text, "there is no address"):
			return "no address"
		case strings.HasPrefix(text, "they paused"):
			return "paused"
		}
		return c.reason
	}
	return fmt.Sprint(w.Reasons)
}
