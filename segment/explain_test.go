package segment

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// Lines change nothing: without white space it is the same SQL, and quoted texts are whole.
func TestFormattedSQLIsTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(11)
	rapid.Check(t, func(rt *rapid.T) {
		g := &generator{t: rt, schema: w.schema}
		rule, problems := ParseRule(Text(g.condition(4)), testScope(w.schema))
		if problems != nil {
			return
		}
		clock := w.clocks[0]
		q, err := Audience(rule.scope, nil, rule, &Args{}, clock)
		if err != nil {
			return // what was not prepared
		}
		got := formatSQL(q.selectSQL())
		if d := cmp.Diff(bare(q.selectSQL()), bare(got)); d != "" {
			rt.Fatal(d)
		}
		for _, line := range strings.Split(got, "\n") {
			if strings.TrimSpace(line) == "" || strings.HasSuffix(line, " ") {
				rt.Fatalf("an empty line, or blanks at the end of one:\n%s", got)
			}
		}
	})
}

func bare(sql string) string {
	return strings.Join(strings.Fields(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(sql)), " ")
}

// company is large enough for indexes to matter.
func company(t *testing.T) *pgxpool.Pool {
	t.Helper()
	db := pgtest.Empty(t)
	for _, sql := range []string{
		`create table public.customers (id bigint primary key, name text, city text, tags text[], birth_date date, joined date not null, income numeric(14,2))`,
		`insert into public.customers select i, 'Name ' || i, case when i % 500 = 0 then 'Solo' else 'Semarang' end,
			case when i % 1000 = 0 then array['vip'] else array['a'] end, date '1950-01-01' + (i % 20000), date '2020-01-01' + i % 2000, i
			from generate_series(1, 60000) i`,
		`create table public.vehicles (id bigint primary key, customer_id bigint not null, km int, due date)`,
		`insert into public.vehicles select i, 1 + (i * 7) % 60000, i % 200000, date '2020-01-01' + i % 4000 from generate_series(1, 80000) i`,
		`create table public.dealers (id bigint primary key, city text)`,
		`insert into public.dealers select i, 'Solo' from generate_series(1, 50) i`,
		`analyze`,
	} {
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func companySchema() *customer.Schema {
	vehicles := entity("vehicles", "vehicles", "id", col("id!", customer.Int, "bigint"), col("customer_id!", customer.Int, "bigint"),
		col("km", customer.Int, "integer"), col("due", customer.Date, "date"))
	customers := entity("customer", "customers", "id", col("id!", customer.Int, "bigint"), col("name", customer.Text, "text"),
		col("city", customer.Text, "text"), col("tags", customer.TextArray, "text[]"), col("birth_date", customer.Date, "date"),
		col("joined!", customer.Date, "date"), col("income", customer.Numeric, "numeric(14,2)"))
	customers.Relations = []*customer.Relation{{Name: "vehicles", Local: "id", Remote: "customer_id", Target: vehicles}}
	return &customer.Schema{Customer: customers, Zone: "Asia/Jakarta"}
}

func explain(t *testing.T, db *pgxpool.Pool, text string) *Explanation {
	t.Helper()
	scope := NewScope(companySchema())
	q, err := Audience(scope, nil, mustRule(t, text, scope), &Args{}, testClocks()[0])
	if err != nil {
		t.Fatal(err)
	}
	x, err := q.Explain(t.Context(), db)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return x
}

func TestListsOfArgumentsRead(t *testing.T) {
	t.Parallel()
	var args Args
	args.Bind([]pgtype.Date{{Time: time.Date(2025, 5, 15, 0, 0, 0, 0, time.UTC), Valid: true}, {Time: time.Date(2025, 12, 20, 0, 0, 0, 0, time.UTC), Valid: true}}, "date[]")
	args.Bind([]pgtype.Numeric{{Int: big.NewInt(125), Exp: -1, Valid: true}}, "numeric[]")
	if d := cmp.Diff([]string{"{2025-05-15,2025-12-20}", "{12.5}"}, args.Words()); d != "" {
		t.Error(d)
	}
}

// An index scan without a condition reads the whole table, too.
func TestUnscannedSaysWhatIsRead(t *testing.T) {
	t.Parallel()
	for want, top := range map[string]planNode{
		"nobody is read":                         {Type: "Result"},
		"everybody is read anyway":               {Type: "Index Only Scan", Relation: "customers", Index: "customers_pkey"},
		"everything is found by indexes already": {Type: "Index Scan", Relation: "customers", Index: "customers_pkey", Condition: "(id = 1)"},
	} {
		if got := unscanned(&top, "customers"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// An index that is advised is used, and makes the plan cheaper; where none is advised, there is a reason.
func TestAdvisedIndexesHelp(t *testing.T) {
	t.Parallel()
	db := company(t)
	tests := []struct{ rule, index, none string }{
		{`customer.city == "Solo"`, `create index concurrently on public.customers (city);`, ""},
		{`customer.city == "Semarang"`, "", "no index would help: the rule asks about so many rows that reading customers as a whole is the fastest way"},
		{`customer.name startsWith "Name 5999"`, `create index concurrently on public.customers (name text_pattern_ops);`, ""},
		{`customer.name endsWith "99"`, "", "Sapa knows no index for customer.name endsWith \"99\"; see docs/rules.md#speed"},
		{`false`, "", "no index would help: nobody is read"},
		{`"vip" in customer.tags`, `create index concurrently on public.customers using gin (tags);`, ""},
		{`birthday(customer.birth_date)`, `create index concurrently on public.customers (((extract(month from birth_date) * 100 + extract(day from birth_date))::int));`, ""},
		{`customer.joined == today() - days(2100)`, `create index concurrently on public.customers (joined);`, ""},
		{`customer.id in [1, 5, 9] && customer.city == "Solo"`, "", "no index would help: everything is found by indexes already"},
		{`any(customer.vehicles, .due >= date("2030-12-10") && .due < date("2030-12-14"))`, `create index concurrently on public.vehicles (due);`, ""},
		{`customer.id in [1, 5, 9] && any(customer.vehicles, .km > 5)`, `create index concurrently on public.vehicles (customer_id);`, ""},
		{`customer.city == "Solo" && count(customer.vehicles, .due == date("2030-12-10")) == 1`, `create index concurrently on public.vehicles (due);`, ""},
		{`count(customer.vehicles) >= 2`, "", "no index would help: count, sum and their like of vehicles are made for all customers at once"},
	}
	for _, test := range tests {
		before := explain(t, db, test.rule)
		got := ""
		if before.Index != nil {
			got = before.Index.Create
		}
		if got != test.index || before.NoIndex != test.none {
			t.Errorf("%s: advised %q %q, want %q %q\nplan %s, cost %.0f", test.rule, got, before.NoIndex, test.index, test.none, strings.Join(before.Plan, "; "), before.Cost)
		}
		if got == "" {
			continue
		}
		if _, err := db.Exec(t.Context(), strings.Replace(got, "index concurrently on", "index concurrently advised on", 1)); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(t.Context(), `analyze`); err != nil { // an expression is counted with its index
			t.Fatal(err)
		}
		after := explain(t, db, test.rule)
		if !strings.Contains(strings.Join(after.Plan, "\n"), "by the index advised") || after.Cost > before.Cost*0.7 {
			t.Errorf("%s: with the index the plan is %s for %.0f, before it was %s for %.0f", test.rule, strings.Join(after.Plan, "; "), after.Cost, strings.Join(before.Plan, "; "), before.Cost)
		}
		if after.Index != nil && after.Index.Create == got {
			t.Errorf("%s: the same index is advised again", test.rule)
		}
		if _, err := db.Exec(t.Context(), `drop index public.advised`); err != nil {
			t.Fatal(err)
		}
	}
}
