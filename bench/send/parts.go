package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// sending compares rates and processor time.
func (b *bench) sending(ctx context.Context) error {
	name, err := b.audience(ctx, b.messages)
	if err != nil {
		return err
	}
	names := []string{"sapa", "go-mail", "go-mail, no NOOP and RSET"}
	results := map[string][]result{}
	for round := range b.rounds {
		run, _, err := b.planned(ctx, name, round)
		if err != nil {
			return err
		}
		bare := loop{Addr: b.addr, Messages: b.messages, Connections: b.connections}
		lean := bare
		lean.Lean = true
		for variant, do := range map[string]func() (result, error){
			names[0]: func() (result, error) {
				return b.watch(ctx, "worker", work{URL: b.url, SMTP: b.addr, Connections: b.connections, Run: run, Profile: b.profile}, b.messages)
			},
			names[1]: func() (result, error) { return b.watch(ctx, "gomail", bare, b.messages) },
			names[2]: func() (result, error) { return b.watch(ctx, "gomail", lean, b.messages) },
		} {
			r, err := do()
			if err != nil {
				return err
			}
			results[variant] = append(results[variant], r)
		}
		if err := b.empty(ctx); err != nil {
			return err
		}
	}
	b.printSending(names, results)
	return nil
}

func (b *bench) printSending(names []string, results map[string][]result) {
	fmt.Printf("sending %d messages, %d rounds: median (least–most)\n\n", b.messages, b.rounds)
	fmt.Println("| | messages/s | client µs | PostgreSQL µs | sink µs | wall s |\n| --- | --- | --- | --- | --- | --- |")
	for _, name := range names {
		pick := func(f func(result) float64) (list []float64) {
			for _, r := range results[name] {
				list = append(list, f(r))
			}
			return list
		}
		fmt.Printf("| %s | %s | %s | %s | %s | %s |\n", name,
			spread(pick(func(r result) float64 { return r.rate }), "%.0f"), spread(pick(func(r result) float64 { return r.client }), "%.0f"),
			spread(pick(func(r result) float64 { return r.postgres }), "%.0f"), spread(pick(func(r result) float64 { return r.sink }), "%.0f"),
			spread(pick(func(r result) float64 { return r.wall }), "%.1f"))
	}
	fmt.Println("\n| ratio in each round | rate | CPU of client and PostgreSQL |\n| --- | --- | --- |")
	for _, other := range names[1:] {
		var rates, cpus []float64
		for i, r := range results[names[0]] {
			o := results[other][i]
			rates, cpus = append(rates, r.rate/o.rate), append(cpus, (r.client+r.postgres)/o.client)
		}
		fmt.Printf("| sapa / %s | %s | %s |\n", other, spread(rates, "%.2f"), spread(cpus, "%.2f"))
	}
	fmt.Println()
}

// planning compares a plan with the least that could be written.
func (b *bench) planning(ctx context.Context) error {
	fmt.Println("planning: seconds, median (least–most)\n\n| audience | cold address book | warm | bare insert … select | warm / bare |\n| --- | --- | --- | --- | --- |")
	for _, text := range strings.Split(b.plan, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return err
		}
		if err := b.planOne(ctx, n); err != nil {
			return err
		}
	}
	fmt.Println()
	return nil
}

func (b *bench) planOne(ctx context.Context, n int) error {
	rounds := b.rounds
	if n > 200_000 {
		rounds = min(rounds, 3)
	}
	name, err := b.audience(ctx, n)
	if err != nil {
		return err
	}
	var cold, warm, bare, ratios []float64
	for round := range rounds {
		if _, err := b.pool.Exec(ctx, `truncate addresses`); err != nil {
			return err
		}
		for i, list := range []*[]float64{&cold, &warm} {
			_, took, err := b.planned(ctx, name, 2*round+i)
			if err != nil {
				return err
			}
			*list = append(*list, took.Seconds())
			if err := b.empty(ctx); err != nil {
				return err
			}
		}
		took, err := b.bareInsert(ctx, n)
		if err != nil {
			return err
		}
		bare, ratios = append(bare, took.Seconds()), append(ratios, warm[round]/took.Seconds())
	}
	fmt.Printf("| %d | %s | %s | %s | %s |\n", n, spread(cold, "%.2f"), spread(warm, "%.2f"), spread(bare, "%.2f"), spread(ratios, "%.2f"))
	return nil
}

// bareInsert writes the same rows to messages and occasions, without asking anything.
func (b *bench) bareInsert(ctx context.Context, n int) (time.Duration, error) {
	if _, err := b.pool.Exec(ctx, `checkpoint`); err != nil {
		return 0, err
	}
	var base int64
	err := b.pool.QueryRow(ctx, `
		select n::bigint << 44 from (select (extract(year from now())::int - 2026) * 12 + extract(month from now())::int - 1 as n) months`).Scan(&base)
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	for _, sql := range []string{
		`
		insert into messages (id, run_id, customer_key, address_id, channel, not_before, state)
		select $1::bigint + c.id, 1, c.id::text, a.id, 'email', now(), 'planned'
		from bench.customers c join addresses a on a.channel = 'email' and a.region = '' and a.raw = c.email where c.id <= $2`, `
		insert into occasions (campaign_id, customer_key, occasion, message_id, spent, planned_at)
		select 1, c.id::text, '"once"', $1::bigint + c.id, true, now() from bench.customers c where c.id <= $2`,
	} {
		if _, err := b.pool.Exec(ctx, sql, base, n); err != nil {
			return 0, err
		}
	}
	took := time.Since(begun)
	return took, b.empty(ctx)
}

// memory measures the most that a sending process takes, at audiences of different sizes.
func (b *bench) memory(ctx context.Context) error {
	fmt.Println("memory of a sending process\n\n| audience | most resident, MB | messages/s |\n| --- | --- | --- |")
	for i, text := range strings.Split(b.options.memory, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return err
		}
		name, err := b.audience(ctx, n)
		if err != nil {
			return err
		}
		run, _, err := b.planned(ctx, name, i)
		if err != nil {
			return err
		}
		begun := time.Now()
		c, err := spawn(ctx, "worker", work{URL: b.url, SMTP: b.addr, Connections: b.connections, Run: run})
		if err != nil {
			return err
		}
		if err := c.finish(); err != nil {
			return err
		}
		fmt.Printf("| %d | %.0f | %.0f |\n", n, float64(c.peak())/1e6, float64(n)/time.Since(begun).Seconds())
		if err := b.empty(ctx); err != nil {
			return err
		}
	}
	fmt.Println()
	return nil
}
