package email

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
)

// result is one message's outcome, in words that a table can hold.
func result(m *channels.Message, r channels.Receipt, err error) string {
	handed := "kept"
	if !r.HandedOver.IsZero() {
		handed = "handed over"
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s, %s %d %s %s", m.ID, channels.VerdictOf(err), handed, r.Code, r.Enhanced, r.Words))
}

func testMessage(i int) *channels.Message {
	return &channels.Message{
		ID: int64(i), Token: fmt.Sprintf("token%d", i), To: channels.Address{Addr: fmt.Sprintf("ani%d@example.org", i)},
		Subject: "Halo", Text: "Halo,\n.titik\n", Date: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC),
	}
}

func yes(*channels.Message) error { return nil }

// modes are the ways to talk to a server: what it offers, and the most that it is trusted with.
var modes = map[string]struct {
	offers string
	most   manner
}{
	"one trip": {"PIPELINING", oneTrip}, "grouped": {"PIPELINING", grouped}, "step by step": {"8BITMIME", oneTrip},
}

// conversation delivers n messages over one session and returns the outcomes, and Deliver's error.
func conversation(t *testing.T, c *Channel, n int) ([]string, error) {
	t.Helper()
	s, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	in := make(chan *channels.Message, n)
	for i := range n {
		in <- testMessage(i + 1)
	}
	close(in)
	var results []string
	err = s.Deliver(t.Context(), in, yes, func(m *channels.Message, r channels.Receipt, err error) {
		results = append(results, result(m, r, err))
	})
	return results, err
}

// hook is a server's: whether it has answered.
type hook = func(p *peer, verb, line string) bool

// on makes a hook that acts once, on the nth time of the verb, counting from 1.
func on(verb string, nth int, act func(p *peer, line string)) hook {
	var seen atomic.Int64 // on all connections
	return func(p *peer, v, line string) bool {
		if v != verb || seen.Add(1) != int64(nth) {
			return false
		}
		act(p, line)
		return true
	}
}

func says(lines ...string) func(*peer, string) {
	return func(p *peer, _ string) { p.say(lines...) }
}

func drops(p *peer, _ string) { p.drop() }

const (
	ok1 = "1 accepted, handed over 250 2.0.0 Ok: queued as 4XyZ1"
	ok2 = "2 accepted, handed over 250 2.0.0 Ok: queued as 4XyZ2"
	ok3 = "3 accepted, handed over 250 2.0.0 Ok: queued as 4XyZ3"
)

// TestDialogue puts one fault into a conversation of three messages, in each mode. Each case says what becomes of each
// message, what the session's end says, and how many messages the server took; and what of it is otherwise where the
// third message's envelope has gone out with the second one's final dot.
func TestDialogue(t *testing.T) {
	t.Parallel()
	const queued3 = "3 accepted, handed over 250 2.0.0 Ok: queued as 4XyZ2" // the third message, the second at the server
	for name, test := range map[string]struct {
		hook  func() hook
		want  []string
		error string
		taken int
		ahead string // the third message's outcome, too, in one trip
		trips string // the error in one trip
	}{
		"nothing wrong": {
			hook:  func() hook { return on("", 0, nil) },
			want:  []string{ok1, ok2, ok3},
			taken: 3,
		},
		"sender refused": {
			hook:  func() hook { return on("MAIL", 2, says("550 5.7.1 halo@bengkel.example is not yours")) },
			want:  []string{ok1, "2 unavailable, kept 550 5.7.1 halo@bengkel.example is not yours"},
			error: "the SMTP server refuses the sender: 550 5.7.1 halo@bengkel.example is not yours: check `from`, and whether this account may send as it",
			taken: 1,
		},
		"disk full at MAIL": {
			hook:  func() hook { return on("MAIL", 2, says("452 4.3.1 Insufficient system storage")) },
			want:  []string{ok1, "2 unavailable, kept 452 4.3.1 Insufficient system storage"},
			error: "the SMTP server takes no mail now: 452 4.3.1 Insufficient system storage",
			taken: 1,
		},
		"too big at MAIL": {
			hook:  func() hook { return on("MAIL", 2, says("552 5.3.4 Message size exceeds fixed limit")) },
			want:  []string{ok1, "2 permanent, kept 552 5.3.4 Message size exceeds fixed limit", queued3},
			taken: 2,
		},
		"disk full at the dot": {
			hook:  func() hook { return on("CONTENT", 2, says("452 4.3.1 Insufficient system storage")) },
			want:  []string{ok1, "2 retry, handed over 452 4.3.1 Insufficient system storage", queued3},
			taken: 2,
		},
		"recipient unknown": {
			hook:  func() hook { return on("RCPT", 2, says("550 5.1.1 User unknown")) },
			want:  []string{ok1, "2 suppress, kept 550 5.1.1 User unknown", queued3},
			taken: 2,
		},
		"reply in many lines": {
			hook: func() hook {
				return on("RCPT", 2, says("550-5.1.1 The account does not exist.", "550-5.1.1 Check for typos:", "550 5.1.1 https://example"))
			},
			want:  []string{ok1, "2 suppress, kept 550 5.1.1 The account does not exist. Check for typos: https://example", queued3},
			taken: 2,
		},
		"DATA opened after a refused recipient": {
			hook: func() hook {
				refused := on("RCPT", 2, says("550 5.1.1 User unknown"))
				opened := on("DATA", 2, func(p *peer, _ string) {
					p.say("354 all the same")
					if line, _ := p.r.ReadString('\n'); line != ".\r\n" {
						p.server.t.Errorf("after the refused recipient came %q, not a single dot", line)
					}
					p.say("554 5.5.1 no valid recipients")
				})
				return func(p *peer, v, line string) bool {
					return refused(p, v, line) || p.server.pipelines() && opened(p, v, line)
				}
			},
			want:  []string{ok1, "2 suppress, kept 550 5.1.1 User unknown", queued3},
			taken: 2,
		},
		"DATA refused": {
			hook:  func() hook { return on("DATA", 2, says("451 4.3.0 Try again")) },
			want:  []string{ok1, "2 retry, kept 451 4.3.0 Try again", queued3},
			taken: 2,
		},
		"421 at RCPT": {
			hook: func() hook {
				return on("RCPT", 2, func(p *peer, _ string) { p.say("421 4.3.2 shutting down"); p.drop() })
			},
			want:  []string{ok1, "2 unavailable, kept 421 4.3.2 shutting down"},
			error: "the SMTP server is closing the connection: 421 4.3.2",
			taken: 1,
		},
		"421 at the dot": {
			hook: func() hook {
				return on("CONTENT", 2, func(p *peer, _ string) { p.say("421 4.3.2 shutting down"); p.drop() })
			},
			want:  []string{ok1, "2 retry, handed over 421 4.3.2 shutting down"},
			error: "the SMTP server is closing the connection: 421 4.3.2",
			taken: 1,
			ahead: "3 unavailable, kept 0",
		},
		"login wanted at RCPT": {
			hook:  func() hook { return on("RCPT", 2, says("530 5.7.0 Authentication required")) },
			want:  []string{ok1, "2 unavailable, kept 530 5.7.0 Authentication required"},
			error: "the SMTP server wants other credentials: 530 5.7.0: check SMTP_URL",
			taken: 1,
		},
		"dropped at MAIL": {
			hook:  func() hook { return on("MAIL", 2, drops) },
			want:  []string{ok1, "2 unavailable, kept 0"},
			error: "the connection to the SMTP server broke before the message was handed over: EOF",
			taken: 1,
		},
		"dropped in the middle of a reply": {
			hook:  func() hook { return on("DATA", 2, func(p *peer, _ string) { p.raw("354"); p.drop() }) },
			want:  []string{ok1, "2 unavailable, kept 0"},
			error: "the connection to the SMTP server broke before the message was handed over: unexpected EOF",
			taken: 1,
		},
		"dropped at the dot": {
			hook:  func() hook { return on("CONTENT", 2, drops) },
			want:  []string{ok1, "2 unknown, handed over 0"},
			error: "the connection to the SMTP server broke: EOF",
			taken: 1,
			ahead: "3 unavailable, kept 0",
		},
		"dropped in the middle of the dot's reply": {
			hook: func() hook {
				return on("CONTENT", 2, func(p *peer, line string) { p.take(line); p.raw("250-2.0.0 Ok\r\n250 2.0.0 que"); p.drop() })
			},
			want:  []string{ok1, "2 unknown, handed over 0"},
			error: "the connection to the SMTP server broke: unexpected EOF",
			taken: 2,
			ahead: "3 unavailable, kept 0",
		},
		"dropped after the dot's reply": {
			hook: func() hook {
				return on("CONTENT", 2, func(p *peer, line string) { p.take(line); p.say("250 2.0.0 Ok: queued as 4XyZ2"); p.drop() })
			},
			want:  []string{ok1, ok2, "3 unavailable, kept 0"},
			error: "the connection to the SMTP server broke before the message was handed over: EOF",
			taken: 2,
		},
		"reply in pieces": {
			hook: func() hook {
				return on("CONTENT", 2, func(p *peer, line string) {
					p.take(line)
					for _, piece := range []string{"2", "50", "-2.0.0 Ok:", " queued\r", "\n250 2.0.0 as 4XyZ2\r\n"} {
						p.raw(piece)
					}
				})
			},
			want:  []string{ok1, ok2, ok3},
			taken: 3,
		},
		"nonsense instead of a reply": {
			hook:  func() hook { return on("RCPT", 2, says("HTTP/1.1 400 Bad Request")) },
			want:  []string{ok1, "2 unavailable, kept 0"},
			error: "the connection to the SMTP server broke before the message was handed over: the server's reply is not SMTP",
			taken: 1,
		},
		"354 to RCPT": {
			hook:  func() hook { return on("RCPT", 2, says("354 go on")) },
			want:  []string{ok1, "2 unavailable, kept 0"},
			error: "the SMTP server's reply to RCPT makes no sense: 354",
			taken: 1,
		},
		"250 to DATA": {
			hook:  func() hook { return on("DATA", 2, says("250 2.0.0 ok")) },
			want:  []string{ok1, "2 unavailable, kept 0"},
			error: "the SMTP server's reply to DATA makes no sense: 250 2.0.0",
			taken: 1,
		},
		"354 to the dot": {
			hook:  func() hook { return on("CONTENT", 2, says("354 go on")) },
			want:  []string{ok1, "2 unknown, handed over 0"},
			error: "the SMTP server's reply to the message makes no sense: 354",
			taken: 1,
			ahead: "3 unavailable, kept 0",
		},
		"one reply too many at MAIL": {
			hook: func() hook {
				return on("MAIL", 2, func(p *peer, _ string) { p.mail = true; p.say("250 2.1.0 ok", "250 2.1.0 ok") })
			},
			want:  []string{ok1, "2 unavailable, kept 0"},
			error: "the SMTP server's reply to DATA makes no sense: 250 2.1.5",
			taken: 1,
		},
		"two replies to the dot": {
			hook: func() hook {
				return on("CONTENT", 2, func(p *peer, line string) { p.take(line); p.raw("250 2.0.0 Ok: queued as 4XyZ2\r\n250 2.0.0 Ok\r\n") })
			},
			want:  []string{ok1, ok2, "3 unavailable, kept 0"},
			error: "the SMTP server said something that it was not asked",
			taken: 2,
			trips: "the SMTP server's reply to DATA makes no sense: 250 2.1.5",
		},
		"refused before the dot": {
			hook: func() hook {
				return on("DATA", 2, func(p *peer, _ string) { p.raw("354 go on\r\n554 5.3.0 no, wait\r\n"); p.content() })
			},
			want:  []string{ok1, "2 unavailable, kept 0"},
			error: "the SMTP server answered before it had the message",
			taken: 1,
			ahead: "3 unavailable, kept 0",
		},
	} {
		for how, mode := range modes {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				s := newServer(t, offering(mode.offers), withHook(test.hook()))
				c, want, wantError := s.channel(s.url("")), test.want, test.error
				c.most.Store(int32(mode.most))
				if how == "one trip" && test.ahead != "" {
					want = append(slices.Clip(want), test.ahead)
				}
				if how == "one trip" && test.trips != "" {
					wantError = test.trips
				}
				results, err := conversation(t, c, 3)
				if diff := cmp.Diff(want, results); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
				if text := errorText(err); text != wantError {
					t.Errorf("the session ended with %q, want %q", text, wantError)
				}
				if n := len(s.Accepted()); n != test.taken {
					t.Errorf("the server took %d messages, want %d", n, test.taken)
				}
			})
		}
	}
}

// reset is how EOF looks when the server closed with something unread.
var reset = regexp.MustCompile(`(read|write) tcp .*: (connection reset by peer|broken pipe)`)

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return reset.ReplaceAllString(err.Error(), "EOF")
}

// The commands are those that are needed, and a RSET only after a refused recipient.
func TestCommands(t *testing.T) {
	t.Parallel()
	one := []string{"MAIL", "RCPT", "DATA", "CONTENT"}
	for how, mode := range modes {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, offering(mode.offers), withHook(on("RCPT", 2, says("550 5.1.1 User unknown"))))
			c := s.channel(s.url(""))
			c.most.Store(int32(mode.most))
			if _, err := conversation(t, c, 4); err != nil {
				t.Fatal(err)
			}
			refused := []string{"MAIL", "RCPT", "DATA", "RSET"}
			if how == "step by step" {
				refused = []string{"MAIL", "RCPT", "RSET"}
			}
			want := []string{"EHLO"}
			for _, verbs := range [][]string{one, refused, one, one, {"QUIT"}} {
				want = append(want, verbs...)
			}
			if diff := cmp.Diff(want, s.verbs()); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
		})
	}
}

// A message refused at MAIL leaves no transaction open, so no RSET follows.
func TestNoResetAfterMail(t *testing.T) {
	t.Parallel()
	s := newServer(t, offering("8BITMIME"), withHook(on("MAIL", 1, says("552 5.3.4 too big"))))
	if _, err := conversation(t, s.channel(s.url("")), 2); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"EHLO", "MAIL", "MAIL", "RCPT", "DATA", "CONTENT", "QUIT"}, s.verbs()); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

// Success behind a refusal in the same group: no telling which reply belongs to what.
func TestGroupOutOfStep(t *testing.T) {
	t.Parallel()
	for replies, want := range map[string]string{
		"552 5.3.4 too big\r\n250 ok\r\n554 no\r\n":      "the SMTP server's reply to RCPT makes no sense: 250",
		"552 5.3.4 too big\r\n503 no\r\n354 go on\r\n":   "the SMTP server's reply to DATA makes no sense: 354",
		"250 ok\r\n550 5.1.1 no\r\n250 ok\r\n":           "the SMTP server's reply to DATA makes no sense: 250",
		"250 ok\r\n550 5.1.1 no\r\n355 ok\r\n":           "the SMTP server's reply to DATA makes no sense: 355",
		"421 4.3.2 bye\r\n":                              "the SMTP server is closing the connection: 421 4.3.2 bye",
		"250 ok\r\n250 ok\r\n502 5.5.2 what's DATA?\r\n": "the SMTP server's reply to DATA makes no sense: 502 5.5.2",
	} {
		s := newServer(t, offering("PIPELINING"), withHook(func(p *peer, verb, _ string) bool {
			if verb == "DATA" {
				p.raw(replies)
			}
			return verb == "MAIL" || verb == "RCPT" || verb == "DATA"
		}))
		forever := func(cfg *Config) { cfg.CommandTimeout = time.Hour }
		results, err := conversation(t, s.channel(s.url(""), forever), 1)
		if errorText(err) != want {
			t.Errorf("%q: Deliver: %v, want %s", replies, err, want)
		}
		if len(results) != 1 || !strings.HasPrefix(results[0], "1 unavailable, kept") {
			t.Errorf("%q: outcomes %q", replies, results)
		}
	}
}
