package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "github.com/twilio/twilio-go/rest/api/v2010"
)

func TestCallbacks(t *testing.T) {
	t.Parallel()
	delivered := []string{"queued", "sent", "delivered"}
	undelivered := []string{"queued", "sent", "undelivered"}
	for to, test := range map[string]struct {
		statuses []string
		code     string
		status   string
	}{
		"+6281234567890": {delivered, "", "delivered"},
		"+6281255553003": {undelivered, "30003", "undelivered"},
		"+6281255553005": {undelivered, "30005", "undelivered"},
		"+6281255553006": {undelivered, "30006", "undelivered"},
		"+6281255554001": {delivered, "", "delivered"},
		"+6281255554002": {delivered, "", "delivered"},
		"+6281255554003": {[]string{"queued", "queued", "sent", "sent", "delivered", "delivered"}, "", "delivered"},
		"+6281255554004": {[]string{"delivered", "sent", "queued"}, "", "delivered"},
		"+6281255554005": {nil, "", "delivered"},
	} {
		t.Run(to, func(t *testing.T) {
			t.Parallel()
			h := newHook(t)
			s := start(t, Config{Late: time.Millisecond})
			m := mustText(t, s, textTo(to, "Halo", h.URL+"/hooks/sms/report/tok?x=1&y=a%20b"))
			settle(t, s)
			if diff := cmp.Diff(test.statuses, h.statuses(*m.Sid)); diff != "" {
				t.Error(diff)
			}
			text, err := s.TextBySID(*m.Sid)
			if err != nil || text.SMS.Status != test.status || fmt.Sprint(text.SMS.Error) != "0"[len(test.code)/5:]+test.code {
				t.Errorf("%+v, %v", text.SMS, err)
			}
			for _, f := range h.all() {
				want := ""
				if f.Get("MessageStatus") == "undelivered" {
					want = test.code
				}
				if f.Get("ErrorCode") != want || f.Get("To") != to || f.Get("From") != sender || f.Get("AccountSid") != DefaultAccountSID ||
					f.Get("ApiVersion") != "2010-04-01" || f.Get("SmsSid") != *m.Sid || f.Get("SmsStatus") != f.Get("MessageStatus") ||
					f.Get("path") != "/hooks/sms/report/tok" {
					t.Errorf("callback %v", f)
				}
			}
		})
	}
}

func TestEarlyCallbacksComeBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	s := start(t, Config{Pace: time.Hour})
	m := mustText(t, s, textTo("+6281255554001", "Halo", h.URL+"/r/tok"))
	if diff := cmp.Diff([]string{"queued", "sent", "delivered"}, h.statuses(*m.Sid)); diff != "" {
		t.Error(diff)
	}
}

func TestLateCallbacksComeAfterTheStatus(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	s := start(t, Config{Late: time.Hour})
	m := mustText(t, s, textTo("+6281255554002", "Halo", h.URL+"/r/tok"))
	for !s.network.waits(30 * time.Minute) {
		time.Sleep(time.Millisecond)
	}
	wantEvents(t, s, *m.Sid, "became sent", "became delivered")
	if got := h.statuses(*m.Sid); got != nil {
		t.Errorf("callbacks %v", got)
	}
}

// waits reports whether the next act is that far away. Without an act to come there is nothing to wait for.
func (n *network) waits(d time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open == 0 || len(n.waiting) > 0 && time.Until(n.waiting[0].due) > d
}

func TestAMessagingServiceChoosesTheSender(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	s := start(t, Config{InboundURL: h.URL + "/in"})
	m := mustText(t, s, (&api.CreateMessageParams{}).SetTo(customer).SetMessagingServiceSid(anyService).SetBody("Halo").SetStatusCallback(h.URL+"/r/tok"))
	settle(t, s)
	text, err := s.TextBySID(*m.Sid)
	if err != nil || text.From != s.optOuts.sender(anyService) || !isNumber(text.From) || text.SMS.Service != anyService {
		t.Errorf("%+v, %v", text, err)
	}
	for _, f := range h.all() {
		if f.Get("From") != text.From || f.Get("MessagingServiceSid") != anyService {
			t.Errorf("callback %v", f)
		}
	}
	if diff := cmp.Diff([]string{"queued", "sent", "delivered"}, h.statuses(*m.Sid)); diff != "" {
		t.Error(diff)
	}
	if _, err := s.Reply(t.Context(), customer, text.From, "Halo juga"); err != nil {
		t.Fatal(err)
	}
	if all := h.all(); all[len(all)-1].Get("MessagingServiceSid") != anyService {
		t.Errorf("inbound %v", all[len(all)-1])
	}
}

func TestACallbackIsTriedAgain(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	s := start(t, Config{Retry: time.Millisecond})
	calls := 0
	h.answerWith(func(url.Values) (int, string, string) {
		if calls++; calls <= 2 { // one text: no two at once
			return http.StatusServiceUnavailable, "", ""
		}
		return http.StatusOK, "", ""
	})
	m := mustText(t, s, textTo(customer, "Halo", h.URL+"/r/tok"))
	settle(t, s)
	want := []string{"queued", "queued", "queued", "sent", "delivered"}
	if diff := cmp.Diff(want, h.statuses(*m.Sid)); diff != "" {
		t.Error(diff)
	}
	wantEvents(t, s, *m.Sid, "told queued 200, 3 attempts", "became sent", "told sent 200", "became delivered", "told delivered 200")

	h.answerWith(func(url.Values) (int, string, string) { return http.StatusNoContent, "", "" })
	m = mustText(t, s, textTo(customer, "Halo", "http://127.0.0.1:1/r/tok")) // nobody listens there
	settle(t, s)
	const nobody = " 0, 5 attempts: dial tcp 127.0.0.1:1: connect: connection refused"
	wantEvents(t, s, *m.Sid, "told queued"+nobody, "became sent", "told sent"+nobody, "became delivered", "told delivered"+nobody)

	h.answerWith(func(url.Values) (int, string, string) { return http.StatusInternalServerError, "", "" })
	m = mustText(t, s, textTo(customer, "Halo", h.URL+"/r/tok"))
	settle(t, s)
	const gone = " 500, 5 attempts: the webhook answered 500 Internal Server Error"
	wantEvents(t, s, *m.Sid, "told queued"+gone, "became sent", "told sent"+gone, "became delivered", "told delivered"+gone)
}

func wantEvents(t *testing.T, s *Server, sid string, want ...string) {
	t.Helper()
	text, err := s.TextBySID(sid)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range text.Events {
		words := "became " + e.Status
		if e.Callback {
			words = fmt.Sprintf("told %s %d", e.Status, e.Code)
		}
		if e.Attempts > 1 {
			words += fmt.Sprintf(", %d attempts", e.Attempts)
		}
		if e.Fault != "" {
			words += ": " + e.Fault
		}
		got = append(got, words)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCallbacksStayOnThisMachine(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Retry: time.Hour})
	const elsewhere = ": not called: the sandbox calls addresses on this machine only"
	for _, address := range []string{"https://sapa.example/r/tok", "http://192.0.2.7/r/tok", "http://127.0.0.1.sapa.example/r/tok"} {
		m := mustText(t, s, textTo(customer, "Halo", address))
		settle(t, s)
		wantEvents(t, s, *m.Sid, "told queued 0"+elsewhere, "became sent", "told sent 0"+elsewhere, "became delivered", "told delivered 0"+elsewhere)
	}
	if err := loopbackOnly("tcp", "192.0.2.7:80", nil); !isPermanent(err) {
		t.Errorf("a name of this machine that leads elsewhere: %v", err)
	}
	h := newHook(t)
	h.answerWith(func(f url.Values) (int, string, string) {
		if f.Get("path") == "/elsewhere" {
			return http.StatusOK, "", ""
		}
		return http.StatusTemporaryRedirect, "", ""
	})
	s = start(t, Config{Retry: time.Millisecond})
	mustText(t, s, textTo(customer, "Halo", h.URL+"/r/tok"))
	settle(t, s)
	if n := len(h.all()); n != 15 {
		t.Errorf("%d calls, want 15: redirects are not followed", n)
	}
}

func TestATextTooOldIsNotSent(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	s := start(t, Config{Pace: 1100 * time.Millisecond})
	m := mustText(t, s, textTo(customer, "Halo", h.URL+"/r/tok").SetValidityPeriod(1))
	settle(t, s)
	wantEvents(t, s, *m.Sid, "told queued 204", "became failed", "told failed 204")
	text, _ := s.TextBySID(*m.Sid)
	if text.SMS.Error != 30036 || !text.SMS.SentAt.IsZero() {
		t.Errorf("%+v", text.SMS)
	}
}

// TestCallbacksGoOnAfterARestart stops a sandbox whose texts wait and starts another in its folder.
func TestCallbacksGoOnAfterARestart(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	dir := t.TempDir()
	s := start(t, Config{Dir: dir, Pace: time.Hour})
	called := make(chan struct{}, 100)
	h.answerWith(func(url.Values) (int, string, string) {
		called <- struct{}{}
		return http.StatusOK, "", ""
	})
	var sids []string
	for range 3 {
		sids = append(sids, *mustText(t, s, textTo(customer, "Halo", h.URL+"/r/tok")).Sid)
		<-called
	}
	for _, sid := range sids { // until what was told is kept, too
		for text, _ := s.TextBySID(sid); len(text.Events) == 0; text, _ = s.TextBySID(sid) {
			time.Sleep(time.Millisecond)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, Config{Dir: dir})
	settle(t, s)
	for _, sid := range sids {
		if diff := cmp.Diff([]string{"queued", "sent", "delivered"}, h.statuses(sid)); diff != "" {
			t.Error(diff)
		}
	}
	s = restartDir(t, s, dir)
	settle(t, s)
	if n := len(h.all()); n != 9 {
		t.Errorf("%d callbacks, want 9", n)
	}
}

func restartDir(t *testing.T, s *Server, dir string) *Server {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return start(t, Config{Dir: dir})
}

// TestCloseEndsACallback stops a sandbox in the last attempt at a callback: the next one begins that callback anew.
func TestCloseEndsACallback(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	dir := t.TempDir()
	s := start(t, Config{Dir: dir, Retry: time.Microsecond})
	called, release := make(chan struct{}), make(chan struct{})
	calls := 0
	h.answerWith(func(url.Values) (int, string, string) {
		if calls++; calls < maxAttempts { // one text: no two at once
			return http.StatusServiceUnavailable, "", ""
		}
		close(called)
		<-release
		return http.StatusOK, "", ""
	})
	m := mustText(t, s, textTo(customer, "Halo", h.URL+"/r/tok"))
	<-called
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	close(release)
	h.answerWith(func(url.Values) (int, string, string) { return http.StatusOK, "", "" })
	s = start(t, Config{Dir: dir})
	settle(t, s)
	wantEvents(t, s, *m.Sid, "told queued 200", "became sent", "told sent 200", "became delivered", "told delivered 200")
}

// TestManyTexts sends many at once and wants every callback, with little memory.
func TestManyTexts(t *testing.T) {
	// Not parallel: it measures the heap.
	const n = 2000
	before := heapSize()
	var mu sync.Mutex
	seen := map[string]int{}
	h := newHook(t)
	h.answerWith(func(f url.Values) (int, string, string) {
		mu.Lock()
		defer mu.Unlock()
		seen[f.Get("MessageStatus")]++
		return http.StatusOK, "", ""
	})
	s := start(t, Config{})
	var senders sync.WaitGroup
	for w := range 16 {
		c := twilioClient(t, s)
		senders.Go(func() {
			for i := w; i < n; i += 16 {
				if _, err := c.CreateMessage(textTo(fmt.Sprintf("+62812%08d", i), strings.Repeat("Halo ", 30), h.URL+fmt.Sprintf("/r/token-%d", i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	senders.Wait()
	settle(t, s)
	if diff := cmp.Diff(map[string]int{"queued": n, "sent": n, "delivered": n}, seen); diff != "" {
		t.Error(diff)
	}
	h.mu.Lock()
	h.forms = nil
	h.mu.Unlock()
	perText := (heapSize() - before) / n
	t.Logf("%d octets of memory for each text", perText)
	if perText > 2500 {
		t.Errorf("%d octets of memory for each text, want at most 2500", perText)
	}
	tokens := map[string]bool{}
	for m := range s.Each(Filter{Channel: ChannelSMS}) {
		tokens[m.Token] = true
	}
	if len(tokens) != n {
		t.Errorf("%d tokens, want %d", len(tokens), n)
	}
}
