// Package diag is the one way to tell an author what is wrong with a file: a list of problems, each with a place in
// its source, printed with the source line, a caret and, where there is one, the remedy:
//
//	campaigns/winback.yaml:14:14: unknown column "last_ordr_at"
//	  14 |     where: customer.last_ordr_at < ago(days(90))
//	     |                     ^^^^^^^^^^^^
//	     did you mean "last_order_at"?
package diag

import (
	"fmt"
	"slices"
	"strings"
)

// Source is a named text that positions refer to.
type Source struct {
	Name string // file name as the author knows it, or a word such as "rule"
	Text string
}

// Span is a half-open range of runes on one line of a source. Line and Col count from 1, Col and Len in runes.
// The zero Span means "the file as a whole".
type Span struct {
	Line, Col, Len int
}

// Problem is one thing that is wrong. Message says what, Hint says how to mend it.
type Problem struct {
	Source  *Source
	Span    Span
	Message string
	Hint    string
}

// List is every problem found, and an error. Use Err to return it: a nil List must not become a non-nil error.
type List []Problem

// Add appends a problem.
func (l *List) Add(src *Source, at Span, hint, format string, args ...any) {
	*l = append(*l, Problem{Source: src, Span: at, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// Err is the list as an error, sorted by place, or nil when it is empty.
func (l List) Err() error {
	if len(l) == 0 {
		return nil
	}
	l.sort()
	return l
}

// Error prints every problem with its source line and caret.
func (l List) Error() string {
	parts := make([]string, len(l))
	for i, p := range l {
		parts[i] = p.String()
	}
	return strings.Join(parts, "\n")
}

func (l List) sort() {
	slices.SortStableFunc(l, func(a, b Problem) int {
		if c := strings.Compare(a.name(), b.name()); c != 0 {
			return c
		}
		if a.Span.Line != b.Span.Line {
			return a.Span.Line - b.Span.Line
		}
		return a.Span.Col - b.Span.Col
	})
}

func (p Problem) name() string {
	if p.Source == nil {
		return ""
	}
	return p.Source.Name
}

// Error makes a single Problem usable as an error.
func (p Problem) Error() string { return p.String() }

// String prints the problem: place, message, source line, caret and hint, without a final newline.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.place())
	b.WriteString(p.Message)
	p.writeSnippet(&b)
	if p.Hint != "" {
		b.WriteString("\n     " + p.Hint)
	}
	return b.String()
}

func (p Problem) place() string {
	name := p.name()
	switch {
	case name == "" && p.Span.Line == 0:
		return ""
	case p.Span.Line == 0:
		return name + ": "
	case name == "":
		return fmt.Sprintf("%d:%d: ", p.Span.Line, p.Span.Col)
	default:
		return fmt.Sprintf("%s:%d:%d: ", name, p.Span.Line, p.Span.Col)
	}
}

func (p Problem) writeSnippet(b *strings.Builder) {
	line, ok := p.sourceLine()
	if !ok {
		return
	}
	number := fmt.Sprintf("%4d", p.Span.Line)
	text, col := shorten([]rune(line), p.Span.Col, p.Span.Len)
	fmt.Fprintf(b, "\n%s | %s\n", number, text)
	pad := caretPadding([]rune(text), col-1)
	fmt.Fprintf(b, "%s | %s%s", strings.Repeat(" ", len(number)), pad, strings.Repeat("^", max(1, p.Span.Len)))
}

func (p Problem) sourceLine() (string, bool) {
	if p.Source == nil || p.Span.Line < 1 {
		return "", false
	}
	lines := strings.Split(p.Source.Text, "\n")
	if p.Span.Line > len(lines) {
		return "", false
	}
	return strings.TrimRight(lines[p.Span.Line-1], "\r"), true
}

// maxWidth is how many runes of a source line are shown; longer ones are cut around the caret.
const maxWidth = 120

func shorten(line []rune, col, length int) (text string, newCol int) {
	if len(line) <= maxWidth {
		return string(line), col
	}
	start := max(0, min(col-1-maxWidth/3, len(line)-maxWidth))
	end := min(len(line), max(start+maxWidth, col-1+length))
	head, tail := "", ""
	if start > 0 {
		head = "…"
	}
	if end < len(line) {
		tail = "…"
	}
	return head + string(line[start:end]) + tail, col - start + len([]rune(head))
}

// caretPadding repeats tabs of the line so that the caret stands under its column in any terminal.
func caretPadding(line []rune, n int) string {
	pad := make([]rune, 0, max(0, n))
	for i := range max(0, n) {
		if i < len(line) && line[i] == '\t' {
			pad = append(pad, '\t')
			continue
		}
		pad = append(pad, ' ')
	}
	return string(pad)
}

// At translates a rune offset in text to a Span on its line; length is cut at the line's end.
func At(text string, offset, length int) Span {
	runes := []rune(text)
	offset = max(0, min(offset, len(runes)))
	line, start := 1, 0
	for i, r := range runes[:offset] {
		if r == '\n' {
			line, start = line+1, i+1
		}
	}
	end := offset
	for end < len(runes) && runes[end] != '\n' && end < offset+length {
		end++
	}
	return Span{Line: line, Col: offset - start + 1, Len: max(1, end-offset)}
}
