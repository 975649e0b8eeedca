package email

import (
	"bytes"
	"strings"
)

const (
	foldAt      = 76  // RFC 5322 section 2.1.1 asks for 78, RFC 2047 section 2 for 76 with encoded words
	maxLine     = 998 // octets, without CRLF
	maxWord     = 400 // a word of a header that is longer is encoded, which can be folded
	encodedWord = 62  // octets of one encoded word; 75 are allowed, but the name and the colon stand before the first
)

// writeHeader writes one field, folded before words where a line gets long.
func writeHeader(b *bytes.Buffer, name, value string) {
	b.WriteString(name)
	b.WriteString(": ")
	column, first := len(name)+2, true
	for len(value) > 0 {
		n := wordEnd(value)
		if !first && column+n > foldAt && value[0] == ' ' {
			b.WriteString("\r\n")
			column = 0
		}
		b.WriteString(value[:n])
		column, first, value = column+n, false, value[n:]
	}
	b.WriteString("\r\n")
}

// wordEnd is the length of the spaces at the beginning of s and the word after them.
func wordEnd(s string) int {
	i := 0
	for i < len(s) && s[i] == ' ' {
		i++
	}
	if end := strings.IndexByte(s[i:], ' '); end >= 0 && strings.TrimLeft(s[i+end:], " ") != "" {
		return i + end
	}
	return len(s) // trailing spaces stay with their word: a line of spaces alone would be obsolete syntax
}

// unstructured is the value of a field such as Subject: as it is, or in encoded words (RFC 2047).
func unstructured(s string) string {
	if plainText(s) {
		return s
	}
	return encodeWords(s)
}

// phrase is a display name: atoms, a quoted string or encoded words.
func phrase(s string) string {
	switch {
	case !plainText(s):
		return encodeWords(s)
	case isPhraseOfAtoms(s):
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// plainText says whether s can stand in a header as it is: printable ASCII, nothing that a reader would decode, no
// word that can't be folded.
func plainText(s string) bool {
	word := 0
	for i := range len(s) {
		switch {
		case s[i] == ' ':
			word = 0
		case s[i] < ' ' || s[i] > '~':
			return false
		default:
			word++
		}
		if word > maxWord {
			return false
		}
	}
	return !strings.Contains(s, "=?") && strings.TrimSpace(s) == s && !strings.Contains(s, "  ")
}

func isPhraseOfAtoms(s string) bool {
	for i := range len(s) {
		if !isAtext(s[i]) && s[i] != ' ' {
			return false
		}
	}
	return s != ""
}

// encodeWords writes s as encoded words in UTF-8 and Q, no character split between two, so that they are valid in a
// Subject and in a phrase alike.
func encodeWords(s string) string {
	const begin, end = "=?utf-8?q?", "?="
	var b, word strings.Builder
	flush := func() {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(begin + word.String() + end)
		word.Reset()
	}
	for _, r := range s {
		q := encodeQ(string(r))
		if word.Len()+len(q)+len(begin)+len(end) > encodedWord {
			flush()
		}
		word.WriteString(q)
	}
	flush()
	return b.String()
}

// encodeQ is one character in the Q encoding, of RFC 2047 section 5 (3), the strictest of its three.
func encodeQ(char string) string {
	const hex = "0123456789ABCDEF"
	c := char[0]
	switch {
	case char == " ":
		return "_"
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return char
	}
	out := make([]byte, 0, 3*len(char))
	for i := range len(char) {
		out = append(out, '=', hex[char[i]>>4], hex[char[i]&15])
	}
	return string(out)
}
