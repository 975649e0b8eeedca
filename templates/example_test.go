package templates_test

import (
	"errors"
	"fmt"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/templates"
)

func schema() *customer.Schema {
	return &customer.Schema{
		Customer: &customer.Entity{Name: "customer", Columns: []customer.Column{
			{Name: "first_name", Kind: customer.Text}, {Name: "points", Kind: customer.Int},
		}},
		Locale: customer.Field{Default: "id-ID"},
	}
}

func ExampleParse() {
	text := "Halo {{ customer.frist_name }}"
	file := &diag.Source{Name: "templates/halo.liquid", Text: text}
	_, problems := templates.Parse(templates.Source{File: file, Text: text}, templates.Text, templates.Scope{Schema: schema()})
	fmt.Println(problems.Err())
	// Output:
	// templates/halo.liquid:1:18: customer has no column "frist_name"
	//    1 | Halo {{ customer.frist_name }}
	//      |                  ^^^^^^^^^^
	//      did you mean "first_name"?
}

func ExampleTemplate_Render() {
	source := templates.Source{Text: `Halo {{ customer.first_name | titlecase }}, {{ customer.points | number }} poin: {{ 'https://bengkel.example/poin' | link }}`}
	t, problems := templates.Parse(source, templates.Text, templates.Scope{Schema: schema()})
	if len(problems) > 0 {
		fmt.Println(problems.Err())
		return
	}
	fmt.Println(t.Paths())
	link := func(index int, query string) string { return "https://sapa.bengkel.example/c/token" }
	fmt.Println(t.Render(map[string]any{"customer": map[string]any{"first_name": "SITI", "points": 12500}}, link))
	_, err := t.Render(map[string]any{"customer": map[string]any{"first_name": nil, "points": 12500}}, link)
	var missing *templates.MissingError
	fmt.Println(errors.As(err, &missing), err)
	// Output:
	// [[customer first_name] [customer points]]
	// Halo Siti, 12.500 poin: https://sapa.bengkel.example/c/token <nil>
	// true 1:6: customer.first_name is missing; give it a default: {{ customer.first_name | default: "…" }}
}
