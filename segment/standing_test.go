package segment

import (
	"strings"
	"testing"
)

// TestPlacesOfOtherListsAreOthers: what is bound in an expression is part of what it is, item by item.
func TestPlacesOfOtherListsAreOthers(t *testing.T) {
	t.Parallel()
	scope := NewScope(newWorld(6).schema)
	keys := map[string]string{}
	for _, of := range []string{
		`count(customer.orders, .kind in ["spare part"])`,
		`count(customer.orders, .kind in ["spare", "part"])`,
		`count(customer.orders, .kind in ["a", "b c"])`,
		`count(customer.orders, .kind in ["a b", "c"])`,
		`count(customer.orders, .kind in ["a\" \"b", "c"])`,
		`count(customer.orders, .kind in ["a", "b\" \"c"])`,
		`count(customer.orders, .kind == "a")`,
		`count(customer.orders, .kind == "a" || .kind == "b c")`,
		`count(customer.orders, .kind == "a b" || .kind == "c")`,
		`count(customer.orders, .amount in [1, 23])`,
		`count(customer.orders, .amount in [12, 3])`,
		`count(customer.orders, .total in [1.5, 2])`,
		`count(customer.orders, .weight in [1.5, 2])`,
	} {
		id, err := placed(t, of, scope)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := keys[id.key()]; ok {
			t.Errorf("%s has the key of %s", of, other)
		}
		keys[id.key()] = of
		again, err := placed(t, " "+strings.ReplaceAll(of, ", ", " , "), scope)
		if err != nil || !id.same(again) || again.key() != id.key() {
			t.Errorf("%s, written otherwise, has another key: %v", of, err)
		}
	}
}

// placed is the identity of what percentile goes over.
func placed(t *testing.T, of string, scope *Scope) (identity, error) {
	t.Helper()
	rule := mustRule(t, "percentile("+of+") > 50", scope)
	l, err := rule.lowering(testClocks()[0])
	if err != nil {
		t.Fatal(err)
	}
	n, _ := findNode[*standing](rule.root)
	return l.identity(l.node(n.of))
}

// TestPlacesByOtherLists: each of the two places asks for thresholds of its own.
func TestPlacesByOtherLists(t *testing.T) {
	t.Parallel()
	w := newWorld(6)
	clock := w.clocks[0]
	clock.Given = nil
	p := &preparation{scope: NewScope(w.schema), clock: clock, found: map[string]int{}}
	text := `percentile(count(customer.orders, .kind in ["spare part"])) >= 90 || percentile(count(customer.orders, .kind in ["spare", "part"])) >= 95`
	if err := p.look(mustRule(t, text, p.scope)); err != nil || len(p.wanted) != 2 {
		t.Errorf("%d expressions are wanted of two, %v", len(p.wanted), err)
	}
}

// TestNoTwoPlacesShareAKey: should a key ever be that of another expression, preparing fails.
func TestNoTwoPlacesShareAKey(t *testing.T) {
	t.Parallel()
	w := newWorld(6)
	clock := w.clocks[0]
	clock.Given = nil
	p := &preparation{scope: NewScope(w.schema), clock: clock, found: map[string]int{}}
	text := `percentile(count(customer.orders, .kind in ["spare part"])) > 50`
	if err := p.look(mustRule(t, text, p.scope)); err != nil {
		t.Fatal(err)
	}
	if err := p.look(mustRule(t, text, p.scope)); err != nil || len(p.wanted) != 1 {
		t.Fatal("the same is another", err)
	}
	p.wanted[0].id.args = []string{`[]string ["spare" "part"]`}
	err := p.look(mustRule(t, text, p.scope))
	want := `the places of count(customer.orders, .kind in ["spare… and count(customer.orders, .kind in ["spare… have one key`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
