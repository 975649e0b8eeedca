package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Resolution is what becomes of an unknown message.
type Resolution string

// The resolutions. Resend is a decision and not evidence: the message may arrive twice, both times with the same
// Message-ID.
const (
	WasAccepted Resolution = "accepted"     // it becomes sent
	NotAccepted Resolution = "not accepted" // it becomes failed; its occasion is free for a retry
	Resend      Resolution = "resend"       // it is planned again
)

// Finding settles one unknown message, by evidence from outside or by somebody's decision.
type Finding struct {
	Message    int64
	Is         Resolution
	ProviderID string // as the server names the message, such as its queue id; "" when that is not known
	Words      string // what the finding rests on, for the attempt; never an address
}

// Resolve settles unknown messages of one run. A message that is not unknown any more, because its worker or its
// provider has told what became of it meanwhile, is left alone. It returns how many were settled, by resolution. The caller
// wakes workers for what is to be sent again; now is business time.
func Resolve(ctx context.Context, tx pgx.Tx, run int, findings []Finding, now time.Time) (map[Resolution]int, error) {
	n := len(findings)
	id, is, provider, words := make([]int64, n), make([]string, n), make([]*string, n), make([]*string, n)
	for i, f := range findings {
		id[i], is[i], provider[i], words[i] = f.Message, string(f.Is), text(f.ProviderID), text(f.Words)
	}
	// A statement of its own, so that the next one sees what whoever held those locks has done.
	_, err := tx.Exec(ctx, `select from messages where id = any($1) and state = 'unknown' order by id for update`, id)
	if err != nil {
		return nil, fmt.Errorf("resolve %d messages of run %d: %w", n, run, err)
	}
	rows, _ := tx.Query(ctx, resolveSQL, pgx.NamedArgs{"run": run, "id": id, "is": is, "provider": provider, "words": words, "now": now})
	settled := map[Resolution]int{}
	var resolution Resolution
	var count int
	_, err = pgx.ForEachRow(rows, []any{&resolution, &count}, func() error { settled[resolution] = count; return nil })
	if err != nil {
		return nil, fmt.Errorf("resolve %d messages of run %d: %w", n, run, err)
	}
	return settled, nil
}

// The attempt that was left without an answer gets the answer that was found.
const resolveSQL = `
with found as (
	select * from unnest(@id::bigint[], @is::text[], @provider::text[], @words::text[]) as f(id, resolution, provider, words)
), moved as (
	update messages m
	set state = case f.resolution when 'accepted' then 'sent' when 'resend' then 'planned' else 'failed' end::message_state,
	    reason = case when f.resolution = 'not accepted' then 'not accepted' end,
	    not_before = case when f.resolution = 'resend' then least(m.not_before, @now) else m.not_before end
	from found f
	where m.id = f.id and m.run_id = @run and m.state = 'unknown'
	returning m.id, m.attempts, m.state, m.reason, f.resolution, f.provider, f.words
), amended as (
	update attempts a
	set verdict = case m.resolution when 'accepted' then 'accepted' when 'resend' then a.verdict else 'retry' end,
	    provider_id = coalesce(m.provider, a.provider_id), words = coalesce(m.words, a.words),
	    handed_over = case when m.resolution = 'accepted' then coalesce(a.handed_over, a.at) else a.handed_over end
	from moved m
	where a.message_id = m.id and a.number = m.attempts
	returning a.segments, m.resolution
), released as (
	update occasions o set spent = false from moved m where o.message_id = m.id and m.state = 'failed'
), reopened as (
	update batches b set done = false, due_at = least(b.due_at, @now)
	where b.run_id = @run and exists (select from moved m where m.state = 'planned' and m.id between b.lo and b.hi)
), charged as (
	insert into run_costs (run_id, segments)
	select @run::int, sum(segments) from amended where resolution = 'accepted' and segments > 0 having count(*) > 0
), counted as (
	insert into run_totals (run_id, state, reason, delta)
	select @run::int, state::text, coalesce(reason, ''), count(*) from moved group by state, reason
	union all
	select @run::int, 'unknown', '', -count(*) from moved having count(*) > 0
)
select resolution, count(*) from moved group by resolution`
