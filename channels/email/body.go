package email

import (
	"crypto/rand"
	"encoding/hex"
	"strings"

	"github.com/sapa-crm/sapa/channels"
)

// encoding is a Content-Transfer-Encoding (RFC 2045 section 6).
type encoding string

const (
	sevenBit        encoding = "7bit"
	eightBit        encoding = "8bit"
	quotedPrintable encoding = "quoted-printable"
)

// appendBody writes the text, the HTML, or both, the plainest first (RFC 2046 section 5.1.4), up to a line's end.
func (c *composer) appendBody(b []byte, m *channels.Message) (_ []byte, hasEightBit bool) {
	const plain, html = "Content-Type: text/plain; charset=utf-8", "Content-Type: text/html; charset=utf-8"
	text, markup := c.encodingFor(m.Text), c.encodingFor(m.HTML)
	switch {
	case m.HTML == "":
		return endLine(c.appendPart(b, plain, text, m.Text)), text == eightBit
	case m.Text == "":
		return endLine(c.appendPart(b, html, markup, m.HTML)), markup == eightBit
	}
	var room [2 * boundaryOctets]byte
	boundary := c.boundary(room[:])
	b = append(append(b, "Content-Type: multipart/alternative;\r\n boundary=\"=_"...), boundary...)
	b = c.appendPart(appendBoundary(append(b, "\"\r\n"...), boundary, "\r\n"), plain, text, m.Text)
	b = c.appendPart(appendBoundary(b, boundary, "\r\n"), html, markup, m.HTML)
	return appendBoundary(b, boundary, "--\r\n"), text == eightBit || markup == eightBit
}

// boundaryOctets are what a boundary is made of: 128 random bits, so that no body can hold it but by knowing it.
const boundaryOctets = 16

// boundary writes a new boundary into room. It is new for each message, since a recipient of one knows that of it; the
// random octets are taken from the system for many messages at once.
func (c *composer) boundary(room []byte) []byte {
	if len(c.random) < boundaryOctets {
		c.random = make([]byte, 64*boundaryOctets)
		_, _ = rand.Read(c.random) // never fails
	}
	hex.Encode(room, c.random[:boundaryOctets])
	c.random = c.random[boundaryOctets:]
	return room
}

func appendBoundary(b, boundary []byte, end string) []byte {
	return append(append(append(b, "\r\n--=_"...), boundary...), end...)
}

func (c *composer) appendPart(b []byte, contentType string, e encoding, text string) []byte {
	b = append(append(b, contentType...), "\r\nContent-Transfer-Encoding: "...)
	b = append(append(b, e...), "\r\n\r\n"...)
	if e == quotedPrintable {
		return appendQuoted(b, text)
	}
	return c.appendLines(b, text)
}

// encodingFor is the cheapest Content-Transfer-Encoding that is exact (RFC 2045 section 2): quoted-printable only for a
// line beyond 998 octets, a NUL, or 8-bit text to a server that did not offer 8BITMIME.
func (c *composer) encodingFor(s string) encoding {
	ascii := isASCII(s)
	if !ascii && !c.eightBit || strings.IndexByte(s, 0) >= 0 || hasLongLine(s) {
		return quotedPrintable
	}
	if ascii {
		return sevenBit
	}
	return eightBit
}

func hasLongLine(s string) bool {
	for len(s) > maxLine {
		i := strings.LastIndexByte(s[:maxLine+1], '\n') // the end of as many lines as fit
		if i < 0 && strings.HasPrefix(s[maxLine:], "\r\n") {
			i = maxLine + 1
		}
		if i < 0 {
			return true
		}
		s = s[i+1:]
	}
	return false
}

// appendLines writes the text with CRLF for every line break (CRLF, LF or CR), and notes whether a line begins with a dot.
func (c *composer) appendLines(b []byte, s string) []byte {
	if strings.IndexByte(s, '\r') >= 0 {
		s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	}
	for s != "" {
		c.dotted = c.dotted || s[0] == '.'
		i := strings.IndexByte(s, '\n')
		if i < 0 {
			return append(b, s...)
		}
		b = append(append(b, s[:i]...), "\r\n"...)
		s = s[i+1:]
	}
	return b
}

// endLine ends the last line where it has no end yet.
func endLine(b []byte) []byte {
	if n := len(b); b[n-2] == '\r' && b[n-1] == '\n' {
		return b
	}
	return append(b, "\r\n"...)
}

// quotedLine is how long a line of quoted-printable may get, without the = of a soft line break.
const quotedLine = 75

// appendQuoted writes the text in quoted-printable (RFC 2045 section 6.7), with CRLF for every line break. No line of it
// begins with a dot, which would have to be doubled.
func appendQuoted(b []byte, s string) []byte {
	for column := 0; s != ""; {
		switch n := plainRun(s[:min(len(s), quotedLine-column)], s, column == 0); {
		case n > 0:
			b, s, column = append(b, s[:n]...), s[n:], column+n
		case s[0] == '\r' || s[0] == '\n':
			b, s, column = append(b, "\r\n"...), s[breakLen(s):], 0
		case column > quotedLine-3:
			b, column = append(b, "=\r\n"...), 0
		default:
			b, s, column = append(b, '=', upperHex[s[0]>>4], upperHex[s[0]&15]), s[1:], column+3
		}
		if column == quotedLine && s != "" && s[0] != '\r' && s[0] != '\n' {
			b, column = append(b, "=\r\n"...), 0
		}
	}
	return b
}

// plainRun is how much of the beginning of s can stand in quoted-printable as it is: printable ASCII and tabs but =, and
// neither a space at a line's end nor a dot at its beginning. whole is s and what follows it.
func plainRun(s, whole string, begins bool) int {
	if begins && s[0] == '.' {
		return 0
	}
	n := 0
	for n < len(s) && (s[n] >= ' ' && s[n] <= '~' || s[n] == '\t') && s[n] != '=' {
		n++
	}
	if n > 0 && (s[n-1] == ' ' || s[n-1] == '\t') && (n == len(whole) || whole[n] == '\r' || whole[n] == '\n') {
		n--
	}
	return n
}

// breakLen is the length of the line break that s begins with.
func breakLen(s string) int {
	if strings.HasPrefix(s, "\r\n") {
		return 2
	}
	return 1
}
