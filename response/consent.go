package response

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// Scope is what a person no longer wants.
type Scope string

// The scopes of unsubscribing.
const (
	ThisTopic  Scope = "topic"      // the campaign's topic on the message's channel
	Everything Scope = "everything" // every topic on every channel
)

// Ways of unsubscribing, the source of the consent's row.
const (
	ByPage     = "unsubscribe page"
	ByOneClick = "one-click" // RFC 8058
)

// Subscription is what the unsubscribe page shows: what the message belongs to, and no word about the person.
type Subscription struct {
	Topic   string // the campaign's topic
	Channel string // of the message; "*" for a message so old that its row is gone
	Ended   bool   // the person does not get this topic on this channel any more, by their own choice
	All     bool   // nor anything else
}

// recipient is whom an unsubscribe token speaks for.
type recipient struct {
	run     runInfo
	message int64
	key     string
	channel string
}

// Subscription records that the unsubscribe page was asked for, which changes nothing, and returns what it shows. The
// errors are those of Click.
func (t *Tracker) Subscription(ctx context.Context, token string, v Visit) (Subscription, error) {
	tok, who, err := t.recipient(ctx, token, v)
	if err != nil {
		return Subscription{}, err
	}
	s, err := subscription(ctx, t.pool, who, v.At)
	if err != nil {
		return s, err
	}
	t.record(ctx, newHit(tok, HitPage, v))
	return s, nil
}

// Unsubscribe withdraws the person's consent and returns after the commit. Doing it again changes nothing. by is
// ByPage or ByOneClick. The errors are those of Click.
func (t *Tracker) Unsubscribe(ctx context.Context, token string, scope Scope, by string, v Visit) (Subscription, error) {
	return t.decide(ctx, token, decision{scope: scope, granted: false, source: by, hit: HitUnsubscribe}, v)
}

// Resubscribe is the way back: it grants the message's topic on its channel again, and nothing else, whatever was
// withdrawn. The errors are those of Click.
func (t *Tracker) Resubscribe(ctx context.Context, token string, v Visit) (Subscription, error) {
	return t.decide(ctx, token, decision{scope: ThisTopic, granted: true, source: ByPage, hit: HitResubscribe}, v)
}

type decision struct {
	scope   Scope
	granted bool
	source  string
	hit     HitKind
}

// decide records a decision with its evidence, its hit and its response in one transaction.
func (t *Tracker) decide(ctx context.Context, token string, d decision, v Visit) (s Subscription, err error) {
	tok, who, err := t.recipient(ctx, token, v)
	if err != nil {
		return s, err
	}
	hit := newHit(tok, d.hit, v)
	hit.UserAgent = clean(hit.UserAgent)
	hit.Verdict, hit.Reason = Human, "" // a mail program that does it for the person is that person
	rows := &hitRows{counts: map[countKey]*countSum{}}
	rows.add(who.run.ID, &hit)
	err = pg.InTx(ctx, t.pool, func(tx pgx.Tx) error {
		if err := appendConsent(ctx, tx, who, d, hit); err != nil {
			return err
		}
		if err := rows.insert(ctx, tx); err != nil {
			return err
		}
		s, err = subscription(ctx, tx, who, v.At)
		return err
	})
	if err != nil {
		return s, fmt.Errorf("record the decision on message %d: %w", who.message, err)
	}
	return s, nil
}

// recipient reads the token and finds whom it speaks for. A message whose row was dropped with its month is known by its
// occasion, which stays for ever.
func (t *Tracker) recipient(ctx context.Context, token string, v Visit) (Token, recipient, error) {
	tok, err := t.verify(ctx, token, Unsubscribe, v.At)
	if err != nil {
		return tok, recipient{}, err
	}
	who := recipient{message: tok.MessageID}
	if who.run, err = t.run(ctx, tok.MessageID); err != nil {
		return tok, who, err
	}
	err = t.pool.QueryRow(ctx, `
		select customer_key, channel from messages where id = $1
		union all
		(select customer_key, '*' from occasions where message_id = $1 limit 1)
		limit 1`, tok.MessageID).Scan(&who.key, &who.channel)
	if errors.Is(err, pgx.ErrNoRows) {
		err = fmt.Errorf("message %d: %w", tok.MessageID, ErrNoLink)
	}
	return tok, who, err
}

// subscription asks the consent ledger.
func subscription(ctx context.Context, db pg.DBTX, who recipient, now time.Time) (Subscription, error) {
	s := Subscription{Topic: who.run.Topic, Channel: who.channel}
	var err error
	if s.Ended, err = ended(ctx, db, who, now); err != nil {
		return s, err
	}
	err = db.QueryRow(ctx, `
		select coalesce((select not granted and channel = '*' and topic = '*' from consents
		                 where customer_key = $1 and (until is null or until > $2) order by id desc limit 1), false)`, who.key, now).Scan(&s.All)
	if err != nil {
		return s, fmt.Errorf("look up the consent behind message %d: %w", who.message, err)
	}
	return s, nil
}

// ended tells whether the person has ended the topic on the message's channel: on every channel for a message that does
// not know its own, so that it has not ended while a later decision lets one of them go on.
func ended(ctx context.Context, db pg.DBTX, who recipient, now time.Time) (bool, error) {
	granted, said, err := customer.LatestConsent(ctx, db, who.key, who.channel, who.run.Topic, now)
	if err != nil || !said || granted || who.channel != customer.Every {
		return said && !granted, err
	}
	var goesOn bool
	err = db.QueryRow(ctx, `
		select exists (
			select from consents g
			where g.customer_key = $1 and g.topic in ($2, '*') and g.granted
			  and g.id > (select max(id) from consents
			              where customer_key = $1 and channel = '*' and topic in ($2, '*') and not granted))`,
		who.key, who.run.Topic).Scan(&goesOn)
	if err != nil {
		return false, fmt.Errorf("look up the consents behind message %d: %w", who.message, err)
	}
	return !goesOn, nil
}

// appendConsent adds a row to the consent ledger unless it says the same already. What a grant on every channel would
// change is not looked up: it is always written.
func appendConsent(ctx context.Context, tx pgx.Tx, who recipient, d decision, hit Hit) error {
	_, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('sapa consent ' || $1, 0))`, who.key)
	if err != nil {
		return err
	}
	before, err := subscription(ctx, tx, who, hit.At)
	if err != nil {
		return err
	}
	change := customer.ConsentChange{
		CustomerKey: who.key, Channel: who.channel, Topic: before.Topic,
		Granted: d.granted, Source: d.source, Evidence: evidence(who.message, hit), At: hit.At,
	}
	same := before.Ended == !d.granted && !(d.granted && who.channel == customer.Every)
	if d.scope == Everything {
		change.Channel, change.Topic, same = customer.Every, customer.Every, before.All
	}
	if same {
		return nil
	}
	return customer.SetConsent(ctx, tx, change)
}

// evidence is what shows later that the person decided. It is personal data, and blanked when the person is erased.
func evidence(message int64, hit Hit) map[string]any {
	e := map[string]any{"message": message, "user_agent": hit.UserAgent}
	if hit.IP != (netip.Addr{}) {
		e["ip"] = hit.IP.String()
	}
	return e
}
