package campaign_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
)

// What a text costs, and what to do about it.
func TestMeasureText(t *testing.T) {
	t.Parallel()
	rest := strings.Repeat("x", 84)
	for _, c := range []struct {
		text, encoding string
		segments       int
		advice         string
	}{
		{"Halo {}[]€ Ñ", "GSM-7", 1, ""},
		{"Mobil Bapak Budi’" + rest, "UCS-2", 2, "’ at character 17 makes this UCS-2: 2 segments instead of 1; write '"},
		{"Budi’s “mobil”, ’", "UCS-2", 1, "’ at character 5 makes this UCS-2; write '\n“ at character 8 too; write \"\n” at character 14 too; write \""},
		{"ganti\u00a0oli\u200b é á ﬁ …🎂", "UCS-2", 1, "U+00A0 at character 6 makes this UCS-2; write a plain space\nU+200B at character 10 too; leave it out\n" +
			"á at character 14 too; write a\nﬁ at character 16 too; write fi\n… at character 18 too; write ...\nand 1 more"},
		{"Привет" + rest, "UCS-2", 2, "П at character 1 makes this UCS-2; texts in its script always are\nр at character 2 too; texts in its script always are\n" +
			"и at character 3 too; texts in its script always are\nв at character 4 too; texts in its script always are\nе at character 5 too; texts in its script always are\nand 1 more"},
	} {
		got := campaign.MeasureText(c.text)
		if got.Encoding != c.encoding || got.Segments != c.segments || got.Characters != len([]rune(c.text)) {
			t.Errorf("%q: %+v", c.text, got)
		}
		if d := cmp.Diff(c.advice, got.Advice()); d != "" {
			t.Errorf("%q:\n%s", c.text, d)
		}
	}
}
