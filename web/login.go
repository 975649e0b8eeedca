package web

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/access"
)

// loginForm is what the login page shows.
type loginForm struct {
	Name, Next, Error string
}

func (p *private) showLogin(w http.ResponseWriter, r *http.Request) {
	next := localPath(r.URL.Query().Get("next"))
	if _, err := p.Gate.Session(r.Context(), p.cookie(r)); err == nil {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	p.showForm(w, r, http.StatusOK, loginForm{Next: next})
}

func (p *private) showForm(w http.ResponseWriter, r *http.Request, status int, form loginForm) {
	title := "Log in"
	if form.Error != "" {
		title = "Error: " + title // read first by screen readers
	}
	p.show(w, r, status, "login", &privateView{Title: title, Login: form})
}

func (p *private) login(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, "this form can't be read", http.StatusBadRequest)
		return
	}
	form := loginForm{Name: r.PostForm.Get("name"), Next: localPath(r.PostForm.Get("next"))}
	secret, _, err := p.Gate.Login(r.Context(), form.Name, r.PostForm.Get("password"), clientIP(r, p.Trusted), p.cookie(r))
	var blocked *access.BlockedError
	switch {
	case errors.Is(err, access.ErrDenied):
		form.Error = "The name or the password is wrong."
		p.showForm(w, r, http.StatusUnauthorized, form)
	case errors.As(err, &blocked):
		form.Error = fmt.Sprintf("There were too many wrong attempts. Try again %s.", p.wait(w, blocked))
		p.showForm(w, r, http.StatusTooManyRequests, form)
	case err != nil:
		p.trouble(w, r, nil, err)
	default:
		p.setCookie(w, secret)
		http.Redirect(w, r, form.Next, http.StatusSeeOther)
	}
}

// wait says when to come back, in words and as Retry-After.
func (p *private) wait(w http.ResponseWriter, blocked *access.BlockedError) string {
	left := blocked.Until.Sub(p.Now())
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(left.Seconds())))))
	if left <= time.Minute {
		return "in a minute"
	}
	return fmt.Sprintf("in %d minutes", int(math.Ceil(left.Minutes())))
}

func (p *private) logout(w http.ResponseWriter, r *http.Request, s *access.Session) {
	if err := p.Gate.Logout(r.Context(), p.cookie(r)); err != nil {
		p.trouble(w, r, s, err)
		return
	}
	p.setCookie(w, "")
	w.Header().Set("Clear-Site-Data", `"cache"`)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// localPath is a page of ours to go to after the login, "/" for anything else: the address may be a stranger's making.
func localPath(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || !strings.HasPrefix(to, "/") ||
		strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t") || u.Path == "/login" || u.Path == "/logout" {
		return "/"
	}
	return to
}
