package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/access"
)

const (
	// maxBody bounds what a request may carry; the largest we know has some 200 bytes.
	maxBody = 16 << 10
	// patience bounds how long a page or a change may take, within the server's writeTimeout.
	patience = 15 * time.Second
)

// privatePolicy allows our own style and forms, and no script at all.
const privatePolicy = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guard sets the headers that every answer has, bounds time and size, outlives a panic, and logs what happened.
func (p *private) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Robots-Tag", "noindex, nofollow")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Security-Policy", privatePolicy)
		if p.Secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if !feeds(r) {
			ctx, cancel := context.WithTimeout(r.Context(), patience)
			defer cancel()
			r = r.WithContext(ctx)
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		seen := &statusWriter{ResponseWriter: w}
		defer settle(p.Log, p.Requested, seen, r, start)
		next.ServeHTTP(seen, r)
	})
}

// loggedIn lets only those through who have a session; others are shown the login page, which brings them back.
func (p *private) loggedIn(next handlerFor) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := p.Gate.Session(r.Context(), p.cookie(r))
		switch {
		case errors.Is(err, access.ErrDenied):
			to := "/login"
			if r.Method == http.MethodGet && r.URL.Path != "/" {
				to += "?next=" + url.QueryEscape(r.URL.RequestURI())
			}
			http.Redirect(w, r, to, http.StatusSeeOther)
		case err != nil:
			p.trouble(w, r, nil, err)
		default:
			next(w, r, s)
		}
	})
}

// cookieName: browsers keep a cookie with this prefix to the host that set it, and to TLS (RFC 6265bis section 4.1.3.2).
func (p *private) cookieName() string {
	if p.Secure {
		return "__Host-sapa_session"
	}
	return "sapa_session"
}

func (p *private) cookie(r *http.Request) string {
	c, err := r.Cookie(p.cookieName())
	if err != nil {
		return ""
	}
	return c.Value
}

// setCookie gives the browser its session; "" takes it away. It ends with the browser, and by the server's clock.
func (p *private) setCookie(w http.ResponseWriter, secret string) {
	c := &http.Cookie{Name: p.cookieName(), Value: secret, Path: "/", HttpOnly: true, Secure: p.Secure, SameSite: http.SameSiteStrictMode}
	if secret == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// crossOrigin refuses what another site's page made the browser send.
func (p *private) crossOrigin(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/v1/") {
		p.problem(w, &problem{Status: http.StatusForbidden, Code: "cross_origin", Detail: "the request comes from a page of another site", Mend: "call the API from a program, not from a page"})
		return
	}
	p.show(w, r, http.StatusForbidden, "message", &privateView{Title: "That came from another site", Text: []string{
		"The request was sent by a page that is not Sapa’s, so nothing was done. If you meant it, do it from Sapa’s own pages.",
	}})
}
