package campaign

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
)

// Unknown are the ids of a run's messages that were handed over, or may have been, and of which nobody knows whether the
// provider took them. Where customers are named, only theirs; where channels are, only those that went by them.
func (p *Planner) Unknown(ctx context.Context, run int, customers []string, channels ...string) ([]int64, error) {
	if _, err := p.run(ctx, p.Pool, run); err != nil {
		return nil, err
	}
	rows, _ := p.Pool.Query(ctx, `
		select m.id from runs r join messages m on m.id between r.message_base + 1 and r.message_base + r.message_count
		where r.id = $1 and m.state = 'unknown' and ($2::text[] is null or m.customer_key = any($2))
		  and ($3::text[] is null or m.channel = any($3))
		order by m.id`, run, customers, channels)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("list unknown messages of run %d: %w", run, err)
	}
	return ids, nil
}

// resolveMost is how many messages one transaction settles at most.
const resolveMost = 1000

// Resolve settles unknown messages of a run; by says what it rests on, for the audit log. Messages that are to be sent
// again make a run that is done send again; they wait in one that is paused, and a cancelled one refuses them.
func (p *Planner) Resolve(ctx context.Context, run int, findings []delivery.Finding, actor, by string) (map[delivery.Resolution]int, error) {
	total := map[delivery.Resolution]int{}
	for chunk := range slices.Chunk(findings, resolveMost) {
		settled, err := p.resolve(ctx, run, chunk, actor, by)
		if err != nil {
			return total, err
		}
		for resolution, n := range settled {
			total[resolution] += n
		}
	}
	return total, nil
}

func (p *Planner) resolve(ctx context.Context, run int, findings []delivery.Finding, actor, by string) (settled map[delivery.Resolution]int, err error) {
	from := []string{"sending", "paused", "done", "cancelled"}
	if slices.ContainsFunc(findings, func(f delivery.Finding) bool { return f.Is == delivery.Resend }) {
		from = from[:3]
	}
	err = pg.InTx(ctx, p.Pool, func(tx pgx.Tx) error {
		state, err := lockRun(ctx, tx, run, "resolve", from)
		if err != nil {
			return err
		}
		settled, err = delivery.Resolve(ctx, tx, run, findings, p.Now())
		if err != nil || len(settled) == 0 {
			return err
		}
		if settled[delivery.Resend] > 0 && state != "paused" {
			if err := p.sendAgain(ctx, tx, run); err != nil {
				return err
			}
		}
		detail := map[string]any{"by": by}
		for resolution, n := range settled {
			detail[string(resolution)] = n
		}
		return access.Record(ctx, tx, access.Entry{Actor: actor, Action: "resolve", Subject: fmt.Sprintf("run %d", run), Detail: detail})
	})
	return settled, err
}

// sendAgain lets a run that is done send what was planned again.
func (p *Planner) sendAgain(ctx context.Context, tx pgx.Tx, run int) error {
	_, err := tx.Exec(ctx, `update runs set state = 'sending', finished_at = null where id = $1 and state = 'done'`, run)
	if err != nil {
		return fmt.Errorf("reopen run %d: %w", run, err)
	}
	return p.wake(ctx, run)(tx)
}
