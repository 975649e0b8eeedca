package crowd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// agent names the crowd in the logs of those it visits.
const agent = "Mozilla/5.0 (Linux; Android 15; Mobile) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 " +
	"Mobile Safari/537.36 SapaCrowd/1 (simulated customer)"

var errElsewhere = errors.New("the crowd visits this machine only")

// browser makes requests to this machine and to no other.
type browser struct{ client *http.Client }

func newBrowser(timeout time.Duration, connections int) *browser {
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	dialer := &net.Dialer{Timeout: timeout, Control: loopbackOnly}
	return &browser{&http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, MaxIdleConnsPerHost: connections, IdleConnTimeout: time.Minute,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if !isHere(r.URL) || len(via) >= 5 {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}}
}

// loopbackOnly looks at the address that is about to be dialled, after names were resolved.
func loopbackOnly(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%s: %w", address, errElsewhere)
	}
	return nil
}

// isHere reports whether an address is on this machine by its own words.
func isHere(u *url.URL) bool {
	host := u.Hostname()
	ip := net.ParseIP(host)
	return (u.Scheme == "http" || u.Scheme == "https") && (host == "localhost" || ip != nil && ip.IsLoopback())
}

func (b *browser) get(ctx context.Context, u *url.URL) error {
	return b.do(ctx, http.MethodGet, u, "")
}

func (b *browser) post(ctx context.Context, u *url.URL, form string) error {
	return b.do(ctx, http.MethodPost, u, form)
}

func (b *browser) do(ctx context.Context, method string, u *url.URL, form string) error {
	if !isHere(u) {
		return errElsewhere
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(form))
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", agent)
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := b.client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20)) // so that the connection can be used again
	if answer.StatusCode >= 400 {
		return fmt.Errorf("%s %s://%s/…: %s", method, u.Scheme, u.Host, answer.Status)
	}
	return nil
}

func (b *browser) close() { b.client.CloseIdleConnections() }
