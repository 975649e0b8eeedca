package campaign

import (
	"encoding/json"
	"fmt"

	"github.com/invopop/jsonschema"
)

// JSONSchema is the JSON Schema (draft 2020-12) of campaign files, for completion and checks in editors. It is made from
// the Go types that decode the files, so that the two can't differ.
func JSONSchema() ([]byte, error) {
	r := jsonschema.Reflector{FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true, DoNotReference: true, Anonymous: true}
	s := r.Reflect(&Definition{})
	s.Title = "Sapa campaign"
	s.Description = "Who is reached, when, by which channel, with what. Reference: docs/campaigns.md"
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write JSON Schema: %w", err)
	}
	return append(b, '\n'), nil
}

// JSONSchema is the form of a duration.
func (Duration) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: `^[1-9][0-9]*[mhdw]$`, Examples: []any{"300d", "2w", "12h", "90m"}}
}

// JSONSchema is the form of one text or a list of texts.
func (Texts) JSONSchema() *jsonschema.Schema {
	text := &jsonschema.Schema{Type: "string"}
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{text, {Type: "array", Items: text}}}
}

// JSONSchema is the form of a time of day.
func (ClockTime) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: `^([01][0-9]|2[0-3]):[0-5][0-9]$`, Examples: []any{"18:00"}}
}

// JSONSchema is the form of a date and time without a zone.
func (CivilTime) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: `^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2})?)?$`, Examples: []any{"2026-12-24 08:00"}}
}
