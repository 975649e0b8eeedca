package segment

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

// outline is a trace as text, one clause a line.
func outline(t *Trace) string {
	var b strings.Builder
	writeOutline(&b, t, "")
	return b.String()
}

func writeOutline(b *strings.Builder, t *Trace, indent string) {
	mark := map[bool]string{true: "yes", false: "no"}[t.Holds]
	fmt.Fprintf(b, "%s%s | %s | %s", indent, t.Kind, t.Text, mark)
	for _, v := range t.Values {
		fmt.Fprintf(b, " | %s = %s", v.Text, v.Words)
		if v.Note != "" {
			fmt.Fprintf(b, " (%s)", v.Note)
		}
	}
	if t.Rows != nil {
		fmt.Fprintf(b, " | %d of %d %s", t.Rows.Matching, t.Rows.Total, t.Rows.Name)
	}
	b.WriteByte('\n')
	for _, p := range t.Parts {
		writeOutline(b, p, indent+"  ")
	}
	if t.Rows == nil {
		return
	}
	for _, r := range t.Rows.Shown {
		fmt.Fprintf(b, "%s  %s\n", indent, r.Label)
		for _, p := range r.Parts {
			writeOutline(b, p, indent+"    ")
		}
	}
}

// The verdict of each clause follows from those of its parts, and that of the whole is the Program's, for any rule and row.
func TestTraceAgreesWithProgram(t *testing.T) {
	t.Parallel()
	w := newWorld(11)
	rapid.Check(t, func(rt *rapid.T) {
		g := &generator{t: rt, schema: w.schema, residual: rapid.Bool().Draw(rt, "residual")}
		text := g.condition(3)
		rule, problems := ParseRule(Text(text), testScope(w.schema))
		if problems != nil && tooBig(problems.Error()) {
			return
		}
		if problems != nil {
			rt.Fatalf("%s\n%v", text, problems)
		}
		clock := rapid.SampledFrom(w.clocks).Draw(rt, "clock")
		program, err := rule.Program(clock)
		if err != nil {
			rt.Fatal(err)
		}
		for i := range 20 {
			row := w.row(w.customers[i], rule, clock)
			want, err := program.Match(row)
			if err != nil {
				rt.Fatal(err)
			}
			got, err := rule.Trace(clock, row)
			if err != nil {
				rt.Fatalf("%s: %v", text, err)
			}
			if got.Holds != want {
				rt.Fatalf("%s: traced %v, decided %v for customer %v", text, got.Holds, want, row["customer"].(map[string]any)["id"])
			}
			consistent(rt, got)
		}
	})
}

// consistent says that a clause's verdict is what its parts make of it.
func consistent(rt *rapid.T, t *Trace) {
	yes := 0
	for _, p := range t.Parts {
		consistent(rt, p)
		if p.Holds {
			yes++
		}
	}
	want := t.Holds
	switch t.Kind {
	case "and":
		want = yes == len(t.Parts)
	case "or":
		want = yes > 0
	case "not":
		want = yes == 0
	case "choice":
		want = t.Parts[1].Holds
	case "segment":
		want = t.Parts[0].Holds
	case "any":
		want = t.Rows.Matching > 0
	case "none":
		want = t.Rows.Matching == 0
	case "all":
		want = t.Rows.Matching == t.Rows.Total
	}
	if want != t.Holds {
		rt.Fatalf("%s: %v does not follow from its parts:\n%s", t.Text, t.Holds, outline(t))
	}
	if t.Rows == nil {
		return
	}
	for _, r := range t.Rows.Shown {
		for _, p := range r.Parts {
			consistent(rt, p)
		}
	}
}

// Candidates loads what Trace wants; the trace of loaded rows is that of the world's, and related rows have their keys.
func TestTraceOfLoadedRows(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	db := pgtest.Empty(t)
	w.create(t, db)
	scope := testScope(w.schema)
	rule := mustRule(t, `any(customer.vehicles, .km > 5 && any(.services, lower(.kind) == "a")) || customer.dealer.city == "Solo"`, scope)
	for _, row := range w.customers[:50] {
		want, err := rule.Trace(w.clocks[0], Row{"customer": row})
		if err != nil {
			t.Fatal(err)
		}
		found, err := Candidates(t.Context(), db, scope, fmt.Sprint(row["id"]), w.clocks[0], rule, nil)
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		got, err := rule.Trace(w.clocks[0], found[0].Row)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(sortedLines(outline(want)), sortedLines(outline(got))); d != "" {
			t.Error(d)
		}
	}
	if found, err := Candidates(t.Context(), db, scope, "999999", w.clocks[0], rule); err != nil || len(found) != 0 {
		t.Error(found, err)
	}
}

// sortedLines forgets the order of rows, which no relation has.
func sortedLines(text string) []string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return lines
}

// aCustomer is a row whose values are easy to read.
func aCustomer() Row {
	date := func(s string) time.Time { d, _ := time.Parse(time.DateOnly, s); return d }
	instant := func(s string) time.Time { d, _ := time.Parse(time.RFC3339, s); return d }
	order := func(id int64, total, at, kind string) map[string]any {
		return map[string]any{"id": id, "total": decimal.RequireFromString(total), "ordered_at": instant(at), "kind": kind, "paid": true}
	}
	vehicle := func(id, km int64, due any, dealer any) map[string]any {
		return map[string]any{"id": id, "km": km, "due": due, "dealer": dealer, "sold": nil, "services": []map[string]any{}}
	}
	return Row{"customer": map[string]any{
		"id": int64(17), "name": "Ani Wijaya", "city": "Solo", "age": nil, "visits": int64(12), "income": decimal.RequireFromString("12500000.5"),
		"birth_date": date("1990-11-22"), "tags": []string{"vip", "gold"}, "vip": true, "active": nil, "extra": `{"km": 5}`,
		"created_at": instant("2026-11-20T18:30:00Z"), "dealer": nil, "dealer_id": nil,
		"vehicles": []map[string]any{
			vehicle(21, 120_000, date("2026-12-10"), map[string]any{"city": "Solo", "id": int64(1)}),
			vehicle(22, 40_000, date("2026-11-25"), nil),
			vehicle(23, 9_000, nil, nil), vehicle(24, 1_000, nil, nil),
		},
		"orders": []map[string]any{
			order(1, "250000", "2026-11-01T03:00:00Z", "part"), order(2, "1000000", "2026-08-01T03:00:00Z", "service"),
			order(3, "99.5", "2025-01-01T03:00:00Z", "part"),
		},
	}}
}

func TestTraceReads(t *testing.T) {
	t.Parallel()
	tests := []struct{ rule, want string }{
		{`customer.city == "Semarang"`, `
condition | customer.city == "Semarang" | no | customer.city = Solo`},
		{`customer.city != "Semarang" && customer.age > 30 || customer.income >= 10_000_000`, `
or | customer.city != "Semarang" && customer.age > 30 || customer.income >= 10_000_000 | yes
  and | customer.city != "Semarang" && customer.age > 30 | no
    condition | customer.city != "Semarang" | yes | customer.city = Solo
    condition | customer.age > 30 | no | customer.age = missing
  condition | customer.income >= 10_000_000 | yes | customer.income = 12,500,000.5`},
		{`birthday(customer.birth_date) && !("vip" in customer.tags)`, `
and | birthday(customer.birth_date) && !("vip" in customer.tags) | no
  condition | birthday(customer.birth_date) | yes | customer.birth_date = 1990-11-22
  condition | !("vip" in customer.tags) | no | customer.tags = vip, gold`},
		{`customer.created_at > today() - days(3) && customer.created_at > ago(hours(6))`, `
and | customer.created_at > today() - days(3) && customer.created_at > ago(hours(6)) | no
  condition | customer.created_at > today() - days(3) | yes | customer.created_at = 2026-11-21 01:30 WIB | today() - days(3) = 2026-11-19 | today() = 2026-11-22
  condition | customer.created_at > ago(hours(6)) | no | customer.created_at = 2026-11-21 01:30 WIB | ago(hours(6)) = 2026-11-22 02:00 WIB`},
		{`count(customer.orders, .ordered_at > ago(days(90))) >= 3 && sum(customer.orders, .total) > 1_000_000`, `
and | count(customer.orders, .ordered_at > ago(days(90))) >= 3 && sum(customer.orders, .total) > 1_000_000 | no
  condition | count(customer.orders, .ordered_at > ago(days(90))) >= 3 | no | count(customer.orders, .ordered_at > ago(days(90))) = 1 (of 3 orders)
  condition | sum(customer.orders, .total) > 1_000_000 | yes | sum(customer.orders, .total) = 1,250,099.5 (3 orders)`},
		{`any(customer.vehicles, .km > 50_000 && .due <= today() + days(14) && .dealer.city == "Semarang")`, `
any | any(customer.vehicles, .km > 50_000 && .due <= today() + days(14) && .dealer.city == "Semarang") | no | 0 of 4 vehicles
  vehicle 21
    condition | .km > 50_000 | yes | .km = 120,000
    condition | .due <= today() + days(14) | no | .due = 2026-12-10 | today() + days(14) = 2026-12-06 | today() = 2026-11-22
    condition | .dealer.city == "Semarang" | no | .dealer.city = Solo
  vehicle 22
    condition | .km > 50_000 | no | .km = 40,000
    condition | .due <= today() + days(14) | yes | .due = 2026-11-25 | today() + days(14) = 2026-12-06 | today() = 2026-11-22
    condition | .dealer.city == "Semarang" | no | .dealer.city = missing
  vehicle 23
    condition | .km > 50_000 | no | .km = 9,000
    condition | .due <= today() + days(14) | no | .due = missing | today() + days(14) = 2026-12-06 | today() = 2026-11-22
    condition | .dealer.city == "Semarang" | no | .dealer.city = missing`},
		{`none(customer.orders, .kind == "service") && all(filter(customer.orders, .kind == "part"), .total > 1_000)`, `
and | none(customer.orders, .kind == "service") && all(filter(customer.orders, .kind == "part"), .total > 1_000) | no
  none | none(customer.orders, .kind == "service") | no | 1 of 3 orders
    order 2
      condition | .kind == "service" | yes | .kind = service
  all | all(filter(customer.orders, .kind == "part"), .total > 1_000) | no | 1 of 2 orders
    order 3
      condition | .total > 1_000 | no | .total = 99.5`},
		{`let n = customer.visits; (n > 10 ? customer.vip : customer.active) && n in 1..5`, `
and | (n > 10 ? customer.vip : customer.active) && n in 1..5 | no
  choice | n > 10 ? customer.vip : customer.active | yes
    condition | n > 10 | yes | customer.visits = 12
    condition | customer.vip | yes | customer.vip = true
  condition | n in 1..5 | no | customer.visits = 12`},
		{`(customer.age ?? 40) / customer.visits > 3 && customer.dealer == nil && not (customer.vip && customer.city in ["Solo", nil])`, `
and | (customer.age ?? 40) / customer.visits > 3 && customer.dealer == nil && not (customer.vip && customer.city in ["Solo", nil]) | no
  condition | (customer.age ?? 40) / customer.visits > 3 | yes | (customer.age ?? 40) / customer.visits = 3.33333333333333 | customer.age ?? 40 = 40 | customer.age = missing | customer.visits = 12
  condition | customer.dealer == nil | yes | customer.dealer = missing
  not | not (customer.vip && customer.city in ["Solo", nil]) | no
    and | customer.vip && customer.city in ["Solo", nil] | yes
      condition | customer.vip | yes | customer.vip = true
      condition | customer.city in ["Solo", nil] | yes | customer.city = Solo`},
		{`true && customer.extra != nil && customer.name matches "^B"`, `
and | true && customer.extra != nil && customer.name matches "^B" | no
  condition | true | yes
  condition | customer.extra != nil | yes | customer.extra = there is one
  condition | customer.name matches "^B" | no | customer.name = Ani Wijaya`},
	}
	schema := testSchema()
	for _, test := range tests {
		rule := mustRule(t, test.rule, NewScope(schema))
		got, err := rule.Trace(testClocks()[0], aCustomer())
		if err != nil {
			t.Fatalf("%s: %v", test.rule, err)
		}
		if d := cmp.Diff(strings.TrimPrefix(test.want, "\n")+"\n", outline(got)); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.rule, d)
		}
	}
}
