package delivery_test

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/sandbox"
)

// felt bounds in tests what is promised within a second.
const felt = 3 * time.Second

// allAtWork waits until each of so many nodes has handed over since a moment, with some seconds of work in their claims.
func (s *shop) allAtWork(nodes, claimed int, since time.Time) {
	s.t.Helper()
	s.until("all nodes are sending", func() bool {
		return s.number(`select count(distinct worker) from attempts where handed_over > $1`, since) == nodes &&
			s.number(`select count(*) from messages where state = 'claimed'`) >= claimed
	})
}

// allAtRest waits until no node holds a batch, and says when the server got the last message.
func (s *shop) allAtRest() (last time.Time) {
	s.t.Helper()
	s.until("no node holds a batch", func() bool { return s.number(`select count(*) from batches where worker is not null`) == 0 })
	for m := range s.mail.Each(sandbox.Filter{}) {
		if m.ReceivedAt.After(last) {
			last = m.ReceivedAt
		}
	}
	return last
}

// begun is when the node that was last to do so handed over its first message after a moment.
func (s *shop) begun(after time.Time) time.Time {
	s.t.Helper()
	rows, _ := s.pool.Query(s.t.Context(), `select min(handed_over) from attempts where handed_over > $1 group by worker`, after)
	list, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	s.must(err)
	return slices.MaxFunc(list, time.Time.Compare)
}

// Pause, resume and cancel are felt by every node within a second, at the mail server: also by those that have claimed more
// than they get through in that time.
func TestPauseOnEveryNode(t *testing.T) {
	t.Parallel()
	const nodes, batches = 3, 13 // each node fetches up to four
	s := setup(t, slowly(100*time.Millisecond))
	s.birthday(batches * delivery.BatchSize)
	for range nodes {
		s.run(sending{Connections: 1, Rate: 60, Lease: delivery.DefaultLease()}) // claims of 60, ten a second
	}
	began := time.Now()
	run := s.start()
	s.allAtWork(nodes, 120, began)

	asked := time.Now()
	s.must(s.planner.Pause(t.Context(), run, "tester", "paused by tester"))
	took := s.allAtRest().Sub(asked)
	t.Logf("the last message came %s after the pause", took)
	if took > felt {
		t.Errorf("a node still sent %s after the pause", took)
	}
	if p := s.progress(run); p.Counts["claimed"] != 0 || p.Counts["sent"] != s.mail.Counts().Accepted {
		t.Errorf("paused: %v, and the server has %d", p.Counts, s.mail.Counts().Accepted)
	}

	asked = time.Now()
	s.must(s.planner.Resume(t.Context(), run, "tester"))
	s.allAtWork(nodes, 120, asked)
	took = s.begun(asked).Sub(asked)
	t.Logf("the last node began %s after the resume", took)
	if took > felt {
		t.Errorf("a node began only %s after the resume", took)
	}

	asked = time.Now()
	s.must(s.planner.Cancel(t.Context(), run, "tester"))
	took = s.allAtRest().Sub(asked)
	t.Logf("the last message came %s after the cancellation", took)
	if took > felt {
		t.Errorf("a node still sent %s after the cancellation", took)
	}
	s.until("nothing is planned or claimed", func() bool { return s.progress(run).Waiting() == 0 })
	s.checkBooks()
	s.checkMail()
}

// An account's rate holds over real processes, of which one is killed meanwhile and one started, and nobody gets two messages.
func TestRateOfProcesses(t *testing.T) {
	t.Parallel()
	const rate, window, count = 50, 10, 600
	s := setup(t)
	s.birthday(13 * delivery.BatchSize)
	processes := []*process{}
	for range 3 {
		processes = append(processes, s.process(sending{Connections: 4, Rate: rate}))
	}
	run := s.start()
	s.until("half is sent", func() bool { return s.mail.Counts().Accepted > count/2 })
	processes[0].signal(syscall.SIGKILL)
	_ = processes[0].wait()
	processes[0] = s.process(sending{Connections: 4, Rate: rate})
	s.until("a good part is sent", func() bool { return s.mail.Counts().Accepted > count })
	for _, p := range processes {
		p.signal(syscall.SIGTERM)
	}
	for _, p := range processes {
		s.must(p.wait())
	}
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
	t.Logf("%d messages in %s, at most %d in %d seconds", len(at), at[len(at)-1].Sub(at[0]), most, window)
	if limit := rate*window + rate*window/25; most > limit { // 2 %, and what a busy machine takes late
		t.Errorf("%d messages in %d seconds, and %d may be", most, window, limit)
	}
	if n := s.number(`select count(distinct worker) from attempts`); n < 3 {
		t.Errorf("only %d processes sent", n)
	}
	s.run(sending{Connections: 4})
	s.until("the dead process's batches are free", func() bool {
		return s.number(`select count(*) from messages m join workers w on w.id = m.worker where m.state = 'claimed' and w.pid <> $1`, syscall.Getpid()) == 0
	})
	if p := s.await(run, "done"); p.Counts["unknown"] > delivery.InDoubt {
		t.Errorf("in the end: %v", p.Counts)
	}
	s.checkBooks()
	s.checkMail()
}
