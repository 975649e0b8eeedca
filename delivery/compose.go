package delivery

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/response"
	"github.com/sapa-crm/sapa/segment"
	"github.com/sapa-crm/sapa/templates"
)

// Composer renders a version's content for one person after another. It is used by sending and by previews alike, so
// that a preview shows what will be sent. It is safe for concurrent use.
type Composer struct {
	channel       string
	schema        *customer.Schema
	content       *Content
	tick          time.Time
	customerPaths [][]string
	rowPaths      [][]string
	pages         []string // our own pages that the templates name
}

// NewComposer prepares a content for a channel and a run's tick.
func NewComposer(s *customer.Schema, c *Content, channel string, tick time.Time) (*Composer, error) {
	if !c.has(channel) {
		return nil, fmt.Errorf("campaign %s has no content for channel %s", c.Campaign, channel)
	}
	p := &Composer{channel: channel, schema: s, content: c, tick: tick}
	for _, t := range c.templates(channel) {
		if t != nil {
			p.addPaths(t.Paths())
			p.pages = append(p.pages, t.Pages()...)
		}
	}
	slices.Sort(p.pages)
	p.pages = slices.Compact(p.pages)
	for _, f := range []customer.Field{s.Name, s.Locale} {
		if f.Column != "" {
			p.customerPaths = append(p.customerPaths, []string{f.Column})
		}
	}
	return p, nil
}

func (p *Composer) addPaths(paths [][]string) {
	for _, path := range paths {
		switch {
		case len(path) < 2 || path[0] == "event":
		case path[0] == "customer":
			p.customerPaths = append(p.customerPaths, path[1:])
		default:
			p.rowPaths = append(p.rowPaths, path[1:])
		}
	}
}

// CustomerPaths are the values of the customer that composing reads; RowPaths those of a row of `each`.
func (p *Composer) CustomerPaths() [][]string { return p.customerPaths }

// RowPaths are the values that composing reads of a row of `each`.
func (p *Composer) RowPaths() [][]string { return p.rowPaths }

// Person is whom a message is composed for: the values of CustomerPaths, and of RowPaths for each due row.
type Person struct {
	Customer map[string]any
	Rows     []any
	Event    *segment.Event // that triggered the message; nil: none did
}

// MessageURLs makes one message's public addresses.
type MessageURLs interface {
	Open() string
	Click(part response.Part, link int, query string) (string, error)
	Unsubscribe() string
	Preferences() string
	Confirm() string
}

type trackedURLs struct {
	urls *response.URLs
	id   int64
}

func (t trackedURLs) Open() string        { return t.urls.Open(t.id) }
func (t trackedURLs) Unsubscribe() string { return t.urls.Unsubscribe(t.id) }
func (t trackedURLs) Preferences() string { return t.urls.Preferences(t.id) }
func (t trackedURLs) Confirm() string     { return t.urls.Confirm(t.id) }
func (t trackedURLs) Click(part response.Part, link int, query string) (string, error) {
	return t.urls.Click(t.id, part, link, query)
}

// Compose renders the message. The error is about this person alone: a value that is missing without a default, a link
// that grew too long.
func (p *Composer) Compose(who Person, urls MessageURLs) (*channels.Message, error) {
	switch {
	case p.channel == "sms":
		return p.composeSMS(who, urls)
	case p.channel != "email":
		return p.composeParts(p.content.Others[p.channel], who, urls)
	}
	email := p.content.Email
	vars := p.vars(who, urls)
	r := rendering{vars: vars, urls: urls}
	m := &channels.Message{
		To:             channels.Address{Name: p.field(who, p.schema.Name)},
		ReplyTo:        email.ReplyTo,
		Subject:        r.render(email.Subject, response.HTML),
		HTML:           r.render(email.HTML, response.HTML),
		Text:           r.render(email.Text, response.Text),
		UnsubscribeURL: urls.Unsubscribe(),
		Topic:          p.content.Topic,
		Campaign:       p.content.Campaign,
	}
	return m, r.err
}

// errNoText fails a text message of which nothing is left for this person.
var errNoText = errors.New("nothing is left of the text for this customer")

func (p *Composer) composeSMS(who Person, urls MessageURLs) (*channels.Message, error) {
	r := rendering{vars: p.vars(who, urls), urls: urls}
	m := &channels.Message{
		To:       channels.Address{Name: p.field(who, p.schema.Name)},
		Text:     r.render(p.content.SMS.Text, response.SMS),
		Topic:    p.content.Topic,
		Campaign: p.content.Campaign,
	}
	if m.Text == "" && r.err == nil {
		return nil, errNoText
	}
	return m, r.err
}

func (p *Composer) vars(who Person, urls MessageURLs) map[string]any {
	vars := map[string]any{
		"customer": who.Customer,
		"locale":   p.field(who, p.schema.Locale),
		"today":    p.tick,
		"campaign": map[string]any{"name": p.content.Campaign, "topic": p.content.Topic},
	}
	// Only what is printed: an address costs a signature, and in a text message a code.
	for _, page := range p.pages {
		switch page {
		case "unsubscribe_url":
			vars[page] = urls.Unsubscribe()
		case "preferences_url":
			vars[page] = urls.Preferences()
		case "confirm_url":
			vars[page] = urls.Confirm()
		}
	}
	if who.Event != nil {
		vars["event"] = who.Event.Vars()
	}
	switch {
	case p.content.Each == nil:
	case p.content.Merged:
		vars[p.content.Each.Name] = who.Rows
	case len(who.Rows) > 0:
		vars[p.content.EachName] = who.Rows[0]
	}
	return vars
}

func (p *Composer) field(who Person, f customer.Field) string {
	if f.Column != "" {
		if s, ok := who.Customer[f.Column].(string); ok && s != "" {
			return s
		}
	}
	return f.Default
}

// rendering renders the parts of one message and keeps the first error.
type rendering struct {
	vars map[string]any
	urls MessageURLs
	err  error
}

func (r *rendering) render(t *templates.Template, part response.Part) string {
	if t == nil || r.err != nil {
		return ""
	}
	out, err := t.Render(r.vars, func(index int, query string) string {
		if index == templates.Pixel {
			return r.urls.Open()
		}
		u, err := r.urls.Click(part, index, query)
		if err != nil && r.err == nil {
			r.err = fmt.Errorf("link %d: %w", index+1, err)
		}
		return u
	})
	if err != nil && r.err == nil {
		r.err = err
	}
	return out
}
