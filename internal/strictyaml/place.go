package strictyaml

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sapa-crm/sapa/internal/diag"
)

// Place is where a scalar's text begins in its file, so that an offset in the text can be shown in the file.
// Line, Col and Indent count runes; lines and columns from 1.
type Place struct {
	Line   int
	Col    int  // 0: text and file differ (escapes, folded lines, ${NAME}), only the line is known
	Indent int  // how far the lines after the first are indented
	Block  bool // a literal block (|), whose lines stand in the file as they are in the text
}

// Span is the place in the file of the value at a path: the text of a scalar, else the key of a block, list or map.
// A path that leads nowhere has the span of its nearest parent, and the root the zero Span.
func (f *File) Span(path string) diag.Span {
	for ; path != "" && path != "$"; path = parent(path) {
		e, ok := f.entries[path]
		switch {
		case !ok:
			continue
		case e.key != nil && (e.value.Kind != yaml.ScalarNode || isBlock(e.value) || isNull(e.value)):
			return f.token(e.key)
		}
		return f.token(e.value)
	}
	return diag.Span{}
}

// KeySpan is the place of the key at a path; list items and paths that lead nowhere have what Span says.
func (f *File) KeySpan(path string) diag.Span {
	if e := f.entries[path]; e.key != nil {
		return f.token(e.key)
	}
	return f.Span(path)
}

// Scalar is the text at a path and where it begins; false when there is no text.
func (f *File) Scalar(path string) (text string, at Place, ok bool) {
	n := f.entries[path].value
	if n == nil || n.Kind != yaml.ScalarNode || isNull(n) {
		return "", Place{}, false
	}
	return n.Value, f.place(n), true
}

// At is the span in the file of a range of runes of the text at a path, as exact as the scalar's style permits.
func (f *File) At(path string, offset, length int) diag.Span {
	text, at, ok := f.Scalar(path)
	switch {
	case !ok:
		return f.Span(path)
	case at.Col == 0:
		if places := f.runes(f.entries[path].value); offset < len(places) {
			return spanOf(places[offset:min(len(places), offset+max(1, length))])
		}
		return f.lineSpan(at.Line)
	}
	span := diag.At(text, offset, length)
	if span.Line == 1 {
		span.Col += at.Col - 1
	} else {
		span.Col += at.Indent
	}
	span.Line += at.Line - 1
	return span
}

func (f *File) place(n *yaml.Node) Place {
	if _, changed := f.written[n]; changed {
		return Place{Line: n.Line}
	}
	switch {
	case n.Style&yaml.LiteralStyle != 0:
		indent := f.indent(n)
		return Place{Line: n.Line + 1, Col: indent + 1, Indent: indent, Block: true}
	case n.Style&yaml.FoldedStyle != 0:
		return f.foldedPlace(n)
	}
	col := n.Column
	if isQuoted(n) {
		col++
	}
	if f.standsAt(n.Line, col, n.Value) {
		return Place{Line: n.Line, Col: col, Indent: col - 1}
	}
	return Place{Line: n.Line}
}

// foldedPlace is exact for a folded block of one line.
func (f *File) foldedPlace(n *yaml.Node) Place {
	indent := f.indent(n)
	if f.standsAt(n.Line+1, indent+1, strings.TrimRight(n.Value, "\n")) {
		return Place{Line: n.Line + 1, Col: indent + 1, Indent: indent, Block: true}
	}
	return Place{Line: n.Line + 1}
}

// standsAt says whether the file has exactly this text at a place.
func (f *File) standsAt(line, col int, text string) bool {
	runes, want := f.line(line), []rune(text)
	if col < 1 || col-1+len(want) > len(runes) {
		return false
	}
	return slices.Equal(runes[col-1:col-1+len(want)], want)
}

// indent is the indentation of a block scalar: what its first line that is not blank has more than the text.
func (f *File) indent(n *yaml.Node) int {
	inText := 0
	for line := range strings.SplitSeq(n.Value, "\n") {
		if strings.TrimSpace(line) != "" {
			inText = len(line) - len(strings.TrimLeft(line, " "))
			break
		}
	}
	for line := n.Line + 1; line <= len(f.lines); line++ {
		if text := string(f.line(line)); strings.TrimSpace(text) != "" {
			return max(0, len(text)-len(strings.TrimLeft(text, " "))-inText)
		}
	}
	return 0
}

// token is the span of a scalar as it stands in the file, with its quotes; of anything else its first rune.
func (f *File) token(n *yaml.Node) diag.Span {
	at := diag.Span{Line: n.Line, Col: n.Column, Len: 1}
	if n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle == 0 && len(n.Content) > 0 {
		return f.token(n.Content[0])
	}
	if n.Kind != yaml.ScalarNode || isBlock(n) {
		return at
	}
	rest := f.line(n.Line)
	rest = rest[min(n.Column-1, len(rest)):]
	switch _, changed := f.written[n]; {
	case isQuoted(n):
		at.Len = quotedLength(rest)
	case changed:
		at.Len = len([]rune(f.written[n]))
	case f.standsAt(n.Line, n.Column, n.Value):
		at.Len = len([]rune(n.Value))
	default:
		at.Len = len([]rune(strings.TrimRight(string(rest), " \t")))
	}
	at.Len = max(1, at.Len)
	return at
}

// word is the span from a node's begin to the next blank or the line's end.
func (f *File) word(n *yaml.Node) diag.Span {
	rest := f.line(n.Line)
	rest = rest[min(n.Column-1, len(rest)):]
	end := slices.IndexFunc(rest, func(r rune) bool { return r == ' ' || r == '\t' })
	if end < 0 {
		end = len(rest)
	}
	return diag.Span{Line: n.Line, Col: n.Column, Len: max(1, end)}
}

// quotedLength is the length of a quoted scalar with both quotes, cut at the line's end.
func quotedLength(line []rune) int {
	quote := line[0]
	for i := 1; i < len(line); i++ {
		switch {
		case quote == '"' && line[i] == '\\':
			i++
		case line[i] == quote && quote == '\'' && i+1 < len(line) && line[i+1] == quote:
			i++
		case line[i] == quote:
			return i + 1
		}
	}
	return len(line)
}

func (f *File) line(number int) []rune {
	if number < 1 || number > len(f.lines) {
		return nil
	}
	return f.lines[number-1]
}

// lineSpan is a whole line without its indentation.
func (f *File) lineSpan(number int) diag.Span {
	text := string(f.line(number))
	inner := strings.TrimLeft(text, " \t")
	col := len(text) - len(inner) + 1
	return diag.Span{Line: number, Col: col, Len: max(1, len([]rune(strings.TrimRight(inner, " \t"))))}
}

func isBlock(n *yaml.Node) bool { return n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 }

func isQuoted(n *yaml.Node) bool { return n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 }
