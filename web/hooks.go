package web

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/response"
)

// maxHook bounds a provider's request.
const maxHook = 64 << 10

// hooks are the routes that providers call, below prefix. They stand in a mux of their own: a public_url whose path is
// /hooks, too, must not be taken for a channel.
func (p *public) hooks(prefix string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/hooks/{channel}/report/{token}", p.only(p.hookReport, "POST"))
	mux.Handle("/hooks/{channel}/inbound", p.only(p.hookInbound, "POST"))
	mux.HandleFunc("/", p.notFound)
	return http.StripPrefix(prefix, mux)
}

// hookReport takes a report on a message.
func (p *public) hookReport(w http.ResponseWriter, r *http.Request) {
	hook, form, ok := p.hook(w, r)
	if !ok {
		return
	}
	report, err := hook.Report(p.hookURL(r), r.Header.Get(hook.SignatureHeader()), form)
	if err != nil {
		p.refuseHook(w, r, err)
		return
	}
	if report.Reply != nil {
		err = p.Hooks.Press(r.Context(), r.PathValue("channel"), r.PathValue("token"), *report.Reply, p.Now())
	} else {
		err = p.Hooks.Report(r.Context(), r.PathValue("channel"), r.PathValue("token"), report, p.Now())
	}
	if err != nil {
		p.failHook(w, r, err)
		return
	}
	if report.Answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	contentType, _ := hook.Answer("")
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(report.Answer) // the provider may have hung up
}

// hookInbound takes a message of a customer and answers it.
func (p *public) hookInbound(w http.ResponseWriter, r *http.Request) {
	hook, form, ok := p.hook(w, r)
	if !ok {
		return
	}
	in, err := hook.Inbound(p.hookURL(r), r.Header.Get(hook.SignatureHeader()), form)
	if err != nil {
		p.refuseHook(w, r, err)
		return
	}
	answer, err := p.Hooks.Inbound(r.Context(), r.PathValue("channel"), in, p.Now())
	if err != nil {
		p.failHook(w, r, err)
		return
	}
	contentType, body := hook.Answer(answer)
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(body) // the provider may be gone; it will ask again and get the same answer
}

// hook is the channel that a request is for, and the request's form. Where there is none it has answered.
func (p *public) hook(w http.ResponseWriter, r *http.Request) (channels.Webhook, url.Values, bool) {
	hook, known := p.Webhooks[r.PathValue("channel")]
	if !known || p.Hooks == nil {
		p.notFound(w, r)
		return nil, nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHook))
	if err != nil {
		status := http.StatusBadRequest
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, http.StatusText(status), status)
		return nil, nil, false
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		http.Error(w, "not a form", http.StatusBadRequest)
		return nil, nil, false
	}
	return hook, form, true
}

// hookURL is the address as the provider was told it: public_url with the request's path and query. The Host header and
// the scheme are not looked at: behind a proxy they are the proxy's, and anybody can send any.
func (p *public) hookURL(r *http.Request) string {
	base := ""
	if u, err := url.Parse(p.PublicURL); err == nil {
		base = u.Scheme + "://" + u.Host + strings.TrimRight(u.EscapedPath(), "/")
	}
	at := base + r.URL.EscapedPath() // without the prefix
	if r.URL.RawQuery != "" {
		at += "?" + r.URL.RawQuery
	}
	return at
}

// refuseHook answers what does not come from the provider, or what it should not have sent. Nothing is stored.
func (p *public) refuseHook(w http.ResponseWriter, r *http.Request, err error) {
	log := []any{slog.String("channel", r.PathValue("channel")), slog.String("kind", hookKind(r))}
	if errors.Is(err, channels.ErrSignature) {
		p.warnUnsigned(log)
		http.Error(w, "the signature does not fit", http.StatusForbidden)
		return
	}
	p.Log.Error("the provider sent what can't be read", append(log, slog.Any("error", err))...)
	http.Error(w, "this form can't be read", http.StatusBadRequest)
}

// warnUnsigned warns once a minute: strangers must not fill the log.
func (p *public) warnUnsigned(attrs []any) {
	now, last := p.Now().Unix(), p.unsigned.Load()
	if now-last >= 60 && p.unsigned.CompareAndSwap(last, now) {
		p.Log.Warn("a request to a provider's hook was not signed by the provider; is public_url the address that it calls?", attrs...)
	}
}

// failHook answers what could not be kept.
func (p *public) failHook(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, response.ErrToken) {
		p.Log.Warn("a provider reports on a message that is not ours", slog.String("channel", r.PathValue("channel")))
		http.Error(w, "no such message", http.StatusNotFound)
		return
	}
	p.Log.Error("hook failed", slog.String("channel", r.PathValue("channel")), slog.String("kind", hookKind(r)), slog.Any("error", err))
	w.Header().Set("Retry-After", "60")
	http.Error(w, "not recorded; please repeat", http.StatusServiceUnavailable)
}

func hookKind(r *http.Request) string {
	if r.PathValue("token") != "" {
		return "report"
	}
	return "inbound"
}
