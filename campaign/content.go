package campaign

import (
	"errors"
	"io/fs"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/templates"
)

func (k *checker) checkContent() {
	k.c.Content = &delivery.Content{Campaign: k.c.Name(), Topic: k.c.Topic(), Confirms: k.c.Confirms(), Each: k.c.each, EachName: k.c.eachName, Merged: k.c.Merged(), Others: map[string]*delivery.Parts{}, Event: k.c.event}
	k.checkContentKeys()
	// Also what there is for another channel is checked, so that all problems show at once.
	if sms := k.c.Definition.Content.SMS; sms != nil {
		k.checkSMS(sms)
	}
	for _, form := range forms() {
		if block, ok := k.c.Definition.Content.Others[form.Channel]; ok {
			k.checkBlock(form, block)
		}
	}
	if email := k.c.Definition.Content.Email; email != nil {
		k.checkEmail(email)
	}
}

func (k *checker) checkEmail(email *Email) {
	if email.HTML == "" && email.Text == "" && k.wellFormed && !k.f.Has("$.content.email.html") && !k.f.Has("$.content.email.text") {
		k.problem("$.content.email", "add  html:  or  text:", "an e-mail needs a body")
	}
	out := &delivery.Email{ReplyTo: string(email.ReplyTo)}
	out.Subject, _ = k.template("$.content.email.subject", email.Subject, templates.Subject)
	var html string
	out.HTML, html = k.emailHTML("$.content.email.html", email.HTML)
	out.Text, _ = k.template("$.content.email.text", email.Text, templates.Text)
	if out.HTML != nil && email.Text == "" {
		out.Text = k.textPart(html)
	} else {
		k.needsConfirmURL("$.content.email.text", out.Text)
	}
	k.needsConfirmURL("$.content.email.html", out.HTML)
	k.c.Content.Email = out
	k.collectLinks("html", out.HTML)
	k.collectLinks("text", out.Text)
}

func (k *checker) checkSMS(sms *SMS) {
	const at = "$.content.sms.text"
	text, _ := k.template(at, sms.Text, templates.SMS)
	k.c.Content.SMS = &delivery.SMS{Text: text}
	k.needsConfirmURL(at, text)
	k.collectShortLinks("sms", text)
	k.warnEncoding(at, sms.Text, text)
	if text != nil && text.Least() > maxText {
		k.problem(at, "shorten it, or put the rest on a page and write a link to it",
			"the text has %s characters at least, and Twilio refuses those of more than %s", thousands(text.Least()), thousands(maxText))
	}
}

// template parses a template that stands in the YAML or in a file of templates/; nil after a problem, or without text.
func (k *checker) template(at, text string, format templates.Format) (*templates.Template, string) {
	switch {
	case strings.TrimSpace(text) == "":
		return nil, ""
	case isTemplateName(text):
		source, ok := k.file(at, text)
		if !ok {
			return nil, ""
		}
		if k.refuseMJML(at, text, source.Text, format) {
			return nil, ""
		}
		return k.parse(templates.Source{File: source, Text: source.Text}, format), source.Text
	case otherFile.MatchString(text):
		k.problem(at, "name it "+otherFile.ReplaceAllString(text, "$1.$2.liquid")+", here and in templates/", "a template file's name ends in .liquid")
		return nil, ""
	case k.refuseMJML(at, "", text, format):
		return nil, ""
	case k.commented(at):
		k.problem(at, "put the text in quotes; or put the comment on a line of its own", `YAML takes " #" for the beginning of a comment: the text ends here`)
		return nil, ""
	}
	return k.inline(at, text, format), text
}

// isTemplateName tells the name of a template file from Liquid.
func isTemplateName(text string) bool {
	return strings.HasSuffix(text, ".liquid") && !strings.ContainsAny(text, "\n{<")
}

// otherFile is what looks like the name of a file that is no template's.
var otherFile = regexp.MustCompile(`^([\w./-]+)\.(html?|txt|text|mjml|md)$`)

// inline parses a template that stands in the YAML.
func (k *checker) inline(at, text string, format templates.Format) *templates.Template {
	_, place, _ := k.f.Scalar(at)
	if place.Col > 0 { // it stands there as it is, so that messages can name its place also when it is rendered
		return k.parse(templates.Source{File: k.f.Source, Text: text, Line: place.Line, Col: place.Col}, format)
	}
	t, problems := templates.Parse(templates.Source{Text: text}, format, k.templateScope())
	k.add(inYAML(k.f, at, text, problems)...)
	return t
}

func (k *checker) parse(src templates.Source, format templates.Format) *templates.Template {
	t, problems := templates.Parse(src, format, k.templateScope())
	k.add(problems...)
	return t
}

func (k *checker) templateScope() templates.Scope {
	return templates.Scope{Schema: k.c.schema, Each: k.c.each, EachName: k.c.eachName, Merged: k.c.Merged(), Confirms: k.c.Confirms(), Event: k.c.event}
}

// file reads a template; each is read once, so that what is checked is what is stored.
func (k *checker) file(at, name string) (*diag.Source, bool) {
	text, ok := k.c.Files[name]
	if !ok {
		b, err := fs.ReadFile(k.files, name)
		if err != nil {
			k.noFile(at, name, err, k.fileNames(func(other string) bool { return strings.HasSuffix(other, ".liquid") }))
			return nil, false
		}
		text = strings.TrimPrefix(string(b), "\uFEFF")
	}
	source := &diag.Source{Name: "templates/" + name, Text: text}
	switch {
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		k.add(diag.Problem{Source: source, Message: "a character that is not UTF-8", Hint: "save the file as UTF-8"})
		return nil, false
	case strings.TrimSpace(text) == "":
		k.add(diag.Problem{Source: source, Message: "the file is empty"})
		return nil, false
	}
	k.c.Files[name] = text
	return source, true
}

// noFile says that a file can't be read. known are those that could be meant.
func (k *checker) noFile(at, name string, err error, known []string) {
	switch {
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid):
		k.problem(at, "", "templates/%s can't be read: %v", name, err)
	case strings.HasPrefix(name, "templates/"):
		k.problem(at, "names begin below templates/: write "+strings.TrimPrefix(name, "templates/"), "there is no file templates/%s", name)
	case len(known) == 0:
		k.problem(at, "make it there", "there is no file templates/%s", name)
	default:
		k.problem(at, diag.DidYouMeanFile(name, known), "there is no file templates/%s", name)
	}
}

// fileNames are the files of templates/ that could be meant.
func (k *checker) fileNames(fits func(name string) bool) []string {
	var names []string
	_ = fs.WalkDir(k.files, ".", func(p string, d fs.DirEntry, err error) error { // only for a hint
		if err == nil && !d.IsDir() && fits(p) {
			names = append(names, p)
		}
		return nil
	})
	return names
}

// madeText is the name under which a version keeps the text part that was made from its HTML when it was applied.
const madeText = ".text-part.liquid"

// textPart makes the text part of an HTML-only e-mail, or takes the one that the version was applied with.
func (k *checker) textPart(html string) *templates.Template {
	text := templates.TextTemplate(html)
	if version, ok := k.files.(versionFiles); ok && version[madeText] != "" {
		text = version[madeText]
	}
	k.c.Files[madeText] = text
	source := &diag.Source{Name: "the text part made from the HTML", Text: text}
	return k.parse(templates.Source{File: source, Text: text}, templates.Text)
}

func (k *checker) collectLinks(part string, t *templates.Template) {
	if t == nil {
		return
	}
	for i, l := range t.Links() {
		k.c.Links = append(k.c.Links, Link{Part: part, Position: i, URL: l.URL})
	}
}
