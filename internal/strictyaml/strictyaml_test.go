package strictyaml

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/internal/diag"
)

type days int

func (d *days) UnmarshalScalar(text string) error {
	if !strings.HasSuffix(text, "d") {
		return errors.New("expected a duration such as 300d")
	}
	*d = days(len(text) - 1)
	return nil
}

type oneOrMany []string

func (o *oneOrMany) UnmarshalNode(n Node) diag.List {
	if n.Kind() == Text {
		*o = oneOrMany{n.Text()}
		return nil
	}
	return n.Decode((*[]string)(o))
}

type shared struct {
	Topic string `yaml:"topic"`
}

type campaign struct {
	Name     string                   `yaml:"campaign,required"`
	Audience *audience                `yaml:"audience"`
	Cooldown days                     `yaml:"cooldown"`
	Size     int                      `yaml:"size"`
	Tiny     int8                     `yaml:"tiny"`
	Share    float64                  `yaml:"share"`
	On       bool                     `yaml:"on"`
	Channels oneOrMany                `yaml:"channels"`
	Tags     []string                 `yaml:"tags"`
	Content  map[string]contentOfCase `yaml:"content"`
	Data     any                      `yaml:"data"`
	Inner    shared                   `yaml:",inline"`
	ignored  int                      //nolint:unused // unexported fields are left alone
}

type audience struct {
	Where    string   `yaml:"where,required"`
	Occasion []string `yaml:"occasion"`
}

type contentOfCase struct {
	Subject string `yaml:"subject"`
	HTML    string `yaml:"html"`
}

// load decodes a file and returns its problems, all of them, as printed.
func load(t *testing.T, text string) (campaign, string) {
	t.Helper()
	f, problems := Parse("c.yaml", text)
	var c campaign
	problems = append(problems, f.Decode(&c)...)
	if err := problems.Err(); err != nil {
		return c, err.Error()
	}
	return c, ""
}

func TestScalarsKeepTheirText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"+62811", "01234", "1.50", "0x1F", "1_000", "yes", "no", "on", "2026-01-02", "1e3", ".inf", "12:30:45", "true", "a b"} {
		c, problems := load(t, "campaign: "+text+"\n")
		if problems != "" || c.Name != text {
			t.Errorf("%s became %q %s", text, c.Name, problems)
		}
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	c, problems := load(t, `
campaign: 'it''s'
topic: "a \"b\""
audience: {where: "x", occasion: [a, b.c]}
cooldown: 300d
size: 10_000
share: -1.5
on: true
channels: email
tags:
- one
- "two"
content:
  email: {subject: "{{ x }}", html: "null"}
data: {phone: +62811, zip: 01234, n: 5, zero: 0, x: 0.5, b: false, list: [a, "1"], none: "~"}
`)
	want := campaign{
		Name: "it's", Inner: shared{`a "b"`}, Audience: &audience{"x", []string{"a", "b.c"}},
		Cooldown: 3, Size: 10000, Share: -1.5, On: true, Channels: oneOrMany{"email"}, Tags: []string{"one", "two"},
		Content: map[string]contentOfCase{"email": {"{{ x }}", "null"}},
		Data: map[string]any{
			"phone": "+62811", "zip": "01234", "n": int64(5), "zero": int64(0), "x": 0.5, "b": false,
			"list": []any{"a", "1"}, "none": "~",
		},
	}
	if problems != "" {
		t.Error(problems)
	}
	if d := cmp.Diff(want, c, cmp.AllowUnexported(campaign{})); d != "" {
		t.Error(d)
	}
}

func TestDefaultsStay(t *testing.T) {
	t.Parallel()
	f, _ := Parse("c.yaml", "campaign: x\n")
	c := campaign{Size: 7}
	if problems := f.Decode(&c); len(problems) > 0 || c.Size != 7 {
		t.Errorf("%v %d", problems, c.Size)
	}
}

type hinted struct {
	Where string `yaml:"where,required"`
}

func (*hinted) KeyHint(key string) string {
	return map[string]string{"": "such as  {where: true}", "where": "such as  where: true", "goal": "it is not available yet"}[key]
}

func TestKeyHints(t *testing.T) {
	t.Parallel()
	f, _ := Parse("f.yaml", "goal: x\nother: y\n")
	var into hinted
	got := f.Decode(&into).Err().Error()
	want := `f.yaml: the key "where" is missing
     such as  where: true
f.yaml:1:1: unknown key "goal"
   1 | goal: x
     | ^^^^
     it is not available yet
f.yaml:2:1: unknown key "other"
   2 | other: y
     | ^^^^^
     known here: where`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestKeyHintOfGroupsAndCommas(t *testing.T) {
	t.Parallel()
	f, _ := Parse("f.yaml", "{where: count(a, .b == 1)}")
	var into hinted
	got := f.Decode(&into).Err().Error()
	want := `f.yaml:1:18: unknown key ".b == 1)"
   1 | {where: count(a, .b == 1)}
     |                  ^^^^^^^^
     inside { } a comma ends a value: put the value before it in quotes`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	f, _ = Parse("f.yaml", "x")
	got = f.Decode(&into).Err().Error()
	want = `f.yaml:1:1: expected a group of keys, found "x"
   1 | x
     | ^
     such as  {where: true}`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
