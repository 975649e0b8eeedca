package web

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/sapa-crm/sapa/access"
)

// rememberToken is how long a token that worked goes on working for metrics while the database can't be asked: that is
// when metrics matter most.
const rememberToken = time.Hour

// metricsGate lets those read metrics who may read reports.
type metricsGate struct {
	mu   sync.Mutex
	hash [sha256.Size]byte // of the Authorization that worked last
	at   time.Time
}

// metrics answers Prometheus, which sends a token like any program.
func (p *private) metrics(w http.ResponseWriter, r *http.Request) {
	hash := sha256.Sum256([]byte(r.Header.Get("Authorization")))
	user, err := p.Gate.Token(r.Context(), r.Header.Get("Authorization"), clientIP(r, p.Trusted))
	var blocked *access.BlockedError
	switch {
	case err == nil && !user.Can(access.ReadReports):
		p.fail(w, r, notAllowed(user, access.ReadReports))
		return
	case err == nil:
		p.scrapers.remember(hash)
	case errors.Is(err, access.ErrDenied), errors.As(err, &blocked), !p.scrapers.knows(hash):
		p.refuseCaller(w, r, err)
		return
	}
	p.Metrics.ServeHTTP(w, r)
}

func (g *metricsGate) remember(hash [sha256.Size]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hash, g.at = hash, time.Now()
}

func (g *metricsGate) knows(hash [sha256.Size]byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.hash == hash && time.Since(g.at) < rememberToken
}
