package segment

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/internal/diag"
)

// TestProblemsPointIntoTheFile: the same mistake in every style of YAML scalar. The caret must stand under "citty".
func TestProblemsPointIntoTheFile(t *testing.T) {
	t.Parallel()
	const rule = `customer.vip && customer.citty == "Solo"`
	cases := map[string]struct {
		file, text string
		line, col  int
		want       diag.Span
	}{
		"plain":                 {"where: " + rule, rule, 1, 8, diag.Span{Line: 1, Col: 33, Len: 5}},
		"single quotes":         {"where: '" + rule + "'", rule, 1, 8, diag.Span{Line: 1, Col: 34, Len: 5}},
		"at its first letter":   {"where: '" + rule + "'", rule, 1, 9, diag.Span{Line: 1, Col: 34, Len: 5}},
		"double quotes":         {`where: "customer.vip && customer.citty == \"Solo\""`, rule, 1, 8, diag.Span{Line: 1, Col: 34, Len: 5}},
		"doubled single quotes": {`where: 'customer.name == "it''s" && customer.citty == 1'`, `customer.name == "it's" && customer.citty == 1`, 1, 8, diag.Span{Line: 1, Col: 46, Len: 5}},
		"block":                 {"a: 1\nwhere: |\n  customer.vip &&\n    customer.citty == \"Solo\"\n", "customer.vip &&\n  customer.citty == \"Solo\"\n", 2, 8, diag.Span{Line: 4, Col: 14, Len: 5}},
		"block, at its text":    {"a: 1\nwhere: |\n  customer.vip &&\n    customer.citty == \"Solo\"\n", "customer.vip &&\n  customer.citty == \"Solo\"\n", 3, 3, diag.Span{Line: 4, Col: 14, Len: 5}},
		"folded block":          {"where: >-\n  customer.vip &&\n  customer.citty == \"Solo\"\n", "customer.vip && customer.citty == \"Solo\"", 1, 8, diag.Span{Line: 3, Col: 12, Len: 5}},
		"plain over two lines":  {"where: customer.vip\n   && customer.citty == \"Solo\"\n", rule, 1, 8, diag.Span{Line: 2, Col: 16, Len: 5}},
		"only the line known":   {"where: '" + rule + "'", rule, 1, 0, diag.Span{Line: 1, Col: 34, Len: 5}},
		"other spelling":        {`where: "customer.n\u0061me == nil && customer.citty == 1"`, `customer.name == nil && customer.citty == 1`, 1, 8, diag.Span{Line: 1, Col: 8, Len: 1}},
		"in a list":             {"in:\n  - \"\\\"a\\\" == customer.citty\"\n", `"a" == customer.citty`, 2, 5, diag.Span{Line: 2, Col: 24, Len: 5}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := &diag.Source{Name: "c.yaml", Text: c.file}
			_, problems := ParseRule(Source{Text: c.text, File: file, Line: c.line, Col: c.col}, NewScope(testSchema()))
			if len(problems) != 1 || problems[0].Source != file {
				t.Fatalf("problems: %v", problems)
			}
			if d := cmp.Diff(c.want, problems[0].Span); d != "" {
				t.Errorf("%s\n%s", problems, d)
			}
		})
	}
}

func TestLongAndDeepRulesAreRefused(t *testing.T) {
	t.Parallel()
	cases := []struct{ rule, want string }{
		{strings.Repeat("(", 60_000), "the rule ends too early"},
		{strings.Repeat("x", 70_000), "the rule is longer than 64000 characters"},
		{strings.Repeat("!", 3_000) + "customer.vip", "nested more than"},
		{"customer.age in [1" + strings.Repeat(", 1", 5_000) + "]", "more than 4000 parts"},
		{"customer.age" + strings.Repeat(" + 1", 900) + " > 0", "nested more than"},
		{"customer.vip" + strings.Repeat(" && customer.vip", 900), ""},
		{"customer.name == \"\xff\"", "bytes that are no text"},
		{"customer.name == \"a\\x00\"", "can't store"},
	}
	for _, c := range cases {
		_, problems := ParseRule(Text(c.rule), NewScope(testSchema()))
		if text := problems.Error(); c.want == "" && text != "" || !strings.Contains(text, c.want) {
			t.Errorf("%.40s: got %.300s, want %q", c.rule, text, c.want)
		}
	}
}
