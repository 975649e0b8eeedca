package templates

import (
	"slices"
	"strings"
)

// mjmlFile is an MJML file while it is compiled.
type mjmlFile struct {
	*reporter
	text     string // the source with its Liquid masked by liquidByte
	chunks   []pos  // the Liquid
	comments []pos
	tags     *mjmlTags
	roots    []*mjmlElement
	all      []*mjmlElement // in the order of the source
	open     []*mjmlElement // while the file is read
	i        int            // the next byte
}

// mjmlElement is one element of the file.
type mjmlElement struct {
	tag      string
	at       pos // of the name
	attrs    []mjmlAttr
	parent   *mjmlElement // nil for a root
	children int
	content  pos // without white space around it; only of elements whose content MJML takes as it is
}

// mjmlAttr is one attribute.
type mjmlAttr struct {
	name     string
	at       pos
	value    string // masked
	valueAt  pos    // within the quotes
	hasValue bool
}

func (e *mjmlElement) attr(name string) (mjmlAttr, bool) {
	for _, a := range e.attrs {
		if a.name == name {
			return a, true
		}
	}
	return mjmlAttr{}, false
}

// scan reads the elements. It is as strict as XML, because MJML itself mends what is not closed as it likes.
func (m *mjmlFile) scan() {
	for m.i < len(m.text) && len(m.diags) == 0 {
		next := strings.IndexByte(m.text[m.i:], '<')
		if next < 0 {
			next = len(m.text) - m.i
		}
		m.stray(m.i, m.i+next)
		if m.i += next; m.i < len(m.text) {
			m.markup()
		}
	}
	if len(m.diags) > 0 {
		return
	}
	for _, e := range m.open {
		m.unclosed(e)
	}
}

// stray reports text between elements, which MJML would leave out.
func (m *mjmlFile) stray(from, to int) {
	text := m.text[from:to]
	trimmed := strings.TrimLeft(text, " \t\r\n")
	if trimmed == "" || len(m.open) > 0 && !m.tags.known(m.open[len(m.open)-1].tag) { // then it is the tag that is wrong
		return
	}
	at := from + len(text) - len(trimmed)
	if trimmed[0] == liquidByte {
		i := slices.IndexFunc(m.chunks, func(c pos) bool { return c.off == at })
		m.problem(m.chunks[max(i, 0)], "put it into <mj-raw>, as in <mj-raw>{% if customer.vip %}</mj-raw>", "MJML leaves out what stands between its tags")
		return
	}
	line, _, _ := strings.Cut(trimmed, "\n")
	line, _, _ = strings.Cut(line, string(rune(liquidByte)))
	m.problem(pos{at, len(strings.TrimRight(line, " \t\r"))}, "put it into <mj-text>", "MJML leaves out what stands between its tags")
}

// markup reads what begins with <.
func (m *mjmlFile) markup() {
	rest := m.text[m.i:]
	switch {
	case strings.HasPrefix(rest, "<!--"):
		m.comment()
	case strings.HasPrefix(rest, "<!"), strings.HasPrefix(rest, "<?"):
		if end := m.find(">", 2); end > 0 {
			m.i = end
		}
	case strings.HasPrefix(rest, "</"):
		m.endTag()
	case len(rest) > 1 && isLetter(rest[1]):
		m.startTag()
	default:
		m.problem(pos{m.i, 1}, "write < as &lt;", "a tag needs a name")
	}
}

// find is the offset behind the next end, or 0 where there is none, which is reported at n bytes.
func (m *mjmlFile) find(end string, n int) int {
	i := strings.Index(m.text[m.i+n:], end)
	if i < 0 {
		m.problem(pos{m.i, n}, "close it with "+end, "%q is not closed", m.text[m.i:m.i+n])
		return 0
	}
	return m.i + n + i + len(end)
}

func (m *mjmlFile) comment() {
	if end := m.find("-->", 4); end > 0 {
		m.comments = append(m.comments, pos{m.i, end - m.i})
		m.i = end
	}
}

func (m *mjmlFile) unclosed(e *mjmlElement) {
	if !m.tags.known(e.tag) {
		m.unknownTag(e)
		return
	}
	m.problem(e.at, "close it with </"+e.tag+">", "<%s> is not closed", e.tag)
}

func (m *mjmlFile) endTag() {
	end := m.find(">", 2)
	if end == 0 {
		return
	}
	name := strings.TrimSpace(m.text[m.i+2 : end-1])
	at := pos{m.i, end - m.i}
	m.i = end
	i := len(m.open) - 1
	for i >= 0 && m.open[i].tag != name {
		i--
	}
	if i < 0 {
		hint := ""
		if len(m.open) > 0 {
			hint = "the tag that is open here is <" + m.open[len(m.open)-1].tag + ">"
		}
		m.problem(at, hint, "</%s> closes nothing", name)
		return
	}
	for _, e := range m.open[i+1:] {
		m.unclosed(e)
	}
	m.open = m.open[:i]
}

func (m *mjmlFile) startTag() {
	n := nameLength(m.text[m.i+1:])
	e := &mjmlElement{tag: m.text[m.i+1 : m.i+1+n], at: pos{m.i + 1, n}}
	m.i += 1 + n
	closed, ok := m.attributes(e)
	if !ok || !m.add(e) || closed {
		return
	}
	if !m.tags.endings[e.tag] {
		m.open = append(m.open, e)
		return
	}
	m.content(e)
}

// nameLength is the length of the name of a tag or attribute at the start of s.
func nameLength(s string) int {
	if i := strings.IndexAny(s, " \t\r\n/>=<\"'\x01"); i >= 0 {
		return i
	}
	return len(s)
}

// add puts an element into the tree.
func (m *mjmlFile) add(e *mjmlElement) bool {
	m.all = append(m.all, e)
	if len(m.all) > maxElements {
		m.problem(e.at, "shorten the mail", "there are more than %d tags", maxElements)
		return false
	}
	if len(m.open) == 0 {
		m.roots = append(m.roots, e)
		return true
	}
	if len(m.open) == maxMJMLDepth {
		m.problem(e.at, "", "tags are nested too deep")
		return false
	}
	e.parent = m.open[len(m.open)-1]
	e.parent.children++
	return true
}

// content goes to the end of an element whose content MJML takes as it is.
func (m *mjmlFile) content(e *mjmlElement) {
	closer := "</" + e.tag
	for from := m.i; ; {
		i := strings.Index(m.text[from:], closer)
		if i < 0 {
			m.unclosed(e)
			return
		}
		end := from + i + len(closer)
		rest := strings.TrimLeft(m.text[end:], " \t\r\n")
		if strings.HasPrefix(rest, ">") {
			text := m.text[m.i : from+i]
			trimmed := strings.TrimLeft(text, " \t\r\n")
			e.content = pos{m.i + len(text) - len(trimmed), len(strings.TrimRight(trimmed, " \t\r\n"))}
			m.i = len(m.text) - len(rest) + 1
			return
		}
		from = end
	}
}

// attributes reads up to the end of a start tag; closed: it ends with />. False: after a problem.
func (m *mjmlFile) attributes(e *mjmlElement) (closed, ok bool) {
	for {
		rest := strings.TrimLeft(m.text[m.i:], " \t\r\n")
		spaced := len(rest) < len(m.text)-m.i
		m.i = len(m.text) - len(rest)
		switch {
		case strings.HasPrefix(rest, ">"):
			m.i++
			return false, true
		case strings.HasPrefix(rest, "/>"):
			m.i += 2
			return true, true
		case rest == "" || rest[0] == '<':
			m.problem(pos{e.at.off - 1, e.at.len + 1}, "close it with >", "this tag is not closed")
			return false, false
		case rest[0] == liquidByte:
			m.problem(pos{m.i, 1}, `write it within the quotes of a value, as in href="https://bengkel.example/?plate={{ vehicle.plate }}"`,
				"Liquid can stand only in the values of attributes here")
			return false, false
		case !spaced && len(e.attrs) > 0:
			m.problem(pos{m.i, 1}, "", "a space is needed between two attributes")
			return false, false
		case !m.attribute(e, rest):
			return false, false
		}
	}
}

// attribute reads one attribute at the start of rest.
func (m *mjmlFile) attribute(e *mjmlElement, rest string) bool {
	n := nameLength(rest)
	if n == 0 {
		m.problem(pos{m.i, 1}, "", "an attribute is needed here")
		return false
	}
	a := mjmlAttr{name: rest[:n], at: pos{m.i, n}}
	after := strings.TrimLeft(rest[n:], " \t\r\n")
	if !strings.HasPrefix(after, "=") {
		m.i += n
		return m.addAttr(e, a)
	}
	after = strings.TrimLeft(after[1:], " \t\r\n")
	if after == "" || after[0] != '"' && after[0] != '\'' {
		m.problem(a.at, `as in `+a.name+`="…"`, "the value of an attribute needs quotes around it")
		return false
	}
	end := strings.IndexByte(after[1:], after[0])
	if end < 0 {
		m.problem(pos{len(m.text) - len(after), 1}, "close it with "+after[:1], "this quote is not closed")
		return false
	}
	a.hasValue, a.value = true, after[1:1+end]
	a.valueAt = pos{len(m.text) - len(after) + 1, end}
	m.i = a.valueAt.off + end + 1
	return m.addAttr(e, a)
}

func (m *mjmlFile) addAttr(e *mjmlElement, a mjmlAttr) bool {
	if _, twice := e.attr(a.name); twice {
		m.problem(a.at, "leave one of them out", "the attribute %s is here twice", a.name)
		return false
	}
	switch {
	case a.hasValue && strings.IndexByte(a.value, '"') >= 0:
		m.problem(pos{a.valueAt.off + strings.IndexByte(a.value, '"'), 1}, `write " as &quot;`, "MJML can't write this quote into HTML")
		return false
	case a.valueAt.len > maxAttribute:
		m.problem(a.at, "", "the value of %s has more than %d bytes", a.name, maxAttribute)
		return false
	}
	e.attrs = append(e.attrs, a)
	return true
}
