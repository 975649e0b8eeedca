// Package channeltest is the conformance suite of channels: what the engine relies on, asked of every channel against
// a provider that really speaks the channel's protocol on loopback and misbehaves on request.
//
//	func TestConformance(t *testing.T) {
//		channeltest.Run(t, func(t *testing.T) channeltest.Provider { return newServer(t) })
//	}
package channeltest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sapa-crm/sapa/channels"
)

// Answer is what a Provider does with a message.
type Answer int

// The answers. What a provider does to its connections must be real: a drop is a closed socket.
const (
	Accept        Answer = iota
	Refuse               // for good, for a reason that has nothing to do with the address
	RefuseAddress        // for good, because there is no such address
	RefuseForNow         // try again later
	DropBefore           // the connection breaks before the message is handed over
	DropAfter            // the provider takes the message, and the connection breaks before its answer
	Hold                 // the provider takes the message and answers, accepting it, after Release
)

// Provider is a provider on loopback with a channel that is configured to use it with short time limits. It cleans up
// after itself by testing.T.Cleanup.
type Provider interface {
	Channel() channels.Channel
	// Recipient is a valid address, another for each i.
	Recipient(i int) channels.Address
	// Invalid is an address which the channel must refuse by itself.
	Invalid() channels.Address
	// Answer says what the provider does with messages to the address; Accept is the default.
	Answer(to channels.Address, a Answer)
	// Accepted are the tokens of the messages that the provider took, in the order of taking, DropAfter and Hold
	// included.
	Accepted() []string
	// Held gives a value for each message that is being held.
	Held() <-chan struct{}
	// Release answers the messages held now and later.
	Release()
	// Stop closes the provider's connections and refuses new ones.
	Stop()
}

// patience is how long the suite waits for what must happen. It is no measure of speed.
const patience = 20 * time.Second

// Run runs the suite. The factory is called once for each test in it.
func Run(t *testing.T, factory func(t *testing.T) Provider) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *bench){
		"accepts in order":                              acceptsInOrder,
		"uses a session again":                          usesSessionAgain,
		"permanent refusal":                             func(t *testing.T, b *bench) { refusal(t, b, Refuse, channels.VerdictPermanent) },
		"dead address":                                  func(t *testing.T, b *bench) { refusal(t, b, RefuseAddress, channels.VerdictSuppress) },
		"temporary refusal":                             func(t *testing.T, b *bench) { refusal(t, b, RefuseForNow, channels.VerdictRetry) },
		"one bad recipient harms no other":              oneBadRecipient,
		"invalid address fails alone":                   invalidAddress,
		"line break in the subject fails alone":         lineBreak,
		"waits for a slow answer":                       slowAnswer,
		"awaits the answer when the context ends":       endsAfterHandOver,
		"stops between messages when the context ends":  endsIdle,
		"hands over nothing when the context has ended": endedBefore,
		"connection dropped before the hand-over":       droppedBefore,
		"connection dropped after the hand-over":        droppedAfter,
		"permit refused":                                permitRefused,
		"permit is asked once for each hand-over":       permitAsked,
		"provider gone":                                 providerGone,
		"open stops when the context has ended":         openEnded,
		"close is prompt when the provider has gone":    closeAfterStop,
		"names": names,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, &bench{Provider: factory(t)})
		})
	}
}

// bench is one test's provider and the messages made for it.
type bench struct {
	Provider
	made int64
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
	return &channels.Message{
		ID: b.made, Token: fmt.Sprintf("t%d.of-%d", b.made, i), To: b.Recipient(i), Subject: "Servis berikutnya",
		Text: "Halo,\nsudah waktunya.\n", HTML: "<p>Halo, sudah waktunya.</p>", Topic: "service", Campaign: "oil-change",
		Date: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC),
	}
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

func always() error { return nil }

// deliver runs one Deliver over the messages and returns the outcomes in the messages' order, and Deliver's error.
// It fails the test unless done was called exactly once for each message that was received.
func deliver(ctx context.Context, t *testing.T, s channels.Session, permit func() error, messages ...*channels.Message) ([]outcome, error) {
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
		checkReceipt(t, outcomes[m][0])
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
func checkReceipt(t *testing.T, o outcome) {
	t.Helper()
	v, handedOver := o.verdict(), !o.receipt.HandedOver.IsZero()
	if handedOver && v == channels.VerdictUnavailable {
		t.Errorf("handed over and yet unavailable: %v", o.err)
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

func acceptsInOrder(t *testing.T, b *bench) {
	messages := []*channels.Message{b.message(1), b.message(2), b.message(3)}
	got, err := deliver(t.Context(), t, b.open(t), always, messages...)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "verdicts", []string{"accepted", "accepted", "accepted"}, verdicts(got))
	equal(t, "at the provider", tokens(messages...), b.Accepted())
	for _, o := range got {
		if o.receipt.Code == 0 || o.receipt.ProviderID == "" {
			t.Errorf("receipt of an accepted message without code or the provider's id: %+v", o.receipt)
		}
	}
}

func usesSessionAgain(t *testing.T, b *bench) {
	s, first, second := b.open(t), b.message(1), b.message(2)
	for _, m := range []*channels.Message{first, second} {
		got, err := deliver(t.Context(), t, s, always, m)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "verdicts", []string{"accepted"}, verdicts(got))
	}
	equal(t, "at the provider", tokens(first, second), b.Accepted())
}

func refusal(t *testing.T, b *bench, a Answer, want channels.Verdict) {
	b.Answer(b.Recipient(1), a)
	got, _ := deliver(t.Context(), t, b.open(t), always, b.message(1))
	equal(t, "verdicts", []string{want.String()}, verdicts(got))
	equal(t, "at the provider", nil, b.Accepted())
	if r := got[0].receipt; r.Code == 0 || r.Words == "" {
		t.Errorf("receipt of a refusal without code and words: %+v", r)
	}
	if suppress := want == channels.VerdictSuppress; suppress != (channels.SuppressReason(got[0].err) != "") {
		t.Errorf("suppress reason %q of a message that is %v", channels.SuppressReason(got[0].err), want)
	}
}

func oneBadRecipient(t *testing.T, b *bench) {
	for _, a := range []Answer{Refuse, RefuseAddress, RefuseForNow} {
		bad := int(a) * 10
		b.Answer(b.Recipient(bad), a)
		before := len(b.Accepted())
		messages := []*channels.Message{b.message(1), b.message(bad), b.message(2), b.message(3)}
		got, err := deliver(t.Context(), t, b.open(t), always, messages...)
		if err != nil {
			t.Fatal(err)
		}
		want := map[Answer]string{Refuse: "permanent", RefuseAddress: "suppress", RefuseForNow: "retry"}[a]
		equal(t, "verdicts", []string{"accepted", want, "accepted", "accepted"}, verdicts(got))
		equal(t, "at the provider", tokens(messages[0], messages[2], messages[3]), b.Accepted()[before:])
	}
}

func invalidAddress(t *testing.T, b *bench) {
	first, bad, last := b.message(1), b.message(2), b.message(3)
	bad.To = b.Invalid()
	failsAlone(t, b, first, bad, last)
}

func lineBreak(t *testing.T, b *bench) {
	first, bad, last := b.message(1), b.message(2), b.message(3)
	bad.Subject = "Halo\r\nBcc: everybody@example.org"
	failsAlone(t, b, first, bad, last)
}

func failsAlone(t *testing.T, b *bench, first, bad, last *channels.Message) {
	got, err := deliver(t.Context(), t, b.open(t), always, first, bad, last)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "verdicts", []string{"accepted", "permanent", "accepted"}, verdicts(got))
	equal(t, "at the provider", tokens(first, last), b.Accepted())
	if !got[1].receipt.HandedOver.IsZero() {
		t.Error("the bad message counts as handed over")
	}
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

func slowAnswer(t *testing.T, b *bench) {
	outcomes, answered := b.background(t.Context(), t)
	if answered.Load() {
		t.Error("done was called before the provider answered")
	}
	b.Release()
	got, err := outcomes()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "verdicts", []string{"accepted"}, verdicts(got))
}

func endsAfterHandOver(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancel(t.Context())
	outcomes, _ := b.background(ctx, t)
	cancel()
	b.Release()
	got, err := outcomes()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "verdicts", []string{"accepted"}, verdicts(got))
}

func endsIdle(t *testing.T, b *bench) {
	s := b.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	in := make(chan *channels.Message)
	returned := make(chan error, 1)
	accepted := make(chan struct{})
	go func() {
		returned <- s.Deliver(ctx, in, always, func(*channels.Message, channels.Receipt, error) { close(accepted) })
	}()
	in <- b.message(1)
	await(t, accepted)
	cancel()
	if err := await(t, returned); err != nil {
		t.Fatalf("the session broke when the context ended between messages: %v", err)
	}
	got, err := deliver(t.Context(), t, s, always, b.message(2))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "verdicts", []string{"accepted"}, verdicts(got))
}

func endedBefore(t *testing.T, b *bench) {
	s := b.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got, _ := deliver(ctx, t, s, always, b.message(1), b.message(2))
	for _, o := range got {
		if o.verdict() != channels.VerdictUnavailable {
			t.Errorf("verdict %v, want unavailable", o.verdict())
		}
	}
	equal(t, "at the provider", nil, b.Accepted())
}

func droppedBefore(t *testing.T, b *bench) {
	dropped(t, b, DropBefore, "unavailable")
}

func droppedAfter(t *testing.T, b *bench) {
	dropped(t, b, DropAfter, "unknown")
}

// dropped drops the connection of the second of three messages. The third is not touched, or accepted by a session
// that can connect again.
func dropped(t *testing.T, b *bench, a Answer, verdict string) {
	b.Answer(b.Recipient(2), a)
	messages := []*channels.Message{b.message(1), b.message(2), b.message(3)}
	got, err := deliver(t.Context(), t, b.open(t), always, messages...)
	want := []string{"accepted", verdict}
	if err == nil {
		want = append(want, "accepted")
	}
	equal(t, "verdicts", want, verdicts(got))
	var taken []*channels.Message
	for i, m := range messages[:len(got)] {
		if i != 1 || a == DropAfter {
			taken = append(taken, m)
		}
	}
	equal(t, "at the provider", tokens(taken...), b.Accepted())
}

func permitRefused(t *testing.T, b *bench) {
	lost := errors.New("the lease is lost")
	got, _ := deliver(t.Context(), t, b.open(t), func() error { return lost }, b.message(1), b.message(2))
	if len(got) == 0 {
		t.Fatal("no message was received")
	}
	for _, o := range got {
		if o.verdict() != channels.VerdictUnavailable || !errors.Is(o.err, lost) {
			t.Errorf("outcome %v, want an Unavailable that wraps the reason", o.err)
		}
	}
	equal(t, "at the provider", nil, b.Accepted())
}

func permitAsked(t *testing.T, b *bench) {
	var asked int
	messages := []*channels.Message{b.message(1), b.message(2), b.message(3)}
	if _, err := deliver(t.Context(), t, b.open(t), func() error { asked++; return nil }, messages...); err != nil {
		t.Fatal(err)
	}
	if asked != len(messages) {
		t.Errorf("permit was asked %d times for %d messages", asked, len(messages))
	}
}

func providerGone(t *testing.T, b *bench) {
	s := b.open(t)
	b.Stop()
	got, _ := deliver(t.Context(), t, s, always, b.message(1))
	equal(t, "verdicts", []string{"unavailable"}, verdicts(got))
	if _, err := b.Channel().Open(t.Context()); channels.VerdictOf(err) != channels.VerdictUnavailable {
		t.Errorf("Open without a provider: %v (%v), want an Unavailable", err, channels.VerdictOf(err))
	}
}

func openEnded(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, err := b.Channel().Open(ctx)
	if err == nil { // a channel that needs no connection may open
		_ = s.Close()
		return
	}
	if channels.VerdictOf(err) != channels.VerdictUnavailable || !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v (%v), want an Unavailable that wraps context.Canceled", err, channels.VerdictOf(err))
	}
}

func closeAfterStop(t *testing.T, b *bench) {
	s := b.open(t)
	b.Stop()
	began := time.Now()
	_ = s.Close() // its error is about the connection's end
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("Close took %v", took)
	}
}

func names(t *testing.T, b *bench) {
	c := b.Channel()
	if c.Name() == "" || c.Account() == "" {
		t.Errorf("name %q, account %q", c.Name(), c.Account())
	}
}
