package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/report"
)

type privatePage = template.Template

// privateView is what the pages show. Each page has a field of its own.
type privateView struct {
	Company, Title string
	Text           []string // paragraphs of a message
	Done           string   // what the button just did
	Path           string   // for the navigation
	User           *access.User
	Menu           []menuItem

	Login   loginForm
	Home    *homeView
	Run     *runView
	Cancel  *report.Run
	Replies *repliesView
	Desk    *deskView
	Desks   []deskView
	Calls   *callsView
	Audit   *auditView
	Users   []access.User
}

type menuItem struct {
	Path, Label string
	needs       access.Permission
}

var menu = []menuItem{
	{"/", "Campaigns", access.ReadReports},
	{"/replies", "Replies", access.ReadReplies},
	{"/alerts", "Alerts", access.SeeAlerts},
	{"/calls", "Calls", access.MakeCalls},
	{"/log", "Audit log", access.ReadLog},
	{"/users", "Users", access.ManageUsers},
}

// loadPages parses the embedded pages, each within the layout.
func (p *private) loadPages() {
	funcs := template.FuncMap{
		"number": func(n any) string { return message.NewPrinter(language.English).Sprint(n) },
		"time":   p.timeElement,
		"civil":  func(t time.Time) string { return t.Format("Mon 2 Jan 2006 15:04") },
		"percent": func(share *float64) string {
			if share == nil {
				return "–"
			}
			return fmt.Sprintf("%.1f %%", 100**share)
		},
	}
	layout := template.Must(template.New("layout.html").Funcs(funcs).ParseFS(privateFiles, "private/layout.html"))
	p.pages = map[string]*privatePage{}
	for _, name := range []string{"login", "home", "run", "cancel", "replies", "alerts", "desks", "calls", "log", "users", "message"} {
		p.pages[name] = template.Must(template.Must(layout.Clone()).ParseFS(privateFiles, "private/"+name+".html"))
	}
	var err error
	if p.css, err = privateFiles.ReadFile("private/private.css"); err != nil {
		panic(err) // it is embedded
	}
	if p.script, err = privateFiles.ReadFile("private/alerts.js"); err != nil {
		panic(err) // it is embedded
	}
}

// timeElement shows a moment in the company's zone; the machine-readable one is beside it. nil is a dash.
func (p *private) timeElement(value any) template.HTML {
	var t time.Time
	switch v := value.(type) {
	case time.Time:
		t = v
	case *time.Time:
		if v != nil {
			t = *v
		}
	}
	if t.IsZero() {
		return "–"
	}
	words := template.HTMLEscapeString(t.In(p.Zone).Format("2 Jan 2006 15:04 MST"))
	return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339) + `">` + words + `</time>`) //nolint:gosec // escaped above
}

// show writes a page.
func (p *private) show(w http.ResponseWriter, r *http.Request, status int, name string, v *privateView) {
	v.Company, v.Path = p.Company, r.URL.Path
	if v.User != nil {
		for _, item := range menu {
			if v.User.Can(item.needs) && (item.Path != "/calls" || p.Calls.Desk != nil) && (item.Path != "/alerts" || len(p.Alerts.Desks) > 0) {
				v.Menu = append(v.Menu, item)
			}
		}
	}
	var body bytes.Buffer
	if err := p.pages[name].Execute(&body, v); err != nil {
		panic(err) // a mistake in the page
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body.Bytes())
	}
}

// say shows a page that is only a message.
func (p *private) say(w http.ResponseWriter, r *http.Request, s *access.Session, status int, title string, text ...string) {
	v := &privateView{Title: title, Text: text}
	if s != nil {
		v.User = &s.User
	}
	p.show(w, r, status, "message", v)
}

func (p *private) unknown(w http.ResponseWriter, r *http.Request, s *access.Session) {
	p.say(w, r, s, http.StatusNotFound, "There is no such page", "The address may have been copied in part, or the run may be another one.")
}

func (p *private) forbidden(w http.ResponseWriter, r *http.Request, s *access.Session, needs access.Permission) {
	p.say(w, r, s, http.StatusForbidden, "You may not do that", fmt.Sprintf(
		"You are %s with the role %s, which has no permission to %s. An operator can give you another role with: sapa user set-role %[1]s ROLE", s.User.Name, s.User.Role, needs))
}

// trouble shows an error: what the person can do something about in words, what is ours in the log.
func (p *private) trouble(w http.ResponseWriter, r *http.Request, s *access.Session, err error) {
	switch {
	case errors.Is(err, campaign.ErrNotFound), errors.Is(err, report.ErrNotFound):
		p.unknown(w, r, s)
	case errors.Is(err, campaign.ErrState):
		p.say(w, r, s, http.StatusConflict, "That is not possible now", firstLetter(err.Error())+". Somebody else may have been faster; look at the run again.")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		w.Header().Set("Retry-After", "30")
		p.say(w, r, s, http.StatusServiceUnavailable, "That took too long", "Nothing was changed. If a run is being planned at this moment, wait until that is done and try again.")
	default:
		p.Log.Error("request failed", slog.String("route", route(r)), slog.Any("error", err))
		w.Header().Set("Retry-After", "60")
		p.say(w, r, s, http.StatusServiceUnavailable, "Something is not working", "Nothing was changed. The log of sapa serve says what it is; try again in a minute.")
	}
}

func firstLetter(text string) string {
	if text == "" {
		return text
	}
	return string(text[0]&^0x20) + text[1:]
}
