package delivery_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/channels"
)

// outage cuts all connections to the test's database, and lets nobody in until it is over.
type outage struct {
	s     *shop
	admin *pgxpool.Pool
	name  string
}

func (s *shop) outage() *outage {
	s.t.Helper()
	cfg := s.pool.Config()
	name := cfg.ConnConfig.Database
	cfg.ConnConfig.Database = "postgres"
	admin, err := pgxpool.NewWithConfig(s.t.Context(), cfg)
	s.must(err)
	s.t.Cleanup(admin.Close)
	return &outage{s, admin, pgx.Identifier{name}.Sanitize()}
}

func (o *outage) exec(sql string, args ...any) {
	o.s.t.Helper()
	_, err := o.admin.Exec(o.s.t.Context(), sql, args...)
	o.s.must(err)
}

func (o *outage) begin() {
	o.s.t.Helper()
	o.exec(`alter database ` + o.name + ` allow_connections false`)
	o.cut()
}

func (o *outage) cut() {
	o.s.t.Helper()
	o.exec(`select pg_terminate_backend(pid) from pg_stat_activity where datname = $1`, o.s.pool.Config().ConnConfig.Database)
}

func (o *outage) end() {
	o.s.t.Helper()
	o.exec(`alter database ` + o.name + ` allow_connections true`)
}

// The database goes away in the middle of a run, for longer than a process may send without a heartbeat. What was in
// flight is finished and its outcomes are held; nothing new is handed over once permission has lapsed; afterwards the
// run goes on and nothing is lost, twice, or unknown.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	const audience = 140
	s := setup(t, slowly(50*time.Millisecond)) // a claim of 64 takes 3.2 s: longer than permission lasts
	s.birthday(audience)
	run := s.start()
	s.run(sending{Connections: 2})
	s.until("some are sent", func() bool { return s.progress(run).Counts["sent"] >= 10 })
	o := s.outage()
	o.begin()
	time.Sleep(quick.Permit + 300*time.Millisecond)
	held := s.mail.Counts().Accepted
	time.Sleep(time.Second)
	if n := s.mail.Counts().Accepted; n != held {
		t.Errorf("%d messages were handed over after permission had lapsed", n-held)
	}
	o.end()
	p := s.await(run, "done")
	if p.Counts["sent"] != audience {
		t.Errorf("afterwards: %v", p.Counts)
	}
	s.checkBooks()
	s.checkMail()
}

// Connections are cut again and again, in the middle of whatever statement runs: answers to commits get lost, and the
// books still add up.
func TestConnectionsCut(t *testing.T) {
	t.Parallel()
	const audience = 1000
	s := setup(t, slowly(4*time.Millisecond))
	s.birthday(audience)
	run := s.start()
	s.run(sending{Connections: 4})
	o := s.outage()
	for range 25 {
		time.Sleep(60 * time.Millisecond)
		o.cut()
	}
	p := s.await(run, "done")
	if p.Counts["sent"] != audience {
		t.Errorf("afterwards: %v", p.Counts)
	}
	s.checkBooks()
	s.checkMail()
}

// The answer to a statement that took a batch was lost: the ledger says that this process holds it, and the process does
// not know. It gives the batch back.
func TestForgottenBatch(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(10)
	run := s.start()
	s.exec(`delete from river_job`)
	s.run(sending{Connections: 1})
	s.until("there is a worker", func() bool { return s.number(`select count(*) from workers`) == 1 })
	s.exec(`update batches set worker = (select id from workers), epoch = epoch + 1`)
	s.exec(`update messages set state = 'claimed', worker = (select id from workers), epoch = 1, claimed_at = now() where id % 2 = 0`)
	s.exec(`insert into run_totals (run_id, state, delta) values ($1, 'planned', -5), ($1, 'claimed', 5)`, run)
	if p := s.await(run, "done"); p.Counts["sent"] != 10 {
		t.Errorf("afterwards: %v", p.Counts)
	}
	s.checkBooks()
}

// What the database refuses is not tried for ever: a verdict that can't be recorded leaves its message unknown, and the
// rest of the batch goes on.
func TestRefusedRecord(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(5)
	s.exec(`create function refuse() returns trigger language plpgsql as $$
		begin raise exception 'not this one' using errcode = '23514'; end $$`)
	s.exec(`create trigger refuse before insert on attempts for each row when (new.words like '%mailbox%') execute function refuse()`)
	s.exec(`update shop.customers set email = 'budi+bounce@mail.example' where id = 3`)
	run := s.start()
	s.run(sending{Connections: 1})
	p := s.await(run, "done")
	if p.Counts["unknown"] == 0 || p.Counts["sent"]+p.Counts["unknown"] != 5 {
		t.Errorf("afterwards: %v", p.Counts)
	}
	if n := s.number(`select count(*) from attempts where words = 'its verdict could not be recorded'`); n != p.Counts["unknown"] {
		t.Errorf("%d attempts say so, want %d", n, p.Counts["unknown"])
	}
}

// Slow or locked tables of the company make the run wait and say why; they fail nobody.
func TestCompanyTablesLocked(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(5)
	run := s.start()
	tx, err := s.pool.Begin(t.Context())
	s.must(err)
	defer tx.Rollback(t.Context()) //nolint:errcheck // committed below
	_, err = tx.Exec(t.Context(), `lock table shop.customers in access exclusive mode`)
	s.must(err)
	s.run(sending{Connections: 1})
	s.until("messages are claimed", func() bool { return s.progress(run).Counts["claimed"] == 5 })
	o := s.outage()
	o.exec(`select pg_cancel_backend(pid) from pg_stat_activity where datname = $1 and wait_event_type = 'Lock' and query like '%"shop"."customers"%'`, s.pool.Config().ConnConfig.Database)
	s.until("the reason is told", func() bool { return strings.Contains(s.progress(run).Reason, "could not be read") })
	if p := s.progress(run); p.State != "sending" || p.Counts["planned"] != 5 {
		t.Errorf("while the table is locked: %+v", p)
	}
	s.must(tx.Commit(t.Context()))
	s.clock.set(s.clock.now().Add(5 * time.Second)) // when the batch has rested
	if p := s.await(run, "done"); p.Counts["sent"] != 5 {
		t.Errorf("afterwards: %v", p.Counts)
	}
	s.checkBooks()
	s.checkMail()
}

// rude is a channel that breaks its promises.
type rude struct {
	verdicts
	panics bool
}

func (r rude) Open(context.Context) (channels.Session, error) { return r, nil }

func (r rude) Deliver(_ context.Context, in <-chan *channels.Message, _ func(*channels.Message) error, done func(*channels.Message, channels.Receipt, error)) error {
	first := <-in
	second := first
	select {
	case second = <-in:
	case <-time.After(50 * time.Millisecond): // there is none
	}
	done(first, channels.Receipt{}, nil)
	done(first, channels.Receipt{}, errors.New("a second verdict"))
	done(&channels.Message{ID: 5}, channels.Receipt{}, nil)
	if r.panics {
		panic("rude " + second.Subject[:0])
	}
	return nil // and not a word about the second
}

// A channel that says nothing about a message, or too much, or panics, loses nobody and holds nothing up: what it said
// first counts, and what it said nothing about is unknown.
func TestRudeChannel(t *testing.T) {
	t.Parallel()
	for name, panics := range map[string]bool{"silence": false, "panic": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.birthday(5)
			run := s.start()
			e, err := s.sender().engineOn(rude{panics: panics}, sending{Connections: 1, Lease: quick})
			s.must(err)
			stop := s.runEngine(e)
			s.until("the first are through", func() bool {
				p := s.progress(run)
				return p.Counts["sent"] > 0 && p.Counts["claimed"] == 0
			})
			stop()
			p := s.progress(run)
			if p.Counts["sent"] == 0 || p.Counts["unknown"] == 0 || p.Counts["failed"] != 0 {
				t.Errorf("%v", p.Counts)
			}
			s.checkBooks()
		})
	}
}
