package customer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/internal/pg"
)

// ErrNoPause says that there is no pause to be ended.
var ErrNoPause = errors.New("nothing is paused")

// ErrErased says that a customer was erased, and that their row is still there. Nothing is sent to them, so there is
// nothing to decide; and what were kept now, whoever gets the key later would inherit.
var ErrErased = errors.New("the customer was erased: nothing is sent to them, and nothing that they say is kept")

// ChangeConsent records what a company was told by a customer outside of Sapa: by telephone, on paper, on its own web
// site. What grants a topic with opt_in: double waits for the customer's confirmation, unless the customer has it
// already. It returns the entries that were appended; none where the ledger says the same already. The actor, who is the
// source, is in the audit log. Of a customer who was erased it is an ErrErased.
func (s *Schema) ChangeConsent(ctx context.Context, db pg.DBTX, actor string, c ConsentChange) (appended []ConsentChange, err error) {
	c.Source = actor
	if c.Granted && !c.Resumes {
		if why := s.Unchoosable(c.Topic, c.Channel); why != "" {
			return nil, errors.New(why)
		}
	}
	err = pg.InTx(ctx, db, func(tx pgx.Tx) error {
		if err := LockConsent(ctx, tx, c.CustomerKey); err != nil {
			return err
		}
		if err := checkErased(ctx, tx, c.CustomerKey); err != nil {
			return err
		}
		l, err := ReadLedger(ctx, tx, c.CustomerKey)
		if err != nil {
			return err
		}
		if c.Resumes && l.PausedUntil(c.At).IsZero() {
			return fmt.Errorf("customer %s: %w", c.CustomerKey, ErrNoPause)
		}
		for _, one := range s.split(c) {
			if l.says(one) {
				continue
			}
			if err := SetConsent(ctx, tx, one); err != nil {
				return err
			}
			if err := access.Record(ctx, tx, consentEntry(actor, one)); err != nil {
				return err
			}
			appended = append(appended, one)
		}
		return nil
	})
	return appended, err
}

func checkErased(ctx context.Context, tx pgx.Tx, key string) error {
	at, err := ErasedAt(ctx, tx, key)
	if err == nil && !at.IsZero() {
		err = fmt.Errorf("customer %s: %w", key, ErrErased)
	}
	return err
}

// ErasedAt is when a customer was erased whose row is still there; zero for everybody else.
func ErasedAt(ctx context.Context, db pg.DBTX, key string) (at time.Time, err error) {
	err = db.QueryRow(ctx, `select at from erasures where customer_key = $1`, key).Scan(&at)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return at, fmt.Errorf("look for an erasure of customer %s: %w", key, err)
	}
	return at, nil
}

// consentEntry is a change in the audit log, without its evidence.
func consentEntry(actor string, c ConsentChange) access.Entry {
	action := "withdraw consent"
	switch {
	case c.Resumes:
		action = "resume consent"
	case !c.Until.IsZero():
		action = "pause consent"
	case c.Pending:
		action = "request consent"
	case c.Granted:
		action = "grant consent"
	}
	detail := map[string]any{"channel": c.Channel, "topic": c.Topic}
	if !c.Until.IsZero() {
		detail["until"] = c.Until.UTC().Format(time.RFC3339)
	}
	return access.Entry{Actor: actor, Action: action, Subject: "customer " + c.CustomerKey, Detail: detail}
}

// split makes what a company says into entries of the ledger. A grant of a topic with opt_in: double is a request; one of
// every topic is one for those, behind the grant of the rest.
func (s *Schema) split(c ConsentChange) []ConsentChange {
	if !c.Granted || c.Resumes {
		return []ConsentChange{c}
	}
	if t, _ := s.Topic(c.Topic); t.OptIn == OptInDouble {
		return s.requests(c, t)
	}
	list := []ConsentChange{c}
	for _, t := range s.Topics {
		if c.Topic == Every && t.OptIn == OptInDouble {
			list = append(list, s.requests(c, t)...)
		}
	}
	return list
}

// requests are those of a topic: one for each channel, so that what is granted on one stays so.
func (s *Schema) requests(c ConsentChange, t Topic) (list []ConsentChange) {
	c.Topic, c.Granted, c.Pending = t.Name, false, true
	if c.Channel != Every {
		return []ConsentChange{c}
	}
	for _, channel := range Channels() {
		if _, mapped := s.Address(channel); mapped && t.On(channel) {
			c.Channel = channel
			list = append(list, c)
		}
	}
	return list
}

// says tells whether a change would change nothing: a withdrawal or a grant of what was last said, or a request for what
// is granted, or a pause that ends in the same minute as the one that holds. Another request for what is still to be
// confirmed is a new one.
func (l Ledger) says(c ConsentChange) bool {
	if c.Resumes {
		return false
	}
	if !c.Until.IsZero() {
		word := l.Word(c.Channel, c.Topic, c.At)
		return word != nil && l.settled(word, c.Channel, c.Topic) && word.Until.Sub(c.Until).Abs() < time.Minute
	}
	word := l.Lasting(c.Channel, c.Topic)
	if word == nil || !l.settled(word, c.Channel, c.Topic) {
		return false
	}
	if c.Pending {
		return word.Granted
	}
	if c.Granted && word.Granted { // a grant ends a pause
		paused := l.Word(c.Channel, c.Topic, c.At)
		return paused == nil || paused.Granted
	}
	return word.Granted == c.Granted && !word.Pending
}

// settled says whether nothing was said after an entry on a part of what a channel and a topic stand for.
func (l Ledger) settled(word *ConsentEntry, channel, topic string) bool {
	return !slices.ContainsFunc(l, func(e ConsentEntry) bool {
		return e.ID > word.ID && e.forGood() && e.overlaps(channel, topic)
	})
}

// overlaps says whether an entry speaks of something that a channel and a topic stand for.
func (e *ConsentEntry) overlaps(channel, topic string) bool {
	return (e.Channel == channel || e.Channel == Every || channel == Every) && (e.Topic == topic || e.Topic == Every || topic == Every)
}
