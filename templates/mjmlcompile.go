package templates

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/internal/diag"
)

// region is a part of the MJML that the compiler sees as one character, and that is put back into what it makes.
type region struct {
	pos
	liquid bool // it holds Liquid, so that nobody may miss it
	used   bool
}

// compile lets the compiler make HTML, and puts the author's own parts into it.
func (m *mjmlFile) compile() (*Compiled, diag.List) {
	regions := m.regions()
	made, err := theMJML.compile(m.masked(regions))
	if err != nil {
		if len(m.diags) == 0 {
			m.problem(pos{0, 1}, "", "%v", err)
		}
		return nil, m.diags
	}
	m.report(made.Errors, regions)
	if len(m.diags) > 0 {
		return nil, m.diags
	}
	out := made.HTML
	if m.opaque() || !keepsSpace.MatchString(m.text) {
		out = squeezeHTML(out)
	}
	c := m.restore(out, regions)
	for _, r := range regions {
		if r.liquid && !r.used {
			m.problem(r.pos, "write it in the content of <mj-text> or <mj-raw>", "MJML leaves this out of the mail")
		}
	}
	if len(c.HTML) > MaxOutput {
		m.problem(pos{0, 1}, "shorten it", "the HTML has more than %d kB", MaxOutput>>10)
	}
	if len(m.diags) > 0 {
		return nil, m.diags
	}
	return c, nil
}

// opaque says whether the compiler need not look into the HTML that the author wrote: it does to put styles there.
func (m *mjmlFile) opaque() bool {
	return !slices.ContainsFunc(m.all, func(e *mjmlElement) bool {
		_, inline := e.attr("inline")
		return e.tag == "mj-style" && inline || e.tag == "mj-html-attributes"
	})
}

// regions are the contents of elements, addresses, and the rest of the Liquid, in the order of the source.
func (m *mjmlFile) regions() []region {
	var all []region
	opaque := m.opaque()
	for _, e := range m.all {
		if opaque && e.content.len > 0 {
			all = append(all, region{pos: e.content})
		}
		for _, a := range e.attrs {
			if (a.name == "href" || a.name == "src") && a.valueAt.len > 0 {
				all = append(all, region{pos: a.valueAt})
			}
		}
	}
	for i, r := range all {
		all[i].liquid = strings.IndexByte(m.text[r.off:r.off+r.len], liquidByte) >= 0
	}
	whole := all
	for _, c := range m.chunks {
		inside := func(p pos) bool { return p.off <= c.off && c.off < p.off+p.len }
		if !slices.ContainsFunc(whole, func(r region) bool { return inside(r.pos) }) && !slices.ContainsFunc(m.comments, inside) {
			all = append(all, region{pos: c, liquid: true})
		}
	}
	slices.SortFunc(all, func(a, b region) int { return cmp.Compare(a.off, b.off) })
	return all
}

// masked is the source with a character for each region.
func (m *mjmlFile) masked(regions []region) string {
	var b strings.Builder
	from := 0
	for i, r := range regions {
		b.WriteString(m.text[from:r.off])
		b.WriteRune(rune(firstPlaceholder + i))
		from = r.off + r.len
	}
	b.WriteString(m.text[from:])
	return b.String()
}

// restore puts the regions back. One that the compiler used twice is there twice.
func (m *mjmlFile) restore(out string, regions []region) *Compiled {
	var b strings.Builder
	var pieces []piece
	for _, r := range out {
		i := int(r) - firstPlaceholder
		if i < 0 || i >= len(regions) {
			b.WriteRune(r)
			continue
		}
		at := regions[i].pos
		pieces = append(pieces, piece{b.Len(), at.off, at.len})
		b.WriteString(m.src.slice(at))
		regions[i].used = true
	}
	return &Compiled{HTML: b.String(), Places: writePieces(pieces)}
}

// keepsSpace finds HTML whose white space may be shown.
var keepsSpace = regexp.MustCompile(`(?i)<pre\b|<textarea\b|white-space`)

var lineStarts = regexp.MustCompile(`[ \t\r]*\n[ \t\r\n]*`)

// squeezeHTML drops the indentation and the empty lines that the compiler writes: a third of a mail.
func squeezeHTML(s string) string {
	s = lineStarts.ReplaceAllString(s, "\n")
	return strings.TrimSpace(strings.NewReplacer("\n>", ">", "\n/>", "/>").Replace(s))
}

// mjmlError is a problem that the compiler found.
type mjmlError struct {
	Line    int    `json:"line"`
	Tag     string `json:"tagName"`
	Message string `json:"message"`
}

var wrongValue = regexp.MustCompile(`^Attribute (\S+) has invalid value`)

// report places what the compiler found. It knows lines of what it saw only; tags of the same name on one line are told
// apart by their attributes.
func (m *mjmlFile) report(found []mjmlError, regions []region) {
	reported := map[int]bool{}
	for _, f := range found {
		match := wrongValue.FindStringSubmatch(f.Message)
		if match == nil {
			m.unplaced(f, regions)
			continue
		}
		e, a, ok := m.findAttr(f, match[1], regions, reported)
		if !ok {
			m.unplaced(f, regions)
			continue
		}
		reported[a.at.off] = true
		if strings.IndexByte(a.value, liquidByte) < 0 { // that was reported
			m.wrongValue(e, a)
		}
	}
}

// findAttr finds the attribute that a problem is about: best one that has the value.
func (m *mjmlFile) findAttr(f mjmlError, name string, regions []region, reported map[int]bool) (e *mjmlElement, a mjmlAttr, ok bool) {
	for _, x := range m.all {
		attr, has := x.attr(name)
		if !has || x.tag != f.Tag || reported[attr.at.off] || m.lineSeen(x, regions) != f.Line {
			continue
		}
		if strings.Contains(f.Message, " value: "+attr.value+" for type ") {
			return x, attr, true
		}
		if !ok {
			e, a, ok = x, attr, true
		}
	}
	return e, a, ok
}

// unplaced reports what our own checks did not find: the compiler knows better.
func (m *mjmlFile) unplaced(f mjmlError, regions []region) {
	if len(m.diags) > 0 { // it is about the same
		return
	}
	for _, e := range m.all {
		if e.tag == f.Tag && m.lineSeen(e, regions) == f.Line {
			m.problem(e.at, "", "%s", f.Message)
			return
		}
	}
	m.problem(pos{0, 1}, "", "%s", f.Message)
}

// lineSeen is the line of an element in what the compiler saw.
func (m *mjmlFile) lineSeen(e *mjmlElement, regions []region) int {
	line := 1 + strings.Count(m.text[:e.at.off], "\n")
	for _, r := range regions {
		if r.off < e.at.off {
			line -= strings.Count(m.text[r.off:r.off+r.len], "\n")
		}
	}
	return line
}
