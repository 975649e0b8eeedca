package campaign

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/sapa-crm/sapa/channels/twilio"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/templates"
)

// TextCost is what a text message costs to send.
type TextCost struct {
	Characters int    `json:"characters"`
	Encoding   string `json:"encoding"` // GSM-7 or UCS-2
	Segments   int    `json:"segments"` // what is charged
	// Costly are the characters for which the text can't go in GSM-7, each once, and Otherwise the segments that it would
	// have with what can stand for them; 0 where it is of another script.
	Costly    []CostlyCharacter `json:"costly,omitempty"`
	Otherwise int               `json:"otherwise,omitempty"`
}

// CostlyCharacter is a character that is not in the alphabet of GSM-7.
type CostlyCharacter struct {
	Character string `json:"character"`
	At        int    `json:"at"`      // its first place, counted from 1
	Instead   string `json:"instead"` // what can stand for it; "": nothing, leave it out
}

// maxText is how many characters a text may have: Twilio refuses a longer one (error 21617).
const maxText = 1600

// TooLong says that a text is longer than Twilio takes, and so would fail; "" for one that is not.
func (c *TextCost) TooLong() string {
	if c.Characters <= maxText {
		return ""
	}
	return fmt.Sprintf("%s characters: more than %s, which Twilio refuses", thousands(c.Characters), thousands(maxText))
}

// MeasureText counts a text as the networks do.
func MeasureText(text string) *TextCost {
	m := twilio.Measure(text)
	cost := &TextCost{Characters: m.Characters, Encoding: m.Encoding, Segments: m.Segments}
	if m.Encoding != twilio.UCS2 {
		return cost
	}
	var cheap strings.Builder
	seen, foreign := map[rune]bool{}, false
	at := 0
	for _, r := range text {
		at++
		if inGSM(r) {
			cheap.WriteRune(r)
			continue
		}
		cheap.WriteString(instead(r))
		foreign = foreign || unicode.IsLetter(r) && instead(r) == ""
		if !seen[r] {
			seen[r] = true
			cost.Costly = append(cost.Costly, CostlyCharacter{string(r), at, instead(r)})
		}
	}
	if !foreign {
		cost.Otherwise = twilio.Measure(cheap.String()).Segments
	}
	return cost
}

// Advice says which characters cost how much, and what to write instead; "" for a text in GSM-7.
func (c *TextCost) Advice() string {
	var lines []string
	for i, ch := range c.Costly {
		if i == mostCostly {
			lines = append(lines, fmt.Sprintf("and %d more", len(c.Costly)-i))
			break
		}
		makes := "too"
		if i == 0 {
			makes = "makes this UCS-2"
			if 0 < c.Otherwise && c.Otherwise < c.Segments {
				makes += fmt.Sprintf(": %d segments instead of %d", c.Segments, c.Otherwise)
			}
		}
		lines = append(lines, fmt.Sprintf("%s at character %d %s; %s", visible([]rune(ch.Character)[0]), ch.At, makes, mend([]rune(ch.Character)[0])))
	}
	return strings.Join(lines, "\n")
}

// visible is a character as it can be shown: one that has no shape of its own by its number.
func visible(r rune) string {
	if !unicode.IsGraphic(r) || unicode.IsSpace(r) || unicode.Is(unicode.M, r) {
		return fmt.Sprintf("U+%04X", r)
	}
	return string(r)
}

// mend says what to do about a character that is not in GSM-7.
func mend(r rune) string {
	switch other := instead(r); {
	case other == " ":
		return "write a plain space"
	case other != "":
		return "write " + other
	case unicode.IsLetter(r):
		return "texts in its script always are"
	}
	return "leave it out"
}

func inGSM(r rune) bool { return twilio.Measure(string(r)).Encoding == twilio.GSM7 }

// lookalikes are characters that programs put into texts, and what people would have typed.
const lookalikes = `‘’‚‛ʼ´′` + "`" + `' “”„‟«»″" –—‒―−‐‑•·-`

// instead is what can stand for a character that is not in GSM-7.
func instead(r rune) string {
	switch {
	case r == '…':
		return "..."
	case unicode.IsSpace(r):
		return " "
	}
	for _, group := range strings.Fields(lookalikes) {
		if strings.ContainsRune(group, r) {
			return group[len(group)-1:]
		}
	}
	plain := strings.Map(func(r rune) rune { // é is e with an accent, ﬁ is f and i
		if !inGSM(r) {
			return -1
		}
		return r
	}, norm.NFKD.String(string(r)))
	return plain
}

// mostCostly is how many characters of one text an author hears of.
const mostCostly = 5

// warnEncoding warns of characters in the author's own words that no text in GSM-7 can have.
func (k *checker) warnEncoding(at, written string, t *templates.Template) {
	if t == nil {
		return
	}
	var list diag.List
	seen := []rune{}
	for _, w := range t.Authored(func(r rune) bool { return !inGSM(r) }) {
		if slices.Contains(seen, w.Rune) || len(seen) == mostCostly {
			continue
		}
		seen = append(seen, w.Rune)
		list.Add(t.File(), w.At, mend(w.Rune), "%s makes the text UCS-2, so that a segment has 70 characters instead of 160", visible(w.Rune))
	}
	if t.File() == nil { // it stands in the YAML otherwise than it is written
		list = inYAML(k.f, at, written, list)
	}
	k.c.Warnings = append(k.c.Warnings, list...)
}
