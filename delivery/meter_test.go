package delivery_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/delivery"
)

// tally is a Meter that counts.
type tally struct {
	mu      sync.Mutex
	counts  map[string]int
	answers []time.Duration
}

func (m *tally) count(what string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts[what] += n
}

func (m *tally) Claimed(channel string, n int) { m.count(channel+" claimed", n) }

func (m *tally) Opened(channel string, err error) {
	if err != nil {
		channel += " not"
	}
	m.count(channel+" opened", 1)
}

func (m *tally) Attempted(channel string, v channels.Verdict, answered time.Duration) {
	m.count(channel+" "+v.String(), 1)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers = append(m.answers, answered)
}

func TestMeterAndHealth(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(6)
	s.exec(`update shop.customers set email = 'budi+later@mail.example' where id = 2`)
	s.exec(`update shop.customers set email = 'budi+bounce@mail.example' where id = 3`)
	run := s.start()
	m := &tally{counts: map[string]int{}}
	how := sending{Connections: 1, Rate: 1000, Meter: m, SMTP: s.mail.SMTPAddr(), Lease: quick}
	e, err := s.sender().engine(how)
	s.must(err)
	if h := e.Health(); h.Working || len(h.Channels) != 1 {
		t.Errorf("before it began: %+v", h)
	}
	stop := s.runEngine(e)
	s.until("all but one are through", func() bool { return s.progress(run).Counts["sent"] == 4 })
	s.until("the session is kept", func() bool { return e.Health().Channels[0].Idle == 1 })
	h := e.Health()
	if want := (delivery.ChannelHealth{Name: "email", Rate: 1000, Connections: 1, Idle: 1}); h.Channels[0] != want {
		t.Errorf("the channel is %+v, want %+v", h.Channels[0], want)
	}
	if !h.Working || h.Worker == 0 || h.Foreign || h.Permit != quick.Permit || h.Beat < 0 || h.Beat > h.Permit || h.Pools["books"].TotalConns() == 0 {
		t.Errorf("while it works: %+v", h)
	}
	stop()
	if e.Health().Working {
		t.Error("it still works after it was stopped")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if d := cmp.Diff(map[string]int{"email claimed": 6, "email opened": 1, "email accepted": 4, "email retry": 1, "email suppress": 1}, m.counts); d != "" {
		t.Errorf("counted (-want +got):\n%s", d)
	}
	handedOver := 0
	for _, answered := range m.answers {
		if answered > 0 {
			handedOver++
		}
	}
	if handedOver != 4 {
		t.Errorf("%d answers have a time, want those of the 4 messages that were handed over: %v", handedOver, m.answers)
	}
}

// A breaker that is open shows, and so does a session that could not be opened.
func TestHealthOfABrokenProvider(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(1)
	s.start()
	m := &tally{counts: map[string]int{}}
	e, err := s.sender().engine(sending{Meter: m, SMTP: "127.0.0.1:9", Lease: quick})
	s.must(err)
	s.runEngine(e)
	s.until("the breaker is open", func() bool { return e.Health().Channels[0].Broken })
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counts["email not opened"] == 0 || m.counts["email opened"] > 0 {
		t.Errorf("counted %v", m.counts)
	}
}

// An engine that never ran, since the database was away, says so.
func TestHealthBeforeTheDatabase(t *testing.T) {
	t.Parallel()
	s := setup(t)
	e, err := s.sender().engine(sending{SMTP: s.mail.SMTPAddr(), Lease: quick})
	s.must(err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.must(e.Run(ctx, nil))
	if h := e.Health(); h.Working || h.Worker != 0 {
		t.Errorf("%+v", h)
	}
}
