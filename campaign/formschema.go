package campaign

import (
	"github.com/invopop/jsonschema"

	"github.com/sapa-crm/sapa/channels"
)

// formSchema is the JSON Schema of a channel's content. Of what a part's Check asks, it knows the Pattern; what sapa.yaml and the
// folder templates/ have it can't know.
func formSchema(f channels.Form) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "object", Description: f.About, Properties: jsonschema.NewProperties(), AdditionalProperties: jsonschema.FalseSchema}
	for _, p := range f.Parts {
		s.Properties.Set(p.Key, partSchema(p))
		if p.Required {
			s.Required = append(s.Required, p.Key)
		}
	}
	for _, r := range f.Rules {
		s.AllOf = append(s.AllOf, ruleSchema(r))
	}
	return s
}

// notEmpty is the pattern of a text that is not empty; liquid that of one that is not the same for everybody.
const (
	notEmpty = `\S`
	liquid   = `\{\{|\{%`
)

func partSchema(p channels.Part) *jsonschema.Schema {
	one := &jsonschema.Schema{Type: "string", Description: p.About}
	switch p.Kind {
	case channels.Values:
		one.Type, one.AdditionalProperties = "object", &jsonschema.Schema{OneOf: scalarKinds()}
		if p.Pattern != "" {
			one.PropertyNames = &jsonschema.Schema{Pattern: p.Pattern}
		}
	case channels.Choice:
		one.Enum = anys(p.Choices)
	case channels.Constant:
		one.Pattern, one.Not = p.Pattern, &jsonschema.Schema{Pattern: liquid}
		if p.Pattern == "" {
			one.Pattern = notEmpty
		}
	default:
		one.Pattern = notEmpty
	}
	return one
}

// ruleSchema is the JSON Schema of a condition on several keys.
func ruleSchema(r channels.Rule) *jsonschema.Schema {
	if len(r.Any) > 0 {
		return &jsonschema.Schema{AnyOf: needsOneOf(r.Any...), Description: r.Says}
	}
	return &jsonschema.Schema{Not: &jsonschema.Schema{Required: r.Not}, Description: r.Says}
}
