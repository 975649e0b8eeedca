package templates

import (
	"regexp"
	"strings"
)

type tokenKind int

const (
	textToken   tokenKind = iota
	objectToken           // {{ … }}
	tagToken              // {% name … %}
)

// token is a piece of a template: literal text, an object or a tag.
type token struct {
	kind tokenKind
	at   pos    // the whole token; for text, without what white space control cut off
	text string // literal text
	name string // name of a tag
	args string // what stands inside an object, or behind a tag's name
	argo int    // offset of args
}

var (
	endRaw     = regexp.MustCompile(`\{%-?\s*endraw\s*-?%\}`)
	endComment = regexp.MustCompile(`\{%-?\s*endcomment\s*-?%\}`)
	tagName    = regexp.MustCompile(`^(#|[A-Za-z_][A-Za-z0-9_]*)`)
)

type lexer struct {
	*reporter
	src    string
	tokens []token
	trim   bool // cut white space at the start of the next text
}

// lex cuts a template into tokens. Comments are gone, raw blocks are text, white space control is applied.
func lex(r *reporter) []token {
	l := &lexer{reporter: r, src: r.src.Text}
	for off := 0; off < len(l.src); {
		off = l.next(off)
	}
	return l.tokens
}

// next takes the text up to the next delimiter, and what the delimiter opens.
func (l *lexer) next(off int) int {
	open := nextOpen(l.src, off)
	if open < 0 {
		l.text(off, len(l.src), false)
		return len(l.src)
	}
	object := l.src[open+1] == '{'
	closer := "%}"
	if object {
		closer = "}}"
	}
	inner := open + 2
	end := strings.Index(l.src[inner:], closer)
	if again := nextOpen(l.src, inner); end < 0 || again >= 0 && again < inner+end {
		l.text(off, open, false)
		l.problem(pos{open, 2}, "close it with "+closer, "%q is not closed", l.src[open:inner])
		if again < 0 {
			return len(l.src)
		}
		return again
	}
	return l.delimited(off, open, inner+end, object)
}

func (l *lexer) delimited(off, open, end int, object bool) int {
	from, to := open+2, end
	left := from < to && l.src[from] == '-'
	if left {
		from++
	}
	right := to > from && l.src[to-1] == '-'
	if right {
		to--
	}
	l.text(off, open, left)
	l.trim = right
	t := token{kind: objectToken, at: pos{open, end + 2 - open}}
	t.args, t.argo = trimmed(l.src, from, to)
	if object {
		l.tokens = append(l.tokens, t)
		return end + 2
	}
	return l.tag(t)
}

func (l *lexer) tag(t token) int {
	after := t.at.off + t.at.len
	t.kind, t.name = tagToken, tagName.FindString(t.args)
	t.args, t.argo = trimmed(l.src, t.argo+len(t.name), t.argo+len(t.args))
	switch t.name {
	case "":
		l.problem(t.at, "", "a tag needs a name")
		return after
	case "#":
		return after
	case "comment":
		return l.skip(t, endComment, false)
	case "raw":
		return l.skip(t, endRaw, true)
	}
	l.tokens = append(l.tokens, t)
	return after
}

// skip goes to the end of a comment or raw block.
func (l *lexer) skip(t token, closer *regexp.Regexp, keep bool) int {
	after := t.at.off + t.at.len
	m := closer.FindStringIndex(l.src[after:])
	if m == nil {
		l.problem(t.at, "close it with {% end"+t.name+" %}", "{%% %s %%} is not closed", t.name)
		return len(l.src)
	}
	end := l.src[after+m[0] : after+m[1]]
	if keep {
		l.text(after, after+m[0], strings.HasPrefix(end, "{%-"))
	}
	l.trim = strings.HasSuffix(end, "-%}")
	return after + m[1]
}

// text adds literal text, cut at its start where the last delimiter asked for that, and at its end where right says so.
func (l *lexer) text(from, to int, right bool) {
	if l.trim {
		from = to - len(strings.TrimLeft(l.src[from:to], " \t\r\n"))
		l.trim = false
	}
	if right {
		to = from + len(strings.TrimRight(l.src[from:to], " \t\r\n"))
	}
	if from < to {
		l.tokens = append(l.tokens, token{at: pos{from, to - from}, text: l.src[from:to]})
	}
}

func nextOpen(s string, from int) int {
	for i := from; i+1 < len(s); i++ {
		if s[i] == '{' && (s[i+1] == '{' || s[i+1] == '%') {
			return i
		}
	}
	return -1
}

// trimmed is s[from:to] without white space around it, and where that begins.
func trimmed(s string, from, to int) (string, int) {
	part := strings.TrimLeft(s[from:to], " \t\r\n")
	return strings.TrimRight(part, " \t\r\n"), to - len(part)
}
