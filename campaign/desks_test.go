package campaign_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A desk that sapa.yaml does not name is a mistake where it names any; a version that was applied before is sound.
func TestDesksAreThoseOfSapaYAML(t *testing.T) {
	t.Parallel()
	s, _ := setupClock(t, "2026-11-23T09:00+07:00")
	hello := func(to string) string {
		return s.messages(map[string]string{"campaigns/hello.yaml": "campaign: hello\naudience: {where: 'true'}\ncontent: {alert: {to: " + to + ", title: Halo}}\n", "templates/x.liquid": "x"})
	}
	if got := hello("front-dask"); got != "in order: hello\n" {
		t.Errorf("without desks: %s", got)
	}
	s.resolve(crmYAML + "\nchannels: {alert: {desks: {manager: {name: Manager}, front-desk: {name: Front desk}}}}\n")
	for to, want := range map[string]string{
		"front-desk": "in order: hello\n",
		"front-dask": `campaigns/hello.yaml:3:23: no desk "front-dask" in sapa.yaml
   3 | content: {alert: {to: front-dask, title: Halo}}
     |                       ^^^^^^^^^^
     did you mean "front-desk"?
`,
		"kitchen": `campaigns/hello.yaml:3:23: no desk "kitchen" in sapa.yaml
   3 | content: {alert: {to: kitchen, title: Halo}}
     |                       ^^^^^^^
     in sapa.yaml, below  channels: alert: desks:  write  kitchen: {name: kitchen}; known here: front-desk, manager
`,
		"'{{ today }}'": `campaigns/hello.yaml:3:23: to takes no Liquid
   3 | content: {alert: {to: '{{ today }}', title: Halo}}
     |                       ^^^^^^^^^^^^^
     write what is the same for everybody
`,
		"Desk!": `campaigns/hello.yaml:3:23: a desk's name has lower-case letters, digits and single -, such as front-desk
   3 | content: {alert: {to: Desk!, title: Halo}}
     |                       ^^^^^
`,
	} {
		if d := cmp.Diff(want, hello(to)); d != "" {
			t.Errorf("%s (-want +got):\n%s", to, d)
		}
	}
	s.apply("hello", "campaign: hello\naudience: {where: 'true'}\ncontent: {alert: {to: manager, title: Halo}}\n", nil)
	s.resolve(crmYAML + "\nchannels: {alert: {desks: {front-desk: {name: Front desk}}}}\n")
	if _, err := s.library.Channels(t.Context(), "hello"); err != nil {
		t.Errorf("a version whose desk is gone: %v", err)
	}
}

// A picture that is not at an address of its own would be missing in every mail.
func TestPicturesOfEmailsHaveAddresses(t *testing.T) {
	t.Parallel()
	s := setupCRM(t)
	for src, want := range map[string]string{
		"https://bengkel.example/logo.png": "in order: hello\n",
		"data:image/png;base64,iVBORw0KGg": "in order: hello\n",
		"logo.png": `templates/hello.html.liquid:2:11: this address has no scheme and host
   2 | <img src="logo.png">
     |           ^^^^^^^^
     write the whole address, as in https://bengkel.example/booking
`,
		"cid:logo": `templates/hello.html.liquid:2:11: cid: is a picture within the mail, and Sapa puts none there
   2 | <img src="cid:logo">
     |           ^^^^^^^^
     write the https address that the picture has
`,
	} {
		got := s.messages(map[string]string{
			"campaigns/hello.yaml":        "campaign: hello\naudience: {where: 'true'}\ncontent: {email: {subject: Halo, html: hello.html.liquid}}\n",
			"templates/hello.html.liquid": "<p>Halo</p>\n<img src=\"" + src + "\">\n",
		})
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", src, d)
		}
	}
}
