package response

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// burstReason is the reason of hits that were judged again.
const burstReason = "several links at once"

// bursts lists the latest hits of the messages $1 that are near, within $2, to a hit on another link of the same message
// or its unsubscribe page. A stranger can make very many hits on one message: only the last 200 are looked at.
const bursts = `
	burst as (
		select * from (
			select h.id, h.message_id, h.at, h.ip, h.verdict,
			       min(h.target) over near <> max(h.target) over near as several
			from unnest($1::bigint[]) as m(id), lateral (
				select *, concat_ws(' ', kind, part, link) collate "C" as target
				from hits where message_id = m.id order by id desc limit 200
			) h
			where h.kind in ('click', 'page')
			window near as (partition by h.message_id order by h.at range between $2::interval preceding and $2::interval following)
		) h where several
	)`

// rejudgeBursts finds messages among the given ones whose links, or link and unsubscribe page, were fetched closer
// together than window, which only a program does that follows every link. Their hits of that moment, which passed for a
// person's, become a scanner's, and what they counted moves to the machines.
func rejudgeBursts(ctx context.Context, tx pgx.Tx, messages []int64, window time.Duration, runs *runCache) error {
	rows, _ := tx.Query(ctx, `with `+bursts+`
		select distinct message_id from burst where verdict = 'human' order by 1`, messages, window)
	found, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("look for scanners: %w", err)
	}
	for _, id := range found {
		run, err := runs.of(ctx, id)
		if err != nil {
			return err
		}
		if err := rejudge(ctx, tx, run.ID, id, window); err != nil {
			return fmt.Errorf("judge the hits of message %d again: %w", id, err)
		}
	}
	return nil
}

// rejudge moves the hits of a burst of one message, and the opens by the same address within it, from people to machines.
func rejudge(ctx context.Context, tx pgx.Tx, run int32, message int64, window time.Duration) error {
	if err := lockForJudging(ctx, tx, message); err != nil {
		return err
	}
	rows, _ := tx.Query(ctx, `with `+bursts+`
		update hits h set verdict = 'scanner', reason = $3
		where h.message_id = any($1) and h.verdict = 'human' and h.kind in ('click', 'page', 'open')
		  and (h.id in (select id from burst)
		    or h.kind = 'open' and exists (select from burst b where b.ip = h.ip
		       and h.at between b.at - $2::interval and b.at + $2::interval))
		returning h.kind, coalesce(h.part, ''), coalesce(h.link, -1)`, []int64{message}, window, burstReason)
	type changed struct {
		Kind HitKind
		Part string
		Link int
	}
	hits, err := pgx.CollectRows(rows, pgx.RowToStructByPos[changed])
	if err != nil {
		return err
	}
	moved := map[count]int{}
	for _, h := range hits {
		switch h.Kind {
		case HitOpen:
			moved[count{"open", "", whole}]--
			moved[count{"machine_open", "", whole}]++
		case HitClick:
			moved[count{"click", "", whole}]--
			moved[count{"click", h.Part, h.Link}]--
			moved[count{"machine_click", "", whole}]++
		}
	}
	for _, c := range slices.SortedFunc(maps.Keys(moved), compareCounts) {
		if err := recount(ctx, tx, run, message, c, moved[c]); err != nil {
			return err
		}
	}
	return nil
}

// lockForJudging makes two processes that judge the same message do it one after the other; the second finds less or
// nothing. It also waits for those that are recording a hit of the message, whose rows the statements after this one see,
// and makes those that come later wait.
func lockForJudging(ctx context.Context, tx pgx.Tx, message int64) error {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('sapa judge', $1))`, message); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		select from responses where message_id = $1 and kind in ('open', 'click', 'machine_open', 'machine_click')
		order by kind collate "C", part collate "C", link for update`, message)
	return err
}

// recount makes the response row of one message and kind what its hits say now, and appends the change to the totals.
func recount(ctx context.Context, tx pgx.Tx, run int32, message int64, c count, delta int) error {
	_, err := tx.Exec(ctx, `
		with now as (
			select min(at) as first_at from hits
			where message_id = $2 and kind = case when $3 like '%open' then 'open' else 'click' end
			  and (verdict <> 'human') = ($3 like 'machine%')
			  and ($5 = -1 or (part, link) = ($4, $5))
		), gone as (
			delete from responses r using now
			where (r.message_id, r.kind, r.part, r.link) = ($2, $3, $4, $5) and now.first_at is null
			returning 1
		), made as (
			insert into responses (message_id, kind, part, link, first_at)
			select $2, $3, $4, $5, first_at from now where first_at is not null
			on conflict (message_id, kind, part, link) do update set first_at = excluded.first_at
			returning (xmax = 0)::int as new
		)
		insert into response_totals (run_id, kind, part, link, total, uniq)
		select $1, $3, $4, $5, $6, coalesce((select sum(new) from made), 0) - (select count(*) from gone)`,
		run, message, c.kind, c.part, c.link, delta)
	return err
}
