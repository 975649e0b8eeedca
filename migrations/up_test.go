package migrations_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/pgtest"
	"github.com/sapa-crm/sapa/migrations"
)

var update = flag.Bool("update", false, "rewrite schema.sql")

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestSchemaGolden(t *testing.T) {
	t.Parallel()
	got, err := dump(t.Context(), pgtest.Pool(t), pg.DefaultSchema)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("schema.sql", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("schema.sql is not where the migrations lead: go test ./migrations -run Golden -update\n%s", diff)
	}
}

// files is a folder of migrations: 0001_one.sql, 0002_two.sql …
func files(texts ...string) fstest.MapFS {
	names := []string{"one", "two", "three", "four"}
	fs := fstest.MapFS{}
	for i, text := range texts {
		fs[fmt.Sprintf("%04d_%s.sql", i+1, names[i])] = &fstest.MapFile{Data: []byte(text)}
	}
	return fs
}

func up(t *testing.T, pool *pgxpool.Pool, texts ...string) error {
	t.Helper()
	return migrations.UpFrom(t.Context(), pool, "sapa", files(texts...))
}

func query[T any](t *testing.T, db pg.DBTX, sql string, args ...any) T {
	t.Helper()
	rows, _ := db.Query(t.Context(), sql, args...)
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

const applied = `select coalesce(string_agg(version || ' ' || name, ', ' order by version), '') from sapa.schema_migrations`

func TestUp(t *testing.T) {
	t.Parallel()
	pool := pgtest.Empty(t)
	one, two := "create table a (n int);\ncreate table b (n int);\n", "insert into a values (1);"
	for _, texts := range [][]string{{one}, {one}, {one, two}, {one, two}, {strings.ReplaceAll(one, "\n", "\r\n"), two}} {
		if err := up(t, pool, texts...); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := query[string](t, pool, applied), "1 0001_one.sql, 2 0002_two.sql"; got != want {
		t.Errorf("applied %s, want %s", got, want)
	}
	if got := query[int](t, pool, "select count(*)::int from sapa.a"); got != 1 {
		t.Errorf("the second migration ran %d times", got)
	}
	if got := query[bool](t, pool, "select to_regclass('sapa.river_job') is not null and to_regclass('public.river_job') is null"); !got {
		t.Error("River's tables are not in the schema")
	}
}

func TestUpOtherSchema(t *testing.T) {
	t.Parallel()
	pool := pgtest.Empty(t) // its search_path says sapa
	const schema = `Our "Sapa"`
	for range 2 {
		if err := migrations.Up(t.Context(), pool, schema); err != nil {
			t.Fatal(err)
		}
	}
	got := query[string](t, pool, `select string_agg(distinct nspname, ',') from pg_class c join pg_namespace n on n.oid = relnamespace
		where relname in ('messages', 'river_job', 'schema_migrations')`)
	if got != schema {
		t.Errorf("tables are in %s", got)
	}
}

func TestUpAtOnce(t *testing.T) {
	t.Parallel()
	pool := pgtest.Empty(t)
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = migrations.Up(t.Context(), pool, "sapa") })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

func TestUpRefuses(t *testing.T) {
	t.Parallel()
	today := time.Now().UTC().Format(time.DateOnly)
	for name, tt := range map[string]struct {
		first, then []string
		want        string
		applied     string
	}{
		"changed": {
			[]string{"create table a ();", "create table b ();"},
			[]string{"create table a ();", "create table c ();", "create table d ();"},
			"migrate schema sapa: migration 0002_two.sql is not the one that was applied on " + today +
				"\n  a migration is never changed: restore the file and write a new one",
			"1 0001_one.sql, 2 0002_two.sql",
		},
		"newer": {
			[]string{"create table a ();", "create table b ();"},
			[]string{"create table a ();"},
			"migrate schema sapa: the database was migrated by a newer Sapa (0002_two.sql; this one ends with number 1)" +
				"\n  install that version or a later one",
			"1 0001_one.sql, 2 0002_two.sql",
		},
		"wrong SQL": {
			nil,
			[]string{"create table a ();", "-- é\ncreate table b ();\ncreate tabel c ();"},
			`migrate schema sapa: 0002_two.sql:3: ERROR: syntax error at or near "tabel" (SQLSTATE 42601)`,
			"1 0001_one.sql",
		},
		"fails half-way": {
			nil,
			[]string{"create table a (n int primary key);\ninsert into a values (1);\ninsert into a values (1);"},
			`migrate schema sapa: 0001_one.sql: ERROR: duplicate key value violates unique constraint "a_pkey" (SQLSTATE 23505)`,
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Empty(t)
			if tt.first != nil {
				if err := up(t, pool, tt.first...); err != nil {
					t.Fatal(err)
				}
			}
			checkError(t, up(t, pool, tt.then...), tt.want)
			if got := query[string](t, pool, applied); got != tt.applied {
				t.Errorf("applied %q, want %q", got, tt.applied)
			}
		})
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	got := "no error"
	if err != nil {
		got = err.Error()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUpForeignSchema(t *testing.T) {
	t.Parallel()
	pool := pgtest.Empty(t)
	if _, err := pool.Exec(t.Context(), `create table public.customers (); create table public.orders ()`); err != nil {
		t.Fatal(err)
	}
	checkError(t, migrations.Up(t.Context(), pool, "public"),
		"migrate schema public: the schema already holds other tables (customers, orders)\n  Sapa needs a schema of its own: name another with SAPA_SCHEMA")
}

func TestUpGaps(t *testing.T) {
	t.Parallel()
	pool := pgtest.Empty(t)
	err := migrations.UpFrom(t.Context(), pool, "sapa", fstest.MapFS{"0001_a.sql": {}, "0003_c.sql": {}})
	checkError(t, err, "migrations: 0003_c.sql should be number 0002")
}

// ordinary is a pool of a role that may do nothing but log in.
func ordinary(t *testing.T, admin *pgxpool.Pool) (*pgxpool.Pool, string) {
	t.Helper()
	role := "clerk_" + query[string](t, admin, "select current_database()")
	if _, err := admin.Exec(t.Context(), "create role "+role+" login password 'clerk'"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dropRole(t, pgtest.URL(admin), role) })
	u, err := url.Parse(pgtest.URL(admin))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "clerk")
	pool, err := pg.Connect(t.Context(), u.String(), pg.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool, role
}

func dropRole(t *testing.T, dsn, role string) {
	ctx := context.Background() // the test's own has ended
	pool, err := pg.Connect(ctx, dsn, pg.Options{})
	if err != nil {
		t.Error(err)
		return
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, "drop owned by "+role+" cascade; drop role "+role); err != nil {
		t.Error(err)
	}
}

// TestUpAsOrdinaryRole lets an administrator make the schema for a role that may not.
func TestUpAsOrdinaryRole(t *testing.T) {
	t.Parallel()
	admin := pgtest.Empty(t)
	pool, role := ordinary(t, admin)
	database := query[string](t, admin, "select current_database()")
	checkError(t, migrations.Up(t.Context(), pool, "sapa"), fmt.Sprintf(
		"migrate schema sapa: role %s may not create a schema in database %s\n  an administrator mends it with: create schema \"sapa\" authorization \"%[1]s\"", role, database))
	if _, err := admin.Exec(t.Context(), `create schema "sapa"`); err != nil {
		t.Fatal(err)
	}
	checkError(t, migrations.Up(t.Context(), pool, "sapa"), fmt.Sprintf(
		"migrate schema sapa: role %s may not create tables there\n  an administrator mends it with: alter schema \"sapa\" owner to \"%[1]s\"", role))
	if _, err := admin.Exec(t.Context(), `alter schema "sapa" owner to `+role); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := migrations.Up(t.Context(), pool, "sapa"); err != nil {
			t.Error(err)
		}
	}
}

func TestPending(t *testing.T) {
	t.Parallel()
	if got, err := migrations.Pending(t.Context(), pgtest.Pool(t), "sapa"); err != nil || len(got) > 0 {
		t.Errorf("a migrated database lacks %v %v", got, err)
	}
	empty := pgtest.Empty(t)
	got, err := migrations.Pending(t.Context(), empty, "sapa")
	if err != nil || len(got) < 2 || got[0] != "0001_ledger.sql" || got[len(got)-1] != "river 8" {
		t.Errorf("an empty database lacks %v %v", got, err)
	}
	if err := up(t, empty, "create table a ()"); err != nil {
		t.Fatal(err)
	}
	_, err = migrations.Pending(t.Context(), empty, "sapa")
	checkError(t, err, "look at the migrations of schema sapa: migration 0001_one.sql is not the one that was applied on "+
		time.Now().UTC().Format(time.DateOnly)+"\n  a migration is never changed: restore the file and write a new one")
}
