package segment

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr/builtin"
	exproperator "github.com/expr-lang/expr/parser/operator"
	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
)

// TestEveryBuiltinOfExpr: each function that expr knows is one of ours, or refused with what to write instead.
func TestEveryBuiltinOfExpr(t *testing.T) {
	t.Parallel()
	for _, name := range builtin.Names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, ours := function(name); ours {
				return // and its example is checked by TestReference
			}
			p := onlyProblem(t, name+"(customer.orders, true)")
			if p.Message != name+" can't be used in rules" || !strings.Contains(p.Hint, " ") {
				t.Errorf("%q, %q", p.Message, p.Hint)
			}
			if d := cmp.Diff(diag.Span{Line: 1, Col: 1, Len: len(name)}, p.Span); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestRefusedFunctionsAreNotOurs: whoever adds a function takes its remedy away.
func TestRefusedFunctionsAreNotOurs(t *testing.T) {
	t.Parallel()
	for name := range refused {
		if _, ours := function(name); ours {
			t.Errorf("%s is a function: take it out of refused", name)
		}
	}
}

// TestEveryOperatorOfExpr: each operator that expr knows decides something, or is refused with what to write instead.
func TestEveryOperatorOfExpr(t *testing.T) {
	t.Parallel()
	rules := map[string]string{
		"|": "customer.orders | any(.paid)", "or": "customer.vip or customer.active", "||": "customer.vip || customer.active",
		"and": "customer.vip and customer.active", "&&": "customer.vip && customer.active", "==": "customer.age == 1",
		"!=": "customer.age != 1", "<": "customer.age < 1", ">": "customer.age > 1", ">=": "customer.age >= 1", "<=": "customer.age <= 1",
		"in": "customer.age in [1]", "matches": `customer.name matches "a"`, "contains": `customer.name contains "a"`,
		"startsWith": `customer.name startsWith "a"`, "endsWith": `customer.name endsWith "a"`, "..": "customer.age in 1..2",
		"+": "customer.age + 1 > 1", "-": "customer.age - 1 > 1", "*": "customer.age * 2 > 1", "/": "customer.age / 2 > 1",
		"%": "customer.age % 2 == 1", "??": "(customer.age ?? 1) > 1", "not": "not customer.vip", "!": "!customer.vip",
	}
	for op := range exproperator.Binary {
		if remedy, isRefused := refusedOperators[op]; isRefused {
			p := onlyProblem(t, "customer.age "+op+" 2 > 1")
			if p.Message != "the operator "+op+" can't be used in rules" || p.Hint != remedy {
				t.Errorf("%s: %q, %q", op, p.Message, p.Hint)
			}
			continue
		}
		accepted(t, op, rules[op])
	}
	for op := range exproperator.Unary {
		rule := rules[op]
		if op == "-" || op == "+" {
			rule = op + "customer.age > 1"
		}
		accepted(t, op, rule)
	}
}

func accepted(t *testing.T, op, rule string) {
	t.Helper()
	if rule == "" {
		t.Errorf("the operator %s is new: no rule has it", op)
		return
	}
	if _, problems := ParseRule(Text(rule), NewScope(testSchema())); problems != nil {
		t.Errorf("%s: %v", op, problems)
	}
}

func onlyProblem(t *testing.T, rule string) diag.Problem {
	t.Helper()
	_, problems := ParseRule(Text(rule), NewScope(testSchema()))
	if len(problems) != 1 {
		t.Fatalf("%s has %d problems: %v", rule, len(problems), problems)
	}
	return problems[0]
}

// TestRowsWithoutOrder: first, last and find need columns that decide, and say which line of sapa.yaml names them.
func TestRowsWithoutOrder(t *testing.T) {
	t.Parallel()
	cases := []struct {
		rule          string
		change        func(orders *customer.Entity)
		message, hint string
	}{
		{
			`last(customer.orders).paid`, func(e *customer.Entity) { e.At = "" },
			"last needs to know which column holds the time of orders", "add at: ordered_at to orders in sapa.yaml",
		},
		{
			`first(customer.orders).paid`, func(e *customer.Entity) {
				e.At = ""
				e.Columns = slices.DeleteFunc(slices.Clone(e.Columns), func(c customer.Column) bool { return c.Name == "ordered_at" })
			},
			"first needs to know which column holds the time of orders",
			"public.Orders has no column with a date or time: map a view that has one, and add at: to orders in sapa.yaml",
		},
		{
			`first(customer.orders).paid`, func(e *customer.Entity) { e.Key = "" },
			"first needs the key column of orders, which decides between rows of the same time",
			"add key: to orders in sapa.yaml, for example key: id",
		},
		{
			`find(customer.orders, .paid).paid`, func(e *customer.Entity) { e.Key, e.At = "", "" },
			"find needs the key column of orders, which decides between rows of the same time",
			"add key: to orders in sapa.yaml, for example key: id",
		},
		{
			`last(customer.orders).paid`, func(e *customer.Entity) { e.At = "kind" },
			`last: the time of orders, "kind", is no date or time`, "add at: ordered_at to orders in sapa.yaml",
		},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			schema := testSchema()
			orders, _ := schema.Customer.Relation("orders")
			c.change(orders.Target)
			_, problems := ParseRule(Text(c.rule), NewScope(schema))
			if len(problems) != 1 {
				t.Fatal(problems)
			}
			if d := cmp.Diff([]string{c.message, c.hint}, []string{problems[0].Message, problems[0].Hint}); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestFindByKeyAlone: without a time, find goes by the key.
func TestFindByKeyAlone(t *testing.T) {
	t.Parallel()
	schema := testSchema()
	orders, _ := schema.Customer.Relation("orders")
	orders.Target.At = ""
	want := `exists (select from "public"."Orders" s1 where s1."customer_id" = c."id" and s1."paid" and not exists (` +
		`select from "public"."Orders" s2 where s2."customer_id" = s1."customer_id" and s2."paid" and s2."id" < s1."id") and s1."total" > $1::numeric)` +
		"\n$1 = 5"
	if d := cmp.Diff(want, translate(`find(customer.orders, .paid).total > 5`, NewScope(schema))); d != "" {
		t.Error(d)
	}
}

// TestRowsInGoals: a goal looks at rows since the message.
func TestRowsInGoals(t *testing.T) {
	t.Parallel()
	message := entity("message", "messages", "id", col("id!", customer.Int, "bigint"), col("sent_at", customer.Timestamptz, "timestamptz"))
	scope := NewScope(testSchema()).With("message", message)
	for _, rule := range []string{
		`first(filter(customer.orders, .ordered_at >= message.sent_at)).total > 5`,
		`last(customer.orders).ordered_at >= message.sent_at && last(customer.orders)?.kind not in ["a", nil]`,
		`let orders = filter(customer.orders, .ordered_at >= message.sent_at); one(orders, .paid) && (first(orders).total ?? 0) in 1..5`,
	} {
		parsed, problems := ParseRule(Text(rule), scope)
		if problems != nil && !strings.Contains(rule, "in 1..5") {
			t.Fatal(problems)
		}
		if parsed == nil {
			continue
		}
		c, err := parsed.SQL(&Args{}, testClocks()[0], map[string]string{"customer": "c", "message": "m"})
		if err != nil || !strings.Contains(c.SQL, `m."sent_at"`) {
			t.Error(rule, c.SQL, err)
		}
	}
	value, problems := ParseValue(Text(`last(customer.orders).total`), scope)
	if problems != nil {
		t.Fatal(problems)
	}
	sql, err := value.SQL(&Args{}, testClocks()[0], map[string]string{"customer": "c"})
	want := `trim_scale((select s1."total" from "public"."Orders" s1 where s1."customer_id" = c."id" and s1."ordered_at" is not null ` +
		`order by s1."ordered_at" desc, s1."id" desc limit 1))::text`
	if d := cmp.Diff(want, sql); d != "" || err != nil {
		t.Error(d, err)
	}
}

// TestWhichRowIsPicked: by time, then by key in the order of bytes; rows without a time are never first or last, and the
// last that find finds.
func TestWhichRowIsPicked(t *testing.T) {
	t.Parallel()
	at := func(day int) any { return time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC) }
	service := func(ref string, at any, kind string) map[string]any {
		return map[string]any{"ref": ref, "at": at, "kind": kind}
	}
	vehicle := map[string]any{"services": []map[string]any{
		service("b", at(2), "early b"), service("É", at(5), "late É"), service("a", at(2), "early a"), service("z", at(5), "late z"),
		service("A", nil, "timeless A"), service("0", nil, "timeless 0"), service("m", at(3), "middle"),
	}}
	rows := []map[string]any{{"vehicles": []map[string]any{vehicle}}, {"vehicles": []map[string]any{{"services": []map[string]any{
		service("x", nil, "timeless x"),
	}}}}, {"vehicles": []map[string]any{}}}
	cases := map[string][]bool{
		`first(.services).kind == "early a"`:                                  {true, false, false},
		`last(.services).kind == "late É"`:                                    {true, false, false},
		`last(filter(.services, .kind startsWith "e")).kind == "early b"`:     {true, false, false},
		`last(.services) == nil`:                                              {false, true, false},
		`find(.services, .kind startsWith "timeless").kind == "timeless 0"`:   {true, false, false},
		`find(.services, .kind != "").kind in ["early a", "timeless x"]`:      {true, true, false},
		`find(.services, .kind == "nobody's") == nil`:                         {true, true, false},
		`(first(.services).kind ?? "nothing") == "nothing"`:                   {false, true, false},
		`one(.services, .kind == "middle")`:                                   {true, false, false},
		`max(map(.services, .at)) == last(.services).at`:                      {true, true, false},
		`count(map(.services, .at), # == date("2026-01-05")) == 2`:            {true, false, false},
		`len(map(.services, .at)) == 5 && len(.services) == 7`:                {true, false, false},
		`all(map(.services, .at), # >= date("2026-01-02"))`:                   {true, true, false},
		`min("b", last(.services).kind, "é") == "b" && max(nil ?? 1, 2) == 2`: {true, true, false},
	}
	for condition, want := range cases {
		t.Run(condition, func(t *testing.T) {
			t.Parallel()
			rule, problems := ParseRule(Text("any(customer.vehicles, "+condition+")"), NewScope(testSchema()))
			if problems != nil {
				t.Fatal(problems)
			}
			program, err := rule.Program(testClocks()[0])
			if err != nil {
				t.Fatal(err)
			}
			var got []bool
			for _, row := range rows {
				ok, err := program.Match(Row{"customer": row})
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, ok)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
