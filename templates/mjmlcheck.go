package templates

import (
	"maps"
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/internal/diag"
)

// mjmlTags is what the compiler says of its tags.
type mjmlTags struct {
	Attributes map[string]map[string]string `json:"attributes"` // tag → attribute → type, such as unit(px,%){1,4}
	Children   map[string][]string          `json:"children"`   // tag → what may stand in it
	Endings    []string                     `json:"endings"`    // tags whose content is HTML

	endings map[string]bool
}

// mjmlAny are tags of <mj-attributes> and <mj-html-attributes>, with attributes of which the compiler keeps no list.
var mjmlAny = []string{"mj-all", "mj-class", "mj-selector", "mj-html-attribute"}

// known says whether there is such a tag.
func (t *mjmlTags) known(tag string) bool {
	_, ok := t.Attributes[tag]
	return ok || slices.Contains(mjmlAny, tag)
}

// check reports tags and attributes that there are not, and those in the wrong place.
func (m *mjmlFile) check() {
	classes := m.classes()
	for _, e := range m.all {
		if !m.tags.known(e.tag) {
			m.unknownTag(e)
			continue
		}
		m.checkPlace(e)
		m.checkTitle(e)
		for _, a := range e.attrs {
			m.checkAttr(e, a, classes)
		}
	}
}

// checkTitle refuses what would end the attribute into which the compiler writes the title a second time.
func (m *mjmlFile) checkTitle(e *mjmlElement) {
	text := m.text[e.content.off : e.content.off+e.content.len]
	if i := strings.IndexByte(text, '"'); i >= 0 && e.tag == "mj-title" {
		m.problem(pos{e.content.off + i, 1}, `write " as &quot;`, "MJML can't write this quote into HTML")
	}
}

// checkRoot says whether the file is one mail.
func (m *mjmlFile) checkRoot() bool {
	body := func(e *mjmlElement) bool { return e.tag == "mj-body" && e.parent != nil && e.parent.parent == nil }
	switch {
	case len(m.roots) == 0 || m.roots[0].tag != "mjml":
		m.problem(pos{0, 1}, "as in <mjml><mj-body>…</mj-body></mjml>", "MJML begins with <mjml>")
	case len(m.roots) > 1:
		m.problem(m.roots[1].at, "", "nothing may stand behind </mjml>")
	case !slices.ContainsFunc(m.all, body):
		m.problem(m.roots[0].at, "add <mj-body>…</mj-body>", "there is no <mj-body>")
	default:
		return true
	}
	return false
}

func (m *mjmlFile) unknownTag(e *mjmlElement) {
	hint := ""
	switch {
	case e.tag == "mj-include":
		m.problem(e.at, "write here what it holds", "a template can't read other files")
		return
	case strings.HasPrefix(strings.ToLower(e.tag), "mj-"):
		hint = diag.DidYouMean(e.tag, append(slices.Collect(maps.Keys(m.tags.Attributes)), mjmlAny...))
	default:
		hint = "HTML stands in <mj-text>, <mj-table> and <mj-raw>"
	}
	m.problem(e.at, hint, "MJML has no tag %q", e.tag)
}

func (m *mjmlFile) checkPlace(e *mjmlElement) {
	if e.parent == nil || !m.tags.known(e.parent.tag) || e.parent.tag == "mj-attributes" {
		return
	}
	if slices.Contains(m.tags.Children[e.parent.tag], e.tag) {
		return
	}
	var in []string
	for tag, children := range m.tags.Children {
		if slices.Contains(children, e.tag) {
			in = append(in, "<"+tag+">")
		}
	}
	slices.Sort(in)
	hint := ""
	if len(in) > 0 {
		hint = "its place is in " + strings.Join(in, ", ")
	} else if slices.Contains(mjmlAny[:2], e.tag) {
		hint = "its place is in <mj-attributes>"
	}
	m.problem(e.at, hint, "<%s> can't stand in <%s>", e.tag, e.parent.tag)
}

// classes are the names that <mj-class> defines.
func (m *mjmlFile) classes() []string {
	var names []string
	for _, e := range m.all {
		if name, ok := e.attr("name"); ok && e.tag == "mj-class" {
			names = append(names, name.value)
		}
	}
	return names
}

func (m *mjmlFile) checkAttr(e *mjmlElement, a mjmlAttr, classes []string) {
	types := m.tags.Attributes[e.tag]
	kind, known := types[a.name]
	switch {
	case a.name == "css-class" || slices.Contains(mjmlAny[1:], e.tag):
		return
	case a.name == "mj-class" && strings.IndexByte(a.value, liquidByte) < 0:
		for _, name := range strings.Fields(a.value) {
			if !slices.Contains(classes, name) {
				m.problem(a.valueAt, diag.DidYouMean(name, classes), "no <mj-class> has the name %q", name)
			}
		}
		return
	case a.name == "mj-class":
		known, kind = true, "name"
	case e.tag == "mj-all":
		known = slices.ContainsFunc(slices.Collect(maps.Values(m.tags.Attributes)), func(t map[string]string) bool { return t[a.name] != "" })
		types = m.tags.union()
	}
	switch {
	case !known:
		hint := diag.DidYouMean(a.name, slices.Collect(maps.Keys(types)))
		if hint == "" && len(types) > 0 {
			hint = "those that it has: https://documentation.mjml.io/#" + e.tag
		}
		m.problem(a.at, hint, "<%s> has no attribute %q", e.tag, a.name)
	case kind != "string" && kind != "" && strings.IndexByte(a.value, liquidByte) >= 0:
		m.problem(a.valueAt, "write a value that is the same for everybody; to choose, put {% if %} in <mj-raw> around whole <mj-section>s",
			"%s can't hold Liquid: MJML computes with it", a.name)
	case a.name == "background-url" && strings.HasPrefix(a.value, string(rune(liquidByte))):
		m.problem(a.valueAt, "begin it with the address, as in https://bengkel.example/{{ customer.id }}.png; or show the picture by <mj-image>",
			"%s can't begin with a value: MJML writes it into a style, where values lose their colons and slashes", a.name)
	}
}

// union are the attributes of all tags.
func (t *mjmlTags) union() map[string]string {
	all := map[string]string{}
	for _, types := range t.Attributes {
		maps.Copy(all, types)
	}
	return all
}

// wrongValue reports an attribute's value that the compiler refuses.
func (m *mjmlFile) wrongValue(e *mjmlElement, a mjmlAttr) {
	at := a.valueAt
	if at.len == 0 {
		at = a.at
	}
	m.problem(at, typeHint(m.tags.Attributes[e.tag][a.name]), "%q is no value for %s", a.value, a.name)
}

// typeHint says what a value of a type of MJML looks like.
func typeHint(kind string) string {
	name, rest, _ := strings.Cut(kind, "(")
	choices, times, _ := strings.Cut(rest, ")")
	list := slices.DeleteFunc(strings.Split(choices, ","), func(s string) bool { return s == "" })
	switch name {
	case "color":
		return "a color is written as #b4431c, as rgb(180, 67, 28), or by its English name"
	case "boolean":
		return "write true or false"
	case "integer":
		return "write a whole number"
	case "enum":
		return "write " + oneOf(list)
	case "unit", "unitWithNegative":
		return unitHint(list, times)
	}
	return ""
}

func unitHint(units []string, times string) string {
	words := make([]string, len(units))
	for i, u := range units {
		if words[i] = "10" + u; u == "auto" {
			words[i] = u
		}
	}
	hint := "write a length, such as " + oneOf(words)
	if times == "{1,4}" {
		hint += "; or up to four of them: 10px 25px"
	}
	return hint
}

func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
