package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
)

// finding is a channel that answers for customer 8 only, and knows which messages it took.
type finding struct {
	priced
	mu    sync.Mutex
	asked []string
}

func (f *finding) Open(context.Context) (channels.Session, error) { return f, nil }

func (f *finding) Deliver(ctx context.Context, in <-chan *channels.Message, permit func(*channels.Message) error, done func(*channels.Message, channels.Receipt, error)) error {
	for {
		m, ok := channels.Receive(ctx, in)
		if !ok {
			return nil
		}
		if err := permit(m); err != nil {
			done(m, channels.Receipt{}, channels.Unavailable(err))
			return err
		}
		r := channels.Receipt{HandedOver: time.Now()}
		if strings.HasPrefix(m.To.Addr, "budi8@") {
			r.ProviderID = "SM9"
			done(m, r, nil)
			continue
		}
		done(m, r, channels.Unknown(errors.New("no answer")))
	}
}

func (f *finding) Find(_ context.Context, lost channels.Lost) (channels.Inquiry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.Sort(lost.Known)
	f.asked = append(f.asked, fmt.Sprintf("%s marks %v known %v, %v", lost.To, lost.Marks, lost.Known, lost.Until.Sub(lost.Since)))
	if strings.HasPrefix(lost.To, "budi3@") {
		return channels.Inquiry{}, fmt.Errorf("0 messages fit: %w", channels.ErrNoMessage)
	}
	return channels.Inquiry{Report: channels.Report{ProviderID: "found " + lost.To}}, nil
}

func (f *finding) questions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.asked)
}

// Messages without an answer are looked up at their provider when their turn has come; what it has becomes sent, and
// everything else stays unknown.
func TestLookup(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(8)
	run := s.start()
	f := &finding{}
	e, err := s.sender().engineOn(f, sending{Connections: 1, Lease: quick})
	s.must(err)
	stop := s.runEngine(e)
	s.await(run, "done")
	stop()
	// Customers 1 to 3 were handed over 2½ minutes ago, 4 just now, 5 long ago; 6 and 7 have one number, and neither a mark. 8
	// has the number of 2.
	s.exec(`update messages set channel = 'sms'`)
	s.exec(`update addresses a set channel = 'sms', hash = o.hash
		from addresses o where o.raw = case left(a.raw, 5) when 'budi7' then 'budi6@mail.example' when 'budi8' then 'budi2@mail.example' else a.raw end`)
	s.exec(`update attempts a set handed_over = clock_timestamp() -
			(case m.customer_key when '4' then '10 seconds' when '5' then '40 minutes' else '150 seconds' end)::interval
		from messages m where m.id = a.message_id`)
	s.exec(`insert into short_links (code, message_id, part, link, made_at) select 'Ab3dE9x0', id, 'sms', 0, now() from messages where customer_key = '1'`)
	c := s.sender()
	e, err = delivery.New(delivery.Config{
		Pool: c.pool, DBSchema: pg.DefaultSchema, Schema: c.schema, Library: c.library, URLs: c.urls, Log: c.log, Now: c.clock.now, Lease: quick,
		Accounts: map[string]delivery.Account{"sms": {Channel: f, Connections: 1}},
	})
	s.must(err)
	stop = s.runEngine(e)
	const books = `select string_agg(format('%s %s %s', m.customer_key, m.state, a.provider_id || ', ' || a.words), E'\n' order by m.customer_key)
		from messages m join attempts a on a.message_id = m.id and a.number = m.attempts where m.customer_key <> '8'`
	want := strings.Join([]string{
		"1 sent found budi1@mail.example, found in the provider's list",
		"2 sent found budi2@mail.example, found in the provider's list",
		"3 unknown ", "4 unknown ", "5 unknown ", "6 unknown ", "7 unknown ",
	}, "\n")
	got := ""
	for tries := 0; (got != want || f.questions() < 3) && tries < 500; tries++ {
		time.Sleep(20 * time.Millisecond)
		got = s.text(books)
	}
	stop()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("books (-want +got):\n%s", diff)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if diff := cmp.Diff([]string{
		"budi1@mail.example marks [/s/Ab3dE9x0] known [], 1m30s",
		"budi2@mail.example marks [] known [SM9], 1m30s",
		"budi3@mail.example marks [] known [], 1m30s",
	}, f.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	s.checkBooks()
	if got := s.text(`select sum(delta)::text from run_totals where run_id = $1 and state = 'sent'`, run); got != "3" {
		t.Errorf("the run has %s sent", got)
	}
}
