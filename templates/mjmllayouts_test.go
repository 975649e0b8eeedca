package templates

import (
	"strings"
	"testing"

	"github.com/sapa-crm/sapa/internal/diag"
)

// Each layout is in order, says all that it has to say without images, in its text part, too, and lets people leave.
func TestLayouts(t *testing.T) {
	t.Parallel()
	layouts, err := Layouts()
	if err != nil {
		t.Fatal(err)
	}
	says := map[string][]string{
		"greeting.mjml.liquid": {"Selamat ulang tahun, Siti!", "Cuci mobil gratis", "https://t.example/0?pelanggan=7"},
		"reminder.mjml.liquid": {"Waktunya ganti oli", "H 1234 AB", "25 November 2026", "https://t.example/0?plat=H%201234%20AB"},
		"offer.mjml.liquid":    {"Siti, setiap servis lebih hemat 20%", "0 menit", "49.000", "https://t.example/0?pelanggan=7"},
	}
	if len(layouts) != len(says) {
		t.Errorf("%d layouts", len(layouts))
	}
	for name, text := range layouts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			html, plain := renderMJML(t, name, text)
			for _, want := range append(says[name], "https://s.example/u/1") {
				if !strings.Contains(html, want) || !strings.Contains(plain, want) {
					t.Errorf("%q is not in both parts: %s", want, plain)
				}
			}
			if strings.Contains(html, "<img") && strings.Count(html, "<img") > 1 || !strings.Contains(html, "prefers-color-scheme: dark") {
				t.Error("it has an image besides the pixel, or no dark colors")
			}
			if len(html) > 24<<10 {
				t.Errorf("it has %d bytes", len(html))
			}
		})
	}
}

// renderMJML is both parts of a mail to the person of the tests.
func renderMJML(t *testing.T, name, text string) (html, plain string) {
	t.Helper()
	src := Source{File: &diag.Source{Name: name, Text: text}, Text: text}
	made, problems := CompileMJML(src)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	compiled, err := made.Source(src)
	if err != nil {
		t.Fatal(err)
	}
	scope, vars := testScope("vehicle"), testVars()
	vars["preferences_url"] = "https://s.example/p/1"
	for _, part := range []struct {
		src    Source
		format Format
		into   *string
	}{{compiled, HTML, &html}, {Source{Text: TextTemplate(made.HTML)}, Text, &plain}} {
		tpl, problems := Parse(part.src, part.format, scope)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if *part.into, err = tpl.Render(vars, testLink); err != nil {
			t.Fatal(err)
		}
	}
	return html, plain
}
