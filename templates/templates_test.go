package templates

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/shopspring/decimal"
)

// mustParse parses a template that has no problem.
func mustParse(t testing.TB, text string, format Format, scope Scope) *Template {
	t.Helper()
	tpl, problems := Parse(Source{Text: text}, format, scope)
	if len(problems) > 0 {
		t.Fatalf("parse: %v", problems.Err())
	}
	return tpl
}

// TestHazards holds what went wrong in the Liquid library that was looked at first (DEPENDENCIES 2.1), by name.
func TestHazards(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ text, want string }{
		"include reads a file":                 {`{% include "../../../../etc/hostname" %}`, `1:1: unknown tag "include"`},
		"a method of a value":                  {`{{ today.Unix }}`, `1:10: today is a date and has no "Unix"`},
		"a method of a json value":             {`{{ customer.extra.Delete }}`, `1:1: customer.extra.Delete is missing; give it a default: {{ customer.extra.Delete | default: "…" }}`},
		"slice past the end":                   {`[{{ customer.first_name | slice: 10, 2 }}]`, `[]`},
		"slice far before the start":           {`[{{ customer.first_name | slice: -10, 2 }}]`, `[Si]`},
		"a huge literal range":                 {`{% for i in (1..3000000) %}{% endfor %}`, `1:13: this range has more than 1000 numbers`},
		"a range that ends at the last number": {`{% for i in (9223372036854775805..9223372036854775807) %}{{ i }},{% endfor %}`, `9223372036854775805,9223372036854775806,9223372036854775807,`},
		"a range beyond 64 bits":               {`[{% for i in (18446744073709551616..18446744073709551620) %}{{ i }} {% endfor %}]`, `[]`},
		"a range as wide as 64 bits":           {`{% assign a = 0 | minus: 9223372036854775807 %}{% assign b = 9223372036854775807 | plus: 0 %}{% for i in (a..b) %}{% endfor %}`, `1:106: the range has more than 1000 numbers`},
		"an unclosed object":                   {`Halo {{ customer.first_name`, `1:6: "{{" is not closed`},
		"an unknown name in if":                {`{% if nosuch %}{% endif %}`, `1:7: unknown variable "nosuch"`},
		"modulo 0":                             {`{{ 7 | modulo: 0 }}`, `1:16: division by zero`},
		"modulo by a zero":                     {`{% assign zero = customer.id | minus: 7 %}{{ 7 | modulo: zero }}`, `1:50: modulo: division by zero`},
		"render, echo, liquid":                 {`{% render 'x' %}`, `1:1: unknown tag "render"`},
		"an object over lines":                 {"{{\ncustomer.first_name\n}}", `Siti`},
		"an exponent in a text":                {`{{ "1e999999999" | plus: 1 }}`, `1:4: plus needs a number, and "1e999999999" is none`},
		"nested loops":                         {`{% for a in (1..1000) %}{% for b in (1..1000) %}{% endfor %}{% endfor %}`, `1:25: the template takes more than 200000 steps`},
		"a text that doubles":                  {`{% assign s = "0123456789" %}{% for i in (1..40) %}{% assign s = s | append: s %}{% endfor %}`, `1:70: append: the text is longer than 1048576 bytes`},
		"a number that squares":                {`{% assign n = 9999 %}{% for i in (1..40) %}{% assign n = n | times: n %}{% endfor %}`, `1:62: times: the number has too many digits`},
		"a replacement that grows":             {`{% assign s = "aaaaaaaaaa" %}{% for i in (1..40) %}{% assign s = s | replace: "a", s %}{% endfor %}`, `1:70: replace: the text is longer than 1048576 bytes`},
		"filters on long texts":                {`{% assign s = "0123456789" %}{% for i in (1..13) %}{% assign s = s | append: s %}{% endfor %}{% for i in (1..500) %}{% for j in (1..100) %}{% assign t = s | upcase %}{% endfor %}{% endfor %}`, `1:158: upcase: the template takes more than 200000 steps`},
		"endless output":                       {`{% for a in (1..1000) %}{% for b in (1..100) %}` + strings.Repeat("x", 100) + `{% endfor %}{% endfor %}`, `1:25: the message is longer than 1048576 bytes`},
		"parentheses without end":              {`{{ ` + strings.Repeat("(", 1000) + ` }}`, `1:54: this is nested too deep`},
		"blocks without end":                   {strings.Repeat("{% if true %}", 60), `1:651: blocks are nested too deep`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(c.want, firstLine(t, c.text)); d != "" {
				t.Error(d)
			}
		})
	}
}

// firstLine is what a template makes of the test's person, or the first line of what is wrong with it.
func firstLine(t *testing.T, text string) string {
	t.Helper()
	tpl, problems := Parse(Source{Text: text}, Text, testScope(""))
	if len(problems) > 0 {
		problems = problems[:1]
		line, _, _ := strings.Cut(problems.Error(), "\n")
		return line
	}
	out, err := tpl.Render(testVars(), nil)
	if err != nil {
		return err.Error()
	}
	return out
}

func TestMissingErrorNamesFileVariableAndPlace(t *testing.T) {
	t.Parallel()
	file := &diag.Source{Name: "campaigns/oil.yaml", Text: "content:\n  text: |\n    Halo\n    {{ customer.nickname }}\n"}
	tpl, problems := Parse(Source{File: file, Text: "Halo\n{{ customer.nickname }}\n", Line: 3, Col: 5}, Text, testScope(""))
	if problems != nil {
		t.Fatal(problems.Err())
	}
	_, err := tpl.Render(testVars(), nil)
	var missing *MissingError
	if !errors.As(err, &missing) {
		t.Fatalf("err = %v, want a *MissingError", err)
	}
	want := &MissingError{File: "campaigns/oil.yaml", Variable: "customer.nickname", Line: 4, Col: 5}
	if d := cmp.Diff(want, missing); d != "" {
		t.Error(d)
	}
}

func TestProblemsPointIntoTheYAMLFile(t *testing.T) {
	t.Parallel()
	file := &diag.Source{Name: "c.yaml", Text: "content:\n  subject: \"Halo {{ nosuch }}\"\n  text: |\n    é {{ nosuch }}\n  folded: >\n    x {{ nosuch }}\n"}
	cases := []struct {
		name   string
		source Source
		want   string
	}{
		{"on one line", Source{File: file, Text: "Halo {{ nosuch }}", Line: 2, Col: 13}, "c.yaml:2:21"},
		{"a literal block", Source{File: file, Text: "é {{ nosuch }}\n", Line: 4, Col: 5}, "c.yaml:4:10"},
		{"only the line is known", Source{File: file, Text: "x {{ nosuch }}\n", Line: 5}, "c.yaml:5:1"},
		{"a file of its own", Source{File: &diag.Source{Name: "x.liquid", Text: "\n{{ nosuch }}"}, Text: "\n{{ nosuch }}"}, "x.liquid:2:4"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, problems := Parse(c.source, Text, testScope(""))
			got, _, _ := strings.Cut(problems.Err().Error(), ": unknown variable")
			if got != c.want {
				t.Errorf("place = %s, want %s", got, c.want)
			}
		})
	}
}

func TestNilLinkLeavesAddressesAsWritten(t *testing.T) {
	t.Parallel()
	tpl := mustParse(t, `<p><a href="https://x.example/a?b=1&amp;c={{ customer.first_name }}#d">x</a></p></body>`, HTML, testScope(""))
	got, err := tpl.Render(testVars(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := `<p><a href="https://x.example/a?b=1&amp;c=Siti#d">x</a></p></body>`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestPixelIsLeftOutWhenItHasNoAddress(t *testing.T) {
	t.Parallel()
	tpl := mustParse(t, `<p>x</p></body>`, HTML, testScope(""))
	got, err := tpl.Render(nil, func(int, string) string { return "" })
	if err != nil || got != `<p>x</p></body>` {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	cases := []struct{ url, query, want string }{
		{"https://x.example", "", "https://x.example"},
		{"https://x.example", "a=1", "https://x.example?a=1"},
		{"https://x.example/?a=1", "b=2", "https://x.example/?a=1&b=2"},
		{"https://x.example/?", "b=2", "https://x.example/?b=2"},
		{"https://x.example/?a=1#f?g", "b=2", "https://x.example/?a=1&b=2#f?g"},
		{"https://x.example/#f", "", "https://x.example/#f"},
	}
	for _, c := range cases {
		if got := Target(c.url, c.query); got != c.want {
			t.Errorf("Target(%q, %q) = %q, want %q", c.url, c.query, got, c.want)
		}
	}
}

func TestTextTemplateOfWhatDoesNotParseIsEmpty(t *testing.T) {
	t.Parallel()
	if got := TextTemplate("<p>{{ open</p>"); got != "" {
		t.Errorf("got %q", got)
	}
}

// TestRenderIsConcurrent renders one template from many goroutines, each for another person; run it with -race.
func TestRenderIsConcurrent(t *testing.T) {
	t.Parallel()
	tpl := mustParse(t, `{% assign n = customer.first_name | upcase %}{% for v in vehicles %}{% cycle "a", "b" %}{% capture c %}{{ n }}{% endcapture %}{{ c }}{{ v.plate }}{% endfor %}`,
		HTML, testScope("vehicles"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			name := strings.Repeat("x", i+1)
			vars := map[string]any{"customer": map[string]any{"first_name": name}, "vehicles": []any{map[string]any{"plate": "1"}, map[string]any{"plate": "2"}}}
			up := strings.ToUpper(name)
			want := "a" + up + "1b" + up + "2"
			for range 200 {
				if got, err := tpl.Render(vars, nil); err != nil || got != want {
					t.Errorf("got %q, %v, want %q", got, err, want)
					return
				}
			}
		}()
	}
	wg.Wait()
}

func TestPanicsBecomeErrors(t *testing.T) {
	t.Parallel()
	tpl := mustParse(t, `<a href="https://x.example">x</a>`, HTML, testScope(""))
	_, err := tpl.Render(nil, func(int, string) string { panic("boom") })
	if err == nil || err.Error() != "internal error: boom" {
		t.Errorf("err = %v", err)
	}
}

type stranger struct{}

// String must never be called by a template.
func (stranger) String() string { panic("called") }

func TestValuesOfOtherTypes(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 11, 22, 8, 30, 0, 0, time.FixedZone("WIB", 7*3600))
	cases := map[string]struct {
		value any
		want  string
	}{
		"int":           {3, "3"},
		"uint64":        {uint64(1 << 63), "9223372036854775808"},
		"float32":       {float32(1.5), "1.5"},
		"big float":     {1e21, "1000000000000000000000"},
		"small float":   {1e-7, "0.0000001"},
		"a list":        {[]string{"a", "b"}, "a, b"},
		"bytes":         {[]byte("x"), "x"},
		"uuid":          {[16]byte{0x12, 15: 0x34}, "12000000-0000-0000-0000-000000000034"},
		"date and time": {day, "2026-11-22 08:30"},
		"not a number":  {nan(), `1:1: customer.extra is missing; give it a default: {{ customer.extra | default: "…" }}`},
		"another type":  {stranger{}, "1:4: a value of type templates.stranger can't be printed"},
	}
	tpl := mustParse(t, `{{ customer.extra }}`, Text, testScope(""))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := tpl.Render(map[string]any{"customer": map[string]any{"extra": c.value}}, nil)
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestNumbersWithTooManyDigits(t *testing.T) {
	t.Parallel()
	vars := map[string]any{"customer": map[string]any{"income": decimal.New(1, 1_000_000)}}
	for _, filter := range []string{"plus: 1", "ceil", "rupiah", "number", "round: 2", "at_most: 3"} {
		_, err := mustParse(t, "{{ customer.income | "+filter+" }}", Text, testScope("")).Render(vars, nil)
		name, _, _ := strings.Cut(filter, ":")
		if want := "1:22: " + name + ": the number has too many digits"; err == nil || err.Error() != want {
			t.Errorf("%s: err = %v, want %s", filter, err, want)
		}
	}
}

func nan() float64 { zero := 0.0; return zero / zero }

func TestTitlecase(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"JON": "Jon", "jon": "Jon", "Jon": "Jon", "O'NEIL": "O'Neil", "D’ANGELO": "D’Angelo", "MA'RUF AMIN": "Ma'ruf Amin",
		"de la Cruz": "de la Cruz", "JUAN DE LA CRUZ": "Juan de la Cruz", "ANNE-MARIE": "Anne-Marie", "M. YUSUF": "M. Yusuf",
		"HENDRA III": "Hendra III", "JOSÉ ÁLVAREZ": "José Álvarez", "McDonald": "McDonald", "": "", "SITI  NUR": "Siti  Nur", "123": "123",
		"AHMAD BIN ALI": "Ahmad bin Ali", "S.KOM": "S.Kom",
	}
	for in, want := range cases {
		if got := titlecase(in); got != want {
			t.Errorf("titlecase(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestDatesCompareAsDatesWhateverTheirZone(t *testing.T) {
	t.Parallel()
	jakarta := time.FixedZone("WIB", 7*3600)
	tpl := mustParse(t, `{% if customer.birth_date == today %}same{% elsif customer.birth_date < today %}before{% else %}after{% endif %}`, Text, testScope(""))
	cases := []struct {
		date time.Time
		want string
	}{
		{time.Date(2026, 11, 22, 0, 0, 0, 0, jakarta), "same"},
		{time.Date(2026, 11, 21, 0, 0, 0, 0, jakarta), "before"},
		{time.Date(2026, 11, 22, 8, 0, 0, 0, jakarta), "after"},
	}
	for _, c := range cases {
		vars := map[string]any{"customer": map[string]any{"birth_date": c.date}, "today": time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)}
		if got, err := tpl.Render(vars, nil); err != nil || got != c.want {
			t.Errorf("%v: got %q, %v, want %q", c.date, got, err, c.want)
		}
	}
}
