package campaign_test

import (
	"bytes"
	"image"
	"image/png"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A picture that a letter names is looked at when the campaign is checked, not when the first letter is to be composed.
func TestPicturesAreLookedAt(t *testing.T) {
	t.Parallel()
	s := setupCRM(t)
	s.resolve(strings.Replace(crmYAML, "phone: phone", "phone: phone\n  post: {lines: [plan], city: city}", 1))
	var picture bytes.Buffer
	s.must(png.Encode(&picture, image.NewGray(image.Rect(0, 0, 4, 3))))
	for front, want := range map[string]string{
		"card.png": "in order: card\n",
		"crad.png": `campaigns/card.yaml:3:37: there is no file templates/crad.png
   3 | content: {letter: {text: Hi, front: crad.png}}
     |                                     ^^^^^^^^
     did you mean "card.png"?
`,
		"cut.png": `campaigns/card.yaml:3:37: templates/cut.png: it is neither PNG nor JPEG: image: unknown format
   3 | content: {letter: {text: Hi, front: cut.png}}
     |                                     ^^^^^^^
`,
	} {
		got := s.messages(map[string]string{
			"campaigns/card.yaml":   "campaign: card\naudience: {where: 'true'}\ncontent: {letter: {text: Hi, front: " + front + "}}\n",
			"templates/card.png":    picture.String(),
			"templates/cut.png":     "GIF89a",
			"templates/hi.liquid":   "Hi",
			"templates/photo.xcf":   "",
			"templates/sub/map.jpg": "",
		})
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", front, d)
		}
	}
}
