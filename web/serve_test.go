package web

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestClientIP(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, c := range []struct {
		remote    string
		forwarded []string
		trusted   []netip.Prefix
		want      string
	}{
		{"203.0.113.9:1", []string{"198.51.100.1"}, nil, "203.0.113.9"},
		{"203.0.113.9:1", []string{"198.51.100.1"}, proxies, "203.0.113.9"},
		{"10.0.0.1:1", []string{"198.51.100.1"}, proxies, "198.51.100.1"},
		{"[::ffff:10.0.0.1]:1", []string{"198.51.100.1"}, proxies, "198.51.100.1"},
		{"10.0.0.1:1", []string{"6.6.6.6, 198.51.100.1, 10.9.9.9"}, proxies, "198.51.100.1"},
		{"10.0.0.1:1", []string{"6.6.6.6", "198.51.100.1"}, proxies, "198.51.100.1"},
		{"10.0.0.1:1", []string{"garbage"}, proxies, "10.0.0.1"},
		{"10.0.0.1:1", nil, proxies, "10.0.0.1"},
		{"127.0.0.1:1", []string{"198.51.100.1"}, nil, "198.51.100.1"},
		{"[::1]:1", []string{"6.6.6.6, 198.51.100.1"}, nil, "198.51.100.1"},
		{"[::ffff:127.0.0.1]:1", []string{"6.6.6.6, 127.0.0.1, 198.51.100.1"}, nil, "198.51.100.1"},
		{"127.0.0.1:1", []string{"198.51.100.1, 127.0.0.1"}, nil, "198.51.100.1"},
		{"192.168.1.4:1", []string{"198.51.100.1"}, nil, "192.168.1.4"},
		{"203.0.113.9:1", []string{"127.0.0.1"}, nil, "203.0.113.9"},
		{"127.0.0.1:1", nil, nil, "127.0.0.1"},
		{"[fe80::1%eth0]:1", nil, nil, "fe80::1"},
		{"pipe", nil, nil, "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := clientIP(r, c.trusted).String(); got != c.want {
			t.Errorf("%s via %q: %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
}

// A request under way is answered when the server stops.
func TestServeDrains(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-release
		_, _ = w.Write([]byte("done"))
	})
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- ServeListener(ctx, l, h) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	body := make(chan string, 1)
	go func() {
		res, err := client.Get("http://" + l.Addr().String())
		if err != nil {
			body <- err.Error()
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		body <- string(b)
	}()
	<-begun
	stop()
	select {
	case err := <-ended:
		t.Fatalf("serve ended with a request under way: %v", err)
	case <-time.After(50 * time.Millisecond): // it must not happen
	}
	close(release)
	if got := <-body; got != "done" {
		t.Errorf("the request got %q", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("serve: %v", err)
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Listen(t.Context(), l.Addr().String())
	want := "listen on " + l.Addr().String() + ": another process uses it\n  stop that one, or choose another port"
	if err == nil || err.Error() != want {
		t.Errorf("error is %v", err)
	}
}

func TestPrefixes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		"": {""}, "https://x": {""}, "https://x/": {""}, "https://x/sapa/": {"", "/sapa"}, "https://x/a/b": {"", "/a/b"},
	} {
		got, err := prefixes(in)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", in, err, diff)
		}
	}
}

// A path that no route can stand below is left out and logged; the routes at the root answer.
func TestUnservablePaths(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"https://x/{a}", "https://x/{token}", "https://x/{", "https://x/}", "https://x/{$}", "https://x/{a...}", "https://x/%7Ba%7D",
		"https://x/a%2Fb", "https://x/a%20b", "https://x/a b", "https://x/%25", "https://x//a", "https://x/a//b", "https://x/../a",
		"https://x/./a", "https://x/a/..", "https://x/surat/é",
	} {
		var log strings.Builder
		h := Public(PublicDeps{PublicURL: in, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if !strings.Contains(log.String(), "msg=\"public_url's path is not served\"") {
			t.Errorf("%s: the log says %q", in, log.String())
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/healthz", http.NoBody))
		if w.Code != 200 {
			t.Errorf("%s: /healthz is answered with %d", in, w.Code)
		}
	}
	for _, in := range []string{"https://x/c", "https://x/o/u", "https://x/healthz", "https://x/A-b_c.d~1/"} {
		Public(PublicDeps{PublicURL: in, Log: slog.New(slog.DiscardHandler)}) // must not panic
	}
}
