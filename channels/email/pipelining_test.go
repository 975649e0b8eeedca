package email

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
)

// MAIL, RCPT and DATA must go out before any of their replies has come in: this server answers none before it has all.
func TestPipelinesInOneGroup(t *testing.T) {
	t.Parallel()
	s := newServer(t, offering("PIPELINING"), withHook(func(p *peer, verb, line string) bool {
		switch verb {
		case "MAIL":
			return true
		case "RCPT":
			return true
		case "DATA":
			p.raw("250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n")
			p.content()
			return true
		}
		return false
	}))
	results, err := conversation(t, s.channel(s.url("")), 3)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{ok1, ok2, ok3}, results); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

// A final dot and the next envelope must go out before the reply to either has come in: this server answers no dot before it
// has the next command.
func TestOneTrip(t *testing.T) {
	t.Parallel()
	s := newServer(t, offering("PIPELINING"), withHook(func(p *peer, verb, line string) bool {
		if verb == "CONTENT" && !strings.Contains(line, "ani4@") {
			_, _ = p.r.Peek(len("MAIL FROM:<halo@bengkel.example>\r\nRCPT TO:<ani1@example.org>\r\nDATA\r\n"))
		}
		return false
	}))
	c := s.channel(s.url(""))
	if _, err := conversation(t, c, 4); err != nil || !c.shown.Load() {
		t.Fatal(err, c.shown.Load())
	}
	if n := len(s.Accepted()); n != 4 {
		t.Errorf("the server took %d messages", n)
	}
}

// The verdict on a message does not wait for what the server says to the next envelope.
func TestVerdictDoesNotWait(t *testing.T) {
	t.Parallel()
	accepted := make(chan struct{})
	s := newServer(t, offering("PIPELINING"), withHook(on("MAIL", 2, func(p *peer, line string) {
		select {
		case <-accepted:
		case <-time.After(5 * time.Second):
			t.Error("the first message has no verdict yet")
		}
		p.answer("MAIL", line)
	})))
	session, err := s.channel(s.url("")).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	in := make(chan *channels.Message, 2)
	in <- testMessage(1)
	in <- testMessage(2)
	close(in)
	err = session.Deliver(t.Context(), in, yes, func(m *channels.Message, _ channels.Receipt, err error) {
		if err != nil {
			t.Errorf("message %d: %v", m.ID, err)
		}
		if m.ID == 1 {
			close(accepted)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// A server that offers PIPELINING and can't do all of it is asked for less from the next session on.
func TestPipeliningIsGivenUp(t *testing.T) {
	t.Parallel()
	forgets := func(p *peer) { _, _ = p.r.Discard(p.r.Buffered()) }
	for name, test := range map[string]struct {
		verb string // the command behind which it goes wrong
		goes func(p *peer)
		want manner
	}{
		"forgets what is behind MAIL":         {"MAIL", forgets, stepwise},
		"answers nonsense to RCPT":            {"MAIL", func(p *peer) { forgets(p); p.raw("what?\r\n") }, stepwise},
		"forgets what is behind the dot":      {"CONTENT", forgets, grouped},
		"answers nonsense behind the dot":     {"CONTENT", func(p *peer) { forgets(p); p.raw("what?\r\n") }, grouped},
		"forbids commands behind the dot":     {"CONTENT", func(p *peer) { forgets(p); p.raw("503 5.5.1 too early\r\n") }, grouped},
		"refuses what is behind the dot":      {"CONTENT", func(p *peer) { forgets(p); p.raw("554 5.5.0 synchronization error\r\n") }, grouped},
		"hangs up on commands behind the dot": {"CONTENT", (*peer).drop, grouped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, offering("PIPELINING"), withHook(func(p *peer, verb, line string) bool {
				if verb != test.verb || p.r.Buffered() == 0 {
					return false
				}
				p.answer(verb, line)
				test.goes(p)
				return true
			}))
			c := s.channel(s.url(""), func(cfg *Config) { cfg.CommandTimeout = 200 * time.Millisecond })
			results, err := conversation(t, c, 2)
			if err == nil || !strings.HasSuffix(results[len(results)-1], "unavailable, kept 0") && !strings.Contains(results[len(results)-1], "554 5.5.0") {
				t.Fatalf("the first session: %q, %v", results, err)
			}
			if got := manner(c.most.Load()); got != test.want {
				t.Errorf("the server is trusted with %d, want %d", got, test.want)
			}
			taken := len(s.Accepted())
			if _, err = conversation(t, c, 3); err != nil {
				t.Fatal(err)
			}
			if n := len(s.Accepted()) - taken; n != 3 {
				t.Errorf("the second session brought %d of 3 messages", n)
			}
		})
	}
}

// A server that hangs up between messages, as many do after some number of them, is trusted as before, once it was seen to
// answer an envelope behind a dot.
func TestPipeliningIsNotGivenUp(t *testing.T) {
	t.Parallel()
	s := newServer(t, offering("PIPELINING"), withHook(on("CONTENT", 3, func(p *peer, line string) { p.answer("CONTENT", line); p.drop() })))
	c := s.channel(s.url(""))
	if _, err := conversation(t, c, 4); err == nil {
		t.Fatal("the session did not break")
	}
	if got := manner(c.most.Load()); got != chunked {
		t.Errorf("the server is trusted with %d", got)
	}
}
