package delivery

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/sapa-crm/sapa/channels"
)

// errPaused says that the run was paused, cancelled or that this process is stopping.
var errPaused = errors.New("the run does not send now")

// errLeaseLost says that others have taken the batch over.
var errLeaseLost = errors.New("the batch was taken over by others")

// flushEvery bounds how late a verdict reaches the ledger.
const flushEvery = 200 * time.Millisecond

// flow is a batch on its way into a line. Only what the ledger says may be handed over is offered to sessions: the end of
// that moves on in the statement that records verdicts.
type flow struct {
	engine *Engine
	lease  *lease
	line   *line
	fill   *filler
	most   int // messages that may be in hand at once

	queue   []filled           // claimed, and may not be handed over yet; in the order of their ids
	offered []parcel           // may be handed over, and the line has not taken them yet
	inHand  map[int64]*message // may be handed over, and have no verdict
	answers chan answer        // has room for all of them, so that no session waits for the database
	pending []outcome          // verdicts that are not in the ledger

	places   string        // whose of the window it takes
	turn     *turn         // nil: it is always this flow's
	paced    *paced        // nil: none of its messages waits for a throttle
	dry      bool          // nothing more of the batch is due
	stopped  error         // why nothing more is claimed or opened
	pause    time.Duration // how long the batch should then rest
	trouble  error         // of the database
	sample   *message      // one that was handed over, for the copies of seeds
	answered bool          // the provider said something about a message of its own
	untold   []*int64      // under FaultLateWindow
	closed   atomic.Bool   // the batch is about to be given back
}

// answer is a channel's verdict on a message.
type answer struct {
	id      int64
	receipt channels.Receipt
	err     error
}

// permit is the last look before a hand-over: the run's state, whose database it is, and our lease.
func (f *flow) permit() error {
	if f.closed.Load() || !f.engine.gate.open(f.lease.run) {
		return errPaused
	}
	if f.engine.foreign.Load() {
		return errForeignHere
	}
	return f.lease.life.permit()
}

// verdict is the line's word on a parcel.
func (f *flow) verdict(mail *channels.Message, receipt channels.Receipt, err error) {
	f.answers <- answer{mail.ID, receipt, err}
}

// run claims, fills, opens, offers, hears and records until nothing of the batch is due, or something stands in the way;
// pause is how long the batch should then rest. The error is the database's; what happened to messages is in the ledger.
// What was claimed and may not be handed over any more stays so: giving the batch back plans it again.
func (f *flow) run(ctx context.Context) (pause time.Duration, err error) {
	defer f.close()
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for late := false; ; {
		f.stop(f.obstacle(ctx))
		if f.short() {
			f.refill(ctx)
			continue
		}
		if len(f.queue)+len(f.inHand)+len(f.pending) == 0 && (f.dry || f.stopped != nil) {
			return f.end(ctx)
		}
		f.endTurn()
		next, freed := f.room(ctx)
		if next == 0 && !f.due(late) {
			late = f.wait(ctx, ticker.C, freed)
			continue
		}
		if next, err = f.allowed(ctx, next); err == nil {
			err = f.advance(ctx, next)
		}
		if err != nil {
			return trouble, err
		}
		late = false
	}
}

// end says what the batch's work came to. A provider that can't be used is noted on the run.
func (f *flow) end(ctx context.Context) (time.Duration, error) {
	if none := (*noSession)(nil); errors.As(f.stopped, &none) {
		return f.engine.cantOpen(ctx, f.lease, f.line, none.cause)
	}
	if errors.Is(f.stopped, errUsedUp) {
		return f.engine.restToWarmUp(ctx, f.lease, f.line)
	}
	return f.pause, f.trouble
}

// close leaves to the lease what has no verdict in the ledger: nothing, unless the database refuses it or the process is
// not what it should be.
func (f *flow) close() {
	f.closed.Store(true)
	f.drop(errPaused)
	f.endTurn()
	places := len(f.inHand) + len(f.pending)
	f.lease.inHand = f.lease.inHand[:0]
	for id, m := range f.inHand {
		f.lease.inHand = append(f.lease.inHand, id)
		m.throttle.leave(id)
		f.line.warm.settle(id, true)
	}
	for _, o := range f.pending {
		f.lease.inHand = append(f.lease.inHand, o.message.ID)
	}
	f.engine.window.free(f.places, places)
	if f.line.account.Repeatable {
		f.lease.inHand = nil
	}
}

// drop forgets what may not be handed over any more.
func (f *flow) drop(why error) {
	if f.stopped == nil {
		f.stopped = why
	}
	if f.paced != nil {
		f.paced.drop(f.queue)
	}
	f.queue = nil
}

// short says whether more is to be claimed now. On a fast line that is done before it is this batch's turn.
func (f *flow) short() bool {
	return f.stopped == nil && !f.dry && len(f.queue) <= f.most/2 && (f.mine() || f.line.fast())
}

// refill claims and fills what comes next.
func (f *flow) refill(ctx context.Context) {
	if f.moved() {
		f.drop(errElsewhere)
		return
	}
	f.most = f.atOnce()
	claimed, err := f.engine.claim(ctx, f.lease, f.claimSize(), f.fill.content)
	f.engine.Meter.Claimed(f.lease.channel, len(claimed))
	if err != nil {
		f.fail(0, err)
		return
	}
	f.dry = len(claimed) == 0 || f.lease.next > f.lease.hi
	ready, refused, err := f.fill.fill(ctx, claimed)
	if err != nil {
		f.fail(f.engine.companyTrouble(ctx, f.lease, claimed, err))
		return
	}
	if err := f.engine.record(ctx, f.lease, refused); err != nil {
		f.fail(trouble, err)
		return
	}
	if len(refused) > 0 {
		f.engine.guardSoon(ctx, f.lease.run)
	}
	if err := f.fill.keepShortLinks(ctx, ready); err != nil {
		f.fail(trouble, errors.Join(err, f.engine.release(ctx, f.lease, idsOf(ready))))
		return
	}
	f.queue = append(f.queue, ready...)
	f.pace(ready)
}

// errTrouble says that the batch rests, because of the database or the company's tables.
var errTrouble = errors.New("the batch rests")

// fail ends the flow when what is in hand has its verdicts.
func (f *flow) fail(pause time.Duration, err error) {
	f.pause, f.trouble = pause, err
	f.stop(errTrouble)
}

// obstacle is why nothing more may be handed over.
func (f *flow) obstacle(ctx context.Context) error {
	if ctx.Err() != nil {
		return errPaused
	}
	return f.permit()
}

// stop opens nothing more, and takes back what nobody took.
func (f *flow) stop(why error) {
	if why == nil {
		return
	}
	f.drop(why)
	back := f.offered
	f.offered = nil
	for _, p := range back {
		f.hear(answer{p.mail.ID, channels.Receipt{}, channels.Unavailable(why)})
	}
}

// mine says whether the flow may open messages now.
func (f *flow) mine() bool { return f.turn == nil || f.turn.mine }

// turns is where a flow waits for its turn.
func (f *flow) turns() chan<- struct{} {
	if f.mine() || f.dry && len(f.queue) == 0 || f.stopped != nil {
		return nil
	}
	return f.line.turn
}

// endTurn lets the next flow open messages when this one has none left to open.
func (f *flow) endTurn() {
	if f.turn != nil && len(f.queue) == 0 && (f.dry || f.stopped != nil) {
		f.turn.end()
	}
}

// hungry is down to how many messages in hand more are opened: so late that statements are few, and so early that sessions
// have something to do while one is made; the farther the provider, the more.
func (f *flow) hungry() bool {
	return len(f.inHand) <= max(f.most/2, min(f.most*3/4, f.line.sessions()*3/2))
}

// room takes places in the window for messages of the queue, and says how many there are. Those of the verdicts that are
// recorded with the same statement are used again. Without any it says when to ask again.
func (f *flow) room(ctx context.Context) (n int, freed <-chan struct{}) {
	if len(f.queue) == 0 || !f.mine() {
		return 0, nil
	}
	want := min(len(f.queue), f.most-len(f.inHand))
	switch {
	case f.paced != nil:
		want = f.paced.soon(ctx, f.queue[:max(0, want)], len(f.offered), time.Now())
	case !f.hungry():
		want = 0
	}
	if want == 0 {
		return 0, nil
	}
	got, freed := f.engine.window.take(f.places, want-len(f.pending), f.lease.triggered)
	return min(want, len(f.pending)+got), freed
}

// due says whether verdicts must be recorded though nothing more can be opened: at the end, when they are many, or late.
func (f *flow) due(late bool) bool {
	return len(f.pending) > 0 && (late || len(f.inHand) == 0 || len(f.pending) > f.most/2)
}

// advance records the verdicts and opens the next n messages, in one statement.
func (f *flow) advance(ctx context.Context, n int) error {
	opened := f.queue[:n]
	var upTo *int64
	if n > 0 {
		upTo = &opened[n-1].ID
	}
	places := max(len(f.pending), n) // those of the window that are in use until the statement has worked
	err := f.engine.advance(ctx, f.lease, f.pending, f.told(upTo))
	if err != nil && !errors.Is(err, errLeaseLost) {
		f.engine.window.free(f.places, places-len(f.pending))
		return err
	}
	f.pending = nil
	f.thank(ctx)
	if err != nil {
		f.engine.window.free(f.places, places)
		f.stop(err)
		return nil
	}
	f.engine.window.free(f.places, places-n)
	f.queue = f.queue[n:]
	for _, m := range opened {
		f.inHand[m.ID] = m.message
		f.offered = append(f.offered, parcel{m.mail, f})
	}
	return nil
}

// wait waits until something happens; true when it is time to record what there is.
func (f *flow) wait(ctx context.Context, tick <-chan time.Time, freed <-chan struct{}) (late bool) {
	now := time.Now()
	departing := f.paced.departing(f.offered, now)
	offers := f.offers(len(departing))
	alarm, stopAlarm := f.paced.alarm(len(f.offered), now)
	defer stopAlarm()
	var ended <-chan struct{}
	if f.stopped == nil {
		ended = ctx.Done()
	}
	select {
	case offers <- departing:
		f.offered = f.offered[len(departing):]
		f.paced.left(len(departing))
	case a := <-f.answers:
		f.hear(a)
		for len(f.answers) > 0 {
			f.hear(<-f.answers)
		}
	case f.turns() <- struct{}{}:
		f.turn.mine = true
	case <-freed:
	case <-alarm:
	case <-f.paced.more():
		f.paced.heard()
	case <-tick:
		return true
	case <-ended:
	}
	return false
}

// offers is where parcels go.
func (f *flow) offers(parcels int) chan<- []parcel {
	switch {
	case parcels == 0:
		return nil
	case f.lease.triggered:
		return f.line.urgent
	case f.paced != nil:
		return f.line.lanes
	}
	return f.line.offers
}

// hear turns an answer into an outcome. Where no session can be had, nothing more is opened.
func (f *flow) hear(a answer) {
	m, ok := f.inHand[a.id]
	if !ok {
		return
	}
	delete(f.inHand, a.id)
	if f.line.account.Repeatable && channels.VerdictOf(a.err) == channels.VerdictUnknown {
		a.err = channels.RetryAfter(a.err, 0)
	}
	f.pending = append(f.pending, f.engine.judge(m, a.receipt, a.err))
	m.throttle.leave(m.ID)
	f.line.warm.settle(m.ID, !a.receipt.HandedOver.IsZero() || channels.VerdictOf(a.err) == channels.VerdictUnknown)
	if f.paced == nil && channels.VerdictOf(a.err) != channels.VerdictUnavailable {
		f.line.speed.saw(1, time.Now())
	}
	switch channels.VerdictOf(a.err) {
	case channels.VerdictUnknown, channels.VerdictPending:
	case channels.VerdictUnavailable:
		if none := (*noSession)(nil); errors.As(a.err, &none) && f.stopped == nil {
			f.stop(none)
		}
	default:
		f.sample = m
	}
}

// thank takes the note away that says why the run does not move, and sees to its seeds, once something was answered.
func (f *flow) thank(ctx context.Context) {
	if f.sample == nil || f.answered {
		return
	}
	f.answered = true
	if err := f.engine.clearNote(ctx, f.lease.run); err != nil {
		f.engine.Log.Warn("clear note", slog.Int("run", f.lease.run), slog.Any("error", err))
	}
	f.copySeeds(ctx)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "this machine"
	}
	return name
}
