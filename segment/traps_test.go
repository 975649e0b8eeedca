package segment

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

// The people of the traps: 1 has nothing but what can't be missing, 2 and 3 are ordinary, and 3 is born on 29 February.
func trapWorld() *world {
	w := newWorld(1)
	c := w.schema.Customer
	for e := range w.tables {
		w.tables[e] = nil
	}
	day := func(s string) time.Time { t, _ := time.Parse(time.DateOnly, s); return t }
	dealer := map[string]any{"id": int64(1), "city": "Solo", "big": true}
	w.tables[w.schema.Customer.Relations[0].Target] = []map[string]any{dealer}
	person := func(id int64, more map[string]any) map[string]any {
		row := map[string]any{
			"id": id, "city": "", "visits": int64(0), "vip": false, "joined": day("2020-01-01"), "labels": []string{},
			"vehicles": []map[string]any{}, "orders": []map[string]any{},
		}
		for k, v := range more {
			row[k] = v
		}
		return row
	}
	vehicle := map[string]any{"id": int64(1), "customer_id": int64(2), "km": nil, "plate": "H 1", "services": []map[string]any{}}
	vehicle2 := map[string]any{"id": int64(2), "customer_id": int64(2), "km": int64(7), "plate": "H 2", "services": []map[string]any{}}
	order := map[string]any{"id": int64(1), "customer_id": int64(3), "amount": int64(5), "total": nil, "paid": nil}
	w.tables[c.Relations[1].Target] = []map[string]any{vehicle, vehicle2}
	w.tables[c.Relations[2].Target] = []map[string]any{order}
	w.tables[c] = []map[string]any{
		person(1, nil),
		person(2, map[string]any{
			"name": "Solo", "city": "Solo", "age": int64(5), "visits": int64(7), "points": int64(9_223_372_036_854_775_807),
			"income": decimal.RequireFromString("0.30"), "score": 0.5, "active": true, "vip": true, "birth_date": day("2000-02-28"),
			"created_at": time.Date(2026, 2, 28, 4, 59, 59, 999_999_000, time.UTC), "tags": []string{"vip"}, "dealer_id": int64(1),
			"dealer": dealer, "vehicles": []map[string]any{vehicle, vehicle2},
		}),
		person(3, map[string]any{
			"name": "b", "city": "É", "age": int64(-3), "active": false, "income": decimal.RequireFromString("-2"),
			"score": 0.0, "birth_date": day("2000-02-29"), "created_at": time.Date(2026, 2, 28, 5, 0, 0, 0, time.UTC), "tags": []string{},
			"dealer_id": int64(99), "orders": []map[string]any{order},
		}),
	}
	w.customers = w.tables[c]
	return w
}

// TestTraps is every surprise of expr and of SQL that was found on the way, by name.
func TestTraps(t *testing.T) {
	t.Parallel()
	cases := []struct {
		rule string
		want []int64
	}{
		// Missing values.
		{`customer.name == "Solo"`, []int64{2}},
		{`customer.name != "Solo"`, []int64{1, 3}}, // includes people without a name
		{`!(customer.name == "Solo")`, []int64{1, 3}},
		{`customer.age > 0`, []int64{2}},
		{`!(customer.age > 0)`, []int64{1, 3}}, // nil > 0 is an error in expr
		{`customer.age < 0 || customer.age >= 0`, []int64{2, 3}},
		{`customer.name startsWith ""`, []int64{2, 3}},
		{`customer.name not contains "z"`, []int64{1, 2, 3}},
		{`customer.active`, []int64{2}}, // *bool is refused by expr
		{`not customer.active`, []int64{1, 3}},
		{`customer.active == false`, []int64{3}}, // those who said no
		{`customer.active != nil`, []int64{2, 3}},
		{`(customer.active ?? true)`, []int64{1, 2}},
		{`customer.age + 1 == nil`, []int64{1}},
		{`customer.age == customer.points`, []int64{1}}, // both missing
		{`customer.age != customer.points`, []int64{2, 3}},
		{`customer.age in [5, nil]`, []int64{1, 2}},
		{`customer.age not in [5, nil]`, []int64{3}},
		{`customer.age not in [5]`, []int64{1, 3}},
		{`customer.age in [customer.points]`, []int64{}}, // both missing: only a written nil finds a missing value
		{`customer.name in ["", "z"]`, []int64{}},        // expr's optimiser finds nil in it
		{`customer.age in 5..7`, []int64{2}},
		{`customer.age not in 5..7`, []int64{1, 3}},
		{`(customer.age ?? 100) > 50`, []int64{1}},
		{`birthday(customer.birth_date)`, []int64{2, 3}}, // 29 February is kept on the 28th
		{`!birthday(customer.birth_date)`, []int64{1}},
		// Text.
		{`customer.city < "a"`, []int64{1, 2}}, // by bytes: É comes after a
		{`customer.name contains "ol" && customer.name startsWith "S" && customer.name endsWith "o"`, []int64{2}},
		{`customer.name matches "^So"`, []int64{2}},
		{`customer.name matches "(?i)^so"`, []int64{2}},
		{`len(customer.city) == 1`, []int64{3}}, // characters, not bytes
		{`lower(customer.city) == "é"`, []int64{3}},
		{`customer.name + "!" == "b!"`, []int64{3}},
		{`"vip" in customer.tags`, []int64{2}},
		{`"vip" not in customer.tags`, []int64{1, 3}},
		// Numbers.
		{`customer.age / 2 == 2.5`, []int64{2}}, // integer division is float division
		{`5 / 2 == 2.5`, []int64{1, 2, 3}},
		{`customer.income == 0.1 + 0.2`, []int64{2}}, // money is exact
		{`customer.income * 3 == 0.9`, []int64{2}},
		{`customer.age / customer.visits == nil`, []int64{1, 3}}, // x/0 is missing
		{`customer.age % customer.visits == nil`, []int64{1, 3}},
		{`customer.age % 2 == -1`, []int64{3}},
		{`1 / 0 == nil`, []int64{1, 2, 3}},
		{`customer.points + 1 > customer.points`, []int64{2}}, // no overflow
		{`customer.points * customer.points > 0`, []int64{2}},
		{`9223372036854775807 + 1 > 0`, []int64{1, 2, 3}}, // expr wraps while folding
		{`-customer.points < 0`, []int64{2}},
		{`customer.score / 3 > 0`, []int64{2}},
		// Dates: the company's zone is New York; today is 28 February 2026.
		{`customer.created_at == today()`, []int64{3}},
		{`customer.created_at < today()`, []int64{2}},
		{`customer.created_at <= today()`, []int64{2, 3}},
		{`customer.created_at > today() - days(1)`, []int64{3}},
		{`date(customer.created_at) == date("2026-02-27")`, []int64{2}},
		{`customer.created_at != today()`, []int64{1, 2}},
		{`customer.birth_date + years(1) == date("2001-02-28")`, []int64{2, 3}},
		{`customer.birth_date + days(1) == date("2000-02-29")`, []int64{2}},
		{`customer.joined > customer.birth_date`, []int64{2, 3}},
		{`customer.created_at >= ago(hours(3))`, []int64{2, 3}},
		// Relations.
		{`any(customer.vehicles, .km > 6)`, []int64{2}}, // expr fails on the missing km of the first
		{`any(customer.vehicles, .km <= 6)`, []int64{}},
		{`all(customer.vehicles, .km > 6)`, []int64{1, 3}},
		{`none(customer.vehicles, .km > 6)`, []int64{1, 3}},
		{`all(customer.vehicles, .km != 5)`, []int64{1, 2, 3}},
		{`count(customer.vehicles) == 2`, []int64{2}}, // expr counts true elements
		{`count(customer.vehicles) != 2`, []int64{1, 3}},
		{`count(customer.vehicles, .km == nil) < 1`, []int64{1, 3}},
		{`sum(customer.vehicles, .km) == 7`, []int64{2}}, // expr panics on the missing km
		{`sum(customer.vehicles, .km) == 0`, []int64{1, 3}},
		{`sum(customer.orders, .total) >= 0`, []int64{1, 2, 3}}, // one order, total missing
		{`sum(customer.orders, .total) < 1`, []int64{1, 2, 3}},
		{`max(map(customer.orders, .total)) == nil`, []int64{1, 2, 3}},
		{`max(map(customer.vehicles, .km)) != 7`, []int64{1, 3}},
		{`mean(map(customer.vehicles, .km)) == 7`, []int64{2}},
		{`len(customer.orders) > 0 && !any(customer.orders, .paid)`, []int64{3}},
		{`customer.dealer.city == "Solo"`, []int64{2}}, // expr panics on a missing dealer, even with ?.
		{`customer.dealer?.city != "Solo"`, []int64{1, 3}},
		{`customer.dealer == nil`, []int64{1, 3}}, // 3 has a key that leads nowhere
		{`customer.dealer.big`, []int64{2}},
		{`!customer.dealer.big`, []int64{1, 3}},
		{`any(filter(customer.vehicles, .km > 1), .plate == "H 2")`, []int64{2}},
		{`any(customer.vehicles, .km == customer.visits)`, []int64{2}},
		// The language.
		{`1 < customer.age < 6`, []int64{2}},
		{`if customer.vip { customer.age > 4 } else { customer.age < 0 }`, []int64{2, 3}},
		{`let old = customer.age; old > 4 && old < 6`, []int64{2}},
		{`let v = customer.vehicles; any(v, .km > 6 && any(v, .km == nil))`, []int64{2}},
		{`customer.name | len() == 4`, []int64{2}},
		{`customer["name"] == 'Solo'`, []int64{2}},
		{`true`, []int64{1, 2, 3}},
		{`false || nil == nil`, []int64{1, 2, 3}},
	}
	w := trapWorld()
	db := pgtest.Empty(t, pgtest.ICU("en-x-icu"), pgtest.TimeZone("Asia/Tokyo"))
	w.create(t, db)
	clock := w.clocks[1]
	clock.Now = time.Date(2026, 2, 28, 7, 0, 0, 0, time.UTC)
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			rule, problems := ParseRule(Text(c.rule), NewScope(w.schema))
			if problems != nil {
				t.Fatal(problems)
			}
			if d := cmp.Diff(c.want, append([]int64{}, w.match(t, rule, clock)...)); d != "" {
				t.Errorf("VM:\n%s", d)
			}
			q, err := Audience(NewScope(w.schema), nil, rule, &Args{}, clock)
			if err != nil {
				t.Fatal(err)
			}
			ids, err := queryIDs(db, q)
			if err != nil {
				t.Fatalf("%s\n%v", q.Where, err)
			}
			if d := cmp.Diff(c.want, append([]int64{}, ids...)); d != "" && q.Exact {
				t.Errorf("SQL: %s\n%s", q.Where, d)
			}
		})
	}
}
