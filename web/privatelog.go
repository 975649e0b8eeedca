package web

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/report"
)

// auditView is a page of the audit log with its filters as they were typed.
type auditView struct {
	Actor, Action, Subject, Since string
	Error                         string // of Since
	Entries                       []entryView
	Older                         string // address of the next page, "" on the last
}

type entryView struct {
	access.Logged
	Details string
}

// auditPage is how many entries a page has.
const auditPage = 50

func (p *private) audit(w http.ResponseWriter, r *http.Request, s *access.Session) {
	q := r.URL.Query()
	v := &auditView{Actor: q.Get("actor"), Action: q.Get("action"), Subject: q.Get("subject"), Since: q.Get("since")}
	f := access.LogFilter{Actor: v.Actor, Action: v.Action, Subject: v.Subject, Limit: auditPage + 1}
	status := http.StatusOK
	var err error
	if f.Since, err = report.ParseSince(v.Since, p.Now().In(p.Zone)); err != nil {
		v.Error, status = "Since: "+err.Error()+".", http.StatusUnprocessableEntity
	}
	if f.Before, err = strconv.ParseInt(q.Get("before"), 10, 64); err != nil || f.Before < 0 {
		f.Before = 0
	}
	list, err := p.Audit(r.Context(), f)
	if err != nil {
		p.trouble(w, r, s, err)
		return
	}
	if len(list) > auditPage {
		list = list[:auditPage]
		q.Set("before", strconv.FormatInt(list[auditPage-1].ID, 10))
		v.Older = "/log?" + q.Encode()
	}
	for _, e := range list {
		v.Entries = append(v.Entries, entryView{e, details(e.Detail)})
	}
	p.show(w, r, status, "log", &privateView{Title: "Audit log", User: &s.User, Audit: v})
}

// details writes what an entry says more as JSON, whose keys are in order; "" for nothing.
func details(m map[string]any) string {
	if len(m) == 0 {
		return ""
	}
	text, err := json.Marshal(m)
	if err != nil {
		return "?"
	}
	return string(text)
}

func (p *private) users(w http.ResponseWriter, r *http.Request, s *access.Session) {
	list, err := p.Users(r.Context())
	if err != nil {
		p.trouble(w, r, s, err)
		return
	}
	p.show(w, r, http.StatusOK, "users", &privateView{Title: "Users", User: &s.User, Users: list})
}
