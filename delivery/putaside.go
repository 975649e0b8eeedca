package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// Recheck asks about messages that wait for a person what was asked when they were composed, which may be long ago: erased,
// too late, suppressed, consent, the company's opt-in column, whether the customer and the rows are there, and, ten minutes
// after the run's moment, the rule. All fields are required.
type Recheck struct {
	Pool    *pgxpool.Pool
	Schema  *customer.Schema
	Library Library
	Now     func() time.Time // business time
}

// PutAside skips those of a run's messages on a channel that may not be used any more, with the reason, and returns how many
// there were of each reason. Messages that do not wait for a person are left as they are. An error of the company's database
// concerns all of them: then nothing is skipped.
func (r Recheck) PutAside(ctx context.Context, run int, channel string, ids []int64) (map[string]int, error) {
	f, err := r.filler(ctx, run, channel)
	if err != nil {
		return nil, fmt.Errorf("ask again about messages of run %d: %w", run, err)
	}
	refused, waiting, err := f.recheckLedger(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("ask again about messages of run %d: %w", run, err)
	}
	if err := f.recheckCompany(ctx, waiting, refused); err != nil {
		return nil, fmt.Errorf("ask again about messages of run %d: %w", run, err)
	}
	if len(refused) == 0 {
		return nil, nil
	}
	return r.skip(ctx, ids, refused)
}

func (r Recheck) skip(ctx context.Context, ids []int64, refused map[string][]int64) (counts map[string]int, err error) {
	counts = map[string]int{}
	return counts, pg.InTx(ctx, r.Pool, func(tx pgx.Tx) error {
		if err := customer.ShareErasures(ctx, tx); err != nil {
			return err
		}
		if _, err := lockBatches(ctx, tx, ids); err != nil { // of all reasons at once, in their order
			return err
		}
		for reason, ids := range refused {
			moved, err := FinishByHand(ctx, tx, ids, ByHand{State: "skipped", Reason: reason, At: r.Now()})
			if err != nil {
				return err
			}
			counts[reason] = len(moved)
		}
		return nil
	})
}

// filler reads what a run's messages depend on, as for one of its batches.
func (r Recheck) filler(ctx context.Context, run int, channel string) (*filler, error) {
	l := &lease{run: run, channel: channel}
	err := r.Pool.QueryRow(ctx, `select version_id, tick, as_of from runs where id = $1`, run).Scan(&l.version, &l.tick, &l.asOf)
	if err != nil {
		return nil, err
	}
	content, err := r.Library.Content(ctx, l.version)
	if err != nil {
		return nil, err
	}
	return newFiller(&Engine{Config: Config{Pool: r.Pool, Schema: r.Schema, Library: r.Library, Now: r.Now}}, l, content)
}

// recheckLedger asks Sapa's own tables what a claim asks. It gives the messages that may not be used by their reason, and the rest.
func (f *filler) recheckLedger(ctx context.Context, ids []int64) (refused map[string][]int64, waiting []*message, err error) {
	rows, _ := f.engine.Pool.Query(ctx, `
		with due as (
			select m.id, m.customer_key, m.address_id, m.not_after from messages m
			where m.id = any(@ids) and m.run_id = @run and m.channel = @channel and m.state = 'planned' and m.not_before >= @byhand
		), `+checkedSQL+`
		select k.id, k.customer_key, k.consent, coalesce(k.reason, ''),
		       (select array_agg(o.row_key order by o.occasion) from occasions o where o.message_id = k.id and o.row_key is not null)
		from checked k order by k.id`, pgx.NamedArgs{
		"ids": ids, "run": f.lease.run, "channel": f.lease.channel, "byhand": byHand(), "topic": f.content.Topic,
		"confirms": f.content.Confirms, "addressless": f.account.Addressless, "internal": f.account.Internal, "now": f.engine.Now(),
	})
	refused = map[string][]int64{}
	var id int64
	var key, reason string
	var consent *bool
	var rowKeys []string
	_, err = pgx.ForEachRow(rows, []any{&id, &key, &consent, &reason, &rowKeys}, func() error {
		if reason != "" {
			refused[reason] = append(refused[reason], id)
			return nil
		}
		waiting = append(waiting, &message{ID: id, CustomerKey: key, Consent: consent, RowKeys: rowKeys})
		return nil
	})
	return refused, waiting, err
}

// recheckCompany asks the company's tables what filling asks.
func (f *filler) recheckCompany(ctx context.Context, waiting []*message, refused map[string][]int64) error {
	if len(waiting) == 0 {
		return nil
	}
	people, rows, err := f.read(ctx, waiting)
	if err != nil {
		return err
	}
	if err := f.findEvents(ctx, waiting); err != nil {
		return err
	}
	stillOf, err := f.stillMeant(ctx, waiting)
	if err != nil {
		return err
	}
	for _, m := range waiting {
		if _, reason := f.doubt(m, people, rows, stillOf(m)); reason != "" {
			refused[reason] = append(refused[reason], m.ID)
		}
	}
	return nil
}
