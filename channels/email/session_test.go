package email

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
)

// A connection that breaks under a big message, before the block with the final dot, leaves it unsent; and a server's
// last words are heard.
func TestBigMessage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end  func(p *peer, line string)
		want string
	}{
		"dropped":    {drops, "1 unavailable, kept 0"},
		"taken":      {func(p *peer, _ string) { p.say("354 go on"); p.content() }, ok1},
		"hung up on": {func(p *peer, _ string) { p.say("354 go on"); _, _ = p.r.Discard(100); p.drop() }, "1 unavailable, kept 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, withHook(on("DATA", 1, test.end)))
			session, err := s.channel(s.url("")).Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			m := testMessage(1)
			m.Text = strings.Repeat(strings.Repeat("x", 99)+"\n", 160_000) // 16 MB: more than the sockets' buffers hold
			in := make(chan *channels.Message, 1)
			in <- m
			close(in)
			var got string
			_ = session.Deliver(t.Context(), in, yes, func(m *channels.Message, r channels.Receipt, err error) { got = result(m, r, err) })
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// The context's end cuts short every wait before the hand-over.
func TestContextEndsBeforeHandOver(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"MAIL", "RCPT", "DATA"} {
		for _, mode := range []string{"PIPELINING", "8BITMIME"} {
			t.Run(verb+"/"+mode, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithCancelCause(t.Context())
				stopping := errors.New("stopping")
				s := newServer(t, offering(mode), withHook(on(verb, 1, func(*peer, string) {
					cancel(stopping)
					<-t.Context().Done() // what came behind it in the group is not answered
				})))
				session, err := s.channel(s.url("")).Open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer session.Close()
				in := make(chan *channels.Message, 1)
				in <- testMessage(1)
				err = session.Deliver(ctx, in, yes, func(_ *channels.Message, _ channels.Receipt, err error) {
					if channels.VerdictOf(err) != channels.VerdictUnavailable || !errors.Is(err, stopping) {
						t.Errorf("outcome %v, want Unavailable with the cause", err)
					}
				})
				if !errors.Is(err, stopping) {
					t.Errorf("Deliver: %v, want the cause", err)
				}
			})
		}
	}
}

// A context that has ended stops Deliver before it receives anything, however much is waiting.
func TestContextEndedReceivesNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	session, err := s.channel(s.url("")).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in := make(chan *channels.Message, 1)
	in <- testMessage(1)
	for range 50 {
		if err := session.Deliver(ctx, in, yes, nil); err != nil || len(in) != 1 {
			t.Fatalf("Deliver: %v, %d messages left", err, len(in))
		}
	}
}

func TestTimeLimits(t *testing.T) {
	t.Parallel()
	silent := func(*peer, string) {}
	short := func(cfg *Config) { cfg.CommandTimeout, cfg.DataTimeout = 50*time.Millisecond, 50*time.Millisecond }
	for verb, want := range map[string]string{
		"DATA":    "1 unavailable, kept 0",
		"CONTENT": "1 unknown, handed over 0",
	} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, withHook(on(verb, 1, silent)))
			results, err := conversation(t, s.channel(s.url(""), short), 1)
			if diff := cmp.Diff([]string{want}, results); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
				t.Errorf("Deliver: %v, want a time-out", err)
			}
		})
	}
}

// Close does not wait for a server that does not answer QUIT.
func TestCloseIsPrompt(t *testing.T) {
	t.Parallel()
	s := newServer(t, withHook(on("QUIT", 1, func(*peer, string) {})))
	session, err := s.channel(s.url("")).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_ = session.Close()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("Close took %v", took)
	}
	in := make(chan *channels.Message, 1)
	in <- testMessage(1)
	if err := session.Deliver(t.Context(), in, yes, nil); err == nil || len(in) != 1 {
		t.Errorf("a closed session delivers: %v", err)
	}
}
