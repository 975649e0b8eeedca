package pg_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

func TestConnectSession(t *testing.T) {
	t.Parallel()
	pool, err := pg.Connect(t.Context(), pgtest.URL(pgtest.Empty(t)), pg.Options{Schema: `Our "Sapa"`, MaxConns: 3, AppName: "bench"})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for sql, want := range map[string]string{
		"show search_path":       `"Our ""Sapa"""`,
		"show timezone":          "UTC",
		"show statement_timeout": "0",
		"show lock_timeout":      "0",
		"show application_name":  "bench",
	} {
		var got string
		if err := pool.QueryRow(t.Context(), sql).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", sql, got, err, want)
		}
	}
	if pool.Config().MaxConns != 3 {
		t.Errorf("MaxConns = %d", pool.Config().MaxConns)
	}
}

func TestInTx(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	if _, err := pool.Exec(t.Context(), "create table notes (n int)"); err != nil {
		t.Fatal(err)
	}
	add := func(db pg.DBTX, n int) error {
		_, err := db.Exec(t.Context(), "insert into notes values ($1)", n)
		return err
	}
	boom := errors.New("boom")
	err := pg.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		inner := pg.InTx(t.Context(), tx, func(tx pgx.Tx) error { return errors.Join(add(tx, 1), boom) })
		if !errors.Is(inner, boom) {
			t.Errorf("inner: %v", inner)
		}
		return add(tx, 2)
	})
	if err != nil {
		t.Error(err)
	}
	if err := pg.InTx(t.Context(), pool, func(tx pgx.Tx) error { return errors.Join(add(tx, 3), boom) }); !errors.Is(err, boom) {
		t.Errorf("outer: %v", err)
	}
	rows, _ := pool.Query(t.Context(), "select n from notes")
	got, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if diff := cmp.Diff([]int{2}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// refusing is a PostgreSQL on loopback that answers every start-up with an error.
func refusing(t *testing.T, code, message string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			refuse(conn, code, message)
		}
	}()
	return fmt.Sprintf("postgres://ayu:s3cret@%s/shop?sslmode=disable", ln.Addr())
}

func refuse(conn net.Conn, code, message string) {
	defer conn.Close()
	backend := pgproto3.NewBackend(conn, conn)
	if _, err := backend.ReceiveStartupMessage(); err != nil {
		return
	}
	backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: message})
	_ = backend.Flush() // a client that left needs no answer
}

func TestConnectRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ code, message, want string }{
		{"28P01", `password authentication failed for user "ayu"`, `connect to shop on ADDR: password authentication failed for user "ayu"
  check user and password in DATABASE_URL; an administrator sets a new one with: alter role "ayu" password '...'`},
		{"28000", `role "ayu" is not permitted to log in`, `connect to shop on ADDR: role "ayu" is not permitted to log in
  the role must exist and may log in (create role "ayu" login password '...'), and the server's pg_hba.conf must let it in from here`},
		{"3D000", `database "shop" does not exist`, `connect to shop on ADDR: database "shop" does not exist
  create it with: create database "shop" owner "ayu"`},
		{"42501", `permission denied for database "shop"`, `connect to shop on ADDR: permission denied for database "shop"
  an administrator allows it with: grant connect on database "shop" to "ayu"`},
		{"53300", "sorry, too many clients already", `connect to shop on ADDR: sorry, too many clients already
  close other programs' connections, or raise max_connections on the server`},
		{"57P03", "the database system is starting up", "connect to shop on ADDR: the database system is starting up\n  try again in a moment"},
		{"XX000", "something else", "connect to shop on ADDR: something else (SQLSTATE XX000)"},
	} {
		t.Run(tt.code, func(t *testing.T) {
			t.Parallel()
			dsn := refusing(t, tt.code, tt.message)
			checkRefusal(t, dsn, tt.want)
		})
	}
}

func checkRefusal(t *testing.T, dsn, want string) {
	t.Helper()
	_, err := pg.Connect(t.Context(), dsn, pg.Options{})
	if err == nil {
		t.Fatal("connected")
	}
	got := err.Error()
	if u, parseErr := url.Parse(dsn); parseErr == nil && u.Host != "" {
		got = strings.ReplaceAll(got, u.Host, "ADDR")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(fmt.Sprintf("%v %+v", err, err), "s3cret") {
		t.Error("the password is in the error")
	}
}

func TestConnectUnreachable(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	const start = "\n  start the server there, or check host and port in DATABASE_URL; with DATABASE_URL unset Sapa runs a private PostgreSQL of its own"
	checkRefusal(t, "postgres://ayu:s3cret@"+addr+"/shop", "connect to shop on ADDR: nothing listens there"+start)
	checkRefusal(t, "host=/nonexistent user=ayu password=s3cret port=5432 dbname=shop",
		"connect to shop on /nonexistent: there is no socket /nonexistent/.s.PGSQL.5432"+start)
}

func TestConnectUnreadable(t *testing.T) {
	t.Parallel()
	const neither = "it is neither a URL nor keyword=value pairs"
	const port = "its port is not a number from 1 to 65535"
	for dsn, want := range map[string]string{
		"postgres://ayu:s3cret%zz@db/shop":                           neither,
		"postgres://ayu:s3cret/x@db/shop":                            port,
		"mysql://ayu:s3cret@db/shop":                                 neither,
		"password=s3cret shop":                                       neither,
		"host=db port=s3cret dbname=shop":                            port,
		"postgres://db/shop?sslmode=s3cret":                          "its sslmode is none of disable, allow, prefer, require, verify-ca and verify-full",
		"postgres://db/shop?sslmode=verify-full&sslrootcert=/s3cret": "a certificate, key or authority file that it names can't be used",
		"postgres://db/shop?pool_max_conns=s3cret":                   "one of its pool_ settings is not a number or duration",
	} {
		checkRefusal(t, dsn, "connect to PostgreSQL: the connection string can't be read: "+want+
			"\n  write it as postgres://user:password@host:5432/database, with special characters in the password percent-encoded (@ is %40, / is %2F, # is %23, % is %25)")
	}
}

func TestConnectCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pg.Connect(ctx, "postgres://127.0.0.1/shop", pg.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
