package channeltest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sapa-crm/sapa/channels"
)

// patience is how long the suite waits for what must happen. It is no measure of speed.
const patience = 20 * time.Second

// bench is one test's provider and the messages made for it.
type bench struct {
	Provider
	traits Traits
	fill   func(*channels.Message)
	made   int64
}

func newBench(p Provider) *bench {
	b := &bench{Provider: p, fill: func(*channels.Message) {}}
	if peculiar, ok := p.(Peculiar); ok {
		b.traits = peculiar.Traits()
	}
	if filler, ok := p.(Filler); ok {
		b.fill = filler.Fill
	}
	return b
}

// needs leaves a test out that asks for what such a provider can't do.
func (b *bench) needs(t *testing.T, a Answer) {
	t.Helper()
	if slices.Contains(b.traits.Never, a) {
		t.Skipf("such a provider never gives the answer %d", a)
	}
}

// taken is the verdict on a message that was taken, lost that on one whose answer was lost.
func (b *bench) taken() string { return b.traits.Taken.String() }

func (b *bench) lost() string {
	if b.traits.Repeatable {
		return channels.VerdictRetry.String()
	}
	return channels.VerdictUnknown.String()
}

// outcome is what done was told.
type outcome struct {
	receipt channels.Receipt
	err     error
}

func (o outcome) verdict() channels.Verdict { return channels.VerdictOf(o.err) }

// message is a new message to the i-th recipient.
func (b *bench) message(i int) *channels.Message {
	b.made++
	m := &channels.Message{
		ID: b.made, Token: fmt.Sprintf("t%d.of-%d", b.made, i), To: b.Recipient(i), Subject: "Servis berikutnya",
		Text: "Halo,\nsudah waktunya.\n", HTML: "<p>Halo, sudah waktunya.</p>", Topic: "service", Campaign: "oil-change",
		Date:        time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC),
		CallbackURL: fmt.Sprintf("http://127.0.0.1:8080/hooks/x/report/t%d.of-%d", b.made, i),
		Locale:      "id-ID", Customer: fmt.Sprintf("c%d", i),
	}
	b.fill(m)
	return m
}

// open opens a session that is closed when the test ends.
func (b *bench) open(t *testing.T) channels.Session {
	t.Helper()
	s, err := b.Channel().Open(t.Context())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func always(*channels.Message) error { return nil }

// deliver runs one Deliver over the messages and returns the outcomes in the messages' order, and Deliver's error.
// It fails the test unless done was called exactly once for each message that was received.
func deliver(ctx context.Context, t *testing.T, s channels.Session, permit func(*channels.Message) error, messages ...*channels.Message) ([]outcome, error) {
	t.Helper()
	in := make(chan *channels.Message, len(messages))
	for _, m := range messages {
		in <- m
	}
	close(in)
	outcomes := make(map[*channels.Message][]outcome)
	err := within(t, func() error {
		return s.Deliver(ctx, in, permit, func(m *channels.Message, r channels.Receipt, err error) {
			outcomes[m] = append(outcomes[m], outcome{r, err})
		})
	})
	var out []outcome
	for _, m := range messages[:len(messages)-len(in)] {
		if n := len(outcomes[m]); n != 1 {
			t.Fatalf("done was called %d times for message %d, want once", n, m.ID)
		}
		checkReceipt(t, m, outcomes[m][0])
		out = append(out, outcomes[m][0])
	}
	if len(outcomes) != len(out) {
		t.Fatalf("done was called for %d messages, of %d received", len(outcomes), len(out))
	}
	if err != nil && channels.VerdictOf(err) != channels.VerdictUnavailable {
		t.Errorf("Deliver's error is %v (%v), want an Unavailable", err, channels.VerdictOf(err))
	}
	return out, err
}

// checkReceipt holds what is true of every outcome.
func checkReceipt(t *testing.T, m *channels.Message, o outcome) {
	t.Helper()
	v, handedOver := o.verdict(), !o.receipt.HandedOver.IsZero()
	if handedOver && v == channels.VerdictUnavailable && o.receipt.Code == 0 {
		t.Errorf("handed over, not answered, and yet unavailable: %v", o.err)
	}
	if o.err != nil && m.To.Addr != "" && strings.Contains(o.err.Error(), m.To.Addr) {
		t.Errorf("the verdict names the customer's address: %v", o.err)
	}
	if !handedOver && (v == channels.VerdictAccepted || v == channels.VerdictUnknown) {
		t.Errorf("%v without having been handed over: %v", v, o.err)
	}
	if len(o.receipt.Words) > channels.MaxWords {
		t.Errorf("the receipt has %d bytes of words, at most %d are allowed", len(o.receipt.Words), channels.MaxWords)
	}
}

// within fails the test when f takes longer than our patience.
func within(t *testing.T, f func() error) error {
	t.Helper()
	result := make(chan error, 1)
	go func() { result <- f() }()
	select {
	case err := <-result:
		return err
	case <-time.After(patience):
		t.Fatal("the channel hangs")
		return nil
	}
}

func verdicts(outcomes []outcome) []string {
	var out []string
	for _, o := range outcomes {
		out = append(out, o.verdict().String())
	}
	return out
}

func equal(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func tokens(messages ...*channels.Message) []string {
	var out []string
	for _, m := range messages {
		out = append(out, m.Token)
	}
	return out
}

// background runs a Deliver of one message whose answer is held, and returns when the provider holds it.
func (b *bench) background(ctx context.Context, t *testing.T) (outcomes func() ([]outcome, error), answered *atomic.Bool) {
	t.Helper()
	b.Answer(b.Recipient(1), Hold)
	s, m := b.open(t), b.message(1)
	answered = new(atomic.Bool)
	type result struct {
		outcomes []outcome
		err      error
	}
	results := make(chan result, 1)
	go func() {
		var r result
		in := make(chan *channels.Message, 1)
		in <- m
		close(in)
		r.err = s.Deliver(ctx, in, always, func(_ *channels.Message, receipt channels.Receipt, err error) {
			answered.Store(true)
			r.outcomes = append(r.outcomes, outcome{receipt, err})
		})
		results <- r
	}()
	await(t, b.Held())
	return func() ([]outcome, error) {
		r := await(t, results)
		return r.outcomes, r.err
	}, answered
}

func await[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing happens")
		panic("unreachable")
	}
}
