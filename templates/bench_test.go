package templates

import (
	"strings"
	"testing"

	"github.com/osteele/liquid"
	"github.com/osteele/liquid/render"
)

// benchMail is 4 KB of HTML with eight variables, an if, a for over two vehicles and three links.
func benchMail() string {
	const head = `<!doctype html><html><head><title>Halo</title><style>body{font-family:sans-serif}</style></head><body>
<h1>Halo {{ customer.first_name | default: "Pelanggan" }},</h1>
{% if customer.vip %}<p>Terima kasih sudah menjadi pelanggan setia di {{ customer["Home City"] }}.</p>{% endif %}
<ul>{% for v in vehicles %}<li>{{ v.plate }} ({{ v.brand }})</li>{% endfor %}</ul>
<p>Poin: {{ customer.points }}, {{ customer.email }}, {{ campaign.name }}</p>
<p><a href="https://bengkel.example/booking?utm_source=mail">Pesan</a> <a href="https://bengkel.example/">Bengkel</a></p>`
	const foot = `<p><a href="{{ unsubscribe_url }}">Berhenti</a></p></body></html>`
	row := `<table role="presentation" width="100%"><tr><td style="padding:8px">Servis berkala menjaga mesin tetap awet &amp; irit.</td></tr></table>` + "\n"
	return head + strings.Repeat(row, (4096-len(head)-len(foot))/len(row)) + foot
}

func BenchmarkRender(b *testing.B) {
	tpl := mustParse(b, benchMail(), HTML, testScope("vehicles"))
	vars := testVars()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tpl.Render(vars, testBenchLink); err != nil {
			b.Fatal(err)
		}
	}
}

func testBenchLink(int, string) string { return "https://s.example/c/0123456789abcdef" }

func BenchmarkRenderText(b *testing.B) {
	tpl := mustParse(b, TextTemplate(benchMail()), Text, testScope("vehicles"))
	vars := testVars()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tpl.Render(vars, testBenchLink); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRenderSubject(b *testing.B) {
	tpl := mustParse(b, `{{ customer.first_name }}, mobil {{ vehicles | map: "plate" | sentence }} waktunya ganti oli`, Subject, testScope("vehicles"))
	vars := testVars()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tpl.Render(vars, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	mail, scope := benchMail(), testScope("vehicles")
	b.ReportAllocs()
	for b.Loop() {
		if _, problems := Parse(Source{Text: mail}, HTML, scope); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}

// BenchmarkLiquid is the same mail in github.com/osteele/liquid, escaped for HTML, links not tracked.
func BenchmarkLiquid(b *testing.B) {
	engine := liquid.NewEngine()
	engine.SetAutoEscapeReplacer(render.HtmlEscaper)
	tpl, err := engine.ParseString(benchMail())
	if err != nil {
		b.Fatal(err)
	}
	vars := testVars()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tpl.Render(vars); err != nil {
			b.Fatal(err)
		}
	}
}
