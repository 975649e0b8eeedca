package migrations

import (
	"context"
	"io/fs"

	"github.com/jackc/pgx/v5/pgxpool"
)

// UpFrom is Up with the migrations of another folder.
func UpFrom(ctx context.Context, pool *pgxpool.Pool, schema string, from fs.FS) error {
	list, err := load(from)
	if err != nil {
		return err
	}
	return up(ctx, pool, schema, list)
}
