// Package pgtest gives tests a real PostgreSQL:
//
//	func TestPlan(t *testing.T) {
//		t.Parallel()
//		pool := pgtest.Pool(t) // a migrated database of this test's own
//
// The server is the one at $TEST_DATABASE_URL (a superuser's URL), else a throw-away cluster without fsync that is started
// when a test binary first asks for it, and that stops and disappears with the test binary, however that ends.
// It is kept in memory where the system has room for it. Databases are cloned from a migrated template, which costs some
// hundredths of a second.
package pgtest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/sapa-crm/sapa/internal/pg"
)

// Option changes the database that Empty makes, or the pool on it.
type Option func(*settings)

type settings struct {
	locale  string // clauses of "create database"
	icu     bool
	session map[string]string
}

// Collation makes a database whose default collation is a locale of the C library, such as "C".
func Collation(name string) Option {
	return func(s *settings) { s.locale = "lc_collate " + literal(name) }
}

// ICU makes a database whose default collation is an ICU locale, such as "id" or "en-x-icu". The test is skipped where the
// server can't (before PostgreSQL 15, or built without ICU).
func ICU(locale string) Option {
	return func(s *settings) {
		s.icu = true
		s.locale = "locale_provider icu icu_locale " + literal(strings.TrimSuffix(locale, "-x-icu"))
	}
}

// TimeZone sets the session time zone of the pool, which is UTC otherwise.
func TimeZone(name string) Option { return Setting("timezone", name) }

// Setting sets a session parameter of the pool, such as enable_seqscan.
func Setting(name, value string) Option {
	return func(s *settings) { s.session[name] = value }
}

// Pool is a pool on a database of this test's own, with every migration applied in schema sapa. Both are gone when the test ends.
func Pool(t testing.TB, opts ...Option) *pgxpool.Pool {
	t.Helper()
	srv := need(t)
	template, err := srv.migratedTemplate(t.Context())
	if err != nil {
		t.Fatalf("make the migrated template database: %v", err)
	}
	pool := open(t, srv, "template "+ident(template), newSettings(opts))
	// The template knew itself by another name; a database that does not is taken for a copy restored elsewhere.
	if _, err := pool.Exec(t.Context(), `update installation set database_name = current_database()`); err != nil {
		t.Fatal(err)
	}
	return pool
}

// Empty is a pool on a database of this test's own without Sapa's schema: a company's database before Sapa comes.
func Empty(t testing.TB, opts ...Option) *pgxpool.Pool {
	t.Helper()
	srv := need(t)
	set := newSettings(opts)
	if set.icu && !srv.hasICU {
		t.Skip("this PostgreSQL has no ICU collation for databases")
	}
	return open(t, srv, "template template0 encoding 'UTF8' "+set.locale, set)
}

// URL is the connection string of a pool's database, for programs under test.
func URL(pool *pgxpool.Pool) string { return pool.Config().ConnString() }

func newSettings(opts []Option) settings {
	set := settings{session: map[string]string{}}
	for _, opt := range opts {
		opt(&set)
	}
	return set
}

// open creates a database and a pool on it, and undoes both when the test ends.
func open(t testing.TB, srv *server, clauses string, set settings) *pgxpool.Pool {
	t.Helper()
	name := fmt.Sprintf("sapa_t_%08x", rand.Uint32())
	if _, err := srv.admin.Exec(t.Context(), "create database "+ident(name)+" "+clauses+srv.copying); err != nil {
		t.Fatalf("create a test database: %v", err)
	}
	t.Cleanup(func() { srv.drop(t, name) })
	cfg, err := pg.Config(srv.url(name), pg.Options{AppName: "pgtest"})
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(cfg.ConnConfig.RuntimeParams, set.session)
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closePool(t, pool) })
	return pool
}

// closePool fails the test instead of hanging when it kept a connection.
func closePool(t testing.TB, pool *pgxpool.Pool) {
	closed := make(chan struct{})
	go func() { pool.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Errorf("the test ended while it still used %d connections", pool.Stat().AcquiredConns())
	}
}

// need is the server, or the end of the test.
func need(t testing.TB) *server {
	t.Helper()
	srv, err := shared.get()
	if err == nil {
		return srv
	}
	if testing.Short() {
		t.Skipf("no PostgreSQL: %v", err)
	}
	t.Fatalf("this test needs PostgreSQL: %v\n  or name a server with TEST_DATABASE_URL=postgres://superuser:password@host/postgres", err)
	return nil
}

// Main runs a package's tests and then waits until the throw-away cluster is gone. It is for TestMain:
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// Without it the cluster goes too, a moment after the test binary.
func Main(m *testing.M) { os.Exit(run(m)) }

// MainNoLeaks is Main for packages whose tests must leave no goroutine running, but for the given exceptions.
func MainNoLeaks(m *testing.M, except ...goleak.Option) {
	code := run(m)
	if err := goleak.Find(except...); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "goroutines left running:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int) {
	code = m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop the throw-away cluster:", err)
		return max(code, 1)
	}
	return code
}

func (s *server) drop(t testing.TB, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := s.admin.Exec(ctx, "drop database if exists "+ident(name)+" with (force)"); err != nil {
		t.Errorf("drop the test database: %v", err)
	}
}

func ident(name string) string { return pgx.Identifier{name}.Sanitize() }

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
