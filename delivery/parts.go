package delivery

import (
	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/response"
	"github.com/sapa-crm/sapa/templates"
)

// Parts is the content of a version for a channel with a form.
type Parts struct {
	Form      channels.Form
	Fixed     map[string]string // constants and choices, by key
	Templates []Part            // in the order of the form, and of names within Values
}

// Part is a template of such a content.
type Part struct {
	Key       string // of Values: KEY.NAME
	Template  *templates.Template
	FirstLink int // position of its first link among the version's short links, which are numbered through
}

// templates are all templates of a channel's content; some may be nil. There are none without content.
func (c *Content) templates(channel string) []*templates.Template {
	switch {
	case channel == "email" && c.Email != nil:
		return []*templates.Template{c.Email.Subject, c.Email.HTML, c.Email.Text}
	case channel == "sms" && c.SMS != nil:
		return []*templates.Template{c.SMS.Text}
	}
	var list []*templates.Template
	if parts := c.Others[channel]; parts != nil {
		for _, p := range parts.Templates {
			list = append(list, p.Template)
		}
	}
	return list
}

// has says whether there is content for a channel.
func (c *Content) has(channel string) bool {
	return channel == "email" && c.Email != nil || channel == "sms" && c.SMS != nil || c.Others[channel] != nil
}

// ShortLink is the fixed address of a short link by its position.
func (c *Content) ShortLink(position int) string {
	if c.SMS != nil && c.SMS.Text != nil {
		if links := c.SMS.Text.Links(); position < len(links) {
			return links[position].URL
		}
	}
	for _, parts := range c.Others {
		for _, p := range parts.Templates {
			if links := p.Template.Links(); position >= p.FirstLink && position < p.FirstLink+len(links) {
				return links[position-p.FirstLink].URL
			}
		}
	}
	return ""
}

// composeParts renders the content of a channel with a form. Its links are short ones.
func (p *Composer) composeParts(parts *Parts, who Person, urls MessageURLs) (*channels.Message, error) {
	r := rendering{vars: p.vars(who, urls), urls: urls}
	m := &channels.Message{
		To:       channels.Address{Name: p.field(who, p.schema.Name)},
		Locale:   p.field(who, p.schema.Locale),
		Topic:    p.content.Topic,
		Campaign: p.content.Campaign,
		Parts:    make(map[string]string, len(parts.Fixed)+len(parts.Templates)),
	}
	for key, text := range parts.Fixed {
		m.Parts[key] = text
	}
	for _, part := range parts.Templates {
		r.urls = numberedFrom{urls, part.FirstLink}
		m.Parts[part.Key] = r.render(part.Template, response.Part(parts.Form.Channel))
	}
	return m, r.err
}

// numberedFrom are the addresses of a template whose links are numbered after those of others.
type numberedFrom struct {
	MessageURLs
	first int
}

// Click numbers the link through.
func (n numberedFrom) Click(part response.Part, link int, query string) (string, error) {
	return n.MessageURLs.Click(part, n.first+link, query)
}
