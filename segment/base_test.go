package segment

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/customer"
)

// TestBaseMessages are those that the world of the other tests has no occasion for.
func TestBaseMessages(t *testing.T) {
	t.Parallel()
	schema := workshop()
	vehicles, _ := schema.Customer.Relation("vehicles")
	services, _ := vehicles.Target.Relation("services")
	for _, r := range []*customer.Relation{vehicles, services} {
		r.Target.At, r.Target.Amount = "", ""
	}
	scope := NewScope(schema)
	each := scope.WithEach(vehicles, "vehicle")
	names := workshopNames()
	names.Segments["reached"] = NamedRule{Text: `customer.visits > 1 && received("newsletter")`}
	named := scope.WithNames(names)
	cases := []struct {
		scope      *Scope
		rule, want string
	}{
		{scope, `recency(customer.vehicles) > 30`, `rule:1:1: recency needs the time of each row, and sapa.yaml does not say which column of public.vehicles it is
   1 | recency(customer.vehicles) > 30
     | ^^^^^^^^^^^^^^^^^^^^^^^^^^
     add to the relation vehicles in sapa.yaml  at: COLUMN`},
		{scope, `monetary(customer.vehicles) > 30`, `rule:1:1: monetary needs the value of each row, and sapa.yaml does not say which column of public.vehicles it is
   1 | monetary(customer.vehicles) > 30
     | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
     add to the relation vehicles in sapa.yaml  amount: COLUMN`},
		{scope, `rfm(customer.vehicles) == "555"`, `rule:1:1: rfm needs the time of each row, and sapa.yaml does not say which column of public.vehicles it is
   1 | rfm(customer.vehicles) == "555"
     | ^^^^^^^^^^^^^^^^^^^^^^
     add to the relation vehicles in sapa.yaml  at: COLUMN
rule:1:1: rfm needs the value of each row, and sapa.yaml does not say which column of public.vehicles it is
   1 | rfm(customer.vehicles) == "555"
     | ^^^^^^^^^^^^^^^^^^^^^^
     add to the relation vehicles in sapa.yaml  amount: COLUMN`},
		{each, `percentile(vehicle.km) >= 90`, `rule:1:12: percentile places a customer among all customers, but vehicle.km is about another row
   1 | percentile(vehicle.km) >= 90
     |            ^^^^^^^^^^
     use columns and relations of the customer`},
		{each, `percentile(count(vehicle.services)) >= 90`, `rule:1:12: percentile places a customer among all customers, but count(vehicle.services) is about another row
   1 | percentile(count(vehicle.services)) >= 90
     |            ^^^^^^^^^^^^^^^^^^^^^^^
     use columns and relations of the customer`},
		{named, `percentile(has_channel("email") ? customer.income : nil) >= 90`, `rule:1:12: percentile goes by the company's own columns and relations, but has_channel("email") asks what Sapa itself has sent and heard
   1 | percentile(has_channel("email") ? customer.income : nil) >= 90
     |            ^^^^^^^^^^^^^^^^^^^^
     write it beside: percentile(sum(customer.orders, .total)) >= 90 && …`},
		{named, `percentile(segment("reached") ? customer.income : nil) >= 90`, `rule:1:12: percentile goes by the company's own columns and relations, but segment("reached") asks what Sapa itself has sent and heard
   1 | percentile(segment("reached") ? customer.income : nil) >= 90
     |            ^^^^^^^^^^^^^^^^^^
     write it beside: percentile(sum(customer.orders, .total)) >= 90 && …`},
		{named, `rfm(filter(customer.orders, .total > 5 && !received("newsletter"))) == "555"`, `rule:1:44: rfm goes by the company's own columns and relations, but received("newsletter") asks what Sapa itself has sent and heard
   1 | rfm(filter(customer.orders, .total > 5 && !received("newsletter"))) == "555"
     |                                            ^^^^^^^^^^^^^^^^^^^^^^
     write it beside: rfm(customer.orders).recency >= 4 && rfm(customer.orders).frequency >= 4 && …`},
	}
	for _, c := range cases {
		_, problems := ParseRule(Text(c.rule), c.scope)
		if d := cmp.Diff(c.want, problems.Error()); d != "" {
			t.Error(d)
		}
	}
	if rule, problems := ParseRule(Text(`vehicle.km > 5 && percentile(customer.income) >= 90 && recency(vehicle.services) < 9`), each); rule != nil || len(problems) != 1 {
		t.Error("services have no time", problems)
	}
	if rule, problems := ParseRule(Text(`any(customer.orders, .total > 5) && percentile(count(customer.orders, .total > customer.income)) >= 90`), scope); rule == nil {
		t.Error(problems)
	}
	_, problems := Base(schema, Text(`customer.city != "Solo" && percentile(customer.income) >= 90`))
	want := `rule:1:28: who counts as a customer at all can't depend on a place among all customers
   1 | customer.city != "Solo" && percentile(customer.income) >= 90
     |                            ^^^^^^^^^^^^^^^^^^^^^^^^^^^
     ask that in the rules that choose among the customers`
	if d := cmp.Diff(want, problems.Error()); d != "" {
		t.Error(d)
	}
}

// TestRecencyEnds: the future is below 0, infinity is farther than every date, and a day is one of the company's zone.
func TestRecencyEnds(t *testing.T) {
	t.Parallel()
	w := trapWorld()
	orders, _ := w.schema.Customer.Relation("orders")
	clock := w.clocks[0] // 22 November 2026 in Jakarta
	at := func(times ...any) []map[string]any {
		var rows []map[string]any
		for _, t := range times {
			rows = append(rows, map[string]any{"ordered_at": t})
		}
		return rows
	}
	late := startOfDay(clock.Today.AddDate(0, 0, -3), clock.Zone)
	for _, c := range []struct {
		rows []map[string]any
		want string
	}{
		{nil, ""},
		{at(nil), ""},
		{at(nil, late), "3"},
		{at(late.Add(-1)), "4"},
		{at(late.AddDate(0, 0, 5), late), "-2"},
		{at(Infinity, late), "-10000000000"},
		{at(NegInfinity), "10000000000"},
	} {
		value, problems := ParseValue(Text("recency(customer.orders)"), NewScope(w.schema))
		if problems != nil {
			t.Fatal(problems)
		}
		program, err := value.Program(clock)
		if err != nil {
			t.Fatal(err)
		}
		person := map[string]any{"id": int64(1), orders.Name: c.rows}
		if got, _, err := program.Text(Row{"customer": person}); err != nil || got != c.want {
			t.Errorf("%v: got %q, want %q (%v)", c.rows, got, c.want, err)
		}
	}
}

// TestScoresWithTies: equal values have equal scores, and customers without rows have none.
func TestScoresWithTies(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	rule := mustRule(t, `rfm(customer.orders).frequency == 5`, NewScope(w.schema))
	clock := w.clocks[0]
	clock.Given = w.given(rule, clock)
	scores := map[int]map[string]bool{}
	value, problems := ParseValue(Text("rfm(customer.orders).frequency"), NewScope(w.schema))
	if problems != nil {
		t.Fatal(problems)
	}
	program, err := value.Program(clock)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range w.customers {
		n := len(row["orders"].([]map[string]any))
		text, _, err := program.Text(Row{"customer": row})
		if err != nil {
			t.Fatal(err)
		}
		if scores[n] == nil {
			scores[n] = map[string]bool{}
		}
		scores[n][text] = true
	}
	for n, found := range scores {
		if len(found) != 1 || found[""] != (n == 0) {
			t.Errorf("%d rows: scores %v", n, found)
		}
	}
}
