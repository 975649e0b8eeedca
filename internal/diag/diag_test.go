package diag

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProblemText(t *testing.T) {
	t.Parallel()
	src := &Source{Name: "campaigns/winback.yaml", Text: "audience:\n\twhere: customer.last_ordr_at < 3\n"}
	cases := map[string]struct {
		problem Problem
		want    string
	}{
		"caret under the column, tabs kept": {
			Problem{src, Span{2, 18, 12}, `unknown column "last_ordr_at"`, DidYouMean("last_ordr_at", []string{"id", "last_order_at"})},
			"campaigns/winback.yaml:2:18: unknown column \"last_ordr_at\"\n" +
				"   2 | \twhere: customer.last_ordr_at < 3\n" +
				"     | \t                ^^^^^^^^^^^^\n" +
				"     did you mean \"last_order_at\"?",
		},
		"the file as a whole":   {Problem{src, Span{}, "is empty", ""}, "campaigns/winback.yaml: is empty"},
		"a rule without name":   {Problem{&Source{Text: "a"}, Span{1, 1, 1}, "x", ""}, "1:1: x\n   1 | a\n     | ^"},
		"a line that is gone":   {Problem{src, Span{9, 1, 1}, "x", ""}, "campaigns/winback.yaml:9:1: x"},
		"nothing but a message": {Problem{Message: "x"}, "x"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(c.want, c.problem.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestListIsSortedAndNilWhenEmpty(t *testing.T) {
	t.Parallel()
	var l List
	if err := l.Err(); err != nil {
		t.Fatalf("an empty list is an error: %v", err)
	}
	l.Add(nil, Span{2, 1, 1}, "", "second")
	l.Add(nil, Span{1, 5, 1}, "", "first")
	if d := cmp.Diff("1:5: first\n2:1: second", l.Err().Error()); d != "" {
		t.Error(d)
	}
}

func TestDidYouMean(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, want string }{
		{"nmae", `did you mean "name"?`},
		{"City", `did you mean "city"?`},
		{"zzzzzz", "known here: city, name"},
	}
	for _, c := range cases {
		if got := DidYouMean(c.name, []string{"name", "city"}); got != c.want {
			t.Errorf("DidYouMean(%q) = %q, want %q", c.name, got, c.want)
		}
	}
}

func TestDidYouMeanFile(t *testing.T) {
	t.Parallel()
	known := []string{"birthday.html.liquid", "mail/up-sell.mjml.liquid", "upsell.html.liquid"}
	cases := []struct{ name, want string }{
		{"birtday.html.liquid", `did you mean "birthday.html.liquid"?`},
		{"birthday.mjml.liquid", `did you mean "birthday.html.liquid"?`},
		{"mail/upsell.html.liquid", `did you mean "mail/up-sell.mjml.liquid"?`},
		{"nix.html.liquid", "known here: birthday.html.liquid, mail/up-sell.mjml.liquid, upsell.html.liquid"},
	}
	for _, c := range cases {
		if got := DidYouMeanFile(c.name, known); got != c.want {
			t.Errorf("DidYouMeanFile(%q) = %q, want %q", c.name, got, c.want)
		}
	}
	if got := DidYouMeanFile("nix.html.liquid", nil); got != "" {
		t.Errorf("of none: %q", got)
	}
}

func TestAt(t *testing.T) {
	t.Parallel()
	if got, want := At("é\nabc def", 6, 30), (Span{2, 5, 3}); got != want {
		t.Errorf("At = %v, want %v", got, want)
	}
}
