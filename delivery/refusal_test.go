package delivery_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/sandbox"
)

// A refusal for now is tried again after each of the documented waits, and given up after the last.
func TestTemporaryRefusals(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(3)
	s.exec(`update shop.customers set email = 'budi+later@mail.example' where id = 2`)
	run := s.start()
	s.run(sending{Connections: 1})
	s.until("the others are sent", func() bool { return s.progress(run).Counts["sent"] == 2 })
	tried := func(n int) func() bool {
		return func() bool { return s.number(`select count(*) from attempts where verdict = 'retry'`) == n }
	}
	for i, wait := range []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour} {
		s.until(fmt.Sprintf("try %d", i+1), tried(i+1))
		s.until("the batch rests", func() bool { return s.number(`select count(*) from batches where worker is not null`) == 0 })
		if p := s.progress(run); p.Counts["planned"] != 1 || p.State != "sending" || p.Resting == nil {
			t.Fatalf("after try %d: %+v", i+1, p)
		}
		s.checkBooks()
		last := s.clock.now()
		s.clock.set(last.Add(wait - 10*time.Second))
		time.Sleep(2 * quick.Heartbeat)
		if !tried(i + 1)() {
			t.Fatalf("try %d came too early", i+2)
		}
		s.clock.set(last.Add(wait + time.Second))
	}
	p := s.await(run, "done")
	if d := cmp.Diff(map[string]int{"failed: gave up": 1}, p.Reasons); d != "" {
		t.Error(d)
	}
	if n := s.number(`select count(*) from attempts where code = 451 and enhanced = '4.7.1' and words = 'Greylisted, try again later'`); n != 7 {
		t.Errorf("%d attempts tell what the server said, want 7", n)
	}
	if n := s.number(`select count(*) from occasions where not spent`); n != 1 {
		t.Error("the occasion was not released")
	}
	s.checkBooks()
	s.checkMail()
}

// Permanent refusals fail their own message alone; only those that mean the address suppress it. Each releases its
// occasion, and a later run skips the suppressed address.
func TestPermanentRefusals(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(6)
	s.exec(`update shop.customers set email = 'budi+bounce@mail.example' where id = 2`)
	s.exec(`update shop.customers set email = 'budi+spam@mail.example' where id = 4`)
	run := s.start()
	s.run(sending{Connections: 1})
	p := s.await(run, "done")
	want := map[string]int{"failed: hard bounce": 1, "failed: refused": 1}
	if d := cmp.Diff(want, p.Reasons); d != "" || p.Counts["sent"] != 4 {
		t.Errorf("%v %s", p.Counts, d)
	}
	got := s.text(`select string_agg(address || ' ' || reason, ', ') from suppressions`)
	if got != "budi+bounce@mail.example hard bounce" {
		t.Errorf("suppressed: %q", got)
	}
	s.checkBooks()
	_, plan, err := s.planner.Start(t.Context(), campaign.Start{Campaign: "birthday", Actor: "tester"})
	s.must(err)
	if plan.Already != 4 || plan.Planned != 1 || plan.Skipped["suppressed"] != 1 {
		t.Errorf("a later run: %+v", plan)
	}
}

// A server that takes messages and never answers makes them unknown. The breaker keeps it from doing so to everybody.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	s := setup(t, sandbox.Rule{Name: "silent", Drop: sandbox.DropAfter})
	s.birthday(40)
	run := s.start()
	s.run(sending{Connections: 2})
	s.until("the reason is told", func() bool {
		return strings.Contains(s.progress(run).Reason, "can't be used now: the connection to the SMTP server broke")
	})
	p := s.progress(run)
	if n := p.Counts["unknown"]; n < 3 || n > 5 || p.Counts["unknown"]+p.Waiting() != 40 {
		t.Errorf("three sessions in a row should open the breaker: %v", p.Counts)
	}
	s.checkBooks()
}

// scriptedServer is an SMTP server that answers as the script says, and counts its connections.
type scriptedServer struct {
	addr        string
	connections atomic.Int64
	script      atomic.Pointer[map[string]string] // verb → reply
}

func (s *shop) scriptedServer(script map[string]string) *scriptedServer {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	s.t.Cleanup(func() { _ = l.Close() })
	server := &scriptedServer{addr: l.Addr().String()}
	server.script.Store(&script)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			server.connections.Add(1)
			go server.serve(c)
		}
	}()
	return server
}

func (s *scriptedServer) serve(c net.Conn) {
	defer c.Close()
	say := func(verb, otherwise string) {
		reply, ok := (*s.script.Load())[verb]
		if !ok {
			reply = otherwise
		}
		fmt.Fprintf(c, "%s\r\n", reply)
	}
	say("", "220 scripted.example ESMTP")
	for lines, data := bufio.NewScanner(c), false; lines.Scan(); {
		verb := strings.ToUpper(strings.SplitN(lines.Text(), " ", 2)[0])
		switch {
		case data && lines.Text() != ".":
		case data:
			data = false
			say(".", "250 2.0.0 OK")
		case verb == "DATA":
			data = true
			say(verb, "354 go on")
		case verb == "QUIT":
			say(verb, "221 bye")
			return
		default:
			say(verb, "250 2.0.0 OK")
		}
	}
}

// A server that refuses the sender fails nobody: the run says why it does not move, the server is left alone for a
// while, and when that is mended everything goes.
func TestRefusedSender(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(30)
	server := s.scriptedServer(map[string]string{"MAIL": "550 5.7.1 Sender halo@bengkel.example not allowed"})
	run := s.start()
	s.run(sending{SMTP: server.addr, Connections: 2})
	s.until("the reason is told", func() bool { return s.progress(run).Reason != "" })
	p := s.progress(run)
	if !strings.Contains(p.Reason, "550 5.7.1 Sender halo@bengkel.example not allowed: check `from`") {
		t.Errorf("the reason does not tell: %q", p.Reason)
	}
	if p.State != "sending" || p.Waiting() != 30 {
		t.Errorf("something was burned: %+v", p)
	}
	if n := s.number(`select count(*) from attempts`); n != 0 {
		t.Errorf("%d attempts were counted", n)
	}
	if n := server.connections.Load(); n > 6 {
		t.Errorf("%d connections before the server was left alone", n)
	}
	s.checkBooks()
	server.script.Store(&map[string]string{})
	p = s.await(run, "done")
	if p.Counts["sent"] != 30 || p.Reason != "" {
		t.Errorf("when it is mended: %+v", p)
	}
	s.checkBooks()
}

// While a server is away, every run says so and nothing is burned; the breaker lets few connections through; when the
// server is back, the runs go on and the reason is gone.
func TestServerAway(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(1100) // three batches
	server := s.scriptedServer(map[string]string{"": "421 4.3.2 closing for lunch"})
	run := s.start()
	s.run(sending{SMTP: server.addr, Connections: 4})
	s.until("the reason is told", func() bool { return strings.Contains(s.progress(run).Reason, "closing for lunch") })
	time.Sleep(time.Second)
	if n := server.connections.Load(); n > 5 {
		t.Errorf("%d connections in the first second", n)
	}
	if p := s.progress(run); p.Counts["planned"] != 1100 {
		t.Errorf("something was burned: %v", p.Counts)
	}
	s.checkBooks()
	server.script.Store(&map[string]string{})
	s.until("the reason is gone", func() bool { return s.progress(run).Reason == "" })
	if p := s.progress(run); p.State != "sending" {
		t.Errorf("the reason stood there until the end: %+v", p)
	}
	if p := s.await(run, "done"); p.Counts["sent"] != 1100 {
		t.Errorf("when it is back: %+v", p)
	}
	s.checkBooks()
}

// Breaking sessions off ourselves says nothing about the provider.
func TestPausesDoNotTripTheBreaker(t *testing.T) {
	t.Parallel()
	s := setup(t, slowly(100*time.Millisecond))
	s.birthday(40)
	run := s.start()
	s.run(sending{Connections: 2})
	for i := range 5 {
		s.until("it moves", func() bool { return s.mail.Counts().Accepted > 4*i })
		s.must(s.planner.Pause(t.Context(), run, "tester", "paused by tester"))
		s.until("it is felt", func() bool { return s.progress(run).Counts["claimed"] == 0 })
		s.must(s.planner.Resume(t.Context(), run, "tester"))
	}
	s.until("it moves on", func() bool {
		if reason := s.progress(run).Reason; reason != "" {
			t.Fatalf("the run says %q", reason)
		}
		return s.progress(run).Counts["sent"] == 40
	})
	s.checkBooks()
	s.checkMail()
}
