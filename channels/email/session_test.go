package email

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
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

// The context's end cuts short every wait before the hand-over, also where the envelope went out behind a final dot; that
// one's verdict stays.
func TestContextEndsBeforeHandOver(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"MAIL", "RCPT", "DATA"} {
		for _, mode := range []string{"PIPELINING", "8BITMIME"} {
			for n, want := range map[int][]string{1: {"1 unavailable, kept 0"}, 2: {ok1, "2 unavailable, kept 0"}} {
				t.Run(fmt.Sprintf("%s/%s/%d", verb, mode, n), func(t *testing.T) {
					t.Parallel()
					contextEnds(t, mode, verb, n, want)
				})
			}
		}
	}
}

// contextEnds ends the context at the verb of the nth message.
func contextEnds(t *testing.T, mode, verb string, n int, want []string) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stopping := errors.New("stopping")
	s := newServer(t, offering(mode), withHook(on(verb, n, func(*peer, string) {
		cancel(stopping)
		<-t.Context().Done() // what came behind it in the group is not answered
	})))
	forever := func(cfg *Config) { cfg.CommandTimeout, cfg.DataTimeout = time.Hour, time.Hour }
	session, err := s.channel(s.url(""), forever).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	in := make(chan *channels.Message, n)
	for i := range n {
		in <- testMessage(i + 1)
	}
	var results []string
	err = session.Deliver(ctx, in, yes, func(m *channels.Message, r channels.Receipt, err error) {
		results = append(results, result(m, r, err))
		if err != nil && (channels.VerdictOf(err) != channels.VerdictUnavailable || !errors.Is(err, stopping)) {
			t.Errorf("outcome %v, want Unavailable with the cause", err)
		}
	})
	if !errors.Is(err, stopping) {
		t.Errorf("Deliver: %v, want the cause", err)
	}
	if diff := cmp.Diff(want, results); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
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

// The replies to commands and to messages have limits of their own, the former also behind a final dot.
func TestTimeLimits(t *testing.T) {
	t.Parallel()
	const short = 50 * time.Millisecond
	for name, test := range map[string]struct {
		verb          string
		nth           int
		command, data time.Duration
		want          []string
	}{
		"a command":              {"DATA", 1, short, time.Hour, []string{"1 unavailable, kept 0"}},
		"a message":              {"CONTENT", 1, time.Hour, short, []string{"1 unknown, handed over 0"}},
		"a command behind a dot": {"MAIL", 2, short, time.Hour, []string{ok1, "2 unavailable, kept 0"}},
		"a message behind one":   {"CONTENT", 2, time.Hour, short, []string{ok1, "2 unknown, handed over 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, withHook(on(test.verb, test.nth, func(*peer, string) { <-t.Context().Done() })))
			limits := func(cfg *Config) { cfg.CommandTimeout, cfg.DataTimeout = test.command, test.data }
			results, err := conversation(t, s.channel(s.url(""), limits), test.nth)
			if diff := cmp.Diff(test.want, results); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
				t.Errorf("Deliver: %v, want a time-out", err)
			}
		})
	}
}

// A session lives longer than its limits, which are for each wait.
func TestLimitsAreForEachWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlayer(script{pipelining: true})
		s, err := p.session()
		if err != nil {
			t.Fatal(err)
		}
		in := make(chan *channels.Message)
		go func() {
			defer close(in)
			for i := range 100 {
				in <- testMessage(2*i + 1)
				in <- testMessage(2*i + 2) // in one trip with the one before
				time.Sleep(time.Minute)
			}
		}()
		err = s.Deliver(t.Context(), in, yes, func(m *channels.Message, _ channels.Receipt, err error) {
			if err != nil {
				t.Errorf("message %d: %v", m.ID, err)
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
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

// held runs a Deliver whose first message's dot is held, since in is open and nothing is in it, and has act do something.
// It returns the outcomes by the time of the fake clock, and Deliver's error.
func held(t *testing.T, act func(p *player, in chan<- *channels.Message, cancel context.CancelCauseFunc)) (outcomes []string, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPlayer(script{pipelining: true})
		s, openErr := p.session()
		if openErr != nil {
			t.Fatal(openErr)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		in, began := make(chan *channels.Message), time.Now()
		delivered := make(chan struct{})
		go func() {
			defer close(delivered)
			err = s.Deliver(ctx, in, yes, func(m *channels.Message, r channels.Receipt, err error) {
				outcomes = append(outcomes, time.Since(began).String()+": "+result(m, r, err))
			})
		}()
		in <- testMessage(1)
		synctest.Wait()
		act(p, in, cancel)
		<-delivered
	})
	return outcomes, err
}

// A final dot waits for the next message, and not for longer than it may.
func TestDotIsHeld(t *testing.T) {
	t.Parallel()
	taken := func(i int) string {
		return fmt.Sprintf("%d accepted, handed over 250 2.0.0 <ani1@example.org>: said the server", i)
	}
	stopping := errors.New("stopping")
	for name, test := range map[string]struct {
		act   func(p *player, in chan<- *channels.Message, cancel context.CancelCauseFunc)
		want  []string
		error error
	}{
		"no message comes": {
			func(_ *player, in chan<- *channels.Message, _ context.CancelCauseFunc) {
				time.Sleep(time.Second)
				close(in)
			},
			[]string{"1ms: " + taken(1)}, nil,
		},
		"a message comes": {
			func(p *player, in chan<- *channels.Message, _ context.CancelCauseFunc) {
				if p.dots["token1"] != 0 || !p.data {
					t.Error("the first message is not due, or its dot was not held")
				}
				in <- testMessage(2)
				synctest.Wait()
				if p.dots["token1"] != 1 || !p.data {
					t.Errorf("%d dots; the next message is due: %t", p.dots["token1"], p.data)
				}
				close(in)
			},
			[]string{"0s: " + taken(1), "0s: " + taken(2)}, nil,
		},
		"no message will come": {
			func(_ *player, in chan<- *channels.Message, _ context.CancelCauseFunc) { close(in) },
			[]string{"0s: " + taken(1)}, nil,
		},
		"the context ends": {
			func(_ *player, _ chan<- *channels.Message, cancel context.CancelCauseFunc) { cancel(stopping) },
			[]string{"0s: 1 unavailable, kept 0"}, stopping,
		},
		"a message comes that can't go out": {
			func(p *player, in chan<- *channels.Message, _ context.CancelCauseFunc) {
				m := testMessage(2)
				m.Subject = "a\nb"
				in <- m
				synctest.Wait()
				if p.dots["token1"] != 1 {
					t.Error("it holds the one before it up")
				}
				in <- testMessage(3)
				close(in)
			},
			[]string{"0s: " + taken(1), "0s: 2 permanent, kept 0", "0s: " + taken(3)}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outcomes, err := held(t, test.act)
			if diff := cmp.Diff(test.want, outcomes); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			if !errors.Is(err, test.error) {
				t.Errorf("Deliver: %v, want %v", err, test.error)
			}
		})
	}
}
