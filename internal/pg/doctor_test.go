package pg_test

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/pgtest"
	"github.com/sapa-crm/sapa/migrations"
)

var patterns = []struct {
	find *regexp.Regexp
	put  string
}{
	{regexp.MustCompile(`[0-9.]+ GB`), "N GB"},
	{regexp.MustCompile(`process \d+`), "process N"},
	{regexp.MustCompile(`PostgreSQL [0-9]\S*,`), "PostgreSQL V,"},
	{regexp.MustCompile(`[0-9]\S* in /\S+/bin`), "V in BIN"},
	{regexp.MustCompile(`sapa_t_\w+ on \S+`), "DB on HOST"},
	{regexp.MustCompile(`sapa_t_[0-9a-f]+`), "DB"},
	{regexp.MustCompile(` {2,}`), "  "},
	{regexp.MustCompile(`\nok  account .*`), ""}, // only root has this line
}

// printed is what doctor prints, with what differs between machines and runs replaced, and whether all was in order.
func printed(t *testing.T, opts pg.CheckOptions) (string, bool) {
	t.Helper()
	var b strings.Builder
	ok := pg.PrintChecks(&b, pg.CheckAll(t.Context(), opts))
	text := b.String()
	if opts.Dir != "" {
		text = strings.ReplaceAll(text, opts.Dir, "DIR")
	}
	for _, p := range patterns {
		text = p.find.ReplaceAllString(text, p.put)
	}
	return strings.ReplaceAll(strings.TrimSpace(text), "\n  ", "\n"), ok
}

func checkPrinted(t *testing.T, opts pg.CheckOptions, wantOK bool, want string) {
	t.Helper()
	got, ok := printed(t, opts)
	if diff := cmp.Diff(strings.TrimSpace(want), got); diff != "" {
		t.Error(diff)
	}
	if ok != wantOK {
		t.Errorf("in order: %t", ok)
	}
}

func TestDoctorPrivate(t *testing.T) {
	t.Parallel()
	needBinaries(t)
	dir := filepath.Join(shortTemp(t, os.Geteuid()), "cluster")
	opts := pg.CheckOptions{Dir: dir, Pending: migrations.Pending}
	checkPrinted(t, opts, true, `
ok  database  DATABASE_URL is not set: Sapa uses a private PostgreSQL
ok  PostgreSQL programs  V in BIN
ok  data folder  DIR
ok  disk space  N GB free
ok  private PostgreSQL  not made yet: the first command that needs it does so`)
	if _, err := os.Stat(dir); err == nil {
		t.Error("doctor made something")
	}
	c, err := pg.Private(t.Context(), pg.PrivateOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.EnsureDatabase(t.Context(), "sapa"); err != nil {
		t.Error(err)
	}
	got, ok := printed(t, opts)
	if !ok || !strings.Contains(got, "running, process N; its log is DIR/server.log") {
		t.Errorf("a running cluster:\n%s", got)
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
	if got, ok := printed(t, opts); !ok || !strings.Contains(got, "stopped: the next command that needs it starts it") {
		t.Errorf("a stopped cluster:\n%s", got)
	}
}

func TestDoctorWithoutPrograms(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(shortTemp(t, os.Geteuid()), "cluster")
	checkPrinted(t, pg.CheckOptions{Dir: dir, BinDirs: []string{"/nonexistent"}}, false, `
ok  database  DATABASE_URL is not set: Sapa uses a private PostgreSQL
MEND  PostgreSQL programs  no PostgreSQL server programs (postgres, initdb) on this machine
→ install them with: `+pg.InstallCommand(0)+`
ok  data folder  DIR
ok  disk space  N GB free
ok  private PostgreSQL  not made yet: the first command that needs it does so`)
}

func TestDoctorDatabase(t *testing.T) {
	t.Parallel()
	checkPrinted(t, pg.CheckOptions{URL: pgtest.URL(pgtest.Pool(t)), Pending: migrations.Pending}, true, `
ok  DATABASE_URL  DB on HOST answers: PostgreSQL V, role sapa
ok  encoding  UTF8
ok  rights  role sapa may make tables in schema sapa
ok  tables  up to date in schema sapa`)
	empty := pgtest.Empty(t)
	opts := pg.CheckOptions{URL: pgtest.URL(empty), Pending: func(context.Context, *pgxpool.Pool, string) ([]string, error) {
		return []string{"0002_x.sql", "river 9"}, nil
	}}
	checkPrinted(t, opts, true, `
ok  DATABASE_URL  DB on HOST answers: PostgreSQL V, role sapa
ok  encoding  UTF8
ok  rights  role sapa may make schema sapa, which is not there yet: run sapa migrate`)
	if _, err := empty.Exec(t.Context(), "create schema sapa"); err != nil {
		t.Fatal(err)
	}
	checkPrinted(t, opts, false, `
ok  DATABASE_URL  DB on HOST answers: PostgreSQL V, role sapa
ok  encoding  UTF8
ok  rights  role sapa may make tables in schema sapa
MEND  tables  2 migrations are missing: 0002_x.sql, river 9
→ run: sapa migrate`)
}

func TestDoctorRights(t *testing.T) {
	t.Parallel()
	admin := pgtest.Empty(t)
	dsn := asClerk(t, admin)
	opts := pg.CheckOptions{URL: dsn, Schema: "greet", Pending: migrations.Pending}
	checkPrinted(t, opts, false, `
ok  DATABASE_URL  DB on HOST answers: PostgreSQL V, role clerk_DB
ok  encoding  UTF8
MEND  rights  role clerk_DB may not make schema greet
→ an administrator mends it with: create schema "greet" authorization "clerk_DB"`)
	if _, err := admin.Exec(t.Context(), "create schema greet"); err != nil {
		t.Fatal(err)
	}
	got, ok := printed(t, opts)
	if want := `→ an administrator mends it with: alter schema "greet" owner to "clerk_DB"`; ok || !strings.Contains(got, want) {
		t.Errorf("%s\ndoes not say %s", got, want)
	}
	checkPrinted(t, pg.CheckOptions{URL: "host=/nonexistent user=ayu port=5432 dbname=shop"}, false, `
MEND  DATABASE_URL  connect to shop on /nonexistent: there is no socket /nonexistent/.s.PGSQL.5432
→ start the server there, or check host and port in DATABASE_URL; with DATABASE_URL unset Sapa runs a private PostgreSQL of its own`)
}

// asClerk is the URL of a role that may do nothing but log in.
func asClerk(t *testing.T, admin *pgxpool.Pool) string {
	t.Helper()
	dsn, err := url.Parse(pgtest.URL(admin))
	if err != nil {
		t.Fatal(err)
	}
	role := "clerk_" + strings.TrimPrefix(dsn.Path, "/")
	if _, err := admin.Exec(t.Context(), "create role "+role+" login"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec(context.Background(), "drop role "+role); err != nil {
			t.Error(err)
		}
	})
	dsn.User = url.User(role)
	return dsn.String()
}
