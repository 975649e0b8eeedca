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

// A seed has a copy by each channel that goes to such addresses; what people hand over themselves has none.
func TestSeedsByChannel(t *testing.T) {
	t.Parallel()
	s, _ := setupLadder(t)
	c := s.load(map[string]string{"campaigns/all.yaml": `
campaign: all
audience: {where: "true"}
seeds: ["+62 811 1234567", boss@bengkel.example]
channels: [email, sms, voice, whatsapp, calls, webhook]
content:
  email: {subject: Halo, text: Halo}
  sms: {text: Halo}
  voice: {say: Halo}
  whatsapp: {text: Halo}
  calls: {reason: Halo, script: Halo}
  webhook: {text: Halo}
`})[0]
	number, mail := []string{"+628111234567"}, []string{"boss@bengkel.example"}
	want := map[string][]string{"email": mail, "sms": number, "voice": number, "whatsapp": number}
	if d := cmp.Diff(want, c.Content.Seeds); d != "" {
		t.Error(d)
	}
}
