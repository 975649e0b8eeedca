package campaign

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
)

// PreviewChannel is a channel by which a campaign with several could reach the customer.
type PreviewChannel struct {
	Channel   string `json:"channel"`
	Preferred bool   `json:"preferred,omitempty"` // by the customer
	Reason    string `json:"reason,omitempty"`    // why it does not reach them; "": it does
}

// Way says by which channel the customer would be reached and why, or why by none: "sms, the first that reaches them; not
// whatsapp: no consent". It is empty where the campaign has one channel, or the preview was asked for by one.
func (p *Preview) Way() string {
	if len(p.Channels) == 0 {
		return ""
	}
	var not []string
	for _, c := range p.Channels {
		name := c.Channel
		if c.Preferred {
			name += ", which they prefer"
		}
		switch {
		case c.Reason != "":
			not = append(not, name+": "+c.Reason)
		case c.Preferred:
			return name
		default:
			return strings.Join(append([]string{name + ", the first that reaches them"}, not...), "; not ")
		}
	}
	return "none reaches them: " + strings.Join(not, "; ") + "; this would go by " + p.Channel
}

// viewing is what the previews of one customer by several channels have in common.
type viewing struct {
	db        pg.DBTX
	now       time.Time
	publicURL string
	r         *Run
	ledger    bool // Sapa's tables are there
}

// prepare makes the run that never is, and returns the key of the customer: a campaign with a trigger knows one where none is named.
func (v *viewing) prepare(ctx context.Context, c *Campaign, key string, tick time.Time) (_ string, err error) {
	v.r = &Run{Tick: tick, AsOf: v.now}
	if zone := c.clock(v.now, v.now).Zone; tick.IsZero() {
		v.r.Tick = v.now.In(zone)
	} else {
		v.r.AsOf = instant(tick, zone) // the same moment as a run's
	}
	if err := c.fillFacts(ctx, v.db, v.r); err != nil {
		return "", err
	}
	if err := c.give(ctx, v.db, v.r); err != nil {
		return "", err
	}
	if v.ledger, err = kept(ctx, v.db); err != nil || !v.ledger {
		return key, err
	}
	return c.pretendFor(ctx, v.db, v.r, key)
}

// look finds the customer, and why a plan would skip them if they are in the audience; "" where it would not.
func (v *viewing) look(ctx context.Context, c *Campaign, key string) (p *Preview, reason string, err error) {
	if p, err = c.choose(ctx, v.db, v.r, key, v.ledger); err != nil {
		return nil, "", err
	}
	p.Channel = c.Channel()
	if !v.ledger {
		_, reason, err = p.unreached(c)
		return p, reason, err
	}
	if err := c.checkErased(ctx, v.db, p.CustomerKey); err != nil {
		return nil, "", err
	}
	reason, err = p.skip(ctx, v.db, c, v.now)
	return p, reason, err
}

// ladder is the preview by the channel that a ladder begins with for the customer: the first that reaches them, in their order.
func (v *viewing) ladder(ctx context.Context, c *Campaign, key string) (*Preview, error) {
	key, err := v.someone(ctx, c, key)
	if err != nil {
		return nil, err
	}
	order, preferred, err := c.order(ctx, v.db, key)
	if err != nil {
		return nil, err
	}
	var shown *Preview
	var asked []PreviewChannel
	for _, channel := range order {
		p, reason, err := v.look(ctx, c.By(channel), key)
		if err != nil {
			return nil, err
		}
		asked = append(asked, PreviewChannel{channel, channel == preferred, reason})
		if reason == "" || shown == nil {
			shown = p
		}
		if reason == "" {
			break
		}
	}
	shown.Channels = asked
	if shown.Due {
		shown.Skipped = reasonOfAll(asked)
	}
	return v.compose(ctx, c.By(shown.Channel), shown)
}

// someone is the customer of a ladder's preview: the one who is named, or the first of the audience who has an address on the first
// channel on which anybody has one.
func (v *viewing) someone(ctx context.Context, c *Campaign, key string) (string, error) {
	if key != "" {
		return key, nil
	}
	first := ""
	for _, channel := range c.Channels() {
		p, err := c.By(channel).choose(ctx, v.db, v.r, "", v.ledger)
		if err != nil {
			return "", err
		}
		if p.Address != "" || addressless(channel) {
			return p.CustomerKey, nil
		}
		first = p.CustomerKey
	}
	return first, nil
}

// reasonOfAll is a plan's reason to skip whom no channel reaches; "" where one does.
func reasonOfAll(asked []PreviewChannel) string {
	if slices.ContainsFunc(asked, func(c PreviewChannel) bool { return c.Reason == "" }) {
		return ""
	}
	if slices.ContainsFunc(asked, func(c PreviewChannel) bool { return c.Reason != asked[0].Reason }) {
		return "no channel"
	}
	return asked[0].Reason
}

// compose renders the message by the campaign's channel.
func (v *viewing) compose(ctx context.Context, c *Campaign, p *Preview) (*Preview, error) {
	composer, err := delivery.NewComposer(c.schema, c.Content, c.Channel(), v.r.Tick)
	if err != nil {
		return nil, err
	}
	person, err := c.read(ctx, v.db, p, composer)
	if err != nil {
		return nil, err
	}
	person.Event = c.clockOf(v.r).Event
	if err = p.compose(c, composer, person, v.publicURL, v.now); err != nil {
		return nil, fmt.Errorf("the message for customer %s would fail: %w", p.CustomerKey, err)
	}
	return p, nil
}
