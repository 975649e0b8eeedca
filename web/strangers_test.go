package web

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sapa-crm/sapa/internal/ledgertest"
)

func TestStrangersAreForgotten(t *testing.T) {
	t.Parallel()
	var s strangers
	from, at := netip.MustParsePrefix("203.0.113.7/32"), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for i := range strangersBurst {
		if s.spent(from, at) || s.miss(from, at) {
			t.Fatalf("miss %d is one too many", i)
		}
	}
	if !s.spent(from, at) || !s.miss(from, at) {
		t.Error("the last miss is not one too many")
	}
	if s.spent(netip.MustParsePrefix("203.0.113.8/32"), at) {
		t.Error("another address pays for it")
	}
	at = at.Add(strangersEvery - time.Second)
	if !s.spent(from, at) {
		t.Error("a miss is forgotten too early")
	}
	at = at.Add(time.Second)
	if s.spent(from, at) || s.miss(from, at) || !s.miss(from, at) {
		t.Error("not exactly one miss is forgotten in ten seconds")
	}
	if s.spent(from, at.Add(strangersBurst*strangersEvery)) {
		t.Error("they are never forgotten")
	}
}

func TestStrangersTakeNoMoreRoom(t *testing.T) {
	t.Parallel()
	var s strangers
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	address := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
	}
	for i := range strangersMost + 500 {
		s.miss(address(i), at)
	}
	if n := len(s.free); n != strangersMost {
		t.Errorf("%d are remembered, want %d", n, strangersMost)
	}
	s.miss(address(1<<20), at.Add(time.Hour))
	if n := len(s.free); n != 1 {
		t.Errorf("%d are remembered after an hour, want 1", n)
	}
}

// Guessing codes of text messages ends after some misses; signed links work all the same.
func TestGuessingCodes(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	clock.Store(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).Unix())
	s := newSite(t, func(d *PublicDeps) { d.Now = func() time.Time { return time.Unix(clock.Load(), 0) } })
	unsubscribe := s.urls.Unsubscribe(s.run.Base + 3)
	base := origin(t, unsubscribe)
	get := func(path string, headers ...string) int {
		t.Helper()
		return s.do("GET", base+path, "", headers...).StatusCode
	}
	ledgertest.Exec(t, s.pool, `insert into short_links (code, message_id, part, link, made_at) values ('Right123', $1, 'html', 0, now())`, s.run.Base+3)
	for i := range strangersBurst {
		if status := get(fmt.Sprintf("/s/Abcdef%02d", i)); status != 404 {
			t.Fatalf("guess %d: %d", i, status)
		}
		if status := get("/s/Right123", "X-Forwarded-For", "198.51.100.21"); status != 302 {
			t.Fatalf("a right code: %d", status)
		}
	}
	if status := get("/s/Right123"); status != 429 {
		t.Errorf("a right code, guessed too late: %d", status)
	}
	if status := get("/s/Zyxwvu98"); status != 429 {
		t.Errorf("one more guess: %d", status)
	}
	if status := get("/u/AAAA"); status != 429 {
		t.Errorf("a forged token after that: %d", status)
	}
	if a := s.do("GET", unsubscribe, ""); a.StatusCode != 200 {
		t.Errorf("a signed link after that: %s", a.Status)
	}
	// Behind a proxy on this machine it is the customer's address that counts.
	if status := get("/s/Zyxwvu98", "X-Forwarded-For", "198.51.100.20"); status != 404 {
		t.Errorf("from elsewhere: %d", status)
	}
	clock.Add(int64(strangersEvery / time.Second))
	if status := get("/s/Zyxwvu98"); status != 404 {
		t.Errorf("ten seconds later: %d", status)
	}
	if status := get("/s/Zyxwvu98"); status != 429 {
		t.Errorf("and another: %d", status)
	}
}

// Where a proxy hides who asks, nobody pays for others.
func TestGuessingBehindAnUnknownProxy(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	base := origin(t, s.urls.Unsubscribe(s.run.Base+3))
	for i := range strangersBurst + 5 {
		a := s.do("GET", fmt.Sprintf("%s/s/Abcdef%02d", base, i), "", "X-Forwarded-For", "10.0.0.9")
		if a.StatusCode != 404 {
			t.Fatalf("guess %d: %s", i, a.Status)
		}
	}
	if got := s.log.text(); strings.Count(got, "name it with --trusted-proxy") != 1 {
		t.Errorf("the log does not say it once:\n%s", got)
	}
}

// origin is an address without its path.
func origin(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Scheme + "://" + u.Host
}
