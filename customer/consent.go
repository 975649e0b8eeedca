package customer

import (
	"context"
	"errors"
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
	Source      string         // unsubscribe page, one-click, import, an actor
	Evidence    map[string]any // what shows that it was said; personal data, blanked on erasure
	At          time.Time
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
		insert into consents (customer_key, channel, topic, granted, pending, until, source, evidence, at)
		values (@key, @channel, @topic, @granted, @pending, @until, @source, @evidence, @at)`,
		pgx.NamedArgs{
			"key": c.CustomerKey, "channel": c.Channel, "topic": c.Topic, "granted": c.Granted,
			"pending": c.Pending, "until": pgtype.Timestamptz{Time: c.Until, Valid: !c.Until.IsZero()},
			"source": c.Source, "evidence": c.Evidence, "at": c.At,
		})
	if err != nil {
		return fmt.Errorf("record consent of customer %s: %w", c.CustomerKey, err)
	}
	return nil
}

// LatestConsent is the ledger's latest word at a moment on a customer, channel and topic. Said is false where the ledger
// has none, so that the mapped columns decide.
func LatestConsent(ctx context.Context, db pg.DBTX, key, channel, topic string, now time.Time) (granted, said bool, err error) {
	err = db.QueryRow(ctx, `
		select granted from consents
		where customer_key = $1 and channel in ($2, '*') and topic in ($3, '*') and (until is null or until > $4)
		order by id desc limit 1`,
		key, channel, topic, now).Scan(&granted)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("look up the consent of customer %s: %w", key, err)
	}
	return granted, true, nil
}
