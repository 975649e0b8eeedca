package web

import (
	"errors"
	"net/http"

	"github.com/sapa-crm/sapa/response"
)

// maxForm bounds the body of a POST; ours have some 30 bytes.
const maxForm = 8 << 10

func (p *public) unsubscribe(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		p.decide(w, r)
		return
	}
	s, err := p.Tracker.Subscription(r.Context(), r.PathValue("token"), p.visit(r))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.pages.write(w, r, http.StatusOK, page{kind: pageSubscription, subscription: s})
}

// decide acts on a POST: a mail program's one-click (RFC 8058 section 3.1), or a button of our page. It answers after the
// commit, without redirect or cookie.
func (p *public) decide(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseMultipartForm(maxForm); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		http.Error(w, "this form can't be read", http.StatusBadRequest)
		return
	}
	ctx, token, visit := r.Context(), r.PathValue("token"), p.visit(r)
	var s response.Subscription
	var err error
	oneClick, back := r.PostForm.Get("List-Unsubscribe") == "One-Click", false
	switch scope := r.PostForm.Get("scope"); {
	case oneClick:
		s, err = p.Tracker.Unsubscribe(ctx, token, response.ThisTopic, response.ByOneClick, visit)
	case scope == string(response.ThisTopic), scope == string(response.Everything):
		s, err = p.Tracker.Unsubscribe(ctx, token, response.Scope(scope), response.ByPage, visit)
	case scope == "back":
		back = true
		s, err = p.Tracker.Resubscribe(ctx, token, visit)
	default:
		http.Error(w, "this form says nothing that we know; open the page and use its buttons", http.StatusBadRequest)
		return
	}
	switch {
	case err != nil:
		p.fail(w, r, err)
	case oneClick:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("unsubscribed\n"))
	default:
		p.pages.write(w, r, http.StatusOK, page{kind: pageSubscription, subscription: s, back: back})
	}
}
