package report

import (
	"context"
	"fmt"

	"github.com/sapa-crm/sapa/internal/pg"
)

// compactFrom is how many delta rows of a run are worth a compaction.
const compactFrom = 200

// Compact sums up the delta rows of runs that have many of them. It may run at any time and any number of times at once: each
// statement deletes exactly the rows whose sum it inserts, so readers see one or the other and what is appended
// meanwhile stays.
func Compact(ctx context.Context, db pg.DBTX) error {
	for _, sql := range []string{compactRunTotals, compactResponseTotals, compactRunCosts} {
		if _, err := db.Exec(ctx, sql, compactFrom); err != nil {
			return fmt.Errorf("compact totals: %w", err)
		}
	}
	return nil
}

const compactRunTotals = `
	with gone as (
		delete from run_totals
		where run_id in (select run_id from run_totals group by run_id having count(*) > $1)
		returning run_id, state, reason, delta
	)
	insert into run_totals (run_id, state, reason, delta)
	select run_id, state, reason, sum(delta) from gone group by run_id, state, reason having sum(delta) <> 0`

const compactResponseTotals = `
	with gone as (
		delete from response_totals
		where run_id in (select run_id from response_totals group by run_id having count(*) > $1)
		returning run_id, kind, part, link, total, uniq
	)
	insert into response_totals (run_id, kind, part, link, total, uniq)
	select run_id, kind, part, link, sum(total), sum(uniq) from gone
	group by run_id, kind, part, link having (sum(total), sum(uniq)) <> (0, 0)`

const compactRunCosts = `
	with gone as (
		delete from run_costs
		where run_id in (select run_id from run_costs group by run_id having count(*) > $1)
		returning run_id, segments, messages, price, currency
	)
	insert into run_costs (run_id, segments, messages, price, currency)
	select run_id, sum(segments), sum(messages), sum(price), currency from gone group by run_id, currency`
