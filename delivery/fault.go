package delivery

import (
	"context"
	"sync"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/internal/pg"
)

// Fault is a planted mistake, for drills that must fail: a drill is only worth what it finds.
type Fault string

// The faults.
const (
	FaultNone        Fault = ""
	FaultEarlyRecord Fault = "early record" // a message is recorded as sent when it is handed over, before the reply
	FaultLostClaim   Fault = "lost claim"   // a claim is rolled back, and its messages are sent all the same
	FaultLateWindow  Fault = "late window"  // messages are given to sessions before the ledger says that they may be handed over
	FaultSecondTry   Fault = "second try"   // a message that was handed over and had no answer is sent again
)

// Faults are the faults that can be planted.
func Faults() []Fault {
	return []Fault{FaultEarlyRecord, FaultLostClaim, FaultLateWindow, FaultSecondTry}
}

// claimant is where claims are made: the ledger's pool, or under FaultLostClaim a transaction that is never committed.
func (e *Engine) claimant(ctx context.Context) (db pg.DBTX, forget func(), err error) {
	if e.Fault != FaultLostClaim {
		return e.books, func() {}, nil
	}
	tx, err := e.books.Begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	return tx, func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }, nil
}

// told is how far the ledger hears that the batch is open; under FaultLateWindow it hears that some statements later.
func (f *flow) told(upTo *int64) *int64 {
	const late = 3
	if f.engine.Fault == FaultLateWindow && upTo != nil {
		f.untold, upTo = append(f.untold, upTo), nil
		if len(f.untold) > late {
			upTo, f.untold = f.untold[0], f.untold[1:]
		}
	}
	return upTo
}

// hasty is a session that does not wait for replies.
type hasty struct{ channels.Session }

// Deliver calls everything accepted that it takes.
func (h hasty) Deliver(ctx context.Context, in <-chan *channels.Message, _ func(*channels.Message) error, done func(*channels.Message, channels.Receipt, error)) error {
	relay := make(chan *channels.Message)
	var relaying sync.WaitGroup
	over := make(chan struct{})
	relaying.Go(func() {
		defer close(relay)
		for m := range in {
			done(m, channels.Receipt{}, nil)
			select {
			case relay <- m:
			case <-over:
				return
			}
		}
	})
	err := h.Session.Deliver(ctx, relay, func(*channels.Message) error { return nil }, func(*channels.Message, channels.Receipt, error) {})
	close(over)
	relaying.Wait()
	return err
}
