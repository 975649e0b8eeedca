package segment

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

// TestPrepareFindsTheThresholds: what the databases say of the base is what sorting all customers in Go gives, for random
// expressions; and the rules then choose the same people in SQL, in Go and by expr's VM.
func TestPrepareFindsTheThresholds(t *testing.T) {
	t.Parallel()
	for name, options := range testDatabases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(6)
			db := pgtest.Empty(t, append(options, pgtest.Setting("jit", "off"))...)
			w.create(t, db)
			o := newOpinion(w)
			places := rapid.Custom(func(t *rapid.T) question {
				g := &generator{t: t, schema: w.schema}
				return question{g.baseAtom(2), w.clocks[g.n(len(w.clocks))]}
			})
			for range (*proofRules + 9999) / 10_000 {
				rapid.Check(t, func(rt *rapid.T) {
					q := places.Draw(rt, "question")
					if rule, problems := ParseRule(Text(q.text), NewScope(w.schema)); problems == nil && Needs(rule) {
						q.clock.Given = w.prepared(rt, db, q, baseRule).Given
					}
					w.compare(rt, db, q.text, q.clock)
					o.check(rt, w, q.text, q.clock)
				})
			}
		})
	}
}

// prepared asks the database, and compares that with the thresholds found in Go.
func (w *world) prepared(t fataler, db *pgxpool.Pool, q question, base string) Clock {
	scope, clock := NewScope(w.schema), q.clock
	clock.Given = nil
	rule, problems := ParseRule(Text(q.text), scope)
	if problems != nil {
		t.Fatalf("%v", problems)
	}
	who, problems := Base(w.schema, Text(base))
	if problems != nil {
		t.Fatalf("%v", problems)
	}
	found, err := Prepare(context.Background(), db, scope, who, clock, rule)
	if err != nil {
		t.Fatalf("%s: %v", q.text, err)
	}
	if d := cmp.Diff(written(t, w.given(rule, clock)), written(t, found.Given)); d != "" {
		t.Fatalf("%s\n%s", q.text, d)
	}
	return found
}

func written(t fataler, g *Given) map[string]writtenThresholds {
	text, err := json.Marshal(g)
	var out map[string]writtenThresholds
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	return out
}

// TestPrepareAsksOnlyTheBase: the same question of another base has other thresholds, also where the base is decided in
// Go.
func TestPrepareAsksOnlyTheBase(t *testing.T) {
	t.Parallel()
	w := newWorld(6)
	db := pgtest.Empty(t)
	w.create(t, db)
	q := question{"percentile(customer.points) > 50", w.clocks[0]}
	w.prepared(t, db, q, baseRule)
	w.prepared(t, db, q, residualBase)
	said, err := mustRule(t, residualBase, NewScope(w.schema)).SQL(&Args{}, w.clocks[0], map[string]string{"customer": "c"})
	if err != nil || said.Exact {
		t.Error("the base was to be one that SQL can't say", err)
	}
	if attempt(func(f fataler) { w.prepared(f, db, q, "") }) == nil {
		t.Error("without its rule the base has the same thresholds")
	}
}

// residualBase means the same as baseRule.
const residualBase = `(customer.visits >= 1 || customer.vip) && !(customer.city matches "\\bnever\\b")`

// TestTopTenPercent: where all values differ, percentile(…) >= 90 is exactly the tenth. The database is asked, of bases
// that it decides and that are decided here, in more than one chunk, and by statements with more expressions than one sorts.
func TestTopTenPercent(t *testing.T) {
	t.Parallel()
	schema := testSchema()
	scope := NewScope(schema)
	var texts []string
	for k := range sortsAtOnce + 1 {
		texts = append(texts, fmt.Sprintf("percentile(customer.age * %d) >= 90", k+1))
	}
	rule := mustRule(t, strings.Join(texts, " && "), scope)
	bases := map[string]*Rule{
		"": nil, "in SQL": mustRule(t, `customer.visits >= 0`, scope),
		"in Go": mustRule(t, `customer.name matches "\\bS" || customer.visits >= 0`, scope),
	}
	clock := testClocks()[0]
	clock.Given = nil
	db := pgtest.Empty(t)
	run(t, db, `create table public.customers (id bigint primary key, name text, age int, visits smallint not null)`)
	for _, n := range []int{1, 9, 10, 99, 100, 101, 3*chunk + 150} {
		run(t, db, `truncate public.customers`)
		run(t, db, `insert into public.customers select i, case i % 2 when 0 then 'Siti' else 'Budi' end, i, i % 3 from generate_series(1, $1::int) i`, n)
		for name, base := range bases {
			clock, err := Prepare(t.Context(), db, scope, base, clock, rule)
			if err != nil {
				t.Fatalf("of %d, a base decided %s: %v", n, name, err)
			}
			q, err := Audience(scope, base, rule, &Args{}, clock)
			if err != nil {
				t.Fatal(err)
			}
			beyond := 0
			if err := q.Keys(t.Context(), db, func(keys []Key) error { beyond += len(keys); return nil }); err != nil || beyond != n/10 {
				t.Errorf("of %d, a base decided %s: %d have a percentile of 90 or more (%v), want %d", n, name, beyond, err, n/10)
			}
		}
	}
}

func run(t *testing.T, db *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// TestFractionsAreExact: percentile_disc takes the ceil(k × n / 100)-th of n values, whatever double precision makes of
// k/100.
func TestFractionsAreExact(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{1, 2, 3, 99, 100, 101, 700, 1e6, 1e6 + 1, 123_456_789, 4_900_000_000} {
		for k, fraction := range fractions() {
			if got, want := int64(math.Ceil(fraction*float64(n))), (int64(k+1)*n+99)/100; got != want {
				t.Errorf("%d %% of %d: %d, want %d", k+1, n, got, want)
			}
		}
	}
}

// TestGivenIsKept: a run keeps thresholds as JSON, which gives exactly the same back.
func TestGivenIsKept(t *testing.T) {
	t.Parallel()
	day := time.Date(-43, 3, 15, 0, 0, 0, 0, time.UTC)
	lists := map[Type][]any{
		typeInt:       {int64(math.MinInt64), int64(7), decimal.RequireFromString("9223372036854775808")},
		typeNumeric:   {decimal.RequireFromString("-0.333333333333333333333333"), math.Inf(-1), int64(3), decimal.RequireFromString("1e-150"), math.NaN()},
		typeFloat:     {math.Inf(-1), 0.1 + 0.2, 1e250, 1.0 / 3, math.NaN()},
		typeDate:      {NegInfinity, day, time.Date(5_000_000, 1, 1, 0, 0, 0, 0, time.UTC), Infinity},
		typeTimestamp: {day.Add(1500 * time.Microsecond)},
		typeInstant:   {time.Date(2026, 2, 28, 4, 59, 59, 999_999_000, time.UTC)},
	}
	all := map[string]thresholds{"nobody": {of: "customer.age", t: typeInt}}
	for typ, list := range lists {
		var below []any
		for i := range hundredths {
			below = append(below, list[i%len(list)])
		}
		all[typ.String()+fmt.Sprint(typ)] = thresholds{of: "x", t: typ, below: below}
	}
	text, err := json.Marshal((*Given)(nil).with(all))
	if err != nil {
		t.Fatal(err)
	}
	var back Given
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	same := cmp.Options{
		cmp.AllowUnexported(thresholds{}), cmp.Comparer(func(a, b float64) bool { return compareFloats(a, b) == 0 }),
		cmp.Comparer(func(a, b decimal.Decimal) bool { return a.Equal(b) }),
	}
	if d := cmp.Diff(all, back.all, same); d != "" {
		t.Error(d)
	}
	for _, wrong := range []string{`{"k":{"of":"x","type":"text","below":[]}}`, `{"k":{"of":"x","type":"date","below":["1"]}}`, `[]`} {
		if err := json.Unmarshal([]byte(wrong), &back); err == nil {
			t.Errorf("%s is read", wrong)
		}
	}
	if _, err := json.Marshal(Pretended()); err == nil {
		t.Error("what was made up is kept")
	}
}

// TestWhatWasNotPreparedIsAnError, never a rule that is silently false.
func TestWhatWasNotPreparedIsAnError(t *testing.T) {
	t.Parallel()
	w := newWorld(6)
	db := pgtest.Empty(t)
	w.create(t, db)
	scope, clock := NewScope(w.schema), w.clocks[0]
	clock.Given = nil
	rule := mustRule(t, `customer.vip && percentile(customer.age + 1) >= 90`, scope)
	other := mustRule(t, `percentile(customer.age) >= 90`, scope)
	want := "the place of customer.age + 1 among all customers was not prepared"
	check := func(err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	_, err := Audience(scope, nil, rule, &Args{}, clock)
	check(err)
	_, err = rule.Program(clock)
	check(err)
	_, err = rule.Trace(clock, Row{"customer": w.customers[0]})
	check(err)
	halfway, err := Prepare(t.Context(), db, scope, nil, clock, other)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Audience(scope, nil, rule, &Args{}, halfway)
	check(err)
	whole, err := Prepare(t.Context(), db, scope, nil, halfway, rule, other, (*Rule)(nil), (*Value)(nil))
	if err != nil || len(whole.Given.all) != 2 || len(halfway.Given.all) != 1 {
		t.Fatal(err, whole.Given, halfway.Given)
	}
	if again, err := Prepare(t.Context(), nil, scope, nil, whole, rule, other); err != nil || again.Given != whole.Given {
		t.Error("what is there is asked again", err)
	}
}

// TestPrepareSharesWhatIsTheSame: an expression is parted once, however often it is used, and groups are joined once.
func TestPrepareSharesWhatIsTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(6)
	scope, clock := NewScope(w.schema), w.clocks[0]
	clock.Given = nil
	p := &preparation{scope: scope, clock: clock, found: map[string]int{}}
	for _, text := range []string{
		`percentile(sum(customer.orders, .total)) >= 90 && percentile( monetary(customer.orders) ) < 95`,
		`rfm(customer.orders) == "555" || rfm(customer.orders).monetary > 3`,
	} {
		if err := p.look(mustRule(t, text, scope)); err != nil {
			t.Fatal(err)
		}
	}
	var args Args
	values, joins, err := p.valuesSQL(p.wanted, &args)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`coalesce(g1.v1, 0)`,
		`(g1.v2 at time zone $1::text)::date`,
		`g1.v3`,
		`case when g1.k is not null then coalesce(g1.v1, 0) end`,
		` left join (select s1."customer_id" as k, sum(s1."total") as v1, max(s1."ordered_at") as v2, count(*) as v3 ` +
			`from "public"."Orders" s1 group by 1) g1 on g1.k = c."id"`,
	}
	if d := cmp.Diff(want, append(values, joins)); d != "" {
		t.Error(d)
	}
}
