package response

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/channels/alert"
	"github.com/sapa-crm/sapa/internal/pg"
)

// MarkAlertsDone notes who has seen to alerts, and tells the desks' pages. It returns how many of them nobody had seen to.
func MarkAlertsDone(ctx context.Context, db pg.DBTX, ids []int64, actor string, at time.Time) (int, error) {
	var n int
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `
			with done as (
				update alerts set done_at = $2, done_by = $3 where id = any($1) and done_at is null returning id, desk
			), told as materialized (
				select pg_notify($4, current_schema() || ' ' || desk) from done group by desk
			)
			select id from done where (select count(*) from told) > 0 order by id`, ids, at, actor, alert.Notify)
		done, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if n = len(done); err != nil || n == 0 {
			return err
		}
		return access.Record(ctx, tx, access.Entry{Actor: actor, Action: "see to alerts", Subject: "alerts", Detail: map[string]any{"ids": done}})
	})
	if err != nil {
		return 0, fmt.Errorf("mark alerts as done: %w", err)
	}
	return n, nil
}
