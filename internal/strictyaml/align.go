package strictyaml

import (
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/sapa-crm/sapa/internal/diag"
)

// runes are the places in the file of each rune of a scalar that the file spells otherwise than its value: folded over
// lines, or quoted with escapes. Nil when they can't be found.
func (f *File) runes(n *yaml.Node) []diag.Span {
	if _, changed := f.written[n]; changed {
		return nil
	}
	c := &cursor{f: f, line: n.Line, col: n.Column, style: n.Style}
	switch {
	case isBlock(n):
		c.line, c.col = n.Line+1, 1
	case isQuoted(n):
		c.col++
	}
	var places []diag.Span
	for _, want := range n.Value {
		at, ok := c.find(want)
		if !ok {
			return nil
		}
		places = append(places, at)
	}
	return places
}

// spanOf covers the places that stand on the line of the first.
func spanOf(places []diag.Span) diag.Span {
	span := places[0]
	for _, p := range places {
		if p.Line == span.Line {
			span.Len = max(span.Len, p.Col+p.Len-span.Col)
		}
	}
	return span
}

// cursor walks through a scalar as it stands in the file.
type cursor struct {
	f         *File
	line, col int
	style     yaml.Style
}

// find is the place of the value's next rune. White space of the value may stand for any white space of the file, or
// for nothing, as at the end of a block.
func (c *cursor) find(want rune) (diag.Span, bool) {
	blank := want == ' ' || want == '\n' || want == '\t'
	for !blank && (isBlank(c.rune()) || c.continued()) {
		c.advance(1)
	}
	found, length := c.unit()
	at := diag.Span{Line: c.line, Col: c.col, Len: length}
	switch {
	case found == want, blank && isBlank(found) && length == 1:
		c.advance(length)
		return at, true
	}
	return at, blank
}

// continued says that a backslash at the end of a line joins it with the next.
func (c *cursor) continued() bool {
	return c.style&yaml.DoubleQuotedStyle != 0 && c.rune() == '\\' && c.col == len(c.f.line(c.line))
}

func isBlank(r rune) bool { return r == ' ' || r == '\t' || r == '\n' }

// rune is what stands here: '\n' at the end of a line, 0 at that of the file.
func (c *cursor) rune() rune {
	switch line := c.f.line(c.line); {
	case c.line > len(c.f.lines):
		return 0
	case c.col > len(line):
		return '\n'
	default:
		return line[c.col-1]
	}
}

func (c *cursor) advance(n int) {
	for ; n > 0; n-- {
		if c.col > len(c.f.line(c.line)) {
			c.line, c.col = c.line+1, 1
		} else {
			c.col++
		}
	}
}

// unit is the rune that stands here, and with how many it is written.
func (c *cursor) unit() (rune, int) {
	rest := c.f.line(c.line)
	rest = rest[min(c.col-1, len(rest)):]
	switch {
	case c.style&yaml.SingleQuotedStyle != 0 && len(rest) > 1 && rest[0] == '\'' && rest[1] == '\'':
		return '\'', 2
	case c.style&yaml.DoubleQuotedStyle != 0 && len(rest) > 1 && rest[0] == '\\':
		return escape(rest)
	}
	return c.rune(), 1
}

var escapes = map[rune]rune{
	'0': 0, 'a': '\a', 'b': '\b', 't': '\t', '\t': '\t', 'n': '\n', 'v': '\v', 'f': '\f', 'r': '\r',
	'e': 0x1b, 'N': 0x85, '_': 0xa0, 'L': 0x2028, 'P': 0x2029,
}

// escape reads \n, \x41 and the like.
func escape(rest []rune) (rune, int) {
	digits := map[rune]int{'x': 2, 'u': 4, 'U': 8}[rest[1]]
	if digits > 0 && len(rest) >= 2+digits {
		code, err := strconv.ParseUint(string(rest[2:2+digits]), 16, 32)
		if err == nil {
			return rune(code), 2 + digits
		}
	}
	if r, ok := escapes[rest[1]]; ok {
		return r, 2
	}
	return rest[1], 2
}
