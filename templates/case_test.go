package templates

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/shopspring/decimal"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "rewrite the expected parts of testdata and docs")

// testSchema is a workshop: customers with a dealer and orders, vehicles with a model.
func testSchema() *customer.Schema {
	dealers := &customer.Entity{Name: "dealer", Columns: []customer.Column{
		{Name: "id", Kind: customer.Int}, {Name: "city", Kind: customer.Text}, {Name: "email", Kind: customer.Text},
	}}
	models := &customer.Entity{Name: "model", Columns: []customer.Column{{Name: "id", Kind: customer.Int}, {Name: "title", Kind: customer.Text}}}
	vehicles := &customer.Entity{Name: "vehicles", Key: "id", Columns: []customer.Column{
		{Name: "id", Kind: customer.Int},
		{Name: "customer_id", Kind: customer.Int},
		{Name: "plate", Kind: customer.Text},
		{Name: "brand", Kind: customer.Text},
		{Name: "price", Kind: customer.Numeric},
		{Name: "note", Kind: customer.Text},
		{Name: "next_service_on", Kind: customer.Date},
	}, Relations: []*customer.Relation{{Name: "model", One: true, Local: "model_id", Remote: "id", Target: models}}}
	orders := &customer.Entity{Name: "orders", Columns: []customer.Column{{Name: "total", Kind: customer.Numeric}}}
	people := &customer.Entity{Name: "customer", Key: "id", Columns: []customer.Column{
		{Name: "id", Kind: customer.Int},
		{Name: "first_name", Kind: customer.Text},
		{Name: "nickname", Kind: customer.Text},
		{Name: "email", Kind: customer.Text},
		{Name: "points", Kind: customer.Int},
		{Name: "income", Kind: customer.Numeric},
		{Name: "vip", Kind: customer.Bool},
		{Name: "birth_date", Kind: customer.Date},
		{Name: "tags", Kind: customer.TextArray},
		{Name: "extra", Kind: customer.JSON},
		{Name: "Home City", Kind: customer.Text},
		{Name: "photo", Kind: customer.Text},
	}, Relations: []*customer.Relation{
		{Name: "dealer", One: true, Local: "dealer_id", Remote: "id", Target: dealers},
		{Name: "vehicles", Local: "id", Remote: "customer_id", Target: vehicles},
		{Name: "orders", Local: "id", Remote: "customer_id", Target: orders},
	}}
	return &customer.Schema{Customer: people, Locale: customer.Field{Default: "id-ID"}}
}

// testScope is the scope that a word in a case names: "" for customers, vehicle for each, vehicles for merged.
func testScope(word string) Scope {
	s := Scope{Schema: testSchema()}
	if strings.HasPrefix(word, "vehicle") {
		s.Each, _ = s.Schema.Customer.Relation("vehicles")
		s.EachName, s.Merged = "vehicle", word == "vehicles"
	}
	return s
}

// testVars is a person with two vehicles.
func testVars() map[string]any {
	day := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	vehicles := []any{
		map[string]any{"plate": "H 1234 AB", "brand": "Toyota", "price": decimal.RequireFromString("200000000.00"), "note": nil, "next_service_on": day.AddDate(0, 0, 3), "model": nil},
		map[string]any{"plate": "H 77 C", "brand": "Honda", "price": decimal.RequireFromString("12500000.00"), "note": nil, "next_service_on": day.AddDate(0, 0, 9), "model": map[string]any{"title": "Beat"}},
	}
	return map[string]any{
		"customer": map[string]any{
			"id": int64(7), "first_name": "Siti", "nickname": nil, "email": "siti@example.com", "points": int64(12), "income": decimal.RequireFromString("7500000.50"),
			"vip": true, "birth_date": time.Date(1990, 2, 3, 0, 0, 0, 0, time.UTC), "tags": []any{"vip", "regular"}, "extra": map[string]any{"a": map[string]any{"b": int64(1)}},
			"Home City": "Semarang", "photo": "https://cdn.example/siti.png", "dealer": map[string]any{"id": int64(1), "city": "Solo", "email": "solo@dealer.example"},
		},
		"vehicle": vehicles[0], "vehicles": vehicles,
		"campaign": map[string]any{"name": "oil-change", "topic": "service"}, "today": day.Add(8 * time.Hour),
		"unsubscribe_url": "https://s.example/u/1?a=1&b=2", "locale": "id-ID",
	}
}

// testLink is where tracked links lead in cases.
func testLink(index int, query string) string {
	if index == Pixel {
		return "https://t.example/pixel"
	}
	return strings.TrimSuffix(fmt.Sprintf("https://t.example/%d?%s", index, query), "?")
}

// caseHeader is the first part of a case, in YAML.
type caseHeader struct {
	Format string         `yaml:"format"`
	Scope  string         `yaml:"scope"`
	Locale string         `yaml:"locale"`
	Set    map[string]any `yaml:"set"`  // values of the customer
	Show   []string       `yaml:"show"` // paths, links, pages, authored (beyond ASCII), source (of the text template made from HTML)
}

const caseLine = "\n----------\n"

// TestCases runs the files of testdata: a header, the template, and what it makes or what is wrong with it.
func TestCases(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			runCase(t, file)
		})
	}
}

func runCase(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.SplitN("\n"+string(data), caseLine, 3)
	if len(parts) < 2 {
		t.Fatalf("%s has no %q", file, strings.TrimSpace(caseLine))
	}
	var header caseHeader
	if err := yaml.Unmarshal([]byte(parts[0]), &header); err != nil {
		t.Fatal(err)
	}
	got := header.run(parts[1]) + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(strings.TrimPrefix(parts[0]+caseLine+parts[1]+caseLine+got, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if len(parts) < 3 {
		t.Fatalf("%s has no expected output; run with -update and read it", file)
	}
	if d := cmp.Diff(parts[2], got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

func (h caseHeader) run(text string) string {
	format := map[string]Format{"": Text, "text": Text, "html": HTML, "mjml": HTML, "subject": Subject, "sms": SMS}[h.Format]
	scope := testScope(h.Scope)
	src := Source{File: &diag.Source{Name: "t.liquid", Text: text}, Text: text}
	if h.Format == "mjml" {
		made, problems := CompileMJML(src)
		if len(problems) > 0 {
			return problems.Err().Error()
		}
		var err error
		if src, err = made.Source(src); err != nil {
			return err.Error()
		}
		text = made.HTML
	}
	tpl, problems := Parse(src, format, scope)
	if len(problems) > 0 {
		return problems.Err().Error()
	}
	vars := testVars()
	for k, v := range h.Set {
		vars["customer"].(map[string]any)[k] = v
	}
	if h.Locale != "" {
		vars["locale"] = h.Locale
	}
	out, err := tpl.Render(vars, testLink)
	if err != nil {
		out = "error: " + err.Error()
	}
	return out + h.extra(tpl, text, vars)
}

// extra is what a case wants to see besides.
func (h caseHeader) extra(tpl *Template, text string, vars map[string]any) string {
	var b strings.Builder
	for _, what := range h.Show {
		switch what {
		case "paths":
			for _, p := range tpl.Paths() {
				b.WriteString("\npath " + strings.Join(p, "."))
			}
		case "links":
			for i, l := range tpl.Links() {
				fmt.Fprintf(&b, "\nlink %d %s at %d:%d", i, l.URL, l.Line, l.Col)
			}
		case "pages":
			b.WriteString("\npages " + strings.Join(tpl.Pages(), ", "))
		case "authored":
			for _, w := range tpl.Authored(func(r rune) bool { return r > 127 }) {
				fmt.Fprintf(&b, "\nauthored %c at %d:%d", w.Rune, w.At.Line, w.At.Col)
			}
		case "source":
			source := TextTemplate(text)
			made, problems := Parse(Source{Text: source}, Text, testScope(h.Scope))
			if len(problems) > 0 {
				b.WriteString("\n" + problems.Error())
				continue
			}
			out, err := made.Render(vars, testLink)
			fmt.Fprintf(&b, "\n--- source\n%s\n--- text (%v)\n%s", source, err, out)
		}
	}
	return b.String()
}
