package customer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/shopspring/decimal"

	"github.com/sapa-crm/sapa/internal/pg"
)

// Querier is what reading needs of a database: a pool, a connection or a transaction.
type Querier interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Fetch reads chosen values of an entity's rows by key: what a template prints, and nothing else.
type Fetch struct {
	sql    string
	paths  [][]string
	kinds  []Kind
	entity *Entity
	owned  bool // the second column is the customer's key
}

// NewFetch prepares reading paths such as {"first_name"} or, over a to-one relation, {"dealer", "city"}.
// The error names a path that the schema does not have, which a checked template can't contain.
func NewFetch(e *Entity, paths [][]string) (*Fetch, error) {
	return newFetch(e, paths, "")
}

// NewRowFetch prepares reading rows of a relation of the customer together with whose they are: Rows knows a row by its
// OwnedKey, so that a row that has gone over to somebody else is not found for whom it belonged to.
func NewRowFetch(s *Schema, r *Relation, paths [][]string) (*Fetch, error) {
	by := "t." + pgx.Identifier{r.Remote}.Sanitize() + "::" + s.KeyColumn().PGType + "::text"
	return newFetch(r.Target, paths, by)
}

// OwnedKey is what the rows of a NewRowFetch are known by: the row's key and its customer's.
func OwnedKey(row, customer string) string { return row + "\x00" + customer }

func newFetch(e *Entity, paths [][]string, owner string) (*Fetch, error) {
	key, ok := e.Column(e.Key)
	if !ok {
		return nil, fmt.Errorf("%s has no key column in sapa.yaml: its rows can't be read one by one", e.Name)
	}
	f := &Fetch{entity: e, paths: uniquePaths(paths), owned: owner != ""}
	b := fetchBuilder{aliases: map[string]string{"": "t"}}
	columns := []string{"t." + key.SQL() + "::text"}
	if f.owned {
		columns = append(columns, owner)
	}
	for _, p := range f.paths {
		c, alias, err := b.resolve(e, p)
		if err != nil {
			return nil, err
		}
		columns = append(columns, selectAs(alias+"."+c.SQL(), c.Kind))
		f.kinds = append(f.kinds, c.Kind)
	}
	f.sql = fmt.Sprintf("select %s from %s t%s where t.%s = any($1::text[]::%s[])",
		strings.Join(columns, ", "), e.Table.SQL(), b.joins.String(), key.SQL(), key.PGType)
	return f, nil
}

// SQL is the statement; its one parameter is a text[] of keys.
func (f *Fetch) SQL() string { return f.sql }

func uniquePaths(paths [][]string) [][]string {
	sorted := slices.Clone(paths)
	slices.SortFunc(sorted, slices.Compare)
	return slices.CompactFunc(sorted, slices.Equal)
}

type fetchBuilder struct {
	joins   strings.Builder
	aliases map[string]string // path of relations → table alias
}

func (b *fetchBuilder) resolve(e *Entity, path []string) (Column, string, error) {
	alias := "t"
	for i, name := range path[:len(path)-1] {
		rel, ok := e.Relation(name)
		if !ok || !rel.One {
			return Column{}, "", fmt.Errorf("%s has no to-one relation %q", e.Name, name)
		}
		alias = b.join(alias, strings.Join(path[:i+1], "."), rel)
		e = rel.Target
	}
	c, ok := e.Column(path[len(path)-1])
	if !ok {
		return Column{}, "", fmt.Errorf("%s has no column %q", e.Name, path[len(path)-1])
	}
	return c, alias, nil
}

func (b *fetchBuilder) join(parent, path string, rel *Relation) string {
	if alias, ok := b.aliases[path]; ok {
		return alias
	}
	alias := fmt.Sprintf("t%d", len(b.aliases))
	b.aliases[path] = alias
	fmt.Fprintf(&b.joins, " left join %s %s on %s.%s = %s.%s", rel.Target.Table.SQL(), alias,
		alias, pgx.Identifier{rel.Remote}.Sanitize(), parent, pgx.Identifier{rel.Local}.Sanitize())
	return alias
}

// selectAs casts a column so that its value arrives exactly and in one Go type per kind; see scanned.
func selectAs(column string, kind Kind) string {
	switch kind {
	case Int:
		return column + "::bigint"
	case Float:
		return column + "::float8"
	case Bool, Date, Timestamp, Timestamptz:
		return column
	case TextArray:
		return column + "::text[]"
	default:
		return column + "::text"
	}
}

// Rows reads the rows with these keys. A key whose row is gone is missing from the result; a relation whose row is
// missing gives nil values. Values are string, int64, decimal.Decimal, float64, bool, time.Time, []any, what JSON
// decodes to, or nil. It waits for the company's locks no longer than pg.LockTimeout, which must be set before the
// statement is even prepared, and holds on in the transaction that db may be.
func (f *Fetch) Rows(ctx context.Context, db Querier, keys []string) (found map[string]map[string]any, err error) {
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `set local lock_timeout = '`+pg.LockTimeout+`'`); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, f.sql, keys)
		if err != nil {
			return err
		}
		found, err = f.collect(rows, len(keys))
		return err
	})
	if err != nil {
		return nil, f.failed(err)
	}
	return found, nil
}

func (f *Fetch) collect(rows pgx.Rows, n int) (map[string]map[string]any, error) {
	defer rows.Close()
	found := make(map[string]map[string]any, n)
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return nil, err
		}
		key, values := f.known(values)
		row := map[string]any{}
		for i, p := range f.paths {
			v, err := scanned(values[i], f.kinds[i])
			if err != nil {
				return nil, fmt.Errorf("column %s: %w", strings.Join(p, "."), err)
			}
			put(row, p, v)
		}
		found[key] = row
	}
	return found, rows.Err()
}

// known parts what a row is known by from its values. A row that belongs to nobody is known by its key alone.
func (f *Fetch) known(values []any) (key string, rest []any) {
	key = values[0].(string)
	if !f.owned {
		return key, values[1:]
	}
	if owner, ok := values[1].(string); ok {
		key = OwnedKey(key, owner)
	}
	return key, values[2:]
}

// failed says which table could not be read, in the database's own words where it has any.
func (f *Fetch) failed(err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		err = pg.WithoutValues(e)
	}
	return fmt.Errorf("read %s: %w", f.entity.Table, err)
}

func put(row map[string]any, path []string, v any) {
	for _, name := range path[:len(path)-1] {
		next, ok := row[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			row[name] = next
		}
		row = next
	}
	row[path[len(path)-1]] = v
}

// scanned turns what pgx delivers into the values that Rows promises. Infinite dates count as missing.
func scanned(v any, kind Kind) (any, error) {
	text, isText := v.(string)
	switch {
	case v == nil:
		return nil, nil
	case kind == Numeric && isText:
		if text == "NaN" || strings.HasSuffix(text, "Infinity") {
			return nil, nil
		}
		return decimal.NewFromString(text)
	case kind == JSON && isText:
		var decoded any
		err := json.Unmarshal([]byte(text), &decoded)
		return decoded, err
	}
	if _, infinite := v.(pgtype.InfinityModifier); infinite {
		return nil, nil
	}
	return v, nil
}
