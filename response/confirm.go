package response

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// ConfirmWithin is how long the link of a message that asks for a confirmation can be used.
const ConfirmWithin = 30 * 24 * time.Hour

// ConfirmState says what a link to confirm leads to.
type ConfirmState string

// The states.
const (
	ConfirmOpen    ConfirmState = "open"      // the topic was asked for and waits for the confirmation
	ConfirmDone    ConfirmState = "confirmed" // it is confirmed
	ConfirmExpired ConfirmState = "expired"   // the link is too old
	ConfirmClosed  ConfirmState = "closed"    // nothing waits any more: it was ended meanwhile, or the customer is gone
)

// Confirmation is what the page shows that confirms a double opt-in.
type Confirmation struct {
	Topic       customer.Topic
	Channel     string
	State       ConfirmState
	Preferences string // token of the page of preferences; "" where there is none
}

// Confirmation records that the page was asked for, which changes nothing, and returns what it shows. The errors are those
// of Click.
func (t *Tracker) Confirmation(ctx context.Context, token string, v Visit) (Confirmation, error) {
	tok, who, err := t.recipient(ctx, token, ConfirmPage, v)
	if err != nil {
		return Confirmation{}, err
	}
	c, _, err := t.confirmation(ctx, t.pool, who, v.At)
	if err == nil {
		t.record(ctx, newHit(tok, HitPage, v))
	}
	return c, err
}

// Confirm grants what the customer was asked to confirm, and returns after the commit. Doing it again changes nothing. The
// errors are those of Click.
func (t *Tracker) Confirm(ctx context.Context, token string, v Visit) (c Confirmation, err error) {
	tok, who, err := t.recipient(ctx, token, ConfirmPage, v)
	if err != nil {
		return c, err
	}
	err = t.act(ctx, who, newHit(tok, HitConfirm, v), func(tx pgx.Tx, _ customer.Ledger, hit Hit) (err error) {
		var request *customer.ConsentEntry
		if c, request, err = t.confirmation(ctx, tx, who, v.At); err != nil || c.State != ConfirmOpen {
			return err
		}
		proof := evidence(who.message, hit)
		proof["request"] = request.ID
		c.State = ConfirmDone
		return customer.SetConsent(ctx, tx, customer.ConsentChange{
			CustomerKey: who.key, Channel: who.channel, Topic: who.run.Topic, Granted: true,
			Source: ByConfirmation, Evidence: proof, At: hit.At,
		})
	})
	return c, err
}

// confirmation is where the customer's request stands, and the request where it is open.
func (t *Tracker) confirmation(ctx context.Context, db pg.DBTX, who recipient, now time.Time) (Confirmation, *customer.ConsentEntry, error) {
	c := Confirmation{Topic: t.topic(who.run.Topic), Channel: who.channel, State: ConfirmClosed}
	gone, err := erased(ctx, db, who.key)
	if err != nil || gone {
		return c, nil, err
	}
	if t.schema != nil {
		if c.Preferences, err = t.keys.Sign(Token{Kind: PreferencesPage, MessageID: who.message}); err != nil {
			return c, nil, err
		}
	}
	l, err := customer.ReadLedger(ctx, db, who.key)
	if err != nil {
		return c, nil, err
	}
	switch word := l.Lasting(who.channel, who.run.Topic); {
	case word == nil:
	case word.Granted:
		c.State = ConfirmDone
	case word.Pending && now.Sub(who.due) > ConfirmWithin:
		c.State = ConfirmExpired
	case word.Pending:
		c.State = ConfirmOpen
		return c, word, nil
	}
	return c, nil, nil
}
