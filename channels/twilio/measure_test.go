package twilio

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

// The cases of testdata/segments.json were computed once by Twilio's own calculator, the npm package
// sms-segments-calculator 1.3.0: edges of segments, and random texts of GSM characters, extended ones, others and pairs
// of surrogates. It keeps a cluster of several characters in one segment, as a flag of two letters; such texts are left
// out. An empty text has a segment there.
func TestMeasureAsTwilioDoes(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/segments.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Text, Encoding  string
		Units, Segments int
	}
	if err := json.Unmarshal(raw, &cases); err != nil || len(cases) < 300 {
		t.Fatal(len(cases), err)
	}
	for _, c := range cases {
		got := Measure(c.Text)
		if got.Encoding != c.Encoding || got.Units != c.Units || got.Segments != c.Segments {
			t.Errorf("%q: %+v, want %s, %d units, %d segments", c.Text, got, c.Encoding, c.Units, c.Segments)
		}
	}
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Measurement{
		"":                             {Encoding: GSM7},
		"Halo Budi":                    {Characters: 9, Encoding: GSM7, Units: 9, Segments: 1},
		"€5 [x]":                       {Characters: 6, Encoding: GSM7, Units: 9, Segments: 1},
		"Rp\u00a05":                    {Characters: 4, Encoding: UCS2, Units: 4, Segments: 1, FirstUnicode: '\u00a0', FirstUnicodeAt: 3},
		"Selamat ulang tahun 🎂, Bu’":   {Characters: 26, Encoding: UCS2, Units: 27, Segments: 1, FirstUnicode: '🎂', FirstUnicodeAt: 21},
		"cafe\u0301":                   {Characters: 5, Encoding: UCS2, Units: 5, Segments: 1, FirstUnicode: '\u0301', FirstUnicodeAt: 5},
		strings.Repeat("x", 160):       {Characters: 160, Encoding: GSM7, Units: 160, Segments: 1},
		strings.Repeat("x", 161):       {Characters: 161, Encoding: GSM7, Units: 161, Segments: 2},
		strings.Repeat("x", 159) + "’": {Characters: 160, Encoding: UCS2, Units: 160, Segments: 3, FirstUnicode: '’', FirstUnicodeAt: 160},
		"’" + strings.Repeat("😀", 34):  {Characters: 35, Encoding: UCS2, Units: 69, Segments: 1, FirstUnicode: '’', FirstUnicodeAt: 1},
		strings.Repeat("😀", 67):        {Characters: 67, Encoding: UCS2, Units: 134, Segments: 3, FirstUnicode: '😀', FirstUnicodeAt: 1},
		strings.Repeat("x", 152) + "€€€€": {Characters: 156, Encoding: GSM7, Units: 160, Segments: 1},
	} {
		if diff := cmp.Diff(want, Measure(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// The alphabet has 128 places, of which one is the escape to the ten others.
func TestAlphabet(t *testing.T) {
	t.Parallel()
	basic, extended := 0, 0
	for r := range rune(0x10000) {
		switch septets(r) {
		case 1:
			basic++
		case 2:
			extended++
		}
	}
	if basic != 127 || extended != 10 {
		t.Errorf("%d characters and %d extended ones, want 127 and 10", basic, extended)
	}
}

// Whatever the text, the units are those of its encoding, and the segments hold them with no more lost than the one unit
// that a character of two leaves at the end of each.
func FuzzMeasure(f *testing.F) {
	f.Add("Halo Budi")
	f.Add(strings.Repeat("€", 200))
	f.Add(strings.Repeat("😀x", 100))
	f.Add("\xff\xfe")
	f.Fuzz(func(t *testing.T, text string) {
		m := Measure(text)
		runes := []rune(text)
		one, many, units := gsmOne, gsmMany, 0
		if m.Encoding == UCS2 {
			one, many, units = ucsOne, ucsMany, len(utf16.Encode(runes))
			if runes[m.FirstUnicodeAt-1] != m.FirstUnicode {
				t.Fatalf("%q: %+v", text, m)
			}
		} else {
			for _, r := range runes {
				units += septets(r)
			}
		}
		if m.Characters != len(runes) || m.Units != units {
			t.Fatalf("%q: %+v", text, m)
		}
		switch {
		case units == 0 && m.Segments != 0, units > 0 && units <= one && m.Segments != 1,
			units > one && (m.Segments*many < units || (m.Segments-1)*(many-1) >= units):
			t.Fatalf("%q: %+v", text, m)
		}
	})
}
