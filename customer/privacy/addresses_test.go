package privacy

import (
	"context"
	"testing"
	"time"
)

// TestForgettingAddressesSparesLatePlans: what a plan takes up while the addresses in use are looked for stays.
func TestForgettingAddressesSparesLatePlans(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.exec(`insert into addresses (channel, raw, normalised, hash, seen_at)
		select 'email', raw, raw, convert_to(raw, 'UTF8'), $1 from unnest(array['old@mail.example', 'late@mail.example']) raw`, today.AddDate(-3, 0, 0))
	tx, err := s.pool.Begin(t.Context())
	s.must(err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = tx.Exec(t.Context(), `select pg_advisory_xact_lock_shared(hashtextextended('sapa erasure ' || current_schema(), 0))`)
	s.must(err)
	type forgotten struct {
		n   int64
		err error
	}
	done := make(chan forgotten, 1)
	go func() {
		n, err := forgetAddresses(context.WithoutCancel(t.Context()), s.pool, 1, today.AddDate(-2, 0, 0), today)
		done <- forgotten{n, err}
	}()
	s.awaitAdvisory()
	_, err = tx.Exec(t.Context(), `update messages set address_id = (select id from addresses where raw = 'late@mail.example') where id = $1`, s.two.Base+1)
	s.must(err)
	_, err = tx.Exec(t.Context(), `update runs set planned_at = clock_timestamp() where id = $1`, s.two.ID)
	s.must(err)
	s.must(tx.Commit(t.Context()))
	if got := <-done; got.err != nil || got.n != 1 {
		t.Errorf("%d were forgotten, want 1: %v", got.n, got.err)
	}
	if n := s.number(`select count(*) from addresses where raw = 'late@mail.example'`); n != 1 {
		t.Error("the plan's address is gone")
	}
}

// awaitAdvisory waits until a session of the database waits for an advisory lock.
func (s *shop) awaitAdvisory() {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		if s.number(`select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'advisory'`) > 0 {
			return
		}
		if time.Now().After(end) {
			s.t.Fatal("nobody waits for the erasure's lock")
		}
	}
}
