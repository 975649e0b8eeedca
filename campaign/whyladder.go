package campaign

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/segment"
)

// WhyChannel says whether one of a campaign's channels reaches the customer.
type WhyChannel struct {
	Channel   string     `json:"channel"`
	Preferred bool       `json:"preferred,omitempty"` // by the customer
	Reaches   bool       `json:"reaches"`
	Checks    []WhyCheck `json:"checks"` // address, suppression, consent
}

// text is "sms: the address is suppressed since …".
func (w *WhyChannel) text() string {
	var found []string
	for _, c := range w.Checks {
		if !c.OK || w.Reaches && c.Name == "address" {
			found = append(found, c.Text)
		}
	}
	name := w.Channel
	if w.Preferred {
		name += " (preferred)"
	}
	return name + ": " + strings.Join(found, ", ")
}

// askChannels asks address, suppression and consent of each channel, in the customer's order.
func (q *inquiry) askChannels(ctx context.Context) error {
	order, preferred, err := q.c.order(ctx, q.tx, q.out.CustomerKey)
	if err != nil {
		return err
	}
	paused, chosen := true, ""
	for _, channel := range order {
		one := *q
		one.c, one.out, one.paused = q.c.By(channel), &Why{CustomerKey: q.out.CustomerKey, Campaign: q.out.Campaign, Day: q.out.Day}, false
		if one.who, err = one.c.recipient(ctx, q.tx, q.out.CustomerKey); err != nil {
			return err
		}
		if err := one.askAddress(ctx); err != nil {
			return err
		}
		if err := one.askConsent(ctx); err != nil {
			return err
		}
		w := WhyChannel{Channel: channel, Preferred: channel == preferred, Checks: one.out.Checks}
		w.Reaches = !slices.ContainsFunc(w.Checks, func(c WhyCheck) bool { return !c.OK })
		if w.Reaches && chosen == "" {
			chosen = channel
		}
		paused = paused && one.paused
		q.out.Channels = append(q.out.Channels, w)
		if one.until.After(q.until) && chosen == "" {
			q.until = one.until
		}
	}
	var texts []string
	for _, w := range q.out.Channels {
		texts = append(texts, w.text())
		if w.Channel == chosen {
			break // the others are not asked
		}
	}
	if chosen == "" {
		q.paused = paused
		q.check("channel", false, "no channel reaches them: %s", strings.Join(texts, "; "))
		return nil
	}
	q.check("channel", true, "by %s", strings.Join(append(texts[len(texts)-1:], texts[:len(texts)-1]...), "; not by "))
	return nil
}

// order are the campaign's channels in the order of a customer, and the channel that they prefer, as their row has it.
func (c *Campaign) order(ctx context.Context, db pg.DBTX, key string) (order []string, preferred string, err error) {
	order = slices.Clone(c.Channels())
	if c.schema.Preferred == "" {
		return order, "", nil
	}
	q, err := segment.Audience(segment.NewScope(c.schema), nil, nil, &segment.Args{}, anyClock())
	if err != nil {
		return nil, "", err
	}
	q.Only(key)
	_, _, column := c.ladderPerson()
	sql := fmt.Sprintf(`select coalesce(lower(btrim(%s)), '') from %s where %s`, column, q.From, q.Where)
	err = db.QueryRow(ctx, sql, append([]any{pgx.QueryExecModeExec}, q.Args.Values()...)...).Scan(&preferred)
	if err != nil {
		return nil, "", &CompanyError{fmt.Errorf("ask the company's tables: %w", pg.WithoutValues(err))}
	}
	if at := slices.Index(order, preferred); at > 0 {
		order = append([]string{preferred}, slices.Delete(order, at, at+1)...)
	}
	return order, preferred, nil
}

// On is the campaign as if it used one of its channels alone; of no channel, the campaign itself, when it has one, else the first.
func (c *Campaign) On(channel string) (*Campaign, error) {
	switch {
	case channel == "":
		return c.By(c.Channel()), nil
	case !c.uses(channel):
		return nil, fmt.Errorf("%s goes by %s, not by %s", c.Name(), andList(c.Channels()), channel)
	}
	return c.By(channel), nil
}
