package report

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// Difference is a number that the ledger does not bear out.
type Difference struct {
	Run     int    `json:"run"`
	What    string `json:"what"` // such as "failed: refused", "open", "click html 0"
	Stored  int64  `json:"stored"`
	Counted int64  `json:"counted"`
}

// String is "run 12, failed: refused: the totals say 3, the ledger 4".
func (d Difference) String() string {
	return fmt.Sprintf("run %d, %s: the totals say %s, the ledger %s", d.Run, d.What, number(d.Stored), number(d.Counted))
}

// Check counts the ledger again (messages, hits, responses) and lists where the totals differ, in one snapshot, so that it
// may run while others send. It also lists runs whose accounting is not a sum, and messages that were accepted twice. Runs
// whose month was pruned can't be counted any more and are left out, but for their sum. It reads every message: minutes, where there are
// very many.
func Check(ctx context.Context, db pg.DBTX) ([]Difference, error) {
	return inSnapshot(ctx, db, false, func(tx pgx.Tx) ([]Difference, error) {
		list, err := compareTotals(ctx, tx)
		if err != nil {
			return nil, err
		}
		more, err := checkLedger(ctx, tx)
		return append(list, more...), err
	})
}

// Mend makes the totals what the ledger says, by appending the differences, and returns them. What others append
// meanwhile stays right.
func Mend(ctx context.Context, db pg.DBTX) ([]Difference, error) {
	return inSnapshot(ctx, db, true, func(tx pgx.Tx) ([]Difference, error) {
		list, err := compareTotals(ctx, tx)
		if err != nil {
			return nil, err
		}
		_, err = tx.Exec(ctx, `with `+comparedSQL+`, states as (
				insert into run_totals (run_id, state, reason, delta)
				select run_id, state, reason, counted - stored from compared_states where counted <> stored
			), costs as (
				insert into run_costs (run_id, segments, messages, price, currency)
				select run_id, case what when 'segments' then counted - stored else 0 end, case what when 'priced messages' then counted - stored else 0 end,
				       case what when 'cost' then counted - stored else 0 end, nullif(currency, '')
				from compared_costs where counted <> stored
			)
			insert into response_totals (run_id, kind, part, link, total, uniq)
			select run_id, kind, part, link, hits - total, responses - uniq from compared_responses
			where (hits, responses) <> (total, uniq)`)
		if err != nil {
			return nil, fmt.Errorf("mend the totals: %w", err)
		}
		return list, nil
	})
}

// inSnapshot runs f on one snapshot of the database. Two that write exclude each other.
func inSnapshot(ctx context.Context, db pg.DBTX, write bool, f func(pgx.Tx) ([]Difference, error)) (list []Difference, err error) {
	err = pg.InTx(ctx, db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `set transaction isolation level repeatable read`); err != nil {
			return err
		}
		if write {
			// The lock's statement must not take the snapshot: what another Mend commits while we wait must be seen.
			if _, err := tx.Exec(ctx, `lock table run_totals in share update exclusive mode`); err != nil {
				return err
			}
		}
		list, err = f(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("check the totals: %w", err)
	}
	return list, nil
}

// comparedSQL counts both. A run's messages are there until its month is pruned. A month that is gone without having been
// pruned is not mended away: checkLedger says so.
const comparedSQL = `
	countable as (
		select id, message_base, message_count from runs
		where message_base is not null and message_count is not null
		  and to_regclass('messages_' || to_char(make_date(2026, 1, 1) + make_interval(months => (message_base >> 44)::int), 'YYYY_MM')) is not null
	), counted_states as (
		select r.id as run_id, m.state::text as state, coalesce(m.reason, '') as reason, count(*) as n
		from countable r join messages m on m.id > r.message_base and m.id <= r.message_base + r.message_count
		group by 1, 2, 3
	), stored_states as (
		select run_id, state, reason, sum(delta) as n from run_totals
		where state not in ('audience', 'already', 'rung') and run_id in (select id from countable)
		group by 1, 2, 3 having sum(delta) <> 0
	), compared_states as (
		select run_id, state, reason, coalesce(s.n, 0)::bigint as stored, coalesce(c.n, 0) as counted
		from stored_states s full join counted_states c using (run_id, state, reason)
	), counted_each as (
		select r.id as run_id, case when h.verdict = 'human' then h.kind else 'machine_' || h.kind end as kind, x.part, x.link::smallint as link, count(*) as n
		from countable r
		join hits h on h.message_id > r.message_base and h.message_id <= r.message_base + r.message_count
		cross join lateral (
			select '' as part, -1 as link
			union all
			select h.part, h.link where h.kind = 'click' and h.verdict = 'human'
		) x
		where h.kind in ('open', 'click', 'unsubscribe')
		group by 1, 2, 3, 4
		union all
		select r.id, d.status, case x.link when 0 then coalesce(d.code::text, '') else '' end, x.link::smallint, count(*)
		from countable r
		join delivery_reports d on d.message_id > r.message_base and d.message_id <= r.message_base + r.message_count
		join (values (-1), (0)) x(link) on x.link = -1 or d.status = 'undelivered'
		where d.status in ('delivered', 'undelivered', 'read')
		group by 1, 2, 3, 4
		union all
		select r.id, case i.kind when 'stop' then 'unsubscribe' else 'reply' end, '', -1::smallint, count(*)
		from countable r
		join inbound i on i.message_id > r.message_base and i.message_id <= r.message_base + r.message_count
		where i.kind in ('stop', 'reply')
		group by 1, 2
		union all
		select r.id, x.kind, '', -1::smallint, count(*)
		from countable r
		join call_tries t on t.message_id > r.message_base and t.message_id <= r.message_base + r.message_count
		cross join lateral (
			select 'call_' || replace(regexp_replace(t.outcome, '^call ', ''), ' ', '_') as kind
			union all
			select 'unsubscribe' where t.outcome = 'do not call'
		) x
		group by 1, 2
	), counted_hits as (
		select run_id, kind, part, link, sum(n)::bigint as n from counted_each group by 1, 2, 3, 4
	), counted_responses as (
		select r.id as run_id, p.kind, p.part, p.link, count(*) as n
		from countable r
		join responses p on p.message_id > r.message_base and p.message_id <= r.message_base + r.message_count
		where not (p.kind = 'reply' and p.link = 0)
		group by 1, 2, 3, 4
	), stored_responses as (
		select run_id, kind, part, link, sum(total) as total, sum(uniq) as uniq from response_totals
		where run_id in (select id from countable) and not (kind = 'reply' and link = 0)
		group by 1, 2, 3, 4 having (sum(total), sum(uniq)) <> (0, 0)
	), compared_responses as (
		select run_id, kind, part, link, coalesce(s.total, 0)::bigint as total, coalesce(s.uniq, 0)::bigint as uniq,
		       coalesce(h.n, 0) as hits, coalesce(p.n, 0) as responses
		from stored_responses s
		full join counted_hits h using (run_id, kind, part, link)
		full join counted_responses p using (run_id, kind, part, link)
	), charged as (
		select r.id as run_id, a.segments, a.price, a.currency
		from countable r
		join attempts a on a.message_id > r.message_base and a.message_id <= r.message_base + r.message_count
		where a.verdict = 'accepted' and (a.segments is not null or a.price is not null)
	), counted_costs as (
		select run_id, 'segments' as what, '' as currency, sum(segments)::numeric as n from charged where segments > 0 group by 1
		union all
		select run_id, 'priced messages', currency, count(*) from charged where price is not null group by 1, 3
		union all
		select run_id, 'cost', currency, sum(price) from charged where price is not null group by 1, 3
	), stored_costs as (
		select run_id, x.what, x.currency, sum(x.n) as n
		from run_costs c cross join lateral (
			values ('segments', '', segments::numeric), ('priced messages', currency, messages), ('cost', currency, price)) x(what, currency, n)
		where run_id in (select id from countable) and x.currency is not null
		group by 1, 2, 3 having sum(x.n) <> 0
	), compared_costs as (
		select run_id, what, currency, coalesce(s.n, 0) as stored, coalesce(c.n, 0) as counted
		from stored_costs s full join counted_costs c using (run_id, what, currency)
	)`

func compareTotals(ctx context.Context, tx pgx.Tx) ([]Difference, error) {
	rows, _ := tx.Query(ctx, `with `+comparedSQL+`
		select run_id as run, concat_ws(': ', state, nullif(reason, '')) as what, stored, counted
		from compared_states where stored <> counted
		union all
		select run_id, concat_ws(' ', kind, nullif(part, ''), nullif(link, -1)) || ', all', total, hits
		from compared_responses where total <> hits
		union all
		select run_id, concat_ws(' ', kind, nullif(part, ''), nullif(link, -1)) || ', messages', uniq, responses
		from compared_responses where uniq <> responses
		union all
		select run_id, concat_ws(' ', what, nullif(currency, ''), case what when 'cost' then 'in millionths' end),
		       (stored * case what when 'cost' then 1000000 else 1 end)::bigint, (counted * case what when 'cost' then 1000000 else 1 end)::bigint
		from compared_costs where stored <> counted
		order by 1, 2`)
	return pgx.CollectRows(rows, pgx.RowToStructByName[Difference])
}

// checkLedger looks for what must never be.
func checkLedger(ctx context.Context, tx pgx.Tx) ([]Difference, error) {
	rows, _ := tx.Query(ctx, `
		select run_id as run, case when rungs > 0 then 'audience and rungs against their parts' else 'audience against its parts' end as what, audience + rungs as stored,
		       already + planned + claimed + sent + failed + skipped + held_out + unknown as counted
		from report_runs where not adds_up
		union all
		select id, 'messages of a month that is gone and was not pruned', message_count, 0
		from runs
		where message_count > 0 and message_base >> 44 not in (select month from pruned_months)
		  and to_regclass('messages_' || to_char(make_date(2026, 1, 1) + make_interval(months => (message_base >> 44)::int), 'YYYY_MM')) is null
		union all
		select r.id, 'messages accepted more than once', 0, count(*)
		from runs r join lateral (
			select message_id from attempts a
			where a.message_id > r.message_base and a.message_id <= r.message_base + r.message_count and a.verdict = 'accepted'
			group by message_id having count(*) > 1
		) twice on true
		group by r.id
		union all
		select r.id, 'messages that the provider has more than once', 0, count(*)
		from runs r join lateral (
			select message_id from delivery_reports d
			where d.message_id > r.message_base and d.message_id <= r.message_base + r.message_count
			group by message_id having count(distinct provider_id) > 1
		) twice on true
		group by r.id
		order by 1, 2`)
	return pgx.CollectRows(rows, pgx.RowToStructByName[Difference])
}
