package migrations

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/internal/pg"
)

// Up brings the schema up to date: it is created if it is absent, then every migration that is missing runs in a
// transaction of its own, and then River's. Any number of processes may call it at once. It refuses a schema that holds
// tables of others, a file that was changed after it ran, and a database that a newer Sapa has migrated.
func Up(ctx context.Context, pool *pgxpool.Pool, schema string) error {
	list, err := load(files)
	if err != nil {
		return err
	}
	return up(ctx, pool, schema, list)
}

func up(ctx context.Context, pool *pgxpool.Pool, schema string, list []migration) error {
	if err := prepare(ctx, pool, schema); err != nil {
		return fmt.Errorf("migrate schema %s: %w", schema, err)
	}
	for more := true; more; {
		err := locked(ctx, pool, schema, func(tx pgx.Tx) (err error) {
			more, err = step(ctx, tx, schema, list)
			return err
		})
		if err != nil {
			return fmt.Errorf("migrate schema %s: %w", schema, err)
		}
	}
	if err := upRiver(ctx, pool, schema); err != nil {
		return fmt.Errorf("migrate schema %s: river: %w", schema, err)
	}
	return nil
}

// locked runs f in a transaction that no other migrating process shares, with unqualified names meaning the schema.
func locked(ctx context.Context, pool *pgxpool.Pool, schema string, f func(pgx.Tx) error) error {
	return pg.InTx(ctx, pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('sapa migrations ' || $1, 0)),
			set_config('search_path', quote_ident($1), true),
			set_config('statement_timeout', '0', true)`, schema)
		if err != nil {
			return err
		}
		return f(tx)
	})
}

// prepare creates the schema and the table of applied migrations where they are absent.
func prepare(ctx context.Context, pool *pgxpool.Pool, schema string) error {
	return locked(ctx, pool, schema, func(tx pgx.Tx) error {
		if err := createSchema(ctx, tx, schema); err != nil {
			return err
		}
		var known bool
		if err := tx.QueryRow(ctx, `select to_regclass('schema_migrations') is not null`).Scan(&known); err != nil {
			return err
		}
		if known {
			return nil
		}
		if err := mayCreate(ctx, tx, schema); err != nil {
			return err
		}
		if err := refuseForeign(ctx, tx, schema); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			create table schema_migrations (
				version    integer primary key,
				name       text not null,
				checksum   text not null,
				applied_at timestamptz not null default now()
			)`)
		return err
	})
}

// createSchema does nothing for a schema that exists: "create schema if not exists" would ask for the right to create
// one even then.
func createSchema(ctx context.Context, tx pgx.Tx, schema string) error {
	var exists bool
	if err := tx.QueryRow(ctx, `select exists (select from pg_namespace where nspname = $1)`, schema).Scan(&exists); err != nil {
		return err
	}
	if exists {
		return nil
	}
	var may bool
	var database, role string
	err := tx.QueryRow(ctx, `select has_database_privilege(current_database(), 'create'), current_database(), current_user`).
		Scan(&may, &database, &role)
	if err != nil {
		return err
	}
	if !may {
		return fmt.Errorf("role %s may not create a schema in database %s\n  an administrator mends it with: create schema %s authorization %s",
			role, database, ident(schema), ident(role))
	}
	_, err = tx.Exec(ctx, `create schema `+ident(schema))
	return err
}

// refuseForeign keeps Sapa out of a schema that somebody else uses.
func refuseForeign(ctx context.Context, tx pgx.Tx, schema string) error {
	rows, _ := tx.Query(ctx, `
		select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm', 'f') order by 1 limit 4`, schema)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(names) == 0 {
		return err
	}
	if len(names) == 4 {
		names[3] = "…"
	}
	return fmt.Errorf("the schema already holds other tables (%s)\n  Sapa needs a schema of its own: name another with SAPA_SCHEMA",
		strings.Join(names, ", "))
}

// mayCreate says what is missing when the role can't make tables in the schema.
func mayCreate(ctx context.Context, tx pgx.Tx, schema string) error {
	var may bool
	var role string
	err := tx.QueryRow(ctx, `select has_schema_privilege($1, 'usage') and has_schema_privilege($1, 'create'), current_user`, schema).
		Scan(&may, &role)
	if err != nil || may {
		return err
	}
	return fmt.Errorf("role %s may not create tables there\n  an administrator mends it with: alter schema %s owner to %s",
		role, ident(schema), ident(role))
}

// step applies the first migration that is missing and says whether there was one.
func step(ctx context.Context, tx pgx.Tx, schema string, list []migration) (more bool, err error) {
	done, err := readApplied(ctx, tx)
	if err != nil {
		return false, err
	}
	if err := compare(done, list); err != nil {
		return false, err
	}
	if len(done) == len(list) {
		return false, nil
	}
	if err := mayCreate(ctx, tx, schema); err != nil {
		return false, err
	}
	next := list[len(done)]
	slog.DebugContext(ctx, "migrate", slog.String("migration", next.Name))
	if _, err := tx.Exec(ctx, next.sql); err != nil {
		return false, locate(next, err)
	}
	_, err = tx.Exec(ctx, `insert into schema_migrations (version, name, checksum) values ($1, $2, $3)`,
		next.Version, next.Name, next.Checksum)
	return true, err
}

type applied struct {
	Version   int
	Name      string
	Checksum  string
	AppliedAt time.Time
}

func readApplied(ctx context.Context, db pg.DBTX) ([]applied, error) {
	rows, _ := db.Query(ctx, `select version, name, checksum, applied_at from schema_migrations order by version`)
	return pgx.CollectRows(rows, pgx.RowToStructByName[applied])
}

// compare checks that what was applied is a beginning of the list.
func compare(done []applied, list []migration) error {
	if len(done) > len(list) {
		return fmt.Errorf("the database was migrated by a newer Sapa (%s; this one ends with number %d)\n  install that version or a later one",
			done[len(done)-1].Name, len(list))
	}
	i := slices.IndexFunc(done, func(a applied) bool {
		m := list[min(max(a.Version, 1), len(list))-1]
		return a.Version != m.Version || a.Checksum != m.Checksum
	})
	if i < 0 {
		return nil
	}
	a := done[i]
	return fmt.Errorf("migration %s is not the one that was applied on %s\n  a migration is never changed: restore the file and write a new one",
		a.Name, a.AppliedAt.UTC().Format(time.DateOnly))
}

// locate adds the line of the file that PostgreSQL objected to.
func locate(m migration, err error) error {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Position == 0 {
		return fmt.Errorf("%s: %w", m.Name, err)
	}
	before := []rune(m.sql)[:min(int(pgErr.Position), len([]rune(m.sql)))]
	return fmt.Errorf("%s:%d: %w", m.Name, 1+strings.Count(string(before), "\n"), err)
}

func ident(name string) string { return pgx.Identifier{name}.Sanitize() }

// Pending lists the migrations that Up would apply, River's as "river 7". It fails when the schema holds a migration that
// is not ours, as Up does. A schema without any lacks them all.
func Pending(ctx context.Context, pool *pgxpool.Pool, schema string) ([]string, error) {
	list, err := load(files)
	if err != nil {
		return nil, err
	}
	var names []string
	err = pg.InTx(ctx, pool, func(tx pgx.Tx) error {
		var known bool
		err := tx.QueryRow(ctx, `select set_config('search_path', quote_ident($1), true) is not null
			and to_regclass(quote_ident($1) || '.schema_migrations') is not null`, schema).Scan(&known)
		if err != nil {
			return err
		}
		var done []applied
		if known {
			if done, err = readApplied(ctx, tx); err != nil {
				return err
			}
		}
		if err := compare(done, list); err != nil {
			return err
		}
		for _, m := range list[len(done):] {
			names = append(names, m.Name)
		}
		river, err := pendingRiver(ctx, pool, tx, schema)
		names = append(names, river...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look at the migrations of schema %s: %w", schema, err)
	}
	return names, nil
}
