package campaign_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/customer"
)

// The rule that says who is a customer is told of in sapa.yaml.
func TestBase(t *testing.T) {
	t.Parallel()
	s := setupCRM(t)
	for where, want := range map[string]string{
		"customer.deleted_at == nil": "",
		"customer.deletd_at == nil": `sapa.yaml:10:19: unknown column "deletd_at" of customer
  10 |   where: customer.deletd_at == nil
     |                   ^^^^^^^^^
     did you mean "deleted_at"?`,
	} {
		yaml := strings.Replace(crmYAML, "customer.deleted_at == nil", where, 1)
		cfg, problems := customer.LoadConfig("sapa.yaml", yaml, func(string) string { return "" })
		s.must(problems.Err())
		schema, problems, err := customer.Resolve(t.Context(), s.pool, cfg)
		s.must(err)
		s.must(problems.Err())
		_, problems = campaign.Base(cfg, schema)
		got := ""
		if err := problems.Err(); err != nil {
			got = err.Error()
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
}

// A campaign needs an address of the customer.
func TestNoAddressColumn(t *testing.T) {
	t.Parallel()
	s := setupCRM(t)
	s.resolve(strings.Replace(crmYAML, "  email: email\n", "", 1))
	got := s.messages(map[string]string{"campaigns/a.yaml": "campaign: a\naudience: {where: true}\nchannels: [email]\ncontent: {email: {subject: Halo, text: Halo}}\n"})
	want := `campaigns/a.yaml:3:1: no column is mapped for the address of channel email
   3 | channels: [email]
     | ^^^^^^^^
     in sapa.yaml, below customers:, write  email: name_of_the_column
`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Templates as editors save them.
func TestTemplateBytes(t *testing.T) {
	t.Parallel()
	s := setupCRM(t)
	yaml := "campaign: a\naudience: {where: true}\ncontent: {email: {subject: Halo, html: a.liquid}}\n"
	for template, want := range map[string]string{
		"\uFEFF<p>Halo</p>\r\n": "in order: a\n",
		"<p>Halo \xff</p>":      "templates/a.liquid: a character that is not UTF-8\n     save the file as UTF-8\n",
		"<p>\x00</p>":           "templates/a.liquid: a character that is not UTF-8\n     save the file as UTF-8\n",
		" \r\n":                 "templates/a.liquid: the file is empty\n",
	} {
		if d := cmp.Diff(want, s.messages(map[string]string{"campaigns/a.yaml": yaml, "templates/a.liquid": template})); d != "" {
			t.Errorf("%q: %s", template, d)
		}
	}
	c := s.load(map[string]string{"campaigns/a.yaml": yaml, "templates/a.liquid": "\uFEFF<p>Halo</p>\n"})[0]
	if c.Files["a.liquid"] != "<p>Halo</p>\n" {
		t.Errorf("stored as %q", c.Files["a.liquid"])
	}
}

// Whoever misspells a campaign's name is told the right one.
func TestUnknownCampaign(t *testing.T) {
	t.Parallel()
	s, _ := setupClock(t, "2026-11-23T07:00+07:00")
	start := func(name string) string {
		_, _, err := s.planner.DryRun(t.Context(), campaign.Start{Campaign: name, Actor: "tester"})
		if err == nil {
			return ""
		}
		return err.Error()
	}
	if d := cmp.Diff(`campaign "daly": not found; no campaign has been applied yet: sapa apply`, start("daly")); d != "" {
		t.Error(d)
	}
	files := scheduled("daily", `{cron: "0 8 * * *"}`)
	_, err := s.store(files)
	s.must(err)
	if d := cmp.Diff(`campaign "daly": not found; did you mean "daily"?`, start("daly")); d != "" {
		t.Error(d)
	}
	p, _, err := campaign.LoadProject(project(files), s.schema, nil)
	s.must(err)
	if _, err := p.Find("daly"); err == nil || err.Error() != `campaign "daly": not found; did you mean "daily"?` {
		t.Error(err)
	}
	if _, _, err := campaign.LoadProject(fstest.MapFS{"sapa.yaml": {}}, s.schema, nil); err == nil || !strings.HasPrefix(err.Error(), "no folder campaigns/ here: ") {
		t.Error(err)
	}
}
