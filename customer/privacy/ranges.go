package privacy

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// chunk is how many ids one statement looks at: short transactions, whatever there is to do.
const chunk = 10_000

// span is a range of ids, both ends included.
type span struct{ lo, hi int64 }

// each calls f for parts of the span.
func (s span) each(f func(lo, hi int64) error) error {
	for lo := s.lo; lo <= s.hi; lo += chunk {
		if err := f(lo, min(lo+chunk-1, s.hi)); err != nil {
			return err
		}
	}
	return nil
}

// runRanges are the ids of messages of the runs of some months.
func runRanges(ctx context.Context, db pg.DBTX, from, to Month) ([]span, error) {
	rows, _ := db.Query(ctx, `
		select message_base + 1, message_base + message_count from runs
		where message_base >= $1 and message_base < $2 and message_count > 0 order by message_base`, from.first(), to.first())
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (s span, err error) {
		err = r.Scan(&s.lo, &s.hi)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	return list, nil
}
