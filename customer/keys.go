package customer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// KeyError says that a key column does not tell the rows of its table apart.
type KeyError struct {
	Table   TableName
	Column  string
	Example string // a key that stands in several rows; "" when the key is missing in some
	Rows    int64  // in how many
}

// Error names the example.
func (e *KeyError) Error() string {
	if e.Example == "" {
		return fmt.Sprintf("the key %s.%s is missing in %d rows: every row needs one", e.Table, e.Column, e.Rows)
	}
	return fmt.Sprintf("the key %s.%s is not unique: %q stands in %d rows", e.Table, e.Column, e.Example, e.Rows)
}

// CheckKeys checks, when a run is planned, that the customers' key is unique and never missing, and that to-one
// relations lead to at most one row. It costs nothing where the catalog has a unique index and NOT NULL, and one grouped
// query where it has not, as for views. The error is a *KeyError or the database's.
func CheckKeys(ctx context.Context, db pg.DBTX, s *Schema) error {
	if err := CheckKey(ctx, db, s.Customer); err != nil {
		return err
	}
	return checkToOne(ctx, db, s.Customer.Relations)
}

func checkToOne(ctx context.Context, db pg.DBTX, relations []*Relation) error {
	for _, rel := range relations {
		if rel.One {
			err := CheckKey(ctx, db, rel.Target)
			if bad := new(KeyError); errors.As(err, &bad) && bad.Example == "" {
				err = nil // rows without a key join nothing
			}
			if err != nil {
				return err
			}
		}
		if err := checkToOne(ctx, db, rel.Target.Relations); err != nil {
			return err
		}
	}
	return nil
}

// CheckKey checks that an entity's key is unique and never missing; campaigns that go through a relation's rows ask it
// of that relation.
func CheckKey(ctx context.Context, db pg.DBTX, e *Entity) error {
	t, err := readTable(ctx, db, e.Table)
	if err != nil {
		return fmt.Errorf("check the key of %s: %w", e.Table, err)
	}
	c, ok := t.column(e.Key)
	if !ok {
		return fmt.Errorf("check the key of %s: no column %q any more", e.Table, e.Key)
	}
	if !c.Nullable && (slices.Contains(t.unique, c.Name) || slices.Equal(t.primary, []string{c.Name})) {
		return nil
	}
	bad := &KeyError{Table: e.Table, Column: e.Key}
	err = db.QueryRow(ctx, fmt.Sprintf(`
		select coalesce(%[1]s::text, ''), count(*) from %[2]s
		group by %[1]s having count(*) > 1 or %[1]s is null order by %[1]s nulls last limit 1`, c.SQL(), e.Table.SQL())).
		Scan(&bad.Example, &bad.Rows)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("check the key of %s: %w", e.Table, err)
	}
	return bad
}
