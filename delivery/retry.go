package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Retry plans failed and skipped messages of a run again, unless a later run has taken their occasions over or they
// have no usable address; it returns how many. Everything that can skip a message is asked again by the claim and after
// it, but for the cooldown, the budget and whether another channel reaches, which only planning knows. The caller holds the campaign's lock. now is business time.
func Retry(ctx context.Context, tx pgx.Tx, run int, addressless []string, now time.Time) (int, error) {
	var n int
	err := tx.QueryRow(ctx, retrySQL, pgx.NamedArgs{"run": run, "now": now, "size": BatchSize, "addressless": addressless}).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("retry run %d: %w", run, err)
	}
	return n, nil
}

// Messages that planning skipped have no batch yet.
const retrySQL = `
with again as (
	select m.id, m.state, coalesce(m.reason, '') as reason
	from runs r join messages m on m.id between r.message_base + 1 and r.message_base + r.message_count
	where r.id = @run and m.state in ('failed', 'skipped') and (m.address_id is not null or m.channel = any(@addressless::text[]))
	  and m.reason not in ('gone', 'cancelled', 'cooldown', 'erased', 'no channel', 'budget') and m.reason not like 'bad address%'
	  and (m.not_after is null or m.not_after > @now)
	  and exists (select from occasions o where o.message_id = m.id)
	  and not exists (select from occasions o where o.message_id = m.id and o.spent)
	  and not exists ( -- of a ladder only the last rung, and when no other is spent
	      select from occasions o join occasions l on (l.campaign_id, l.customer_key, l.occasion) = (o.campaign_id, o.customer_key, o.occasion) and l.step <> o.step
	      where o.message_id = m.id and (l.spent or l.step > o.step and l.message_id between r.message_base + 1 and r.message_base + r.message_count))
	order by m.id for update of m
), moved as (
	update messages m set state = 'planned', reason = null, not_before = least(m.not_before, @now)
	from again a where m.id = a.id
	returning m.id, m.channel, m.customer_key, a.state, a.reason
), spent as (
	update occasions o set spent = true
	from moved m join occasions own on own.message_id = m.id
	where (o.campaign_id, o.customer_key, o.occasion) = (own.campaign_id, own.customer_key, own.occasion) and o.step <= own.step
), noted as ( -- planning did not note what it skipped
	insert into contacts (customer, message_id)
	select hashtextextended(m.customer_key, 0), m.id from moved m where exists (select from contact_runs where run_id = @run)
	on conflict do nothing
), placed as ( -- how many batches begin before each message, and where the last of them ends; they never overlap
	select id, channel, hi, gap from (
		select id, channel, max(hi) over w as hi, count(hi) over w as gap
		from (select id, channel, null::bigint as hi from moved union all select lo, null, hi from batches where run_id = @run) x
		window w as (order by id, hi)
	) y where channel is not null
), reopened as (
	update batches b set done = false, due_at = least(b.due_at, @now)
	where b.run_id = @run and b.hi in (select p.hi from placed p where p.id <= p.hi)
), added as ( -- and none lies across another, nor across a message of another channel
	insert into batches (run_id, lo, hi, due_at, channel, climb_at, priority, triggered)
	select @run::int, min(id), max(id), @now::timestamptz, channel, @now::timestamptz + (select climb_after from runs where id = @run), coalesce((select min(priority) from batches where run_id = @run), 3),
	       exists (select from batches where run_id = @run and triggered)
	from (select id, channel, gap, island, (row_number() over (partition by channel, gap, island order by id) - 1) / @size::int as chunk
	      from (select id, channel, gap, row_number() over (order by id) - row_number() over (partition by channel, gap order by id) as island
	            from placed where hi is null or hi < id) homeless) x
	group by channel, gap, island, chunk order by min(id)
), counted as (
	insert into run_totals (run_id, state, reason, delta)
	select @run::int, state::text, reason, -count(*) from moved group by state, reason
	union all
	select @run::int, 'planned', '', count(*) from moved having count(*) > 0
)
select count(*) from moved`
