package templates

import (
	"strings"
	"unicode/utf8"

	"github.com/sapa-crm/sapa/internal/diag"
)

// Source is a template's text and its place in the file that holds it.
type Source struct {
	File *diag.Source // the file that problems point into; nil when there is none
	Text string       // the template itself
	// Line and Col are where Text begins in File, from 1. Text is taken to keep its lines, each beginning at Col (a
	// literal block of YAML, or a scalar on one line). With Col 0 problems point at Line only; with Line 0 Text is the
	// whole file.
	Line, Col int

	made *madeOf // Text was made of another source, which problems point into
}

func (s Source) file() *diag.Source {
	if s.made != nil {
		return s.made.src.file()
	}
	if s.File == nil && s.Line == 0 {
		return &diag.Source{Text: s.Text}
	}
	return s.File
}

func (s Source) name() string {
	if s.File == nil {
		return ""
	}
	return s.File.Name
}

// span translates a range of bytes of Text to a range of the file.
func (s Source) span(off, n int) diag.Span {
	if s.made != nil {
		return s.made.span(s.Text, off, n)
	}
	off = min(off, len(s.Text))
	before := s.Text[:off]
	line := strings.Count(before, "\n") + 1
	col := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	text := s.Text[off:min(off+n, len(s.Text))]
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	length := max(1, utf8.RuneCountInString(strings.TrimRight(text, "\r")))
	switch {
	case s.Line == 0:
		return diag.Span{Line: line, Col: col, Len: length}
	case s.Col == 0:
		return diag.Span{Line: s.Line, Col: 1, Len: 1}
	}
	return diag.Span{Line: s.Line + line - 1, Col: s.Col + col - 1, Len: length}
}

// reporter collects the problems of one template.
type reporter struct {
	src   Source
	diags diag.List
}

func (r *reporter) problem(at pos, hint, format string, args ...any) {
	r.diags.Add(r.src.file(), r.src.span(at.off, at.len), hint, format, args...)
}

// pos is a range of bytes of a template's text.
type pos struct{ off, len int }
