package campaign_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/customer"
)

// when is when each customer's message may go, and why it may not.
const when = `select c.zone || ' ' || coalesce(m.reason, to_char(m.not_before, 'MM-DD HH24:MI'))
	from messages m join crm.customers c on c.id::text = m.customer_key where m.run_id = (select max(id) from runs) order by c.id`

// Whoever's message comes due within quiet hours gets it at their end, where they live: on both ends of the world, across
// midnight, and on the days on which clocks change.
func TestQuietHours(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		rails, more, now string
		zones, want      []string
	}{
		"by hand, across midnight": {
			"{}", `limits: {quiet_hours: "20:00-07:00"}`, "2026-11-23T12:59+00:00",
			[]string{"Pacific/Pago_Pago", "America/New_York", "Asia/Kathmandu", "Asia/Jakarta", "Mars/Olympus", "Asia/Jayapura", "Pacific/Kiritimati"},
			[]string{
				"Pacific/Pago_Pago 11-23 18:00",  // 1:59 there
				"America/New_York 11-23 12:59",   // 7:59
				"Asia/Kathmandu 11-23 12:59",     // 18:44
				"Asia/Jakarta 11-23 12:59",       // 19:59
				"Mars/Olympus 11-23 12:59",       // not a zone: the default
				"Asia/Jayapura 11-23 22:00",      // 21:59
				"Pacific/Kiritimati 11-23 17:00", // 2:59 of the next day
			},
		},
		"the first minute and the last": {
			"{}", `limits: {quiet_hours: "20:00-07:00"}`, "2026-11-23T13:00+00:00",
			[]string{"Asia/Jakarta", "Pacific/Palau", "Asia/Kolkata", "Pacific/Honolulu", "America/Los_Angeles"},
			[]string{"Asia/Jakarta 11-24 00:00", "Pacific/Palau 11-23 22:00", "Asia/Kolkata 11-23 13:00", "Pacific/Honolulu 11-23 17:00", "America/Los_Angeles 11-23 15:00"},
		},
		"at noon": {
			"{}", `limits: {quiet_hours: "12:00-14:00"}`, "2026-11-23T05:30+00:00",
			[]string{"Asia/Jakarta", "Asia/Makassar", "Asia/Jayapura"},
			[]string{"Asia/Jakarta 11-23 07:00", "Asia/Makassar 11-23 06:00", "Asia/Jayapura 11-23 05:30"},
		},
		"those of sapa.yaml": {
			`{quiet_hours: "20:00-07:00"}`, "", "2026-11-23T14:00+00:00",
			[]string{"Asia/Jakarta", "Europe/Berlin"},
			[]string{"Asia/Jakarta 11-24 00:00", "Europe/Berlin 11-23 14:00"},
		},
		"those of sapa.yaml and longer ones": {
			`{quiet_hours: "20:00-07:00"}`, `limits: {quiet_hours: "22:00-08:00"}`, "2026-11-23T14:00+00:00",
			[]string{"Asia/Jakarta"},
			[]string{"Asia/Jakarta 11-24 01:00"},
		},
		"those of sapa.yaml and others": {
			`{quiet_hours: "20:00-07:00"}`, `limits: {quiet_hours: "12:00-13:00"}`, "2026-11-23T05:15+00:00",
			[]string{"Asia/Jakarta", "Asia/Jayapura", "Europe/Berlin"},
			[]string{"Asia/Jakarta 11-23 06:00", "Asia/Jayapura 11-23 05:15", "Europe/Berlin 11-23 06:00"},
		},
		"none instead of those of sapa.yaml": {
			`{quiet_hours: "20:00-07:00"}`, `limits: {quiet_hours: none}`, "2026-11-23T14:00+00:00",
			[]string{"Asia/Jakarta"},
			[]string{"Asia/Jakarta 11-23 14:00"},
		},
		"clocks put forward over the end": {
			"{}", `limits: {quiet_hours: "20:00-02:30"}`, "2027-03-14T06:00+00:00",
			[]string{"America/New_York"},
			[]string{"America/New_York 03-14 07:30"},
		}, // 3:30 on the new clock
		"clocks put back over the end": {
			"{}", `limits: {quiet_hours: "20:00-01:30"}`, "2026-11-01T04:00+00:00",
			[]string{"America/New_York"},
			[]string{"America/New_York 11-01 06:30"},
		}, // the second half past one
		"clocks put forward at night": {
			"{}", `limits: {quiet_hours: "20:00-07:00"}`, "2027-03-28T00:00+00:00",
			[]string{"Europe/Berlin"},
			[]string{"Europe/Berlin 03-28 05:00"},
		},
		"a tick in customers' zones": {
			"{}", "schedule: {cron: \"0 6 * * *\", timezone: customer}\nlimits: {quiet_hours: \"20:00-07:00\"}", "2026-11-22T15:55+00:00",
			[]string{"Pacific/Kiritimati", "Asia/Jakarta", "Pacific/Pago_Pago"},
			[]string{"Pacific/Kiritimati 11-22 17:00", "Asia/Jakarta 11-23 00:00", "Pacific/Pago_Pago 11-23 18:00"},
		},
		"too late after them": {
			"{}", "schedule: {cron: \"0 19 * * *\", until: \"22:00\"}\nlimits: {quiet_hours: \"20:00-07:00\"}", "2026-11-23T12:00+00:00",
			[]string{"Asia/Jakarta", "Asia/Jayapura", "Asia/Dhaka"},
			[]string{"Asia/Jakarta 11-23 12:00", "Asia/Jayapura too late", "Asia/Dhaka 11-23 12:00"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, clock := setupClock(t, "2026-10-01T00:00+00:00")
			s.rails(tt.rails)
			s.people(tt.zones...)
			s.apply("all", yamlOf("all", tt.more), nil)
			clock.set(t, tt.now)
			if strings.Contains(tt.more, "schedule") {
				s.ticks()
				s.planScheduled()
			} else {
				s.start("all")
			}
			if d := cmp.Diff(tt.want, s.strings(when)); d != "" {
				t.Error(d)
			}
			s.addsUp()
		})
	}
}

// PostgreSQL, which decides, and Go, which looks ahead, mean the same by quiet hours; the end is never quiet itself.
func TestQuietHoursAgree(t *testing.T) {
	t.Parallel()
	s := setup(t)
	zones := []string{
		"UTC", "Asia/Jakarta", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Apia", "America/Havana",
		"Africa/Cairo", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kathmandu", "America/St_Johns", "America/Santiago", "Asia/Beirut",
	}
	r := rand.New(rand.NewPCG(7, 11))
	n := 20_000
	at, zone, from, to, want := make([]time.Time, n), make([]string, n), make([]string, n), make([]string, n), make([]time.Time, n)
	for i := range n {
		var q customer.QuietHours
		for q.Length() == 0 {
			text := fmt.Sprintf("%02d:%02d-%02d:%02d", r.IntN(24), r.IntN(4)*15, r.IntN(24), r.IntN(4)*15)
			if err := q.UnmarshalScalar(text); err != nil {
				q = customer.QuietHours{}
				continue
			}
			from[i], to[i], _ = strings.Cut(text, "-")
		}
		zone[i] = zones[r.IntN(len(zones))]
		where, err := time.LoadLocation(zone[i])
		s.must(err)
		at[i] = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.IntN(3*365*24*60)) * time.Minute)
		if i%2 == 0 { // around a change of the clocks
			if _, change := at[i].In(where).ZoneBounds(); !change.IsZero() {
				at[i] = change.UTC().Add(time.Duration(r.IntN(48*60)-30*60) * time.Minute)
			}
		}
		want[i] = q.Until(at[i], where).UTC()
	}
	rows, _ := s.pool.Query(t.Context(), `
		select quiet_until(at, zone, f::time, t::time) as until,
		       quiet_until(quiet_until(at, zone, f::time, t::time), zone, f::time, t::time) as again
		from unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[]) with ordinality u(at, zone, f, t, n) order by n`, at, zone, from, to)
	type answer struct{ Until, Again time.Time }
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[answer])
	s.must(err)
	moved := 0
	for i, g := range got {
		if !g.Until.Equal(want[i]) {
			t.Fatalf("%s in %s, %s-%s: PostgreSQL says %s, Go %s", at[i], zone[i], from[i], to[i], g.Until.UTC(), want[i])
		}
		if g.Until.Before(at[i]) || !g.Again.Equal(g.Until) {
			t.Fatalf("%s in %s, %s-%s: until %s, and from there until %s", at[i], zone[i], from[i], to[i], g.Until.UTC(), g.Again.UTC())
		}
		if !g.Until.Equal(at[i]) {
			moved++
		}
	}
	if moved < n/4 || moved > 3*n/4 {
		t.Errorf("%d of %d were moved", moved, n)
	}
}

// The messages of a run are dealt evenly to slots of whole minutes, which are not one batch for each message.
func TestSpread(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		customers     int
		more, now     string
		slots         int
		least, most   int    // messages in a slot
		first, last   string // slots
		none          string // no slot from … to …
		batches, late int
	}{
		"evenly":               {2400, "limits: {spread: 4h}", "2026-11-23T01:00+00:00", 240, 10, 10, "11-23 01:00", "11-23 04:59", "", 240, 0},
		"few are one batch":    {19, "limits: {spread: 4h}", "2026-11-23T01:00+00:00", 1, 19, 19, "11-23 01:00", "11-23 01:00", "", 1, 0},
		"ten in a slot":        {100, "limits: {spread: 1h}", "2026-11-23T01:00+00:00", 10, 10, 10, "11-23 01:00", "11-23 01:54", "", 10, 0},
		"not one batch a head": {3000, "limits: {spread: 1h}", "2026-11-23T01:00+00:00", 60, 50, 50, "11-23 01:00", "11-23 01:59", "", 60, 0},
		"a long one":           {4800, "limits: {spread: 7d}", "2026-11-23T01:00+00:00", 240, 20, 20, "11-23 01:00", "11-30 00:18", "", 240, 0},
		"over the quiet hours": {
			1200, `limits: {spread: 2h, quiet_hours: "20:00-07:00"}`, "2026-11-23T12:00+00:00", 120, 10, 10, "11-23 12:00", "11-24 00:59",
			"11-23 13:00 11-24 00:00", 120, 0,
		},
		"within the quiet hours": {
			1200, `limits: {spread: 2h, quiet_hours: "20:00-07:00"}`, "2026-11-23T16:00+00:00", 120, 10, 10, "11-24 00:00", "11-24 01:59", "", 120, 0,
		},
		"over three nights": {
			1000, `limits: {spread: 2d, quiet_hours: "20:00-07:00"}`, "2026-11-23T12:00+00:00", 100, 10, 10, "11-23 12:00", "11-27 07:31",
			"11-23 13:00 11-24 00:00 11-24 13:00 11-25 00:00 11-25 13:00 11-26 00:00 11-26 13:00 11-27 00:00", 100, 0,
		},
		"ends with until": {
			1200, "limits: {spread: 8h}\nschedule: {cron: \"0 16 * * *\", until: \"18:00\"}", "2026-11-23T09:00+00:00", 120, 10, 10, "11-23 09:00", "11-23 10:59", "", 120, 0,
		},
		"until within the quiet hours": {
			600, "limits: {spread: 4h, quiet_hours: \"20:00-07:00\"}\nschedule: {cron: \"0 19 * * *\", until: \"22:00\"}", "2026-11-23T12:00+00:00",
			60, 10, 10, "11-23 12:00", "11-23 12:59", "", 60, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, clock := setupClock(t, "2026-10-01T00:00+00:00")
			s.people(make([]string, tt.customers)...)
			s.apply("all", yamlOf("all", tt.more), nil)
			clock.set(t, tt.now)
			if strings.Contains(tt.more, "schedule") {
				s.ticks()
				s.planScheduled()
			} else {
				_, _, err := s.planner.Start(t.Context(), campaign.Start{Campaign: "all", Actor: "tester", Yes: true})
				s.must(err)
			}
			counts := s.numbers(`select count(*)::int from messages where state = 'planned' group by not_before order by not_before`)
			if len(counts) != tt.slots || slices.Min(counts) != tt.least || slices.Max(counts) != tt.most {
				t.Errorf("%d slots of %v", len(counts), counts)
			}
			times := s.strings(`select to_char(min(not_before), 'MM-DD HH24:MI') || ' ' || to_char(max(not_before), 'MM-DD HH24:MI') from messages`)
			if want := tt.first + " " + tt.last; times[0] != want {
				t.Errorf("from and to %s, want %s", times[0], want)
			}
			for f := strings.Fields(tt.none); len(f) >= 4; f = f[4:] {
				if n := s.number(`select count(*) from messages where not_before >= $1 and not_before < $2`, day(t, f[0], f[1]), day(t, f[2], f[3])); n != 0 {
					t.Errorf("%d go from %v", n, f)
				}
			}
			if n := s.number(`select count(*) from batches`); n != tt.batches {
				t.Errorf("%d batches", n)
			}
			if n := s.number(`select count(*) from messages where state = 'skipped'`); n != tt.late {
				t.Errorf("%d are skipped", n)
			}
			// Neighbours by key are not neighbours in time.
			if tt.slots > 1 && s.number(`select count(*) from messages a join messages b on b.customer_key = (a.customer_key::int + 1)::text
				where b.not_before >= a.not_before`) > tt.customers*3/4 {
				t.Error("they go in the order of their keys")
			}
			s.addsUp()
		})
	}
}

func day(t *testing.T, date, clock string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04", "2026-"+date+" "+clock)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Each zone is spread from its own moment.
func TestSpreadZones(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-10-01T00:00+00:00")
	zones := []string{"Asia/Jakarta", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Mars/Olympus"}
	var people []string
	for range 100 {
		people = append(people, zones...)
	}
	s.people(people...)
	s.apply("all", yamlOf("all", "limits: {spread: 2h}\nschedule: {cron: \"0 8 * * *\", timezone: customer, until: \"18:00\"}"), nil)
	clock.set(t, "2026-11-22T17:55+00:00")
	s.ticks()
	s.planScheduled()
	got := s.strings(`select replace(c.zone, 'Mars/Olympus', 'Asia/Jakarta') || ' ' || count(*) || ' ' || count(distinct not_before) || ' ' || to_char(min(not_before), 'MM-DD HH24:MI') || ' ' || to_char(max(not_before), 'MM-DD HH24:MI')
		from messages m join crm.customers c on c.id::text = m.customer_key where state = 'planned' group by replace(c.zone, 'Mars/Olympus', 'Asia/Jakarta') order by 1`)
	want := []string{
		"Asia/Jakarta 200 20 11-23 01:00 11-23 02:54",
		"Pacific/Kiritimati 100 10 11-22 18:00 11-22 19:48",
		"Pacific/Pago_Pago 100 10 11-23 19:00 11-23 20:48",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	s.addsUp()
}

// A dry run says how many quiet hours put off, when the messages go, and whom a cap would leave out.
func TestPlanTellsOfLimits(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-23T03:00+00:00")
	s.people("Asia/Jakarta", "Asia/Jakarta", "America/New_York", "Europe/Berlin")
	s.apply("first", yamlOf("first", ""), nil)
	run, _ := s.start("first")
	s.exec(`update messages set state = 'sent', claimed_at = $1 where run_id = $2 and customer_key in ('1', '3')`, s.now(), run.ID)
	s.apply("all", yamlOf("all", `limits: {quiet_hours: "20:00-07:00", cap: 1 per 7d}`), nil)
	clock.set(t, "2026-11-23T03:00+00:00")
	_, plan, err := s.planner.DryRun(t.Context(), campaign.Start{Campaign: "all"})
	s.must(err)
	first, last := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC), time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	if plan.PutOff != 2 || plan.Capped != 4 || plan.OnCap != "skip" || !near(plan.First, first) || !near(plan.Last, last) {
		t.Errorf("%+v from %v to %v", plan, plan.First, plan.Last)
	}
	s.must(s.planner.Cancel(t.Context(), run.ID, "ani")) // the other two do not wait for that any more
	if _, plan, err = s.planner.DryRun(t.Context(), campaign.Start{Campaign: "all"}); err != nil || plan.Capped != 2 {
		t.Errorf("%+v %v", plan, err)
	}
	if n := s.number(`select count(*) from contacts`); n != 0 {
		t.Errorf("a dry run has noted %d contacts", n)
	}
}

func near(at *time.Time, want time.Time) bool {
	return at != nil && at.Sub(want).Abs() < time.Minute
}

// The batches of a higher priority wake workers first.
func TestBatchPriority(t *testing.T) {
	t.Parallel()
	s, _ := setupClock(t, "2026-11-23T03:00+00:00")
	s.people("Asia/Jakarta")
	for priority, want := range map[int]int{100: 1, 50: 1, 49: 2, 1: 2, 0: 3, -1: 4, -100: 4} {
		name := fmt.Sprintf("p%d", priority+200)
		s.apply(name, yamlOf(name, fmt.Sprintf("priority: %d", priority)), nil)
		run, _ := s.start(name)
		if n := s.number(`select priority from batches where run_id = $1`, run.ID); n != want {
			t.Errorf("priority %d: the batch has %d, want %d", priority, n, want)
		}
	}
}
