package channels

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A session goes on behind what is refused, and where permission was withheld; it has broken when a message says so, and
// leaves the rest alone.
func TestSingly(t *testing.T) {
	t.Parallel()
	in := make(chan *Message, 5)
	for id := range int64(5) {
		in <- &Message{ID: id}
	}
	close(in)
	withheld, refused, away := errors.New("withheld"), Permanent(errors.New("refused")), Unavailable(errors.New("away"))
	permit := func(m *Message) error {
		if m.ID == 1 {
			return withheld
		}
		return nil
	}
	var got []string
	done := func(_ *Message, r Receipt, err error) { got = append(got, r.ProviderID+" "+VerdictOf(err).String()) }
	deliver := func(_ context.Context, m *Message, permit func(*Message) error) (Receipt, error) {
		if err := permit(m); err != nil {
			return Receipt{}, Unavailable(err)
		}
		return Receipt{ProviderID: string(rune('a' + m.ID))}, []error{nil, nil, refused, away, nil}[m.ID]
	}
	if err := Singly(t.Context(), in, permit, done, deliver); !errors.Is(err, away) {
		t.Errorf("the session ended with %v", err)
	}
	if diff := cmp.Diff([]string{"a accepted", " unavailable", "c permanent", "d unavailable"}, got); diff != "" || len(in) != 1 {
		t.Errorf("%d left\n%s", len(in), diff)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := Singly(ctx, in, permit, done, func(context.Context, *Message, func(*Message) error) (Receipt, error) {
		cancel()
		return Receipt{}, away
	})
	if err != nil {
		t.Errorf("the context ended, and the session with %v", err)
	}
}
