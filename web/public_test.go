package web

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sapa-crm/sapa/response"
)

func TestPixel(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	a := s.do("GET", s.urls.Open(s.run.Base+1), "")
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "image/gif" || a.body != pixel || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %v %q", a.Status, a.Header, a.body)
	}
	if a = s.do("HEAD", s.urls.Open(s.run.Base+1), ""); a.StatusCode != 200 || a.body != "" || a.ContentLength != int64(len(pixel)) {
		t.Errorf("HEAD: %s %v %q", a.Status, a.Header, a.body)
	}
	if diff := cmp.Diff([]string{"open 1 127.0.0.1 human", "open 1 127.0.0.1 scanner"}, s.hits()); diff != "" {
		t.Error(diff)
	}
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	link, err := s.urls.Click(s.run.Base+2, response.HTML, 0, "plate=H+1234+AB")
	if err != nil {
		t.Fatal(err)
	}
	a := s.do("GET", link, "")
	if a.StatusCode != 302 || a.Header.Get("Location") != "https://bengkel.example/booking?plate=H+1234+AB" || a.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("%s %v", a.Status, a.Header)
	}
	if a := s.do("GET", link+"?url=https://evil.example", ""); a.Header.Get("Location") != "https://bengkel.example/booking?plate=H+1234+AB" {
		t.Errorf("leads to %s", a.Header.Get("Location"))
	}
	if diff := cmp.Diff([]string{"click 2 127.0.0.1 human", "click 2 127.0.0.1 human"}, s.hits()); diff != "" {
		t.Error(diff)
	}
}

// A link whose address can't be looked up in time is our trouble, not an unknown link.
func TestClickWithoutItsAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), `lock table links in access exclusive mode`); err != nil {
		t.Fatal(err)
	}
	link, err := s.urls.Click(s.run.Base+2, response.HTML, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	a := s.do("GET", link, "", "Accept-Language", "en")
	if a.StatusCode != 503 || a.Header.Get("Retry-After") == "" || a.Header.Get("Location") != "" || !strings.Contains(a.body, "<h1>Something is not working</h1>") {
		t.Errorf("%s %v\n%s", a.Status, a.Header, a.body)
	}
}

// A proxy on this machine tells who asked.
func TestForwardedClient(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.do("GET", s.urls.Open(s.run.Base+1), "", "X-Forwarded-For", "6.6.6.6, 198.51.100.1")
	if diff := cmp.Diff([]string{"open 1 198.51.100.1 human"}, s.hits()); diff != "" {
		t.Error(diff)
	}
}

func TestUnknownLinks(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	base, _, _ := strings.Cut(s.urls.Open(1), "/o/")
	cut := s.urls.Unsubscribe(s.run.Base + 1)
	for _, url := range []string{
		base + "/", base + "/o/", base + "/admin", base + "/c/https%3A%2F%2Fevil.example", s.urls.Open(s.run.Base+1) + "x",
		strings.Replace(s.urls.Open(s.run.Base+1), "/o/", "/c/", 1), cut[:len(cut)-2], s.urls.Unsubscribe(s.run.Base + 11),
	} {
		a := s.do("GET", url, "", "Accept-Language", "en")
		if a.StatusCode != 404 || !strings.Contains(a.body, "<h1>We don’t know this link</h1>") || a.Header.Get("Location") != "" {
			t.Errorf("GET %s: %s\n%s", url, a.Status, a.body)
		}
	}
	for url, method := range map[string]string{s.urls.Open(s.run.Base + 1): "POST", s.urls.Unsubscribe(s.run.Base + 1): "PUT"} {
		if a := s.do(method, url, ""); a.StatusCode != 405 || a.Header.Get("Allow") == "" {
			t.Errorf("%s %s: %s", method, url, a.Status)
		}
	}
	if got := s.hits(); len(got) > 0 {
		t.Errorf("recorded %q", got)
	}
}

func TestLogsNameNobody(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	open := s.urls.Open(s.run.Base + 1)
	_, token, _ := strings.Cut(open, "/o/")
	s.do("GET", open, "")
	s.do("GET", strings.Replace(open, "/o/", "/c/", 1), "")
	s.do("GET", strings.Replace(open, "/o/", "/x/", 1), "")
	text := s.log.text()
	if !strings.Contains(text, "route=/o/{token} status=200") || !strings.Contains(text, "route=/c/{token} status=404") || !strings.Contains(text, "route=other status=404") {
		t.Errorf("log lacks the requests:\n%s", text)
	}
	if strings.Contains(text, token) || strings.Contains(text, "127.0.0.1") {
		t.Errorf("log names somebody:\n%s", text)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	for name, sick := range map[string]error{"ready": nil, "not ready": errors.New("no connection")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			began := time.Now()
			s := newSite(t, func(d *PublicDeps) {
				d.PublicURL = "https://bengkel.example/sapa/"
				d.Ready = func(context.Context) error { asked.Add(1); return sick }
			})
			base, _, _ := strings.Cut(s.urls.Open(1), "/o/")
			status, body := 200, "ok\n"
			if sick != nil {
				status, body = 503, "not ready; the log says why\n"
			}
			for range 5 {
				if a := s.do("GET", base+"/sapa/readyz", ""); a.StatusCode != status || a.body != body {
					t.Errorf("readyz: %s %q", a.Status, a.body)
				}
				if a := s.do("GET", base+"/healthz", ""); a.StatusCode != 200 || a.body != "ok\n" {
					t.Errorf("healthz: %s %q", a.Status, a.body)
				}
			}
			if n := time.Duration(asked.Load() - 1); n*probeHolds > time.Since(began) {
				t.Errorf("five who asked within %s had it looked up %d times", time.Since(began), n+1)
			}
			if sick != nil && !strings.Contains(s.log.text(), "no connection") {
				t.Error("the log does not say why")
			}
		})
	}
}

func TestPanicIsOutlived(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(d *PublicDeps) {
		d.Ready = func(context.Context) error { panic("boom") }
	})
	base, _, _ := strings.Cut(s.urls.Open(1), "/o/")
	if a := s.do("GET", base+"/readyz", ""); a.StatusCode != 500 || strings.Contains(a.body, "boom") {
		t.Errorf("%s %q", a.Status, a.body)
	}
	if !strings.Contains(s.log.text(), "panic=boom") {
		t.Error("the panic is not logged")
	}
	if a := s.do("GET", s.urls.Open(s.run.Base+1), ""); a.StatusCode != 200 {
		t.Errorf("afterwards: %s", a.Status)
	}
}
