// Package templates turns Liquid sources into messages. A template is parsed and checked once, against the company's
// own schema, when a campaign is validated and when a version is loaded; it is then rendered for every person, from
// many goroutines at once.
//
//	Halo {{ customer.first_name | default: "Pelanggan" | titlecase }},
//	{% for v in vehicles %}{{ v.plate }}: {{ v.next_service_on | date_long }}
//	{% endfor %}{{ 'https://bengkel.example/booking' | link }}
//
// What an author can get wrong is a positioned problem at Parse (see package diag): syntax, filters and variables that
// do not exist, links whose host is not fixed, values where HTML can't be escaped safely. What only one person's data
// can get wrong is an error of Render, and fails that message alone: most of all a value that is missing (NULL) and
// printed without `| default:`.
package templates

import (
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
)

// Format is what a template makes. It decides how values are escaped.
type Format int

// The formats.
const (
	HTML    Format = iota // an HTML body: values are escaped for the place they stand in
	Text                  // plain text: nothing is escaped; runs of empty lines become one
	Subject               // one header line: control characters and runs of white space become one space
)

// Source is a template's text and its place in the file that holds it.
type Source struct {
	File *diag.Source // the file that problems point into; nil when there is none
	Text string       // the template itself
	// Line and Col are where Text begins in File, from 1. Text is taken to keep its lines, each beginning at Col (a
	// literal block of YAML, or a scalar on one line). With Col 0 problems point at Line only; with Line 0 Text is the
	// whole file.
	Line, Col int
}

// Scope says which variables a template may use: `customer` always, and what the audience adds.
type Scope struct {
	Schema   *customer.Schema
	Each     *customer.Relation // the relation of `each:`; nil when the audience is customers
	EachName string             // its word, such as "vehicle"
	Merged   bool               // merge: customer; the list Each.Name ("vehicles") instead of EachName
	Locale   string             // for numbers and dates where vars have no "locale"; empty: the schema's default, then "en"
}

// Link is one tracked link of a template.
type Link struct {
	// URL is absolute, http or https. It holds everything that is the same for everybody: scheme, host, path, the
	// leading part of the query that has no Liquid, and the fragment. Target joins it with a person's query.
	URL       string
	Line, Col int // where it stands in the source's file
}

// Pixel is the index with which Render asks for the address of the open pixel.
const Pixel = -1

// Template is a parsed and checked template. It is immutable and safe for concurrent use.
type Template struct {
	format Format
	scope  Scope
	src    Source
	links  []Link
	paths  [][]string
}

// Parse parses and checks a template. The Template is nil when there are problems.
func Parse(src Source, format Format, scope Scope) (*Template, diag.List) {
	return &Template{format: format, scope: scope, src: src}, nil
}

// Paths lists the company's values that the template reads, sorted: {"customer", "first_name"}, {"vehicle", "plate"},
// {"customer", "dealer", "city"}; for a merged list {"vehicles", "plate"}, or {"vehicles"} where only its size is used.
func (t *Template) Paths() [][]string { return t.paths }

// Links lists the tracked links in the order of their indices.
func (t *Template) Links() []Link { return t.links }

// Render fills the template for one person. vars are plain values: string, bool, the integer and float types,
// decimal.Decimal, time.Time, nil, []string, []any and map[string]any; a to-one relation that has no row is nil.
//
// link is called for each tracked link that is rendered, with its index and the personal part of its query (encoded,
// without "?", may be empty), and returns the address to put there; and, in HTML, with Pixel for the address of the
// open pixel, where "" leaves the pixel out. A nil link leaves links as the author wrote them and adds no pixel.
//
// The error is a *MissingError where a missing value would be printed, otherwise a *RenderError.
func (t *Template) Render(vars map[string]any, link func(index int, query string) string) (string, error) {
	return t.src.Text, nil
}

// Target is the address that a tracked link leads to: url as in Link.URL, joined with a person's query.
func Target(url, query string) string { return url }

// TextTemplate makes the source of a text template from the source of an HTML template that parses. Liquid is kept;
// links become `text: URL` and keep the index which they have in the HTML.
func TextTemplate(html string) string { return html }

// TextOf makes plain text from HTML without Liquid.
func TextOf(html string) string { return html }
