package delivery_test

import (
	"testing"
	"time"

	"github.com/sapa-crm/sapa/delivery"
)

// The database's disk is full (SQLSTATE 53100): nothing can be written, heartbeats neither. What was handed over is held,
// nothing more is when its window is used up or permission has lapsed, and with room again everything is recorded.
func TestDatabaseDiskFull(t *testing.T) {
	t.Parallel()
	const audience = 700
	s := setup(t, slowly(4*time.Millisecond))
	s.exec(`create table disk (is_full boolean not null)`)
	s.exec(`create function disk() returns trigger language plpgsql as $$ begin
		if exists (select from disk where is_full) then raise exception 'No space left on device' using errcode = '53100'; end if;
		return null; end $$`)
	for _, table := range []string{"messages", "attempts", "batches", "run_totals", "workers"} {
		s.exec(`create trigger disk before insert or update on ` + table + ` for each statement execute function disk()`)
	}
	s.birthday(audience)
	run := s.start()
	s.run(sending{Connections: 4})
	s.until("some are sent", func() bool { return s.progress(run).Counts["sent"] >= 100 })
	s.exec(`insert into disk values (true)`)
	s.until("nothing is at work", func() bool { // the statements that were begun before
		return s.number(`select count(*) from pg_stat_activity where datname = current_database() and state = 'active' and pid <> pg_backend_pid()`) == 0
	})
	recorded := s.progress(run).Counts["sent"]
	time.Sleep(quick.Permit + time.Second)
	handed := s.mail.Counts().Accepted
	if n := handed - recorded; n > delivery.InDoubt {
		t.Errorf("%d messages were handed over that the ledger does not know", n)
	}
	time.Sleep(time.Second)
	if n := s.mail.Counts().Accepted; n != handed || s.progress(run).Counts["sent"] != recorded {
		t.Errorf("with the disk full, %d messages more were handed over", n-handed)
	}
	s.exec(`delete from disk`)
	if p := s.await(run, "done"); p.Counts["sent"] != audience {
		t.Errorf("with room again: %v", p.Counts)
	}
	s.checkBooks()
	s.checkMail()
}
