package web

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
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
	err = Serve(t.Context(), l.Addr().String(), http.NotFoundHandler())
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
		if diff := cmp.Diff(want, prefixes(in)); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
	}
}
