package web

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sapa-crm/sapa/access"
)

// Metrics are for those who may read reports, by a token; with a cookie or without either there are none.
func TestMetricsAreForReaders(t *testing.T) {
	t.Parallel()
	var scraped atomic.Int32
	s := newInside(t, func(d *PrivateDeps) {
		d.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			scraped.Add(1)
			_, _ = w.Write([]byte("sapa_up 1\n"))
		})
	})
	for role, status := range map[access.Role]int{access.Operator: 200, access.Analyst: 200, access.Marketer: 200, access.Agent: 403} {
		if a := s.api("GET", "/metrics", s.tokens[role], ""); a.StatusCode != status || (a.body == "sapa_up 1\n") != (status == 200) {
			t.Errorf("%s: %s %q", role, a.Status, a.body)
		}
	}
	for name, token := range map[string]string{"none": "", "wrong": "sapa_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		if a := s.api("GET", "/metrics", token, ""); a.StatusCode != 401 || a.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("token %s: %s %q", name, a.Status, a.body)
		}
	}
	if a := s.get("/metrics", s.as(access.Operator)); a.StatusCode != 401 {
		t.Errorf("with a cookie: %s", a.Status)
	}
	if n := scraped.Load(); n != 3 {
		t.Errorf("scraped %d times, want 3", n)
	}
}

// A token that worked goes on working for metrics while the database is away, and no other does.
func TestMetricsWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	s := newInside(t, func(d *PrivateDeps) {
		d.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("sapa_up 1\n")) })
	})
	if a := s.api("GET", "/metrics", s.tokens[access.Analyst], ""); a.StatusCode != 200 {
		t.Fatal(a.Status)
	}
	s.pool.Close()
	if a := s.api("GET", "/metrics", s.tokens[access.Analyst], ""); a.StatusCode != 200 || a.body != "sapa_up 1\n" {
		t.Errorf("the token that worked: %s %q", a.Status, a.body)
	}
	if a := s.api("GET", "/metrics", s.tokens[access.Operator], ""); a.StatusCode != 503 {
		t.Errorf("another: %s %q", a.Status, a.body)
	}
	if a := s.get("/healthz", ""); a.StatusCode != 200 {
		t.Errorf("healthz: %s", a.Status)
	}
	if a := s.get("/readyz", ""); a.StatusCode != 503 {
		t.Errorf("readyz: %s", a.Status)
	}
}

func TestARememberedTokenEnds(t *testing.T) {
	t.Parallel()
	var g metricsGate
	hash := [32]byte{1}
	if g.knows([32]byte{}) {
		t.Error("no token is remembered")
	}
	g.remember(hash)
	if !g.knows(hash) || g.knows([32]byte{2}) {
		t.Error("the token that worked is known, and no other")
	}
	g.at = time.Now().Add(-rememberToken)
	if g.knows(hash) {
		t.Error("it is known for ever")
	}
}
