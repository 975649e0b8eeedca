package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/report"
)

// repliesView is what customers wrote, the latest first.
type repliesView struct {
	List []report.Reply
	All  bool
	More bool
}

// repliesPage is how many a page has.
const repliesPage = 100

func (p *private) replies(w http.ResponseWriter, r *http.Request, s *access.Session) {
	v := &repliesView{All: r.URL.Query().Get("all") == "true"}
	list, err := p.Replies(r.Context(), report.ReplyFilter{All: v.All, Limit: repliesPage + 1})
	if err != nil {
		p.trouble(w, r, s, err)
		return
	}
	slices.Reverse(list)
	v.More = len(list) > repliesPage
	v.List = list[:min(len(list), repliesPage)]
	said := ""
	if n, err := strconv.Atoi(r.URL.Query().Get("read")); err == nil && n >= 0 {
		said = fmt.Sprintf("%d marked as read.", n)
	}
	p.show(w, r, http.StatusOK, "replies", &privateView{Title: "Replies", User: &s.User, Replies: v, Done: said})
}

// markRead notes that somebody has read what was ticked.
func (p *private) markRead(w http.ResponseWriter, r *http.Request, s *access.Session) {
	if err := r.ParseForm(); err != nil {
		p.say(w, r, s, http.StatusBadRequest, "This form can’t be read", "Go back and try again.")
		return
	}
	var ids []int64
	for _, text := range r.PostForm["id"] {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			p.say(w, r, s, http.StatusBadRequest, "This form can’t be read", "Go back and try again.")
			return
		}
		ids = append(ids, id)
	}
	n, err := p.Seen(r.Context(), ids, s.User.Name)
	if err != nil {
		p.trouble(w, r, s, err)
		return
	}
	http.Redirect(w, r, fmt.Sprintf("/replies?read=%d", n), http.StatusSeeOther)
}
