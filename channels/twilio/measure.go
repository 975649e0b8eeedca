package twilio

import "strings"

// The two alphabets of a text message, as Receipt.Encoding and the ledger name them.
const (
	GSM7 = "GSM-7" // 7-bit default alphabet with its extension table, 3GPP TS 23.038 section 6.2.1
	UCS2 = "UCS-2" // 16-bit, in fact UTF-16
)

// Measurement is what a text costs to send.
type Measurement struct {
	Characters int    // Unicode code points
	Encoding   string // GSM7, or UCS2 as soon as one character is not in the GSM alphabet
	Units      int    // septets of GSM-7, 16-bit units of UCS-2
	Segments   int    // the parts that are sent and charged; 0 for an empty text
	// FirstUnicode is the first character that is not in the GSM alphabet, at the FirstUnicodeAt-th place, counted from
	// 1. Both are 0 where there is none. A text without it would cost about half.
	FirstUnicode   rune
	FirstUnicodeAt int
}

// How many units fit into one segment, and into each of several, where a header of six octets says which part it is
// (3GPP TS 23.040 section 9.2.3.24.1).
const (
	gsmOne, gsmMany = 160, 153
	ucsOne, ucsMany = 70, 67
)

// gsmBasic and gsmExtended are the characters of the alphabet that take one septet, and two.
const (
	gsmBasic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmExtended = "\f^{}\\[~]|€"
)

// Measure counts a text as the networks do. Where Twilio's own count is known, that one is what is charged.
func Measure(text string) Measurement {
	m := Measurement{Encoding: GSM7}
	for _, r := range text {
		m.Characters++
		if m.FirstUnicode == 0 && septets(r) == 0 {
			m.Encoding, m.FirstUnicode, m.FirstUnicodeAt = UCS2, r, m.Characters
		}
	}
	if m.Encoding == GSM7 {
		m.Units, m.Segments = pack(text, septets, gsmOne, gsmMany)
	} else {
		m.Units, m.Segments = pack(text, utf16Units, ucsOne, ucsMany)
	}
	return m
}

// septets is how many septets a character takes in GSM-7; 0 when it is not in the alphabet.
func septets(r rune) int {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == ' ':
		return 1
	case strings.ContainsRune(gsmBasic, r):
		return 1
	case strings.ContainsRune(gsmExtended, r):
		return 2
	}
	return 0
}

func utf16Units(r rune) int {
	if r > 0xFFFF {
		return 2
	}
	return 1
}

// pack fills segments with characters. One that takes two units is never cut: where only one unit is left, it begins
// the next segment.
func pack(text string, size func(rune) int, one, many int) (units, segments int) {
	used := many // of the last of several segments
	for _, r := range text {
		n := size(r)
		units += n
		if used+n > many {
			segments, used = segments+1, 0
		}
		used += n
	}
	if units > 0 && units <= one {
		segments = 1
	}
	return units, segments
}
