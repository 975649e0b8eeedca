package sandbox

import (
	"encoding/base64"
	"fmt"
	"html"
	"mime"
	"net/http"
	"regexp"
	"strings"
)

// view is one way to look at a message.
type view struct {
	Name, Label string
}

func allViews() []view {
	return []view{{"html", "HTML"}, {"text", "Text"}, {"headers", "Headers"}, {"source", "Source"}}
}

// letter is the message page.
type letter struct {
	Message
	Mail         *Mail
	View         string
	Views        []view
	Images       bool // show remote images
	RemoteImages int
	Source       string
	SourceCut    bool
	Newer, Older int64 // neighbours, 0 without one
}

// maxSource is how much of a source is shown on the page; the rest is behind its link.
const maxSource = 1 << 20

func (p *pages) message(w http.ResponseWriter, r *http.Request) {
	m, raw, ok := p.find(w, r)
	if !ok {
		return
	}
	if m.SMS != nil {
		p.text(w, m)
		return
	}
	l := letter{Message: m, Mail: &Mail{}, Views: allViews(), Images: r.URL.Query().Get("images") == "1"}
	l.Older, l.Newer = p.neighbours(m.ID)
	if m.Verdict.Accepted {
		mail, err := ParseMail(raw)
		if err != nil {
			mail = &Mail{Text: string(raw), Defects: []string{err.Error()}}
		}
		l.Mail, l.RemoteImages = mail, remoteImages(mail)
	}
	l.View = chooseView(r.URL.Query().Get("view"), l.Mail)
	if l.View == "source" {
		l.SourceCut = len(raw) > maxSource
		l.Source = strings.ToValidUTF8(string(raw[:min(len(raw), maxSource)]), "\uFFFD")
	}
	title := m.Subject
	if title == "" {
		title = "(no subject)"
	}
	p.show(w, http.StatusOK, "message", title, l)
}

// neighbours are the messages before and after one, 0 without one.
func (p *pages) neighbours(id int64) (older, newer int64) {
	if id < p.server.store.count() {
		newer = id + 1
	}
	return id - 1, newer
}

// chooseView is the asked view, or else the richest that the mail has.
func chooseView(asked string, m *Mail) string {
	for _, v := range allViews() {
		if v.Name == asked {
			return asked
		}
	}
	if m.HTML == "" {
		return "text"
	}
	return "html"
}

func remoteImages(m *Mail) int {
	n := 0
	for _, src := range m.Images() {
		if scheme, _, _ := strings.Cut(strings.ToLower(src), ":"); scheme == "http" || scheme == "https" {
			n++
		}
	}
	return n
}

// html serves the mail's own HTML, for the frame. It comes from a stranger: the policy makes it a document without
// origin, scripts, forms or plug-ins, that can load nothing from anywhere. Remote images only on request, because
// loading them tells the sender that the mail was opened. Links open in a window of their own.
func (p *pages) html(w http.ResponseWriter, r *http.Request) {
	m, raw, ok := p.find(w, r)
	if !ok {
		return
	}
	images := "data:"
	if r.URL.Query().Get("images") == "1" {
		images = "data: http: https:"
	}
	w.Header().Set("Content-Security-Policy", "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; "+
		"img-src "+images+"; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'")
	mail, err := ParseMail(raw)
	if err != nil || mail.HTML == "" {
		http.Error(w, fmt.Sprintf("Message %d has no HTML.", m.ID), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(linksOutside(embedImages(mail))))
}

// linksOutside makes links open outside the frame.
func linksOutside(document string) string {
	const base = `<base target="_blank">`
	for _, tag := range []string{`(?i)<head(\s[^>]*)?>`, `(?i)<html(\s[^>]*)?>`, `(?i)<!doctype[^>]*>`} {
		if at := regexp.MustCompile(tag).FindStringIndex(document); at != nil {
			return document[:at[1]] + base + document[at[1]:]
		}
	}
	return base + document
}

// embedImages puts images that travel in the mail (cid:) into the HTML.
func embedImages(m *Mail) string {
	document := m.HTML
	for _, a := range m.Attachments {
		if a.ContentID == "" || !strings.HasPrefix(a.Type, "image/") {
			continue
		}
		data := "data:" + html.EscapeString(a.Type) + ";base64," + base64.StdEncoding.EncodeToString(a.Content)
		document = strings.ReplaceAll(document, "cid:"+html.EscapeString(a.ContentID), data)
	}
	return document
}

// raw serves the message as it came over the wire; of a text, its form.
func (p *pages) raw(w http.ResponseWriter, r *http.Request) {
	m, raw, ok := p.find(w, r)
	if !ok {
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if r.URL.Query().Get("download") == "1" && m.SMS == nil {
		h.Set("Content-Type", "message/rfc822")
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{
			"filename": fmt.Sprintf("message-%d.eml", m.ID),
		}))
	}
	_, _ = w.Write(raw)
}
