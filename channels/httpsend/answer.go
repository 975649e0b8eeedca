package httpsend

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sapa-crm/sapa/channels"
)

// Answer is what a server said on a request.
type Answer struct {
	Status int // of HTTP
	Header http.Header
	Body   []byte // at most its first 64 KiB
}

// String names the status and nothing of the server's words, so that it may be logged.
func (a Answer) String() string { return fmt.Sprintf("HTTP %d", a.Status) }

// RetryAfter is the wait that the server asks for (RFC 9110 section 10.2.3), 0 when it does not; at most a day.
func (a Answer) RetryAfter() time.Duration {
	return RetryAfter(a.Header, time.Now())
}

// RetryAfter is the wait that an answer asks for in its header (RFC 9110 section 10.2.3), in seconds or by a date; 0 when it does not;
// at most a day.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(header.Get("Retry-After"))
	const most = 24 * time.Hour
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return time.Duration(min(seconds, int(most/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(most, max(0, at.Sub(now)))
	}
	return 0
}

// Receipt is the receipt of an answer: its status, and the beginning of its body as words.
func (a Answer) Receipt() channels.Receipt {
	words := strings.TrimSpace(strings.ToValidUTF8(string(a.Body), "\uFFFD"))
	if words == "" {
		words = http.StatusText(a.Status)
	}
	return channels.Receipt{Code: a.Status, Words: cut(words, channels.MaxWords)}
}

// Judge is what a status means for a message where nothing better is known:
//
//	2xx                  accepted
//	408, 425, 429        RetryAfter: it was not taken now
//	401, 403, 410, 3xx   Unavailable: it concerns every message, so the account waits and nothing is burned
//	other 4xx            Permanent
//	1xx, 5xx             Unknown, for it may have been taken; RetryAfter where repeating is harmless
func Judge(a Answer, repeatable bool) (channels.Receipt, error) {
	cause := fmt.Errorf("refused (%s)", a)
	switch {
	case a.Status >= 200 && a.Status < 300:
		return a.Receipt(), nil
	case a.Status == http.StatusRequestTimeout, a.Status == http.StatusTooEarly, a.Status == http.StatusTooManyRequests:
		return a.Receipt(), channels.RetryAfter(cause, a.RetryAfter())
	case a.Status >= 300 && a.Status < 400:
		return a.Receipt(), channels.Unavailable(fmt.Errorf("the server redirects (%s), and that is not followed: write the address where it leads to", a))
	case a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden:
		return a.Receipt(), channels.Unavailable(fmt.Errorf("the server refuses the credentials (%s)", a))
	case a.Status == http.StatusGone:
		return a.Receipt(), channels.Unavailable(fmt.Errorf("the server takes no messages at this address any more (%s)", a))
	case a.Status >= 400 && a.Status < 500:
		return a.Receipt(), channels.Permanent(cause)
	case repeatable:
		return a.Receipt(), channels.RetryAfter(fmt.Errorf("the server could not say what became of it (%s)", a), a.RetryAfter())
	}
	return a.Receipt(), channels.Unknown(fmt.Errorf("the server could not say what became of it (%s)", a))
}

// cut bounds a text to n bytes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
