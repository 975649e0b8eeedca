// Package pg is Sapa's way to PostgreSQL: a pool whose search_path is exactly Sapa's schema, transactions, and, on a
// machine without a database, a private cluster that is started when needed and stopped by its last user.
//
//	pool, err := pg.Connect(ctx, os.Getenv("DATABASE_URL"), pg.Options{})
//
// Sapa's own tables are therefore written unqualified in SQL, and the company's tables always as "schema"."table".
package pg

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DefaultSchema is the schema of Sapa's own tables where SAPA_SCHEMA names no other.
const DefaultSchema = "sapa"

// LockTimeout is how long a statement may wait for locks on the company's tables, as the setting lock_timeout. It is set
// per transaction and not for the session: Sapa's own statements wait for each other as long as that takes.
const LockTimeout = "2s"

// DBTX is what runs SQL: a *pgxpool.Pool, a *pgxpool.Conn or a pgx.Tx. Functions take it so that their caller decides on
// the transaction.
type DBTX interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	Begin(ctx context.Context) (pgx.Tx, error)
}

var (
	_ DBTX = (*pgxpool.Pool)(nil)
	_ DBTX = (*pgxpool.Conn)(nil)
	_ DBTX = pgx.Tx(nil)
)

// InTx runs f in a transaction (a savepoint, when db is one already) and commits when f returns nil. On an error or a
// panic everything f did is rolled back.
func InTx(ctx context.Context, db DBTX, f func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, db, f)
}

// Options are the settings of a pool; the zero value is right for most callers.
type Options struct {
	Schema   string // Sapa's schema, DefaultSchema when empty
	MaxConns int32  // the most connections kept open; 0 = pgxpool's default, the greater of 4 and the number of CPUs
	AppName  string // application_name, by which an administrator recognises the connection; "sapa" when empty
}

func (o Options) withDefaults() Options {
	if o.Schema == "" {
		o.Schema = DefaultSchema
	}
	if o.AppName == "" {
		o.AppName = "sapa"
	}
	return o
}

// Connect opens a pool on url (a postgres:// URL or a keyword/value string; what it leaves out comes from PGHOST and its
// kin) and makes sure that a connection works. Each session has search_path set to exactly the schema, which may not
// exist yet, TimeZone UTC and no statement_timeout. An error names host and database, never the password, and
// says how to mend it.
func Connect(ctx context.Context, url string, opts Options) (*pgxpool.Pool, error) {
	cfg, err := Config(url, opts)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, explain(cfg.ConnConfig, err)
	}
	return pool, nil
}

// Config is the pool configuration that Connect uses, for callers that need one more setting.
func Config(url string, opts Options) (*pgxpool.Config, error) {
	opts = opts.withDefaults()
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, explainURL(err)
	}
	if opts.MaxConns > 0 {
		cfg.MaxConns = opts.MaxConns
	}
	params := cfg.ConnConfig.RuntimeParams
	params["search_path"] = pgx.Identifier{opts.Schema}.Sanitize()
	params["application_name"] = opts.AppName
	params["timezone"] = "UTC"
	params["statement_timeout"] = "0"
	return cfg, nil
}
