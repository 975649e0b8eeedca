package httpsend

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
)

// deliver hands messages over in one session.
func deliver(t *testing.T, c *Channel, n int) (outcomes []string, receipts []channels.Receipt) {
	t.Helper()
	s, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	in := make(chan *channels.Message, n)
	for range n {
		in <- &channels.Message{}
	}
	close(in)
	_ = s.Deliver(t.Context(), in, func(*channels.Message) error { return nil }, func(_ *channels.Message, r channels.Receipt, err error) {
		text := channels.VerdictOf(err).String()
		if err != nil {
			text += ": " + strings.ReplaceAll(err.Error(), c.String(), "SERVER")
		}
		outcomes, receipts = append(outcomes, text), append(receipts, r)
	})
	return outcomes, receipts
}

func channel(t *testing.T, url string, change func(*Config)) *Channel {
	t.Helper()
	cfg := Config{Name: "test", URL: url, Compose: func(ctx context.Context, _ *channels.Message) (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("x"))
	}}
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What each status means, where repeating is harmless and where it is not.
func TestJudge(t *testing.T) {
	t.Parallel()
	for status, want := range map[int][2]string{
		200: {"accepted", "accepted"}, 204: {"accepted", "accepted"}, 302: {"unavailable", "unavailable"}, 400: {"permanent", "permanent"},
		401: {"unavailable", "unavailable"}, 403: {"unavailable", "unavailable"}, 404: {"permanent", "permanent"}, 408: {"retry", "retry"},
		410: {"unavailable", "unavailable"}, 422: {"permanent", "permanent"}, 425: {"retry", "retry"}, 429: {"retry", "retry"},
		500: {"unknown", "retry"}, 502: {"unknown", "retry"}, 503: {"unknown", "retry"}, 504: {"unknown", "retry"}, 101: {"unknown", "retry"},
	} {
		for i, repeatable := range []bool{false, true} {
			r, err := Judge(Answer{Status: status, Header: http.Header{"Retry-After": {"70"}}}, repeatable)
			if got := channels.VerdictOf(err).String(); got != want[i] || r.Code != status {
				t.Errorf("HTTP %d, repeatable %v: %s, want %s", status, repeatable, got, want[i])
			}
			if d := channels.RetryDelay(err); want[i] == "retry" && status != 408 && d != 70*time.Second {
				t.Errorf("HTTP %d: try again after %v", status, d)
			}
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"": 0, "x": 0, "-5": 0, " 7 ": 7 * time.Second, "999999999": 24 * time.Hour, "Fri, 01 Jan 2100 00:00:00 GMT": 24 * time.Hour, "Sat, 01 Jan 2000 00:00:00 GMT": 0,
	} {
		if got := (Answer{Header: http.Header{"Retry-After": {header}}}).RetryAfter(); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

// Redirects are answers; interim answers are passed over; a body without an end is cut; a connection is used again.
func TestAnswers(t *testing.T) {
	t.Parallel()
	var where []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		where = append(where, r.RemoteAddr)
		switch len(where) {
		case 1:
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusOK)
		case 2:
			_, _ = w.Write([]byte(strings.Repeat("ä", maxAnswer)))
		case 3:
			w.WriteHeader(http.StatusNoContent)
		default:
			http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusFound)
		}
	}))
	t.Cleanup(server.Close)
	got, receipts := deliver(t, channel(t, server.URL, nil), 5)
	want := []string{"accepted", "accepted", "accepted", "unavailable: the server redirects (HTTP 302), and that is not followed: write the address where it leads to"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if where[0] != where[1] || where[1] == where[2] || where[2] != where[3] {
		t.Errorf("connections: %q", where)
	}
	if n := len(receipts[1].Words); n > channels.MaxWords || n < channels.MaxWords-1 {
		t.Errorf("%d bytes of words", n)
	}
}

// A server that says nothing, or something else, after it has the message.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		says       string
		repeatable bool
		want       string
	}{
		"nothing":              {"", false, "unknown: the message was handed over and SERVER did not answer: no answer within 200ms"},
		"nothing, repeatable":  {"", true, "retry: the message was handed over and SERVER did not answer: no answer within 200ms"},
		"half an answer":       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", false, "unknown: the message was handed over and SERVER did not answer: no answer within 200ms"},
		"interim answers only": {strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 20), false, "unknown: the message was handed over and SERVER did not answer: nothing but interim answers"},
		"no HTTP":              {"220 mail.example ESMTP\r\n", false, `unknown: the message was handed over and SERVER did not answer: malformed HTTP status code "mail.example"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				in := bufio.NewReader(conn)
				if r, err := http.ReadRequest(in); err == nil {
					_ = r.Body.Close()
				}
				fmt.Fprint(conn, c.says)
				_, _ = in.ReadByte() // until the other side hangs up
				_ = conn.Close()
			}()
			got, receipts := deliver(t, channel(t, "http://"+l.Addr().String(), func(cfg *Config) {
				cfg.AnswerTimeout, cfg.Repeatable = 200*time.Millisecond, c.repeatable
			}), 1)
			if diff := cmp.Diff([]string{c.want}, got); diff != "" || receipts[0].HandedOver.IsZero() {
				t.Error(diff, receipts)
			}
		})
	}
}

// The request of a message can't go elsewhere, whatever is in it.
func TestOtherHost(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	got, _ := deliver(t, channel(t, server.URL, func(cfg *Config) {
		cfg.Compose = func(ctx context.Context, _ *channels.Message) (*http.Request, error) {
			return http.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1:1/", nil)
		}
	}), 1)
	if diff := cmp.Diff([]string{"permanent: the request would go to another server than SERVER"}, got); diff != "" {
		t.Error(diff)
	}
}

// TLS is verified, and its connections are used again.
func TestTLS(t *testing.T) {
	t.Parallel()
	var where []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { where = append(where, r.RemoteAddr) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	_, err := channel(t, server.URL, nil).Open(t.Context())
	if channels.VerdictOf(err) != channels.VerdictUnavailable || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
	pool := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	got, _ := deliver(t, channel(t, server.URL, func(cfg *Config) { cfg.RootCAs = pool }), 3)
	if diff := cmp.Diff([]string{"accepted", "accepted", "accepted"}, got); diff != "" || where[0] != where[2] {
		t.Error(diff, where)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://chat.example/hook?token=hunter2": "", "http://localhost:80/x": "", "http://[::1]/": "",
		"http://chat.example/hunter2": "the URL must begin with https://; http:// can be read by everybody on the way and is for this machine only",
		"chat.example":                "the URL can't be read: write one such as https://api.example/send", "https://:443/": "the URL can't be read: write one such as https://api.example/send",
		"https://x.example/%zz": "the URL can't be read: write one such as https://api.example/send",
	} {
		c, err := New(Config{URL: url})
		switch {
		case err == nil && want != "", err != nil && err.Error() != want:
			t.Errorf("%s: %v, want %s", url, err, want)
		case err == nil && strings.Contains(fmt.Sprint(c), "hunter2"):
			t.Errorf("%v shows the token", c)
		}
	}
}

// Which addresses a name may lead to.
func TestMay(t *testing.T) {
	t.Parallel()
	networks := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	for _, c := range []struct {
		host, ip string
		want     bool
	}{
		{"crm.example", "93.184.216.34", true},
		{"crm.example", "2606:2800:220:1::1", true},
		{"crm.example", "127.0.0.1", false},
		{"crm.example", "::1", false},
		{"crm.example", "10.0.0.7", false},
		{"crm.example", "192.168.1.1", false},
		{"crm.example", "169.254.169.254", false},
		{"crm.example", "fe80::1", false},
		{"crm.example", "fd00::1", false},
		{"crm.example", "0.0.0.0", false},
		{"crm.example", "100.64.0.1", false},
		{"crm.example", "224.0.0.1", false},
		{"crm.example", "255.255.255.255", false},
		{"crm.example", "::ffff:10.0.0.7", false},
		{"crm.example", "64:ff9b::a00:7", false},
		{"crm.example", "2002:a00:7::1", false},
		{"crm.example", "64:ff9b::5db8:d822", true},
		{"crm.example", "10.1.2.3", true},
		{"10.0.0.7", "10.0.0.7", true},
		{"10.0.0.7", "10.0.0.8", false},
		{"localhost", "127.0.0.1", true},
		{"localhost", "10.0.0.7", false},
	} {
		a := channel(t, "https://"+c.host, func(cfg *Config) { cfg.Networks = networks })
		if got := a.may(netip.MustParseAddr(c.ip).Unmap()); got != c.want {
			t.Errorf("%s at %s: %v, want %v", c.host, c.ip, got, c.want)
		}
	}
	a := channel(t, "https://crm.example", nil)
	err := a.control(t.Context(), "tcp", "169.254.169.254:443", nil)
	want := "the name leads to 169.254.169.254, an address of a private network; if it is meant, name the network in networks:"
	if err == nil || err.Error() != want {
		t.Error(err)
	}
}

// A session that was closed delivers nothing more.
func TestClosed(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	s, err := channel(t, server.URL, nil).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	err = s.Deliver(t.Context(), nil, nil, nil)
	if channels.VerdictOf(err) != channels.VerdictUnavailable || errors.Unwrap(err).Error() != "the session is closed" {
		t.Error(err)
	}
}
