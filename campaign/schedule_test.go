package campaign

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pgtest"
	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// calendarOf is the calendar of a schedule in YAML, in a company of Jakarta.
func calendarOf(t *testing.T, schedule string) *calendar {
	t.Helper()
	f, problems := strictyaml.Parse("t.yaml", "schedule: "+schedule)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	k := &checker{f: f, c: &Campaign{schema: &customer.Schema{Zone: "Asia/Jakarta"}}, wellFormed: true}
	s, _ := f.Root()
	if list := s.Entries()[0].Value.Decode(&k.c.Definition.Schedule); len(list) > 0 {
		t.Fatal(list)
	}
	k.checkSchedule()
	if len(k.problems) > 0 {
		t.Fatal(k.problems)
	}
	return k.c.calendar
}

// civilOf is a civil time as tests write it.
func civilOf(t *testing.T, text string) time.Time {
	t.Helper()
	c, err := ParseTick(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// momentOf is a moment: 2026-11-23T08:00+07:00.
func momentOf(t *testing.T, text string) time.Time {
	t.Helper()
	m, err := time.Parse("2006-01-02T15:04Z07:00", text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTicks(t *testing.T) {
	t.Parallel()
	cases := []struct {
		schedule string
		after    string
		want     []string
	}{
		{`{cron: "0 8 * * *"}`, "2026-11-23 07:59:59", []string{"2026-11-23 08:00", "2026-11-24 08:00"}},
		{`{cron: "0 8 * * *"}`, "2026-11-23 08:00", []string{"2026-11-24 08:00"}},
		{`{cron: "30 7,19 * * *"}`, "2026-12-31 12:00", []string{"2026-12-31 19:30", "2027-01-01 07:30"}},
		{`{cron: "0 8 * * 1"}`, "2026-11-22", []string{"2026-11-23 08:00", "2026-11-30 08:00"}},
		{`{cron: "0 8 * * MON-FRI"}`, "2026-11-20 12:00", []string{"2026-11-23 08:00"}},
		{`{cron: "0 8 * * 7"}`, "2026-11-23", []string{"2026-11-29 08:00"}},
		{`{cron: "0 8 * * 1#1"}`, "2026-11-23", []string{"2026-12-07 08:00", "2027-01-04 08:00"}},
		{`{cron: "0 8 L * *"}`, "2026-11-23", []string{"2026-11-30 08:00", "2026-12-31 08:00"}},
		{`{cron: "0 8 31 * *"}`, "2026-11-23", []string{"2026-12-31 08:00", "2027-01-31 08:00", "2027-03-31 08:00"}},
		{`{cron: "0 8 29 2 *"}`, "2026-11-23", []string{"2028-02-29 08:00", "2032-02-29 08:00"}},
		{`{cron: "0 8 13 * 5"}`, "2026-11-10", []string{"2026-11-13 08:00", "2026-11-20 08:00", "2026-11-27 08:00"}},
		{`{cron: "*/20 * * * *"}`, "2026-11-23 23:50", []string{"2026-11-24 00:00", "2026-11-24 00:20"}},
		{`{at: 2026-12-24 08:00}`, "2026-12-24 07:59", []string{"2026-12-24 08:00", ""}},
		{`{at: 2026-12-24 08:00}`, "2026-12-24 08:00", []string{""}},
	}
	for _, c := range cases {
		cal, at := calendarOf(t, c.schedule), civilOf(t, c.after)
		for _, want := range c.want {
			next, ok := cal.next(at)
			got := next.Format(tickFormat)
			if !ok {
				got = ""
			}
			if got != want || next.Second() != 0 {
				t.Errorf("%s after %s: %s, want %s", c.schedule, at.Format(tickFormat), got, want)
			}
			at = next
		}
	}
}

// cronField draws a field and what it means: numbers from lo to hi.
func cronField(r *rand.Rand, lo, hi int) (text string, set map[int]bool) {
	set = map[int]bool{}
	switch r.IntN(5) {
	case 0:
		n := lo + r.IntN(hi-lo+1)
		set[n] = true
		return strconv.Itoa(n), set
	case 1:
		a := lo + r.IntN(hi-lo+1)
		b := a + r.IntN(hi-a+1)
		for n := a; n <= b; n++ {
			set[n] = true
		}
		return fmt.Sprintf("%d-%d", a, b), set
	case 2:
		var parts []string
		for range 2 + r.IntN(2) {
			n := lo + r.IntN(hi-lo+1)
			set[n] = true
			parts = append(parts, strconv.Itoa(n))
		}
		return strings.Join(parts, ","), set
	}
	for n := lo; n <= hi; n++ {
		set[n] = true
	}
	return "*", set
}

// The library's ticks are those of the definition of cron: day of the month and weekday are alternatives where both are
// given.
func TestTicksAreCron(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		minute, minutes := cronField(r, 0, 59)
		hour, hours := cronField(r, 0, 23)
		day, days := cronField(r, 1, 28)
		month, months := cronField(r, 1, 12)
		weekday, weekdays := cronField(r, 0, 6)
		cron := strings.Join([]string{minute, hour, day, month, weekday}, " ")
		matches := func(at time.Time) bool {
			onDay, onWeekday := days[at.Day()] || day == "*", weekdays[int(at.Weekday())]
			onDate := onDay && onWeekday
			if day != "*" && weekday != "*" {
				onDate = onDay || onWeekday
			}
			return minutes[at.Minute()] && hours[at.Hour()] && months[int(at.Month())] && onDate
		}
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.IntN(500_000)) * time.Minute)
		want := at.Add(time.Minute)
		for !matches(want) {
			want = want.Add(time.Minute)
		}
		if got, ok := (&calendar{cron: cron}).next(at); !ok || !got.Equal(want) {
			t.Errorf("%q after %v: %v %v, want %v", cron, at, got, ok, want)
		}
	}
}

// zones are at the ends of the world, and those whose clocks do odd things.
func zones() []string {
	return []string{
		"UTC", "Asia/Jakarta", "Asia/Makassar", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Pacific/Chatham",
		"Pacific/Apia", "America/New_York", "America/St_Johns", "Europe/Berlin", "Europe/Dublin", "Europe/Moscow", "Australia/Lord_Howe", "Africa/Casablanca",
	}
}

func TestInstant(t *testing.T) {
	t.Parallel()
	cases := []struct{ civil, zone, want string }{
		{"2026-11-23 08:00", "Asia/Jakarta", "2026-11-23T01:00Z"},
		{"2026-03-08 01:59", "America/New_York", "2026-03-08T06:59Z"},
		{"2026-03-08 02:30", "America/New_York", "2026-03-08T07:30Z"}, // skipped: 03:30 on the new clock
		{"2026-03-08 03:00", "America/New_York", "2026-03-08T07:00Z"},
		{"2026-11-01 00:59", "America/New_York", "2026-11-01T04:59Z"},
		{"2026-11-01 01:30", "America/New_York", "2026-11-01T06:30Z"}, // comes twice: the second
		{"2026-11-01 02:00", "America/New_York", "2026-11-01T07:00Z"},
		{"2026-10-04 02:15", "Australia/Lord_Howe", "2026-10-03T15:45Z"}, // half an hour is skipped
		{"2011-12-30 08:00", "Pacific/Apia", "2011-12-30T18:00Z"},        // a whole day is skipped
		{"2026-11-23 08:00", "Pacific/Kiritimati", "2026-11-22T18:00Z"},
		{"2026-11-23 08:00", "Pacific/Pago_Pago", "2026-11-23T19:00Z"},
	}
	for _, c := range cases {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := instant(civilOf(t, c.civil), zone); !got.Equal(momentOf(t, c.want)) {
			t.Errorf("%s in %s: %v, want %s", c.civil, c.zone, got.UTC(), c.want)
		}
	}
}

// Messages get their not_before from PostgreSQL, schedules from Go.
func TestInstantIsPostgres(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	for _, name := range zones() {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		civils := around(zone)
		rows, err := pool.Query(t.Context(), `select t at time zone $1 from unnest($2::timestamp[]) with ordinality u(t, n) order by n`, name, civils)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; rows.Next(); i++ {
			var want time.Time
			if err := rows.Scan(&want); err != nil {
				t.Fatal(err)
			}
			if got := instant(civils[i], zone); !got.Equal(want) {
				t.Errorf("%s in %s: %v, PostgreSQL says %v", civils[i].Format(tickFormat), name, got.UTC(), want.UTC())
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// around are civil times near the changes of a zone's clocks.
func around(zone *time.Location) []time.Time {
	civils := []time.Time{time.Date(2026, 7, 1, 8, 0, 0, 0, time.UTC)}
	for at := time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2026; {
		_, change := at.In(zone).ZoneBounds()
		if change.IsZero() {
			break
		}
		for quarters := -16; quarters <= 16; quarters++ {
			near := civil(change, zone).Add(time.Duration(quarters) * 15 * time.Minute)
			civils = append(civils, near, near.Add(-24*time.Hour), near.Add(24*time.Hour))
		}
		at = change.Add(time.Hour)
	}
	return civils
}

// The first tick of a schedule that is applied at a moment, and when its run is planned.
func TestFirst(t *testing.T) {
	t.Parallel()
	cases := []struct{ schedule, now, tick, planAt string }{
		{`{cron: "0 8 * * *"}`, "2026-11-23T07:59+07:00", "2026-11-23 08:00", "2026-11-23T01:00Z"},
		{`{cron: "0 8 * * *"}`, "2026-11-23T08:00+07:00", "2026-11-24 08:00", "2026-11-24T01:00Z"},
		{`{cron: "0 8 * * *", timezone: UTC}`, "2026-11-23T07:59+00:00", "2026-11-23 08:00", "2026-11-23T08:00Z"},
		{`{cron: "0 8 * * *", timezone: America/New_York}`, "2026-11-23T08:00+07:00", "2026-11-23 08:00", "2026-11-23T13:00Z"},
		{`{cron: "30 1 * * *", timezone: America/New_York}`, "2026-11-01T01:45-04:00", "2026-11-01 01:30", "2026-11-01T06:30Z"},
		{`{cron: "30 2 * * *", timezone: America/New_York}`, "2026-03-08T03:15-04:00", "2026-03-08 02:30", "2026-03-08T07:30Z"},
		// In customers' zones a run is planned before the first of them has the tick: 14 hours and 10 minutes before UTC.
		{`{cron: "0 8 * * *", timezone: customer}`, "2026-11-23T12:00+07:00", "2026-11-24 08:00", "2026-11-23T17:50Z"},
		// At seven in Jakarta the first zones have had eight o'clock; the company's own has not.
		{`{cron: "0 8 * * *", timezone: customer}`, "2026-11-23T07:00+07:00", "2026-11-23 08:00", "2026-11-22T17:50Z"},
		{`{cron: "0 8 * * *", timezone: customer}`, "2026-11-23T08:00+07:00", "2026-11-24 08:00", "2026-11-23T17:50Z"},
		{`{at: 2026-12-24 08:00, timezone: Asia/Makassar}`, "2026-12-24T07:59+08:00", "2026-12-24 08:00", "2026-12-24T00:00Z"},
		{`{at: 2026-12-24 08:00, timezone: Asia/Makassar}`, "2026-12-24T08:00+08:00", "", ""},
	}
	for _, c := range cases {
		cal := calendarOf(t, c.schedule)
		tick, ok := cal.first(momentOf(t, c.now))
		if !ok {
			if c.tick != "" {
				t.Errorf("%s at %s: none, want %s", c.schedule, c.now, c.tick)
			}
			continue
		}
		if got := tick.Format(tickFormat); got != c.tick {
			t.Errorf("%s at %s: %s, want %s", c.schedule, c.now, got, c.tick)
		}
		if got := cal.planAt(tick); c.planAt == "" || !got.Equal(momentOf(t, c.planAt)) {
			t.Errorf("%s at %s: planned at %v, want %s", c.schedule, c.now, got.UTC(), c.planAt)
		}
	}
}

// What is done at a moment about the tick that is noted as next: the tick to run and the next to note.
func TestDue(t *testing.T) {
	t.Parallel()
	const daily, customers = `cron: "0 8 * * *"`, `cron: "0 8 * * *", timezone: customer`
	cases := []struct{ name, schedule, noted, now, run, next string }{
		{"in time", "{" + daily + "}", "2026-11-23 08:00", "2026-11-23T08:00+07:00", "2026-11-23 08:00", "2026-11-24 08:00"},
		{"late, once", "{" + daily + "}", "2026-11-23 08:00", "2026-11-23T22:00+07:00", "2026-11-23 08:00", "2026-11-24 08:00"},
		{"late, skip", "{" + daily + ", catch_up: skip}", "2026-11-23 08:00", "2026-11-23T22:00+07:00", "", "2026-11-24 08:00"},
		{"within the grace, skip", "{" + daily + ", catch_up: skip}", "2026-11-23 08:00", "2026-11-23T08:10+07:00", "2026-11-23 08:00", "2026-11-24 08:00"},
		{"three missed, once: the latest", "{" + daily + "}", "2026-11-20 08:00", "2026-11-23T07:00+07:00", "2026-11-22 08:00", "2026-11-23 08:00"},
		{"three missed, skip", "{" + daily + ", catch_up: skip}", "2026-11-20 08:00", "2026-11-23T07:00+07:00", "", "2026-11-23 08:00"},
		{"missed, and one in time, skip", "{" + daily + ", catch_up: skip}", "2026-11-20 08:00", "2026-11-23T08:01+07:00", "2026-11-23 08:00", "2026-11-24 08:00"},
		{"before until", "{" + daily + `, until: "18:00"}`, "2026-11-23 08:00", "2026-11-23T18:00+07:00", "2026-11-23 08:00", "2026-11-24 08:00"},
		{"after until", "{" + daily + `, until: "18:00"}`, "2026-11-23 08:00", "2026-11-23T18:01+07:00", "", "2026-11-24 08:00"},
		{"customers, in time", "{" + customers + "}", "2026-11-24 08:00", "2026-11-24T00:50+07:00", "2026-11-24 08:00", "2026-11-25 08:00"},
		{
			"customers, late, skip, before the company's own tick", "{" + customers + ", catch_up: skip}",
			"2026-11-24 08:00", "2026-11-24T08:00+07:00", "2026-11-24 08:00", "2026-11-25 08:00",
		},
		{"customers, late, skip", "{" + customers + ", catch_up: skip}", "2026-11-24 08:00", "2026-11-24T08:11+07:00", "", "2026-11-25 08:00"},
		{
			"customers, before the last zone has until", `{at: 2026-11-24 08:00, timezone: customer, until: "18:00"}`,
			"2026-11-24 08:00", "2026-11-25T06:00+00:00", "2026-11-24 08:00", "",
		},
		{
			"customers, after the last zone has until", `{at: 2026-11-24 08:00, timezone: customer, until: "18:00"}`,
			"2026-11-24 08:00", "2026-11-25T06:01+00:00", "", "",
		},
		{"once", "{at: 2026-11-23 08:00}", "2026-11-23 08:00", "2026-11-23T08:00+07:00", "2026-11-23 08:00", ""},
		{"once, a month late", "{at: 2026-11-23 08:00}", "2026-11-23 08:00", "2026-12-23T08:00+07:00", "2026-11-23 08:00", ""},
		{"a month of minutes missed", `{cron: "* * * * *"}`, "2026-11-23 08:00", "2026-12-23T08:00+07:00", "2026-12-23 08:00", "2026-12-23 08:01"},
		{"skipped by the clock", `{cron: "30 2 * * *", timezone: America/New_York}`, "2026-03-08 02:30", "2026-03-08T03:30-04:00", "2026-03-08 02:30", "2026-03-09 02:30"},
		{"twice on the clock", `{cron: "30 1 * * *", timezone: America/New_York}`, "2026-10-31 01:30", "2026-11-01T01:30-04:00", "2026-10-31 01:30", "2026-11-01 01:30"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			run, next := calendarOf(t, c.schedule).due(civilOf(t, c.noted), momentOf(t, c.now))
			if d := cmp.Diff([]string{c.run, c.next}, []string{written(run), written(next)}); d != "" {
				t.Error(d)
			}
		})
	}
}

func written(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(tickFormat)
}

// Only what moves ticks makes a schedule begin anew.
func TestSameTicks(t *testing.T) {
	t.Parallel()
	all := []string{
		`{cron: "0 8 * * *"}`, `{cron: "0 9 * * *"}`, `{cron: "0 8 * * *", timezone: customer}`, `{at: 2026-12-24 08:00}`, `{at: 2026-12-24 09:00}`,
		`{at: 2026-12-24 08:00, timezone: UTC}`, "",
	}
	decode := func(text string) *Schedule { return scheduleOf("schedule: " + text) }
	for i, a := range all {
		for j, b := range all {
			if got := sameTicks(decode(a), decode(b)); got != (i == j) {
				t.Errorf("%q and %q: %v", a, b, got)
			}
		}
	}
	if !sameTicks(decode(all[0]), decode(`{cron: "0 8 * * *", until: "18:00", catch_up: skip}`)) {
		t.Error("until and catch_up move no tick")
	}
}

func TestParseTick(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"2026-12-24", "2026-12-24 00:00", "2026-12-24T00:00", "2026-12-24T00:00:00"} {
		if got, err := ParseTick(text); err != nil || !got.Equal(time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "24/12/2026", "2026-02-30", "2026-12-24 25:00", "tomorrow"} {
		want := strconv.Quote(text) + ": expected a date such as 2026-12-24, or a date and time such as 2026-12-24 08:00"
		if _, err := ParseTick(text); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"12h": 12 * time.Hour, "300d": 7200 * time.Hour, "2w": 336 * time.Hour, "9999w": 9999 * 168 * time.Hour} {
		var d Duration
		if err := d.UnmarshalScalar(text); err != nil || time.Duration(d) != want || want < 0 {
			t.Errorf("%s: %v %v", text, time.Duration(d), err)
		}
	}
	for _, text := range []string{"", "d", "0d", "-1d", "+1d", "1.5d", "6m", "90 d", "10000d", "1y", "1D"} {
		var d Duration
		if err := d.UnmarshalScalar(text); err == nil {
			t.Errorf("%s is %v", text, time.Duration(d))
		}
	}
}
