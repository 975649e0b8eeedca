package campaign_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Links belong to the channel whose content they stand in; the short ones are numbered through.
func TestLinksByChannel(t *testing.T) {
	t.Parallel()
	s, _ := setupLadder(t)
	s.apply("all", `
campaign: all
audience: {where: "true"}
channels: [email, sms, voice, whatsapp, webhook]
content:
  email: {subject: Halo, html: '<a href="https://bengkel.example/html">x</a>'}
  sms: {text: "{{ 'https://bengkel.example/sms' | link }}"}
  voice: {say: Halo}
  whatsapp: {template: HX01, variables: {1: "{{ 'https://bengkel.example/1' | link }}", 2: "{{ 'https://bengkel.example/2' | link }}"}}
  webhook: {text: "{{ 'https://bengkel.example/hook' | link }}"}
`, nil)
	want := []string{
		"html 0 https://bengkel.example/html", "sms 0 https://bengkel.example/sms", "text 0 https://bengkel.example/html",
		"webhook 1 https://bengkel.example/hook", "whatsapp 2 https://bengkel.example/1", "whatsapp 3 https://bengkel.example/2",
	}
	if d := cmp.Diff(want, s.strings(`select concat_ws(' ', part, position, url) from links order by part, position`)); d != "" {
		t.Error(d)
	}
}
