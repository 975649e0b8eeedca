package delivery

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sapa-crm/sapa/channels"
)

// parcel is a message on its way to whichever session takes it.
type parcel struct {
	mail  *channels.Message
	owner owner
}

// owner is who a parcel comes from.
type owner interface {
	// permit is the last look before the hand-over.
	permit() error
	// verdict says what became of the message: once for each parcel that was offered.
	verdict(mail *channels.Message, receipt channels.Receipt, err error)
}

// line is a process's way out to one provider account: up to so many sessions, which take messages of all runs at the
// account's rate, those that somebody waits for first. One goroutine (run) gives them out; each session has one of its own.
type line struct {
	channel string
	account Account
	pool    *sessionPool
	pace    *pacer
	warm    *warmUp // nil: none
	second  *line   // of the account's fallback; nil: none
	places  string  // of the window
	log     *slog.Logger
	meter   Meter
	fault   Fault

	offers  chan []parcel // from those who send
	urgent  chan []parcel // what somebody waits for
	lanes   chan []parcel // what has waited for a throttle
	joining chan chan error
	leaving chan struct{}
	turn    chan struct{} // holds one for the flow that opens messages
	events  chan event
	over    chan struct{} // closed when nobody waits for anything any more
	speed   speed
	nearest nearest

	wanted atomic.Int64         // when messages last asked for a way, of the first of two accounts
	used   atomic.Pointer[line] // the one that they got
}

// event is news of somebody who works on a session.
type event struct {
	shift  *shift
	opened bool // there is a session, or with err none could be had
	ended  bool // the session was put back, or with err it broke
	err    error
}

// noSession is why nothing can be handed over by an account: no session can be had.
type noSession struct{ cause error }

func (e *noSession) Error() string { return e.cause.Error() }
func (e *noSession) Unwrap() error { return e.cause }

func newLine(channel string, account Account, cfg Config) *line {
	pool := newSessionPool(account.Channel)
	pool.opened = func(err error) { cfg.Meter.Opened(channel, err) }
	return &line{
		channel: channel, places: channel, account: account, pool: pool, log: cfg.Log, meter: cfg.Meter, fault: cfg.Fault,
		pace:   newPacer(channel+" "+account.Channel.Account(), account.Rate, cfg.Pool),
		offers: make(chan []parcel), urgent: make(chan []parcel), lanes: make(chan []parcel),
		joining: make(chan chan error), leaving: make(chan struct{}), turn: make(chan struct{}, 1),
		events: make(chan event), over: make(chan struct{}),
	}
}

// join waits until there is a session. Who has joined may offer parcels, and leaves when all have their verdicts. The error
// is an Unavailable or a Permanent of the channel's, or the context's.
func (l *line) join(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case l.joining <- answer:
	case <-ctx.Done():
		return ctx.Err()
	case <-l.over:
		return errPaused
	}
	select {
	case err := <-answer:
		return err
	case <-l.over:
		return errPaused
	}
}

func (l *line) leave() {
	select {
	case l.leaving <- struct{}{}:
	case <-l.over:
	}
}

// close ends the line. Sessions that still wait for an answer are left to themselves.
func (l *line) close() {
	close(l.over)
	l.pace.close()
}

// giver gives parcels out to sessions: the state of line.run.
type giver struct {
	*line
	ctx      context.Context //nolint:containedctx // of run, whose state this is
	shift    *shift
	users    int               // who has joined
	waiting  []chan error      // who wants to, and waits for the first session
	hands    int               // that have a session
	staff    int               // of them, those of this shift
	opening  int               // that are getting one
	patience time.Time         // no further session is opened before
	queues   [3][]parcel       // urgent ones, those of lanes, others
	last     int               // the queue that gave the last one
	offered  *channels.Message // to the shift's sessions, and nobody took it yet
	slot     time.Time         // when the next parcel may go; zero: there is no slot
	asked    <-chan struct{}
	retry    time.Time // when slots are asked for again
}

// run gives out parcels until the context ends, and what was given out has its verdict.
func (l *line) run(ctx context.Context) {
	g := &giver{line: l, ctx: ctx}
	g.shift = g.newShift()
	told := ctx.Done()
	for {
		if ctx.Err() != nil {
			g.refuseAll(channels.Unavailable(errPaused))
		}
		out, first := g.next()
		if out != nil && g.tryGive(out, first.mail) {
			continue
		}
		timer, wait := g.timer()
		select {
		case p := <-g.open(urgentQueue):
			g.queues[urgentQueue] = p
		case p := <-g.open(laneQueue):
			g.queues[laneQueue] = p
		case p := <-g.open(otherQueue):
			g.queues[otherQueue] = p
		case out <- first.mail:
			g.gave()
		case <-wait:
			if len(g.shift.in) > 0 {
				g.hire()
			}
		case <-told:
			told = nil
			g.change() // what lies before its sessions comes back, even if these are silent
		case <-g.asked:
			g.asked = nil
		case e := <-l.events:
			g.heard(e)
		case answer := <-l.joining:
			g.joins(answer)
		case <-l.leaving:
			if g.users--; g.users == 0 {
				g.change() // its sessions go back to the pool
			}
		case <-l.over:
			g.change()
			g.refuseAll(channels.Unavailable(errPaused))
			g.shift.end(nil)
			return
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

const (
	urgentQueue = iota
	laneQueue
	otherQueue
)

// open is where parcels come from; nobody is listened to whose last ones still wait.
func (g *giver) open(queue int) chan []parcel {
	switch {
	case len(g.queues[queue]) > 0 || g.ctx.Err() != nil && g.users == 0:
		return nil
	case queue == urgentQueue:
		return g.urgent
	case queue == laneQueue:
		return g.lanes
	}
	return g.offers
}

// head is the queue whose first parcel is next; -1 when all are empty. Lanes and others take turns: where throttles allow more
// than the account, they must not have all of it.
func (g *giver) head() int {
	if len(g.queues[urgentQueue]) == 0 && g.last == laneQueue && len(g.queues[otherQueue]) > 0 {
		return otherQueue
	}
	for q, list := range g.queues {
		if len(list) > 0 {
			return q
		}
	}
	return -1
}

// next is the parcel that may go now, and where to. What has lost its permission goes back to its owner.
func (g *giver) next() (chan<- *channels.Message, parcel) {
	g.unoffer()
	for {
		q := g.head()
		if q < 0 {
			return nil, parcel{}
		}
		first := g.queues[q][0]
		if err := first.owner.permit(); err != nil {
			g.queues[q] = g.queues[q][1:]
			first.owner.verdict(first.mail, channels.Receipt{}, channels.Unavailable(err))
			continue
		}
		if g.staff == 0 {
			g.hire()
			return nil, parcel{}
		}
		if !g.slotIsHere() {
			return nil, parcel{}
		}
		g.shift.give(first)
		g.offered = first.mail
		return g.shift.in, first
	}
}

// tryGive gives the message to a session that waits, or leaves it where one will find it, and gets another session where
// none waits.
func (g *giver) tryGive(out chan<- *channels.Message, m *channels.Message) bool {
	select {
	case out <- m:
		g.gave()
		if len(out) > 0 {
			g.hire()
		}
		return true
	default:
		g.hire()
		return false
	}
}

// gave notes that the first parcel is on its way.
func (g *giver) gave() {
	q := g.head()
	g.queues[q], g.last, g.offered = g.queues[q][1:], q, nil
	g.slot = time.Time{}
}

// unoffer takes back what nobody took: another parcel may go before it, or it may lose its permission.
func (g *giver) unoffer() {
	if g.offered != nil {
		g.shift.forget(g.offered)
		g.offered = nil
	}
}

// slotIsHere says whether the rate lets a parcel go now; else timer or asked wakes us.
func (g *giver) slotIsHere() bool {
	if g.pace.unlimited() {
		return true
	}
	now := time.Now()
	if !g.slot.IsZero() && now.Sub(g.slot) > slotLapse { // the sessions were busy: this slot is lost
		g.slot = time.Time{}
	}
	if g.slot.IsZero() && g.asked == nil && now.After(g.retry) {
		var err error
		if g.slot, g.asked, err = g.pace.take(g.ctx); err != nil {
			g.log.Warn("lease sending slots", slog.Any("error", err))
			g.retry = now.Add(gateEvery)
		}
		if !g.slot.IsZero() {
			g.asked = nil
		}
	}
	return !g.slot.IsZero() && !now.Before(g.slot)
}

// timer wakes us when something is due: a slot, its lapse, or a look at permissions and sessions.
func (g *giver) timer() (*time.Timer, <-chan time.Time) {
	if g.head() < 0 && (len(g.shift.in) == 0 || g.hands+g.opening >= g.account.connections()) {
		return nil, nil
	}
	wait := gateEvery
	if !g.slot.IsZero() {
		until := time.Until(g.slot)
		if until <= 0 {
			until = time.Until(g.slot.Add(slotLapse)) + time.Millisecond
		}
		wait = min(wait, max(0, until))
	}
	t := time.NewTimer(wait)
	return t, t.C
}

// hire gets another session, where one may be had.
func (g *giver) hire() {
	if g.hands+g.opening >= g.account.connections() || g.staff+g.opening >= g.sessions() || g.opening > 0 && g.hands == 0 || time.Now().Before(g.patience) || g.ctx.Err() != nil {
		return
	}
	g.opening++
	s := g.shift
	s.hands.Go(func() { g.work(g.ctx, s) })
}

func (g *giver) joins(answer chan error) {
	if g.hands > 0 {
		g.users++
		answer <- nil
		return
	}
	g.waiting = append(g.waiting, answer)
	g.patience = time.Time{}
	g.hire()
	if g.opening == 0 {
		g.answer(errPaused)
	}
}

func (g *giver) answer(err error) {
	for _, answer := range g.waiting {
		if err == nil {
			g.users++
		}
		answer <- err
	}
	g.waiting = nil
}

// heard takes news of a session.
func (g *giver) heard(e event) {
	here := e.shift == g.shift
	switch {
	case e.opened && e.err == nil:
		g.opening--
		g.hands++
		if here {
			g.staff++
		}
		g.answer(nil)
	case e.opened:
		g.opening--
		g.patience = time.Now().Add(time.Second)
		if g.hands+g.opening == 0 {
			g.answer(e.err)
			g.refuseAll(channels.Unavailable(&noSession{e.err}))
		}
	case e.ended:
		g.hands--
		if here {
			if g.staff--; e.err != nil || g.staff == 0 {
				g.change()
			}
		}
	}
}

// change begins a new shift: the sessions of the old one finish what they have taken and are then free for this one. What a
// session took and said nothing about is found so. What lies before them goes to the new one.
func (g *giver) change() {
	untaken := g.shift.end(g.offered)
	g.shift, g.staff, g.offered = g.newShift(), 0, nil
	g.queues[urgentQueue] = append(untaken, g.queues[urgentQueue]...)
}

// newShift has room for a message for each session, unless each has its moment.
func (g *giver) newShift() *shift {
	room := g.account.connections()
	if !g.pace.unlimited() {
		room = 0
	}
	return newShift(room)
}

// refuseAll gives back what waits.
func (g *giver) refuseAll(cause error) {
	g.unoffer()
	for q, list := range g.queues {
		for _, p := range list {
			p.owner.verdict(p.mail, channels.Receipt{}, cause)
		}
		g.queues[q] = nil
	}
}
