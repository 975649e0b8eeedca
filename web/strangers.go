package web

import (
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// How many addresses that are not ours a network may ask for: strangersBurst at once, and one more each strangersEvery.
// A code of a text message has 8 characters, and this is what keeps it from being guessed; signed tokens need no such
// help, so links that are right always work.
const (
	strangersBurst = 20
	strangersEvery = 10 * time.Second
	strangersMost  = 20_000 // networks remembered, about 2 MB
)

// strangers counts the misses of each network in this process, as the generic cell rate algorithm does: by the moment at
// which all of them will be forgotten.
type strangers struct {
	mu     sync.Mutex
	free   map[netip.Prefix]time.Time
	swept  time.Time
	warned atomic.Bool
}

// spent says whether the network has no miss left.
func (s *strangers) spent(from netip.Prefix, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.free[from].Sub(now) > (strangersBurst-1)*strangersEvery
}

// miss counts a miss, and says whether it was one too many.
func (s *strangers) miss(from netip.Prefix, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	free := s.free[from]
	if free.Before(now) {
		free = now
	}
	if free = free.Add(strangersEvery); free.Sub(now) > strangersBurst*strangersEvery {
		return true
	}
	if _, known := s.free[from]; !known && len(s.free) >= strangersMost {
		s.makeRoom(now)
	}
	if s.free == nil {
		s.free = map[netip.Prefix]time.Time{}
	}
	s.free[from] = free
	return false
}

// makeRoom drops what is forgotten, looking at all once a minute at most, and otherwise any one.
func (s *strangers) makeRoom(now time.Time) {
	if now.Sub(s.swept) >= time.Minute {
		s.swept = now
		for from, free := range s.free {
			if !free.After(now) {
				delete(s.free, from)
			}
		}
	}
	if len(s.free) < strangersMost {
		return
	}
	for from := range s.free {
		delete(s.free, from)
		return
	}
}

// network is whom misses are counted for: an address, and of IPv6 the 64 bits that a provider gives to one customer. It
// is false behind a proxy whose X-Forwarded-For is not believed: there everybody has the same address.
func (p *public) network(r *http.Request) (netip.Prefix, bool) {
	ip := clientIP(r, p.Trusted)
	if !ip.IsValid() {
		return netip.Prefix{}, false
	}
	if (ip.IsPrivate() || ip.IsLoopback()) && r.Header.Get("X-Forwarded-For") != "" {
		if !p.strangers.warned.Swap(true) {
			p.Log.Warn("requests come through a proxy that is not trusted, so guessing can't be slowed; name it with --trusted-proxy")
		}
		return netip.Prefix{}, false
	}
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	from, err := ip.Prefix(bits)
	return from, err == nil
}

// guessable answers nothing below an address that can be guessed to networks that have missed too often.
func (p *public) guessable(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if from, ok := p.network(r); ok && p.strangers.spent(from, p.Now()) {
			p.tooMany(w, r)
			return
		}
		h(w, r)
	}
}

// missed counts a request for something that is not ours, and answers it when it was one too many.
func (p *public) missed(w http.ResponseWriter, r *http.Request) bool {
	from, ok := p.network(r)
	if !ok || !p.strangers.miss(from, p.Now()) {
		return false
	}
	p.Log.Debug("too many misses", slog.String("route", route(r)))
	p.tooMany(w, r)
	return true
}

func (p *public) tooMany(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "60")
	p.pages.write(w, r, http.StatusTooManyRequests, page{kind: pageTrouble})
}
