package segment

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

func mustRule(t *testing.T, text string, scope *Scope) *Rule {
	t.Helper()
	rule, problems := ParseRule(Text(text), scope)
	if problems != nil {
		t.Fatal(problems)
	}
	return rule
}

// TestAudienceOfEach: a campaign that goes through a relation has a row per related row, and both rules hold.
func TestAudienceOfEach(t *testing.T) {
	t.Parallel()
	w := newWorld(4)
	schema := w.schema
	vehicles, _ := schema.Customer.Relation("vehicles")
	scope := NewScope(schema).WithEach(vehicles, "vehicle")
	base := mustRule(t, `customer.age != nil`, NewScope(schema))
	where := mustRule(t, `vehicle.km > 2 && vehicle.due != nil && customer.visits >= 1 && count(vehicle.services) < 3`, scope)
	q, err := Audience(scope, base, where, &Args{}, w.clocks[0])
	if err != nil {
		t.Fatal(err)
	}
	const from = `"public"."customers" c join "public"."vehicles" e on e."customer_id" = c."id"`
	if d := cmp.Diff(from, q.From); d != "" {
		t.Error(d)
	}
	occasion, problems := ParseValue(Text("vehicle.due"), scope)
	if problems != nil {
		t.Fatal(problems)
	}
	due, err := occasion.SQL(q.Args, w.clocks[0], q.Aliases)
	if err != nil {
		t.Fatal(err)
	}
	db := pgtest.Empty(t)
	w.create(t, db)
	rows, _ := db.Query(t.Context(), `select c.id || '/' || e.id || '/' || `+due+` from `+q.From+` where `+q.Where, q.args()...)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if d := cmp.Diff(dueByHand(w), got); d != "" || len(got) < 10 {
		t.Error(len(got), d)
	}
	keysByStream(t, db, q, got)
}

// dueByHand is the same audience in plain Go.
func dueByHand(w *world) []string {
	var want []string
	for _, c := range w.customers {
		for _, v := range c["vehicles"].([]map[string]any) {
			km, _ := v["km"].(int64)
			due, known := v["due"].(time.Time)
			if c["age"] == nil || !known || km <= 2 || c["visits"].(int64) < 1 || len(v["services"].([]map[string]any)) >= 3 {
				continue
			}
			want = append(want, canonical(c["id"], typeInt)+"/"+canonical(v["id"], typeInt)+"/"+canonical(due, typeDate))
		}
	}
	slices.Sort(want)
	return want
}

func keysByStream(t *testing.T, db DB, q *Query, want []string) {
	t.Helper()
	var got []string
	if err := q.Keys(t.Context(), db, func(keys []Key) error {
		for _, k := range keys {
			got = append(got, k.Customer+"/"+k.Each)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		want[i] = want[i][:strings.LastIndex(want[i], "/")]
	}
	slices.Sort(want)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestEachWithResidual: what the database can't decide is decided for pairs of customer and row.
func TestEachWithResidual(t *testing.T) {
	t.Parallel()
	w := newWorld(4)
	vehicles, _ := w.schema.Customer.Relation("vehicles")
	scope := NewScope(w.schema).WithEach(vehicles, "vehicle")
	q, err := Audience(scope, nil, mustRule(t, `vehicle.plate matches "(?i)^\\bsolo$" && any(vehicle.services, .kind matches "(?:\\b|\\B)[a-z]")`, scope), &Args{}, w.clocks[0])
	if err != nil || q.Exact {
		t.Fatal(q, err)
	}
	var want []string
	for _, c := range w.customers {
		for _, v := range c["vehicles"].([]map[string]any) {
			small := slices.ContainsFunc(v["services"].([]map[string]any), func(s map[string]any) bool {
				kind, _ := s["kind"].(string)
				return strings.ContainsAny(kind, "abcdefghijklmnopqrstuvwxyz")
			})
			if small && strings.ToLower(v["plate"].(string)) == "solo" {
				want = append(want, canonical(c["id"], typeInt)+"/"+canonical(v["id"], typeInt)+"/")
			}
		}
	}
	if len(want) < 3 {
		t.Fatal("too few rows to tell anything")
	}
	db := pgtest.Empty(t)
	w.create(t, db)
	keysByStream(t, db, q, want)
}

func TestAudienceOfEverybody(t *testing.T) {
	t.Parallel()
	q, err := Audience(NewScope(testSchema()), nil, nil, &Args{}, testClocks()[0])
	if err != nil {
		t.Fatal(err)
	}
	if q.Where != "true" || !q.Exact {
		t.Errorf("where %s, exact %v", q.Where, q.Exact)
	}
}

// TestClockIsChecked: a rule never falls back to the machine's time or zone.
func TestClockIsChecked(t *testing.T) {
	t.Parallel()
	rule := mustRule(t, "customer.birth_date < today()", NewScope(testSchema()))
	good := testClocks()[0]
	cases := map[string]func(c *Clock){
		`rule "customer.birth_date < today()": the clock has no zone`:              func(c *Clock) { c.Zone = nil },
		`rule "customer.birth_date < today()": the zone "Local" has no IANA name`:  func(c *Clock) { c.Zone = time.Local },
		`rule "customer.birth_date < today()": the zone "x" has no IANA name`:      func(c *Clock) { c.Zone = time.FixedZone("x", 60) },
		`rule "customer.birth_date < today()": the clock has no time`:              func(c *Clock) { c.Now = time.Time{} },
		`rule "customer.birth_date < today()": the clock's date has a time of day`: func(c *Clock) { c.Today = c.Today.Add(time.Hour) },
	}
	for want, spoil := range cases {
		clock := good
		spoil(&clock)
		_, err := rule.SQL(&Args{}, clock, map[string]string{"customer": "c"})
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := rule.SQL(&Args{}, good, nil); err == nil {
		t.Error("a rule without an alias for its table is translated")
	}
}

// TestCanonicalTextIsFrozen: these texts are stored as parts of occasions and must never change.
func TestCanonicalTextIsFrozen(t *testing.T) {
	t.Parallel()
	cases := []struct{ value, want string }{
		{`"Solo É"`, "Solo É"},
		{`1 == 1`, "true"},
		{`42`, "42"},
		{`-7`, "-7"},
		{`1.50`, "1.5"},
		{`100.0`, "100"},
		{`10 / 4`, "2.5"},
		{`1 / 3`, "0.333333333333333"},
		{`9223372036854775807 * 10`, "92233720368547758070"},
		{`date("2026-01-31")`, "2026-01-31"},
		{`date("0044-03-15")`, "0044-03-15"},
		{`today()`, "2026-11-22"},
		{`now()`, "2026-11-22T01:00:00Z"},
		{`now() + hours(1) + duration("1.5s")`, "2026-11-22T02:00:01.5Z"},
		{`ago(months(9))`, "2026-02-22T01:00:00Z"},
		{`let n = nil; n ?? "x"`, "x"},
	}
	db := pgtest.Empty(t, testDatabases()["zone"]...)
	for _, c := range cases {
		value, problems := ParseValue(Text(c.value), NewScope(testSchema()))
		if problems != nil {
			t.Error(problems)
			continue
		}
		var args Args
		sql, err := value.SQL(&args, testClocks()[0], nil)
		if err != nil {
			t.Errorf("%s: %v", c.value, err)
			continue
		}
		var got string
		if err := db.QueryRow(t.Context(), "select "+sql, append([]any{pgx.QueryExecModeDescribeExec}, args.Values()...)...).Scan(&got); err != nil {
			t.Errorf("%s: %s: %v", c.value, sql, err)
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.value, got, c.want)
		}
	}
}

// TestArgsMeanTheSameInEveryMode: pgx sends parameters differently in its modes, and a date must stay a date in each.
func TestArgsMeanTheSameInEveryMode(t *testing.T) {
	t.Parallel()
	w := newWorld(5)
	db := pgtest.Empty(t, pgtest.TimeZone("Asia/Tokyo"))
	w.create(t, db)
	const text = `customer.birth_date in [today(), date("2000-02-29")] || customer.created_at <= ago(years(5)) || customer.income in [1.5, 10] || ` +
		`customer.seen < now() || customer.uid == "6f9619ff-8b86-4d01-b42d-00cf4fc964ff" || customer.score > 0.2 || customer.name in ["a", "É"] || ` +
		`birthday(customer.joined) || customer.joined + months(1) == today() || "vip" in customer.tags || customer.age in [1, 2]`
	rule := mustRule(t, text, NewScope(w.schema))
	want := w.match(t, rule, w.clocks[1])
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		q, err := Audience(NewScope(w.schema), nil, rule, &Args{}, w.clocks[1])
		if err != nil {
			t.Fatal(err)
		}
		rows, _ := db.Query(t.Context(), "select c.id from "+q.From+" where "+q.Where+" order by 1", append([]any{mode}, q.Args.Values()...)...)
		got, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			t.Errorf("%v: %v", mode, err)
			continue
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%v: %s", mode, d)
		}
	}
}
