package templates

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sapa-crm/sapa/internal/diag"
)

// Compiled is the HTML that was made of MJML, with its Liquid. It is made once, when a version is applied, and kept with
// the version: another release of MJML makes other HTML.
type Compiled struct {
	HTML   string // the source of an HTML template
	Places string // which parts of HTML are the author's own, and where they stand in the MJML: see Source
}

// Limits of one MJML file. The compiler is a program of its own, which nobody can stop but by the clock.
const (
	maxMJML      = 256 << 10 // bytes
	maxElements  = 1000
	maxMJMLDepth = 40
	maxAttribute = 4000 // bytes of the value of an attribute
)

// IsMJML says whether the text of a template is MJML.
func IsMJML(text string) bool {
	text = strings.TrimSpace(text)
	for strings.HasPrefix(text, "<!--") {
		_, rest, found := strings.Cut(text, "-->")
		if !found {
			return false
		}
		text = strings.TrimSpace(rest)
	}
	rest, found := strings.CutPrefix(text, "<mjml")
	return found && (rest == "" || strings.IndexByte(" \t\r\n/>", rest[0]) >= 0)
}

// CompileMJML makes HTML of MJML 4.18 (https://documentation.mjml.io). Liquid may stand in texts, in <mj-raw> and in the
// values of attributes of which the width of nothing depends. What the compiler does not know or would leave out is a
// problem in the author's file; Compiled is nil then. It is safe for concurrent use. The first call of a process loads the
// compiler, which takes about a second.
func CompileMJML(src Source) (*Compiled, diag.List) {
	m := &mjmlFile{reporter: &reporter{src: src}}
	if !m.fits() || !m.mask() {
		return nil, m.diags
	}
	tags, err := theMJML.knowledge()
	if err != nil {
		m.problem(pos{}, "", "%v", err)
		return nil, m.diags
	}
	m.tags = tags
	if m.scan(); len(m.diags) > 0 || !m.checkRoot() {
		return nil, m.diags
	}
	m.check()
	return m.compile()
}

// fits says whether the file can be given to the compiler at all.
func (m *mjmlFile) fits() bool {
	if len(m.src.Text) > maxMJML {
		m.problem(pos{0, 1}, "a mail of this size is cut off by most readers: shorten it", "the MJML has %d kB, and %d are the most", len(m.src.Text)>>10, maxMJML>>10)
		return false
	}
	for i, r := range m.src.Text {
		switch {
		case r >= firstPlaceholder:
			m.problem(pos{i, 4}, "leave it out", "the character %U is for private use, and shows nothing", r)
			return false
		case r < ' ' && r != '\t' && r != '\n' && r != '\r': // liquidByte is one
			m.problem(pos{i, 1}, "leave it out", "the character %U can't be in a mail", r)
			return false
		}
	}
	return true
}

// mask finds the Liquid. False: it can't be told where it ends.
func (m *mjmlFile) mask() bool {
	chunks, ok := liquidChunks(m.reporter)
	if !ok {
		return false
	}
	m.chunks = chunks
	masked := []byte(m.src.Text)
	for _, c := range chunks {
		for i := c.off; i < c.off+c.len; i++ {
			if masked[i] != '\n' {
				masked[i] = liquidByte
			}
		}
	}
	m.text = string(masked)
	return true
}

// liquidByte stands for each byte of Liquid while MJML is read.
const liquidByte = 0x01

// liquidChunks are the places of objects and tags; comments and raw blocks are one each. False: one is not closed, which
// was reported.
func liquidChunks(r *reporter) ([]pos, bool) {
	before := len(r.diags)
	lex(r)
	if len(r.diags) > before {
		return nil, false
	}
	var chunks []pos
	text := r.src.Text
	for open := nextOpen(text, 0); open >= 0; open = nextOpen(text, chunks[len(chunks)-1].off+chunks[len(chunks)-1].len) {
		chunks = append(chunks, pos{open, chunkEnd(text, open) - open})
	}
	return chunks, true
}

// chunkEnd is the end of the Liquid that begins at open and is known to be closed.
func chunkEnd(text string, open int) int {
	closer := "%}"
	if text[open+1] == '{' {
		closer = "}}"
	}
	end := open + 2 + strings.Index(text[open+2:], closer) + 2
	if closer == "}}" {
		return end
	}
	inner := strings.TrimLeft(strings.TrimPrefix(text[open+2:end], "-"), " \t\r\n")
	switch tagName.FindString(inner) {
	case "comment":
		return end + endComment.FindStringIndex(text[end:])[1]
	case "raw":
		return end + endRaw.FindStringIndex(text[end:])[1]
	}
	return end
}

// piece is a part of the HTML that is the author's own.
type piece struct {
	out, src, len int // offsets in the HTML and in the MJML
}

// Source is the source of the HTML as a template: what is wrong with it, or with a person's data, is placed in the MJML.
func (c *Compiled) Source(mjml Source) (Source, error) {
	pieces, err := readPieces(c.Places, len(c.HTML), len(mjml.Text))
	if err != nil {
		return Source{}, fmt.Errorf("read the places of the HTML made of MJML: %w", err)
	}
	return Source{File: mjml.File, Text: c.HTML, made: &madeOf{mjml, pieces}}, nil
}

// madeOf says what a source was made of.
type madeOf struct {
	src    Source
	pieces []piece // in the order of out, none within another
}

// span is the place in the author's file of n bytes at off of the text that was made: of the first part of them that is the
// author's own. Where none is, because the compiler read and wrote it, it is the only place with the same words; or the file
// as a whole.
func (m *madeOf) span(text string, off, n int) diag.Span {
	i, _ := slices.BinarySearchFunc(m.pieces, off, func(p piece, off int) int {
		if p.out+p.len <= off {
			return -1
		}
		return 1
	})
	if i == len(m.pieces) || m.pieces[i].out >= off+max(1, n) {
		words := text[min(off, len(text)):min(off+n, len(text))]
		if len(words) > 3 && strings.Count(m.src.Text, words) == 1 {
			return m.src.span(strings.Index(m.src.Text, words), n)
		}
		return diag.Span{Line: m.src.Line, Col: max(m.src.Col, min(m.src.Line, 1))}
	}
	p := m.pieces[i]
	from, to := max(off, p.out), min(off+n, p.out+p.len)
	return m.src.span(p.src+from-p.out, to-from)
}

// writePieces writes pieces as "out:src:len", each out counted from the end of the piece before.
func writePieces(pieces []piece) string {
	var b strings.Builder
	end := 0
	for i, p := range pieces {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d:%d:%d", p.out-end, p.src, p.len)
		end = p.out + p.len
	}
	return b.String()
}

var errPlaces = errors.New("they do not fit")

// readPieces reads what writePieces wrote for a text of made bytes out of one of src bytes.
func readPieces(text string, made, src int) ([]piece, error) {
	var pieces []piece
	end := 0
	for _, word := range strings.Fields(text) {
		var n [3]int
		numbers := strings.Split(word, ":")
		if len(numbers) != len(n) {
			return nil, fmt.Errorf("%w: %q", errPlaces, word)
		}
		for i, s := range numbers {
			v, err := strconv.Atoi(s)
			if err != nil || v < 0 || v > max(made, src) {
				return nil, fmt.Errorf("%w: %q", errPlaces, word)
			}
			n[i] = v
		}
		p := piece{end + n[0], n[1], n[2]}
		if end = p.out + p.len; end > made || p.src+p.len > src {
			return nil, fmt.Errorf("%w: %q", errPlaces, word)
		}
		pieces = append(pieces, p)
	}
	return pieces, nil
}
