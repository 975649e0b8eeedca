package delivery_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/sandbox"
)

// slowly makes the server take a while for each message, so that there is a middle of a run.
func slowly(d time.Duration) sandbox.Rule { return sandbox.Rule{Name: "slow", Delay: d} }

// quiet waits until the server has finished what processes had asked of it that are dead or stopped now.
func (s *shop) quiet() {
	s.t.Helper()
	s.until("no other process's statement is at work", func() bool {
		return s.number(`select count(*) from pg_stat_activity where datname = current_database() and application_name = 'sapa' and state = 'active'`) == 0
	})
}

// inDoubt are the messages that processes may have handed over and have not recorded.
func (s *shop) inDoubt() int {
	s.t.Helper()
	return s.number(`select count(*) from messages m join batches b on m.id between b.lo and least(b.hi, b.handed_to) where m.state = 'claimed'`)
}

// A process is killed in the middle of a run, and another one carries on: nobody gets two messages, nobody disappears,
// and what nobody can know is at most what the dead process may have handed over.
func TestKilledProcess(t *testing.T) {
	t.Parallel()
	const audience = 1200
	s := setup(t, slowly(4*time.Millisecond))
	s.birthday(audience)
	run := s.start()
	victim := s.process(sending{Connections: 4})
	s.until("a good part is sent", func() bool { return s.progress(run).Counts["sent"] > 200 })
	victim.signal(syscall.SIGKILL)
	_ = victim.wait()
	s.quiet()
	doubtful := s.inDoubt()
	if doubtful == 0 || doubtful > delivery.InDoubt || s.number(`select count(*) from messages where state = 'claimed'`) <= doubtful {
		t.Fatalf("the killed process may have handed %d messages over; 1 to 64 would be a test, with more that are claimed\n%s", doubtful, s.books())
	}

	s.run(sending{Connections: 4})
	p := s.await(run, "done")
	s.checkBooks()
	s.checkMail()
	if n := p.Counts["unknown"]; n == 0 || n > delivery.InDoubt { // a last statement may have been on its way to the database
		t.Errorf("%d messages are unknown, and the killed process may have handed over %d", n, doubtful)
	}
	if n := p.Counts["sent"] + p.Counts["unknown"]; n != audience {
		t.Errorf("sent %d + unknown %d is not the audience of %d", p.Counts["sent"], p.Counts["unknown"], audience)
	}
	accepted := s.mail.Counts().Accepted
	if lost := audience - accepted; lost < 0 || lost > p.Counts["unknown"] {
		t.Errorf("the server has %d of %d messages; at most %d may be missing", accepted, audience, p.Counts["unknown"])
	}
}

// A process is stopped for longer than its lease, and woken after another one has taken over. It hands nothing more
// over, and what it knows settles what was unknown: the message that the server took while it slept is sent, and what
// it had not handed over is planned again, and sent by the other.
func TestStoppedProcess(t *testing.T) {
	t.Parallel()
	const audience = 60
	s := setup(t, slowly(50*time.Millisecond))
	s.birthday(audience)
	run := s.start()
	sleeper := s.process(sending{Connections: 1})
	s.until("some are sent", func() bool { return s.progress(run).Counts["sent"] >= 5 })
	sleeper.signal(syscall.SIGSTOP)
	s.quiet()
	doubtful := s.inDoubt()
	old := sleeper.worker()

	s.run(sending{Connections: 1})
	s.await(run, "done")
	p := s.progress(run)
	if p.Counts["unknown"] != doubtful || doubtful == 0 {
		t.Errorf("%d messages are unknown after the takeover, want the %d that may have been handed over", p.Counts["unknown"], doubtful)
	}
	s.checkBooks()
	s.checkMail()

	sleeper.signal(syscall.SIGCONT)
	s.until("its evidence has settled everything and the rest is sent", func() bool {
		p = s.progress(run)
		return p.Counts["sent"] == audience && p.State == "done"
	})
	s.checkBooks()
	s.checkMail()
	if s.mail.Counts().Accepted != audience {
		t.Errorf("in the end %v, and the server has %d", p.Counts, s.mail.Counts().Accepted)
	}
	if n := s.number(`select count(*) from attempts where worker = $1 and handed_over > (select stopped_at from workers where id = $1)`, old); n != 0 {
		t.Errorf("the process that slept handed %d messages over after it was declared dead", n)
	}
	if s.number(`select count(*) from attempts where worker = $1`, old) < 5 {
		t.Error("the attempts of the process that slept are lost")
	}
	if n := s.number(`select count(*) from workers where pid = $1 and stopped_at is null`, sleeper.cmd.Process.Pid); n != 1 {
		t.Errorf("the process that slept has %d registrations, want a new one", n)
	}
}

// SIGTERM: what was handed over is answered and recorded, what was not is released, nothing is unknown, and the process
// ends by itself.
func TestTerminatedProcess(t *testing.T) {
	t.Parallel()
	const audience = 600
	s := setup(t, slowly(10*time.Millisecond))
	s.birthday(audience)
	run := s.start()
	p1 := s.process(sending{Connections: 4})
	s.until("some are sent", func() bool { return s.progress(run).Counts["sent"] >= 50 })
	asked := time.Now()
	p1.signal(syscall.SIGTERM)
	if err := p1.wait(); err != nil {
		t.Errorf("the process ended with: %v", err)
	}
	if took := time.Since(asked); took > 10*time.Second {
		t.Errorf("stopping took %s", took)
	}
	p := s.progress(run)
	if p.Counts["claimed"] != 0 || p.Counts["unknown"] != 0 || p.Counts["planned"] == 0 || p.Counts["sent"]+p.Counts["planned"] != audience {
		t.Errorf("after SIGTERM: %v", p.Counts)
	}
	if n := s.number(`select count(*) from batches where worker is not null`); n != 0 {
		t.Errorf("%d batches are still held", n)
	}
	if n := s.number(`select count(*) from workers where stopped_at is null`); n != 0 {
		t.Errorf("%d workers have not signed off", n)
	}
	s.checkBooks()
	s.checkMail()
	s.run(sending{Connections: 4})
	if p := s.await(run, "done"); p.Counts["sent"] != audience {
		t.Errorf("in the end: %v", p.Counts)
	}
	s.checkBooks()
	s.checkMail()
}

// A server that does not answer holds a stopping process for no longer than the drain. What it had handed over is
// unknown then.
func TestDrainEnds(t *testing.T) {
	t.Parallel()
	s := setup(t, sandbox.Rule{To: "mute", Delay: 8 * time.Second})
	s.birthday(3)
	s.exec(`update shop.customers set email = 'budi+mute@mail.example' where id = 1`)
	run := s.start()
	stop := s.run(sending{Connections: 1, Drain: 500 * time.Millisecond})
	s.until("the first is handed over", func() bool { return s.progress(run).Counts["claimed"] > 0 })
	time.Sleep(300 * time.Millisecond)
	asked := time.Now()
	stop()
	if took := time.Since(asked); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
	p := s.progress(run)
	if p.Counts["claimed"] != 0 || p.Counts["unknown"] == 0 {
		t.Errorf("after the drain: %v", p.Counts)
	}
	s.checkBooks()
}

// A process is killed while it plans. Nothing of the plan is left; the run says planning until somebody resumes it, who
// plans it anew, or cancels it.
func TestKilledPlanner(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*shop, int){
		"resume": func(s *shop, run int) {
			s.must(s.planner.Resume(s.t.Context(), run, "tester"))
			if p := s.progress(run); p.State != "sending" || p.Counts["planned"] != 30 {
				s.t.Errorf("planned anew: %+v", p)
			}
		},
		"cancel": func(s *shop, run int) {
			s.must(s.planner.Cancel(s.t.Context(), run, "tester"))
			if p := s.progress(run); p.State != "cancelled" || len(p.Counts) != 0 {
				s.t.Errorf("cancelled: %+v", p)
			}
			if s.start(); s.number(`select count(*) from messages where state = 'planned'`) != 30 {
				s.t.Error("a later run does not have everybody")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.birthday(30)
			release := s.stall("planned")
			planner := s.spawn(spec{Plan: true})
			s.stalled(1)
			planner.signal(syscall.SIGKILL)
			_ = planner.wait()
			release()
			s.quiet()
			run := s.number(`select id from runs where state = 'planning'`)
			if n := s.number(`select (select count(*) from messages) + (select count(*) from occasions) + (select count(*) from run_totals) + (select count(*) from river_job)`); n != 0 {
				t.Errorf("the dead planner left %d rows", n)
			}
			end(s, run)
			s.checkBooks()
		})
	}
}

// Whoever resumes a run that is being planned waits until it is, and plans nothing twice.
func TestResumeWaitsForPlanner(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(30)
	release := s.stall("planned")
	planner := s.spawn(spec{Plan: true})
	s.stalled(1)
	run := s.number(`select id from runs where state = 'planning'`)
	resumed := make(chan error, 1)
	go func() { resumed <- s.planner.Resume(context.Background(), run, "tester") }()
	s.waiting(1)
	release()
	s.must(<-resumed)
	s.must(planner.wait())
	if p := s.progress(run); p.State != "sending" || p.Counts["planned"] != 30 {
		t.Errorf("planned: %+v", p)
	}
	s.checkBooks()
}
