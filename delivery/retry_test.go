package delivery_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// addEvent adds a message to a run of events, as an event would: at its end, with a batch of its own unless it is skipped at
// once, and then as delivery would leave it.
func addEvent(t *testing.T, pool *pgxpool.Pool, r *ledgertest.Run, channel, state string) {
	t.Helper()
	r.Count++
	ledgertest.Exec(t, pool, `
		with said as (
			select $1::bigint as id, $2::int as run, $3::text as channel, $4::text as state, $5::timestamptz as at, 'c' || $1 as customer,
			       case $4::text when 'failed' then 'refused' when 'skipped' then 'no consent' else '' end as reason
		), told as (
			insert into messages (id, run_id, customer_key, channel, not_before, state, reason)
			select id, run, customer, channel, at, state::message_state, nullif(reason, '') from said
		), taken as (
			insert into occasions (campaign_id, customer_key, occasion, message_id, spent, planned_at)
			select $6, customer, 'event ' || id, id, state not in ('failed', 'skipped'), at from said
		), batched as (
			insert into batches (run_id, lo, hi, due_at, channel, triggered, done)
			select run, id, id, at, channel, true, state <> 'planned' from said where state <> 'skipped'
		), grown as (
			update runs set message_count = message_count + 1 where id = $2
		)
		insert into run_totals (run_id, state, reason, delta) select run, state, reason, 1 from said union all select run, 'audience', '', 1 from said`,
		r.Base+int64(r.Count), r.ID, channel, state, ledgertest.Tick, r.Campaign.ID)
}

func retry(t *testing.T, pool *pgxpool.Pool, r *ledgertest.Run) (n int) {
	t.Helper()
	err := pg.InTx(t.Context(), pool, func(tx pgx.Tx) (err error) {
		n, err = delivery.Retry(t.Context(), tx, r.ID, []string{"email", "sms"}, ledgertest.Tick)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// checkBatches holds that the batches of a run have ranges of their own, and that what is planned is in one which takes it.
func checkBatches(t *testing.T, pool *pgxpool.Pool, r *ledgertest.Run) {
	t.Helper()
	for what, sql := range map[string]string{
		"batches overlap": `select a.lo || '–' || a.hi || ' and ' || b.lo || '–' || b.hi from batches a join batches b on b.run_id = a.run_id and b.id > a.id
			where a.run_id = $1 and a.lo <= b.hi and b.lo <= a.hi`,
		"messages of another channel lie in a batch": `select m.id::text from batches b join messages m on m.id between b.lo and b.hi where b.run_id = $1 and m.channel <> b.channel`,
		"planned messages are not in one open batch": `select m.id::text from messages m where m.run_id = $1 and m.state = 'planned' and 1 <> (
			select count(*) from batches b where b.run_id = m.run_id and not b.done and m.id between b.lo and b.hi)`,
		"batches hold too much": `select b.id::text from batches b where b.run_id = $1 and (
			select count(*) from messages m where m.id between b.lo and b.hi and m.state = 'planned') > 500`,
		"the totals are not the ledger's": `select state::text from messages where run_id = $1 group by state, reason having count(*) <> (
			select sum(delta) from run_totals t where t.run_id = $1 and t.state = messages.state::text and t.reason = coalesce(messages.reason, ''))`,
	} {
		rows, _ := pool.Query(t.Context(), sql, r.ID)
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		if len(list) > 0 {
			t.Errorf("%s: %v", what, list)
		}
	}
}

// In a run of events the messages of channels and fates lie between each other. What a retry takes up gets batches beside those
// that are there: two that overlapped could be held by one process under equal epochs, and each would take the other's messages for its own.
func TestRetryInARunOfEvents(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	c := ledgertest.NewCampaign(t, pool, "checkin", "greetings")
	for seed := range uint64(6) {
		r := c.Run(t, fmt.Sprint(seed), 0)
		dice := rand.New(rand.NewPCG(seed, 1))
		one := func(of ...string) string { return of[dice.IntN(len(of))] }
		for range 3 {
			again := 0
			for range 12 {
				state := one("skipped", "skipped", "failed", "sent", "planned")
				addEvent(t, pool, r, one("email", "sms"), state)
				if state == "skipped" || state == "failed" {
					again++
				}
			}
			again += failSome(t, pool, r)
			if n := retry(t, pool, r); n != again {
				t.Errorf("%d messages are tried again, want %d", n, again)
			}
			checkBatches(t, pool, r)
		}
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
}

// failSome has every third planned message fail.
func failSome(t *testing.T, pool *pgxpool.Pool, r *ledgertest.Run) (n int) {
	t.Helper()
	err := pool.QueryRow(t.Context(), `
		with moved as (
			update messages set state = 'failed', reason = 'refused' where run_id = $1 and state = 'planned' and id % 3 = 0 returning id
		), released as (
			update occasions o set spent = false from moved m where o.message_id = m.id
		), closed as (
			update batches b set done = true where run_id = $1 and not exists (
				select from messages m where m.id between b.lo and b.hi and m.state = 'planned' and m.id not in (select id from moved))
		), counted as (
			insert into run_totals (run_id, state, reason, delta)
			select $1, 'failed', 'refused', count(*) from moved having count(*) > 0 union all select $1, 'planned', '', -count(*) from moved having count(*) > 0
		)
		select count(*) from moved`, r.ID).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A run whose planning skipped many of one channel gets batches of the usual size, and none across the one message between them.
func TestRetryOfMany(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	r := ledgertest.NewCampaign(t, pool, "newsletter", "news").Run(t, "", 1201)
	r.Settle(t, 1, 1201, "skipped", "no consent")
	ledgertest.Exec(t, pool, `update messages set channel = 'sms' where id = $1`, r.Base+601)
	if n := retry(t, pool, r); n != 1201 {
		t.Errorf("%d messages are tried again", n)
	}
	checkBatches(t, pool, r)
	var sizes string
	err := pool.QueryRow(t.Context(), `select string_agg(channel || ' ' || lo - $2 || '–' || hi - $2, ', ' order by lo) from batches where run_id = $1`, r.ID, r.Base).Scan(&sizes)
	if err != nil {
		t.Fatal(err)
	}
	if want := "email 1–500, email 501–600, sms 601–601, email 602–1101, email 1102–1201"; sizes != want {
		t.Errorf("%s\nwant %s", sizes, want)
	}
}
