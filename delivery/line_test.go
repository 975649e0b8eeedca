package delivery

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
)

// office is a channel that notes who came, and answers as it is told.
type office struct {
	answer func(*channels.Message) reply // nil: everything is accepted at once

	mu         sync.Mutex
	closed     error // why nobody is let in
	inside     int   // sessions at this moment
	most       int   // that there ever were at the same time
	opened     int
	handedOver []int64
	at         []time.Time
}

// reply is what a session says of a message, and whether it breaks then.
type reply struct {
	verdict error
	broken  error
	silent  bool // it says nothing
}

func (*office) Name() string    { return "email" }
func (*office) Account() string { return "smtp://office" }

func (o *office) Open(context.Context) (channels.Session, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed != nil {
		return nil, o.closed
	}
	o.opened++
	o.inside++
	o.most = max(o.most, o.inside)
	return &desk{office: o}, nil
}

func (o *office) shut(why error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = why
}

// handed are the messages that were handed over, in their order.
func (o *office) handed() []int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.handedOver)
}

type desk struct {
	*office
	gone bool
}

func (d *desk) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.gone {
		d.gone = true
		d.inside--
	}
	return nil
}

func (d *desk) Deliver(ctx context.Context, in <-chan *channels.Message, permit func(*channels.Message) error, done func(*channels.Message, channels.Receipt, error)) error {
	for {
		m, ok := channels.Receive(ctx, in)
		if !ok {
			return nil
		}
		if err := permit(m); err != nil {
			done(m, channels.Receipt{}, channels.Unavailable(err))
			return channels.Unavailable(err)
		}
		d.mu.Lock()
		d.handedOver, d.at = append(d.handedOver, m.ID), append(d.at, time.Now())
		d.mu.Unlock()
		r := reply{}
		if d.answer != nil {
			r = d.answer(m)
		}
		if !r.silent {
			done(m, channels.Receipt{}, r.verdict)
		}
		if r.broken != nil {
			_ = d.Close()
			return channels.Unavailable(r.broken)
		}
	}
}

// patron is an owner of parcels that notes what becomes of them.
type patron struct {
	mu       sync.Mutex
	forbid   error
	verdicts map[int64][]string
}

func newPatron() *patron { return &patron{verdicts: map[int64][]string{}} }

func (p *patron) permit() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.forbid
}

func (p *patron) stop(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forbid = why
}

func (p *patron) verdict(mail *channels.Message, _ channels.Receipt, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.verdicts[mail.ID] = append(p.verdicts[mail.ID], channels.VerdictOf(err).String())
}

func (p *patron) heard() map[int64][]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := map[int64][]string{}
	for id, v := range p.verdicts {
		list[id] = slices.Clone(v)
	}
	return list
}

// parcels are messages of a patron with these ids.
func (p *patron) parcels(ids ...int64) (list []parcel) {
	for _, id := range ids {
		list = append(list, parcel{&channels.Message{ID: id}, p})
	}
	return list
}

func upTo(n int64) (ids []int64) {
	for id := int64(1); id <= n; id++ {
		ids = append(ids, id)
	}
	return ids
}

// each is the same verdict for some messages.
func each(verdict string, ids ...int64) map[int64][]string {
	list := map[int64][]string{}
	for _, id := range ids {
		list[id] = []string{verdict}
	}
	return list
}

// counter is a line to an office, in a test's own time.
type counter struct {
	*line
	t    *testing.T
	stop context.CancelFunc // as when the process is told to stop
}

// atOffice opens a line in a bubble, and closes it.
func atOffice(t *testing.T, o *office, connections int, rate float64, test func(*counter)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newLine("email", Account{Channel: o, Connections: connections, Rate: rate}, Config{Log: slog.New(slog.DiscardHandler), Meter: unmetered{}})
		l.pace.lease = (&book{}).lease
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); l.run(ctx) }()
		test(&counter{l, t, stop})
		stop()
		l.close()
		<-ended
		l.pool.closeAll()
	})
}

func (c *counter) enter() {
	c.t.Helper()
	if err := c.join(context.Background()); err != nil {
		c.t.Fatal(err)
	}
}

func (c *counter) offer(list []parcel) { c.offers <- list }

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// hold makes answers wait until they are let go.
func (o *office) hold() (release func()) {
	open := make(chan struct{})
	o.answer = func(*channels.Message) reply { <-open; return reply{} }
	return func() { close(open) }
}

// Triggered messages go before all that nobody has taken yet.
func TestLineUrgentFirst(t *testing.T) {
	t.Parallel()
	o := &office{}
	atOffice(t, o, 1, 0, func(c *counter) {
		release := o.hold()
		p := newPatron()
		c.enter()
		c.offer(p.parcels(upTo(6)...))
		synctest.Wait() // the session has the first, and the second lies before it
		c.urgent <- p.parcels(101, 102)
		synctest.Wait()
		release()
		synctest.Wait()
		c.leave()
		same(t, "handed over", o.handed(), []int64{1, 2, 101, 102, 3, 4, 5, 6})
		same(t, "verdicts", p.heard(), each("accepted", 1, 2, 3, 4, 5, 6, 101, 102))
	})
}

// What was offered to sessions and then had to wait behind triggered messages is not theirs: a session that breaks
// meanwhile says nothing about it, and it goes once.
func TestLineUrgentWhenASessionBreaks(t *testing.T) {
	t.Parallel()
	var open chan struct{}
	o := &office{answer: func(m *channels.Message) reply {
		if m.ID == 1 {
			<-open
			return reply{broken: errors.New("connection reset")}
		}
		return reply{}
	}}
	atOffice(t, o, 1, 0, func(c *counter) {
		open = make(chan struct{})
		p := newPatron()
		c.enter()
		c.offer(p.parcels(upTo(4)...))
		synctest.Wait() // 3 is offered to whoever is free first
		c.urgent <- p.parcels(101)
		synctest.Wait()
		close(open)
		time.Sleep(time.Second)
		c.leave()
		same(t, "verdicts", p.heard(), each("accepted", 1, 2, 3, 4, 101))
	})
}

// A message that was offered to sessions, and loses its permission before one has taken it, has one verdict.
func TestLinePermissionEndsWhileOffered(t *testing.T) {
	t.Parallel()
	o := &office{}
	atOffice(t, o, 1, 0, func(c *counter) {
		release := o.hold()
		p := newPatron()
		c.enter()
		c.offer(p.parcels(1, 2, 3))
		synctest.Wait()
		p.stop(errPaused)
		time.Sleep(2 * gateEvery)
		same(t, "verdicts", p.heard(), each("unavailable", 3))
		release()
		synctest.Wait()
		c.leave()
		synctest.Wait()
		want := each("unavailable", 2, 3)
		want[1] = []string{"accepted"}
		same(t, "verdicts", p.heard(), want)
	})
}

// There are never more sessions than the account allows, and all of them when there is work for them; they are kept.
func TestLineSessions(t *testing.T) {
	t.Parallel()
	o := &office{answer: func(*channels.Message) reply { time.Sleep(100 * time.Millisecond); return reply{} }}
	atOffice(t, o, 3, 0, func(c *counter) {
		p := newPatron()
		for round := range int64(2) {
			c.enter()
			c.offer(p.parcels(upTo(round*30 + 30)[round*30:]...))
			time.Sleep(10 * time.Second)
			c.leave()
			synctest.Wait()
		}
		same(t, "verdicts", p.heard(), each("accepted", upTo(60)...))
		if o.most != 3 || o.opened != 3 {
			t.Errorf("%d sessions at once, %d were opened; want 3", o.most, o.opened)
		}
	})
}

// One message at a time needs one session.
func TestLineOneAtATime(t *testing.T) {
	t.Parallel()
	o := &office{}
	atOffice(t, o, 8, 0, func(c *counter) {
		p := newPatron()
		c.enter()
		for id := range int64(20) {
			c.offer(p.parcels(id))
			synctest.Wait()
		}
		c.leave()
		if o.opened > 2 { // the first message may lie before a session that is about to take it
			t.Errorf("%d sessions were opened for one message at a time", o.opened)
		}
	})
}

// A session that breaks gives back what it has not taken: others have it. What it took and says nothing about is unknown.
func TestLineSessionBreaks(t *testing.T) {
	t.Parallel()
	o := &office{answer: func(m *channels.Message) reply {
		if m.ID == 3 {
			return reply{silent: true, broken: errors.New("connection reset")}
		}
		return reply{}
	}}
	atOffice(t, o, 1, 0, func(c *counter) {
		p := newPatron()
		c.enter()
		c.offer(p.parcels(upTo(8)...))
		time.Sleep(time.Second)
		c.leave()
		want := each("accepted", 1, 2, 4, 5, 6, 7, 8)
		want[3] = []string{"unknown"}
		same(t, "verdicts", p.heard(), want)
		same(t, "handed over", o.handed(), upTo(8))
	})
}

// A session that breaks does not keep messages waiting for another one that is silent.
func TestLineSilentSession(t *testing.T) {
	t.Parallel()
	o := &office{answer: func(m *channels.Message) reply {
		switch m.ID {
		case 1:
			time.Sleep(10 * time.Minute)
		case 2:
			time.Sleep(time.Second)
			return reply{broken: errors.New("connection reset")}
		}
		return reply{}
	}}
	atOffice(t, o, 2, 0, func(c *counter) {
		p := newPatron()
		c.enter()
		c.offer(p.parcels(upTo(8)...))
		time.Sleep(5 * time.Second)
		same(t, "verdicts meanwhile", p.heard(), each("accepted", 2, 3, 4, 5, 6, 7, 8))
		time.Sleep(10 * time.Minute)
		c.leave()
		same(t, "verdicts", p.heard(), each("accepted", upTo(8)...))
		if o.most != 2 {
			t.Errorf("%d sessions at once, want 2", o.most)
		}
	})
}

// When a further session could not be had, what lies before a silent one is not left there: another is tried soon.
func TestLineHiresAgain(t *testing.T) {
	t.Parallel()
	o := &office{answer: func(m *channels.Message) reply {
		if m.ID == 1 {
			time.Sleep(10 * time.Minute)
		}
		return reply{}
	}}
	atOffice(t, o, 2, 0, func(c *counter) {
		p := newPatron()
		c.enter()
		o.shut(errAway)
		c.offer(p.parcels(1, 2, 3))
		synctest.Wait() // 2 and 3 lie before the session that has 1
		o.shut(nil)
		time.Sleep(10 * time.Second)
		same(t, "verdicts meanwhile", p.heard(), each("accepted", 2, 3))
		time.Sleep(10 * time.Minute)
		c.leave()
	})
}

// Nobody comes in before there is a session, and all wait for the same one.
func TestLineJoin(t *testing.T) {
	t.Parallel()
	o := &office{}
	o.shut(errAway)
	atOffice(t, o, 4, 0, func(c *counter) {
		answers := make(chan error, 3)
		for range 3 {
			go func() { answers <- c.join(c.t.Context()) }()
		}
		for range 3 {
			if err := <-answers; channels.VerdictOf(err) != channels.VerdictUnavailable {
				t.Errorf("at a closed office: %v", err)
			}
		}
		o.shut(nil)
		time.Sleep(2 * time.Second) // the breaker's
		for range 3 {
			c.enter()
		}
		if o.opened != 1 {
			t.Errorf("%d sessions were opened for those who only came in, want 1", o.opened)
		}
		for range 3 {
			c.leave()
		}
	})
}

// When no session can be had any more, whoever waits is told so.
func TestLineNoSession(t *testing.T) {
	t.Parallel()
	for name, cause := range map[string]error{"away": errAway, "wrong password": channels.Permanent(errors.New("535"))} {
		o := &office{}
		o.answer = func(*channels.Message) reply {
			o.shut(cause)
			return reply{broken: errors.New("connection reset")}
		}
		atOffice(t, o, 1, 0, func(c *counter) {
			told := &told{patron: newPatron()}
			c.enter()
			c.offer([]parcel{{&channels.Message{ID: 1}, told}, {&channels.Message{ID: 2}, told}, {&channels.Message{ID: 3}, told}, {&channels.Message{ID: 4}, told}})
			time.Sleep(10 * time.Second)
			c.leave()
			want := each("unavailable", 2, 3, 4)
			want[1] = []string{"accepted"}
			same(t, name+": verdicts", told.heard(), want)
			none := (*noSession)(nil)
			if !errors.As(told.last, &none) || !errors.Is(none.cause, cause) {
				t.Errorf("%s: they were told %v", name, told.last)
			}
		})
	}
}

// A server that lets everybody in and then refuses whatever comes is left alone after a few sessions, whether they were opened
// for a message or for one that another session then had.
func TestLineRefusedSender(t *testing.T) {
	t.Parallel()
	refusal := channels.Unavailable(errors.New("550 sender not allowed"))
	for connections := 1; connections <= 8; connections *= 2 {
		o := &office{answer: func(*channels.Message) reply {
			time.Sleep(time.Millisecond)
			return reply{verdict: refusal, broken: refusal}
		}}
		atOffice(t, o, connections, 0, func(c *counter) {
			p := newPatron()
			c.enter()
			c.offer(p.parcels(upTo(40)...))
			time.Sleep(5 * time.Second)
			c.leave()
			same(t, "verdicts", p.heard(), each("unavailable", upTo(40)...))
			if n := len(o.handed()); n > maxStrikes+connections {
				t.Errorf("with %d connections it was tried %d times", connections, n)
			}
		})
	}
}

// told remembers the last error.
type told struct {
	*patron
	last error
}

func (o *told) verdict(mail *channels.Message, r channels.Receipt, err error) {
	o.patron.verdict(mail, r, err)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.last = err
	}
}

// The rate holds over all sessions, from the first message on, and a session that was busy does not catch up.
func TestLineRate(t *testing.T) {
	t.Parallel()
	o := &office{answer: func(m *channels.Message) reply {
		if m.ID == 20 {
			time.Sleep(3 * time.Second)
		}
		return reply{}
	}}
	atOffice(t, o, 1, 10, func(c *counter) {
		p := newPatron()
		c.enter()
		c.offer(p.parcels(upTo(60)...))
		time.Sleep(10 * time.Second)
		c.leave()
		same(t, "handed over", o.handed(), upTo(60))
		for i, at := range o.at[2:] { // one may be as late as a slot lapses, and the next one at its moment
			if d := at.Sub(o.at[i]); d < 100*time.Millisecond {
				t.Errorf("message %d came %s after the last but one", i+3, d)
			}
		}
		if took := o.at[59].Sub(o.at[0]); took < 8*time.Second+500*time.Millisecond || took > 9*time.Second {
			t.Errorf("60 messages took %s, at 10 a second with a pause of 3 s", took)
		}
	})
}

// A process that is told to stop hands over nothing more: what nobody took comes back at once, though a session is silent.
func TestLineStops(t *testing.T) {
	t.Parallel()
	o := &office{}
	atOffice(t, o, 2, 0, func(c *counter) {
		release := o.hold()
		p := newPatron()
		c.enter()
		c.offer(p.parcels(upTo(9)...))
		synctest.Wait() // two are handed over, two lie before the sessions
		c.stop()
		time.Sleep(time.Second)
		same(t, "verdicts while stopping", p.heard(), each("unavailable", 3, 4, 5, 6, 7, 8, 9))
		if err := c.join(c.t.Context()); !errors.Is(err, errPaused) && channels.VerdictOf(err) != channels.VerdictAccepted {
			t.Errorf("joining a line that stops: %v", err)
		}
		release()
		synctest.Wait()
		want := each("unavailable", 3, 4, 5, 6, 7, 8, 9)
		want[1], want[2] = []string{"accepted"}, []string{"accepted"}
		same(t, "verdicts", p.heard(), want)
	})
}

// A line that is closed leaves nobody without a verdict but whose session is silent.
func TestLineCloses(t *testing.T) {
	t.Parallel()
	o := &office{}
	p := newPatron()
	atOffice(t, o, 1, 0, func(c *counter) {
		release := o.hold()
		c.enter()
		c.offer(p.parcels(upTo(5)...))
		synctest.Wait()
		c.line.close()
		synctest.Wait()
		same(t, "verdicts", p.heard(), each("unavailable", 2, 3, 4, 5))
		release()
		synctest.Wait()
		c.over, c.pace.over = make(chan struct{}), make(chan struct{}) // it is closed again
	})
	if got := p.heard()[1]; len(got) != 1 || got[0] != "accepted" {
		t.Errorf("the message whose session was silent: %v", got)
	}
}

// A panic in a channel breaks that session: what it had is unknown, the others go on.
func TestLineChannelPanics(t *testing.T) {
	t.Parallel()
	o := &office{answer: func(m *channels.Message) reply {
		if m.ID == 2 {
			panic("no such thing")
		}
		return reply{}
	}}
	atOffice(t, o, 2, 0, func(c *counter) {
		p := newPatron()
		c.enter()
		c.offer(p.parcels(upTo(6)...))
		time.Sleep(time.Second)
		c.leave()
		want := each("accepted", 1, 3, 4, 5, 6)
		want[2] = []string{"unknown"}
		same(t, "verdicts", p.heard(), want)
	})
}
