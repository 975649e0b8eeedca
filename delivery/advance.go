package delivery

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// advance records outcomes, and opens the batch up to a message: those up to it may be handed over from now on. Nearly all
// outcomes are that the provider accepted a message; these are recorded with it in one statement, and others before it.
// It holds the outcomes and tries again while the database is away. errLeaseLost says that others have the batch; then the
// outcomes are recorded, and nothing is opened.
func (e *Engine) advance(ctx context.Context, l *lease, outcomes []outcome, upTo *int64) error {
	var plain, others []outcome
	for _, o := range outcomes {
		if o.plain() {
			plain = append(plain, o)
		} else {
			others = append(others, o)
		}
	}
	if err := e.record(ctx, l, others); err != nil {
		return err
	}
	if len(plain) == 0 && upTo == nil {
		return nil
	}
	args := append(plainArgs(plain), upTo, l.batch, l.life.worker, l.epoch, l.run)
	var recorded int
	var held bool
	err := e.persist(ctx, func(ctx context.Context) error {
		err := e.books.QueryRow(ctx, advanceSQL, args...).Scan(&recorded, &held)
		if err != nil {
			return fmt.Errorf("record %d outcomes of batch %d: %w", len(plain), l.batch, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if recorded < len(plain) { // taken over meanwhile, or recorded by the try before whose answer was lost
		if err := e.record(ctx, l, plain); err != nil {
			return err
		}
	}
	if !held {
		return errLeaseLost
	}
	return nil
}

// plain says that the message was accepted, and nothing else is to be noted.
func (o *outcome) plain() bool {
	return o.state == "sent" && o.receipt.Segments == 0 && o.receipt.Encoding == "" && o.why == ""
}

// plainArgs are advanceSQL's first arguments, in the order of the messages' ids, in which everybody locks them.
func plainArgs(outcomes []outcome) []any {
	slices.SortFunc(outcomes, func(a, b outcome) int { return cmp.Compare(a.message.ID, b.message.ID) })
	n := len(outcomes)
	id, at, handed := make([]int64, n), make([]time.Time, n), make([]*time.Time, n)
	code, enhanced, provider, words := make([]*int32, n), make([]*string, n), make([]*string, n), make([]*string, n)
	for i := range outcomes {
		o := &outcomes[i]
		id[i], at[i] = o.message.ID, o.at
		if !o.receipt.HandedOver.IsZero() {
			handed[i] = &o.receipt.HandedOver
		}
		if c := int32(o.receipt.Code); c != 0 {
			code[i] = &c
		}
		enhanced[i], provider[i], words[i] = text(o.receipt.Enhanced), text(o.receipt.ProviderID), text(o.receipt.Words)
	}
	return []any{id, at, handed, code, enhanced, provider, words}
}

// The batch is locked before its messages, as by everybody. Where it is not ours any more, nothing is recorded here. Nothing is
// joined with messages, so that PostgreSQL looks each one up whatever it thinks of the table's size. The arguments have numbers: names
// would be looked for in the whole text each time.
const advanceSQL = `
with lease as (
	update batches set handed_to = coalesce($8::bigint, handed_to)
	where id = $9 and worker = $10 and epoch = $11
	returning 1
), moved as (
	update messages m set state = 'sent', attempts = m.attempts + 1
	from lease
	where m.id = any($1::bigint[]) and m.state = 'claimed' and m.worker = $10 and m.epoch = $11
	returning m.id, m.attempts, array_position($1::bigint[], m.id) as i
), tried as (
	insert into attempts (message_id, number, worker, epoch, at, handed_over, code, verdict, enhanced, provider_id, words)
	select id, attempts, $10, $11, ($2::timestamptz[])[i], ($3::timestamptz[])[i], ($4::int[])[i], 'accepted', ($5::text[])[i], ($6::text[])[i], ($7::text[])[i] from moved
), n as (
	select count(*) as n from moved
), counted as (
	insert into run_totals (run_id, state, delta)
	select $12::int, s.state, s.sign * n from n, (values ('sent', 1), ('claimed', -1)) s(state, sign) where n > 0
)
select n.n, exists (select from lease) from n`
