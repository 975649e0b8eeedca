package segment

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/almanac"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

func ownDays(t *testing.T, texts ...string) almanac.Days {
	t.Helper()
	days, err := almanac.Parse(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return days
}

func onDay(t *testing.T, day string) Clock {
	t.Helper()
	d, err := time.Parse(time.DateOnly, day)
	if err != nil {
		t.Fatal(err)
	}
	return Clock{Today: d, Now: d, Zone: mustZone("Asia/Jakarta")}
}

// TestHolidays asks rules of one customer on days around holidays.
func TestHolidays(t *testing.T) {
	t.Parallel()
	own := map[string]almanac.Days{
		"founding_day": ownDays(t, "12-30"), "sale": ownDays(t, "2026-11-27", "2026-11-28"), "lebaran": ownDays(t, "2031-01-25", "2031-01-26"),
		"before_new_year": ownDays(t, "01-01 - 3"),
	}
	for _, c := range []struct {
		country, day, rule string
		want               bool
	}{
		{"ID", "2026-03-20", `holiday("idul_fitri")`, false},
		{"ID", "2026-03-21", `holiday("idul_fitri")`, true},
		{"ID", "2026-03-22", `holiday("lebaran")`, true},
		{"ID", "2026-03-23", `holiday("lebaran")`, false},
		{"ID", "2026-03-23", `holiday("lebaran", days(-1))`, true},
		{"ID", "2026-03-24", `holiday("lebaran", days(-1))`, false},
		{"ID", "2026-03-14", `holiday("eid_al_fitr", weeks(1))`, true},
		{"ID", "2026-03-13", `holiday("eid_al_fitr", weeks(1))`, false},
		{"ID", "2026-05-10", `holiday("mothers_day")`, false},
		{"ID", "2026-05-10", `holiday("mothers_day", days(0), "US")`, true},
		{"US", "2026-05-10", `holiday("mothers_day")`, true},
		{"GB", "2026-03-15", `holiday("mothers_day")`, true},
		{"FR", "2026-12-25", `holiday("christmas")`, true}, // a country without a table
		{"", "2026-12-25", `holiday("christmas")`, true},
		{"ID", "2026-12-28", `holiday("new_year", days(4))`, true}, // of next year
		{"ID", "2027-01-03", `holiday("christmas", days(-9))`, true},
		{"ID", "2027-01-04", `holiday("christmas", days(-9))`, false},
		{"ID", "2026-12-30", `holiday("founding_day")`, true},
		{"ID", "2026-11-20", `holiday("sale", days(7))`, true},
		{"ID", "2026-12-29", `holiday("before_new_year")`, true},
		{"ID", "2031-01-24", `holiday("idul_fitri", days(1))`, true}, // what the company added under another name
		{"ID", "2030-02-05", `holiday("idul_fitri")`, true},
	} {
		schema := testSchema()
		schema.Country, schema.Holidays = c.country, own
		rule, problems := ParseRule(Text(c.rule), NewScope(schema))
		if problems != nil {
			t.Error(problems)
			continue
		}
		condition, err := rule.SQL(&Args{}, onDay(t, c.day), map[string]string{"customer": "c"})
		if want := map[bool]string{true: "true", false: "false"}[c.want]; err != nil || condition.SQL != want {
			t.Errorf("%s on %s: %s %v, want %s", c.rule, c.day, condition.SQL, err, want)
		}
	}
}

// TestUnknownDatesAreErrors: a rule about a year that the table does not know is refused, never false.
func TestUnknownDatesAreErrors(t *testing.T) {
	t.Parallel()
	const missing = `no date of idul_fitri in 2031 is known: write it in sapa.yaml, as in holidays: {idul_fitri: 2031-…}`
	schema := testSchema()
	text := `customer.vip && holiday("lebaran", days(14))`
	rule, problems := ParseRule(Text(text), NewScope(schema))
	if problems != nil {
		t.Fatal(problems)
	}
	for day, late := range map[string]bool{"2030-12-17": false, "2030-12-18": true, "2031-06-01": true} {
		clock := onDay(t, day)
		_, err := rule.SQL(&Args{}, clock, map[string]string{"customer": "c"})
		_, programErr := rule.Program(clock)
		want := `rule "customer.vip && holiday(\"lebaran\", days(14))": ` + missing
		if late && (err == nil || err.Error() != want || programErr == nil) || !late && (err != nil || programErr != nil) {
			t.Errorf("%s: %v, %v; want %s", day, err, programErr, want)
		}
		if clock.Given = Pretended(); late {
			if _, err := rule.SQL(&Args{}, clock, map[string]string{"customer": "c"}); err != nil {
				t.Errorf("a rule that is only translated: %v", err)
			}
		}
	}
	const said = "rule:1:17: " + missing + "\n" +
		"   1 | customer.vip && holiday(\"lebaran\", days(14))\n" +
		"     |                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^"
	if got := rule.Ready(onDay(t, "2031-06-01")).Error(); got != said {
		t.Errorf("%s\nwant\n%s", got, said)
	}
	if list := rule.Ready(onDay(t, "2030-06-01")); list != nil {
		t.Error(list)
	}
	schema.Holidays = map[string]almanac.Days{"idul_fitri": ownDays(t, "2031-01-25")}
	rule, _ = ParseRule(Text(text), NewScope(schema))
	if list := rule.Ready(onDay(t, "2031-06-01")); list != nil {
		t.Error(list)
	}
}

// TestSplitsAreEvenAndIndependent: the share is what was asked for, by chi-square over tenths; shares of two names have no
// more in common than chance gives; a greater share has all of a smaller.
func TestSplitsAreEvenAndIndependent(t *testing.T) {
	t.Parallel()
	const people = 20_000
	share := func(text string) func(id int64) bool {
		rule, problems := ParseRule(Text(text), NewScope(testSchema()))
		if problems != nil {
			t.Fatal(problems)
		}
		p, err := rule.Program(testClocks()[0])
		if err != nil {
			t.Fatal(err)
		}
		return func(id int64) bool {
			ok, err := p.Match(Row{"customer": map[string]any{"id": id}})
			if err != nil {
				t.Fatal(err)
			}
			return ok
		}
	}
	tenths := []string{"0, 0.1", "0.1, 0.2", "0.2, 0.3", "0.3, 0.4", "0.4, 0.5", "0.5, 0.6", "0.6, 0.7", "0.7, 0.8", "0.8, 0.9", "0.9, 1"}
	seen, square := map[int64]bool{}, 0.0
	for _, tenth := range tenths {
		in, n := share(`random_split("spring", `+tenth+`)`), 0.0
		for id := range int64(people) {
			if in(id) {
				if seen[id] {
					t.Fatalf("customer %d is in two tenths", id)
				}
				seen[id] = true
				n++
			}
		}
		expected := float64(people) / 10
		square += (n - expected) * (n - expected) / expected
	}
	if len(seen) != people || square > 27.9 { // chi-square of 9 degrees of freedom at 0.1 %
		t.Errorf("%d people, chi-square %.1f", len(seen), square)
	}
	small, great, other := share(`random_split("a", "20%")`), share(`random_split("a", 0.5)`), share(`random_split("b", 0.5)`)
	both := 0
	for id := range int64(people) {
		if small(id) && !great(id) {
			t.Fatalf("customer %d is in 20 %% and not in 50 %%", id)
		}
		if great(id) && other(id) {
			both++
		}
	}
	if both < 4800 || both > 5200 { // 5000 ± 3.3 standard deviations
		t.Errorf("%d of %d are in both halves", both, people)
	}
}

// TestSplitsKeepTheirHash: whom a share has is the same for ever, as in: printf "spring\n1" | sha256sum (below 80… is the
// first half).
func TestSplitsKeepTheirHash(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]bool{"1": true, "2": true, "a0000000-0000-4000-8000-00000000000b": false, "Ü 😀'\\": true} {
		s := split{prefix: "spring\n", to: bound(decimal.RequireFromString("0.5"), whole)}
		if got := s.has(key); got != want {
			t.Errorf("%q: %v", key, got)
		}
	}
}

// keyedSchema has customers with a key of another type.
func keyedSchema(kind customer.Kind, pgType string) *customer.Schema {
	return &customer.Schema{Customer: entity("customer", "keyed", "key", col("key!", kind, pgType)), Zone: "UTC"}
}

// TestSplitsOfEveryKey: SQL and Go choose the same customers, whatever type their key has.
func TestSplitsOfEveryKey(t *testing.T) {
	t.Parallel()
	for pgType, c := range map[string]struct {
		kind  customer.Kind
		order pgtest.Option
		keys  []any
	}{
		"bigint":                {customer.Int, pgtest.Collation("C"), []any{int64(1), int64(-7), int64(math.MaxInt64), int64(math.MinInt64)}},
		"smallint":              {customer.Int, pgtest.Collation("C"), []any{int64(1), int64(-7), int64(32767)}},
		"uuid":                  {customer.UUID, pgtest.Collation("C"), []any{"a0000000-0000-4000-8000-00000000000b", "00000000-0000-0000-0000-000000000001"}},
		"text":                  {customer.Text, pgtest.ICU("en-x-icu"), textPool("text")},
		"character varying(30)": {customer.Text, pgtest.ICU("en-x-icu"), textPool("text")},
	} {
		t.Run(pgType, func(t *testing.T) {
			t.Parallel()
			schema := keyedSchema(c.kind, pgType)
			db := pgtest.Empty(t, c.order)
			if _, err := db.Exec(t.Context(), `create table public.keyed (key `+pgType+` primary key)`); err != nil {
				t.Fatal(err)
			}
			for _, key := range c.keys {
				if _, err := db.Exec(t.Context(), `insert into public.keyed values ($1::text::`+pgType+`)`, fmt.Sprint(key)); err != nil {
					t.Fatal(err)
				}
			}
			for _, text := range []string{`random_split("a", 0.5)`, `!random_split("É 'x", "30%")`, `random_split("b", 0.25, 0.75)`, `random_split("c", 1)`} {
				compareKeys(t, db, schema, text, c.keys)
			}
		})
	}
}

func compareKeys(t *testing.T, db *pgxpool.Pool, schema *customer.Schema, text string, keys []any) {
	t.Helper()
	rule, problems := ParseRule(Text(text), NewScope(schema))
	if problems != nil {
		t.Fatal(problems)
	}
	var args Args
	condition, err := rule.SQL(&args, testClocks()[0], map[string]string{"customer": "c"})
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := db.Query(t.Context(), "select key::text from public.keyed c where "+condition.SQL, args.Values()...)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	p, err := rule.Program(testClocks()[0])
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, key := range keys {
		if ok, err := p.Match(Row{"customer": map[string]any{"key": key}}); err != nil {
			t.Fatal(err)
		} else if ok {
			want = append(want, fmt.Sprint(key))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s\n%s", text, d)
	}
}
