package templates

import (
	"fmt"
	"strings"
	"testing"

	"github.com/osteele/liquid"
	"pgregory.net/rapid"
)

// TestAgreesWithLiquid renders random templates with this package and with an independent implementation of Liquid.
// What differs on purpose is not drawn: missing values, exact fractions, mixed and/or, offset together with reversed,
// cycles without a group, white space control beside values.
func TestAgreesWithLiquid(t *testing.T) {
	t.Parallel()
	engine := liquid.NewEngine()
	rapid.Check(t, func(t *rapid.T) {
		text := drawNodes(t, 3, []string{"customer.first_name", "customer.points", "customer.extra.n", "customer.tags.first"})
		want, err := engine.ParseAndRenderString(text, oracleVars())
		if err != nil {
			t.Fatalf("the other implementation: %v\n%s", err, text)
		}
		// HTML, because texts are squeezed; there is nothing to escape in the drawn values.
		tpl, problems := Parse(Source{Text: text}, HTML, testScope(""))
		if len(problems) > 0 {
			t.Fatalf("%s\n%v", text, problems.Err())
		}
		got, rerr := tpl.Render(oracleVars(), nil)
		if rerr != nil || got != want {
			t.Fatalf("template: %s\ngot:  %q, %v\nwant: %q", text, got, rerr, want)
		}
	})
}

func oracleVars() map[string]any {
	return map[string]any{"customer": map[string]any{
		"first_name": "Siti nur", "points": 12, "vip": true, "extra": map[string]any{"n": 7, "words": []any{"b", "a", "c", "a"}, "nobody": []any{}}, "tags": []any{"x", "y", "z"},
	}}
}

// drawNodes draws a template; values are expressions that print a text or a number.
func drawNodes(t *rapid.T, depth int, values []string) string {
	var b strings.Builder
	for range rapid.IntRange(1, 4).Draw(t, "nodes") {
		b.WriteString(drawNode(t, depth, values))
	}
	return b.String()
}

func drawNode(t *rapid.T, depth int, values []string) string {
	kind := rapid.IntRange(0, 8).Draw(t, "kind")
	if depth == 0 && kind > 2 {
		kind = 0
	}
	switch kind {
	case 0:
		return rapid.SampledFrom([]string{"a", " b\n", "{ ", "%}", "}} ", "c - d"}).Draw(t, "text")
	case 1, 2:
		return "{{ " + drawFiltered(t, values) + " }}"
	case 3:
		return "{% if " + drawCondition(t) + " %}" + drawNodes(t, depth-1, values) + "{% elsif " + drawCondition(t) + " %}" +
			drawNodes(t, depth-1, values) + "{% else %}" + drawNodes(t, depth-1, values) + "{% endif %}"
	case 4:
		return "{% unless " + drawCondition(t) + " %}" + drawNodes(t, depth-1, values) + "{% endunless %}"
	case 5:
		v := fmt.Sprintf("i%d", depth)
		list := rapid.SampledFrom([]string{"customer.tags", "customer.extra.words", "(1..4)", "(2..customer.extra.n)", "customer.extra.nobody"}).Draw(t, "list")
		mod := rapid.SampledFrom([]string{"", " reversed", " limit: 2", " offset: 1", " limit: 2 offset: 1"}).Draw(t, "modifier")
		body := drawNodes(t, depth-1, append([]string{v, "forloop.index", "forloop.rindex0", "forloop.length"}, values...))
		jump := rapid.SampledFrom([]string{"", "{% if forloop.index == 2 %}{% break %}{% endif %}", "{% if forloop.first %}{% continue %}{% endif %}"}).Draw(t, "jump")
		return "{% for " + v + " in " + list + mod + " %}" + jump + body + "{% else %}none{% endfor %}"
	case 6:
		return "{% case customer.points %}{% when 1, 2 %}x{% when " + drawNumber(t) + " or 12 %}" + drawNodes(t, depth-1, values) + "{% else %}y{% endcase %}"
	case 7:
		return "{% assign s = " + drawFiltered(t, values) + " %}{{ s }}"
	}
	return "{% comment %}{% if %}{% endcomment %}{% raw %}{{ x }}{% endraw %}"
}

func drawNumber(t *rapid.T) string {
	return rapid.SampledFrom([]string{"0", "1", "7", "12", "-3", "customer.points", "customer.extra.n"}).Draw(t, "number")
}

func drawFiltered(t *rapid.T, values []string) string {
	switch rapid.IntRange(0, 3).Draw(t, "filtered") {
	case 0:
		return rapid.SampledFrom(values).Draw(t, "value")
	case 1:
		list := rapid.SampledFrom([]string{"customer.tags", "customer.extra.words"}).Draw(t, "list")
		return list + drawChain(t, []string{"sort", "reverse", "uniq", "compact"}) + " | " + rapid.SampledFrom([]string{`join: "-"`, "first", "last", "size", "join"}).Draw(t, "last")
	case 2:
		return drawNumber(t) + drawChain(t, []string{"plus: 3", "minus: 5", "times: 2", "divided_by: 2", "abs | modulo: 4", "abs", "ceil", "floor", "default: 4"})
	}
	text := rapid.SampledFrom([]string{`"Siti Aisyah"`, `"a-b-c-"`, `"  x "`, `"ÉÀ ü"`, "customer.first_name"}).Draw(t, "text")
	return text + drawChain(t, []string{
		"upcase", "downcase", "strip", "lstrip", "rstrip", `append: "!"`, `prepend: "~ "`, `replace: "a", "o"`, `replace_first: "-", "+"`,
		`remove: "-"`, `remove_first: "a"`, "slice: 1", "slice: -3, 2", "slice: 0, 4", `default: "d"`, "strip_newlines", `split: "-" | join: "+"`, "truncate: 40",
	})
}

func drawChain(t *rapid.T, filters []string) string {
	var b strings.Builder
	for range rapid.IntRange(0, 3).Draw(t, "filters") {
		b.WriteString(" | " + rapid.SampledFrom(filters).Draw(t, "filter"))
	}
	return b.String()
}

func drawCondition(t *rapid.T) string {
	one := func() string {
		switch rapid.IntRange(0, 3).Draw(t, "condition") {
		case 0:
			return drawNumber(t) + rapid.SampledFrom([]string{" == ", " != ", " < ", " > ", " <= ", " >= "}).Draw(t, "op") + drawNumber(t)
		case 1:
			return rapid.SampledFrom([]string{`customer.tags contains "x"`, `customer.first_name contains "nur"`, `customer.tags contains "q"`, `customer.first_name == "Siti nur"`}).Draw(t, "contains")
		case 2:
			return rapid.SampledFrom([]string{"customer.vip", "true", "false", "customer.extra.nothing", "customer.points", "nil"}).Draw(t, "truth")
		}
		return `customer.first_name` + rapid.SampledFrom([]string{" < ", " >= ", " != "}).Draw(t, "op") + rapid.SampledFrom([]string{`"A"`, `"Z"`, `"Siti nur"`}).Draw(t, "text")
	}
	c := one()
	join := rapid.SampledFrom([]string{" and ", " or "}).Draw(t, "join")
	for range rapid.IntRange(0, 2).Draw(t, "joined") {
		c += join + one()
	}
	return c
}
