package campaign

import (
	"context"
	"fmt"
	"time"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// kept says whether the database has Sapa's tables already: a campaign can be looked at before.
func kept(ctx context.Context, db pg.DBTX) (yes bool, err error) {
	err = db.QueryRow(ctx, `select to_regclass('erasures') is not null and to_regclass('consents') is not null
		and to_regclass('suppressions') is not null and to_regclass('suppressed_digests') is not null`).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("look for Sapa's tables: %w", err)
	}
	return yes, nil
}

// checkErased refuses to compose a message for a customer who was erased.
func (c *Campaign) checkErased(ctx context.Context, db pg.DBTX, key string) error {
	at, err := customer.ErasedAt(ctx, db, key)
	if err != nil || at.IsZero() {
		return err
	}
	if zone, err := time.LoadLocation(c.schema.Zone); err == nil {
		at = at.In(zone)
	}
	return fmt.Errorf("customer %s was erased on %s; nothing is sent", key, at.Format(time.DateOnly))
}

// skip is the reason for which a plan would skip the customer, in a plan's order; "" where it would not. Whether they had
// the message already, and a cooldown, are not asked.
func (p *Preview) skip(ctx context.Context, db pg.DBTX, c *Campaign, now time.Time) (string, error) {
	if addressless(c.Channel()) {
		return c.dissent(ctx, db, p.CustomerKey, now)
	}
	address, reason, err := p.unreached(c)
	if err != nil || reason != "" {
		return reason, err
	}
	_, suppressed, err := customer.Suppressed(ctx, db, c.Channel(), address)
	if err == nil && !suppressed {
		err = db.QueryRow(ctx, `select exists (select from suppressed_digests where channel = $1 and digest = $2)`, c.Channel(), customer.Digest(address)).Scan(&suppressed)
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("look whether the address is suppressed: %w", err)
	case suppressed:
		return "suppressed", nil
	}
	return c.dissent(ctx, db, p.CustomerKey, now)
}

// unreached is the customer's address on the campaign's channel, or why there is none that is any good.
func (p *Preview) unreached(c *Campaign) (address, reason string, err error) {
	switch {
	case addressless(c.Channel()):
		return "", "", nil
	case p.Address == "":
		return "", "no address", nil
	case c.regional():
		address, reason = p.Number, p.Unusable
	default:
		a, err := customer.Normalise(c.Channel(), p.Address, "")
		if err != nil {
			return "", "", err
		}
		address, reason = a.Normalised, a.Reason
	}
	if reason != "" {
		return "", "bad address: " + reason, nil
	}
	return address, "", nil
}

// dissent is the reason for which a plan would skip a customer who does not want the campaign's topic; "" where they do.
func (c *Campaign) dissent(ctx context.Context, db pg.DBTX, key string, now time.Time) (string, error) {
	person, err := c.schema.Person(ctx, db, key)
	if err != nil {
		return "", err
	}
	ledger, err := customer.ReadLedger(ctx, db, key)
	if err != nil {
		return "", err
	}
	return dissenting(c, c.schema.Standing(ledger, person.Opted(c.Channel()), c.Channel(), c.Topic(), now)), nil
}

// dissenting is the reason for which a plan would skip a customer with that standing; "" where it would not.
func dissenting(c *Campaign, st customer.Standing) string {
	switch {
	case internal(c.Channel()):
		return ""
	case st.Paused():
		return "paused"
	case c.Confirms() && st.From != customer.FromColumn && (st.Entry == nil || !st.Entry.Pending):
		return "no request to confirm"
	case !st.Granted && !c.Confirms(), c.Confirms() && st.From == customer.FromColumn:
		return "no consent"
	}
	return ""
}
