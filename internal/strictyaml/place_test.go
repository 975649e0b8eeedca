package strictyaml

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/internal/diag"
)

const places = `plain: é == x # c
single: 'a == "b"'
double: "a == 'b'"
escaped: "a == \"b\""
doubled: 'it''s'
literal: |

    first
      second
explicit: |1
   one
folded: >-
  one line
longer: >
  two
  lines
wrapped: two
  lines
list:
- a
- {k: [x, "y"]}
"odd.key": {"b c": z}
`

func TestScalar(t *testing.T) {
	t.Parallel()
	f, problems := Parse("p.yaml", places)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	cases := []struct {
		path, text string
		at         Place
	}{
		{"$.plain", "é == x", Place{1, 8, 7, false}},
		{"$.single", `a == "b"`, Place{2, 10, 9, false}},
		{"$.double", `a == 'b'`, Place{3, 10, 9, false}},
		{"$.escaped", `a == "b"`, Place{Line: 4}},
		{"$.doubled", "it's", Place{Line: 5}},
		{"$.literal", "\nfirst\n  second\n", Place{7, 5, 4, true}},
		{"$.explicit", "  one\n", Place{11, 2, 1, true}},
		{"$.folded", "one line", Place{13, 3, 2, true}},
		{"$.longer", "two lines\n", Place{Line: 15}},
		{"$.wrapped", "two lines", Place{Line: 17}},
		{"$.list[0]", "a", Place{20, 3, 2, false}},
		{"$.list[1].k[1]", "y", Place{21, 12, 11, false}},
		{`$["odd.key"]["b c"]`, "z", Place{22, 20, 19, false}},
	}
	for _, c := range cases {
		text, at, ok := f.Scalar(c.path)
		if !ok || text != c.text || at != c.at {
			t.Errorf("%s: %q %+v %v, want %q %+v", c.path, text, at, ok, c.text, c.at)
		}
	}
	for _, path := range []string{"$", "$.list", "$.nothing"} {
		if _, _, ok := f.Scalar(path); ok {
			t.Errorf("%s is a scalar", path)
		}
	}
}

func TestAt(t *testing.T) {
	t.Parallel()
	f, _ := Parse("p.yaml", places)
	cases := []struct {
		path           string
		offset, length int
		want           diag.Span
	}{
		{"$.plain", 5, 1, diag.Span{Line: 1, Col: 13, Len: 1}},
		{"$.single", 5, 3, diag.Span{Line: 2, Col: 15, Len: 3}},
		{"$.escaped", 5, 3, diag.Span{Line: 4, Col: 16, Len: 5}},
		{"$.escaped", 9, 3, diag.Span{Line: 4, Col: 1, Len: 21}},
		{"$.doubled", 2, 2, diag.Span{Line: 5, Col: 13, Len: 3}},
		{"$.literal", 1, 5, diag.Span{Line: 8, Col: 5, Len: 5}},
		{"$.literal", 9, 6, diag.Span{Line: 9, Col: 7, Len: 6}},
		{"$.folded", 4, 4, diag.Span{Line: 13, Col: 7, Len: 4}},
		{"$.longer", 0, 3, diag.Span{Line: 15, Col: 3, Len: 3}},
		{"$.longer", 4, 4, diag.Span{Line: 16, Col: 3, Len: 4}},
		{"$.longer", 0, 8, diag.Span{Line: 15, Col: 3, Len: 4}},
		{"$.wrapped", 4, 5, diag.Span{Line: 18, Col: 3, Len: 5}},
		{"$.list", 4, 4, diag.Span{Line: 19, Col: 1, Len: 4}},
	}
	for _, c := range cases {
		if got := f.At(c.path, c.offset, c.length); got != c.want {
			t.Errorf("%s+%d: %v, want %v", c.path, c.offset, got, c.want)
		}
	}
}

// Each value has an X, whose place is that of the only X in the file.
func TestAtFindsWhatIsSpeltOtherwise(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"escapes":             `k: "\t\"\\ \u00e9\x41\n X \""`,
		"escape of the rune":  `k: "\"\x58"`,
		"quotes doubled":      `k: 'it''s '' X'`,
		"quotes, wrapped":     "k: 'it''s\n\n  a\n  X'",
		"line joined":         "k: \"\\\"a\\\n   bX\"",
		"folded, empty lines": "k: >\n\n  a\n  b\n\n\n  c\n   d\n  X\n",
		"folded, stripped":    "k: >-\n   a\n   b   X",
		"plain, wrapped":      "k: a  b\n   c\n\n   X\nl: m",
		"in a list":           "k: [a, \"\\\"\", 'b''X']",
		"windows":             "k: >\r\n  a\r\n  X\r\n",
		"letters":             "k: \"\\\"é漢X\"",
	}
	for name, text := range cases {
		f, problems := Parse("f.yaml", text)
		if len(problems) > 0 {
			t.Fatal(name, problems)
		}
		path := "$.k"
		if f.Has("$.k[2]") {
			path = "$.k[2]"
		}
		value, at, _ := f.Scalar(path)
		before, _, found := strings.Cut(value, "X")
		if !found || at.Col != 0 {
			t.Fatalf("%s: bad case: %q %+v", name, value, at)
		}
		got := f.At(path, utf8.RuneCountInString(before), 1)
		want := placeOfX(text)
		if got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func placeOfX(text string) diag.Span {
	mark := "X"
	if !strings.Contains(text, mark) {
		mark = `\x58`
	}
	before, _, _ := strings.Cut(text, mark)
	lines := strings.Split(before, "\n")
	return diag.Span{Line: len(lines), Col: utf8.RuneCountInString(lines[len(lines)-1]) + 1, Len: len(mark)}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	f, _ := Parse("p.yaml", places)
	cases := map[string]diag.Span{
		"$":                    {},
		"$.nothing":            {},
		"$.plain":              {Line: 1, Col: 8, Len: 6},
		"$.single":             {Line: 2, Col: 9, Len: 10},
		"$.escaped":            {Line: 4, Col: 10, Len: 12},
		"$.doubled":            {Line: 5, Col: 10, Len: 7},
		"$.literal":            {Line: 6, Col: 1, Len: 7},
		"$.wrapped":            {Line: 17, Col: 10, Len: 3},
		"$.list":               {Line: 19, Col: 1, Len: 4},
		"$.list[1]":            {Line: 21, Col: 3, Len: 1},
		"$.list[1].k":          {Line: 21, Col: 4, Len: 1},
		"$.list[1].k[7]":       {Line: 21, Col: 4, Len: 1},
		"$.list[1].no.such":    {Line: 21, Col: 3, Len: 1},
		`$["odd.key"]`:         {Line: 22, Col: 1, Len: 9},
		`$["odd.key"].none`:    {Line: 22, Col: 1, Len: 9},
		`$["odd.key"]["a.b"]`:  {Line: 22, Col: 1, Len: 9},
		`$["odd.key"]["b c"]`:  {Line: 22, Col: 20, Len: 1},
		`$["odd.key"]["b c"].`: {Line: 22, Col: 20, Len: 1},
	}
	for path, want := range cases {
		if got := f.Span(path); got != want {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	if got, want := f.KeySpan("$.plain"), (diag.Span{Line: 1, Col: 1, Len: 5}); got != want {
		t.Errorf("the key of plain: %v, want %v", got, want)
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	f, _ := Parse("p.yaml", "b: {z: 1, a: 2}\na: [x]\n")
	if d := cmp.Diff([]string{"b", "a"}, f.Keys("$")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"z", "a"}, f.Keys("$.b")); d != "" {
		t.Error(d)
	}
	if f.Keys("$.a") != nil || f.Keys("$.c") != nil || f.Has("$.c") || !f.Has(Index(Key("$", "a"), 0)) {
		t.Error("paths lead elsewhere")
	}
	if got := Key("$.limits", "a.b"); got != `$.limits["a.b"]` {
		t.Error(got)
	}
}

func TestNodeOfRoot(t *testing.T) {
	t.Parallel()
	f, _ := Parse("p.yaml", "b: x\na: [1, {c: d}]\n")
	root, ok := f.Root()
	if !ok {
		t.Fatal("no root")
	}
	var got []string
	for _, e := range root.Entries() {
		got = append(got, e.Key, e.Value.Path(), e.Value.Kind().String(), e.Value.Text())
	}
	if d := cmp.Diff([]string{"b", "$.b", "text", "x", "a", "$.a", "a list", ""}, got); d != "" {
		t.Error(d)
	}
	if _, ok := (&File{}).Root(); ok {
		t.Error("an empty file has a root")
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	text := "campaign: ${NAME}\ntopic: \"$${NAME} and ${NAME}!\"\nsize: \"${SIZE}\"\n" +
		"cooldown: ${SECRET}\ntags: ['${GONE}', '${1}', '${EMPTY}']\n"
	f, problems := Parse("c.yaml", text)
	env := map[string]string{"NAME": "winback", "SIZE": "12", "SECRET": "hunter2", "EMPTY": ""}
	problems = append(problems, f.Expand(func(name string) string { return env[name] })...)
	var c campaign
	problems = append(problems, f.Decode(&c)...)
	if c.Name != "winback" || c.Inner.Topic != "${NAME} and winback!" || c.Size != 12 {
		t.Errorf("expanded to %+v", c)
	}
	want := `c.yaml:4:11: expected a duration such as 300d, found "${SECRET}"
   4 | cooldown: ${SECRET}
     |           ^^^^^^^^^
c.yaml:5:9: the environment variable GONE is not set
   5 | tags: ['${GONE}', '${1}', '${EMPTY}']
     |         ^^^^^^^
     set it before starting, as in export GONE=…
c.yaml:5:20: "1" is no name of an environment variable
   5 | tags: ['${GONE}', '${1}', '${EMPTY}']
     |                    ^^^^
     write it as ${NAME}
c.yaml:5:28: the environment variable EMPTY is not set
   5 | tags: ['${GONE}', '${1}', '${EMPTY}']
     |                            ^^^^^^^^
     set it before starting, as in export EMPTY=…`
	if d := cmp.Diff(want, problems.Err().Error()); d != "" {
		t.Error(d)
	}
}
