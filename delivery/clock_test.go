package delivery_test

import (
	"testing"
	"time"
)

// The clock of business jumps, forward and back, while a run is sent. Leases, heartbeats and rates go by the database's clock
// and by time that passed: nobody is taken for dead. What is not due yet by a clock that went back waits until it is.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	const audience = 800
	s := setup(t, slowly(4*time.Millisecond))
	s.birthday(audience)
	s.exec(`update shop.customers set email = 'budi' || id || '+later@mail.example' where id % 100 = 0`) // refused for now
	run := s.start()
	s.run(sending{Connections: 2})
	sent := func(n int) {
		t.Helper()
		s.until("more are sent", func() bool { return s.progress(run).Counts["sent"] >= n })
	}
	sent(50)
	s.clock.set(s.clock.now().Add(30 * time.Hour))
	sent(150)
	s.clock.set(monday.Add(-time.Hour)) // before the run was planned
	s.until("nothing is due, and nobody holds a batch", func() bool { return s.number(`select count(*) from batches where worker is not null`) == 0 })
	n := s.mail.Counts().Accepted
	if p := s.progress(run); p.State != "sending" || p.Counts["sent"] != n || n == audience {
		t.Errorf("with the clock set back: %+v, and the server has %d", p, n)
	}
	for hours := range 1000 { // refusals for now are tried again by later clocks, and given up at last
		s.clock.set(monday.Add(time.Duration(31+hours) * time.Hour))
		if hours == 0 {
			sent(audience - audience/100)
		}
		if s.progress(run).State == "done" {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if p := s.await(run, "done"); p.Counts["sent"] != audience-audience/100 || p.Counts["failed"] != audience/100 {
		t.Errorf("in the end: %v", p.Counts)
	}
	if n := s.number(`select count(*) from workers`); n != 1 {
		t.Errorf("the process was taken for dead: it has %d registrations", n)
	}
	s.checkBooks()
	s.checkMail()
}

// The database's clock jumps forward, again and again, and everybody's last heartbeat seems to be long ago: whoever looks
// first takes over from all others, who may be in the middle of what they have opened. They go on as other workers, and say
// what became of it: nothing is lost, sent twice, or unknown in the end.
func TestDatabaseClockJumps(t *testing.T) {
	t.Parallel()
	const audience = 2600
	s := setup(t, slowly(4*time.Millisecond))
	s.birthday(audience)
	run := s.start()
	for range 3 {
		s.run(sending{Connections: 2})
	}
	for n := 100; n <= 1300; n += 200 {
		s.until("more are sent", func() bool { return s.mail.Counts().Accepted >= n })
		s.exec(`update workers set heartbeat_at = heartbeat_at - interval '1 hour'`)
	}
	p := s.await(run, "done")
	s.until("what was unknown is settled", func() bool { p = s.progress(run); return p.State == "done" && p.Counts["unknown"] == 0 })
	if p.Counts["sent"] != audience {
		t.Errorf("in the end: %v", p.Counts)
	}
	if n := s.number(`select count(*) from workers where stopped_at is not null`); n == 0 {
		t.Error("nobody was taken for dead")
	}
	s.checkBooks()
	s.checkMail()
}
