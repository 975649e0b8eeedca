package delivery

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Caps are asked last, of what would go: only that takes a place. Function capped locks the customers, in order, and counts
// what other claims have taken until then.
const cappedSQL = `, crowded as (
	select c.message, c.free_at
	from (select array_agg(q.id order by q.id) as ids, array_agg(q.customer_key order by q.id) as keys
	      from quieted q where q.reason is null and q.later is null having count(*) > 0) q
	cross join lateral capped(q.ids, q.keys, @priority::int, @cap_most::int[], @cap_within::interval[], @now::timestamptz) c
), within_caps as materialized (
	select q.id, q.customer_key, q.normalised, q.consent, q.not_after,
	       case when c.message is null then q.reason
	            when not @postpone::boolean or c.free_at >= q.not_after then 'cap' end as reason,
	       case when c.message is null then q.later
	            when @postpone::boolean and (c.free_at >= q.not_after) is not true then c.free_at end as later
	from quieted q left join crowded c on c.message = q.id
)`

// contactsLock is taken by whoever is about to commit a run that counts for caps, so that of two runs planned at once one
// sees the other.
const contactsLock = 7264012

// capsLast is how long after the end of the last run with a cap runs are still noted as soon as they are planned: any of it
// may be retried.
const capsLast = 60 * 24 * time.Hour

// CountContacts notes a run that has just been planned in table contacts, where its messages can be found by customer, and
// with it every earlier run that counts for its caps and that nobody has needed yet. Where there is no cap, neither of the
// run nor of another that is not long over, nothing is noted. Call it at the end of the planning transaction.
func CountContacts(ctx context.Context, tx pgx.Tx, run int, l *Limits) error {
	most, within := l.CapColumns()
	_, err := tx.Exec(ctx, `update runs set priority = $2, cap_most = $3, cap_within = $4, cap_exempt = $5 where id = $1`,
		run, l.Priority, most, within, l.Exempt)
	if err != nil {
		return fmt.Errorf("note the limits of run %d: %w", run, err)
	}
	if l.Exempt {
		return nil
	}
	// The lock is a statement of its own, so that the next one sees what whoever held it has written.
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, contactsLock); err != nil {
		return fmt.Errorf("note the contacts of run %d: %w", run, err)
	}
	_, err = tx.Exec(ctx, `
		with wanted as (
			select r.id, r.message_base
			from runs r
			where not r.cap_exempt and r.message_base is not null and r.id not in (select run_id from contact_runs)
			  and (r.id = $1 and exists (select from runs o where o.cap_most is not null
			           and (o.finished_at is null or o.finished_at > clock_timestamp() - $3::interval))
			       or r.id <> $1 and `+countedFor+`)
		), noted as (
			insert into contacts (customer, message_id)
			`+contactsOf+`
			order by 1, 2
			on conflict do nothing
		)
		insert into contact_runs select id from wanted`, run, longest(within), capsLast)
	if err != nil {
		return fmt.Errorf("note the contacts of run %d: %w", run, err)
	}
	return nil
}

// The runs r that count for caps within $2, and the contacts of the runs wanted.
const (
	countedFor = `r.planned_at is not null and $2::interval is not null and (r.finished_at is null or r.finished_at > clock_timestamp() - $2::interval)`
	contactsOf = `select hashtextextended(m.customer_key, 0) as customer, m.id as message_id
			from wanted w join messages m on m.id between w.message_base + 1 and w.message_base + (1 << 28) - 1
			where m.state in ('planned', 'claimed', 'sent', 'unknown')`
)

// longest is the longest of some times; nil of none.
func longest(times []time.Duration) *time.Duration {
	var most *time.Duration
	for i := range times {
		if most == nil || times[i] > *most {
			most = &times[i]
		}
	}
	return most
}

// CountCapped is how many of some messages caps would stop if they went at their time, for the information of whoever
// plans them. drafts is SQL for rows (n bigint, customer_key text, at timestamptz) in temporary tables; its own arguments
// begin with $4.
func CountCapped(ctx context.Context, tx pgx.Tx, l *Limits, drafts string, args ...any) (n int, err error) {
	most, within := l.CapColumns()
	// What nobody has noted yet is not noted now, either: others would wait for it.
	_, err = tx.Exec(ctx, `create temporary table unnoted (customer bigint, message_id bigint) on commit drop; create index on unnoted (customer)`)
	if err == nil {
		_, err = tx.Exec(ctx, `
			with wanted as (
				select r.id, r.message_base from runs r
				where not r.cap_exempt and r.message_base is not null and r.id not in (select run_id from contact_runs) and `+
			strings.ReplaceAll(countedFor, "$2", "$1")+`
			)
			insert into unnoted `+contactsOf, longest(within))
	}
	if err == nil {
		err = tx.QueryRow(ctx, fmt.Sprintf(countCappedSQL, drafts), append([]any{most, within, l.Priority}, args...)...).Scan(&n)
	}
	if err != nil {
		return 0, fmt.Errorf("count what caps would stop: %w", err)
	}
	return n, nil
}

const countCappedSQL = `
with mine as (
	select d.n, d.customer_key, d.at, row_number() over (partition by d.customer_key order by d.at, d.n) as rank from (%s) d
), crowded as (
	select q.n
	from mine q
	cross join unnest($1::int[], $2::interval[]) c(most, within)
	cross join lateral (
		select count(*) as n
		from (select c.message_id from contacts c where c.customer = hashtextextended(q.customer_key, 0)
		      union all
		      select u.message_id from unnoted u where u.customer = hashtextextended(q.customer_key, 0)) t
		join messages m on m.id = t.message_id and m.customer_key = q.customer_key
		join runs r on r.id = m.run_id
		where m.state in ('claimed', 'sent', 'unknown') and coalesce(m.claimed_at, m.not_before) > q.at - c.within
		   or m.state = 'planned' and r.priority >= $3 and m.not_before > q.at - c.within and m.not_before < q.at + c.within
	) had
	where had.n + q.rank > c.most
)
select count(distinct n) from crowded`
