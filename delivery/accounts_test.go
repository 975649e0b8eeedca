package delivery_test

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/email"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/sandbox"
)

// at is an account at a mail server of this machine.
func (s *shop) at(smtp, from string) delivery.Account {
	s.t.Helper()
	cfg, err := email.Parse("smtp://"+smtp, from)
	s.must(err)
	channel, err := email.New(cfg)
	s.must(err)
	return delivery.Account{Channel: channel, From: channels.Address{Addr: from}, Connections: 2}
}

// runFor starts a process that sends by an account.
func (s *shop) runFor(account delivery.Account) (stop func()) {
	s.t.Helper()
	e, err := s.sender().engineFor(account, sending{Lease: quick})
	s.must(err)
	return s.runEngine(e)
}

// mailServer is a second one.
func (s *shop) mailServer(address string, misbehave ...sandbox.Rule) *sandbox.Server {
	s.t.Helper()
	server, err := sandbox.Start(s.t.Context(), sandbox.Config{Dir: s.t.TempDir(), SMTPAddr: address, Misbehave: misbehave})
	s.must(err)
	s.t.Cleanup(func() { _ = server.Close() })
	return server
}

// freePort is an address that nobody listens at.
func (s *shop) freePort() string {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	defer l.Close()
	return l.Addr().String()
}

// senders are the senders of the mail that a server took, each with how many messages.
func senders(server *sandbox.Server) map[string]int {
	list := map[string]int{}
	for m := range server.Each(sandbox.Filter{}) {
		if m.Verdict.Accepted {
			list[m.From]++
		}
	}
	return list
}

// While the first account can't be reached messages go by the second, from its sender; when the first is back they go by it
// again, in the middle of a run, and nobody gets two.
func TestFallback(t *testing.T) {
	t.Parallel()
	s := setup(t)
	const audience = 2000
	s.birthday(audience)
	address := s.freePort()
	account, second := s.at(address, "satu@bengkel.example"), s.at(s.mail.SMTPAddr(), "dua@bengkel.example")
	second.Rate = 40
	account.Fallback = &second
	run := s.start()
	s.runFor(account)
	s.until("some have gone by the second account", func() bool { return s.mail.Counts().Accepted >= 20 })
	first := s.mailServer(address)
	s.await(run, "done")
	one, two := senders(first), senders(s.mail)
	if one["satu@bengkel.example"]+two["dua@bengkel.example"] != audience || len(one) != 1 || len(two) != 1 || one["satu@bengkel.example"] < 20 {
		t.Errorf("by the first account went %v, by the second %v", one, two)
	}
	if reason := s.progress(run).Reason; reason != "" {
		t.Errorf("the run says %q", reason)
	}
	s.checkBooks()
}

// An account that refuses the password pauses nothing as long as there is another one; when that one can't be used either, the
// run says which. Where both refuse us, it pauses.
func TestFallbackForRefusedCredentials(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(20)
	account, second := s.at(s.refusing(), "satu@bengkel.example"), s.at(s.mail.SMTPAddr(), "dua@bengkel.example")
	account.Fallback = &second
	run := s.start()
	stop := s.runFor(account)
	s.await(run, "done")
	if d := cmp.Diff(map[string]int{"dua@bengkel.example": 20}, senders(s.mail)); d != "" {
		t.Error(d)
	}
	stop()
	s.checkBooks()
	s.checkMail()

	s.exec(`insert into shop.customers (id, first_name, email, birth_date) values (21, 'Budi', 'budi21@mail.example', '1990-11-23')`)
	other := s.at(s.refusing(), "dua@bengkel.example")
	account.Fallback = &other
	run = s.start()
	s.runFor(account)
	if p := s.await(run, "paused"); !strings.HasPrefix(p.Reason, "the SMTP server refused the user name or password") {
		t.Errorf("the run says %q", p.Reason)
	}
	s.checkBooks()
}

// refusing is a mail server that refuses every password.
func (s *shop) refusing() string {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	s.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go refuse(conn)
		}
	}()
	return strings.Replace(l.Addr().String(), "127", "user:wrong@127", 1) + "?tls=none"
}

// What the first account may have taken without an answer stays unknown, and does not go by the second.
func TestFallbackTakesNothingUnknown(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(60)
	first := s.mailServer("", sandbox.Rule{Name: "cut", Drop: sandbox.DropAfter})
	account, second := s.at(first.SMTPAddr(), "satu@bengkel.example"), s.at(s.mail.SMTPAddr(), "dua@bengkel.example")
	account.Fallback = &second
	run := s.start()
	s.runFor(account)
	p := s.await(run, "done")
	taken := map[string]bool{}
	for m := range first.Each(sandbox.Filter{}) {
		taken[m.Token] = true
	}
	for m := range s.mail.Each(sandbox.Filter{}) {
		if taken[m.Token] {
			t.Errorf("%s has it from both", m.To)
		}
	}
	if p.Counts["unknown"] != len(taken) || p.Counts["sent"] != 60-len(taken) || len(taken) == 0 {
		t.Errorf("%v; the first account has %d", p.Counts, len(taken))
	}
	s.checkBooks()
}

// A day's amount goes and not one message more, by two processes; the rest waits for the next day, and the run says so.
func TestWarmUp(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(150)
	account := s.at(s.mail.SMTPAddr(), "halo@bengkel.example")
	account.WarmUp = &customer.WarmUp{Start: 40, DoubleEvery: 1}
	run := s.start()
	s.runFor(account)
	s.runFor(account)
	note := fmt.Sprintf("warm-up: today's 40 of smtp://%s are used; goes on at 00:00 (Asia/Jakarta)", s.mail.SMTPAddr())
	s.until("the day is used up", func() bool {
		p := s.progress(run)
		return p.Counts["sent"] == 40 && p.Counts["claimed"] == 0 && p.Reason == note && p.Resting != nil
	})
	if at := s.progress(run).Resting.Sub(time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC)); at < 0 || at > time.Second {
		t.Errorf("it rests until %s after midnight", at)
	}
	s.checkBooks()
	s.clock.set(time.Date(2026, 11, 23, 16, 59, 50, 0, time.UTC))
	time.Sleep(3 * quick.Heartbeat)
	if n := s.mail.Counts().Accepted; n != 40 {
		t.Errorf("%d messages before midnight, want 40", n)
	}
	s.clock.set(time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC))
	s.until("the second day is used up", func() bool {
		p := s.progress(run)
		return p.Counts["sent"] == 120 && p.Counts["claimed"] == 0 && p.Resting != nil
	})
	if n := s.mail.Counts().Accepted; n != 120 {
		t.Errorf("%d messages on two days, want 40 + 80", n)
	}
	s.clock.set(time.Date(2026, 11, 24, 17, 0, 0, 0, time.UTC))
	p := s.await(run, "done")
	if p.Counts["sent"] != 150 || p.Reason != "" {
		t.Errorf("%+v", p)
	}
	s.checkBooks()
	s.checkMail()
	if n := s.number(`select sum(used) from warm_up_days`); n != 150 {
		s.until("what was reserved and not needed is given back", func() bool { return s.number(`select sum(used) from warm_up_days`) == 150 })
	}
}

// throttledYAML is the shop with throttles.
const throttledYAML = `domains: {lean.example: 10/s, one.example: {connections: 1}}`

// A throttle holds at the server, over processes and runs, and whoever has none goes as fast as the account: lane after lane.
func TestThrottle(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.throttle()
	s.exec(`insert into shop.customers (id, first_name, email, birth_date)
		select i, 'Budi', 'budi' || i || '@' || case when i <= 5000 then 'lean' else 'fast' end || '.example', date '1990-11-23' from generate_series(1, 6500) i`)
	s.apply("birthday", birthdayYAML)
	run := s.start()
	account := s.at(s.mail.SMTPAddr(), "halo@bengkel.example")
	account.Throttles, account.Connections = s.schema.Throttles, 4
	for range 3 {
		s.runFor(account)
	}
	sent := `select count(*) from messages m join addresses a on a.id = m.address_id where m.state = 'sent' and a.domain = $1`
	s.until("all others have theirs", func() bool { return s.number(sent, "fast.example") == 1500 })
	if n := s.number(sent, "lean.example"); n > 350 {
		t.Errorf("%d that wait for a throttle had theirs by then", n)
	}
	s.until("some of the throttled have theirs", func() bool { return s.number(sent, "lean.example") >= 150 })
	if n := s.number(`select count(*) from river_job where queue = 'email-lanes'`); n > 40 {
		t.Errorf("%d jobs for the %d batches of a lane of which six are worked", n, s.number(`select count(*) from batches where lane <> ''`))
	}
	s.must(s.planner.Cancel(t.Context(), run, "tester"))
	s.await(run, "cancelled")
	at := s.arrived("lean.example")
	for i := range at {
		if n, _ := slices.BinarySearchFunc(at[i:], at[i].Add(10*time.Second), time.Time.Compare); n > 105 { // what a busy machine hands over late is little of it
			t.Fatalf("%d messages in 10 s, and 102 may be", n)
		}
	}
	if took := at[len(at)-1].Sub(at[0]).Seconds(); float64(len(at)) < 9*took {
		t.Errorf("%d messages in %.1f s, and it may be 10 a second", len(at), took)
	}
	s.until("nothing is held any more", func() bool { return s.progress(run).Counts["claimed"] == 0 })
	s.checkBooks()
	s.checkMail()
}

// throttle lets the shop plan for throttles.
func (s *shop) throttle() {
	s.t.Helper()
	cfg, problems := customer.LoadConfig("sapa.yaml", strings.Replace(shopYAML, `.example>"}`, `.example>", `+throttledYAML+"}", 1), func(string) string { return "" })
	s.must(problems.Err())
	s.schema.Throttles = cfg.Channels.Email.Domains
}

// arrived is when messages to a domain did, in order.
func (s *shop) arrived(domain string) []time.Time {
	var list []time.Time
	for m := range s.mail.Each(sandbox.Filter{}) {
		if strings.HasSuffix(fmt.Sprint(m.To), "@"+domain) || strings.Contains(fmt.Sprint(m.To), "@"+domain+"]") {
			list = append(list, m.ReceivedAt)
		}
	}
	slices.SortFunc(list, time.Time.Compare)
	return list
}

// Messages that were planned before there was a throttle obey it; those to others in the same batch are sent all the same. A
// throttle that only limits connections lets one message go after the other.
func TestThrottleOfEarlierPlan(t *testing.T) {
	t.Parallel()
	s := setup(t, slowly(20*time.Millisecond))
	s.exec(`insert into shop.customers (id, first_name, email, birth_date)
		select i, 'Budi', 'budi' || i || '@' || (array['lean', 'one', 'fast'])[1 + i % 3] || '.example', date '1990-11-23' from generate_series(1, 120) i`)
	s.apply("birthday", birthdayYAML)
	run := s.start()
	s.throttle()
	account := s.at(s.mail.SMTPAddr(), "halo@bengkel.example")
	account.Throttles, account.Connections = s.schema.Throttles, 8
	s.runFor(account)
	if p := s.await(run, "done"); p.Counts["sent"] != 120 {
		t.Errorf("%v", p.Counts)
	}
	at := s.arrived("lean.example")
	if took := at[len(at)-1].Sub(at[0]); took < 3500*time.Millisecond { // 39 more at 10/s, the first few late
		t.Errorf("40 messages took %s, and 10/s is their throttle", took)
	}
	one := s.arrived("one.example")
	for i := range one[1:] {
		if one[i+1].Sub(one[i]) < 15*time.Millisecond { // each is answered after 20 ms
			t.Errorf("two messages %s after each other, on one connection", one[i+1].Sub(one[i]))
		}
	}
	s.checkBooks()
	s.checkMail()
}

// refuse is a conversation with a server that refuses every password.
func refuse(conn net.Conn) {
	defer conn.Close()
	say := func(text string) { _, _ = fmt.Fprintf(conn, "%s\r\n", text) }
	say("220 refusing.example")
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		switch verb, _, _ := strings.Cut(strings.ToUpper(lines.Text()), " "); verb {
		case "EHLO":
			say("250-refusing.example")
			say("250 AUTH PLAIN LOGIN")
		case "AUTH":
			say("535 5.7.8 wrong")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("503 not here")
		}
	}
}

// Who works a lane goes on with its next batch by itself: jobs wake two workers, and none is needed for the other batches.
func TestLaneGoesOn(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.throttle()
	s.exec(`insert into shop.customers (id, first_name, email, birth_date)
		select i, 'Budi', 'budi' || i || '@lean.example', date '1990-11-23' from generate_series(1, 1800) i`)
	s.apply("birthday", birthdayYAML)
	run := s.start()
	account := s.at(s.mail.SMTPAddr(), "halo@bengkel.example")
	account.Throttles = slices.Clone(s.schema.Throttles)
	account.Throttles[0].Rate = customer.Rate{Count: 900, Per: time.Second}
	e, err := s.sender().engineFor(account, sending{Lease: delivery.Lease{Heartbeat: time.Minute, Permit: 2 * time.Minute, Silence: 3 * time.Minute}})
	s.must(err)
	s.runEngine(e)
	if p := s.await(run, "done"); p.Counts["sent"] != 1800 {
		t.Errorf("%v", p.Counts)
	}
	if jobs, batches := s.number(`select count(*) from river_job where queue = 'email-lanes'`), s.number(`select count(*) from batches`); jobs != 2 || batches != 4 {
		t.Errorf("%d jobs for %d batches, want 2 for 4", jobs, batches)
	}
	s.checkBooks()
	s.checkMail()
}
