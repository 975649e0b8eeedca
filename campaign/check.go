package campaign

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/strictyaml"
	"github.com/sapa-crm/sapa/segment"
	"github.com/sapa-crm/sapa/templates"
)

// channelNames are the channels that campaign files may use.
var channelNames = []string{"email"}

// Check reads one campaign file and checks it against the company's schema; templates are read from files, where a name
// is that below templates/. It reports every problem that it finds; the Campaign is nil when there is one. base is
// customers.where, parsed.
func Check(name, text string, files fs.FS, schema *customer.Schema, base *segment.Rule) (*Campaign, diag.List) {
	f, problems := strictyaml.Parse(name, text)
	if len(problems) > 0 {
		return nil, problems
	}
	k := &checker{f: f, files: files, c: &Campaign{File: f, schema: schema, base: base, Files: map[string]string{}}}
	k.add(f.Decode(&k.c.Definition)...)
	k.check()
	if len(k.problems) > 0 {
		return nil, k.problems
	}
	return k.c, nil
}

type checker struct {
	f        *strictyaml.File
	files    fs.FS
	c        *Campaign
	problems diag.List
}

func (k *checker) add(p ...diag.Problem) { k.problems = append(k.problems, p...) }

func (k *checker) check() {
	k.checkName()
	k.checkChannels()
	k.checkEach()
	k.checkRules()
	k.checkSchedule()
	k.checkContent()
}

var nameForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func (k *checker) checkName() {
	d := &k.c.Definition
	for key, value := range map[string]string{"campaign": d.Campaign, "topic": d.Topic} {
		if value != "" && (!nameForm.MatchString(value) || len(value) > 60) {
			k.add(k.f.Problem("$."+key, "", "%q: write lower-case letters, digits and single hyphens, such as oil-change", value))
		}
	}
	stem := strings.TrimSuffix(strings.TrimSuffix(path.Base(k.f.Source.Name), ".yaml"), ".yml")
	if d.Campaign != "" && stem != path.Base(k.f.Source.Name) && stem != d.Campaign {
		k.add(k.f.Problem("$.campaign", fmt.Sprintf("name the file %s.yaml, or the campaign %s", d.Campaign, stem),
			"campaign %q stands in a file of another name", d.Campaign))
	}
}

func (k *checker) checkChannels() {
	for i, name := range k.c.Definition.Channels {
		if !slices.Contains(channelNames, name) {
			k.add(k.f.Problem(strictyaml.Index("$.channels", i), diag.DidYouMean(name, channelNames), "unknown channel %q", name))
		}
	}
	if len(k.c.Definition.Channels) > 1 {
		k.add(k.f.Problem("$.channels", "", "a campaign has one channel as yet"))
	}
	if _, ok := k.c.schema.Address(k.c.Channel()); !ok {
		k.add(k.f.Problem("$.channels", "in sapa.yaml, below customers:, write  email: name_of_the_column", "no column is mapped for the address of channel %s", k.c.Channel()))
	}
}

var eachForm = regexp.MustCompile(`^\s*customer\.(\w+)(?:\s+as\s+([A-Za-z_]\w*))?\s*$`)

func (k *checker) checkEach() {
	a := &k.c.Definition.Audience
	k.c.scope = segment.NewScope(k.c.schema)
	if a.Merge != "" && a.Merge != "customer" {
		k.add(k.f.Problem("$.audience.merge", `write  merge: customer`, "unknown merge %q", a.Merge))
	}
	if a.Each == "" {
		if a.Merge != "" {
			k.add(k.f.KeyProblem("$.audience.merge", "remove it, or add  each: customer.… as …", "merge needs `each`: without it every customer has one message already"))
		}
		return
	}
	m := eachForm.FindStringSubmatch(a.Each)
	if m == nil {
		k.add(k.f.Problem("$.audience.each", "such as  each: customer.vehicles as vehicle", "expected a relation of the customer and a name for one row"))
		return
	}
	rel, ok := k.relation(m[1])
	if !ok {
		return
	}
	k.c.each, k.c.eachName = rel, m[2]
	if k.c.eachName == "" {
		k.c.eachName = customer.Singular(rel.Name)
	}
	if slices.Contains([]string{"customer", "campaign", "run", "message", "event"}, k.c.eachName) {
		k.add(k.f.Problem("$.audience.each", "choose another name for the row", "%q already means something else in rules", k.c.eachName))
		return
	}
	k.c.scope = k.c.scope.WithEach(rel, k.c.eachName)
}

func (k *checker) relation(name string) (*customer.Relation, bool) {
	var many []string
	for _, r := range k.c.schema.Customer.Relations {
		if !r.One {
			many = append(many, r.Name)
		}
	}
	rel, ok := k.c.schema.Customer.Relation(name)
	switch {
	case !ok:
		k.add(k.f.Problem("$.audience.each", diag.DidYouMean(name, many), "unknown relation %q", name))
	case rel.One:
		k.add(k.f.Problem("$.audience.each", diag.DidYouMean(name, many), "%q is one row per customer; each goes through a relation with many", name))
	case rel.Target.Key == "":
		k.add(k.f.Problem("$.audience.each", fmt.Sprintf("in sapa.yaml, give relation %s its  key:", name), "relation %q has no key, by which its rows can be told apart", name))
	default:
		return rel, true
	}
	return nil, false
}

func (k *checker) checkRules() {
	a := &k.c.Definition.Audience
	if a.Where == "" {
		k.add(k.f.Problem("$.audience", "write a rule, or  where: true  for everybody", "where is missing"))
	} else {
		rule, problems := segment.ParseRule(segment.Text(a.Where), k.c.scope)
		k.add(inYAML(k.f, "$.audience.where", a.Where, problems)...)
		k.c.where = rule
	}
	for i, text := range a.Occasion {
		p := "$.audience.occasion"
		if k.f.Has(strictyaml.Index(p, i)) { // a list; otherwise one text
			p = strictyaml.Index(p, i)
		}
		value, problems := segment.ParseValue(segment.Text(text), k.c.scope)
		k.add(inYAML(k.f, p, text, problems)...)
		k.c.occasion = append(k.c.occasion, value)
	}
}

func (k *checker) checkSchedule() {
	if s := k.c.Definition.Schedule; s != nil {
		calendar, problems := newCalendar(k.f, s, k.c.schema.Zone)
		k.add(problems...)
		k.c.calendar = calendar
	}
}

func (k *checker) checkContent() {
	email := k.c.Definition.Content.Email
	k.c.Content = &delivery.Content{Campaign: k.c.Name(), Topic: k.c.Topic(), Each: k.c.each, EachName: k.c.eachName, Merged: k.c.Merged()}
	if email == nil {
		k.add(k.f.Problem("$.content", "such as  email: {subject: …, html: greeting.html.liquid}", "content for email is missing"))
		return
	}
	if email.HTML == "" && email.Text == "" {
		k.add(k.f.Problem("$.content.email", "add  html:  or  text:", "an e-mail needs a body"))
	}
	out := &delivery.Email{ReplyTo: email.ReplyTo}
	out.Subject, _ = k.template("$.content.email.subject", email.Subject, templates.Subject)
	var html string
	out.HTML, html = k.template("$.content.email.html", email.HTML, templates.HTML)
	out.Text, _ = k.template("$.content.email.text", email.Text, templates.Text)
	if out.HTML != nil && email.Text == "" {
		out.Text = k.textPart(html)
	}
	k.c.Content.Email = out
	k.collectLinks("html", out.HTML)
	k.collectLinks("text", out.Text)
}

// template parses a template that stands in the YAML or in a file of templates/.
func (k *checker) template(at, text string, format templates.Format) (*templates.Template, string) {
	if text == "" {
		return nil, ""
	}
	scope := templates.Scope{Schema: k.c.schema, Each: k.c.each, EachName: k.c.eachName, Merged: k.c.Merged()}
	if !strings.HasSuffix(text, ".liquid") || strings.ContainsAny(text, "\n{") {
		t, problems := templates.Parse(templates.Source{Text: text}, format, scope)
		k.add(inYAML(k.f, at, text, problems)...)
		return t, text
	}
	source, ok := k.file(at, text)
	if !ok {
		return nil, ""
	}
	t, problems := templates.Parse(templates.Source{File: source, Text: source.Text}, format, scope)
	k.add(problems...)
	return t, source.Text
}

// file reads a template; each is read once, so that what is checked is what is stored.
func (k *checker) file(at, name string) (*diag.Source, bool) {
	if text, ok := k.c.Files[name]; ok {
		return &diag.Source{Name: "templates/" + name, Text: text}, true
	}
	b, err := fs.ReadFile(k.files, name)
	if err != nil {
		k.add(k.f.Problem(at, diag.DidYouMean(name, k.liquidFiles()), "no template templates/%s", name))
		return nil, false
	}
	k.c.Files[name] = string(b)
	return &diag.Source{Name: "templates/" + name, Text: string(b)}, true
}

func (k *checker) liquidFiles() []string {
	var names []string
	_ = fs.WalkDir(k.files, ".", func(p string, d fs.DirEntry, err error) error { // only for a hint
		if err == nil && !d.IsDir() && strings.HasSuffix(p, ".liquid") {
			names = append(names, p)
		}
		return nil
	})
	return names
}

// textPart makes the text part of an HTML-only e-mail.
func (k *checker) textPart(html string) *templates.Template {
	scope := templates.Scope{Schema: k.c.schema, Each: k.c.each, EachName: k.c.eachName, Merged: k.c.Merged()}
	text := templates.TextTemplate(html)
	t, problems := templates.Parse(templates.Source{Text: text, File: &diag.Source{Name: "text part made from the HTML", Text: text}}, templates.Text, scope)
	k.add(problems...)
	return t
}

func (k *checker) collectLinks(part string, t *templates.Template) {
	if t == nil {
		return
	}
	for i, l := range t.Links() {
		k.c.Links = append(k.c.Links, Link{Part: part, Position: i, URL: l.URL})
	}
}
