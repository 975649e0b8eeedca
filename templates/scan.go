package templates

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

type lexemeKind int

const (
	endLexeme lexemeKind = iota
	identLexeme
	keywordLexeme // ident followed by a colon, as before arguments
	numberLexeme
	stringLexeme
	symbolLexeme
)

// lexeme is one word of an expression.
type lexeme struct {
	kind lexemeKind
	text string // without quotes and colon
	at   pos
}

// syntaxError is a problem of one expression; the rest of the template is still read.
type syntaxError struct {
	at        pos
	msg, hint string
}

func (e *syntaxError) Error() string { return e.msg }

// scan cuts an expression into words; off is its place in the template.
func scan(src string, off int) ([]lexeme, error) {
	var words []lexeme
	for i := 0; i < len(src); {
		if strings.IndexByte(" \t\r\n", src[i]) >= 0 {
			i++
			continue
		}
		w, n, err := scanWord(src[i:])
		if err != nil {
			err.at.off += off + i
			return nil, err
		}
		w.at = pos{off + i, n}
		words = append(words, w)
		i += n
	}
	return append(words, lexeme{at: pos{off + len(src), 1}}), nil
}

func scanWord(s string) (lexeme, int, *syntaxError) {
	switch c := s[0]; {
	case c == '"' || c == '\'':
		end := strings.IndexByte(s[1:], c)
		if end < 0 {
			return lexeme{}, 0, &syntaxError{pos{0, len(s)}, "this text is not closed with " + string(c), ""}
		}
		return lexeme{kind: stringLexeme, text: s[1 : end+1]}, end + 2, nil
	case isDigit(c) || c == '-' && len(s) > 1 && isDigit(s[1]):
		n := numberLength(s)
		return lexeme{kind: numberLexeme, text: s[:n]}, n, nil
	}
	if n := identLength(s); n > 0 {
		if rest := strings.TrimLeft(s[n:], " \t\r\n"); strings.HasPrefix(rest, ":") {
			return lexeme{kind: keywordLexeme, text: s[:n]}, len(s) - len(rest) + 1, nil
		}
		return lexeme{kind: identLexeme, text: s[:n]}, n, nil
	}
	return scanSymbol(s)
}

func scanSymbol(s string) (lexeme, int, *syntaxError) {
	for _, sym := range []string{"==", "!=", "<>", "<=", ">=", "..", "<", ">", "|", ".", "[", "]", "(", ")", ",", "=", ":"} {
		if strings.HasPrefix(s, sym) {
			return lexeme{kind: symbolLexeme, text: sym}, len(sym), nil
		}
	}
	r, n := utf8.DecodeRuneInString(s)
	return lexeme{}, 0, &syntaxError{pos{0, n}, fmt.Sprintf("%q is not expected here", r), symbolHint(s)}
}

func symbolHint(s string) string {
	switch {
	case strings.HasPrefix(s, "&&"):
		return "write and"
	case s[0] == '!':
		return "write unless, or compare with false"
	case strings.IndexByte("+-*/%", s[0]) >= 0:
		return "to calculate, use filters: {{ a | plus: b }}, minus, times, divided_by, modulo"
	case strings.HasPrefix(s, "“"), strings.HasPrefix(s, "”"), strings.HasPrefix(s, "‘"), strings.HasPrefix(s, "’"):
		return `use straight quotes: " or '`
	}
	return ""
}

// numberLength is the length of the number at the start of s: digits, with a fraction unless it is a range (1..3).
func numberLength(s string) int {
	n := 1
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	if n+1 < len(s) && s[n] == '.' && isDigit(s[n+1]) {
		n++
		for n < len(s) && isDigit(s[n]) {
			n++
		}
	}
	return n
}

// identLength is the length of the identifier at the start of s. As in Liquid, a dash may stand inside one.
func identLength(s string) int {
	for i, r := range s {
		letter := r == '_' || unicode.IsLetter(r)
		if !letter && (i == 0 || r != '-' && !unicode.IsDigit(r) && !unicode.IsMark(r)) {
			return i
		}
	}
	return len(s)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
