package web

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// alive answers whoever restarts a process that hangs: it answers, so it lives. Nothing else is asked. To restart a process
// because the database is away would lose what it knows of messages that are on their way.
func alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

// probe answers whoever decides where requests are sent. Strangers may ask, too, so what it found out holds for a second,
// and the reason stands in the log only.
type probe struct {
	ready func(context.Context) error // nil: always
	log   *slog.Logger

	mu    sync.Mutex
	asked time.Time
	err   error
}

const probeHolds = time.Second

func (p *probe) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := p.ask(r.Context())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("not ready; the log says why\n"))
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

func (p *probe) ask(ctx context.Context) error {
	if p.ready == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.asked.IsZero() && time.Since(p.asked) < probeHolds {
		return p.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if p.err = p.ready(ctx); p.err != nil {
		p.log.Warn("not ready", slog.Any("error", p.err))
	}
	p.asked = time.Now()
	return p.err
}
