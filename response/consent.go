package response

import (
	"cmp"
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

// Ways of deciding, the source of the consent's row.
const (
	ByPage         = "unsubscribe page"
	ByOneClick     = "one-click" // RFC 8058
	ByPreferences  = "preference page"
	ByConfirmation = "confirmation" // of a double opt-in
)

// Subscription is what the unsubscribe page shows: what the message belongs to, and no word about the person.
type Subscription struct {
	Topic       customer.Topic // the campaign's
	Channel     string         // of the message; "*" for a message so old that its row is gone
	Ended       bool           // the person does not get this topic on this channel any more, by their own choice
	All         bool           // nor anything else
	Paused      time.Time      // nothing comes until then, and afterwards what did before; zero: no pause
	Preferences string         // token of the page of preferences; "" where there is none
}

// recipient is whom a token speaks for.
type recipient struct {
	run     runInfo
	message int64
	key     string
	channel string
	due     time.Time // when the message could go; zero for one whose row is gone
}

// Subscription records that the unsubscribe page was asked for, which changes nothing, and returns what it shows. The
// errors are those of Click.
func (t *Tracker) Subscription(ctx context.Context, token string, v Visit) (Subscription, error) {
	tok, who, err := t.recipient(ctx, token, Unsubscribe, v)
	if err != nil {
		return Subscription{}, err
	}
	s, err := t.subscription(ctx, t.pool, who, v.At)
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
	tok, who, err := t.recipient(ctx, token, Unsubscribe, v)
	if err != nil {
		return s, err
	}
	err = t.act(ctx, who, newHit(tok, d.hit, v), func(tx pgx.Tx, l customer.Ledger, hit Hit) error {
		if err := appendConsent(ctx, tx, who, l, d, hit); err != nil {
			return err
		}
		s, err = t.subscription(ctx, tx, who, v.At)
		return err
	})
	return s, err
}

// act lets a person's decision happen: do with the person's ledger, in one transaction with the hit, while nobody else
// decides on the same person, and nobody erases them. Of one who was erased the decision counts, without what shows who
// made it.
func (t *Tracker) act(ctx context.Context, who recipient, hit Hit, do func(pgx.Tx, customer.Ledger, Hit) error) error {
	hit.UserAgent = clean(hit.UserAgent)
	hit.Verdict, hit.Reason = Human, "" // a mail program that does it for the person is that person
	err := pg.InTx(ctx, t.pool, func(tx pgx.Tx) error {
		if err := customer.LockConsent(ctx, tx, who.key); err != nil {
			return err
		}
		if now, err := whose(ctx, tx, who.message); err != nil || now.key != who.key {
			return cmp.Or(err, errErasedMeanwhile)
		}
		gone, err := erased(ctx, tx, who.key)
		if err != nil {
			return err
		}
		if gone {
			hit.IP, hit.UserAgent = netip.Addr{}, ""
		}
		rows := &hitRows{counts: map[countKey]*countSum{}}
		rows.add(who.run.ID, &hit)
		l, err := customer.ReadLedger(ctx, tx, who.key)
		if err != nil {
			return err
		}
		if err := do(tx, l, hit); err != nil {
			return err
		}
		return rows.insert(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("record the decision on message %d: %w", who.message, err)
	}
	return nil
}

// recipient reads a token of a kind and finds whom it speaks for. A message whose row was dropped with its month is known
// by its occasion, which stays for ever.
func (t *Tracker) recipient(ctx context.Context, token string, kind Kind, v Visit) (Token, recipient, error) {
	tok, err := t.verify(ctx, token, kind, v.At)
	if err != nil {
		return tok, recipient{}, err
	}
	run, err := t.run(ctx, tok.MessageID)
	if err != nil {
		return tok, recipient{}, err
	}
	who, err := whose(ctx, t.pool, tok.MessageID)
	who.run = run
	return tok, who, err
}

// whose is the customer of a message at this moment.
func whose(ctx context.Context, db pg.DBTX, message int64) (who recipient, err error) {
	who.message = message
	var due *time.Time
	err = db.QueryRow(ctx, `
		select customer_key, channel, not_before from messages where id = $1
		union all
		(select customer_key, '*', null from occasions where message_id = $1 limit 1)
		limit 1`, message).Scan(&who.key, &who.channel, &due)
	if errors.Is(err, pgx.ErrNoRows) {
		err = fmt.Errorf("message %d: %w", message, ErrNoLink)
	}
	if due != nil {
		who.due = *due
	}
	return who, err
}

// errErasedMeanwhile says that the customer was erased since they were looked up. Asked again, it is nobody's message.
var errErasedMeanwhile = errors.New("the customer was erased at this moment")

// topic is what sapa.yaml says about the message's topic.
func (t *Tracker) topic(name string) customer.Topic {
	if t.schema == nil {
		return customer.Topic{Name: name}
	}
	topic, _ := t.schema.Topic(name)
	return topic
}

// subscription asks the consent ledger.
func (t *Tracker) subscription(ctx context.Context, db pg.DBTX, who recipient, now time.Time) (s Subscription, err error) {
	s = Subscription{Topic: t.topic(who.run.Topic), Channel: who.channel}
	l, err := customer.ReadLedger(ctx, db, who.key)
	if err != nil {
		return s, err
	}
	s.Ended, s.All = ended(l, who), l.EndedAll()
	if word := l.Word(who.channel, who.run.Topic, now); word != nil && !word.Until.IsZero() && !s.Ended {
		s.Paused = word.Until.In(zone(t.schema))
	}
	if t.schema != nil {
		s.Preferences, err = t.keys.Sign(Token{Kind: PreferencesPage, MessageID: who.message})
	}
	return s, err
}

// ended tells whether the person has ended the topic on the message's channel for good: on every channel for a message
// that does not know its own, so that it has not ended while a later decision lets one of them go on.
func ended(l customer.Ledger, who recipient) bool {
	end := l.Lasting(who.channel, who.run.Topic)
	if end == nil || end.Granted || end.Pending {
		return false
	}
	if who.channel != customer.Every {
		return true
	}
	for _, e := range l { // the latest first
		switch {
		case e.ID <= end.ID:
			return true
		case e.Granted && !e.Resumes && e.Until.IsZero() && (e.Topic == who.run.Topic || e.Topic == customer.Every):
			return false
		}
	}
	return true
}

// appendConsent adds a row to the consent ledger unless it says the same already. What a grant on every channel would
// change is not looked up: it is always written. A pause is no end, nor is what holds during a pause a grant.
func appendConsent(ctx context.Context, tx pgx.Tx, who recipient, l customer.Ledger, d decision, hit Hit) error {
	change := customer.ConsentChange{
		CustomerKey: who.key, Channel: who.channel, Topic: who.run.Topic,
		Granted: d.granted, Source: d.source, Evidence: evidence(who.message, hit), At: hit.At,
	}
	same := false
	switch word := l.Word(who.channel, who.run.Topic, hit.At); {
	case d.scope == Everything:
		change.Channel, change.Topic, same = customer.Every, customer.Every, l.EndedAll()
	case !d.granted:
		same = ended(l, who)
	case who.channel != customer.Every:
		same = word == nil || word.Granted
	}
	if same {
		return nil
	}
	return customer.SetConsent(ctx, tx, change)
}

// evidence is what shows later that the person decided. It is personal data, and blanked when the person is erased.
func evidence(message int64, hit Hit) map[string]any {
	e := map[string]any{"message": message}
	if hit.UserAgent != "" {
		e["user_agent"] = hit.UserAgent
	}
	if hit.IP != (netip.Addr{}) {
		e["ip"] = hit.IP.String()
	}
	return e
}
