package templates

import (
	"fmt"
	"html"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

// escape is the place in which a value is printed.
type escape int

const (
	escNone  escape = iota // text and subjects
	escHTML                // between tags
	escAttr                // in a quoted attribute
	escURL                 // the start of an address in an attribute: only harmless schemes survive
	escPath                // further on in an address
	escQuery               // in a query
	escMail                // behind mailto: or tel:
	escCSS                 // in a style attribute
)

// appendValue prints a value for its place.
func appendValue(out []byte, v any, esc escape) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return appendEscaped(out, v, esc), nil
	case markup:
		return appendMarkup(out, string(v), esc), nil
	case int64:
		return strconv.AppendInt(out, v, 10), nil
	case unsupported:
		return out, fmt.Errorf("a value of type %T can't be printed", v.v)
	case map[string]any:
		return out, fmt.Errorf("a row can't be printed: name one of its columns")
	case []any:
		return appendList(out, v, esc)
	}
	return appendEscaped(out, printed(v), esc), nil
}

// appendList prints the elements that are not missing, with commas.
func appendList(out []byte, list []any, esc escape) ([]byte, error) {
	sep := ""
	for _, v := range list {
		if v = plain(v); v == nil {
			continue
		}
		var err error
		if out, err = appendValue(appendEscaped(out, sep, esc), v, esc); err != nil {
			return out, err
		}
		sep = ", "
	}
	return out, nil
}

// printed is a value as text: numbers without exponent, dates as 2026-11-22.
func printed(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case markup:
		return string(v)
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case decimal.Decimal:
		return v.String()
	case time.Time:
		if isDate(v) {
			return v.Format(time.DateOnly)
		}
		return v.Format("2006-01-02 15:04")
	case []any:
		out, _ := appendList(nil, v, escNone)
		return string(out)
	}
	return ""
}

func appendEscaped(out []byte, s string, esc escape) []byte {
	switch esc {
	case escHTML, escAttr:
		return appendHTML(out, s)
	case escURL:
		return appendHTML(out, harmless(s))
	case escPath:
		return appendPercent(out, s, "/-._~")
	case escQuery:
		return appendPercent(out, s, "-._~")
	case escMail:
		return appendPercent(out, withoutControls(s), "-._~@+")
	case escCSS:
		return appendCSS(out, s)
	}
	return append(out, s...)
}

// appendMarkup prints escaped HTML: as it is between tags, without its quotes and brackets in an attribute, and in an
// address as the text that it stands for.
func appendMarkup(out []byte, s string, esc escape) []byte {
	switch esc {
	case escHTML, escNone:
		return append(out, s...)
	}
	return appendEscaped(out, html.UnescapeString(s), esc)
}

// entity is what stands for a byte in HTML, "" for itself.
func entity(c byte) string {
	switch c {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	case '"':
		return "&#34;"
	case '\'':
		return "&#39;"
	case 0:
		return "\uFFFD"
	}
	return ""
}

func appendHTML(out []byte, s string) []byte {
	last := 0
	for i := 0; i < len(s); i++ {
		if c := s[i]; c > '>' {
			continue
		}
		if e := entity(s[i]); e != "" {
			out = append(append(out, s[last:i]...), e...)
			last = i + 1
		}
	}
	return append(out, s[last:]...)
}

const hexDigits = "0123456789ABCDEF"

// appendPercent encodes everything but letters, digits and keep (RFC 3986, section 2).
func appendPercent(out []byte, s, keep string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; isAlnum(c) || strings.IndexByte(keep, c) >= 0 {
			out = append(out, c)
		} else {
			out = append(out, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return out
}

func isAlnum(c byte) bool {
	return isDigit(c) || isLetter(c)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func withoutControls(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}

// appendCSS keeps what a colour, a number or a word needs.
func appendCSS(out []byte, s string) []byte {
	for _, r := range s {
		if r < utf8.RuneSelf && (isAlnum(byte(r)) || strings.ContainsRune(" #%.,-_", r)) {
			out = append(out, byte(r))
		}
	}
	return out
}

// harmless is an address whose scheme is http, https, mailto or tel, and "#" instead of any other.
func harmless(s string) string {
	s = strings.TrimSpace(s)
	scheme, rest, found := strings.Cut(s, ":")
	if !found || strings.ContainsAny(s, "\x00\r\n\t") {
		return "#"
	}
	switch strings.ToLower(scheme) {
	case "http", "https":
		if strings.HasPrefix(rest, "//") {
			return s
		}
	case "mailto", "tel":
		return s
	}
	return "#"
}
