package pgtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.MainNoLeaks(m) }

func show(t *testing.T, pool *pgxpool.Pool, sql string) string {
	t.Helper()
	var value string
	if err := pool.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestPoolIsMigratedAndAlone(t *testing.T) {
	t.Parallel()
	a, b := pgtest.Pool(t), pgtest.Pool(t)
	if got := show(t, a, "show search_path"); got != `"sapa"` {
		t.Errorf("search_path = %s", got)
	}
	if _, err := a.Exec(t.Context(), "create table only_in_a ()"); err != nil {
		t.Fatal(err)
	}
	if got := show(t, b, "select (to_regclass('only_in_a') is null)::text || (to_regclass('river_job') is not null)"); got != "truetrue" {
		t.Errorf("got %s: the databases are shared, or not migrated", got)
	}
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts []pgtest.Option
		sql  string
		want string
	}{
		"no schema":  {nil, "select count(*)::text from pg_namespace where nspname = 'sapa'", "0"},
		"UTC":        {nil, "show timezone", "UTC"},
		"time zone":  {[]pgtest.Option{pgtest.TimeZone("Asia/Jakarta")}, "show timezone", "Asia/Jakarta"},
		"C":          {[]pgtest.Option{pgtest.Collation("C")}, "select ('a' > 'B')::text", "true"},
		"ICU":        {[]pgtest.Option{pgtest.ICU("id-x-icu")}, "select ('a' < 'B')::text", "true"},
		"upper of é": {nil, "select upper('é')", "É"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := show(t, pgtest.Empty(t, tt.opts...), tt.sql); got != tt.want {
				t.Errorf("%s = %s, want %s", tt.sql, got, tt.want)
			}
		})
	}
}
