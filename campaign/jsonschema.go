package campaign

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/invopop/jsonschema"
)

// JSONSchema is the JSON Schema (draft 2020-12) of campaign files, for completion and checks in editors. It is made from
// the Go types that decode the files, so that the two can't differ.
func JSONSchema() ([]byte, error) {
	return jsonSchema(&Definition{}, "Sapa campaign", "Who is reached, when, by which channel, with what. Reference: docs/campaigns.md")
}

// SegmentSchema is the JSON Schema of the files of named segments.
func SegmentSchema() ([]byte, error) {
	return jsonSchema(&SegmentDefinition{}, "Sapa segment", "A named rule, used as segment(\"name\"). Reference: docs/rules.md")
}

func jsonSchema(of any, title, description string) ([]byte, error) {
	r := jsonschema.Reflector{FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true, DoNotReference: true, Anonymous: true, Mapper: railsSchema}
	s := r.Reflect(of)
	s.Title, s.Description = title, description
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write JSON Schema: %w", err)
	}
	return append(b, '\n'), nil
}

// property is a key of a group; the struct has it.
func property(s *jsonschema.Schema, name string) *jsonschema.Schema {
	p, _ := s.Properties.Get(name)
	return p
}

// needsOneOf says that a group needs one of some keys: a schema for each.
func needsOneOf(keys ...string) []*jsonschema.Schema {
	var list []*jsonschema.Schema
	for _, key := range keys {
		list = append(list, &jsonschema.Schema{Required: []string{key}})
	}
	return list
}

// JSONSchemaExtend adds the form of names.
func (Definition) JSONSchemaExtend(s *jsonschema.Schema) {
	longest, one := uint64(maxName), uint64(1)
	for _, name := range []string{"campaign", "topic"} {
		property(s, name).Pattern, property(s, name).MaxLength = nameForm.String(), &longest
	}
	channels := property(s, "channels")
	channels.Items.Enum, channels.MinItems, channels.UniqueItems = anys(available()), &one, true
	s.AllOf = append(contentOfChannels(), ladderOfSeveral())
	s.Not = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		{Required: []string{"trigger", "schedule"}}, {Required: []string{"trigger", "confirms"}},
	}}
}

// ladderOfSeveral says that then: needs several channels.
func ladderOfSeveral() *jsonschema.Schema {
	two := uint64(2)
	several := &jsonschema.Schema{Required: []string{"channels"}, Properties: jsonschema.NewProperties()}
	several.Properties.Set("channels", &jsonschema.Schema{MinItems: &two})
	return &jsonschema.Schema{If: &jsonschema.Schema{Required: []string{"then"}}, Then: several}
}

// contentOfChannels says that each channel that is named has content and no other has, and that several are named.
func contentOfChannels() []*jsonschema.Schema {
	one := uint64(1)
	content := func(is *jsonschema.Schema) *jsonschema.Schema {
		s := &jsonschema.Schema{Properties: jsonschema.NewProperties()}
		s.Properties.Set("content", is)
		return s
	}
	named := &jsonschema.Schema{Required: []string{"channels"}}
	list := []*jsonschema.Schema{{If: &jsonschema.Schema{Not: named}, Then: content(&jsonschema.Schema{MaxProperties: &one})}}
	for _, channel := range available() {
		names := &jsonschema.Schema{Required: []string{"channels"}, Properties: jsonschema.NewProperties()}
		names.Properties.Set("channels", &jsonschema.Schema{Contains: &jsonschema.Schema{Const: channel}})
		other := &jsonschema.Schema{If: named, Then: content(&jsonschema.Schema{Not: &jsonschema.Schema{Required: []string{channel}}})}
		list = append(list, &jsonschema.Schema{If: names, Then: content(&jsonschema.Schema{Required: []string{channel}}), Else: other})
	}
	return list
}

// anys is a list for an enum.
func anys(names []string) (list []any) {
	for _, name := range names {
		list = append(list, name)
	}
	return list
}

// JSONSchemaExtend adds the form of the name, and that of the rule.
func (SegmentDefinition) JSONSchemaExtend(s *jsonschema.Schema) {
	longest := uint64(maxName)
	name := property(s, "segment")
	name.Pattern, name.MaxLength = nameForm.String(), &longest
	extendRule(s)
}

// extendRule says that a rule may also be the bare word true, which editors take for no text.
func extendRule(s *jsonschema.Schema) {
	where := property(s, "where")
	where.Type, where.OneOf = "", []*jsonschema.Schema{{Type: "string"}, {Type: "boolean"}}
}

// JSONSchemaExtend adds the form of a rule, and that merge needs each.
func (Audience) JSONSchemaExtend(s *jsonschema.Schema) {
	extendRule(s)
	s.DependentRequired = map[string][]string{"merge": {"each"}}
}

// JSONSchemaExtend says that there is either a time or a cron expression.
func (Schedule) JSONSchemaExtend(s *jsonschema.Schema) { s.OneOf = needsOneOf("at", "cron") }

// JSONSchemaExtend says that there is content for a channel.
func (Content) JSONSchemaExtend(s *jsonschema.Schema) {
	s.Properties.Delete("Others")
	for _, f := range forms() {
		s.Properties.Set(f.Channel, formSchema(f))
	}
	s.AnyOf = needsOneOf(available()...)
}

// JSONSchemaExtend says that there is a body.
func (Email) JSONSchemaExtend(s *jsonschema.Schema) { s.AnyOf = needsOneOf("html", "text") }

// JSONSchema is the form of a priority.
func (Priority) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "integer", Minimum: json.Number(strconv.Itoa(-priorityMost)), Maximum: json.Number(strconv.Itoa(priorityMost)), Examples: []any{10}}
}

// JSONSchema is the form of a duration.
func (Duration) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: durationForm, Examples: []any{"300d", "2w", "12h"}}
}

// scalarKinds are what editors take a text for that has no quotes: 2026 for a number, true for a boolean.
func scalarKinds() []*jsonschema.Schema {
	return []*jsonschema.Schema{{Type: "string"}, {Type: "number"}, {Type: "boolean"}}
}

// JSONSchema is the form of one text or a list of texts.
func (Texts) JSONSchema() *jsonschema.Schema {
	kinds, one := scalarKinds(), uint64(1)
	list := &jsonschema.Schema{Type: "array", Items: &jsonschema.Schema{OneOf: kinds}, MinItems: &one}
	return &jsonschema.Schema{OneOf: append([]*jsonschema.Schema{list}, kinds...)}
}

// JSONSchema is the form of an address; that it is one is checked elsewhere.
func (ReplyAddress) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: "@", Examples: []any{"cs@bengkel.example"}}
}

// JSONSchema is the form of a time of day.
func (ClockTime) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: clockForm, Examples: []any{"18:00"}}
}

// JSONSchema is the form of a date and time without a zone.
func (CivilTime) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: civilForm, Examples: []any{"2026-12-24 08:00"}}
}
