package delivery_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/sandbox"
)

// A message whose last moment passes while it waits is skipped as too late, and its occasion is free.
func TestTooLateWhileWaiting(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(10)
	run := s.start()
	s.exec(`update messages set not_after = $1 where id % 2 = 0`, monday.Add(time.Hour))
	s.must(s.planner.Pause(t.Context(), run, "tester", "paused by tester"))
	s.clock.set(monday.Add(time.Hour))
	s.must(s.planner.Resume(t.Context(), run, "tester"))
	s.run(sending{Connections: 1})
	p := s.await(run, "done")
	if d := cmp.Diff(map[string]int{"skipped: too late": 5}, p.Reasons); d != "" || p.Counts["sent"] != 5 {
		t.Errorf("%v %s", p.Counts, d)
	}
	s.checkBooks()
	s.checkMail()
}

const cronYAML = `
campaign: birthday
audience:
  where: birthday(customer.birth_date)
schedule: {cron: "0 8 * * *", timezone: customer, until: "18:00"}
channels: [email]
content:
  email: {subject: Selamat, text: Halo}
`

// A tick in customers' zones: the run is planned before the first zone reaches it, and each message rests until its own
// zone does, whatever clock River has.
func TestEachZoneAtItsTime(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.clock.set(time.Date(2026, 11, 22, 17, 0, 0, 0, time.UTC))
	s.birthday(4)
	for id, zone := range map[int]string{1: "Asia/Jayapura", 2: "Asia/Makassar", 3: "Asia/Jakarta", 4: "Europe/Berlin"} {
		s.exec(`update shop.customers set timezone = $2 where id = $1`, id, zone)
	}
	s.apply("birthday", cronYAML)
	s.clock.set(time.Date(2026, 11, 22, 17, 51, 0, 0, time.UTC)) // 10 minutes before the first zone on earth has 8 o'clock
	more, err := s.planner.Tick(t.Context())
	s.must(err)
	if !more {
		t.Fatal("no tick is due")
	}
	s.run(sending{Connections: 1})
	s.until("the run is planned", func() bool { return s.number(`select count(*) from runs where state = 'sending'`) == 1 })
	for i, at := range []string{"23:00", "00:00", "01:00", "07:00"} { // 8 o'clock in the four zones, in UTC
		clock, err := time.Parse("15:04", at)
		s.must(err)
		due := time.Date(2026, 11, 22, clock.Hour(), 0, 0, 0, time.UTC)
		if clock.Hour() < 12 {
			due = due.AddDate(0, 0, 1)
		}
		s.clock.set(due.Add(-10 * time.Second))
		time.Sleep(2 * quick.Heartbeat)
		if n := s.mail.Counts().Accepted; n != i {
			t.Fatalf("ten seconds before %s UTC the server has %d messages, want %d", at, n, i)
		}
		s.clock.set(due)
		s.until("the next zone's is sent", func() bool { return s.mail.Counts().Accepted == i+1 })
	}
	s.await(s.number(`select id from runs`), "done")
	rows, _ := s.pool.Query(t.Context(), `select customer_key from messages order by not_before`)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	s.must(err)
	if d := cmp.Diff([]string{"1", "2", "3", "4"}, got); d != "" {
		t.Error(d)
	}
	s.checkBooks()
	s.checkMail()
}

// An account's rate holds over all connections of all processes.
func TestRate(t *testing.T) {
	t.Parallel()
	const rate, audience, window = 50, 500, 5
	s := setup(t)
	s.birthday(audience)
	run := s.start()
	for range 3 { // processes
		s.run(sending{Connections: 4, Rate: rate})
	}
	s.await(run, "done")
	var at []time.Time
	for m := range s.mail.Each(sandbox.Filter{}) {
		at = append(at, m.ReceivedAt)
	}
	slices.SortFunc(at, time.Time.Compare)
	most := 0
	for i, first := range at {
		n, _ := slices.BinarySearchFunc(at[i:], first.Add(window*time.Second), time.Time.Compare)
		most = max(most, n)
	}
	if limit := rate*window + rate*window/20; most > limit { // what a busy machine hands over late is little of it
		t.Errorf("%d messages in %d seconds, and %d may be", most, window, limit)
	}
	s.checkBooks()
	s.checkMail()
}

// A rate of a message in several seconds holds up neither a pause nor the end of the process.
func TestSlowRateIsInterrupted(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(5)
	run := s.start()
	stop := s.run(sending{Connections: 2, Rate: 0.02})
	s.until("one is sent", func() bool { return s.progress(run).Counts["sent"] == 1 })
	s.until("others wait for their turn", func() bool { return s.progress(run).Counts["claimed"] > 0 })
	s.must(s.planner.Pause(t.Context(), run, "tester", "paused by tester"))
	paused := time.Now()
	s.until("the pause is felt", func() bool { return s.progress(run).Counts["claimed"] == 0 })
	if took := time.Since(paused); took > 3*time.Second {
		t.Errorf("the pause was felt after %s", took)
	}
	s.must(s.planner.Resume(t.Context(), run, "tester"))
	s.until("others wait again", func() bool { return s.progress(run).Counts["claimed"] > 0 })
	asked := time.Now()
	stop()
	if took := time.Since(asked); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if p := s.progress(run); p.Counts["planned"] != 4 || p.Counts["sent"] != 1 {
		t.Errorf("after stopping: %v", p.Counts)
	}
	s.checkBooks()
}
