package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"html/template"
	"net/http"

	"golang.org/x/text/language"

	"github.com/sapa-crm/sapa/response"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// pageKind says which of the public pages it is.
type pageKind int

const (
	pageUnknown      pageKind = iota // a link that is not ours or has gone
	pageTrouble                      // our trouble: nothing was changed
	pageSubscription                 // the unsubscribe page, before or after a decision
	pagePreferences                  // what a customer gets, and can choose
	pageConfirmation                 // the end of a double opt-in
)

type page struct {
	kind         pageKind
	subscription response.Subscription
	back         bool // the person has just come back
	preferences  *response.Preferences
	confirmation response.Confirmation
}

// pages writes the public pages in the languages we have.
type pages struct {
	company  string
	template *template.Template
	policy   string // Content-Security-Policy
	tags     []language.Tag
	matcher  language.Matcher
}

func newPages(company, preferred string) *pages {
	tags := []language.Tag{language.Indonesian, language.English}
	if preferred == "en" {
		tags[0], tags[1] = tags[1], tags[0]
	}
	sum := sha256.Sum256([]byte(pageCSS))
	return &pages{
		company:  company,
		template: template.Must(template.New("page").Parse(pageHTML)),
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		tags: tags, matcher: language.NewMatcher(tags),
	}
}

// view is what page.html shows.
type view struct {
	Lang, OtherLang, OtherName, SwitchTo string
	CSS                                  template.CSS
	Company, Title                       string
	Status                               string // what has just been done
	Paragraphs                           []string
	Buttons                              []button
	Preferences                          *preferencesView
	Link                                 *link
}

type button struct {
	Scope, Label string
	Quiet        bool // the lesser choice
}

type link struct{ Address, Label string }

// write shows a page. Its address has the token in it: no answer may be kept or name it to others.
func (p *pages) write(w http.ResponseWriter, r *http.Request, status int, pg page) {
	lang := p.language(r)
	v := p.view(lang, pg)
	if pg.kind != pageUnknown && pg.kind != pageTrouble {
		v.OtherLang, v.OtherName = "en", "English"
		if lang == "en" {
			v.OtherLang, v.OtherName = "id", "Bahasa Indonesia"
		}
		v.SwitchTo = "?lang=" + v.OtherLang
	}
	var body bytes.Buffer
	if err := p.template.Execute(&body, v); err != nil {
		panic(err) // a mistake in page.html
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", lang)
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Vary", "Accept-Language")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body.Bytes())
	}
}

// language is the one asked for by ?lang=, else the best of Accept-Language, else the preferred one.
func (p *pages) language(r *http.Request) string {
	if asked := askedLanguage(r); asked != "" {
		return asked
	}
	wanted, _, err := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	if err != nil || len(wanted) == 0 {
		return p.tags[0].String()
	}
	_, i, _ := p.matcher.Match(wanted...)
	return p.tags[i].String()
}

// askedLanguage is that of ?lang=; "" where it says nothing that we speak.
func askedLanguage(r *http.Request) string {
	asked := r.URL.Query().Get("lang")
	if asked == "id" || asked == "en" {
		return asked
	}
	return ""
}

func (p *pages) view(lang string, pg page) (v view) {
	switch pg.kind {
	case pagePreferences:
		v = preferencesPage(lang, p.company, pg.preferences)
	case pageConfirmation:
		v = confirmationPage(lang, p.company, pg.confirmation)
	default:
		words := indonesian
		if lang == "en" {
			words = english
		}
		s := pg.subscription
		v = words(wording{company: p.company, topic: s.Topic.Called(lang), channel: s.Channel}, pg)
		v.Link = toPreferences(lang, s.Preferences)
	}
	v.Lang, v.Company, v.CSS = lang, p.company, template.CSS(pageCSS) //nolint:gosec // our own embedded file
	return v
}

// toPreferences leads to the page of preferences, in the language that is being read; nil without a token.
func toPreferences(lang, token string) *link {
	if token == "" {
		return nil
	}
	label := "Pilih sendiri apa yang Anda terima"
	if lang == "en" {
		label = "Choose what you get"
	}
	return &link{Address: "../p/" + token + "?lang=" + lang, Label: label}
}
