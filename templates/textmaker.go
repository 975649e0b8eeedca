package templates

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// textMaker makes text of HTML, in one pass over its tokens.
type textMaker struct {
	out    []byte
	chunks *placeholders // nil: no Liquid
	line   lineState
	breaks int   // line breaks due before the next visible character
	bullet bool  // due before the next visible character
	lists  int   // depth of lists
	pre    int   // depth of <pre>
	cells  []int // cells of the open table rows
	blocks []liquidBlock
	anchor *anchor
	hidden atom.Atom // the element whose content is left out
	nested int       // elements of the same name in it
}

// lineState is where the text stands.
type lineState struct {
	breaks int  // line breaks at its end
	space  bool // white space at its end
}

// worst is a state that holds whichever of two branches was taken.
func (l lineState) worst(other lineState) lineState {
	return lineState{min(l.breaks, other.breaks), l.space && other.space}
}

// liquidBlock is an open block of Liquid. Every branch begins where the block began.
type liquidBlock struct {
	name       string
	start, end lineState
	otherwise  bool // has an else
	swallowed  int  // line breaks that the start of the body did not need: its next round may
}

// anchor is an open <a>.
type anchor struct {
	start  int // of its text in out
	href   string
	blocks int // how many blocks of Liquid were open
}

// String is the text; a Liquid source keeps its white space for squeeze to mend after rendering.
func (m *textMaker) String() string { return string(bytes.TrimSpace(m.out)) }

func (m *textMaker) read(source string) {
	m.line = lineState{2, true}
	z := html.NewTokenizer(strings.NewReader(source))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			if errors.Is(z.Err(), io.EOF) {
				m.closeAnchor()
			}
			return
		}
		t := z.Token()
		switch {
		case kind == html.CommentToken || kind == html.DoctypeToken || m.hidden != 0:
			m.hide(kind, t)
		case kind == html.TextToken:
			m.text(t.Data)
		case kind == html.EndTagToken:
			m.end(t)
		default:
			m.start(t)
		}
	}
}

// hide reads what is not shown; the tags of Liquid in it still hold.
func (m *textMaker) hide(kind html.TokenType, t html.Token) {
	switch {
	case kind == html.TextToken || kind == html.CommentToken:
		for _, r := range t.Data {
			if c, ok := m.chunks.chunk(r); ok && c.name != "" {
				m.control(c)
			}
		}
	case kind == html.StartTagToken && t.DataAtom == m.hidden:
		m.nested++
	case kind == html.EndTagToken && t.DataAtom == m.hidden && m.nested > 0:
		m.nested--
	case kind == html.EndTagToken && t.DataAtom == m.hidden:
		m.hidden = 0
	}
}

func isHidden(t html.Token) bool {
	switch t.DataAtom {
	case atom.Style, atom.Script, atom.Title, atom.Template, atom.Noscript:
		return true
	}
	if slices.ContainsFunc(t.Attr, func(a html.Attribute) bool { return a.Key == "hidden" }) {
		return true
	}
	style := strings.ToLower(strings.ReplaceAll(attr(t, "style"), " ", ""))
	return strings.Contains(style, "display:none")
}

func attr(t html.Token, name string) string {
	for _, a := range t.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func isVoidElement(a atom.Atom) bool {
	switch a {
	case atom.Area, atom.Base, atom.Br, atom.Col, atom.Embed, atom.Hr, atom.Img, atom.Input, atom.Link, atom.Meta, atom.Source, atom.Wbr:
		return true
	}
	return false
}

func (m *textMaker) start(t html.Token) {
	if isHidden(t) {
		if !isVoidElement(t.DataAtom) && t.Type != html.SelfClosingTagToken && t.DataAtom != 0 {
			m.hidden, m.nested = t.DataAtom, 0
		}
		return
	}
	m.due(breaksOf(t.DataAtom, m.lists))
	switch t.DataAtom {
	case atom.Br:
		m.newline()
	case atom.Hr:
		m.due(2)
		m.text("-----")
		m.due(2)
	case atom.Img:
		m.text(attr(t, "alt"))
	case atom.A, atom.Area:
		m.closeAnchor()
		m.anchor = &anchor{len(m.out), attr(t, "href"), len(m.blocks)}
		if t.DataAtom == atom.Area {
			m.text(attr(t, "alt"))
			m.closeAnchor()
		}
	case atom.Ul, atom.Ol:
		m.lists++
	case atom.Li:
		m.bullet = true
	case atom.Pre:
		m.pre++
	case atom.Tr:
		m.cells = append(m.cells, 0)
	case atom.Td, atom.Th:
		m.space()
		if n := len(m.cells); n > 0 {
			m.cells[n-1]++
		}
	}
}

func (m *textMaker) end(t html.Token) {
	switch t.DataAtom {
	case atom.A:
		m.closeAnchor()
	case atom.Ul, atom.Ol:
		m.lists = max(0, m.lists-1)
	case atom.Li:
		m.bullet = false
	case atom.Pre:
		m.pre = max(0, m.pre-1)
	case atom.Tr:
		m.endRow()
	}
	m.due(breaksOf(t.DataAtom, m.lists))
}

// endRow ends a table row. One with a single cell is layout: a paragraph.
func (m *textMaker) endRow() {
	n := len(m.cells)
	if n == 0 {
		return
	}
	if m.cells[n-1] == 1 {
		m.due(2)
	}
	m.cells = m.cells[:n-1]
}

// breaksOf is how many line breaks stand around an element.
func breaksOf(a atom.Atom, lists int) int {
	switch a {
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Table, atom.Blockquote, atom.Pre, atom.Dl, atom.Figure:
		return 2
	case atom.Ul, atom.Ol:
		if lists == 0 {
			return 2
		}
		return 1
	case atom.Div, atom.Tr, atom.Li, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Main, atom.Center, atom.Address,
		atom.Caption, atom.Dt, atom.Dd, atom.Form, atom.Nav, atom.Aside, atom.Figcaption, atom.Body, atom.Head:
		return 1
	}
	return 0
}

func (m *textMaker) due(breaks int) { m.breaks = max(m.breaks, breaks) }

// text writes text with its white space collapsed, and what its placeholders stand for.
func (m *textMaker) text(s string) {
	for _, r := range s {
		c, isChunk := m.chunks.chunk(r)
		switch {
		case isChunk && c.name != "":
			m.control(c)
		case isChunk:
			m.visible()
			m.raw(c.text)
		case r == '\n' && m.pre > 0:
			m.newline()
		case r == ' ' && m.pre > 0:
			m.out = append(m.out, ' ')
		case r == '\u00ad' || r == '\u200b' || r == '\u200c' || r == '\ufeff':
		case unicode.IsSpace(r):
			m.space()
		default:
			m.visible()
			m.literal(r)
		}
	}
}

func (m *textMaker) space() {
	if m.breaks == 0 && !m.line.space {
		m.out = append(m.out, ' ')
		m.line.space = true
	}
}

func (m *textMaker) newline() {
	m.flush()
	m.out = append(m.out, '\n')
	m.line = lineState{m.line.breaks + 1, true}
}

// flush writes the line breaks that are due.
func (m *textMaker) flush() {
	if n := len(m.blocks); n > 0 && m.line.breaks > 0 && m.line == m.blocks[n-1].start {
		m.blocks[n-1].swallowed = max(m.blocks[n-1].swallowed, m.breaks)
	}
	for m.line.breaks < m.breaks {
		m.out = append(m.out, '\n')
		m.line = lineState{m.line.breaks + 1, true}
	}
	m.breaks = 0
}

// visible prepares for a visible character.
func (m *textMaker) visible() {
	m.flush()
	if m.bullet {
		m.out = append(m.out, "- "...)
		m.bullet = false
	}
	m.line = lineState{}
}

// literal writes one character such that it can't begin Liquid.
func (m *textMaker) literal(r rune) {
	open := m.chunks != nil && bytes.HasSuffix(m.out, []byte("{"))
	if open && (r == '{' || r == '%') {
		m.out = append(m.out[:len(m.out)-1], "{% raw %}{"+string(r)+"{% endraw %}"...)
		return
	}
	m.out = append(m.out, string(r)...)
}

// raw writes Liquid.
func (m *textMaker) raw(s string) {
	if bytes.HasSuffix(m.out, []byte("{")) {
		m.out = append(m.out[:len(m.out)-1], "{% raw %}{{% endraw %}"...)
	}
	m.out = append(m.out, s...)
}

// control writes a tag of Liquid. At the borders of blocks, what is due is written, so that it belongs to its branch.
func (m *textMaker) control(c chunk) {
	closing, clause := strings.HasPrefix(c.name, "end"), isClause(c.name)
	if m.anchor != nil && len(m.blocks) == m.anchor.blocks && (closing || clause) {
		m.closeAnchor()
		m.space()
	}
	switch {
	case opensBlock(c.name):
		if m.flush(); m.bullet {
			m.visible()
		}
		m.blocks = append(m.blocks, liquidBlock{name: c.name, start: m.line, end: lineState{2, true}})
	case closing || clause:
		m.endBranch(clause, c.name == "else")
	}
	m.raw(c.text)
}

// endBranch ends a branch of the innermost block, and with the last one the block.
func (m *textMaker) endBranch(clause, otherwise bool) {
	if len(m.blocks) == 0 {
		return
	}
	b := &m.blocks[len(m.blocks)-1]
	if b.name == "for" {
		m.due(b.swallowed)
	}
	m.flush()
	b.end = b.end.worst(m.line)
	b.otherwise = b.otherwise || otherwise
	if clause {
		m.line = b.start
		return
	}
	m.line = b.end
	if !b.otherwise {
		m.line = b.end.worst(b.start)
	}
	m.blocks = m.blocks[:len(m.blocks)-1]
}

// closeAnchor writes the address of a link behind its text.
func (m *textMaker) closeAnchor() {
	a := m.anchor
	m.anchor = nil
	if a == nil {
		return
	}
	address, plain := m.address(a.href)
	text := strings.TrimSpace(string(m.out[min(a.start, len(m.out)):]))
	switch {
	case address == "":
	case text == "":
		m.visible()
		m.raw(address)
	case sameAddress(text, plain):
		start := a.start + bytes.Index(m.out[a.start:], []byte(text))
		m.out = append(m.out[:start], address...)
	default:
		m.out = append(bytes.TrimRight(m.out, " "), strings.TrimPrefix(": ", text[len(text)-1:])...)
		m.line = lineState{}
		m.raw(address)
	}
}

// address is what stands in the text for an href, and the address to compare the link's text with.
func (m *textMaker) address(href string) (written, plain string) {
	href = strings.TrimSpace(href)
	r := []rune(href)
	if len(r) == 1 {
		if c, ok := m.chunks.chunk(r[0]); ok {
			return c.text, c.url
		}
	}
	for _, scheme := range []string{"mailto:", "tel:", "sms:"} {
		if len(href) > len(scheme) && strings.EqualFold(href[:len(scheme)], scheme) {
			href = href[len(scheme):]
		}
	}
	if strings.HasPrefix(href, "#") {
		return "", ""
	}
	return m.chunks.expand(href), href
}
