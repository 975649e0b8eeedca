package templates

import (
	"html"
	"slices"
	"strconv"
	"strings"
)

// TextTemplate makes the source of a text template from the source of an HTML template that parses: what a version
// stores as its text part when the author gave none. Liquid is kept. A link becomes `text: address` and is the same
// tracked link as in the HTML: {% link 3 %}…{% endlink %} has the index 3. What mail readers hide (comments, display:
// none) is left out. It is "" for a source that does not parse.
func TextTemplate(html string) string {
	r := &reporter{src: Source{Text: html}}
	nodes := parseNodes(r)
	if len(r.diags) > 0 {
		return ""
	}
	// Names are not checked here: this was done with the HTML. What matters is where its links are.
	c := newChecker(r, HTML, Scope{})
	c.nodes(nodes)
	(&htmlPass{checker: c}).run(nodes)
	c.numberLinks()
	p := &placeholders{src: r.src, links: c.links}
	m := &textMaker{chunks: p}
	m.read(p.replace(lex(&reporter{src: r.src})))
	return m.String()
}

// firstPlaceholder begins the private use planes of Unicode, whose characters stand for Liquid while HTML is read.
const firstPlaceholder = 0xF0000

// chunk is Liquid in HTML: an object, a tag, or the address of a link.
type chunk struct {
	text string // as it goes into the text template
	name string // of a tag
	link bool
	url  string // the address of a link, to compare with its text
}

// placeholders stands a character for every piece of Liquid.
type placeholders struct {
	src    Source
	links  []*linkNode // in the order of the source
	chunks []chunk
	b      strings.Builder
	done   int // offset up to which the source was taken
}

// chunk is what a character stands for.
func (p *placeholders) chunk(r rune) (chunk, bool) {
	if p == nil || r < firstPlaceholder || int(r-firstPlaceholder) >= len(p.chunks) {
		return chunk{}, false
	}
	return p.chunks[r-firstPlaceholder], true
}

func (p *placeholders) add(c chunk) {
	p.b.WriteRune(rune(firstPlaceholder + len(p.chunks)))
	p.chunks = append(p.chunks, c)
}

// replace makes HTML without Liquid.
func (p *placeholders) replace(tokens []token) string {
	for _, t := range tokens {
		switch {
		case t.kind == textToken:
			p.text(t)
		case p.link(t.at.off) || t.at.off < p.done:
		case t.kind == objectToken:
			p.add(chunk{text: "{{ " + t.args + " }}"})
		case t.name == "link" || t.name == "endlink":
		default:
			p.add(chunk{text: "{% " + strings.TrimSpace(t.name+" "+t.args) + " %}", name: t.name})
		}
	}
	return p.b.String()
}

// text takes literal text, and the addresses in it.
func (p *placeholders) text(t token) {
	end := t.at.off + t.at.len
	for off := max(t.at.off, p.done); off < end; off = max(off, p.done) {
		next := end
		if len(p.links) > 0 && p.links[0].at.off >= off {
			next = min(end, p.links[0].at.off)
		}
		p.b.WriteString(withoutPlaceholders(p.src.Text[off:next]))
		p.done = next
		p.link(next)
	}
}

func withoutPlaceholders(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= firstPlaceholder {
			return -1
		}
		return r
	}, s)
}

// link takes the link that begins at off.
func (p *placeholders) link(off int) bool {
	if len(p.links) == 0 || p.links[0].at.off != off {
		return false
	}
	l := p.links[0]
	p.links = p.links[1:]
	p.done = off + l.at.len
	p.add(chunk{text: "{% link " + strconv.Itoa(l.index) + " %}" + p.address(l) + "{% endlink %}", link: true, url: l.url})
	return true
}

// address is the source of a link's address.
func (p *placeholders) address(l *linkNode) string {
	if l.filter {
		var query strings.Builder
		for _, n := range l.query {
			switch n := n.(type) {
			case *textNode:
				query.WriteString(n.text)
			case *outNode:
				query.WriteString("{{ " + p.src.slice(n.e.place()) + " }}")
			}
		}
		return Target(l.url, query.String())
	}
	var b strings.Builder
	for _, t := range lex(&reporter{src: Source{Text: p.src.slice(l.at)}}) {
		switch t.kind {
		case textToken:
			b.WriteString(html.UnescapeString(t.text))
		case objectToken:
			b.WriteString("{{ " + t.args + " }}")
		case tagToken:
			b.WriteString("{% " + strings.TrimSpace(t.name+" "+t.args) + " %}")
		}
	}
	return strings.TrimSpace(b.String())
}

// expand is an attribute's value with its Liquid.
func (p *placeholders) expand(s string) string {
	if p == nil || !strings.ContainsFunc(s, func(r rune) bool { return r >= firstPlaceholder }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if c, ok := p.chunk(r); ok {
			b.WriteString(c.text)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// sameAddress says whether a link's text is its address, perhaps without the scheme.
func sameAddress(text, address string) bool {
	short := func(s string) string {
		s = strings.TrimPrefix(strings.TrimPrefix(s, "https://"), "http://")
		return strings.TrimSuffix(strings.TrimPrefix(s, "www."), "/")
	}
	return strings.EqualFold(short(strings.TrimSpace(text)), short(address))
}

func opensBlock(name string) bool {
	return slices.Contains([]string{"if", "unless", "case", "for", "capture"}, name)
}
