package delivery

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/customer"
)

// shelf is the table send_slots with a row for each account and each throttle, in a test's own time.
type shelf struct {
	mu    sync.Mutex
	books map[string]*book
}

func (s *shelf) lease(ctx context.Context, account string, length time.Duration) (time.Time, error) {
	s.mu.Lock()
	if s.books[account] == nil {
		s.books[account] = &book{trip: 4 * time.Millisecond}
	}
	b := s.books[account]
	s.mu.Unlock()
	return b.lease(ctx, account, length)
}

func (s *shelf) pacer(p *pacer) *pacer {
	if !p.unlimited() {
		p.lease = s.lease
	}
	return p
}

// sink is when messages of each lane arrived.
type sink struct {
	mu sync.Mutex
	at map[string][]time.Time
	in map[string]int // under way, and the most there were
	up map[string]int

	base atomic.Int64 // of ids
}

func (s *sink) take(lane string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at[lane] = append(s.at[lane], time.Now())
	s.in[lane]++
	s.up[lane] = max(s.up[lane], s.in[lane])
}

func (s *sink) answer(lane string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in[lane]--
}

// feed sends to one domain until the time is up, as a batch of its lane does: a place, a slot of the throttle, a slot of
// the account, a free connection.
func (s *sink) feed(ctx context.Context, domain string, own throttles, account *pacer, connections chan struct{}, takes time.Duration) {
	var under sync.WaitGroup
	defer under.Wait()
	throttle := own.of("budi@" + domain)
	for id := s.base.Add(1_000_000); ctx.Err() == nil; id++ {
		for inside := false; !inside; {
			var freed <-chan struct{}
			if inside, freed = throttle.enter(id); inside {
				break
			}
			select {
			case <-freed:
			case <-ctx.Done():
				return
			}
		}
		pacers := []*pacer{account}
		if throttle != nil {
			pacers = []*pacer{throttle.pace, account}
		}
		for _, p := range pacers {
			if p.unlimited() {
				continue
			}
			at, err := p.slot(ctx)
			if err != nil {
				throttle.leave(id)
				return
			}
			sleep(ctx, time.Until(at))
		}
		select {
		case connections <- struct{}{}:
		case <-ctx.Done():
			return
		}
		under.Go(func() {
			s.take(domain)
			time.Sleep(takes)
			s.answer(domain)
			throttle.leave(id)
			<-connections
		})
	}
}

// With work waiting for every domain, each throttle holds over three processes together as an account's rate does, also where
// it is less than a message a second; whoever has none goes as fast as the account.
func TestThrottles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const account, processes = 200, 3
		rates := map[string]float64{"gmail.com": 20, "yahoo.com": 7.5, "slow.example": 0.5, "few.example": 0}
		list := customer.Throttles{
			{Lane: "gmail.com", Domains: []string{"gmail.com", "googlemail.com"}, Rate: customer.Rate{Count: 20, Per: time.Second}},
			{Lane: "yahoo.com", Domains: []string{"yahoo.com"}, Rate: customer.Rate{Count: 450, Per: time.Minute}, Connections: 2},
			{Lane: "slow.example", Domains: []string{"slow.example"}, Rate: customer.Rate{Count: 30, Per: time.Minute}},
			{Lane: "few.example", Domains: []string{"few.example"}, Connections: 1},
		}
		s, slots := &sink{at: map[string][]time.Time{}, in: map[string]int{}, up: map[string]int{}}, &shelf{books: map[string]*book{}}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		var all sync.WaitGroup
		for range processes {
			own, line := newThrottles("email", list, nil), slots.pacer(interleaved(newPacer("email smtp://a", account, nil)))
			for _, one := range own.all {
				slots.pacer(one.pace)
			}
			defer own.close()
			defer line.close()
			connections := make(chan struct{}, 8)
			for _, domain := range []string{"gmail.com", "yahoo.com", "slow.example", "few.example", "others.example"} {
				all.Go(func() { s.feed(ctx, domain, own, line, connections, 40*time.Millisecond) })
			}
		}
		all.Wait()
		var everything []time.Time
		for domain, at := range s.at {
			everything = append(everything, at...)
			rate := rates[domain]
			if rate == 0 {
				continue
			}
			if n, limit := most(at, 10*time.Second), 1+10*rate*1.02; float64(n) > limit {
				t.Errorf("%s: %d in ten seconds, and %.1f may be", domain, n, limit)
			}
			if n, least := len(at), 60*rate*0.98-1; float64(n) < least {
				t.Errorf("%s: %d in a minute, and at least %.1f should be", domain, n, least)
			}
		}
		if n := s.up["few.example"]; n > processes {
			t.Errorf("few.example has %d at once, and one for each process may be", n)
		}
		slices.SortFunc(everything, time.Time.Compare)
		if n := most(everything, 10*time.Second); n > 10*account*102/100+1 {
			t.Errorf("%d in ten seconds over the account", n)
		}
		if n := len(everything); n < 60*account*98/100 {
			t.Errorf("%d in a minute over the account: the throttles hold up others", n)
		}
	})
}

func TestThrottleOfAddress(t *testing.T) {
	t.Parallel()
	own := newThrottles("email", customer.Throttles{
		{Lane: "yahoo.com", Domains: []string{"yahoo.com", "ymail.com"}, Connections: 1},
		{Lane: "gmail.com", Domains: []string{"gmail.com"}, Connections: 1},
	}, nil)
	got := map[string]string{}
	for _, address := range []string{"a@yahoo.com", "a@ymail.com", "A@GMail.com", "a@mail.yahoo.com", "+628111", ""} {
		if one := own.of(address); one != nil {
			got[address] = one.lane
		}
	}
	if d := cmp.Diff(map[string]string{"a@yahoo.com": "yahoo.com", "a@ymail.com": "yahoo.com", "A@GMail.com": "gmail.com"}, got); d != "" {
		t.Error(d)
	}
	if (throttles{}).of("a@yahoo.com") != nil {
		t.Error("there is a throttle where there is none")
	}
}

// A place is free again when its message has its verdict, however often that is said.
func TestThrottlePlaces(t *testing.T) {
	t.Parallel()
	own := newThrottles("email", customer.Throttles{{Lane: "a.example", Domains: []string{"a.example"}, Connections: 2}}, nil)
	one := own.lane("a.example")
	for id := range int64(2) {
		if ok, _ := one.enter(id); !ok {
			t.Errorf("no place for %d", id)
		}
	}
	ok, freed := one.enter(2)
	if ok {
		t.Error("three are inside, and two may be")
	}
	one.leave(0)
	one.leave(0)
	one.leave(7)
	<-freed
	if ok, _ := one.enter(2); !ok {
		t.Error("no place when one is free")
	}
	if ok, _ := one.enter(3); ok {
		t.Error("three are inside, and two may be")
	}
	if own.lane("b.example") != nil {
		t.Error("there is a throttle where there is none")
	}
}

// Two work a lane; whoever comes meanwhile makes one of them look again, once.
func TestLanes(t *testing.T) {
	t.Parallel()
	var l lanes
	entered := []bool{l.enter("a"), l.enter("a"), l.enter("b"), l.enter("a"), l.enter("a")}
	if !slices.Equal(entered, []bool{true, true, true, false, false}) {
		t.Error("not two of each lane have come in")
	}
	if d := cmp.Diff([]string{"a"}, l.full()); d != "" {
		t.Error(d)
	}
	if !l.leave("a") || l.leave("a") || l.leave("a") {
		t.Error("they do not look again once")
	}
	if l.leave("b") || !l.enter("b") || !l.enter("a") || len(l.full()) > 0 {
		t.Error("a lane is not free after they have left")
	}
}

// The lanes of a channel have places of the window that nobody else takes, and no others, so that neither holds up the other.
func TestWindowOfLanes(t *testing.T) {
	t.Parallel()
	w := newWindow()
	w.admit("email")
	w.admit("sms")
	w.admitLanes(lanesOf("email"), 12)
	w.admitLanes(lanesOf("sms"), 0)
	take := func(line string, triggered bool, want int) {
		t.Helper()
		if got, _ := w.take(line, 100, triggered); got != want {
			t.Errorf("%s gets %d places (triggered %v), want %d: %v", line, got, triggered, want, w.used)
		}
	}
	take("email", false, InDoubt-reserved-least-12)
	take(lanesOf("email"), false, 12)
	take(lanesOf("email"), false, 0)
	take("sms", false, least)
	take("email", true, reserved)
	w.free("email", 20)
	take(lanesOf("email"), false, 0)
	w.free(lanesOf("email"), 5)
	take("email", false, 20-reserved)
	take(lanesOf("email"), false, 5)
	for name, want := range map[int]int{0: 8, 30: 10, 600: (InDoubt - reserved) / 2} {
		list := customer.Throttles{{Rate: customer.Rate{Count: name, Per: time.Second}}}
		if got := lanePlaces(list); got != want {
			t.Errorf("throttles of %d/s have %d places, want %d", name, got, want)
		}
	}
	if got := lanePlaces(nil); got != 0 {
		t.Errorf("no throttle has %d places", got)
	}
}
