package campaign

import (
	"strings"

	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/templates"
)

// The names under which a version keeps the HTML that was made of its MJML when it was applied, and where the parts of it
// stand in the MJML.
const (
	madeHTML   = ".html-part.liquid"
	madePlaces = ".html-part.places"
)

// mjmlFile is how the name of a template of MJML ends.
const mjmlFile = ".mjml.liquid"

// emailHTML parses the HTML of an e-mail, which may be written in MJML. The text is that of the HTML.
func (k *checker) emailHTML(at, text string) (*templates.Template, string) {
	switch {
	case isTemplateName(text) && strings.HasSuffix(text, mjmlFile):
		source, ok := k.file(at, text)
		if !ok {
			return nil, ""
		}
		return k.mjml(templates.Source{File: source, Text: source.Text}, k.add)
	case templates.IsMJML(text) && !k.commented(at):
		if _, place, _ := k.f.Scalar(at); place.Col > 0 {
			return k.mjml(templates.Source{File: k.f.Source, Text: text, Line: place.Line, Col: place.Col}, k.add)
		}
		return k.mjml(templates.Source{Text: text}, func(p ...diag.Problem) { k.add(inYAML(k.f, at, text, p)...) })
	}
	return k.template(at, text, templates.HTML)
}

// mjml parses MJML; add reports what is wrong with it.
func (k *checker) mjml(src templates.Source, add func(...diag.Problem)) (*templates.Template, string) {
	made, problems := k.compile(src)
	if len(problems) > 0 {
		add(problems...)
		return nil, ""
	}
	html, err := made.Source(src)
	if err != nil {
		add(diag.Problem{Source: src.File, Message: err.Error()})
		return nil, ""
	}
	k.c.Files[madeHTML], k.c.Files[madePlaces] = made.HTML, made.Places
	t, problems := templates.Parse(html, templates.HTML, k.templateScope())
	add(problems...)
	return t, made.HTML
}

// compile makes HTML of MJML, or takes that which the version was applied with.
func (k *checker) compile(src templates.Source) (*templates.Compiled, diag.List) {
	if version, ok := k.files.(versionFiles); ok && version[madeHTML] != "" {
		return &templates.Compiled{HTML: version[madeHTML], Places: version[madePlaces]}, nil
	}
	return templates.CompileMJML(src)
}

// refuseMJML reports MJML where it is not compiled.
func (k *checker) refuseMJML(at, name, text string, format templates.Format) bool {
	named := isTemplateName(name) && strings.HasSuffix(name, mjmlFile)
	switch {
	case !named && !templates.IsMJML(text):
		return false
	case format == templates.HTML && isTemplateName(name) && at == "$.content.email.html":
		k.problem(at, "name it "+strings.TrimSuffix(strings.TrimSuffix(name, ".liquid"), ".html")+mjmlFile+", here and in templates/", "templates/%s holds MJML", name)
	default:
		k.problem(at, "write it below  content: email: html:", "MJML makes the HTML of an e-mail, and nothing else")
	}
	return true
}
