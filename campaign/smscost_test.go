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

// Twilio refuses what is longer than 1600 characters, so nobody should get to know by a failed run.
func TestTooLong(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{1600: "", 1795: "1,795 characters: more than 1,600, which Twilio refuses"} {
		if got := campaign.MeasureText(strings.Repeat("x", n)).TooLong(); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
	s, _ := phones(t)
	for n, want := range map[int]bool{1600: false, 1601: true} {
		text := "{{ customer.first_name }}{% if customer.first_name == 'x' %}not counted{% endif %}" + strings.Repeat("x", n)
		_, problems := campaign.Check("long.yaml", "campaign: long\naudience: {where: \"true\"}\nchannels: [sms]\ncontent:\n  sms:\n    text: \""+text+"\"\n", nil, s.schema, nil)
		const refused = "the text has 1,601 characters at least, and Twilio refuses those of more than 1,600"
		if got := len(problems) == 1 && strings.Contains(problems.Error(), refused); got != want {
			t.Errorf("%d: %d problems", n, len(problems))
		}
	}
}
