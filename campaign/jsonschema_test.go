package campaign_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/channels/kinds"
)

func TestJSONSchemaFile(t *testing.T) {
	t.Parallel()
	got, err := campaign.JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	const name = "testdata/schema.json"
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Error(d)
	}
}

// editor checks a file as an editor does: with the schema, and with a YAML reader that takes 2026 for a number.
func editor(t *testing.T) func(text string) error {
	t.Helper()
	return editorOf(t, campaign.JSONSchema)
}

func editorOf(t *testing.T, schemaOf func() ([]byte, error)) func(text string) error {
	t.Helper()
	text, err := schemaOf()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("campaign.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("campaign.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(text string) error {
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			return err
		}
		return schema.Validate(textKeys(value))
	}
}

// textKeys is a value of YAML as editors see it: all keys are text, also the 1 of {1: Halo}.
func textKeys(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, one := range v {
			v[key] = textKeys(one)
		}
	case map[any]any:
		m := map[string]any{}
		for key, one := range v {
			m[fmt.Sprint(key)] = textKeys(one)
		}
		return m
	}
	return value
}

// What sapa validate takes, an editor takes; what is wrong in form, and so without the company's tables, neither takes.
func TestJSONSchemaAgrees(t *testing.T) {
	t.Parallel()
	s, check := setupCRM(t), editor(t)
	const fineContent = "content: {email: {subject: Halo, text: Halo}}"
	const fine = "campaign: a\naudience: {where: \"true\"}\n" + fineContent + "\n"
	for _, c := range []struct{ old, new string }{
		{"", ""},
		{`"true"`, "true"},
		{`"true"`, `"true", occasion: 2026`},
		{`"true"`, `"true", occasion: [2026, customer.id, true]`},
		{`"true"`, `"true", cooldown: 9999d`},
		{`{where: "true"}`, "{each: customer.vehicles as vehicle, where: vehicle.plate == nil, merge: customer}"},
		{"text: Halo", "html: Halo"},
		{"text: Halo", "html: <p>Halo</p>, text: Halo, reply_to: cs@bengkel.example"},
		{"content", "topic: greetings\ndescription: For all.\nchannels: [email]\ncontent"},
		{"{email: {subject: Halo, text: Halo}}", "{sms: {text: Halo}}"},
		{fineContent, "channels: [sms]\ncontent: {sms: {text: Halo}}"},
		{"content", "schedule: {cron: 0 8 * * *, timezone: customer, until: 18:00, catch_up: once}\ncontent"},
		{"content", "schedule: {at: \"2026-12-24 8:00\", until: \"9:30\", catch_up: skip}\ncontent"},
		{"content", "schedule: {at: 2026-12-24T08:00}\ncontent"},
		{"content", "trigger: {event: check_in, where: true, within: 15min}\ncontent"},
		{fineContent, "channels: [sms, email]\ncontent: {email: {subject: Halo, text: Halo}, sms: {text: Halo}}"},
		{fineContent, "channels: [whatsapp, voice, calls]\nthen: {after: 30min, unless: replied}\n" +
			"content: {whatsapp: {template: HX01, variables: {1: Halo, name: 5}}, voice: {say: Halo, press: {1: interested}}, calls: {reason: Halo, script: Halo}}"},
		{fineContent, "content: {alert: {to: manager, title: Halo}}"},
		{fineContent, "content: {webhook: {data: {stars: 5, gold: true, plate: B 1}}}"},
		{fineContent, "content: {voice: {play: \"HTTPS://bengkel.example:8443/a.mp3?x=a@b\", press: {\"*\": stop}}}"},
	} {
		text := strings.Replace(fine, c.old, c.new, 1)
		if _, problems := campaign.Check("a.yaml", text, os.DirFS("."), s.schema, nil); len(problems) > 0 {
			t.Errorf("%s\n%v", text, problems.Err())
		}
		if err := check(text); err != nil {
			t.Errorf("%s\n%v", text, err)
		}
	}
	for _, c := range []struct{ old, new string }{
		{"campaign: a\n", ""},
		{"audience", "audiense"},
		{"where", "wher"},
		{fineContent, ""},
		{"{email: {subject: Halo, text: Halo}}", "{}"},
		{"subject: Halo, ", ""},
		{", text: Halo", ""},
		{"text: Halo", "text: Halo, locales: {}"},
		{"text: Halo", "text: Halo, reply_to: cs"},
		{"campaign: a", "campaign: Oil Change"},
		{"campaign: a", "campaign: a\ntopic: a_b"},
		{"campaign: a", "campaign: " + strings.Repeat("a", 61)},
		{`"true"`, `"true", merge: customer`},
		{`"true"`, `"true", each: customer.vehicles as v, merge: vehicle`},
		{`"true"`, `"true", cooldown: 6m`},
		{`"true"`, `"true", cooldown: 300`},
		{`"true"`, `"true", occasion: []`},
		{`"true"`, `"true", occasion: {a: b}`},
		{`"true"`, `[a]`},
		{"content", "holdout: 10%\ncontent"},
		{"content", "channels: email\ncontent"},
		{"content", "channels: [whatsapp]\ncontent"},
		{"content", "channels: [email, sms]\ncontent"},
		{"{subject: Halo, text: Halo}", "{subject: Halo, text: Halo}, sms: {text: Halo}"},
		{"{email: {subject: Halo, text: Halo}}", "{sms: {}}"},
		{"{email: {subject: Halo, text: Halo}}", "{sms: {text: Halo, subject: Halo}}"},
		{"content", "channels: []\ncontent"},
		{"content", "channels: [email, email]\ncontent"},
		{"content", "schedule: {timezone: customer}\ncontent"},
		{"content", "schedule: {cron: 0 8 * * *, at: 2026-12-24T08:00}\ncontent"},
		{"content", "schedule: {at: \"2026-12-24\"}\ncontent"},
		{"content", "schedule: {cron: 0 8 * * *, until: \"24:00\"}\ncontent"},
		{"content", "schedule: {cron: 0 8 * * *, until: \"18.00\"}\ncontent"},
		{"content", "schedule: {cron: 0 8 * * *, catch_up: always}\ncontent"},
		{"content", "schedule: {cron: 0 8 * * *, every: day}\ncontent"},
		{"content", "schedule: {cron: 0 8 * * *}\ntrigger: {event: check_in}\ncontent"},
		{"content", "trigger: {where: true}\ncontent"},
		{"content", "trigger: {event: Check In}\ncontent"},
		{"content", "trigger: {event: check_in, within: soon}\ncontent"},
		{"content", "then: {after: 2d}\ncontent"},
		{"content", "channels: [email]\nthen: {after: 2d}\ncontent"},
		{fineContent, "channels: [email]\ncontent: {email: {subject: Halo, text: Halo}, sms: {text: Halo}}"},
		{fineContent, "channels: [email, sms]\nthen: {unless: opened}\ncontent: {email: {subject: Halo, text: Halo}, sms: {text: Halo}}"},
		{fineContent, "channels: [email, sms]\nthen: {after: 2 days}\ncontent: {email: {subject: Halo, text: Halo}, sms: {text: Halo}}"},
		{fineContent, "channels: [email, sms]\nthen: {after: 2d, unless: read}\ncontent: {email: {subject: Halo, text: Halo}, sms: {text: Halo}}"},
		{fineContent, "content: {alert: {to: manager}}"},
		{fineContent, "content: {alert: {to: manager, title: Halo, script: Halo}}"},
		{fineContent, "content: {calls: {reason: Halo}}"},
		{fineContent, "content: {voice: {say: Halo, language: tlh}}"},
		{fineContent, "content: {webhook: {data: Halo}}"},
		{fineContent, "content: {webhook: {data: {stars: [5]}}}"},
		{fineContent, "content: {whatsapp: {variables: {1: Halo}}}"},
		{fineContent, "content: {whatsapp: {template: HX01, text: Halo}}"},
		{fineContent, "content: {whatsapp: {template: oil-change}}"},
		{fineContent, "content: {whatsapp: {template: HX01, variables: {first-name: Halo}}}"},
		{fineContent, "content: {whatsapp: {text: Halo, variables: {1: Halo}}}"},
		{fineContent, "content: {whatsapp: {text: \"\"}}"},
		{fineContent, "content: {voice: {press: {1: interested}}}"},
		{fineContent, "content: {voice: {play: \"http://bengkel.example/a.mp3\"}}"},
		{fineContent, "content: {voice: {play: \"https://ani:hunter2@bengkel.example/a.mp3\"}}"},
		{fineContent, "content: {voice: {play: a.mp3}}"},
		{fineContent, "content: {voice: {say: Halo, press: {12: interested}}}"},
		{fineContent, "content: {voice: {say: Halo, press: {\"#\": interested}}}"},
		{fineContent, "content: {alert: {to: Front Desk, title: Halo}}"},
		{fineContent, "content: {alert: {to: manager, title: \" \"}}"},
		{fineContent, "content: {alert: {to: \"{{ customer.city }}\", title: Halo}}"},
		{fineContent, "content: {letter: {text: Halo, front: card.pdf}}"},
		{fineContent, "content: {letter: {text: Halo, front: \"{{ customer.city }}.png\"}}"},
		{fineContent, "content: {letter: {text: Halo, size: a3}}"},
		{fineContent, "content: {letter: {size: a4}}"},
	} {
		text := strings.Replace(fine, c.old, c.new, 1)
		if text == fine {
			t.Fatalf("no change: %q", c.old)
		}
		if _, problems := campaign.Check("a.yaml", text, os.DirFS("."), s.schema, nil); len(problems) == 0 {
			t.Errorf("sapa validate takes\n%s", text)
		}
		if check(text) == nil {
			t.Errorf("an editor takes\n%s", text)
		}
	}
}

// Each key says what it means, and no group takes other keys.
func TestJSONSchemaSaysWhatKeysMean(t *testing.T) {
	t.Parallel()
	text, err := campaign.JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := yaml.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	var keys []string
	var walk func(path string, s map[string]any)
	walk = func(path string, s map[string]any) {
		properties, ok := s["properties"].(map[string]any)
		if !ok {
			return
		}
		if s["additionalProperties"] != false {
			t.Errorf("%s takes any key", path)
		}
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			p := properties[name].(map[string]any)
			keys = append(keys, path+name)
			if d, _ := p["description"].(string); d == "" {
				t.Errorf("%s%s does not say what it means", path, name)
			}
			walk(path+name+".", p)
		}
	}
	walk("", schema)
	want := 75
	for _, k := range kinds.All() { // channels of somebody's own: docs/adding-a-channel.md
		want += 1 + len(k.Form.Parts)
	}
	if len(keys) != want {
		t.Errorf("%d keys: %v", len(keys), keys)
	}
}

// Every campaign of a case that is in order, and every example, is in order for an editor.
func TestJSONSchemaTakesExamples(t *testing.T) {
	t.Parallel()
	check := editor(t)
	texts := map[string]string{}
	data, err := os.ReadFile("testdata/in-order.txt")
	if err != nil {
		t.Fatal(err)
	}
	input, _, _ := strings.Cut(string(data), "\n----------\n")
	maps.Copy(texts, split(t, input+"\n"))
	examples, err := filepath.Glob("../examples/*/campaigns/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range examples {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(data)
	}
	for name, text := range texts {
		if strings.HasSuffix(name, ".yaml") {
			if err := check(text); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
