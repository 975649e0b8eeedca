package twilio

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
)

func always(*channels.Message) error { return nil }

func text1() *channels.Message {
	return &channels.Message{ID: 1, Token: "t1", To: channels.Address{Addr: "+628120000001"}, Text: "Halo"}
}

// send hands one message over on a new session.
func send(ctx context.Context, t *testing.T, c *Channel, m *channels.Message, permit func(*channels.Message) error) (r channels.Receipt, verdict, broken error) {
	t.Helper()
	s := &session{channel: c, transport: c.transport()}
	defer func() { _ = s.Close() }()
	in := make(chan *channels.Message, 1)
	in <- m
	close(in)
	broken = s.Deliver(ctx, in, permit, func(_ *channels.Message, receipt channels.Receipt, err error) { r, verdict = receipt, err })
	return r, verdict, broken
}

// posts are the requests that a server got to send a message.
func (s *server) posts() int {
	return strings.Count(words(s.seen()), "POST ")
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		reply         *reply
		verdict       string
		delay         time.Duration
		suppress      string
		code          int
		words         string
		segments      int
		broken, knows bool // the session ended; the receipt has the provider's id
	}{
		"accepted":               {reply: &reply{status: 201, body: `{"sid": "SM1", "status": "queued", "num_segments": "2"}`}, verdict: "accepted", code: 201, words: "queued", segments: 2, knows: true},
		"accepted by a service":  {reply: &reply{status: 201, body: `{"sid": "SM1", "status": "accepted", "num_segments": "0"}`}, verdict: "accepted", code: 201, words: "accepted", segments: 1, knows: true},
		"accepted, and no id":    {reply: &reply{status: 201, body: `{"status": "queued"}`}, verdict: "unknown", code: 201, segments: 1, broken: true},
		"a page instead of JSON": {reply: &reply{status: 200, body: `<html>Welcome to the hotel's network</html>`}, verdict: "unknown", code: 200, segments: 1, broken: true},
		"opted out":              {reply: failure(400, 21610, "Attempt to send to unsubscribed recipient"), verdict: "suppress", suppress: "opted out", code: 21610, words: "Attempt to send to unsubscribed recipient"},
		"invalid number":         {reply: failure(400, 21211, "Invalid 'To'"), verdict: "permanent", code: 21211, words: "Invalid 'To'"},
		"no mobile number":       {reply: failure(400, 21614, "x"), verdict: "permanent", code: 21614, words: "x"},
		"country not enabled":    {reply: failure(403, 21408, "x"), verdict: "permanent", code: 21408, words: "x"},
		"a code to come":         {reply: failure(400, 29999, "x"), verdict: "permanent", code: 29999, words: "x"},
		"rate limit":             {reply: &reply{status: 429, body: failure(429, 20429, "x").body, header: map[string]string{"Retry-After": "7"}}, verdict: "retry", delay: 7 * time.Second, code: 20429, words: "x"},
		"rate limit, date": {
			reply:   &reply{status: 429, header: map[string]string{"Retry-After": "Sun, 22 Nov 2026 08:00:30 GMT"}},
			verdict: "retry", delay: 30 * time.Second, code: 429, words: "Too Many Requests",
		},
		"queue full":             {reply: failure(400, 21611, "x"), verdict: "retry", code: 21611, words: "x"},
		"number of no country":   {reply: failure(400, 21606, "x"), verdict: "retry", code: 21606, words: "x"},
		"wrong token":            {reply: failure(401, 20003, "Authenticate"), verdict: "unavailable", code: 20003, words: "Authenticate", broken: true},
		"no service":             {reply: failure(404, 21701, "x"), verdict: "unavailable", code: 21701, words: "x", broken: true},
		"forbidden, new code":    {reply: failure(403, 29999, "x"), verdict: "unavailable", code: 29999, words: "x", broken: true},
		"something on the way":   {reply: &reply{status: 403, body: "<html>blocked</html>"}, verdict: "retry", code: 403, words: "Forbidden", broken: true},
		"moved":                  {reply: &reply{status: 307, header: map[string]string{"Location": "/elsewhere"}}, verdict: "retry", code: 307, words: "Temporary Redirect", broken: true},
		"request time-out":       {reply: &reply{status: 408}, verdict: "unknown", code: 408, words: "Request Timeout", segments: 1, broken: true},
		"internal error":         {reply: failure(500, 20500, "x"), verdict: "unknown", code: 20500, words: "x", segments: 1, broken: true},
		"bad gateway":            {reply: &reply{status: 502, body: "<html>Bad Gateway</html>"}, verdict: "unknown", code: 502, words: "Bad Gateway", segments: 1, broken: true},
		"unavailable":            {reply: &reply{status: 503, header: map[string]string{"Retry-After": "5"}}, verdict: "unknown", code: 503, words: "Service Unavailable", segments: 1, broken: true},
		"gateway time-out":       {reply: &reply{status: 504}, verdict: "unknown", code: 504, words: "Gateway Timeout", segments: 1, broken: true},
		"hangs up":               {verdict: "unknown", segments: 1, broken: true},
		"words without end":      {reply: failure(400, 21211, strings.Repeat("é", 400)), verdict: "permanent", code: 21211, words: strings.Repeat("é", 250)},
		"an answer of half JSON": {reply: &reply{status: 400, body: `{"code": 21211, "mess`}, verdict: "retry", code: 400, words: "Bad Request", broken: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, false)
			s.reply = func(*http.Request) *reply { return test.reply }
			now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
			r, err, broken := send(t.Context(), t, s.channel(func(c *Config) { c.Now = func() time.Time { return now } }), text1(), always)
			if got := channels.VerdictOf(err).String(); got != test.verdict || channels.RetryDelay(err) != test.delay || channels.SuppressReason(err) != test.suppress {
				t.Errorf("verdict %s after %v, suppress %q: %v", got, channels.RetryDelay(err), channels.SuppressReason(err), err)
			}
			got := channels.Receipt{Code: r.Code, Words: r.Words, Segments: r.Segments}
			if diff := cmp.Diff(channels.Receipt{Code: test.code, Words: test.words, Segments: test.segments}, got); diff != "" {
				t.Errorf("receipt (-want +got):\n%s", diff)
			}
			if r.HandedOver.IsZero() || (broken != nil) != test.broken || (r.ProviderID != "") != test.knows {
				t.Errorf("handed over %v, broken: %v, id %q", r.HandedOver, broken, r.ProviderID)
			}
			if n := s.posts(); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	const service = "MG0123456789abcdef0123456789abcdef"
	full := text1()
	full.Text, full.CallbackURL, full.ValidUntil = "Halo 🎂 & Budi+1", "https://sapa.example/hooks/sms/report/t1", now.Add(90*time.Second+time.Millisecond)
	late := text1()
	late.ValidUntil = now.Add(11 * time.Hour)
	for name, test := range map[string]struct {
		message *channels.Message
		change  func(*Config)
		want    url.Values
	}{
		"number": {full, func(*Config) {}, url.Values{
			"To": {"+628120000001"}, "From": {"+628110000001"}, "Body": {"Halo 🎂 & Budi+1"},
			"StatusCallback": {"https://sapa.example/hooks/sms/report/t1"}, "ValidityPeriod": {"90"},
		}},
		"service": {late, func(c *Config) { c.From, c.MessagingService = "", service }, url.Values{
			"To": {"+628120000001"}, "MessagingServiceSid": {service}, "Body": {"Halo"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, false)
			c := s.channel(test.change, func(c *Config) { c.Now = func() time.Time { return now } })
			if _, err, _ := send(t.Context(), t, c, test.message, always); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]url.Values{test.want}, s.taken); diff != "" {
				t.Errorf("the form (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"POST /2010-04-01/Accounts/" + testAccount + "/Messages.json"}, s.seen()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A message that could only come too late is not handed over; the next claim says so in the ledger's words.
func TestTooLate(t *testing.T) {
	t.Parallel()
	s := newServer(t, false)
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	m := text1()
	m.ValidUntil = now.Add(leastValidity - time.Millisecond)
	r, err, broken := send(t.Context(), t, s.channel(func(c *Config) { c.Now = func() time.Time { return now } }), m, always)
	if channels.VerdictOf(err) != channels.VerdictRetry || !r.HandedOver.IsZero() || broken != nil || len(s.seen()) != 0 {
		t.Error(r, err, broken, s.seen())
	}
}

// Where Twilio says nothing in time, the message is unknown and nothing is sent again.
func TestNoAnswerInTime(t *testing.T) {
	t.Parallel()
	s := newServer(t, true)
	s.reply = func(*http.Request) *reply { <-s.release; return nil }
	c := s.channel(func(c *Config) { c.AnswerTimeout = 50 * time.Millisecond })
	r, err, broken := send(t.Context(), t, c, text1(), always)
	if channels.VerdictOf(err) != channels.VerdictUnknown || r.HandedOver.IsZero() || channels.VerdictOf(broken) != channels.VerdictUnavailable {
		t.Error(r, err, broken)
	}
	const want = "the message was handed over and Twilio did not answer: no answer in time"
	if err.Error() != want || s.posts() != 1 {
		t.Errorf("%v, %d requests", err, s.posts())
	}
}

// silent is a listener behind which nobody speaks TLS.
func silent(t *testing.T) (host string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln.Addr().String()
}

func TestNoConnectionInTime(t *testing.T) {
	t.Parallel()
	c := newServer(t, true).channel(func(c *Config) { c.BaseURL, c.ConnectTimeout = "https://"+silent(t), 50*time.Millisecond })
	permit := func(*channels.Message) error { t.Error("asked for permission without a connection"); return nil }
	r, err, broken := send(t.Context(), t, c, text1(), permit)
	if channels.VerdictOf(err) != channels.VerdictUnavailable || !r.HandedOver.IsZero() || broken == nil {
		t.Error(r, err, broken)
	}
	if want := "can't reach Twilio at " + c.Account() + ": no connection in time"; err.Error() != want {
		t.Error(err)
	}
}

// A message that was received when the context ended is not handed over, however ready the connection is.
func TestEndedWhileReceiving(t *testing.T) {
	t.Parallel()
	s := newServer(t, false)
	opened, err := s.channel().Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	for range 200 {
		if _, err := opened.(*session).deliver(ctx, text1(), always); channels.VerdictOf(err) != channels.VerdictUnavailable {
			t.Fatal(err)
		}
	}
	if s.posts() != 0 {
		t.Errorf("%d requests", s.posts())
	}
}

// The end of the context ends the connecting, not the session.
func TestEndsWhileConnecting(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	stopping := errors.New("stopping")
	ctx, stop := context.WithCancelCause(t.Context())
	go func() {
		if conn, err := ln.Accept(); err == nil {
			stop(stopping)
			<-t.Context().Done()
			_ = conn.Close()
		}
	}()
	c := newServer(t, true).channel(func(c *Config) { c.BaseURL = "https://" + ln.Addr().String() })
	r, verdict, broken := send(ctx, t, c, text1(), always)
	if channels.VerdictOf(verdict) != channels.VerdictUnavailable || !errors.Is(verdict, stopping) || !r.HandedOver.IsZero() || broken != nil {
		t.Error(r, verdict, broken)
	}
}

// An idle connection that the server has closed costs no message its certainty.
func TestClosedWhileIdle(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{true, false} {
		s := newServer(t, secure)
		opened, err := s.channel().Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		for conn := range s.conns {
			_ = conn.Close()
		}
		s.mu.Unlock()
		in := make(chan *channels.Message, 1)
		in <- text1()
		close(in)
		asked := 0
		broken := opened.Deliver(t.Context(), in, func(*channels.Message) error { asked++; return nil }, func(_ *channels.Message, _ channels.Receipt, err error) {
			if err != nil {
				t.Error(err)
			}
		})
		if broken != nil || s.posts() != 1 || s.dials != 2 || asked != 1 {
			t.Errorf("broken: %v, %d requests on %d connections, asked %d times", broken, s.posts(), s.dials, asked)
		}
		_ = opened.Close()
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		reply   *reply
		verdict string
		words   string
	}{
		"good":                {&reply{status: 200, body: `{"messages": []}`}, "accepted", ""},
		"busy":                {failure(429, 20429, "x"), "accepted", ""},
		"a key for sending":   {failure(401, 70051, "x"), "accepted", ""},
		"wrong token":         {failure(401, 20003, "x"), "permanent", "Twilio refused the credentials or the account BASE (HTTP 401, error 20003): check TWILIO_URL and whether the account is active"},
		"suspended":           {failure(403, 20403, "x"), "permanent", "Twilio refused the credentials or the account BASE (HTTP 403, error 20403): check TWILIO_URL and whether the account is active"},
		"unauthorized":        {&reply{status: 401}, "permanent", "Twilio refused the credentials or the account BASE (HTTP 401): check TWILIO_URL and whether the account is active"},
		"another account":     {failure(404, 20404, "x"), "permanent", "Twilio knows no account BASE (HTTP 404, error 20404): check TWILIO_URL"},
		"down":                {&reply{status: 503}, "unavailable", "BASE can't be used now (HTTP 503)"},
		"somebody on the way": {&reply{status: 403, body: "<html>"}, "unavailable", "BASE can't be used now (HTTP 403)"},
		"hangs up":            {nil, "unavailable", "can't reach Twilio at BASE: EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, false)
			s.reply = func(*http.Request) *reply { return test.reply }
			c := s.channel()
			opened, err := c.Open(t.Context())
			if got := channels.VerdictOf(err).String(); got != test.verdict {
				t.Errorf("%s: %v", got, err)
			}
			if err != nil && strings.ReplaceAll(err.Error(), c.Account(), "BASE") != test.words {
				t.Error(err)
			}
			if opened != nil {
				_ = opened.Close()
			}
		})
	}
}

func TestInquire(t *testing.T) {
	t.Parallel()
	const id = "SM0123456789abcdef0123456789abcdef"
	for name, test := range map[string]struct {
		reply *reply
		want  channels.Inquiry
		err   string
	}{
		"delivered": {
			&reply{status: 200, body: `{"sid": "` + id + `", "status": "delivered", "num_segments": "2", "price": "-0.05270", "price_unit": "usd", "error_code": null}`},
			channels.Inquiry{Report: channels.Report{ProviderID: id, Status: channels.ReportDelivered}, Segments: 2, Price: "0.05270", Currency: "USD"},
			"",
		},
		"on its way": {
			&reply{status: 200, body: `{"sid": "` + id + `", "status": "sent", "num_segments": "1", "price": null, "price_unit": "USD"}`},
			channels.Inquiry{Report: channels.Report{ProviderID: id, Status: channels.ReportSent}, Segments: 1},
			"",
		},
		"undelivered": {
			&reply{status: 200, body: `{"sid": "` + id + `", "status": "undelivered", "num_segments": "1", "error_code": 30005, "price": "0", "price_unit": "USD"}`},
			channels.Inquiry{Report: channels.Report{
				ProviderID: id, Status: channels.ReportUndelivered, Code: 30005, Words: "no such number, or not in use any more", Suppress: "no such number",
			}, Segments: 1, Price: "0", Currency: "USD"},
			"",
		},
		"unknown":   {failure(404, 20404, "x"), channels.Inquiry{}, "ask Twilio for message " + id + ": the provider knows no such message"},
		"no JSON":   {&reply{status: 200, body: "<html>"}, channels.Inquiry{}, "Twilio's answer can't be read"},
		"busy":      {failure(429, 20429, "x"), channels.Inquiry{}, "ask Twilio for message " + id + ": HTTP 429, error 20429"},
		"down":      {&reply{status: 500}, channels.Inquiry{}, "BASE can't be used now (HTTP 500)"},
		"bad token": {failure(401, 20003, "x"), channels.Inquiry{}, "Twilio refused the credentials or the account BASE (HTTP 401, error 20003): check TWILIO_URL and whether the account is active"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, false)
			s.reply = func(*http.Request) *reply { return test.reply }
			c := s.channel()
			got, err := c.Inquire(t.Context(), id)
			if err != nil && strings.ReplaceAll(err.Error(), c.Account(), "BASE") != test.err || err == nil && test.err != "" {
				t.Error(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if errors.Is(err, channels.ErrNoMessage) != (name == "unknown") {
				t.Errorf("%v", err)
			}
			if diff := cmp.Diff([]string{"GET /2010-04-01/Accounts/" + testAccount + "/Messages/" + id + ".json"}, s.seen()); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := newServer(t, false).channel().Inquire(t.Context(), "../Calls/CA1"); !errors.Is(err, channels.ErrNoMessage) {
		t.Error(err)
	}
}
