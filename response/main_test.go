package response

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.MainNoLeaks(m) }

// lines runs a query whose rows are one text each.
func lines(t testing.TB, pool *pgxpool.Pool, sql string, args ...any) []string {
	t.Helper()
	rows, _ := pool.Query(t.Context(), sql, args...)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// totals are the sums of response_totals: "kind part link total/uniq".
func totals(t testing.TB, pool *pgxpool.Pool) []string {
	t.Helper()
	return lines(t, pool, `
		select concat_ws(' ', kind, nullif(part, ''), nullif(link, -1), sum(total) || '/' || sum(uniq))
		from response_totals group by kind, part, link having (sum(total), sum(uniq)) <> (0, 0) order by kind, part, link`)
}

// totalsOfHits are the same, counted from hits and responses.
func totalsOfHits(t testing.TB, pool *pgxpool.Pool) []string {
	t.Helper()
	return lines(t, pool, `
		with counted as (
			select case when verdict <> 'human' then 'machine_' else '' end || kind as kind, '' as part, -1 as link, message_id, at
			from hits where kind in ('open', 'click', 'unsubscribe')
			union all
			select kind, part, link, message_id, at from hits where kind = 'click' and verdict = 'human'
		), uniq as (
			select kind, part, link, count(*) as n from responses group by 1, 2, 3
		)
		select concat_ws(' ', kind, nullif(part, ''), nullif(link, -1), count(*) || '/' || (select n from uniq u where (u.kind, u.part, u.link) = (c.kind, c.part, c.link)))
		from counted c group by kind, part, link order by kind, part, link`)
}
