package templates

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const referenceFile = "../docs/templates.md"

// TestFilterExamples runs the example of every row of the filter table.
func TestFilterExamples(t *testing.T) {
	t.Parallel()
	for _, d := range filterTable() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			got, err := mustParse(t, d.example, Text, testScope("vehicles")).Render(testVars(), nil)
			if err != nil || got != d.output {
				t.Errorf("%s makes %q, %v; the table says %q", d.example, got, err, d.output)
			}
			if !strings.HasSuffix(d.doc, ".") || !strings.Contains(d.example, "| "+d.name) {
				t.Errorf("the row of %s needs a sentence and an example with it", d.name)
			}
		})
	}
}

// TestReferenceIsUpToDate compares the generated parts of docs/templates.md with the tables; -update rewrites them.
func TestReferenceIsUpToDate(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	want := string(data)
	for name, table := range map[string]string{"variables": variableTable(), "filters": filterReference(), "tags": "`" + strings.Join(tags, "` `") + "`\n"} {
		want = replaceGenerated(t, want, name, table)
	}
	if *update {
		if err := os.WriteFile(referenceFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(want, string(data)); d != "" {
		t.Errorf("run go test ./templates -update (-want +got):\n%s", d)
	}
}

func replaceGenerated(t *testing.T, doc, name, table string) string {
	t.Helper()
	begin, end := "<!-- "+name+": made from the code by go test ./templates -update -->\n", "<!-- end of "+name+" -->\n"
	before, rest, ok1 := strings.Cut(doc, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no marks for %s", referenceFile, name)
	}
	return before + begin + "\n" + table + "\n" + end + after
}

func variableTable() string {
	var b strings.Builder
	b.WriteString("| variable | what it is |\n|---|---|\n")
	for _, v := range builtins() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", v.name, v.doc)
	}
	return b.String()
}

func filterReference() string {
	var b strings.Builder
	b.WriteString("| filter | what it makes | example | result |\n|---|---|---|---|\n")
	cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
	for _, d := range filterTable() {
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | `%s` |\n", cell(d.signature()), cell(d.doc), cell(d.example), cell(d.output))
	}
	return b.String()
}

// TestReferenceExamplesParse parses the Liquid and HTML blocks of the reference.
func TestReferenceExamplesParse(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(data), "\n```")
	found := 0
	for i := 1; i < len(blocks); i += 2 {
		language, text, _ := strings.Cut(blocks[i], "\n")
		word, scope, _ := strings.Cut(language, " ")
		format, ok := map[string]Format{"liquid": Text, "html": HTML, "mjml": HTML}[word]
		if !ok {
			continue
		}
		found++
		if word == "mjml" {
			text = compiled(t, text)
		}
		if _, problems := Parse(Source{Text: text}, format, testScope(scope)); len(problems) > 0 {
			t.Errorf("an example of the reference has problems:\n%s\n%v", text, problems.Err())
		}
	}
	if found < 5 {
		t.Errorf("only %d examples were found", found)
	}
}

// compiled is the HTML of MJML that is in order.
func compiled(t *testing.T, mjml string) string {
	t.Helper()
	c, problems := CompileMJML(Source{Text: mjml})
	if len(problems) > 0 {
		t.Fatalf("the MJML has problems:\n%s\n%v", mjml, problems.Err())
	}
	return c.HTML
}
