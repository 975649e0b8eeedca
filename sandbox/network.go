package sandbox

import (
	"container/heap"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"
)

// network carries accepted texts to their ends and reports on the way. What becomes of a text is a list of acts that
// follows from what was durable when it was accepted; each act leaves one event, so that a sandbox that is started again
// goes on where it was. What waits is held as a few integers for each text; a fixed number of workers acts.
type network struct {
	config Config
	store  *store
	client *caller

	mu      sync.Mutex
	waiting tasks
	open    int                     // texts that are not at their end
	idle    []chan struct{}         // closed when open is 0
	ends    map[int64]chan struct{} // closed when the text is at its end, for those somebody waits for
	wake    chan struct{}
}

// networkWorkers is how many callbacks are made at once.
const networkWorkers = 16

// maxAttempts is how often a callback is tried: at once, and after 1, 4, 16 and 64 times Config.Retry.
const maxAttempts = 5

// task is the next act of a text.
type task struct {
	due     time.Time
	id      int64
	act     int32
	attempt int32
}

// tasks is a heap by due time.
type tasks []task

// Len implements heap.Interface.
func (t tasks) Len() int { return len(t) }

// Less implements heap.Interface.
func (t tasks) Less(i, j int) bool { return t[i].due.Before(t[j].due) }

// Swap implements heap.Interface.
func (t tasks) Swap(i, j int) { t[i], t[j] = t[j], t[i] }

// Push implements heap.Interface.
func (t *tasks) Push(x any) { *t = append(*t, x.(task)) }

// Pop implements heap.Interface.
func (t *tasks) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}

func newNetwork(config Config, store *store) *network {
	return &network{
		config: config, store: store, client: newCaller(config.AuthToken),
		ends: map[int64]chan struct{}{}, wake: make(chan struct{}, 1),
	}
}

// act is one thing that happens to a text: its status changes, or somebody is told.
type act struct {
	status   string
	error    int
	callback bool
	press    string // a key of the phone, whose meaning somebody is told
	wait     time.Duration
}

// steps are the changes of a message's status.
func steps(m Message) []act {
	t := m.SMS
	if m.Channel == ChannelVoice {
		return t.callSteps()
	}
	list := []act{{status: "queued"}, {status: "sent"}, {status: "delivered"}}
	switch {
	case t.fate == 30036:
		return []act{list[0], {status: "failed", error: t.fate}}
	case t.fate != 0:
		list[2] = act{status: "undelivered", error: t.fate}
	case m.Channel == ChannelWhatsApp && t.end == "":
		list = append(list, act{status: "read"})
	}
	return list
}

// acts is everything that happens to a text, a WhatsApp message or a call.
func acts(m Message, config Config) []act {
	t := m.SMS
	if t.Direction != Outbound {
		return nil
	}
	times := 1
	if t.callbacks == CallbacksTwice {
		times = 2
	}
	var changes, calls, both []act
	for _, step := range steps(m) {
		call := step
		call.callback, call.press = true, ""
		if step.status != t.firstStatus() {
			if step.status != "queued" && t.callbacks != CallbacksEarly {
				step.wait = config.Pace
			}
			changes, both = append(changes, step), append(both, step)
		}
		if step.press != "" || !t.tells(m.Channel, step.status) {
			continue
		}
		for range times {
			calls, both = append(calls, call), append(both, call)
		}
	}
	switch {
	case !t.callback || t.callbacks == CallbacksNever:
		return changes
	case t.callbacks == CallbacksReversed:
		for i := range calls {
			changes = append(changes, calls[len(calls)-1-i])
		}
		return changes
	case t.callbacks == CallbacksLate && len(calls) > 0:
		calls[0].wait = config.Late
		return append(changes, calls...)
	default:
		return both
	}
}

// expect counts a text that begin will start.
func (n *network) expect() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open++
}

// begin starts a text on its way. Where its callbacks come early it returns when all of them were made, or the client is
// gone.
func (n *network) begin(ctx context.Context, m Message) {
	end := make(chan struct{})
	early := m.SMS.callbacks == CallbacksEarly
	if early {
		n.mu.Lock()
		n.ends[m.ID] = end
		n.mu.Unlock()
	}
	n.next(task{id: m.ID, act: -1}, acts(m, n.config))
	if early {
		patience := time.NewTimer(n.config.Hang)
		defer patience.Stop()
		select {
		case <-end:
		case <-ctx.Done():
		case <-patience.C:
		}
	}
}

// resume goes on with the texts of an earlier sandbox in this folder, behind the acts that left an event.
func (n *network) resume() {
	for m := range n.store.all(Filter{}) {
		if m.SMS == nil {
			continue
		}
		n.expect()
		n.next(task{id: m.ID, act: int32(m.SMS.Events) - 1}, acts(m, n.config))
	}
}

// next lets the act behind the one of the task happen, or ends the text's way.
func (n *network) next(done task, list []act) {
	at := int(done.act) + 1
	if at < len(list) {
		n.schedule(task{id: done.id, act: int32(at), due: time.Now().Add(list[at].wait)})
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if end := n.ends[done.id]; end != nil {
		close(end)
		delete(n.ends, done.id)
	}
	if n.open--; n.open == 0 {
		for _, idle := range n.idle {
			close(idle)
		}
		n.idle = nil
	}
}

func (n *network) schedule(t task) {
	n.mu.Lock()
	heap.Push(&n.waiting, t)
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// run works until the context ends and returns when everybody has stopped.
func (n *network) run(ctx context.Context) {
	var workers sync.WaitGroup
	work := make(chan task)
	for range networkWorkers {
		workers.Go(func() {
			for t := range work {
				n.do(ctx, t)
			}
		})
	}
	n.handOut(ctx, work)
	close(work)
	workers.Wait()
	n.client.close()
}

// handOut gives tasks to the workers when they are due.
func (n *network) handOut(ctx context.Context, work chan<- task) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		t, wait := n.due()
		if wait == 0 {
			select {
			case work <- t:
			case <-ctx.Done():
				return
			}
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-n.wake:
		case <-ctx.Done():
			return
		}
	}
}

// due takes the first task out, if it is due; else it says how long to wait.
func (n *network) due() (task, time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) == 0 {
		return task{}, time.Hour
	}
	if wait := time.Until(n.waiting[0].due); wait > 0 {
		return task{}, wait
	}
	return heap.Pop(&n.waiting).(task), 0
}

// do lets one act happen. What can't be made durable is tried again.
func (n *network) do(ctx context.Context, t task) {
	m, form, err := n.store.form(t.id)
	if err != nil {
		n.again(t, err)
		return
	}
	list := acts(m, n.config)
	a := list[t.act]
	e := Event{Status: a.status, Error: a.error, Callback: a.callback, Attempts: int(t.attempt) + 1}
	switch {
	case a.press != "":
		if n.press(ctx, m, form, a.press, &e); ctx.Err() != nil {
			return
		}
	case a.callback:
		answer, err := n.client.post(ctx, form.Get("StatusCallback"), n.statusForm(m, form, a, int(t.act)))
		if ctx.Err() != nil {
			return // it is called again by the next sandbox in this folder
		}
		e.Code = answer.status
		if err != nil {
			if e.Fault = err.Error(); !isPermanent(err) && t.attempt+1 < maxAttempts {
				t.due = time.Now().Add(n.config.Retry << (2 * t.attempt))
				t.attempt++
				n.schedule(t)
				return
			}
		}
	default:
		e.Attempts = 0
	}
	e.At = n.config.Now()
	if err := n.store.keepEvent(t.id, e); err != nil {
		n.again(t, err)
		return
	}
	n.next(t, list)
}

func (n *network) again(t task, err error) {
	n.config.Log.Error("the sandbox could not go on with a text; it tries again", slog.Int64("id", t.id), slog.Any("err", err))
	t.due = time.Now().Add(time.Second)
	n.schedule(t)
}

// wait returns when no text is on its way.
func (n *network) wait(ctx context.Context) error {
	n.mu.Lock()
	if n.open == 0 {
		n.mu.Unlock()
		return nil
	}
	idle := make(chan struct{})
	n.idle = append(n.idle, idle)
	open := n.open
	n.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d texts were on their way: %w", open, ctx.Err())
	}
}

// statusForm is what a status callback says.
func (n *network) statusForm(m Message, form url.Values, a act, number int) url.Values {
	if m.Channel == ChannelVoice {
		return callForm(n.config.AccountSID, m, form, a, number, n.config.Now())
	}
	return statusForm(n.config.AccountSID, m, a, n.config.Now())
}

// press tells the address of a call's <Gather> of a key, once, as Twilio does, and keeps what is said to that.
func (n *network) press(ctx context.Context, m Message, form url.Values, key string, e *Event) {
	e.Callback = true
	script, err := readCall(form.Get("Twiml"))
	gather, _ := script.gather()
	var a answer
	if err == nil {
		a, err = n.client.post(ctx, gather.Action, pressForm(n.config.AccountSID, m, key))
	}
	if err == nil {
		e.Words, err = readCallAnswer(a)
	}
	if e.Code = a.status; err != nil {
		e.Fault = err.Error()
	}
}
