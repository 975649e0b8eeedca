package delivery_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
)

// to applies a campaign to all customers, with more lines of YAML, and starts it by hand.
func (s *shop) to(name, more string) (run int) {
	s.t.Helper()
	s.applyAll(name, more)
	return s.startNamed(name)
}

func (s *shop) applyAll(name, more string) {
	s.t.Helper()
	s.apply(name, "campaign: "+name+"\naudience: {where: \"true\", occasion: today()}\ncontent: {email: {subject: Halo, text: Halo}}\n"+more+"\n")
}

func (s *shop) startNamed(name string) int {
	s.t.Helper()
	r, _, err := s.planner.Start(s.t.Context(), campaign.Start{Campaign: name, Actor: "tester", Yes: true})
	s.must(err)
	return r.ID
}

// customers makes n customers with ids from 1.
func (s *shop) customers(n int) {
	s.t.Helper()
	s.exec(`insert into shop.customers (id, first_name, email) select i, 'Budi ' || i, 'budi' || i || '@mail.example' from generate_series(1, $1::int) i`, n)
}

// outcomes are a run's messages by state and reason.
func (s *shop) outcomes(run int) string {
	s.t.Helper()
	return s.text(`select coalesce(string_agg(line, ', ' order by line), '') from (
		select state || coalesce(' ' || reason, '') || ' ' || count(*) as line from messages where run_id = $1 group by state, reason) x`, run)
}

// Three processes that send six campaigns at once never exceed a cap, and leave no place empty.
func TestCapAcrossProcesses(t *testing.T) {
	t.Parallel()
	s := setup(t)
	const people, runs = 400, 6
	s.customers(people)
	var started []int
	for i := range runs {
		started = append(started, s.to(fmt.Sprintf("c%d", i), "limits: {cap: 2 per 7d}"))
	}
	for range 3 {
		s.run(sending{Connections: 4})
	}
	sent, capped := 0, 0
	for _, run := range started {
		p := s.await(run, "done")
		sent, capped = sent+p.Counts["sent"], capped+p.Reasons["skipped: cap"]
	}
	if sent != 2*people || capped != (runs-2)*people {
		t.Errorf("%d are sent, %d are capped\n%s", sent, capped, s.books())
	}
	if n := s.number(`select count(*) from (select from messages where state = 'sent' group by customer_key having count(*) <> 2) x`); n != 0 {
		t.Errorf("%d customers have not got 2", n)
	}
	s.checkBooks()
}

// Several messages of one campaign for a customer are under its cap, too, in the order of their places.
func TestCapWithinOneClaim(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(3)
	s.exec(`insert into shop.vehicles (id, customer_id, plate) select 10 * c + i, c, 'AD' || i from generate_series(1, 3) c, generate_series(1, 4) i where i <= c + 1`)
	s.apply("cars", `
campaign: cars
audience: {each: customer.vehicles as vehicle, where: "true", occasion: vehicle.id}
content: {email: {subject: "{{ vehicle.plate }}", text: Halo}}
limits: {cap: 2 per 7d}
`)
	run := s.startNamed("cars")
	s.run(sending{Connections: 1})
	s.await(run, "done")
	got := s.text(`select string_agg(line, ', ' order by line) from (
		select customer_key || ': ' || count(*) filter (where state = 'sent') || ' ' || count(*) filter (where reason = 'cap') as line from messages group by customer_key) x`)
	if want := "1: 2 0, 2: 2 1, 3: 2 2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	s.checkBooks()
}

// What counts for a cap: what was sent, is claimed or unknown, of campaigns with and without a cap, of before the cap, too;
// not what failed or was skipped, what is exempt, and what is longer ago.
func TestCapCounts(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		earlier string // YAML of the campaign before
		then    func(s *shop, run int)
		more    string // YAML of the campaign under the cap
		rails   string
		want    string
	}{
		"sent by a campaign without a cap": {want: "skipped cap 1"},
		"claimed": {
			then: func(s *shop, run int) { s.exec(`update messages set state = 'claimed' where run_id = $1`, run) },
			want: "skipped cap 1",
		},
		"unknown": {
			then: func(s *shop, run int) { s.exec(`update messages set state = 'unknown' where run_id = $1`, run) },
			want: "skipped cap 1",
		},
		"failed": {
			then: func(s *shop, run int) {
				s.exec(`update messages set state = 'failed', reason = 'refused' where run_id = $1`, run)
			},
			want: "sent 1",
		},
		"skipped": {
			then: func(s *shop, run int) {
				s.exec(`update messages set state = 'skipped', reason = 'cap' where run_id = $1`, run)
			},
			want: "sent 1",
		},
		"planned, and of no higher priority": {
			then: func(s *shop, run int) {
				s.exec(`update messages set state = 'planned', claimed_at = null where run_id = $1`, run)
			},
			want: "sent 1",
		},
		"exempt":                      {earlier: "limits: {cap: none}", want: "sent 1"},
		"itself exempt":               {more: "limits: {cap: none}", rails: "{cap: 1 per 7d}", want: "sent 1"},
		"under the cap of sapa.yaml":  {more: "description: none", rails: "{cap: 1 per 7d}", want: "skipped cap 1"},
		"its own is looser":           {more: "limits: {cap: 3 per 7d}", rails: "{cap: 1 per 7d}", want: "skipped cap 1"},
		"sapa.yaml's is looser":       {rails: "{cap: 9 per 1d}", want: "skipped cap 1"},
		"long ago":                    {then: func(s *shop, _ int) { s.clock.set(monday.Add(7*24*time.Hour + time.Minute)) }, want: "sent 1"},
		"almost long ago":             {then: func(s *shop, _ int) { s.clock.set(monday.Add(7*24*time.Hour - time.Minute)) }, want: "skipped cap 1"},
		"somebody else's by the hash": {then: func(s *shop, run int) { s.exec(`update messages set customer_key = 'erased:1' where run_id = $1`, run) }, want: "sent 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.resolved(tt.rails)
			s.customers(1)
			earlier := s.to("earlier", tt.earlier)
			stop := s.runHere()
			s.await(earlier, "done")
			stop()
			if tt.then != nil {
				s.exec(`drop trigger observe_states on messages`)
				tt.then(s, earlier)
			}
			if tt.more == "" {
				tt.more = "limits: {cap: 1 per 7d}"
			}
			run := s.to("later", tt.more)
			s.runHere()
			s.await(run, "done")
			if got := s.outcomes(run); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// resolved gives the company rails.
func (s *shop) resolved(rails string) {
	s.t.Helper()
	if rails == "" {
		return
	}
	cfg, problems := customer.LoadConfig("sapa.yaml", shopYAML+"rails: "+rails+"\n", func(string) string { return "" })
	s.must(problems.Err())
	schema, problems, err := customer.Resolve(s.t.Context(), s.pool, cfg)
	s.must(err)
	s.must(problems.Err())
	s.schema, s.library = schema, campaign.NewLibrary(s.pool, schema, nil)
	s.planner.Schema, s.planner.Library = s.schema, s.library
}

// runHere starts an engine that has the rails that the test has given the company.
func (s *shop) runHere() (stop func()) {
	s.t.Helper()
	e, err := s.engine(sending{SMTP: s.mail.SMTPAddr(), Connections: 1, Lease: quick})
	s.must(err)
	return s.runEngine(e)
}

// A message leaves the last place to a planned one of higher priority, and is skipped, or waits until there is a place
// again. Where there is room for both, and where the other has not more priority, it goes.
func TestPriority(t *testing.T) {
	t.Parallel()
	const noon = `quiet_hours: "08:00-12:00"` // so that what is started at nine goes at twelve
	for name, tt := range map[string]struct {
		high, low string // YAML
		now, then string // the low one's outcome at nine, and after twelve, when the high one has gone
		again     time.Duration
		atLast    string // after again
	}{
		"the loser is skipped": {
			high: "priority: 10\nlimits: {cap: 1 per 7d, " + noon + "}", low: "limits: {cap: 1 per 7d}",
			now: "skipped cap 20", then: "skipped cap 20",
		},
		"the loser is postponed": {
			high: "priority: 10\nlimits: {cap: 1 per 7d, " + noon + "}", low: "limits: {cap: 1 per 7d, on_cap: postpone}",
			now: "planned 20", then: "planned 20", again: 7*24*time.Hour + 4*time.Hour, atLast: "sent 20",
		},
		"room for both": {
			high: "priority: 10\nlimits: {cap: 2 per 7d, " + noon + "}", low: "limits: {cap: 2 per 7d}",
			now: "sent 20", then: "sent 20",
		},
		"the same priority": {
			high: "priority: 10\nlimits: {cap: 1 per 7d, " + noon + "}", low: "priority: 10\nlimits: {cap: 1 per 7d}",
			now: "sent 20", then: "sent 20",
		},
		"the winner's cap is the stricter one": {
			high: "priority: 10\nlimits: {cap: 1 per 1d, " + noon + "}", low: "limits: {cap: 5 per 7d}",
			now: "skipped cap 20", then: "skipped cap 20",
		},
		"not within the same time": {
			high: "priority: 10\nlimits: {cap: 1 per 2h, " + noon + "}", low: "limits: {cap: 1 per 2h}",
			now: "sent 20", then: "sent 20",
		},
		"the winner has no cap": {
			high: "priority: 10\nlimits: {" + noon + "}", low: "limits: {cap: 1 per 7d}",
			now: "sent 20", then: "sent 20",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.customers(20)
			high := s.to("high", tt.high)
			low := s.to("low", tt.low)
			s.run(sending{Connections: 2})
			s.until("low is through", func() bool { return s.outcomes(low) == tt.now && s.idle(low) })
			if got := s.outcomes(high); got != "planned 20" {
				t.Errorf("high: %s", got)
			}
			s.clock.set(monday.Add(3*time.Hour + time.Second))
			s.await(high, "done")
			if tt.high != "" && !strings.Contains(name, "same priority") && s.outcomes(high) != "sent 20" {
				t.Errorf("at noon, high: %s", s.outcomes(high))
			}
			if got := s.outcomes(low); got != tt.then {
				t.Errorf("at noon, low: %s", got)
			}
			if tt.atLast != "" {
				s.clock.set(monday.Add(tt.again))
				s.await(low, "done")
				if got := s.outcomes(low); got != tt.atLast {
					t.Errorf("at last, low: %s", got)
				}
			}
			s.checkBooks()
		})
	}
}

// idle says that nothing of a run can be done now.
func (s *shop) idle(run int) bool {
	p := s.progress(run)
	return p.State == "done" || p.Resting != nil
}

// Of two that a cap leaves one place for, with a message between them: the arithmetic of windows.
func TestCapWindows(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(1)
	s.to("filled", "limits: {cap: none}") // makes the month's partitions
	s.exec(`drop trigger observe_states on messages`)
	hour := func(h int) time.Time { return monday.Add(time.Duration(h) * time.Hour) }
	message := func(n, priority int, state string, at time.Time, most int, within time.Duration) {
		s.exec(`with r as (insert into runs (campaign_id, version_id, tick, as_of, actor, priority, cap_most, cap_within)
				select campaign_id, version_id, tick, as_of, actor, $3, case when $4 > 0 then array[$4::int] end, case when $4 > 0 then array[$5::interval] end from runs where id = 1 returning id),
			m as (insert into messages (id, run_id, customer_key, channel, not_before, claimed_at, state)
				select (select message_base from runs where id = 1) + 1000 + $1, r.id, 'k', 'email', $6, $6, $2::message_state from r returning id, customer_key)
			insert into contacts select hashtextextended(customer_key, 0), id from m`, n, state, priority, most, within, at)
	}
	ask := func(priority int, n int, most int, within time.Duration) []string {
		return s.texts(`select to_char(c.free_at at time zone 'UTC', 'DD HH24') from capped(
			(select array_agg(i::bigint) from generate_series(1, $2::int) i), array_fill('k'::text, array[$2::int]), $1, array[$3::int], array[$4::interval], $5) c
			order by c.message`, priority, n, most, within, monday)
	}
	expect := func(what string, got []string, want ...string) {
		t.Helper()
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	day := 24 * time.Hour
	expect("nobody got anything", ask(0, 1, 1, 7*day))
	expect("three at once", ask(0, 3, 2, 7*day), "30 02")
	message(1, 0, "sent", hour(-24), 0, 0)
	expect("one of two was yesterday", ask(0, 1, 2, 7*day))
	expect("two at once, one was yesterday", ask(0, 2, 2, 7*day), "29 02")
	expect("one was yesterday", ask(0, 1, 1, 7*day), "29 02")
	expect("one was a day ago, to the second", ask(0, 1, 1, day))
	message(2, 10, "planned", hour(48), 2, 7*day)
	expect("one was yesterday, one of two comes the day after tomorrow", ask(0, 1, 2, 7*day), "29 02")
	expect("to higher priority the planned one is no matter", ask(20, 1, 2, 7*day))
	expect("to the same priority neither", ask(10, 1, 2, 7*day))
	expect("there is a third place, by mine but not by theirs", ask(0, 1, 3, 7*day), "29 02")
	s.exec(`update runs set cap_most = array[3] where cap_most is not null`)
	expect("there is a third place", ask(0, 1, 3, 7*day))
	expect("yesterday's is over when it comes", ask(0, 1, 2, 30*time.Hour))
	message(3, 10, "planned", hour(72), 3, 7*day)
	expect("two come", ask(0, 1, 3, 7*day), "29 02")
	message(4, 10, "planned", hour(96), 3, 7*day)
	expect("three come, of which one finds no place whatever I do", ask(0, 1, 9, 7*day), "02 02")
	s.exec(`update messages set not_after = $1 where state = 'planned'`, monday)
	expect("they are too late", ask(0, 1, 3, 7*day))
	s.exec(`update messages set not_after = null, state = 'skipped', reason = 'cancelled' where state = 'planned'`)
	expect("they are cancelled", ask(0, 1, 3, 7*day))
	message(5, 10, "planned", hour(24), 1, 7*day)
	expect("one comes that finds no place after yesterday's", ask(0, 1, 3, 7*day))
}

// The claim's function in the database and sapa why, which explains it, decide alike.
func TestCapsAgree(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(1)
	s.to("filled", "limits: {cap: none}")
	s.exec(`drop trigger observe_states on messages; insert into campaigns (name) values ('other')`)
	r := rand.New(rand.NewPCG(3, 5))
	hours := func(n int) time.Duration { return time.Duration(n) * time.Hour }
	full := 0
	for range 400 {
		s.exec(`delete from runs where id > 1; delete from contacts; delete from occasions where campaign_id = 2; delete from messages where customer_key = 'k'`)
		for n := range r.IntN(6) {
			state, at := "sent", -r.IntN(60)
			if r.IntN(2) == 0 {
				state, at = "planned", r.IntN(60)-5
			}
			caps, within := []int32(nil), []time.Duration(nil)
			for range r.IntN(3) {
				caps, within = append(caps, int32(1+r.IntN(3))), append(within, hours(1+r.IntN(80)))
			}
			s.exec(`with r as (insert into runs (campaign_id, version_id, tick, as_of, actor, priority, cap_most, cap_within)
					select 2, version_id, tick, as_of, actor, $1, $2, $3 from runs where id = 1 returning id),
				m as (insert into messages (id, run_id, customer_key, channel, not_before, claimed_at, state)
					select (select message_base from runs where id = 1) + 1000 + $4, r.id, 'k', 'email', $5, $5, $6::message_state from r returning id),
				c as (insert into contacts select hashtextextended('k', 0), id from m)
				insert into occasions (campaign_id, customer_key, occasion, message_id, spent, planned_at) select 2, 'k', id, id, true, now() from m`,
				r.IntN(3), caps, within, n, monday.Add(hours(at)), state)
		}
		l := delivery.Limits{Priority: r.IntN(3)}
		for range 1 + r.IntN(2) {
			l.Caps = append(l.Caps, customer.Cap{Most: 1 + r.IntN(3), Within: hours(1 + r.IntN(80))})
		}
		most, within := l.CapColumns()
		var want *time.Time
		s.must(s.pool.QueryRow(t.Context(), `select max(free_at) from capped(array[1::bigint], array['k'], $1, $2, $3, $4)`, l.Priority, most, within, monday).Scan(&want))
		contacts, err := delivery.Contacts(t.Context(), s.pool, "k", l.Priority, monday)
		s.must(err)
		got := l.Crowded(contacts, monday)
		if (got == nil) != (want == nil) || got != nil && !got.Free.Equal(*want) {
			t.Fatalf("%+v with %+v: got %+v, want %v", l, contacts, got, want)
		}
		if got != nil {
			full++
		}
	}
	if full < 100 || full > 300 {
		t.Errorf("%d of 400 are full", full)
	}
}

// What a message had taken is given back when it fails, and taken when it goes after all.
func TestCapIsGivenBack(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(10)
	s.exec(`update shop.customers set email = 'bounce@c' || id || '.example'`)
	first := s.to("first", "limits: {cap: 1 per 7d}")
	second := s.to("second", "limits: {cap: 1 per 7d}")
	stop := s.run(sending{Connections: 1})
	s.await(first, "done")
	s.await(second, "done")
	stop()
	if got := s.number(`select count(*) from messages where state = 'failed'`); got < 10 {
		t.Fatalf("%s | %s", s.outcomes(first), s.outcomes(second))
	}
	s.exec(`delete from suppressions; update addresses set normalised = 'budi' || id || '@mail.example'; update shop.customers set email = 'budi' || id || '@mail.example'`)
	for _, run := range []int{first, second} {
		if _, err := s.planner.Retry(t.Context(), run, "tester"); err != nil {
			t.Fatal(err)
		}
	}
	s.run(sending{Connections: 1})
	a, b := s.await(first, "done"), s.await(second, "done")
	if a.Counts["sent"]+b.Counts["sent"] != 10 || a.Reasons["skipped: cap"]+b.Reasons["skipped: cap"] != 10 {
		t.Errorf("%s | %s", s.outcomes(first), s.outcomes(second))
	}
	s.checkBooks()
}

// A message that planning skipped, and that is retried, counts like any other.
func TestRetriedMessagesCount(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(5)
	s.exec(`update shop.customers set newsletter_ok = false`)
	first := s.to("first", "limits: {cap: 1 per 7d}")
	s.exec(`update shop.customers set newsletter_ok = true`)
	_, err := s.planner.Retry(t.Context(), first, "tester")
	s.must(err)
	s.run(sending{Connections: 1})
	s.await(first, "done")
	second := s.to("second", "limits: {cap: 1 per 7d}")
	s.await(second, "done")
	if a, b := s.outcomes(first), s.outcomes(second); a != "sent 5" || b != "skipped cap 5" {
		t.Errorf("%s | %s", a, b)
	}
}

// Campaigns without caps and quiet hours have the claim that they always had, and note nothing.
func TestNoLimitsCostNothing(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(5)
	run := s.to("plain", "")
	s.run(sending{Connections: 1})
	s.await(run, "done")
	if n := s.number(`select (select count(*) from contacts) + (select count(*) from contact_locks) + (select count(*) from contact_runs)`); n != 0 {
		t.Errorf("%d rows were noted", n)
	}
}
