package delivery_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/sandbox"
)

// limited applies the campaign birthday with more lines of YAML.
func (s *shop) limited(more string) {
	s.t.Helper()
	s.apply("birthday", birthdayYAML+more+"\n")
}

// A run pauses when too many addresses bounce, long before everybody got it; a person lets it go on, and then it counts
// anew.
func TestPauseIf(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(2000)
	s.exec(`update shop.customers set email = 'bounce@c' || id || '.example' where id % 4 = 0`)
	s.limited("limits: {pause_if: {bounces: 5%, after: 60}}")
	run := s.start()
	s.run(sending{Connections: 2, Rate: 250})
	reason := func(p *delivery.Progress) string {
		return regexp.MustCompile(`[\d,]+ of [\d,]+ \([\d.]+%\)`).ReplaceAllString(p.Reason, "N")
	}
	p := s.await(run, "paused", "done")
	if got := reason(p); got != "addresses bounced: N, more than pause_if: bounces 5%" {
		t.Fatalf("%s: %s", p.State, p.Reason)
	}
	first := p.Counts["sent"] + p.Counts["failed"]
	if first < 60 || first > 1500 {
		t.Errorf("paused after %d", first)
	}
	if n := s.number(`select count(*) from audit_log where actor = 'sapa' and action = 'pause' and subject = format('run %s', $1::int)`, run); n != 1 {
		t.Errorf("%d entries in the audit log", n)
	}
	s.must(s.planner.Resume(t.Context(), run, "ani"))
	if n := s.number(`select outcomes from run_baselines where run_id = $1`, run); n < first {
		t.Errorf("counts from %d, of %d", n, first)
	}
	p = s.await(run, "paused", "done")
	if got := reason(p); got != "addresses bounced since it was resumed: N, more than pause_if: bounces 5%" {
		t.Fatalf("%s: %s", p.State, p.Reason)
	}
	if second := p.Counts["sent"] + p.Counts["failed"]; second < first+60 {
		t.Errorf("paused again after %d more", second-first)
	}
	s.checkBooks()
}

// What had bounced before a person let the run go on does not count any more.
func TestPauseIfCountsFromTheResume(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(800)
	s.exec(`update shop.customers set email = 'bounce@c' || id || '.example'
		where id in (select id from shop.customers order by id::text collate "C" limit 100)`) // those who come first
	s.limited("limits: {pause_if: {bounces: 15%, failures: 15%, after: 60}}")
	run := s.start()
	stop := s.run(sending{Connections: 1, Rate: 100})
	if p := s.await(run, "paused", "done"); !strings.HasPrefix(p.Reason, "addresses bounced: ") || p.Counts["failed"] < 60 {
		t.Fatalf("%s: %s, %v", p.State, p.Reason, p.Counts)
	}
	stop()
	s.must(s.planner.Resume(t.Context(), run, "ani"))
	s.run(sending{Connections: 1, Rate: 300})
	p := s.await(run, "paused", "done")
	for p.State == "paused" && s.number(`select bounces from run_baselines where run_id = $1`, run) < 100 { // some of the hundred were left
		s.must(s.planner.Resume(t.Context(), run, "ani"))
		p = s.await(run, "paused", "done")
	}
	if p.State != "done" || p.Counts["failed"] != 100 {
		t.Errorf("%s: %s, %v", p.State, p.Reason, p.Counts)
	}
	s.checkBooks()
}

// Reports that an address was not reached are bounces, too; and what unsubscribed counts, both from the totals.
func TestPauseIfResponses(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{"undelivered": "addresses bounced", "unsubscribe": "customers unsubscribed"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.birthday(400)
			s.limited("limits: {pause_if: {bounces: 5%, unsubscribes: 5%}}")
			run := s.start()
			s.run(sending{Connections: 1, Rate: 100})
			s.until("60 are sent", func() bool { return s.progress(run).Counts["sent"] > 60 })
			s.exec(`insert into response_totals (run_id, kind, part, link, total, uniq) values ($1, $2, '', 0, 90, 90)`, run, kind) // of one link: no matter
			s.exec(`insert into response_totals (run_id, kind, part, link, total, uniq) values ($1, $2, '', -1, 40, 30)`, run, kind)
			p := s.await(run, "paused", "done")
			if !strings.HasPrefix(p.Reason, want+": 30 of ") {
				t.Errorf("%s: %s", p.State, p.Reason)
			}
		})
	}
}

// A template that fails for many people stops the run and its campaign, also when the run was over before anybody looked.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		customers, failing int
		state              string
		quarantined        int
	}{
		"all of a short run": {12, 12, "done", 1},
		"too few people":     {9, 9, "done", 0},
		"a small share":      {400, 30, "done", 0},
		"many":               {3000, 3000, "paused", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.birthday(tt.customers)
			s.exec(`update shop.customers set first_name = null where id % $1 = 0 and id <= $2`, max(1, tt.customers/tt.failing), tt.customers/tt.failing*tt.failing)
			run := s.start()
			stop := s.run(sending{Connections: 1})
			p := s.await(run, "paused", "done")
			stop()
			if p.State != tt.state {
				t.Errorf("%s: %s, %v", p.State, p.Reason, p.Counts)
			}
			if n := s.number(`select count(*) from quarantines where run_id = $1`, run); n != tt.quarantined {
				t.Errorf("%d campaigns in quarantine: %v", n, p.Reasons)
			}
			if n := s.number(`select count(*) from audit_log where action = 'quarantine' and subject = 'campaign birthday'`); n != tt.quarantined {
				t.Errorf("%d entries in the audit log", n)
			}
			s.checkBooks()
		})
	}
}

// A version that is not the current one any more puts nothing into quarantine: what was wrong with it is over.
func TestQuarantineOfAnOldVersion(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(20)
	s.exec(`update shop.customers set first_name = null`)
	run := s.start()
	s.limited("description: another version")
	stop := s.run(sending{Connections: 1})
	p := s.await(run, "done")
	stop()
	if n := s.number(`select count(*) from quarantines`); n != 0 || p.Reasons["failed: content"] != 20 {
		t.Errorf("%d campaigns in quarantine: %v", n, p.Reasons)
	}
}

const seedsYAML = `seeds: [boss@bengkel.example, bounce@bengkel.example, quiet@bengkel.example, "+628111234567"]`

// copies are the recipients whose mail the server took and who are no customers.
func (s *shop) copies() (list []string) {
	for m := range s.mail.Each(sandbox.Filter{}) {
		if to := m.To[0]; !strings.HasSuffix(to, "@mail.example") {
			list = append(list, to)
		}
	}
	slices.Sort(list)
	return list
}

func (s *shop) seeds() (list []string) {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), `select address || ' ' || state || coalesce(' ' || words, '') from seed_messages order by address`)
	s.must(err)
	defer rows.Close()
	for rows.Next() {
		var line string
		s.must(rows.Scan(&line))
		list = append(list, regexp.MustCompile(` queued as .*| 2\.\d\.\d .*`).ReplaceAllString(line, ""))
	}
	return list
}

// Each seed gets one copy of the run, whoever sends it, of the first customer's message, without anything that would count
// as that customer's; what becomes of it is noted and is in no total.
func TestSeeds(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(900)
	s.limited(seedsYAML)
	s.must(customer.Suppress(t.Context(), s.pool, "email", "quiet@bengkel.example", customer.Suppression{Reason: "by hand", Source: "tester", At: monday}))
	run := s.start()
	stops := []func(){s.run(sending{Connections: 4}), s.run(sending{Connections: 4})}
	p := s.await(run, "done")
	for _, stop := range stops {
		stop()
	}
	if p.Counts["sent"] != 900 || p.Counts["audience"] != 900 {
		t.Errorf("%v", p.Counts)
	}
	if d := cmp.Diff([]string{"boss@bengkel.example"}, s.copies()); d != "" {
		t.Error(d)
	}
	want := []string{"boss@bengkel.example sent OK: queued", "bounce@bengkel.example failed No such mailbox here", "quiet@bengkel.example skipped suppressed"}
	if d := cmp.Diff(want, s.seeds()); d != "" {
		t.Error(d)
	}
	for raw, err := range s.mail.EachRaw() {
		s.must(err)
		m, err := mail.ReadMessage(bytes.NewReader(raw))
		s.must(err)
		if !strings.Contains(m.Header.Get("To"), "boss@") {
			continue
		}
		text := string(raw)
		if !strings.Contains(text, "https://bengkel.example/hadiah") || strings.Contains(text, "127.0.0.1:9/") {
			t.Errorf("the copy's links are tracked, or gone:\n%s", text)
		}
		if m.Header.Get("List-Unsubscribe") != "" || !strings.HasPrefix(m.Header.Get("Message-Id"), fmt.Sprintf("<seed-%d-1@", run)) {
			t.Errorf("%v", m.Header)
		}
	}
	s.checkBooks()
}

// Two processes that claim the same seed at the same moment: one sends.
func TestSeedClaimedByTwo(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(4200)
	s.limited("seeds: [boss@bengkel.example]")
	s.exec(`create function stall() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock_shared(4711); return new; end $$`)
	s.exec(`create trigger stall before insert on seed_messages for each row execute function stall()`)
	tx, err := s.pool.Begin(t.Context())
	s.must(err)
	_, err = tx.Exec(t.Context(), `select pg_advisory_xact_lock(4711)`)
	s.must(err)
	run := s.start()
	s.run(sending{Connections: 1})
	s.run(sending{Connections: 1})
	s.until("both claim it", func() bool {
		return s.number(`select count(*) from pg_locks l join pg_database d on d.oid = l.database
			where d.datname = current_database() and l.locktype = 'advisory' and not l.granted and l.objid = 4711`) == 2
	})
	s.must(tx.Rollback(t.Context()))
	s.await(run, "done")
	if d := cmp.Diff([]string{"boss@bengkel.example"}, s.copies()); d != "" {
		t.Error(d)
	}
}

// A process that dies with a copy in its hands leaves it unknown, and nobody sends it again.
func TestSeedOfADeadWorker(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(5)
	s.limited("seeds: [boss@bengkel.example]")
	run := s.start()
	dead := s.number(`insert into workers (host, pid, heartbeat_at) values ('gone', 1, now() - interval '1 hour') returning id`)
	s.exec(`insert into seed_messages (run_id, channel, address, state, worker, at) values ($1, 'email', 'boss@bengkel.example', 'claimed', $2, now())`, run, dead)
	s.run(sending{})
	s.await(run, "done")
	s.until("the copy is unknown", func() bool {
		return cmp.Diff([]string{"boss@bengkel.example unknown the process that held it stopped without saying"}, s.seeds()) == ""
	})
	if got := s.copies(); len(got) != 0 {
		t.Errorf("sent again: %v", got)
	}
}

// A database that was restored elsewhere: no engine starts, nothing is planned, resumed or retried; pausing and cancelling
// are permitted.
func TestForeignDatabase(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(20)
	run := s.start()
	var name, cluster string
	s.must(s.pool.QueryRow(t.Context(), `select database_name, system_identifier from installation`).Scan(&name, &cluster))
	s.exec(`update installation set system_identifier = '4711'`)
	want := fmt.Sprintf(`this database is a copy of another one, and nothing is sent from it
  recorded: database %s of the cluster 4711
  here:     database %[1]s of the cluster %s
  preview and dry runs work here; if this one shall send from now on, and the other one never again: sapa adopt`, name, cluster)
	e, err := s.sender().engine(sending{SMTP: s.mail.SMTPAddr(), Lease: quick})
	s.must(err)
	for what, err := range map[string]error{
		"run the engine": e.Run(t.Context(), nil),
		"start":          second(s.planner.Start(t.Context(), campaign.Start{Campaign: "birthday", Actor: "tester"})),
		"plan":           s.planner.PlanRun(t.Context(), run),
		"retry":          first(s.planner.Retry(t.Context(), run, "tester")),
	} {
		if !errors.Is(err, delivery.ErrForeign) || err.Error() != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	s.must(s.planner.Pause(t.Context(), run, "tester", "wait"))
	if err := s.planner.Resume(t.Context(), run, "tester"); !errors.Is(err, delivery.ErrForeign) {
		t.Errorf("resume: %v", err)
	}
	s.must(s.planner.Cancel(t.Context(), run, "tester"))
	if n := s.mail.Counts().Accepted; n != 0 {
		t.Errorf("%d messages went", n)
	}
}

func first(_ int, err error) error                              { return err }
func second(_ *campaign.Run, _ *campaign.Plan, err error) error { return err }

// A database that becomes another under a running engine, as when its address leads to a restored copy: nothing more is
// handed over, and all goes on when the first one is back.
func TestDatabaseBecomesForeign(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(450) // less than a batch: it is stopped in the middle
	run := s.start()
	s.run(sending{Connections: 2, Rate: 100})
	s.until("some are sent", func() bool { return s.mail.Counts().Accepted > 20 })
	s.exec(`update installation set database_name = 'elsewhere'`)
	settled := 0
	s.until("nothing more goes", func() bool {
		before := s.mail.Counts().Accepted
		time.Sleep(4 * quick.Heartbeat)
		settled = s.mail.Counts().Accepted
		return settled == before
	})
	if settled > 400 {
		t.Errorf("%d of 450 had gone by then", settled)
	}
	if n := s.progress(run).Counts["unknown"]; n != 0 {
		t.Errorf("%d unknown", n)
	}
	s.exec(`update installation set database_name = current_database()`)
	if p := s.await(run, "done"); p.Counts["sent"] != 450 || s.mail.Counts().Accepted != 450 {
		t.Errorf("%v, %d accepted", p.Counts, s.mail.Counts().Accepted)
	}
	s.checkBooks()
}
