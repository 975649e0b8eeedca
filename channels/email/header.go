package email

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

const (
	foldAt      = 76  // RFC 5322 section 2.1.1 asks for 78, RFC 2047 section 2 for 76 with encoded words
	maxLine     = 998 // octets, without CRLF
	maxWord     = 400 // a word of a header that is longer is encoded, which can be folded
	encodedWord = 62  // octets of one encoded word; 75 are allowed, but the name and the colon stand before the first
)

// appendHeader writes one field, folded before words where a line gets long.
func appendHeader(b []byte, name string, value []byte) []byte {
	b = append(append(b, name...), ": "...)
	column := len(name) + 2
	if column+len(value) <= foldAt {
		return append(append(b, value...), "\r\n"...)
	}
	for first := true; len(value) > 0; first = false {
		n := wordEnd(value)
		if !first && column+n > foldAt && value[0] == ' ' {
			b = append(b, "\r\n"...)
			column = 0
		}
		b = append(b, value[:n]...)
		column, value = column+n, value[n:]
	}
	return append(b, "\r\n"...)
}

// wordEnd is the length of the spaces at the beginning of s and the word after them.
func wordEnd(s []byte) int {
	i := 0
	for i < len(s) && s[i] == ' ' {
		i++
	}
	if end := bytes.IndexByte(s[i:], ' '); end >= 0 && len(bytes.TrimLeft(s[i+end:], " ")) > 0 {
		return i + end
	}
	return len(s) // trailing spaces stay with their word: a line of spaces alone would be obsolete syntax
}

// appendText writes the value of a field such as Subject: as it is, or in encoded words (RFC 2047).
func appendText(b []byte, s string) []byte {
	if plainText(s) {
		return append(b, s...)
	}
	return appendEncoded(b, s)
}

// appendPhrase writes a display name: atoms, a quoted string or encoded words.
func appendPhrase(b []byte, s string) []byte {
	switch {
	case !plainText(s):
		return appendEncoded(b, s)
	case isPhraseOfAtoms(s):
		return append(b, s...)
	}
	b = append(b, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// plainText says whether s can stand in a header as it is: printable ASCII, nothing that a reader would decode, no
// word that can't be folded, no space that folding would lose.
func plainText(s string) bool {
	word, before := 0, byte(' ')
	for i := range len(s) {
		c := s[i]
		switch {
		case c < ' ', c > '~', c == ' ' && before == ' ', c == '?' && before == '=':
			return false
		case c == ' ':
			word = 0
		default:
			word++
		}
		if word > maxWord {
			return false
		}
		before = c
	}
	return s == "" || before != ' '
}

func isPhraseOfAtoms(s string) bool {
	for i := range len(s) {
		if !isAtext(s[i]) && s[i] != ' ' {
			return false
		}
	}
	return s != ""
}

// appendEncoded writes s as encoded words in UTF-8 and Q, no character split between two, so that they are valid in a
// Subject and in a phrase alike.
func appendEncoded(b []byte, s string) []byte {
	const begin, end = "=?utf-8?q?", "?="
	b = append(b, begin...)
	room := encodedWord - len(begin) - len(end)
	var character [utf8.UTFMax]byte
	for _, r := range s {
		octets := utf8.AppendRune(character[:0], r)
		n := lenQ(octets)
		if n > room {
			b = append(b, end+" "+begin...)
			room = encodedWord - len(begin) - len(end)
		}
		b = appendQ(b, octets)
		room -= n
	}
	return append(b, end...)
}

// lenQ is how long a character is in the Q encoding.
func lenQ(character []byte) int {
	if c := character[0]; c == ' ' || isAlphanumeric(c) {
		return 1
	}
	return 3 * len(character)
}

// appendQ writes one character in the Q encoding, of RFC 2047 section 5 (3), the strictest of its three.
func appendQ(b, character []byte) []byte {
	switch c := character[0]; {
	case c == ' ':
		return append(b, '_')
	case isAlphanumeric(c):
		return append(b, c)
	}
	for _, c := range character {
		b = append(b, '=', upperHex[c>>4], upperHex[c&15])
	}
	return b
}

const upperHex = "0123456789ABCDEF"

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// isAtext is RFC 5322's atext in ASCII.
func isAtext(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}
