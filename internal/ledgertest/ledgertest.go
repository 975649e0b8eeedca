// Package ledgertest writes ledgers for tests: a campaign with links, runs and messages, by plain SQL, as planning and
// delivery would leave them.
package ledgertest

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Tick is the civil time of every run made here.
var Tick = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// Campaign is a campaign with one applied version.
type Campaign struct {
	pool        *pgxpool.Pool
	ID, Version int
}

// Run is a run whose messages have the ids Base+1 … Base+Count.
type Run struct {
	Campaign *Campaign
	ID       int
	Base     int64
	Count    int
}

// NewCampaign applies version 1 of a campaign with links in its HTML part.
func NewCampaign(t testing.TB, pool *pgxpool.Pool, name, topic string, links ...string) *Campaign {
	t.Helper()
	c := &Campaign{pool: pool}
	exec := func(into *int, sql string, args ...any) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), sql, args...).Scan(into); err != nil {
			t.Fatalf("fixture %s: %v", name, err)
		}
	}
	exec(&c.ID, `insert into campaigns (name) values ($1) returning id`, name)
	exec(&c.Version, `insert into versions (campaign_id, number, topic, source, files, fingerprint, applied_by)
		values ($1, 1, $2, 'campaign: x', '{}', '\x00', 'tester') returning id`, c.ID, topic)
	Exec(t, pool, `update campaigns set version_id = $1 where id = $2`, c.Version, c.ID)
	for i, link := range links {
		Exec(t, pool, `insert into links (version_id, part, position, url) values ($1, 'html', $2, $3)`, c.Version, i, link)
	}
	return c
}

// Run plans a run of n messages on channel e-mail to customers "c1" … in state planned, with its occasions and totals.
func (c *Campaign) Run(t testing.TB, label string, n int) *Run {
	t.Helper()
	r := &Run{Campaign: c, Count: n}
	err := c.pool.QueryRow(t.Context(), `
		insert into runs (campaign_id, version_id, tick, as_of, label, state, actor, message_count, planned_at)
		values ($1, $2, $3::timestamptz at time zone 'UTC', $3, $4, 'sending', 'tester', $5, $3) returning id`,
		c.ID, c.Version, Tick, label, n).Scan(&r.ID)
	if err != nil {
		t.Fatalf("fixture run: %v", err)
	}
	const november = 10 // months since January 2026
	r.Base = november<<44 | int64(r.ID&65535)<<28
	Exec(t, c.pool, `select ensure_month($1)`, november)
	Exec(t, c.pool, `update runs set message_base = $1 where id = $2`, r.Base, r.ID)
	Exec(t, c.pool, `
		insert into messages (id, not_before, run_id, state, channel, customer_key)
		select $1::bigint + i, $2, $3, 'planned', 'email', 'c' || i from generate_series(1, $4::int) i`, r.Base, Tick, r.ID, n)
	Exec(t, c.pool, `
		insert into occasions (campaign_id, customer_key, occasion, message_id, spent, planned_at)
		select $1, 'c' || i, $5, $2::bigint + i, true, $3 from generate_series(1, $4::int) i`,
		c.ID, r.Base, Tick, n, fmt.Sprintf("2026 %s %d", label, r.ID))
	Exec(t, c.pool, `insert into run_totals (run_id, state, delta) values ($1, 'audience', $2), ($1, 'planned', $2)`, r.ID, n)
	return r
}

// Settle moves messages from … to (counted from 1) out of state planned, with the attempt and the totals that belong to
// it. reason is for failed and skipped.
func (r *Run) Settle(t testing.TB, from, to int, state, reason string) {
	t.Helper()
	pool := r.Campaign.pool
	Exec(t, pool, `update messages set state = $3::message_state, reason = nullif($4, ''), claimed_at = $5
		where id between $1 and $2`, r.Base+int64(from), r.Base+int64(to), state, reason, Tick)
	Exec(t, pool, `insert into run_totals (run_id, state, reason, delta) values ($1, $2, $3, $4), ($1, 'planned', '', -$4::bigint)`,
		r.ID, state, reason, to-from+1)
	if state == "failed" || state == "skipped" {
		Exec(t, pool, `update occasions set spent = false where message_id between $1 and $2`, r.Base+int64(from), r.Base+int64(to))
	}
}

// Attempt records a hand-over of messages from … to with the server's answer.
func (r *Run) Attempt(t testing.TB, from, to int, verdict string, code int, words string) {
	t.Helper()
	Exec(t, r.Campaign.pool, `
		insert into attempts (message_id, number, worker, epoch, at, handed_over, code, verdict, words)
		select i, 1, 1, 1, $3, $3, $5, $4, $6 from generate_series($1::bigint, $2) i`,
		r.Base+int64(from), r.Base+int64(to), Tick.Add(time.Minute), verdict, code, words)
	Exec(t, r.Campaign.pool, `update messages set attempts = 1 where id between $1 and $2`, r.Base+int64(from), r.Base+int64(to))
}

// Exec runs a statement or fails the test.
func Exec(t testing.TB, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("fixture: %v\n%s", err, sql)
	}
}
