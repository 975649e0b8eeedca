package segment

import (
	"unicode"

	"github.com/sapa-crm/sapa/internal/diag"
)

// Source is a rule and the place where its text stands in a file, so that problems point into the file.
type Source struct {
	Text string
	File *diag.Source // nil: the rule stands alone, as on the command line
	Line int          // where it begins in File, from 1: at its first letter, or at the quote or | before it
	Col  int          // in runes, from 1; 0 when only the line is known
}

// Text is a rule that stands alone.
func Text(rule string) Source { return Source{Text: rule} }

// source is a Source with the place of each of its runes.
type source struct {
	text  string
	runes []rune
	file  *diag.Source
	at    []place // of each rune and of the end; nil when the rule stands alone or its runes were not found
	start place
}

type place struct{ line, col int }

func newSource(s Source) *source {
	out := &source{text: s.Text, runes: []rune(s.Text), file: s.File, start: place{s.Line, s.Col}}
	if s.File == nil {
		out.file = &diag.Source{Name: "rule", Text: s.Text}
		return out
	}
	out.at = locate(out.runes, []rune(s.File.Text), out.start)
	return out
}

// locate aligns the value with the file at the given place, behind a quote or block header there, or, when the column
// is unknown, at the first place of the line where it fits.
func locate(value, file []rune, start place) []place {
	c := cursor{text: file, place: place{1, 1}}
	for c.i < len(file) && (c.line < start.line || c.line == start.line && c.col < start.col) {
		c.next()
	}
	for c.i < len(file) && c.line == start.line {
		if at := align(value, c); at != nil {
			return at
		}
		behind := c
		behind.skipHeader()
		if at := align(value, behind); at != nil {
			return at
		}
		if start.col > 0 {
			return nil
		}
		c.next()
	}
	return nil
}

// align finds each rune of a YAML scalar's value in the file. Quotes, backslashes, indentation and line folds are in
// the file and not in the value. It gives up (nil) where the file spells a rune otherwise, as "\u00e9" does.
func align(value []rune, c cursor) []place {
	places := make([]place, 0, len(value)+1)
	for _, r := range value {
		if unicode.IsSpace(r) && !c.atSpace() { // a fold of a quoted scalar, or the newline that ends a block
			places = append(places, c.place)
			continue
		}
		for c.i < len(c.text) && c.text[c.i] != r && c.skippable(r) {
			c.next()
		}
		if !unicode.IsSpace(r) && (c.i >= len(c.text) || c.text[c.i] != r) {
			return nil
		}
		places = append(places, c.place)
		c.next()
	}
	return append(places, c.place)
}

type cursor struct {
	text []rune
	i    int
	place
}

func (c *cursor) next() {
	if c.i >= len(c.text) {
		return
	}
	if c.text[c.i] == '\n' {
		c.line, c.col = c.line+1, 0
	}
	c.i, c.col = c.i+1, c.col+1
}

func (c *cursor) atSpace() bool { return c.i < len(c.text) && unicode.IsSpace(c.text[c.i]) }

// skipHeader skips an opening quote, or a block scalar's first line (| or >- and so on).
func (c *cursor) skipHeader() {
	if c.i >= len(c.text) {
		return
	}
	switch c.text[c.i] {
	case '"', '\'':
		c.next()
	case '|', '>':
		for c.i < len(c.text) && c.text[c.i] != '\n' {
			c.next()
		}
		c.next()
	}
}

// skippable says that the file's rune here may stand before the value's rune r without being part of the value.
func (c *cursor) skippable(r rune) bool {
	here := c.text[c.i]
	if unicode.IsSpace(r) {
		return false
	}
	return unicode.IsSpace(here) || here == '\\' || here == '\'' && r != '\''
}

// span translates a range of the rule's runes; it is cut at the end of its first line.
func (s *source) span(at span) diag.Span {
	from, to := max(0, min(at.from, len(s.runes))), max(0, min(at.to, len(s.runes)))
	if s.at == nil {
		if s.start.line > 0 {
			return diag.Span{Line: s.start.line, Col: max(1, s.start.col), Len: 1}
		}
		return diag.At(s.text, from, max(1, to-from))
	}
	first, end := s.at[from], from+1
	for end < to && s.at[end].line == first.line {
		end++
	}
	last := s.at[max(from, end-1)]
	return diag.Span{Line: first.line, Col: first.col, Len: max(1, last.col-first.col+1)}
}

// quote is the text of a range, for messages and reasons.
func (s *source) quote(at span) string {
	from, to := max(0, min(at.from, len(s.runes))), max(0, min(at.to, len(s.runes)))
	return string(s.runes[from:max(from, to)])
}
