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
//
// The stages are one-way: lex → parse → check (names and types against the schema) → htmlPass (the place of every value,
// links) → render. The language is implemented here, because checking needs the trees of its expressions, which
// github.com/osteele/liquid keeps to itself, and because dates and exact numbers have to compare; that library is what
// the tests compare with (oracle_test.go). A rendering knows plain values only and counts its steps, so that no template
// can call a method, read a file, or run away.
package templates

import (
	"errors"
	"fmt"

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
	SMS                   // a text message: plain text without control characters, of which each costs money
)

// Scope says which variables a template may use: `customer` always, and what the audience adds.
type Scope struct {
	Schema   *customer.Schema
	Each     *customer.Relation // the relation of `each:`; nil when the audience is customers
	EachName string             // its word, such as "vehicle"
	Merged   bool               // merge: customer; the list Each.Name ("vehicles") instead of EachName
	Confirms bool               // the campaign asks for a confirmation: there is confirm_url
	Event    *customer.Entity   // the event that triggers the campaign; nil: none does
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
	format    Format
	src       Source
	nodes     []node
	slots     int // locals
	cycles    int
	links     []Link
	paths     [][]string
	pages     []string
	locale    *locale
	localeTag string
}

// Parse parses and checks a template. The Template is nil when there are problems.
func Parse(src Source, format Format, scope Scope) (*Template, diag.List) {
	r := &reporter{src: src}
	nodes := parseNodes(r)
	c := newChecker(r, format, scope)
	c.nodes(nodes)
	if format == HTML {
		nodes = (&htmlPass{checker: c}).run(nodes)
	}
	links := c.numberLinks()
	if len(r.diags) > 0 {
		return nil, r.diags
	}
	t := &Template{
		format: format, src: src, nodes: nodes, slots: c.slots, cycles: len(c.cycles),
		links: links, paths: c.readPaths(), pages: sortedKeys(c.pages), localeTag: scope.locale(),
	}
	t.locale = findLocale(t.localeTag)
	return t, nil
}

func (s Scope) locale() string {
	if s.Locale == "" && s.Schema != nil {
		return s.Schema.Locale.Default
	}
	return s.Locale
}

// Paths lists the company's columns that the template reads, sorted: {"customer", "first_name"}, {"vehicle", "plate"},
// {"customer", "dealer", "city"}; for a merged list {"vehicles", "plate"}. Where only the existence of rows matters (the
// size of a list, a test of a to-one relation) the path ends with the relation's Remote column.
func (t *Template) Paths() [][]string { return t.paths }

// Links lists the tracked links in the order of their indices.
func (t *Template) Links() []Link { return t.links }

// Pages lists the addresses of the engine's own pages that the template prints, such as "unsubscribe_url", sorted.
func (t *Template) Pages() []string { return t.pages }

// Render fills the template for one person. vars are plain values: string, bool, the integer and float types,
// decimal.Decimal, time.Time, nil, []string, []any and map[string]any; a to-one relation that has no row is nil. Besides
// the rows of the scope they hold "today" (a time in the run's own civil time; templates see its date),
// "campaign" {"name", "topic"}, "unsubscribe_url", "preferences_url", "confirm_url" and
// "locale", of which the addresses may be left out that Pages does not list.
//
// link is called for each tracked link that is rendered, with its index and the personal part of its query (encoded,
// without "?", may be empty), and returns the address to put there; and, in HTML, with Pixel for the address of the
// open pixel, where "" leaves the pixel out. A nil link leaves links as the author wrote them and adds no pixel.
//
// The error is a *MissingError where a missing value would be printed, otherwise a *RenderError.
func (t *Template) Render(vars map[string]any, link func(index int, query string) string) (out string, err error) {
	f := t.newFrame(vars, link)
	defer f.release()
	defer func() {
		if p := recover(); p != nil {
			out, err = "", t.explain(fmt.Errorf("internal error: %v", p))
		}
	}()
	if err := f.nodes(t.nodes); err != nil {
		return "", t.explain(err)
	}
	if len(f.out) > MaxOutput {
		return "", t.explain(f.spend(0))
	}
	return t.finish(f.out), nil
}

// finish makes the string of what was rendered.
func (t *Template) finish(out []byte) string {
	switch t.format {
	case Text:
		out = squeeze(out)
	case Subject:
		out = fold(out)
	case SMS:
		out = squeeze(printable(out))
	}
	return string(out)
}

// explain puts the place in the author's file to an error.
func (t *Template) explain(err error) error {
	var f *failure
	var m *missing
	at := diag.Span{}
	if errors.As(err, &f) {
		at = t.src.span(f.at.off, f.at.len)
	}
	if errors.As(err, &m) {
		return &MissingError{File: t.src.name(), Variable: m.variable, Line: at.Line, Col: at.Col}
	}
	return &RenderError{File: t.src.name(), Line: at.Line, Col: at.Col, Reason: err.Error()}
}
