package templates

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hostile is a value that would break out of any place where it is not escaped.
const hostile = `<zzq"zzq'zzq>zzq`

// FuzzTemplate parses and renders anything: nothing panics, no value gets out of its place in HTML, no subject has a
// second line.
func FuzzTemplate(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(strings.Split("\n"+string(data), caseLine)[1])
	}
	f.Add(`{% capture c %}<b>{{ customer.first_name | escape | newline_to_br }}</b>{% endcapture %}<i title="{{ c }}">{{ c }}</i>`)
	f.Add(`<a href="mailto:{{ customer.first_name }}?x={{ customer.photo }}">{{ customer.tags | join: customer.first_name | split: "z" }}</a>`)
	scope := testScope("vehicles")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(strings.ToLower(text), "zzq") {
			return
		}
		for _, format := range []Format{HTML, Text, Subject} {
			tpl, problems := Parse(Source{Text: text}, format, scope)
			if len(problems) > 0 {
				_ = problems.Error()
				continue
			}
			out, err := tpl.Render(hostileVars(), testLink)
			if err != nil && strings.Contains(err.Error(), "internal error") {
				t.Fatal(err)
			}
			checkHostile(t, format, out)
		}
		if made, problems := Parse(Source{Text: TextTemplate(text)}, Text, scope); len(problems) == 0 {
			_, _ = made.Render(hostileVars(), testLink)
		}
	})
}

func hostileVars() map[string]any {
	vars := testVars()
	row := vars["customer"].(map[string]any)
	for k, v := range row {
		if _, ok := v.(string); ok {
			row[k] = hostile
		}
	}
	row["tags"] = []any{hostile, hostile}
	row["extra"] = map[string]any{"a": hostile}
	return vars
}

func checkHostile(t *testing.T, format Format, out string) {
	t.Helper()
	low := strings.ToLower(out)
	if format == HTML && (strings.Contains(low, "<zzq") || strings.Contains(low, `"zzq`) || strings.Contains(low, "'zzq")) {
		t.Fatalf("a value got out of its place:\n%s", out)
	}
	if format == Subject && strings.ContainsAny(out, "\r\n\x00") {
		t.Fatalf("a subject of several lines: %q", out)
	}
}
