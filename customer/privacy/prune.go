package privacy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/internal/pg"
)

// Pruned is a month of messages that was dropped, or would be.
type Pruned struct {
	Month    Month `json:"month"`
	Runs     int64 `json:"runs"` // whose messages were in it
	Messages int64 `json:"messages"`
	Attempts int64 `json:"attempts"`
}

// Months lists the months before a month that still have messages, the oldest first.
func Months(ctx context.Context, db pg.DBTX, before Month) ([]Pruned, error) {
	rows, _ := db.Query(ctx, `
		select months.n, (select count(*) from runs where message_base >> $2 = months.n)
		from (
			select distinct (left(right(c.relname, 7), 4)::int - 2026) * 12 + right(c.relname, 2)::int - 1 as n
			from pg_inherits i join pg_class c on c.oid = i.inhrelid
			where i.inhparent in ('messages'::regclass, 'attempts'::regclass) and c.relname ~ '^(messages|attempts)_\d{4}_\d{2}$'
		) months
		where months.n < $1 order by 1`, before, monthShift)
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (p Pruned, err error) {
		err = r.Scan(&p.Month, &p.Runs)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("list months of messages: %w", err)
	}
	for i := range list {
		if err := list[i].count(ctx, db); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// count fills in the rows that go.
func (p *Pruned) count(ctx context.Context, db pg.DBTX) error {
	err := db.QueryRow(ctx, `
		select (select count(*) from messages where id between $1 and $2), (select count(*) from attempts where message_id between $1 and $2)`,
		p.Month.first(), p.Month.last()).Scan(&p.Messages, &p.Attempts)
	if err != nil {
		return fmt.Errorf("count the messages of %s: %w", p.Month, err)
	}
	return nil
}

// OpenError says that a month can't be dropped, because what became of some of its messages is not known yet.
type OpenError struct {
	Month Month
	Runs  []string // "run 12 of birthday is paused", "run 13 of birthday has 2 unknown"
}

// Error names every run.
func (e *OpenError) Error() string {
	return fmt.Sprintf("%s stays: %s", e.Month, strings.Join(e.Runs, ", "))
}

// Open is an *OpenError when the month has runs that are not over, or messages of which nobody knows yet what became of
// them.
func (m Month) Open(ctx context.Context, db pg.DBTX) error {
	rows, _ := db.Query(ctx, `
		select format('run %s of %s is %s', r.id, c.name, r.state)
		from runs r join campaigns c on c.id = r.campaign_id
		where r.message_base >> $3 = $4 and r.state not in ('done', 'cancelled')
		union all
		select format('run %s of %s has %s %s', r.id, c.name, m.n, m.state)
		from (
			select run_id, state, count(*) as n from messages
			where id between $1 and $2 and state in ('planned', 'claimed', 'unknown') group by 1, 2
		) m join runs r on r.id = m.run_id join campaigns c on c.id = r.campaign_id
		where r.state in ('done', 'cancelled')
		order by 1`, m.first(), m.last(), monthShift, int(m))
	runs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look at the runs of %s: %w", m, err)
	}
	if len(runs) > 0 {
		return &OpenError{m, runs}
	}
	return nil
}

// dropTries is how often the locks are asked for, each time for dropLockTimeout: who sends must not wait long for us.
const (
	dropTries       = 30
	dropLockTimeout = "2s"
	dropPause       = time.Second
)

// Prune drops a month of messages and attempts, and deletes what referred to them. Totals and occasions stay, so reports
// say what they said and nobody gets an occasion twice. It is an *OpenError for a month with runs or messages that are not
// over. A month that is being dropped when the process dies is finished by the next Prune or Retain.
func Prune(ctx context.Context, pool *pgxpool.Pool, m Month, actor string) (Pruned, error) {
	p := Pruned{Month: m}
	if err := m.Open(ctx, pool); err != nil {
		return p, err
	}
	for try := 1; ; try++ {
		err := pg.InTx(ctx, pool, func(tx pgx.Tx) error { return p.drop(ctx, tx, actor) })
		switch {
		case err == nil:
			return p, Sweep(ctx, pool)
		case waited(err) && try == dropTries:
			return p, fmt.Errorf("drop %s: %w: others use the table all the time; try again when less is being sent", m, ErrBusy)
		case !waited(err) && !collided(err):
			return p, err
		}
		select {
		case <-ctx.Done():
			return p, ctx.Err()
		case <-time.After(dropPause):
		}
	}
}

func (p *Pruned) drop(ctx context.Context, tx pgx.Tx, actor string) error {
	if err := p.count(ctx, tx); err != nil { // nothing is added to a month that is over
		return err
	}
	if _, err := tx.Exec(ctx, `set local lock_timeout = '`+dropLockTimeout+`'; lock table messages, attempts in access exclusive mode`); err != nil {
		return fmt.Errorf("lock the messages: %w", err)
	}
	if err := p.Month.Open(ctx, tx); err != nil {
		return err
	}
	for _, table := range []string{"messages", "attempts"} {
		if _, err := tx.Exec(ctx, `drop table if exists `+pgx.Identifier{p.Month.partition(table)}.Sanitize()); err != nil {
			return fmt.Errorf("drop %s: %w", p.Month.partition(table), err)
		}
	}
	err := tx.QueryRow(ctx, `
		with marked as (
			insert into pruned_months (month, actor, messages, attempts) values ($1, $2, $3, $4) on conflict (month) do update set swept = false
		)
		select count(*) from runs where message_base >> $5 = $1`, int(p.Month), actor, p.Messages, p.Attempts, monthShift).Scan(&p.Runs)
	if err != nil {
		return fmt.Errorf("mark %s as pruned: %w", p.Month, err)
	}
	return access.Record(ctx, tx, access.Entry{
		Actor: actor, Action: "prune", Subject: "month " + p.Month.String(),
		Detail: map[string]any{"runs": p.Runs, "messages": p.Messages, "attempts": p.Attempts},
	})
}

// sweptTables refer to messages by id. Codes of our own pages stay: unsubscribing works for ever.
func sweptTables() []struct{ table, also string } {
	return []struct{ table, also string }{
		{"hits", ""},
		{"responses", ""},
		{"delivery_reports", ""},
		{"short_links", " and part in ('html', 'text', 'sms')"},
		{"letters", ""},
		{"alerts", ""},
		{"calls", ""},
		{"call_tries", ""},
		{"rungs", ""},
	}
}

// Sweep deletes, in chunks, what refers to messages of dropped months.
func Sweep(ctx context.Context, db pg.DBTX) error {
	rows, _ := db.Query(ctx, `select month from pruned_months where not swept order by 1`)
	months, err := pgx.CollectRows(rows, pgx.RowTo[Month])
	if err != nil {
		return fmt.Errorf("list pruned months: %w", err)
	}
	for _, m := range months {
		if err := m.sweep(ctx, db); err != nil {
			return fmt.Errorf("delete what referred to %s: %w", m, err)
		}
	}
	return nil
}

func (m Month) sweep(ctx context.Context, db pg.DBTX) error {
	runs, err := runRanges(ctx, db, m, m+1)
	if err != nil {
		return err
	}
	for _, t := range sweptTables() {
		for _, r := range runs {
			err := r.each(func(lo, hi int64) error {
				_, err := db.Exec(ctx, `delete from `+t.table+` where message_id between $1 and $2`+t.also, lo, hi)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	// The key of contacts begins with the customer, so that each of these would read it whole.
	if _, err := db.Exec(ctx, `delete from contacts where message_id >> $2 = $1`, int(m), monthShift); err != nil {
		return err
	}
	_, err = db.Exec(ctx, `update pruned_months set swept = true where month = $1`, int(m))
	return err
}
