package templates

import (
	"bytes"
	"slices"
	"unicode"
	"unicode/utf8"
)

// squeeze mends the white space that control tags leave in a text: no space at the ends of lines, at most one empty
// line in a row, none at the start and end. It works in place.
func squeeze(out []byte) []byte {
	done := out[:0]
	empty := 0
	for len(out) > 0 {
		line, rest, _ := bytes.Cut(out, []byte("\n"))
		out = rest
		line = bytes.TrimRight(line, " \t\r")
		if len(line) == 0 {
			empty++
			continue
		}
		if len(done) > 0 {
			done = append(done, '\n')
			if empty > 0 {
				done = append(done, '\n')
			}
		}
		done, empty = append(done, line...), 0
	}
	return done
}

// printable makes line breaks of all that break lines, spaces of other white space in controls, and drops the rest of
// the control characters. It works in place.
func printable(out []byte) []byte {
	done := out[:0]
	for i, n := 0, 0; i < len(out); i += n {
		var r rune
		r, n = utf8.DecodeRune(out[i:])
		switch {
		case r == '\r' && i+1 < len(out) && out[i+1] == '\n':
		case r == '\n', r == '\r', r == '\v', r == '\f', r == '\u0085', r == '\u2028', r == '\u2029':
			done = append(done, '\n')
		case r == '\t':
			done = append(done, ' ')
		case unicode.IsControl(r), r == utf8.RuneError && n == 1:
		default:
			done = append(done, out[i:i+n]...)
		}
	}
	return done
}

// fold makes one line: control characters and white space in a row become one space. It works in place.
func fold(out []byte) []byte {
	done, space := out[:0], false
	for len(out) > 0 {
		r, n := utf8.DecodeRune(out)
		if unicode.IsSpace(r) || unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			space = len(done) > 0
		} else {
			if space {
				done = append(done, ' ')
			}
			done, space = append(done, out[:n]...), false
		}
		out = out[n:]
	}
	return done
}

// numberLinks gives the links their indices, in the order of the source; those that the author numbered keep theirs.
func (c *checker) numberLinks() []Link {
	slices.SortStableFunc(c.links, func(a, b *linkNode) int { return a.at.off - b.at.off })
	taken := map[int]bool{}
	for _, l := range c.links {
		if l.number >= 0 {
			taken[l.number] = true
		}
	}
	next := 0
	var links []Link
	for _, l := range c.links {
		if l.index = l.number; l.number < 0 {
			for taken[next] {
				next++
			}
			l.index = next
			next++
		}
		for len(links) <= l.index {
			links = append(links, Link{})
		}
		at := c.src.span(l.at.off, l.at.len)
		links[l.index] = Link{URL: l.url, Line: at.Line, Col: at.Col}
	}
	return links
}
