package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
)

// planning compares planning a run with the least that writes the same rows.
func (b *bench) planning(ctx context.Context) error {
	name, err := b.audience(ctx, b.toPlan)
	if err != nil {
		return err
	}
	if _, err := b.pool.Exec(ctx, `truncate addresses`); err != nil {
		return err
	}
	_, cold, err := b.planned(ctx, name)
	if err != nil {
		return err
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	if err := b.sameRows(ctx, name); err != nil {
		return err
	}
	var known, bare, ratios, knownCPU, bareCPU, cpuRatios []float64
	for i := range b.rounds {
		p, o, err := b.planPair(ctx, name, i%2 == 1)
		if err != nil {
			return err
		}
		known, bare, ratios = append(known, p.took), append(bare, o.took), append(ratios, p.took/o.took)
		knownCPU, bareCPU, cpuRatios = append(knownCPU, p.cpu), append(bareCPU, o.cpu), append(cpuRatios, p.cpu/o.cpu)
	}
	b.results.Plan = round(median(ratios))
	fmt.Printf("planning a run of %d; with an empty address book once: %.1f s\n\n", b.toPlan, cold.Seconds())
	fmt.Println("| | address book known | bare insert … select | known over bare |\n| --- | --- | --- | --- |")
	fmt.Printf("| seconds | %s | %s | %s |\n", spread(known, "%.2f"), spread(bare, "%.2f"), spread(ratios, "%.2f"))
	fmt.Printf("| PostgreSQL CPU s | %s | %s | %s |\n\n", spread(knownCPU, "%.2f"), spread(bareCPU, "%.2f"), spread(cpuRatios, "%.2f"))
	return nil
}

// spent is what one turn of planning took, in seconds.
type spent struct{ took, cpu float64 }

// planPair plans a run and writes the bare rows, in this order or the other.
func (b *bench) planPair(ctx context.Context, name string, bareFirst bool) (plan, bare spent, err error) {
	turns := []func() error{
		func() error {
			plan, err = b.spend(ctx, func() (time.Duration, error) { _, took, err := b.planned(ctx, name); return took, err })
			return err
		},
		func() error {
			bare, err = b.spend(ctx, func() (time.Duration, error) { return b.bareInsert(ctx, name) })
			return err
		},
	}
	if bareFirst {
		slices.Reverse(turns)
	}
	for _, turn := range turns {
		if err := turn(); err != nil {
			return plan, bare, err
		}
	}
	return plan, bare, nil
}

// spend measures a turn, and forgets what it wrote.
func (b *bench) spend(ctx context.Context, turn func() (time.Duration, error)) (s spent, err error) {
	if err := b.empty(ctx); err != nil {
		return s, err
	}
	before, err := b.postgresCPU()
	if err != nil {
		return s, err
	}
	took, err := turn()
	if err != nil {
		return s, err
	}
	after, err := b.postgresCPU()
	if err != nil {
		return s, err
	}
	return spent{took.Seconds(), (after - before).Seconds()}, b.empty(ctx)
}

// sameRows makes sure that the bare insert writes the rows that planning has just written.
func (b *bench) sameRows(ctx context.Context, name string) error {
	planned, err := b.fingerprints(ctx)
	if err != nil {
		return err
	}
	if err := b.empty(ctx); err != nil {
		return err
	}
	if _, err := b.bareInsert(ctx, name); err != nil {
		return err
	}
	bare, err := b.fingerprints(ctx)
	if err != nil {
		return err
	}
	for i, p := range planned {
		if p.rows != bare[i].rows || p.hash != bare[i].hash {
			return fmt.Errorf("the bare insert writes other rows than planning: %d rows such as\n%s\nand not %d such as\n%s", bare[i].rows, bare[i].one, p.rows, p.one)
		}
	}
	return nil
}

// fingerprint tells whether two tables have the same rows, but for their numbers and times.
type fingerprint struct {
	rows      int
	hash, one string
}

func (b *bench) fingerprints(ctx context.Context) (list []fingerprint, err error) {
	for _, t := range []struct{ table, without string }{
		{"messages", "{id, run_id, not_before}"},
		{"occasions", "{message_id, planned_at}"},
		{"batches", "{id, run_id, lo, hi, due_at}"},
		{"run_totals", "{run_id}"},
	} {
		var f fingerprint
		err := b.pool.QueryRow(ctx, `
			select count(*), coalesce(sum(hashtextextended(one, 0)), 0)::text, coalesce(min(one), '')
			from (select (to_jsonb(t) - $1::text[])::text as one from `+t.table+` t) rows`, t.without).Scan(&f.rows, &f.hash, &f.one)
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, nil
}

// bareInsert writes the rows that planning writes, without asking anything: no rule, no earlier occasion, no consent, no
// suppression, no order. It sorts nothing, and has the memory that planning has.
func (b *bench) bareInsert(ctx context.Context, name string) (took time.Duration, err error) {
	if _, err := b.pool.Exec(ctx, `checkpoint`); err != nil {
		return 0, err
	}
	args := pgx.NamedArgs{"n": b.toPlan, "size": delivery.BatchSize}
	var campaign, run int
	var base int64
	err = b.pool.QueryRow(ctx, `
		insert into runs (campaign_id, version_id, tick, as_of, actor, message_base)
		select id, version_id, now(), now(), 'bench', (select (extract(year from now())::bigint - 2026) * 12 + extract(month from now())::bigint - 1) << 44
		from campaigns where name = $1 returning id, campaign_id, message_base`, name).Scan(&run, &campaign, &base)
	if err != nil {
		return 0, err
	}
	args["run"], args["campaign"], args["base"] = run, campaign, base
	begun := time.Now()
	err = pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `set local work_mem = '64MB'; set local jit = off`); err != nil {
			return err
		}
		for _, sql := range bareSQL {
			if _, err := tx.Exec(ctx, sql, args); err != nil {
				return err
			}
		}
		return nil
	})
	return time.Since(begun), err
}

var bareSQL = []string{
	`
	insert into messages (id, run_id, customer_key, address_id, channel, not_before, state)
	select @base::bigint + c.id, @run::int, c.id::text, a.id, 'email', now(), 'planned'
	from bench.customers c join addresses a on a.channel = 'email' and a.region = '' and a.raw = c.email
	where c.id <= @n::int`,
	`
	insert into occasions (campaign_id, customer_key, occasion, message_id, spent, planned_at)
	select @campaign::int, c.id::text, '"once"', @base::bigint + c.id, true, now()
	from bench.customers c
	where c.id <= @n::int`,
	`
	insert into batches (run_id, lo, hi, due_at, channel)
	select @run::int, @base::bigint + lo, @base::bigint + least(lo + @size::int - 1, @n::int), now(), 'email'
	from generate_series(1, @n::int, @size::int) lo`,
	`
	insert into run_totals (run_id, state, delta)
	values (@run::int, 'planned', @n::int), (@run::int, 'audience', @n::int)`,
}
