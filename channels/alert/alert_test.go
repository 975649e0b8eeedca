package alert

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/channels"
)

// What a desk's page shows, and that whoever listens is told once, in the transaction.
func TestDelivered(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	conn, err := pgx.ConnectConfig(t.Context(), d.look.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if _, err := conn.Exec(t.Context(), `listen `+Notify); err != nil {
		t.Fatal(err)
	}
	m := message(d)
	for range 2 { // as after a crash
		if r, err := d.deliver(m); err != nil || r.ProviderID != "1" || r.HandedOver.IsZero() {
			t.Fatalf("%+v %v", r, err)
		}
	}
	told, err := conn.WaitForNotification(t.Context())
	if err != nil || told.Payload != "sapa front-desk" {
		t.Errorf("told %+v, %v", told, err)
	}
	if _, err := d.look.Exec(t.Context(), `select pg_notify($1, 'the end')`, Notify); err != nil {
		t.Fatal(err)
	}
	if told, err := conn.WaitForNotification(t.Context()); err != nil || told.Payload != "the end" {
		t.Errorf("told again: %+v, %v", told, err)
	}
	var got [][]any
	rows, _ := d.look.Query(t.Context(), `select message_id, desk, title, text, customer_key, campaign, at, done_at from alerts`)
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, values)
	}
	want := [][]any{{int64(7), "front-desk", "Ani 1 has a birthday", "token=t7", "c1", "club-check-in", noon, nil}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What becomes of a message when the desk's other ways fail: the page has it each time.
func TestWays(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for name, c := range map[string]struct {
		verdict error
		want    channels.Verdict
		words   string
	}{
		"accepted":    {nil, channels.VerdictAccepted, ""},
		"for now":     {channels.RetryAfter(errors.New("busy"), time.Minute), channels.VerdictRetry, ""},
		"unavailable": {channels.Unavailable(errors.New("away")), channels.VerdictRetry, ""},
		"refused":     {channels.Permanent(errors.New("no such mailbox")), channels.VerdictAccepted, "the page has the alert; by way: no such mailbox"},
		"unknown":     {channels.Unknown(errors.New("lost")), channels.VerdictAccepted, "the page has the alert; by way: lost"},
	} {
		way := &way{verdict: c.verdict}
		d.ways = []Way{{Channel: way, From: channels.Address{Addr: "sapa@bengkel.example"}, To: channels.Address{Addr: "desk@bengkel.example"}}}
		r, err := d.deliver(message(d))
		if channels.VerdictOf(err) != c.want || channels.Reached(err) != (err != nil) || r.Words != c.words || r.HandedOver.IsZero() {
			t.Errorf("%s: %+v %v", name, r, err)
		}
		want := &channels.Message{
			ID: 7, Token: "alert-t7", From: d.ways[0].From, To: d.ways[0].To, Subject: "Ani 1 has a birthday", Text: "token=t7\n",
			Campaign: "club-check-in", Customer: "c1", Locale: "id-ID",
			Parts: map[string]string{"data.desk": "front-desk", "data.title": "Ani 1 has a birthday", "text": "token=t7"},
		}
		if diff := cmp.Diff([]*channels.Message{want}, way.got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got := d.Accepted(); len(got) != 1 {
		t.Errorf("the page has %q", got)
	}
}

// An alert of which it is not known whether it was written is written again.
func TestLostDatabase(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	if _, err := d.look.Exec(t.Context(), `drop table alerts`); err != nil {
		t.Fatal(err)
	}
	r, err := d.deliver(message(d))
	if channels.VerdictOf(err) != channels.VerdictRetry || r.HandedOver.IsZero() {
		t.Errorf("%+v %v", r, err)
	}
	d.Stop()
	if _, err := d.Channel().Open(t.Context()); channels.VerdictOf(err) != channels.VerdictUnavailable {
		t.Error(err)
	}
}

func message(d *desk) *channels.Message {
	m := &channels.Message{ID: 7, Token: "t7", To: d.Recipient(1), Campaign: "club-check-in", Customer: "c1", Locale: "id-ID"}
	d.Fill(m)
	return m
}

// deliver hands one message over.
func (d *desk) deliver(m *channels.Message) (receipt channels.Receipt, verdict error) {
	d.t.Helper()
	s, err := d.Channel().Open(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	in := make(chan *channels.Message, 1)
	in <- m
	close(in)
	verdict = net.ErrClosed
	if err := s.Deliver(d.t.Context(), in, always, func(_ *channels.Message, r channels.Receipt, err error) { receipt, verdict = r, err }); err != nil {
		d.t.Fatal(err)
	}
	return receipt, verdict
}

// way is a channel with one answer.
type way struct {
	verdict error
	got     []*channels.Message
}

func (w *way) Name() string                                   { return "way" }
func (w *way) Account() string                                { return "way" }
func (w *way) Open(context.Context) (channels.Session, error) { return w, nil }
func (w *way) Close() error                                   { return nil }

func (w *way) Deliver(_ context.Context, in <-chan *channels.Message, _ func(*channels.Message) error, done func(*channels.Message, channels.Receipt, error)) error {
	for m := range in {
		w.got = append(w.got, m)
		done(m, channels.Receipt{}, w.verdict)
	}
	return nil
}
