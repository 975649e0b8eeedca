package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/segment"
)

// BatchSize is how many messages a batch has at most: one River job.
const BatchSize = 500

// message is a claimed message on its way.
type message struct {
	ID          int64
	CustomerKey string
	Address     string
	Attempts    int
	Consent     *bool    // the ledger's latest word; nil: none
	RowKeys     []string // rows of `each`, in the order of their occasions
	NotAfter    *time.Time
	throttle    *throttle      // of the recipient's domain; nil: none
	Zone        *string        // the customer's, where quiet hours apply and it is not the company's
	FirstTry    *time.Time     // when it was first tried, where its version gives up after a time
	Limits      *Limits        // of its version
	event       *segment.Event // that triggered it; nil: none did, or it is gone
	eventAt     time.Time      // when that came
}

// claim commits up to n messages as claimed by this lease and returns them. It goes through the batch once, in the order of
// ids: what comes back to the plan is left to the batch's next lease, since up to handed_to anything may have been handed over. What may not be sent any more is skipped
// with its reason in the same statement, so that the two always add up. Consent is the ledger's here; the company's own
// columns are looked at when the values are read.
func (e *Engine) claim(ctx context.Context, l *lease, n int, c *Content) ([]*message, error) {
	for {
		claimed, seen, err := e.claimOnce(ctx, l, n, c)
		if err != nil || len(claimed) > 0 || seen == 0 {
			return claimed, err
		}
	}
}

func (e *Engine) claimOnce(ctx context.Context, l *lease, n int, c *Content) (claimed []*message, seen int, err error) {
	books, forget, err := e.claimant(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("claim of batch %d: %w", l.batch, err)
	}
	defer forget()
	args := pgx.NamedArgs{
		"batch": l.batch, "worker": l.life.worker, "epoch": l.epoch, "run": l.run, "lo": l.next, "hi": l.hi,
		"channel": l.channel, "topic": c.Topic, "confirms": c.Confirms, "each": c.Each != nil, "now": e.Now(), "n": min(n, BatchSize),
		"addressless": e.Accounts[l.channel].Addressless, "internal": e.Accounts[l.channel].Internal,
	}
	c.Limits.claimArgs(args)
	rows, err := books.Query(ctx, c.Limits.claimSQL(), args)
	if err != nil {
		return nil, 0, fmt.Errorf("claim of batch %d: %w", l.batch, err)
	}
	defer rows.Close()
	next := l.next
	for rows.Next() {
		m := &message{Limits: &c.Limits}
		var address *string
		var isClaimed bool
		if err := rows.Scan(&m.ID, &isClaimed, &m.CustomerKey, &address, &m.Attempts, &m.Consent, &m.RowKeys, &m.NotAfter, &m.Zone, &m.FirstTry); err != nil {
			return nil, 0, fmt.Errorf("claim of batch %d: %w", l.batch, err)
		}
		seen++
		next = max(next, m.ID+1)
		if isClaimed {
			if address != nil {
				m.Address = *address
			}
			m.throttle = e.throttles[l.channel].of(m.Address)
			claimed = append(claimed, m)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fmt.Errorf("claim of batch %d: %w", l.batch, err)
	}
	l.next = next
	return claimed, seen, nil
}

// The batch row is locked for share, so that taking the batch over (epoch + 1) and this claim exclude each other. What
// is being cancelled or retried at this moment is not waited for. The limits that limit nothing tell the planner how
// little it is, and that it must look up and not read whole tables: its plan is made once, whatever their size; and that a table is empty is asked once. That the messages
// are between lo and hi is said again of those that are changed: where PostgreSQL takes a large table for an empty one, it joins in
// whatever order, and must not read more than the batch (see TestLedgerPlans). What caps and quiet hours add stands in limits.go.
const claimForm = `
with lease as (
	select from batches b
	where b.id = @batch and b.worker = @worker and b.epoch = @epoch
	  and exists (select from runs r where r.id = b.run_id and r.state = 'sending')
	for share of b
), due as (
	select d.* from (
		select m.id, m.customer_key, m.address_id, m.not_after, m.zone
		from lease, messages m
		where m.id between @lo and @hi and m.state = 'planned' and m.channel = @channel and m.not_before <= @now
		order by m.id
		limit @n
		for update of m skip locked
	) d limit 500
), ` + checkedSQL + `%s, moved as (
	update messages m
	set state = case when k.reason is null then 'claimed' else 'skipped' end::message_state,
	    reason = k.reason, worker = @worker, epoch = @epoch, claimed_at = @now
	from %s
	returning m.id, m.state, k.reason, m.customer_key, k.normalised, m.attempts, k.consent, m.not_after, m.zone
), released as (
	update occasions o set spent = false
	from moved m
	where o.message_id = m.id and o.message_id between @lo and @hi and m.state = 'skipped'
), counted as (
	insert into run_totals (run_id, state, reason, delta)
	select @run::int, state::text, coalesce(reason, ''), count(*) from moved group by state, reason
	union all
	select @run::int, 'planned', '', -count(*) from moved having count(*) > 0
)%s
select m.id, m.state = 'claimed', m.customer_key, m.normalised, m.attempts, m.consent,
       case when @each::boolean then
       (select array_agg(o.row_key order by o.occasion) from occasions o where o.message_id = m.id and o.row_key is not null) end,
       m.not_after, m.zone,
       case when @gives_up::boolean and m.attempts > 0 then (select min(a.at) from attempts a where a.message_id = m.id) end
from moved m
%s order by 1`

// checkedSQL says of each message of a step named due why it may not be sent; null: it may.
const checkedSQL = `known as (
	select d.*, a.normalised, a.hash, w.consent, w.paused
	from due d
	left join lateral (select a.normalised, a.hash from addresses a where a.id = d.address_id limit 1) a on true
	left join lateral (
		select w.* from (
			select case when @confirms::boolean then c.pending else c.granted end as consent, c.until is not null as paused
			from consents c
			where c.customer_key = d.customer_key and c.channel in (@channel, '*') and c.topic in (@topic, '*') and not c.resumes
			  and (c.until is null or c.until > @now and not exists (
			       select from consents r where r.customer_key = c.customer_key and r.resumes and r.id > c.id))
			order by c.id desc limit 1) w
		where (select exists (select from consents))) w on true
), checked as materialized ( -- once, though the reason is used three times
	select k.*, case
		when (select exists (select from erasures))
		     and ((select true from erasures e where e.pseudonym = k.customer_key limit 1) or (select true from erasures e where e.customer_key = k.customer_key limit 1))
		     then 'erased'
		when k.not_after <= @now then 'too late'
		when k.normalised is null and not @addressless::boolean then 'no address'
		when (select exists (select from suppressions)) and (select true from suppressions s where s.channel = @channel and s.hash = k.hash limit 1) then 'suppressed'
		when not @internal::boolean and not coalesce(k.consent, not @confirms::boolean) then case when k.paused then 'paused' else 'no consent' end
		end as reason
	from known k
)`

// release gives claimed messages back that no session had.
func (e *Engine) release(ctx context.Context, l *lease, messages []int64) error {
	if len(messages) == 0 {
		return nil
	}
	return e.persist(ctx, func(ctx context.Context) error {
		_, err := e.books.Exec(ctx, releaseSQL,
			pgx.NamedArgs{"ids": messages, "worker": l.life.worker, "epoch": l.epoch, "run": l.run})
		if err != nil {
			return fmt.Errorf("release claim of batch %d: %w", l.batch, err)
		}
		return nil
	})
}

const releaseSQL = `
with moved as (
	update messages set state = 'planned', claimed_at = null
	where id = any(@ids) and state = 'claimed' and worker = @worker and epoch = @epoch
	returning id
)
insert into run_totals (run_id, state, delta)
select @run::int, s.state, s.sign * n from (select count(*) as n from moved) c, (values ('planned', 1), ('claimed', -1)) s(state, sign)
where n > 0`

func ids(messages []*message) []int64 {
	list := make([]int64, len(messages))
	for i, m := range messages {
		list[i] = m.ID
	}
	return list
}
