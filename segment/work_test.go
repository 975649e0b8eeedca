package segment

import (
	"fmt"
	"strings"
	"testing"
)

// visitsOf is how much work it is to check a rule.
func visitsOf(t *testing.T, text string, scope *Scope) (visits int, message string) {
	t.Helper()
	s := newSource(Text(text))
	c := newChecker(s, scope, nil)
	if tree := parse(s, &c.problems); tree != nil {
		c.condition(tree)
	}
	if len(c.problems) > 0 {
		return c.visits, c.problems[0].Message
	}
	return c.visits, ""
}

// TestWorkGrowsWithTheRule: what stands inside each other is read once, and what is used several times counts each time.
func TestWorkGrowsWithTheRule(t *testing.T) {
	t.Parallel()
	nested := func(levels int, open, middle, closing string) string {
		return strings.Repeat(open, levels) + middle + strings.Repeat(closing, levels)
	}
	names := &Names{Segments: map[string]NamedRule{"t0": {Text: "customer.vip"}, "u0": {Text: "customer.vip"}}}
	for i := 1; i < 20; i++ {
		names.Segments[fmt.Sprintf("t%d", i)] = NamedRule{Text: fmt.Sprintf(
			`count(filter(filter(customer.orders, .paid), segment("t%d"))) > 5`, i-1)}
		names.Segments[fmt.Sprintf("u%d", i)] = NamedRule{Text: fmt.Sprintf(`segment("u%[1]d") || segment("u%[1]d")`, i-1)}
	}
	scope := NewScope(testSchema()).WithNames(names)
	const tooLarge = "the rule is too large"
	for _, test := range []struct {
		name, text, message string
		most                int
	}{
		{"twenty segments", `segment("t19")`, "", 20 * (inlined + 20)},
		{"twenty segments, each twice", `segment("u19")`, tooLarge, maxVisits + 200*inlined},
		{"filters", `count(` + nested(8, "filter(", "customer.orders", ", .paid)") + `) > 1`, "", 60},
		{"filters of texts", `count(` + nested(8, "filter(", "customer.tags", `, # != "x")`) + `) > 1`, "", 60},
		{"filters in filters", nested(8, "any(filter(customer.orders, ", "customer.vip", "), .paid)"), "", 60},
		{"values of values", `sum(` + nested(40, "map(", "map(customer.orders, .total)", ", # + #)") + `) > 1`, tooLarge, 3 * maxVisits},
		{
			"a wrong filter", `count(` + nested(8, "filter(", "customer.name", ", .paid)") + `) > 1`,
			"filter takes the rows of a relation, but customer.name is text", 60,
		},
	} {
		visits, message := visitsOf(t, test.text, scope)
		if message != test.message || visits > test.most {
			t.Errorf("%s: %d visits, want at most %d: %q, want %q", test.name, visits, test.most, message, test.message)
		}
	}
}
