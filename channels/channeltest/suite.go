package channeltest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sapa-crm/sapa/channels"
)

func acceptsInOrder(t *testing.T, b *bench) {
	messages := []*channels.Message{b.message(1), b.message(2), b.message(3)}
	got, err := deliver(t.Context(), t, b.open(t), always, messages...)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "verdicts", []string{b.taken(), b.taken(), b.taken()}, verdicts(got))
	equal(t, "at the provider", tokens(messages...), b.Accepted())
	for _, o := range got {
		if !b.traits.NoReceipt && (o.receipt.Code == 0 || o.receipt.ProviderID == "") {
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
		equal(t, "verdicts", []string{b.taken()}, verdicts(got))
	}
	equal(t, "at the provider", tokens(first, second), b.Accepted())
}

func refusal(t *testing.T, b *bench, a Answer, want channels.Verdict) {
	b.needs(t, a)
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
		if slices.Contains(b.traits.Never, a) {
			continue
		}
		bad := int(a) * 10
		b.Answer(b.Recipient(bad), a)
		before := len(b.Accepted())
		messages := []*channels.Message{b.message(1), b.message(bad), b.message(2), b.message(3)}
		got, err := deliver(t.Context(), t, b.open(t), always, messages...)
		if err != nil {
			t.Fatal(err)
		}
		want := map[Answer]string{Refuse: "permanent", RefuseAddress: "suppress", RefuseForNow: "retry"}[a]
		equal(t, "verdicts", []string{b.taken(), want, b.taken(), b.taken()}, verdicts(got))
		equal(t, "at the provider", tokens(messages[0], messages[2], messages[3]), b.Accepted()[before:])
	}
}

func unfit(t *testing.T, b *bench) {
	changes := b.Unfit()
	if len(changes) == 0 {
		t.Error("no message is unfit")
	}
	for name, spoil := range changes {
		t.Log(name)
		first, bad, last := b.message(1), b.message(2), b.message(3)
		spoil(bad)
		failsAlone(t, b, first, bad, last)
	}
}

func failsAlone(t *testing.T, b *bench, first, bad, last *channels.Message) {
	before := len(b.Accepted())
	got, err := deliver(t.Context(), t, b.open(t), always, first, bad, last)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "verdicts", []string{b.taken(), "permanent", b.taken()}, verdicts(got))
	equal(t, "at the provider", tokens(first, last), b.Accepted()[before:])
	if !got[1].receipt.HandedOver.IsZero() {
		t.Error("the bad message counts as handed over")
	}
}

func slowAnswer(t *testing.T, b *bench) {
	b.needs(t, Hold)
	outcomes, answered := b.background(t.Context(), t)
	if answered.Load() {
		t.Error("done was called before the provider answered")
	}
	b.Release()
	got, err := outcomes()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "verdicts", []string{b.taken()}, verdicts(got))
}

func endsAfterHandOver(t *testing.T, b *bench) {
	b.needs(t, Hold)
	ctx, cancel := context.WithCancel(t.Context())
	outcomes, _ := b.background(ctx, t)
	cancel()
	b.Release()
	got, err := outcomes()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "verdicts", []string{b.taken()}, verdicts(got))
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
	equal(t, "verdicts", []string{b.taken()}, verdicts(got))
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
	dropped(t, b, DropAfter, b.lost())
}

// dropped drops the connection of the second of three messages. The third is not touched, or accepted by a session
// that can connect again, or, where it had been received already, not handed over.
func dropped(t *testing.T, b *bench, a Answer, verdict string) {
	b.needs(t, a)
	b.Answer(b.Recipient(2), a)
	messages := []*channels.Message{b.message(1), b.message(2), b.message(3)}
	got, err := deliver(t.Context(), t, b.open(t), always, messages...)
	want := []string{b.taken(), verdict}
	switch {
	case err == nil:
		want = append(want, b.taken())
	case len(got) == 3:
		want = append(want, "unavailable")
	}
	equal(t, "verdicts", want, verdicts(got))
	var taken []*channels.Message
	for i, m := range messages[:len(got)] {
		if want[i] == b.taken() || i == 1 && a == DropAfter {
			taken = append(taken, m)
		}
	}
	equal(t, "at the provider", tokens(taken...), b.Accepted())
}

// twiceIsOne hands the same message over again, as happens after a crash or a lost answer.
func twiceIsOne(t *testing.T, b *bench) {
	if !b.traits.Repeatable && b.traits.Taken != channels.VerdictPending {
		t.Skip("such a provider would take it twice")
	}
	m := b.message(1)
	for range 2 {
		got, err := deliver(t.Context(), t, b.open(t), always, m)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "verdicts", []string{b.taken()}, verdicts(got))
	}
	equal(t, "at the provider", tokens(m), b.Accepted())
}

func permitRefused(t *testing.T, b *bench) {
	lost := errors.New("the lease is lost")
	got, _ := deliver(t.Context(), t, b.open(t), func(*channels.Message) error { return lost }, b.message(1), b.message(2))
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

// permitRefusedOnce refuses the first of two hand-overs; whatever becomes of the session, the second goes out once.
func permitRefusedOnce(t *testing.T, b *bench) {
	paused, s := errors.New("the run is paused"), b.open(t)
	got, err := deliver(t.Context(), t, s, func(*channels.Message) error { return paused }, b.message(1))
	equal(t, "verdicts", []string{"unavailable"}, verdicts(got))
	if err != nil {
		s = b.open(t)
	}
	second := b.message(2)
	if got, err = deliver(t.Context(), t, s, always, second); err != nil {
		t.Fatal(err)
	}
	equal(t, "verdicts", []string{b.taken()}, verdicts(got))
	equal(t, "at the provider", tokens(second), b.Accepted())
}

func permitAsked(t *testing.T, b *bench) {
	var asked int
	messages := []*channels.Message{b.message(1), b.message(2), b.message(3)}
	if _, err := deliver(t.Context(), t, b.open(t), func(*channels.Message) error { asked++; return nil }, messages...); err != nil {
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
