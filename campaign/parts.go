package campaign

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/strictyaml"
	"github.com/sapa-crm/sapa/templates"
)

// Blocks are the contents of channels that have a form, by channel.
type Blocks map[string]Block

// Keys implements strictyaml.KeyLister.
func (Blocks) Keys() []string {
	var names []string
	for _, f := range forms() {
		names = append(names, f.Channel)
	}
	return names
}

// Block is the content of a channel with a form, as written: package channels has its form.
type Block struct{ node strictyaml.Node }

// UnmarshalNode implements strictyaml.NodeUnmarshaler; the form is checked with the campaign.
func (b *Block) UnmarshalNode(n strictyaml.Node) diag.List {
	b.node = n
	return nil
}

// checkBlock checks the content of a channel with a form.
func (k *checker) checkBlock(form channels.Form, b Block) {
	n := b.node
	if n.Kind() != strictyaml.Map {
		k.add(n.Expected("such as  "+form.Example, "a group of keys"))
		return
	}
	parts := &delivery.Parts{Form: form, Fixed: map[string]string{}}
	for _, e := range n.Entries() {
		part, ok := form.Part(e.Key)
		if !ok {
			k.add(k.f.KeyProblem(e.Value.Path(), diag.DidYouMean(e.Key, partKeys(form)), "unknown key %q", e.Key))
			continue
		}
		k.checkPart(parts, part, e.Value)
	}
	for _, p := range form.Parts {
		if p.Required && !k.f.Has(strictyaml.Key(n.Path(), p.Key)) {
			k.add(n.Problem("such as  "+form.Example, "the key %q is missing here", p.Key))
		}
		if _, written := parts.Fixed[p.Key]; p.Kind == channels.Choice && !written && len(p.Choices) > 0 {
			parts.Fixed[p.Key] = p.Choices[0]
		}
	}
	if err := form.Wrong(writtenKeys(form, n)); err != nil {
		k.add(n.Problem("such as  "+form.Example, "%v", err))
	}
	k.c.Content.Others[form.Channel] = parts
}

// writtenKeys are the keys of a content that its form knows.
func writtenKeys(form channels.Form, n strictyaml.Node) (keys []string) {
	for _, e := range n.Entries() {
		if _, ok := form.Part(e.Key); ok {
			keys = append(keys, e.Key)
		}
	}
	return keys
}

func partKeys(form channels.Form) (keys []string) {
	for _, p := range form.Parts {
		keys = append(keys, p.Key)
	}
	return keys
}

func (k *checker) checkPart(parts *delivery.Parts, part channels.Part, n strictyaml.Node) {
	switch {
	case part.Kind == channels.Values:
		k.checkValues(parts, part, n)
		return
	case n.Kind() != strictyaml.Text:
		k.add(n.Expected("", "text"))
		return
	case strings.TrimSpace(n.Text()) == "":
		return // reported as empty
	}
	switch part.Kind {
	case channels.Constant, channels.Choice:
		k.checkFixed(parts, part, n)
	case channels.HTML:
		k.addTemplate(parts, part.Key, n, templates.HTML)
	case channels.Text:
		k.addTemplate(parts, part.Key, n, templates.Text)
	default:
		k.addTemplate(parts, part.Key, n, templates.Subject)
	}
}

func (k *checker) checkFixed(parts *delivery.Parts, part channels.Part, n strictyaml.Node) {
	text := n.Text()
	if part.Kind == channels.Choice && !slices.Contains(part.Choices, text) {
		k.add(n.Problem(diag.DidYouMean(text, part.Choices), "%q is none of %s", text, strings.Join(part.Choices, ", ")))
		return
	}
	if strings.Contains(text, "{{") || strings.Contains(text, "{%") {
		k.add(n.Problem("write what is the same for everybody", "%s takes no Liquid", part.Key))
		return
	}
	if part.Check != nil {
		if err := part.Check(text); err != nil {
			k.add(n.Problem("", "%v", err))
			return
		}
	}
	if part.Desk {
		k.checkDesk(n)
	}
	if part.File != nil {
		k.checkNamedFile(part, n)
	}
	parts.Fixed[part.Key] = text
}

// checkDesk compares the name of a desk with those of sapa.yaml, where it has any. A version that was applied with a desk that is gone
// since is sound all the same; its alerts fail one by one.
func (k *checker) checkDesk(n strictyaml.Node) {
	desks, name := k.c.schema.Desks, n.Text()
	if _, stored := k.files.(versionFiles); stored || len(desks) == 0 || slices.Contains(desks, name) {
		return
	}
	hint := diag.DidYouMean(name, desks)
	if !strings.HasPrefix(hint, "did you mean") {
		hint = "in sapa.yaml, below  channels: alert: desks:  write  " + name + ": {name: " + customer.Readable(name) + "}; " + cmp.Or(hint, "it has others")
	}
	k.add(n.Problem(hint, "no desk %q in sapa.yaml", name))
}

// checkNamedFile looks at a file of templates/ that a constant names. A version keeps the name only: whoever sends reads the file.
func (k *checker) checkNamedFile(part channels.Part, n strictyaml.Node) {
	if _, stored := k.files.(versionFiles); stored {
		return
	}
	name := n.Text()
	data, err := fs.ReadFile(k.files, name)
	if err != nil {
		k.noFile(n.Path(), name, err, k.fileNames(func(other string) bool { return part.Check == nil || part.Check(other) == nil }))
		return
	}
	if err := part.File(data); err != nil {
		k.add(n.Problem("", "templates/%s: %v", name, err))
	}
}

// checkValues checks names with a line of Liquid for each.
func (k *checker) checkValues(parts *delivery.Parts, part channels.Part, n strictyaml.Node) {
	if n.Kind() != strictyaml.Map {
		k.add(n.Expected(fmt.Sprintf("such as  %s: {name: \"{{ customer.name }}\"}", part.Key), "names and their values"))
		return
	}
	for _, e := range n.Entries() {
		if e.Value.Kind() != strictyaml.Text {
			k.add(e.Value.Expected("", "text"))
			continue
		}
		if part.Check != nil {
			if err := part.Check(e.Key); err != nil {
				k.add(k.f.KeyProblem(e.Value.Path(), "", "%v", err))
				continue
			}
		}
		format := templates.Subject
		if part.Links {
			format = templates.Text
		}
		k.addTemplate(parts, part.Key+"."+e.Key, e.Value, format)
	}
}

// addTemplate parses a part that is Liquid. Its links are numbered after those before.
func (k *checker) addTemplate(parts *delivery.Parts, key string, n strictyaml.Node, format templates.Format) {
	t, _ := k.template(n.Path(), n.Text(), format)
	if t == nil {
		return
	}
	k.needsConfirmURL(n.Path(), t)
	parts.Templates = append(parts.Templates, delivery.Part{Key: key, Template: t, FirstLink: k.shortLinks})
	k.collectShortLinks(parts.Form.Channel, t)
}

// collectShortLinks numbers a template's links after the version's short links before.
func (k *checker) collectShortLinks(channel string, t *templates.Template) {
	if t == nil {
		return
	}
	for _, l := range t.Links() {
		k.c.Links = append(k.c.Links, Link{Part: channel, Position: k.shortLinks, URL: l.URL})
		k.shortLinks++
	}
}
