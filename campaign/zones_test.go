package campaign_test

import (
	"bytes"
	"context"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// simulate lets the clock go from one moment to another, minute by minute, as a running Sapa would live through it:
// schedules are looked at, runs planned, and what is due is sent over SMTP. In the minute before something is due, an
// engine runs, too, so that what goes too early is seen. asleep says in which minutes nothing runs at all.
func (s *shop) simulate(clock *clock, from, to string, asleep func(time.Time) bool) {
	s.t.Helper()
	end := moment(s.t, to)
	for now := moment(s.t, from); now.Before(end); now = now.Add(time.Minute) {
		clock.mu.Lock()
		clock.now = now
		clock.mu.Unlock()
		if asleep != nil && asleep(now) {
			continue
		}
		if s.number(`select count(*) from schedules where next_at <= $1`, now) > 0 {
			s.ticks()
			s.planScheduled()
		}
		switch due := s.nextDue(); {
		case due.IsZero() || due.After(now.Add(time.Minute)):
		case due.After(now):
			until := time.Now().Add(300 * time.Millisecond)
			s.runEngine(func() bool { return time.Now().After(until) })
		default:
			s.runEngine(func() bool { next := s.nextDue(); return next.IsZero() || next.After(now) })
		}
	}
}

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04Z07:00", text)
	if err != nil {
		t.Fatal(err)
	}
	return at.UTC()
}

// nextDue is when the next message that was not sent yet may go; zero when there is none.
func (s *shop) nextDue() (at time.Time) {
	s.t.Helper()
	s.must(s.pool.QueryRow(s.t.Context(), `
		select coalesce(min(not_before), '0001-01-01 00:00:00+00') from messages where state in ('planned', 'claimed')`).Scan(&at))
	return at.UTC()
}

// runEngine sends until enough says so.
func (s *shop) runEngine(enough func() bool) {
	s.t.Helper()
	ctx, stop := context.WithCancel(s.t.Context())
	e := s.engine("smtp://" + s.mail.SMTPAddr())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx, nil) }()
	for deadline := time.Now().Add(time.Minute); !enough(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Errorf("at %s, after a minute, messages are still due", s.now())
			break
		}
	}
	stop()
	s.must(<-ended)
}

// arrivals are the zone and local time of every mail that came, by zone and time.
func (s *shop) arrivals(zones []string) (list []string) {
	s.t.Helper()
	for raw, err := range s.mail.EachRaw() {
		s.must(err)
		m, err := mail.ReadMessage(bytes.NewReader(raw))
		s.must(err)
		at, err := m.Header.Date()
		s.must(err)
		var n int
		if _, err := fmt.Sscanf(m.Header.Get("Subject"), "Halo %d", &n); err != nil {
			s.t.Fatalf("subject %q: %v", m.Header.Get("Subject"), err)
		}
		zone, err := time.LoadLocation(zones[n-1])
		s.must(err)
		list = append(list, zones[n-1]+" "+at.In(zone).Format("2006-01-02 15:04 -0700"))
	}
	slices.Sort(list)
	return list
}

// daily is a campaign at a civil time in each customer's zone.
func daily(schedule string) map[string]string {
	return map[string]string{"campaigns/daily.yaml": `
campaign: daily
audience: {where: "true"}
schedule: ` + schedule + `
content: {email: {subject: "Halo {{ customer.id }}", text: Halo}}
`}
}

// Days around each change of the clocks, lived through minute by minute: everybody gets their mail when their own
// clock shows the tick, once a day, whatever the clocks do.
func TestZonesMinuteByMinute(t *testing.T) {
	t.Parallel()
	zones := []string{
		"Asia/Jayapura", "Asia/Makassar", "Asia/Jakarta", "Asia/Kolkata", "Europe/Berlin", "America/New_York", "America/Los_Angeles",
	}
	cases := map[string]struct {
		schedule, applied, from, to string
		asleep                      func(time.Time) bool
		want                        []string
		skipped                     int
	}{
		"America puts its clocks forward": {
			schedule: `{cron: "0 8 * * *", timezone: customer, until: "18:00"}`,
			applied:  "2027-03-12T12:00+00:00", from: "2027-03-12T17:30+00:00", to: "2027-03-14T17:00+00:00",
			want: []string{
				"America/Los_Angeles 2027-03-13 08:00 -0800", "America/Los_Angeles 2027-03-14 08:00 -0700",
				"America/New_York 2027-03-13 08:00 -0500", "America/New_York 2027-03-14 08:00 -0400",
				"Asia/Jakarta 2027-03-13 08:00 +0700", "Asia/Jakarta 2027-03-14 08:00 +0700",
				"Asia/Jayapura 2027-03-13 08:00 +0900", "Asia/Jayapura 2027-03-14 08:00 +0900",
				"Asia/Kolkata 2027-03-13 08:00 +0530", "Asia/Kolkata 2027-03-14 08:00 +0530",
				"Asia/Makassar 2027-03-13 08:00 +0800", "Asia/Makassar 2027-03-14 08:00 +0800",
				"Europe/Berlin 2027-03-13 08:00 +0100", "Europe/Berlin 2027-03-14 08:00 +0100",
			},
		},
		"Europe, then America, put their clocks back": {
			schedule: `{cron: "0 8 24,25,31 10 *", timezone: customer}`,
			applied:  "2026-10-23T12:00+00:00", from: "2026-10-23T17:45+00:00", to: "2026-10-31T16:00+00:00",
			asleep: func(at time.Time) bool { return at.Day() > 25 && at.Day() < 30 }, // no tick is near
			want: []string{
				"America/Los_Angeles 2026-10-24 08:00 -0700", "America/Los_Angeles 2026-10-25 08:00 -0700", "America/Los_Angeles 2026-10-31 08:00 -0700",
				"America/New_York 2026-10-24 08:00 -0400", "America/New_York 2026-10-25 08:00 -0400", "America/New_York 2026-10-31 08:00 -0400",
				"Asia/Jakarta 2026-10-24 08:00 +0700", "Asia/Jakarta 2026-10-25 08:00 +0700", "Asia/Jakarta 2026-10-31 08:00 +0700",
				"Asia/Jayapura 2026-10-24 08:00 +0900", "Asia/Jayapura 2026-10-25 08:00 +0900", "Asia/Jayapura 2026-10-31 08:00 +0900",
				"Asia/Kolkata 2026-10-24 08:00 +0530", "Asia/Kolkata 2026-10-25 08:00 +0530", "Asia/Kolkata 2026-10-31 08:00 +0530",
				"Asia/Makassar 2026-10-24 08:00 +0800", "Asia/Makassar 2026-10-25 08:00 +0800", "Asia/Makassar 2026-10-31 08:00 +0800",
				"Europe/Berlin 2026-10-24 08:00 +0200", "Europe/Berlin 2026-10-25 08:00 +0100", "Europe/Berlin 2026-10-31 08:00 +0100",
			},
		},
		"a tick that America's clocks leave out": { // half past two comes an hour later on the new clock
			schedule: `{at: 2027-03-14 02:30, timezone: customer, until: "05:00"}`,
			applied:  "2027-03-13T11:00+00:00", from: "2027-03-13T12:00+00:00", to: "2027-03-14T11:00+00:00",
			want: []string{
				"America/Los_Angeles 2027-03-14 03:30 -0700", "America/New_York 2027-03-14 03:30 -0400",
				"Asia/Jakarta 2027-03-14 02:30 +0700", "Asia/Jayapura 2027-03-14 02:30 +0900", "Asia/Kolkata 2027-03-14 02:30 +0530",
				"Asia/Makassar 2027-03-14 02:30 +0800", "Europe/Berlin 2027-03-14 02:30 +0100",
			},
		},
		"a tick that America's clocks show twice": { // the second
			schedule: `{at: 2026-11-01 01:30, timezone: customer}`,
			applied:  "2026-10-31T10:00+00:00", from: "2026-10-31T11:00+00:00", to: "2026-11-01T10:00+00:00",
			want: []string{
				"America/Los_Angeles 2026-11-01 01:30 -0800", "America/New_York 2026-11-01 01:30 -0500",
				"Asia/Jakarta 2026-11-01 01:30 +0700", "Asia/Jayapura 2026-11-01 01:30 +0900", "Asia/Kolkata 2026-11-01 01:30 +0530",
				"Asia/Makassar 2026-11-01 01:30 +0800", "Europe/Berlin 2026-11-01 01:30 +0100",
			},
		},
		"nothing runs for a while": { // from 07:00 to 13:20 in Jakarta: who is past until then gets nothing, the others get it late
			schedule: `{at: 2026-11-23 08:00, timezone: customer, until: "13:00"}`,
			applied:  "2026-11-22T12:00+00:00", from: "2026-11-22T17:30+00:00", to: "2026-11-23T17:00+00:00",
			asleep: func(at time.Time) bool {
				return !at.Before(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)) && at.Before(time.Date(2026, 11, 23, 6, 20, 0, 0, time.UTC))
			},
			want: []string{
				"America/Los_Angeles 2026-11-23 08:00 -0800", "America/New_York 2026-11-23 08:00 -0500",
				"Asia/Jayapura 2026-11-23 08:00 +0900", // before it began
				"Asia/Kolkata 2026-11-23 11:50 +0530", "Europe/Berlin 2026-11-23 08:00 +0100",
			},
			skipped: 2, // Jakarta and Makassar
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, clock := setupClock(t, c.applied)
			s.people(zones...)
			_, err := s.store(daily(c.schedule))
			s.must(err)
			s.simulate(clock, c.from, c.to, c.asleep)
			if d := cmp.Diff(c.want, s.arrivals(zones)); d != "" {
				t.Error(strings.TrimSpace(d))
			}
			if n := s.number(`select count(*) from messages where state = 'skipped' and reason = 'too late'`); n != c.skipped {
				t.Errorf("%d came too late, want %d", n, c.skipped)
			}
			s.addsUp()
		})
	}
}
