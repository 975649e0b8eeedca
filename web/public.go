// Package web is what Sapa shows over HTTP. So far that is the public listener, which customers and their mail programs
// reach through the links of a message:
//
//	GET  /o/TOKEN   the pixel, 1×1 GIF
//	GET  /c/TOKEN   a tracked link: a redirect
//	GET  /s/CODE    a tracked link of a text message: a redirect
//	GET  /u/TOKEN   the unsubscribe page; shows, never changes anything
//	POST /u/TOKEN   acts: the page's buttons, or the one-click form of RFC 8058
//	GET  /p/TOKEN   the page of preferences; shows what is in force
//	POST /p/TOKEN   acts: topics, channels, a pause, an end of everything
//	GET  /k/TOKEN   the page that confirms a double opt-in; shows, never changes anything
//	POST /k/TOKEN   confirms it
//	GET  /healthz   ok: the process lives
//	GET  /readyz    ok, when requests may be sent here
//	POST /hooks/CHANNEL/report/TOKEN   a provider reports on a message
//	POST /hooks/CHANNEL/inbound        a provider hands on a message of a customer
//
// Everything else is not found. It decodes, calls package response, and encodes; it has no SQL, sets no cookies, and logs
// neither tokens nor addresses.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/response"
)

// PublicDeps is what the public listener needs. Tracker and Company are required.
type PublicDeps struct {
	Tracker *response.Tracker
	Company string // whom the unsubscribe page speaks for, as customers know it
	// PublicURL is the address that messages carry. Where it has a path, that is served with and without it, so that a proxy may
	// strip it or not.
	PublicURL string
	Webhooks  map[string]channels.Webhook // by channel: who verifies what providers tell us
	Hooks     *response.Hooks             // keeps it; nil: providers are not listened to
	Language  string                      // of pages for browsers that ask for none we have: "id" (default) or "en"
	Ready     func(context.Context) error // whether it may be sent requests; nil: always
	// Requested hears of each request that was answered, with the pattern of its route.
	Requested func(route string, status int, took time.Duration)
	Trusted   []netip.Prefix   // proxies whose X-Forwarded-For is believed, besides those on this machine (loopback)
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger     // nil: slog.Default()
}

// public is the handler.
type public struct {
	PublicDeps
	pages     *pages
	strangers strangers
	unsigned  atomic.Int64 // when the last warning of a request without a provider's signature was logged, Unix seconds
}

// Public is the handler of the public listener.
func Public(deps PublicDeps) http.Handler {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	p := &public{PublicDeps: deps, pages: newPages(deps.Company, deps.Language)}
	mux := http.NewServeMux()
	below, err := prefixes(deps.PublicURL)
	if err != nil {
		p.Log.Error("public_url's path is not served", slog.Any("error", err))
	}
	ready := &probe{ready: deps.Ready, log: deps.Log}
	for _, prefix := range below {
		mux.Handle(prefix+"/o/{token}", p.only(p.open, "GET", "HEAD"))
		mux.Handle(prefix+"/c/{token}", p.only(p.click, "GET", "HEAD"))
		mux.Handle(prefix+"/s/{token}", p.only(p.guessable(p.short), "GET", "HEAD"))
		mux.Handle(prefix+"/u/{token}", p.only(p.unsubscribe, "GET", "HEAD", "POST"))
		mux.Handle(prefix+"/p/{token}", p.only(p.preferences, "GET", "HEAD", "POST"))
		mux.Handle(prefix+"/k/{token}", p.only(p.confirm, "GET", "HEAD", "POST"))
		mux.Handle(prefix+"/healthz", p.only(alive, "GET", "HEAD"))
		mux.Handle(prefix+"/readyz", p.only(ready.ServeHTTP, "GET", "HEAD"))
		mux.Handle(prefix+"/hooks/", p.hooks(prefix))
	}
	mux.HandleFunc("/", p.notFound)
	return p.guard(mux)
}

// plainPath is a path that means the same in a URL and in a pattern of http.ServeMux.
var plainPath = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)

// prefixes are the paths below which the routes stand: the root and the path of the public address. With an error, which
// says how to mend the address, they are the root alone: a proxy may still strip the path.
func prefixes(publicURL string) ([]string, error) {
	root := []string{""}
	u, err := url.Parse(publicURL)
	if err != nil {
		return root, err
	}
	below := strings.TrimRight(u.EscapedPath(), "/")
	if below == "" {
		return root, nil
	}
	if !plainPath.MatchString(below) || path.Clean(below) != below {
		return root, fmt.Errorf("path %s of public_url: write it with letters, digits and - . _ ~ between single slashes", below)
	}
	return append(root, below), nil
}

// only answers other methods with 405.
func (p *public) only(h http.HandlerFunc, methods ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, m := range methods {
			if r.Method == m {
				h(w, r)
				return
			}
		}
		for _, m := range methods {
			w.Header().Add("Allow", m)
		}
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	})
}

// pixel is the smallest transparent GIF89a.
const pixel = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

func (p *public) open(w http.ResponseWriter, r *http.Request) {
	if err := p.Tracker.Open(r.Context(), r.PathValue("token"), p.visit(r)); err != nil {
		p.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "image/gif")
	h.Set("Content-Length", strconv.Itoa(len(pixel)))
	h.Set("Cross-Origin-Resource-Policy", "cross-origin") // web mail shows it on its own pages
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(pixel)) // whoever asked may be gone
	}
}

func (p *public) click(w http.ResponseWriter, r *http.Request) {
	target, err := p.Tracker.Click(r.Context(), withoutPunctuation(r.PathValue("token")), p.visit(r))
	p.redirect(w, r, target, err)
}

func (p *public) short(w http.ResponseWriter, r *http.Request) {
	target, err := p.Tracker.ClickCode(r.Context(), withoutPunctuation(r.PathValue("token")), p.visit(r))
	p.redirect(w, r, target, err)
}

func (p *public) redirect(w http.ResponseWriter, r *http.Request, target string, err error) {
	if err != nil {
		p.fail(w, r, err)
		return
	}
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusFound)
}

// withoutPunctuation forgives what programs take for the end of an address that stands in a text, as in
// "(https://sapa.example/s/Ab3dE9xZ)." None of it ends a token or a code.
func withoutPunctuation(token string) string {
	return strings.TrimRight(token, ".,;:!?…'\"’”»*)]}> ")
}

func (p *public) notFound(w http.ResponseWriter, r *http.Request) {
	p.pages.write(w, r, http.StatusNotFound, page{kind: pageUnknown})
}

// fail shows an error of the Tracker: a link that is not ours or has gone is not found, anything else is our trouble.
func (p *public) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, response.ErrToken) || errors.Is(err, response.ErrNoLink) {
		p.Log.Debug("not found", slog.String("route", route(r)), slog.Any("reason", err))
		if !p.missed(w, r) {
			p.notFound(w, r)
		}
		return
	}
	p.Log.Error("request failed", slog.String("route", route(r)), slog.Any("error", err))
	w.Header().Set("Retry-After", "60")
	p.pages.write(w, r, http.StatusServiceUnavailable, page{kind: pageTrouble})
}

// visit is what package response wants to know of a request.
func (p *public) visit(r *http.Request) response.Visit {
	return response.Visit{
		At: p.Now(), IP: clientIP(r, p.Trusted), Method: r.Method,
		UserAgent: r.UserAgent(), Purpose: purpose(r.Header),
	}
}

// purpose is why a program says that it fetches a page before a person wants it.
func purpose(h http.Header) string {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		if v := h.Get(name); v != "" {
			return v
		}
	}
	return ""
}
