package segment

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// TestResidualJoins: candidates that are asked here have the related rows that PostgreSQL's = would find.
func TestResidualJoins(t *testing.T) {
	t.Parallel()
	type column struct {
		kind   customer.Kind
		pgType string
		values string
	}
	whole := column{customer.Int, "integer", "(1, 5), (2, 6), (3, null), (4, 7)"}
	cases := map[string]struct {
		local, remote column
		want          string
	}{
		"int, numeric":       {whole, column{customer.Numeric, "numeric(10,2)", "(1, 5.00), (2, 6.5), (3, null)"}, "1"},
		"bigint, smallint":   {column{customer.Int, "bigint", "(1, 5), (2, 99999999999)"}, column{customer.Int, "smallint", "(1, 5)"}, "1"},
		"numeric, int":       {column{customer.Numeric, "numeric", "(1, 5.000), (2, 6.4), (3, 1e30), (4, 'NaN'), (5, null)"}, column{customer.Int, "integer", "(1, 5), (2, 6), (3, null)"}, "1"},
		"numeric, numeric":   {column{customer.Numeric, "numeric", "(1, 5.0), (2, 6.004), (3, 1e30), (4, 'NaN')"}, column{customer.Numeric, "numeric(4,2)", "(1, 5), (2, 6.00), (4, 'NaN')"}, "1 4"},
		"double, real":       {column{customer.Float, "double precision", "(1, 0), (2, 0.1), (3, 0.5)"}, column{customer.Float, "real", "(1, '-0'), (2, 0.1), (3, 0.5)"}, "1 3"},
		"text, character":    {column{customer.Text, "text", "(1, 'a'), (2, 'a '), (3, 'abcdef'), (4, null)"}, column{customer.Text, "character(5)", "(1, 'a'), (3, 'abcde'), (4, '')"}, "1"},
		"character, varchar": {column{customer.Text, "character(5)", "(1, 'a'), (2, null)"}, column{customer.Text, "character varying(2)", "(1, 'a'), (2, '')"}, "1"},
		"no key and ''":      {column{customer.Text, "text", "(1, null), (2, '')"}, column{customer.Text, "text", "(1, ''), (2, null)"}, "2"},
		"time stamps":        {column{customer.Timestamptz, "timestamp with time zone", "(1, '2026-01-01Z'), (2, '2026-01-01 00:00:00.4Z')"}, column{customer.Timestamptz, "timestamp(0) with time zone", "(1, '2026-01-01Z')"}, "1"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			orders := entity("orders", "orders", "id", col("id!", customer.Int, "bigint"), col("k", c.remote.kind, c.remote.pgType), col("name", customer.Text, "text"))
			people := entity("customer", "customers", "id", col("id!", customer.Int, "bigint"), col("k", c.local.kind, c.local.pgType))
			people.Relations = []*customer.Relation{{Name: "orders", Local: "k", Remote: "k", Target: orders}}
			db := pgtest.Empty(t)
			for _, sql := range []string{
				"create table public.customers (id bigint, k " + c.local.pgType + ")", "insert into public.customers values " + c.local.values,
				"create table public.orders (id bigint, k " + c.remote.pgType + ", name text default 'Solo')", "insert into public.orders values " + c.remote.values,
			} {
				if _, err := db.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			schema := &customer.Schema{Customer: people, Zone: "Asia/Jakarta"}
			for _, rule := range []string{`any(customer.orders, .name == "Solo")`, `any(customer.orders, .name matches "^(?i)\\bsolo$")`} {
				exact := strings.Contains(rule, "==")
				got := keysOf(t, db, schema, rule, exact)
				if d := cmp.Diff(c.want, got); d != "" {
					t.Errorf("%s: %s", rule, d)
				}
			}
		})
	}
}

func keysOf(t *testing.T, db DB, schema *customer.Schema, rule string, exact bool) string {
	t.Helper()
	q, err := Audience(NewScope(schema), nil, mustRule(t, rule, NewScope(schema)), &Args{}, testClocks()[0])
	if err != nil || q.Exact != exact {
		t.Fatal(rule, q, err)
	}
	var found []string
	if err := q.Keys(t.Context(), db, func(keys []Key) error {
		for _, k := range keys {
			found = append(found, k.Customer)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return strings.Join(found, " ")
}

// TestUnlikeJoinsAreRefused: where Go can't tell which rows SQL would find, it says so and decides nothing.
func TestUnlikeJoinsAreRefused(t *testing.T) {
	t.Parallel()
	const folding = `text collate public.folding`
	date := customer.Column{Name: "k", Kind: customer.Date, PGType: "date", Nullable: true}
	stamp := customer.Column{Name: "k", Kind: customer.Timestamp, PGType: "timestamp without time zone", Nullable: true}
	folds := customer.Column{Name: "k", Kind: customer.Text, PGType: "text", Nullable: true, Folds: true}
	for name, c := range map[string]struct {
		local, remote               customer.Column
		localType, remoteType, want string
	}{
		"times":   {date, stamp, "date", "timestamp", `are of the types date and timestamp without time zone`},
		"folding": {folds, folds, folding, folding, "have a collation that takes different texts for equal"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Empty(t)
			if _, err := db.Exec(t.Context(), `
				create collation public.folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
				create table public.customers (id bigint, k `+c.localType+`); insert into public.customers values (1, '2026-01-01');
				create table public.orders (id bigint, k `+c.remoteType+`, name text); insert into public.orders values (1, '2026-01-01', 'Solo')`); err != nil {
				t.Fatal(err)
			}
			orders := entity("orders", "orders", "id", col("id!", customer.Int, "bigint"), c.remote, col("name", customer.Text, "text"))
			people := entity("customer", "customers", "id", col("id!", customer.Int, "bigint"), c.local)
			people.Relations = []*customer.Relation{{Name: "orders", Local: "k", Remote: "k", Target: orders}}
			schema := &customer.Schema{Customer: people, Zone: "Asia/Jakarta"}
			if d := cmp.Diff("1", keysOf(t, db, schema, `any(customer.orders, .name == "Solo")`, true)); d != "" {
				t.Error(d)
			}
			q, err := Audience(NewScope(schema), nil, mustRule(t, `any(customer.orders, .name matches "^(?i)\\bsolo$")`, NewScope(schema)), &Args{}, testClocks()[0])
			if err != nil {
				t.Fatal(err)
			}
			err = q.Keys(t.Context(), db, func([]Key) error { return nil })
			want := `relation orders: its columns "k" and "k" ` + c.want + `: rows can only be related so in SQL; join columns that are alike, or write the rule so that SQL can decide it`
			if err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
}

// TestKeysWaitBriefly: a company's lock on its own table is an error after a while, and no run that hangs.
func TestKeysWaitBriefly(t *testing.T) {
	t.Parallel()
	w := newWorld(4)
	db := pgtest.Empty(t)
	w.create(t, db)
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background()) //nolint:errcheck // the test's own
	if _, err := tx.Exec(t.Context(), `lock table public.customers in access exclusive mode`); err != nil {
		t.Fatal(err)
	}
	q, err := Audience(NewScope(w.schema), nil, nil, &Args{}, w.clocks[0])
	if err != nil {
		t.Fatal(err)
	}
	err = q.Keys(t.Context(), db, func([]Key) error { return nil })
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "55P03" {
		t.Errorf("%v, want a lock that is not available", err)
	}
}
