// Package campaign is the YAML language of campaigns and their life: load, check, apply, plan, schedule, runs.
//
//	campaign: birthday
//	topic: greetings
//	audience:
//	  where: birthday(customer.birth_date)
//	  cooldown: 300d
//	schedule: {cron: "0 8 * * *", timezone: customer, until: "18:00"}
//	channels: [email]
//	content:
//	  email: {subject: "Selamat ulang tahun, {{ customer.first_name | default: 'Sobat' }}!", html: birthday.html.liquid}
//
// A file is checked against the company's schema before anything is stored; Apply stores it as an immutable version; a
// run is one execution of a version with frozen time, planned by one set of statements into the ledger that package
// delivery works from. docs/campaigns.md is the reference for authors.
package campaign

import (
	"cmp"
	"time"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/strictyaml"
	"github.com/sapa-crm/sapa/segment"
)

// Definition is a campaign file as written.
type Definition struct {
	Campaign    string    `yaml:"campaign,required" jsonschema:"required" jsonschema_description:"The campaign's name; the file has the same: oil-change is oil-change.yaml"`
	Description string    `yaml:"description" jsonschema_description:"What it is for, in words for colleagues"`
	Topic       string    `yaml:"topic" jsonschema_description:"What consent is asked for and unsubscribing ends; by default the campaign's name"`
	Confirms    string    `yaml:"confirms" jsonschema_description:"A topic with opt_in: double; the campaign goes to those who are still to confirm that they want it"`
	Audience    Audience  `yaml:"audience,required" jsonschema:"required" jsonschema_description:"Who is meant"`
	Schedule    *Schedule `yaml:"schedule" jsonschema_description:"When it runs by itself; without a schedule only sapa run runs it"`
	Trigger     *Trigger  `yaml:"trigger" jsonschema_description:"The event that sends a message to the customer whom it is about, at once; instead of a schedule"`
	Channels    []string  `yaml:"channels" jsonschema_description:"How it goes, such as [email]; of several, such as [whatsapp, sms, letter], the first that reaches the customer. By default the channel that content is for"`
	Then        *Then     `yaml:"then" jsonschema_description:"When it goes on to the next channel"`
	Content     Content   `yaml:"content,required" jsonschema:"required" jsonschema_description:"What is sent"`

	Limits   *Limits           `yaml:"limits" jsonschema_description:"What bounds a run before a person looks at it, and when and how often customers are written to; by default as in sapa.yaml, below rails:"`
	Priority Priority          `yaml:"priority" jsonschema_description:"From -100 to 100, 0 where nothing is said: whose message goes where a cap leaves room for one, and whose work is done first"`
	Seeds    []customer.Seed   `yaml:"seeds" jsonschema_description:"Addresses of the company's own people that get one copy of every run"`
	Approval customer.Approval `yaml:"approval" jsonschema_description:"required: somebody else than who applied a version must approve it before it runs"`
}

// Audience says who is meant, and what makes a repetition distinct.
type Audience struct {
	Each     string   `yaml:"each" jsonschema_description:"One message per row of a relation, such as: customer.vehicles as vehicle"`
	Where    string   `yaml:"where,required" jsonschema:"required" jsonschema_description:"The rule that says who is meant; true for everybody"`
	Occasion Texts    `yaml:"occasion" jsonschema_description:"Expressions whose values make a repetition distinct, such as [vehicle.id, vehicle.next_service_on]; by default once, or once per tick of the schedule (and row of each)"`
	Merge    string   `yaml:"merge" jsonschema:"enum=customer" jsonschema_description:"customer: all due rows of a customer in one message"`
	Cooldown Duration `yaml:"cooldown" jsonschema_description:"Nobody gets this campaign again within this time, whatever the occasion, such as 300d"`
}

// Content is what is sent, by each channel.
type Content struct {
	Email *Email `yaml:"email" jsonschema_description:"The e-mail"`
	SMS   *SMS   `yaml:"sms" jsonschema_description:"The text message"`
	// Others are those of channels with a form.
	Others Blocks `yaml:",inline" jsonschema:"-"`
}

// Email is the content of an e-mail. HTML and Text are templates, or names of files in templates/ ending in .liquid.
type Email struct {
	Subject string       `yaml:"subject,required" jsonschema:"required" jsonschema_description:"Liquid"`
	HTML    string       `yaml:"html" jsonschema_description:"Liquid in HTML or MJML, or the name of a file in templates/ ending in .liquid; .mjml.liquid is MJML"`
	Text    string       `yaml:"text" jsonschema_description:"Liquid, or the name of a file in templates/; made from the HTML where it is left out"`
	ReplyTo ReplyAddress `yaml:"reply_to" jsonschema_description:"Where replies go, when not to the account's own address"`
}

// SMS is the content of a text message. Text is a template, or the name of a file in templates/ ending in .liquid.
type SMS struct {
	Text string `yaml:"text,required" jsonschema:"required" jsonschema_description:"Liquid, or the name of a file in templates/ ending in .liquid"`
}

// Campaign is a checked definition: everything that planning and sending need. It is immutable.
type Campaign struct {
	Definition Definition
	File       *strictyaml.File
	Files      map[string]string // template files that it uses: name → text
	Links      []Link
	Content    *delivery.Content
	// Warnings are what an author should know although nothing is wrong.
	Warnings diag.List

	channel  string
	channels []string // the campaign's channels in its order; nil or one: there is no choice
	schema   *customer.Schema
	scope    *segment.Scope
	base     *segment.Rule // customers.where; nil for every row
	where    *segment.Rule
	each     *customer.Relation // nil: customers themselves
	eachName string
	occasion []*segment.Value
	calendar *calendar        // nil: only by hand
	event    *customer.Entity // that triggers it; nil: none does
}

// Link is a tracked link of a campaign's content.
type Link struct {
	Part     string // html, text, or of other channels than email the channel
	Position int    // among the links of html or text; or among the short links of all other channels
	URL      string
}

// Name is the campaign's name.
func (c *Campaign) Name() string { return c.Definition.Campaign }

// Topic is what consent is asked for: the one that it confirms, or the campaign's name, where none is given.
func (c *Campaign) Topic() string {
	return cmp.Or(c.Definition.Topic, c.Definition.Confirms, c.Definition.Campaign)
}

// Confirms says whether the campaign asks those whose consent to its topic is pending to confirm it.
func (c *Campaign) Confirms() bool { return c.Definition.Confirms != "" }

// Channel is the channel that the campaign uses, and of several the first.
func (c *Campaign) Channel() string { return c.channel }

// Merged says whether a customer's due rows share a message.
func (c *Campaign) Merged() bool { return c.Definition.Audience.Merge == "customer" }

// clock freezes time for a run.
func (c *Campaign) clock(tick, asOf time.Time) segment.Clock {
	zone, err := time.LoadLocation(c.schema.Zone)
	if err != nil {
		zone = time.UTC // Resolve has checked the name; without zone data there is nothing better
	}
	return segment.Clock{Today: date(tick), Now: asOf, Zone: zone, Event: c.anyEvent(asOf)}
}

// date is the civil date of a civil time, as midnight UTC.
func date(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// problems of a text that stands in the YAML, moved to their place in the file.
func inYAML(f *strictyaml.File, path, text string, list diag.List) diag.List {
	moved := make(diag.List, len(list))
	for i, p := range list {
		moved[i] = p
		moved[i].Source = f.Source
		if p.Span.Line > 0 {
			moved[i].Span = f.At(path, offset(text, p.Span), p.Span.Len)
		} else {
			moved[i].Span = f.Span(path)
		}
	}
	return moved
}

// offset is where a span begins in text, in runes.
func offset(text string, at diag.Span) int {
	line, n := 1, 0
	for _, r := range text {
		if line == at.Line {
			break
		}
		if r == '\n' {
			line++
		}
		n++
	}
	return n + at.Col - 1
}
