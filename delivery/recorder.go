package delivery

import (
	"context"
	"errors"
	"time"

	"github.com/sapa-crm/sapa/channels"
)

// flushEvery bounds how late a verdict reaches the ledger.
const flushEvery = 200 * time.Millisecond

// recorder collects a claim's verdicts and writes them while later messages are still being handed over.
type recorder struct {
	engine   *Engine
	lease    *lease
	waiting  map[int64]*message // without a verdict; only touched by the goroutine that hands over
	answered bool               // the provider said something about a message of its own
	outcomes chan outcome       // has room for every message, so that nothing blocks on the database
	finished chan error
}

func newRecorder(e *Engine, l *lease, ready []filled) *recorder {
	r := &recorder{
		engine: e, lease: l, waiting: make(map[int64]*message, len(ready)),
		outcomes: make(chan outcome, len(ready)), finished: make(chan error, 1),
	}
	l.inHand = make([]int64, 0, len(ready))
	for _, m := range ready {
		r.waiting[m.ID] = m.message
		l.inHand = append(l.inHand, m.ID)
	}
	go func() { r.finished <- r.run() }()
	return r
}

// done is the session's callback.
func (r *recorder) done(mail *channels.Message, receipt channels.Receipt, err error) {
	verdict := channels.VerdictOf(err)
	r.engine.Meter.Attempted(r.lease.channel, verdict, answeredAfter(receipt))
	switch verdict {
	case channels.VerdictUnavailable, channels.VerdictUnknown:
	default:
		r.answered = true
	}
	r.verdict(mail.ID, receipt, err)
}

func (r *recorder) verdict(id int64, receipt channels.Receipt, err error) {
	m, ok := r.waiting[id]
	if !ok {
		return // a second verdict on the same message
	}
	delete(r.waiting, id)
	r.outcomes <- r.engine.judge(m, receipt, err)
}

// rest gives back the messages that the session never received: all but the first n. One that it received and said
// nothing about is unknown.
func (r *recorder) rest(ready []filled, n int) {
	for i, m := range ready {
		err := channels.Unavailable(errPaused)
		if i < n {
			err = channels.Unknown(errors.New("the channel gave no verdict"))
		}
		r.verdict(m.ID, channels.Receipt{}, err)
	}
}

// close waits until every verdict is in the ledger. What has none by then, because the session panicked or the
// database refuses it, stays in hand.
func (r *recorder) close() error {
	close(r.outcomes)
	err := <-r.finished
	if err == nil && len(r.waiting) == 0 {
		r.lease.inHand = nil
	}
	return err
}

func (r *recorder) run() error {
	var pending []outcome
	var firstErr error
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	flush := func() {
		if err := r.engine.record(context.Background(), r.lease, pending); err != nil && firstErr == nil {
			firstErr = err
		}
		pending = nil
	}
	for {
		select {
		case o, ok := <-r.outcomes:
			if !ok {
				flush()
				return firstErr
			}
			pending = append(pending, o)
		case <-ticker.C:
			flush()
		}
	}
}
