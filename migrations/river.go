package migrations

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

func riverMigrator(pool *pgxpool.Pool, schema string) (*rivermigrate.Migrator[pgx.Tx], error) {
	return rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{
		Logger: slog.New(slog.DiscardHandler),
		Schema: schema,
	})
}

// upRiver applies River's migrations, each in a transaction of its own under the same lock as ours, because River does
// not guard against two processes that migrate at once.
func upRiver(ctx context.Context, pool *pgxpool.Pool, schema string) error {
	migrator, err := riverMigrator(pool, schema)
	if err != nil {
		return err
	}
	for more := true; more; {
		err := locked(ctx, pool, schema, func(tx pgx.Tx) error {
			//nolint:staticcheck // deprecated for many steps in one transaction; this is one step per transaction
			res, err := migrator.MigrateTx(ctx, tx, rivermigrate.DirectionUp, &rivermigrate.MigrateOpts{MaxSteps: 1})
			if err != nil {
				return err
			}
			more = len(res.Versions) > 0
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func hashRiver(w io.Writer) error {
	migrator, err := riverMigrator(nil, "")
	if err != nil {
		return err
	}
	for _, m := range migrator.AllVersions() {
		fmt.Fprintln(w, m.Version, m.SQLUp)
	}
	return nil
}

func pendingRiver(ctx context.Context, pool *pgxpool.Pool, tx pgx.Tx, schema string) ([]string, error) {
	migrator, err := riverMigrator(pool, schema)
	if err != nil {
		return nil, err
	}
	done, err := migrator.ExistingVersionsTx(ctx, tx)
	if err != nil {
		return nil, err
	}
	has := map[int]bool{}
	for _, m := range done {
		has[m.Version] = true
	}
	var names []string
	for _, m := range migrator.AllVersions() {
		if !has[m.Version] {
			names = append(names, fmt.Sprintf("river %d", m.Version))
		}
	}
	return names, nil
}
