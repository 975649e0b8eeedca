package web

import (
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"
)

// guard sets the headers that every answer has, outlives a panic, and logs what happened without tokens and addresses.
func (p *public) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Robots-Tag", "noindex, nofollow")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		seen := &statusWriter{ResponseWriter: w}
		defer settle(p.Log, p.Requested, seen, r, start)
		next.ServeHTTP(seen, r)
	})
}

// settle ends a request: a panic becomes an answer and an error in the log, and every request a line for debugging. It is
// deferred itself, as recover needs it.
func settle(log *slog.Logger, requested func(string, int, time.Duration), seen *statusWriter, r *http.Request, start time.Time) {
	if cause := recover(); cause != nil {
		if cause == http.ErrAbortHandler { //nolint:errorlint // a panic's value, compared as net/http does
			panic(cause)
		}
		log.Error("request panicked", slog.String("route", route(r)), slog.Any("panic", cause), slog.String("stack", string(debug.Stack())))
		if seen.status == 0 {
			http.Error(seen, "something went wrong; please try again later", http.StatusInternalServerError)
		}
	}
	took := time.Since(start)
	if requested != nil {
		requested(route(r), seen.status, took)
	}
	log.Debug("request", slog.String("method", method(r)), slog.String("route", route(r)), slog.Int("status", seen.status), slog.Duration("took", took))
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController and http.MaxBytesReader reach the server's own writer.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// route is the request's path without its token.
func route(r *http.Request) string {
	if _, pattern, ok := strings.Cut(r.Pattern, "/"); ok && pattern != "" {
		return "/" + pattern
	}
	return "other"
}

// method is the request's method, if it is one we answer: a stranger can write anything there.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
		return r.Method
	}
	return "other"
}

// clientIP is the address of the client: of the connection, or, where that belongs to a trusted proxy, the last one in
// X-Forwarded-For that does not. What stands further left could be the client's invention. A proxy on this machine is
// trusted: nobody else can connect from a loopback address.
func clientIP(r *http.Request, trusted []netip.Prefix) netip.Addr {
	port, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	ip := port.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && (ip.IsLoopback() || among(ip, trusted)); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		ip = hop.Unmap().WithZone("")
	}
	return ip
}

func among(ip netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
