package delivery_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
)

// priced is a channel that accepts everything and can be asked what it cost.
type priced struct {
	mu      sync.Mutex
	answers map[string]channels.Inquiry // by the provider's id; "" stands for all others
	asked   []string
}

func (*priced) Name() string    { return "email" }
func (*priced) Account() string { return "test" }
func (*priced) Close() error    { return nil }

func (p *priced) Open(context.Context) (channels.Session, error) { return p, nil }

func (p *priced) Deliver(ctx context.Context, in <-chan *channels.Message, permit func(*channels.Message) error, done func(*channels.Message, channels.Receipt, error)) error {
	for {
		select {
		case m, ok := <-in:
			if !ok {
				return nil
			}
			if err := permit(m); err != nil {
				done(m, channels.Receipt{}, channels.Unavailable(err))
				return err
			}
			name, _, _ := strings.Cut(m.To.Addr, "@")
			done(m, channels.Receipt{HandedOver: time.Now(), ProviderID: name, Segments: 1, Encoding: "GSM-7"}, nil)
		case <-ctx.Done():
			return nil
		}
	}
}

func (p *priced) Inquire(_ context.Context, id string) (channels.Inquiry, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, id)
	switch id {
	case "budi3":
		return channels.Inquiry{}, channels.ErrNoMessage
	case "budi4":
		return channels.Inquiry{}, channels.Unavailable(errors.New("503"))
	}
	return p.answers[id], nil
}

// The provider is asked about messages whose reports said how they ended, until it knows the price or it is too late.
func TestPrices(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(5)
	run := s.start()
	p := &priced{answers: map[string]channels.Inquiry{"budi1": {Price: "0.0105", Currency: "USD", Segments: 2}}}
	ask := func(books, want string) {
		t.Helper()
		e, err := s.sender().engineOn(p, sending{Connections: 1, Lease: quick})
		s.must(err)
		stop := s.runEngine(e)
		got := ""
		for tries := 0; got != want && tries < 1000; tries++ {
			time.Sleep(20 * time.Millisecond)
			got = s.text(books)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("books (-want +got):\n%s", diff)
		}
		stop()
	}
	ask(`select state::text from runs`, "done")
	s.exec(`insert into delivery_reports (message_id, provider_id, status, at, open, ask_at)
		select m.id, 'budi' || m.customer_key, unnest(array['delivered', 'undelivered']), now(), false, now() from messages m where m.customer_key <> '5'`)
	const books = `select string_agg(format('%s asked %s %s, price %s %s, segments %s', d.provider_id, d.asked,
			case when d.ask_at > now() + interval '4 minutes' then 'again' when d.ask_at is null then 'no more' end, a.price, a.currency, a.segments), E'\n' order by d.provider_id)
		from (select message_id, provider_id, max(asked) as asked, min(ask_at) as ask_at from delivery_reports group by 1, 2) d join attempts a using (message_id)`
	want := strings.Join([]string{
		"budi1 asked 1 no more, price 0.010500 USD, segments 2",
		"budi2 asked 1 again, price  , segments 1",
		"budi3 asked 1 no more, price  , segments 1",
		"budi4 asked 1 again, price  , segments 1",
	}, "\n")
	ask(books, want)
	p.answers["budi2"] = channels.Inquiry{Price: "0.01", Currency: "USD"}
	s.exec(`update delivery_reports set ask_at = now(), asked = 5 where ask_at is not null`)
	want = strings.NewReplacer("budi2 asked 1 again, price  ,", "budi2 asked 6 no more, price 0.010000 USD,", "budi4 asked 1 again", "budi4 asked 6 no more").Replace(want)
	ask(books, want)
	if got := s.text(`select format('%s segments, %s %s of %s', segments, currency, cost, priced) from report_runs where run_id = $1`, run); got != "6 segments, USD 0.020500 of 2" {
		t.Errorf("the run has %s", got)
	}
	s.checkBooks()
}
