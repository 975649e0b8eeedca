package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// byHand is the moment for which messages are planned that wait for a person: never.
func byHand() time.Time { return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }

// ByHand is what a person says became of messages that a channel took down for people (channels.ErrPending).
type ByHand struct {
	State    string    // "sent": they were posted, the customer was reached; "failed"; "skipped": nobody tried, since they may not be used any more
	Reason   string    // of failed and skipped ones: a few words that reports group by
	Words    string    // for the attempt, such as the outcome that was chosen
	Suppress string    // why their addresses must not be used again on this channel; "": they may
	At       time.Time // business time
	// Skipped says that it also happened to those of them that were skipped while they waited: cancelled, erased or put aside. Only
	// for "sent", and only where somebody knows it of each.
	Skipped bool
}

// FinishByHand records what became of messages that wait for a person, and returns which of them did; all others are left as
// they are: cancelled, erased, or finished before. What else the caller notes of them belongs into the same transaction.
//
// The batches are locked before the messages, as by everybody, and with the last message of a run the run is done.
func FinishByHand(ctx context.Context, tx pgx.Tx, ids []int64, h ByHand) (moved []int64, err error) {
	if h.State != "sent" && h.State != "failed" && h.State != "skipped" {
		return nil, fmt.Errorf("finish by hand: messages can't become %q", h.State)
	}
	if h.Skipped && h.State != "sent" {
		return nil, fmt.Errorf("finish by hand: skipped messages can't become %q", h.State)
	}
	batches, err := lockBatches(ctx, tx, ids)
	if err != nil {
		return nil, fmt.Errorf("finish %d messages by hand: %w", len(ids), err)
	}
	args := pgx.NamedArgs{
		"ids": ids, "byhand": byHand(), "state": h.State, "reason": text(h.Reason), "words": text(h.Words), "at": h.At, "suppress": text(h.Suppress),
		"skipped": h.Skipped,
	}
	rows, _ := tx.Query(ctx, byHandSQL, args)
	if moved, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
		return nil, fmt.Errorf("finish %d messages by hand: %w", len(ids), err)
	}
	return moved, closeLocked(ctx, tx, batches)
}

// lockBatches locks the batches that messages belong to.
func lockBatches(ctx context.Context, tx pgx.Tx, ids []int64) ([]int64, error) {
	rows, _ := tx.Query(ctx, `
		select b.id from batches b
		where not b.done and b.run_id in (select run_id from messages where id = any($1))
		  and exists (select from unnest($1::bigint[]) m(id) where m.id between b.lo and b.hi)
		order by b.id for update`, ids)
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// closeLocked ends those batches of which nothing is left, and runs that have no other.
func closeLocked(ctx context.Context, tx pgx.Tx, batches []int64) error {
	if len(batches) == 0 {
		return nil
	}
	rows, _ := tx.Query(ctx, `
		update batches b set done = true, climb_at = case when b.climb_at is not null then '-infinity'::timestamptz end
		where id = any($1) and worker is null and not exists (
			select from messages m where m.id between b.lo and b.hi and m.state in ('planned', 'claimed'))
		returning run_id`, batches)
	runs, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return fmt.Errorf("close batches of messages that were finished by hand: %w", err)
	}
	done := map[int]bool{}
	for _, run := range runs {
		if done[run] {
			continue
		}
		done[run] = true
		if err := finishFree(ctx, tx, run); err != nil {
			return err
		}
	}
	return nil
}

// finishFree is Finish, unless somebody holds the run, who may want our batches: then the next sweep ends it.
func finishFree(ctx context.Context, tx pgx.Tx, run int) error {
	err := tx.QueryRow(ctx, `select id from runs where id = $1 for no key update skip locked`, run).Scan(&run)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finish run %d: %w", run, err)
	}
	return Finish(ctx, tx, run)
}

const byHandSQL = `
with held as (
	select m.id, m.state as was, coalesce(m.reason, '') as because from messages m
	where m.id = any(@ids) and (m.state = 'planned' and m.not_before >= @byhand or @skipped::boolean and m.state = 'skipped')
	order by m.id for update of m
), moved as (
	update messages m set state = @state::message_state, reason = @reason, attempts = m.attempts + (@state <> 'skipped')::int
	from held h where m.id = h.id
	returning m.id, m.run_id, m.channel, m.attempts, m.worker, m.epoch, m.address_id, h.was, h.because
), tried as (
	insert into attempts (message_id, number, worker, epoch, at, handed_over, verdict, words)
	select id, attempts, coalesce(worker, 0), coalesce(epoch, 0), @at::timestamptz,
	       case when @state = 'sent' then @at::timestamptz end, case when @state = 'sent' then 'accepted' else 'permanent' end, @words
	from moved where @state <> 'skipped'
), released as (
	update occasions o set spent = false from moved m where @state <> 'sent' and o.message_id = m.id
), spent as (
	update occasions o set spent = true -- those of the rungs before, too
	from moved m join occasions own on own.message_id = m.id
	where m.was = 'skipped' and (o.campaign_id, o.customer_key, o.occasion) = (own.campaign_id, own.customer_key, own.occasion) and o.step <= own.step and not o.spent
), suppressed as (
	insert into suppressions (channel, hash, address, reason, source)
	select distinct on (m.channel, a.hash) m.channel, a.hash, a.normalised, @suppress::text, 'message ' || m.id
	from moved m join addresses a on a.id = m.address_id
	where @suppress::text is not null and a.hash is not null
	on conflict do nothing
), counted as (
	insert into run_totals (run_id, state, reason, delta)
	select run_id, @state, coalesce(@reason::text, ''), count(*) from moved group by run_id
	union all
	select run_id, was, because, -count(*) from moved group by run_id, was, because
)
select id from moved order by id`
