package campaign_test

import (
	"strings"
	"testing"

	"github.com/sapa-crm/sapa/campaign"
)

// What was made of MJML when a version was applied is what the version sends: another release, whose compiler writes other
// HTML, changes nothing of it. The places of what the author wrote stay with it.
func TestMJMLIsKept(t *testing.T) {
	t.Parallel()
	s := setupCRM(t)
	_, err := s.store(map[string]string{
		"campaigns/a.yaml":             "campaign: a\naudience: {where: true}\nchannels: [email]\ncontent: {email: {subject: Halo, html: a.mjml.liquid}}\n",
		"templates/a.mjml.liquid":      "<mjml><mj-body><mj-section><mj-column>\n  <mj-text>Halo {{ customer.first_name }}</mj-text>\n</mj-column></mj-section></mj-body></mjml>\n",
		"templates/unused.mjml.liquid": "<mjml>",
	})
	s.must(err)
	s.exec(`update versions set files = files || jsonb_build_object('.html-part.liquid', replace(files->>'.html-part.liquid', '<title></title>', '<title>Old!</title>'),
		'.html-part.places', '0:0:6')`)
	library := campaign.NewLibrary(s.pool, s.schema, s.library.Base())
	var version int
	s.must(s.pool.QueryRow(t.Context(), `select version_id from campaigns`).Scan(&version))
	content, err := library.Content(t.Context(), version)
	s.must(err)
	html, err := content.Email.HTML.Render(map[string]any{"customer": map[string]any{"first_name": "Siti"}}, nil)
	s.must(err)
	for _, want := range []string{"<title>Old!</title>", "Halo Siti", "</html>"} {
		if !strings.Contains(html, want) {
			t.Errorf("the version does not send %q:\n%s", want, html)
		}
	}
	text, err := content.Email.Text.Render(map[string]any{"customer": map[string]any{"first_name": "Siti"}}, nil)
	if err != nil || text != "Halo Siti" {
		t.Errorf("text part %q, %v", text, err)
	}
}

// A value that one customer lacks is told with its place in the MJML, also when a version is loaded that was applied before.
func TestMJMLPlaces(t *testing.T) {
	t.Parallel()
	s := setupCRM(t)
	_, err := s.store(map[string]string{
		"campaigns/a.yaml": "campaign: a\naudience: {where: true}\nchannels: [email]\ncontent:\n  email:\n    subject: Halo\n    html: |\n" +
			"      <mjml><mj-body><mj-section><mj-column>\n        <mj-text>Halo {{ customer.first_name }}</mj-text>\n      </mj-column></mj-section></mj-body></mjml>\n",
	})
	s.must(err)
	var version int
	s.must(s.pool.QueryRow(t.Context(), `select version_id from campaigns`).Scan(&version))
	content, err := s.library.Content(t.Context(), version)
	s.must(err)
	_, err = content.Email.HTML.Render(map[string]any{"customer": map[string]any{"first_name": nil}}, nil)
	want := `a version 1:9:23: customer.first_name is missing; give it a default: {{ customer.first_name | default: "…" }}`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
