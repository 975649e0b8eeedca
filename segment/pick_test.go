package segment

import (
	"strings"
	"testing"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

// pickRules have picks that a translation could take for one another, or that only the VM can make.
func pickRules() []string {
	return []string{
		`last(filter(customer.orders, let x = .total; x > 1)).Qty > 2 && last(filter(customer.orders, let x = .amount; x > 1)).Qty > 2`,
		`first(filter(customer.orders, let x = .total; x > 1)).Qty > 2 && first(filter(customer.orders, let x = .amount; x > 1)).amount > 0`,
		`find(customer.vehicles, let x = .km; x > 0).price > 0 && find(customer.vehicles, let x = .id; x > 0).sold`,
		`last(filter(customer.orders, let x = .total; let y = x; y > 1)).Qty > 2 && last(filter(customer.orders, let x = .Qty; let y = x; y > 1)).Qty > 2`,
		`any(last(filter(customer.vehicles, .plate matches "\\bSolo")).services, .cost > 5)`,
		`none(last(filter(customer.vehicles, .plate matches "\\bSolo")).services, .cost > 5)`,
		`!any(last(filter(customer.vehicles, .plate matches "\\bSolo")).services, .cost > 5)`,
		`all(last(filter(customer.vehicles, .plate matches "\\bSolo")).services, .cost > 5)`,
		`!all(first(filter(customer.vehicles, !(.plate matches "\\bSolo"))).services, .cost > 5)`,
		`count(last(filter(customer.vehicles, .plate matches "\\b")).services) > 0`,
		`count(last(filter(customer.vehicles, .plate matches "\\b")).services) == 0`,
		`one(last(filter(customer.vehicles, .plate matches "\\b")).services, .cost > 0)`,
		`last(last(filter(customer.vehicles, .plate matches "\\b")).services) != nil`,
		`last(last(filter(customer.vehicles, .plate matches "\\b")).services) == nil`,
		`last(last(filter(customer.vehicles, .plate matches "\\b")).services).cost > 0`,
		`any(last(filter(customer.vehicles, any(.services, .kind matches "\\b"))).services, .cost > 0)`,
		`any(customer.vehicles, any(last(filter(customer.vehicles, .plate matches "\\b")).services, .cost > 0))`,
		`customer.vip || !(customer.visits > 1 && any(last(filter(customer.vehicles, .plate matches "\\b")).services, .cost > 0))`,
	}
}

// TestPicksAreTheRightRows: SQL finds whom the VM finds, or, where a row is picked by what SQL can't say, them and others.
func TestPicksAreTheRightRows(t *testing.T) {
	t.Parallel()
	w := newWorld(8)
	db := pgtest.Empty(t, pgtest.Setting("jit", "off"))
	w.create(t, db)
	o := newOpinion(w)
	scope := testScope(w.schema)
	for _, text := range pickRules() {
		t.Run(text, func(t *testing.T) {
			w.compare(t, db, text, w.clocks[0])
			o.check(t, w, text, w.clocks[0])
			q, err := Audience(scope, nil, mustRule(t, text, scope), &Args{}, w.clocks[0])
			if err != nil || q.Exact == strings.Contains(text, "matches") {
				t.Errorf("exact %v, %v", q.Exact, err)
			}
		})
	}
}

// TestSamePicks: rows that are picked alike are one row, however that is written, and no others.
func TestSamePicks(t *testing.T) {
	t.Parallel()
	scope := testScope(testSchema())
	const one = `last(filter(customer.orders, .total > 1))`
	cases := []struct {
		other string
		same  bool
	}{
		{`last(filter(customer.orders,   .total>1.0))`, false},
		{`last(filter(customer.orders,   .total>1))`, true},
		{`last(customer.orders | filter(.total > 1))`, true},
		{`last(filter(customer.orders, #.total > 1))`, true},
		{`last(filter(customer.orders, let x = .total; x > 1))`, true},
		{`last(filter(customer.orders, let x = .amount; x > 1))`, false},
		{`last(filter(customer.orders, let x = customer.income; x > 1))`, false},
		{`last(filter(customer.orders, .total >= 1))`, false},
		{`last(filter(customer.orders, .total > 2))`, false},
		{`last(filter(filter(customer.orders, .total > 1), .total > 1))`, false},
		{`first(filter(customer.orders, .total > 1))`, false},
		{`last(customer.orders)`, false},
	}
	for _, c := range cases {
		rule := mustRule(t, one+".Qty > 2 && "+c.other+".Qty > 3", scope)
		if same := picksOf(rule.root); same != c.same {
			t.Errorf("%s is the row of %s: %v", c.other, one, same)
		}
	}
	nested := `any(customer.vehicles, last(filter(customer.orders, let o = .amount; any(customer.vehicles, .id == o))).Qty > 2 && ` +
		`last(filter(customer.orders, let o = .amount; any(customer.vehicles, .id == o))).Qty > 3)`
	if !picksOf(mustRule(t, nested, scope).root) {
		t.Error("rows within the conditions are others")
	}
}

// picksOf says whether all picked rows are one.
func picksOf(root node) bool {
	ids := map[int]bool{}
	var visit func(n node)
	visit = func(n node) {
		if col, ok := n.(*column); ok && len(col.path.via) > 0 && col.path.last().pick != nil {
			ids[col.path.last().pick.id] = true
		}
		for _, c := range children(n) {
			visit(c)
		}
	}
	visit(root)
	return len(ids) == 1
}
