package customer

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sapa-crm/sapa/internal/pg"
)

// Every stands for all channels, or all topics, in a ConsentChange.
const Every = "*"

// ConsentChange is one entry of the consent ledger: what a customer said, where and when.
type ConsentChange struct {
	CustomerKey string // text of the key
	Channel     string // or Every
	Topic       string // or Every
	Granted     bool
	Pending     bool           // asked for and not confirmed yet (double opt-in); Granted is false
	Until       time.Time      // the entry holds only before this moment, as a pause does; zero: for good
	Resumes     bool           // ends the entries before it that hold only for a time, and decides nothing itself
	Source      string         // unsubscribe page, one-click, import, an actor
	Evidence    map[string]any // what shows that it was said; personal data, blanked on erasure
	At          time.Time
}

// ConsentEntry is a ConsentChange as the ledger has it. Later entries have higher ids.
type ConsentEntry struct {
	ID int64
	ConsentChange
}

// SetConsent appends to the consent ledger. Nothing in it is ever changed; the latest entry that covers a channel and a
// topic, and whose time is not over, decides, before the company's own columns.
func SetConsent(ctx context.Context, db pg.DBTX, c ConsentChange) error {
	if c.CustomerKey == "" || c.Channel == "" || c.Topic == "" {
		return fmt.Errorf("record consent: customer, channel and topic must be named (%q for all)", Every)
	}
	if c.Evidence == nil {
		c.Evidence = map[string]any{}
	}
	_, err := db.Exec(ctx, `
		insert into consents (customer_key, channel, topic, granted, pending, until, resumes, source, evidence, at)
		values (@key, @channel, @topic, @granted, @pending, @until, @resumes, @source, @evidence, @at)`,
		pgx.NamedArgs{
			"key": c.CustomerKey, "channel": c.Channel, "topic": c.Topic, "granted": c.Granted,
			"pending": c.Pending, "until": pgtype.Timestamptz{Time: c.Until, Valid: !c.Until.IsZero()}, "resumes": c.Resumes,
			"source": c.Source, "evidence": c.Evidence, "at": c.At,
		})
	if err != nil {
		return fmt.Errorf("record consent of customer %s: %w", c.CustomerKey, err)
	}
	return nil
}

// LockConsent lets one transaction at a time decide on a customer's consent, until its end.
func LockConsent(ctx context.Context, tx pgx.Tx, key string) error {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('sapa consent ' || $1, 0))`, key); err != nil {
		return fmt.Errorf("lock the consent of customer %s: %w", key, err)
	}
	return nil
}

// LatestConsent is the ledger's latest word at a moment on a customer, channel and topic. Said is false where the ledger
// has none, so that the mapped columns decide.
func LatestConsent(ctx context.Context, db pg.DBTX, key, channel, topic string, now time.Time) (granted, said bool, err error) {
	l, err := ReadLedger(ctx, db, key)
	if err != nil {
		return false, false, err
	}
	e := l.Word(channel, topic, now)
	return e != nil && e.Granted, e != nil, nil
}

// Ledger is what the consent ledger holds on one customer, the latest first.
type Ledger []ConsentEntry

// ReadLedger reads what was ever said by or for a customer.
func ReadLedger(ctx context.Context, db pg.DBTX, key string) (Ledger, error) {
	rows, _ := db.Query(ctx, `
		select id, customer_key, channel, topic, granted, pending, until, resumes, source, evidence, at
		from consents where customer_key = $1 order by id desc`, key)
	l, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e ConsentEntry, err error) {
		var until pgtype.Timestamptz
		err = row.Scan(&e.ID, &e.CustomerKey, &e.Channel, &e.Topic, &e.Granted, &e.Pending, &until, &e.Resumes, &e.Source, &e.Evidence, &e.At)
		e.Until = until.Time
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the consents of customer %s: %w", key, err)
	}
	return l, nil
}

// covers says whether an entry speaks of a channel and a topic.
func (e *ConsentEntry) covers(channel, topic string) bool {
	return !e.Resumes && (e.Channel == channel || e.Channel == Every) && (e.Topic == topic || e.Topic == Every)
}

// forGood says whether an entry holds for good.
func (e *ConsentEntry) forGood() bool { return !e.Resumes && e.Until.IsZero() }

// Word is the entry that decides on a channel and a topic at a moment; nil where the ledger says nothing. Plans and claims
// ask the same in SQL.
func (l Ledger) Word(channel, topic string, now time.Time) *ConsentEntry {
	resumed := false
	for i := range l {
		e := &l[i]
		switch {
		case e.Resumes:
			resumed = true
		case e.covers(channel, topic) && (e.forGood() || !resumed && e.Until.After(now)):
			return e
		}
	}
	return nil
}

// Lasting is the entry that decides on a channel and a topic when those are left out that hold for a time.
func (l Ledger) Lasting(channel, topic string) *ConsentEntry {
	for i := range l {
		if e := &l[i]; e.forGood() && e.covers(channel, topic) {
			return e
		}
	}
	return nil
}

// EndedAll says whether the last that was said for good ended every topic on every channel.
func (l Ledger) EndedAll() bool {
	for i := range l {
		if e := &l[i]; e.forGood() {
			return !e.Granted && !e.Pending && e.Channel == Every && e.Topic == Every
		}
	}
	return false
}

// PausedUntil is the end of the pause of everything that holds at a moment; zero where there is none.
func (l Ledger) PausedUntil(now time.Time) time.Time {
	for i := range l {
		switch e := &l[i]; {
		case e.Resumes:
			return time.Time{}
		case e.Channel == Every && e.Topic == Every && e.Until.After(now):
			return e.Until
		}
	}
	return time.Time{}
}

// Origins of a Standing.
const (
	FromColumn  = "column"  // one of the company's own
	FromLedger  = "ledger"  // an entry of the consent ledger
	FromDefault = "default" // nobody has said anything
)

// Standing is whether a customer gets a topic on a channel, and why.
type Standing struct {
	Channel, Topic string
	Granted        bool
	From           string        // FromColumn, FromLedger or FromDefault
	Column         string        // of FromColumn
	Entry          *ConsentEntry // of FromLedger
}

// Paused says whether it is a pause that decides.
func (s Standing) Paused() bool { return s.Entry != nil && !s.Entry.Until.IsZero() }

// Standing is a customer's on a channel and a topic at a moment, in the order of planning: a column that says no, the
// ledger's latest word, a column that says yes (not of a topic with opt_in: double), the default. optedIn is what the company's column for the channel holds.
func (s *Schema) Standing(l Ledger, optedIn *bool, channel, topic string, now time.Time) Standing {
	return s.standing(l.Word(channel, topic, now), optedIn, channel, topic)
}

// LastingStanding is Standing without what holds for a time, such as a pause.
func (s *Schema) LastingStanding(l Ledger, optedIn *bool, channel, topic string) Standing {
	return s.standing(l.Lasting(channel, topic), optedIn, channel, topic)
}

func (s *Schema) standing(word *ConsentEntry, optedIn *bool, channel, topic string) Standing {
	st := Standing{Channel: channel, Topic: topic, From: FromColumn, Column: s.Consent.Columns[channel]}
	switch {
	case optedIn != nil && !*optedIn:
	case word != nil:
		st.From, st.Column, st.Entry, st.Granted = FromLedger, "", word, word.Granted
	case optedIn != nil && s.ColumnGrants(topic):
		st.Granted = true
	default:
		st.From, st.Column, st.Granted = FromDefault, "", s.GrantedByDefault(topic)
	}
	return st
}
