package segment

import (
	"testing"

	"github.com/expr-lang/expr/vm"
)

// fiveAtoms is a rule of five conditions over the customer's row.
const fiveAtoms = `customer.name != "nobody" && customer.age >= -100_000 && !("gold" in customer.tags) && !(customer.name matches "^[xyz]{4}") ` +
	`&& customer.created_at > ago(years(900))`

// BenchmarkMatch decides one row in Go; BenchmarkMatchByExpr does so by expr's VM with the missing rules as functions.
func BenchmarkMatch(b *testing.B) {
	w := newWorld(1)
	rule, problems := ParseRule(Text(fiveAtoms), NewScope(w.schema))
	if problems != nil {
		b.Fatal(problems)
	}
	program, err := rule.Program(w.clocks[0])
	if err != nil {
		b.Fatal(err)
	}
	row := Row{"customer": w.customers[w.matching(b, rule)]}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := program.Match(row); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMatchByExpr(b *testing.B) {
	w := newWorld(1)
	o := newOpinion(w)
	program, err := o.compile(fiveAtoms, w.clocks[0])
	if err != nil {
		b.Fatal(err)
	}
	rule, _ := ParseRule(Text(fiveAtoms), NewScope(w.schema))
	env := map[string]any{"customer": o.rows[w.matching(b, rule)]}
	machine := vm.VM{}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := machine.Run(program, env); err != nil {
			b.Fatal(err)
		}
	}
}

// matching is the first row for which every condition must be looked at.
func (w *world) matching(b *testing.B, rule *Rule) int {
	b.Helper()
	ids := w.match(b, rule, w.clocks[0])
	if len(ids) == 0 {
		b.Fatal("nobody matches")
	}
	return int(ids[0]) - 1
}

// BenchmarkTranslate is what a rule costs before the database sees it: parser, checker, lowering and SQL.
func BenchmarkTranslate(b *testing.B) {
	w := newWorld(1)
	for name, text := range map[string]string{
		"simple": `customer.city == "Solo" && customer.income >= 10_000_000`,
		"groups": `max(map(customer.orders, .ordered_at)) < ago(days(180)) && count(customer.orders) >= 5 && customer.city == "Solo"`,
		"nested": `any(customer.vehicles, .km > 200_000 && none(.services, .at > ago(years(1)))) && birthday(customer.birth_date)`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				scope := NewScope(w.schema)
				rule, problems := ParseRule(Text(text), scope)
				if problems != nil {
					b.Fatal(problems)
				}
				if _, err := Audience(scope, nil, rule, &Args{}, w.clocks[0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
