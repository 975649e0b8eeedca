package privacy

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// releaseAfter is how long the company's row of an erased customer must be gone before its key is anybody's again: a
// table that is emptied and filled anew every night is empty for a while.
const releaseAfter = 7 * 24 * time.Hour

// releaseChunk is how many rows of the company's table are asked for at a time.
const releaseChunk = 1000

// Release gives up the keys of erased customers whose row in the company's table has been gone for a week, by all looks
// in between, and returns how many. A later row with such a key is somebody new. Erase does so at once, when it is told
// to erase the key again and finds the row gone.
func Release(ctx context.Context, pool *pgxpool.Pool, s *customer.Schema, now time.Time) (int, error) {
	fetch, err := customer.NewFetch(s.Customer, nil)
	if err != nil {
		return 0, err
	}
	for last := 0; ; {
		keys, ids, err := heldKeys(ctx, pool, last)
		if err != nil {
			return 0, err
		}
		if len(ids) == 0 {
			return giveUp(ctx, pool, now)
		}
		last = ids[len(ids)-1]
		found, err := fetch.Rows(ctx, pool, keys)
		if err != nil {
			return 0, fmt.Errorf("look for the rows of erased customers: %w", err)
		}
		here := make([]bool, len(keys))
		for i, key := range keys {
			_, here[i] = found[key]
		}
		_, err = pool.Exec(ctx, `
			update erasures e set gone_since = case when not k.here then $3::timestamptz end
			from unnest($1::int[], $2::boolean[]) k(id, here)
			where e.id = k.id and k.here = (e.gone_since is not null)`, ids, here, now)
		if err != nil {
			return 0, fmt.Errorf("note whose rows are gone: %w", err)
		}
	}
}

func heldKeys(ctx context.Context, db pg.DBTX, after int) (keys []string, ids []int, err error) {
	rows, _ := db.Query(ctx, `select id, customer_key from erasures where customer_key is not null and id > $1 order by id limit $2`, after, releaseChunk)
	var id int
	var key string
	_, err = pgx.ForEachRow(rows, []any{&id, &key}, func() error {
		ids, keys = append(ids, id), append(keys, key)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list erased customers: %w", err)
	}
	return keys, ids, nil
}

func giveUp(ctx context.Context, db pg.DBTX, now time.Time) (int, error) {
	tag, err := db.Exec(ctx, `
		update erasures set customer_key = null, released_at = $1
		where customer_key is not null and gone_since <= $2`, now, now.Add(-releaseAfter))
	if err != nil {
		return 0, fmt.Errorf("release keys of erased customers: %w", err)
	}
	return int(tag.RowsAffected()), nil
}
