package campaign

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
)

// askLimits asks when and how often the campaign writes to the customer.
func (q *inquiry) askLimits(ctx context.Context) error {
	l := q.c.Limits()
	q.askQuiet(l)
	if d := q.c.spread(); d > 0 {
		q.check("spread", true, "the run's messages are spread over %s, so that it may go so much later", customer.Span(d))
	}
	if q.c.ownLimits().Cap.None && q.c.schema.Rails.Cap.Most > 0 {
		q.check("cap", true, "the campaign is exempt from caps")
	}
	if err := q.askCap(ctx, l); err != nil {
		return err
	}
	var none []string
	if !l.Capped() && !q.c.ownLimits().Cap.None {
		none = append(none, "no cap")
	}
	if len(l.Quiet) == 0 {
		none = append(none, "no quiet hours")
	}
	limits := "nobody is held out"
	if len(none) > 0 {
		limits = strings.Join(none, ", ") + ", and " + limits
	}
	if most := int(q.c.limits().MaxAudience); most > 0 {
		limits += fmt.Sprintf("; at most %s messages a run", thousands(most))
	}
	q.check("limits", true, "%s", limits)
	return nil
}

// goes is when the message would go if there were no quiet hours, and the zone in which the customer lives.
func (q *inquiry) goes() (time.Time, *time.Location) {
	zone := q.clock.Zone
	if where, err := time.LoadLocation(q.who.zone); err == nil && customer.ValidZone(q.who.zone) {
		zone = where
	}
	from, _ := q.c.window(q.r).moment(q.r.AsOf, q.r.Tick, zone)
	if from.Before(q.r.AsOf) {
		from = q.r.AsOf
	}
	return from, zone
}

func (q *inquiry) askQuiet(l *delivery.Limits) {
	if len(l.Quiet) == 0 {
		return
	}
	var hours []string
	for _, w := range l.Quiet {
		hours = append(hours, w.String())
	}
	at, zone := q.goes()
	text := fmt.Sprintf("it is quiet at %s where they live (%s)", strings.Join(hours, " and "), zone)
	end := until(at, l.Quiet, zone)
	if !end.After(at) {
		q.check("quiet", true, "%s, and now it is not", text)
		return
	}
	_, last := q.c.window(q.r).moment(q.r.AsOf, q.r.Tick, zone)
	if last != nil && !end.Before(*last) {
		q.check("quiet", false, "%s, until %s, and then it is too late", text, end.In(zone).Format("2006-01-02 15:04 MST"))
		return
	}
	q.check("quiet", true, "%s: it waits until %s", text, end.In(zone).Format("2006-01-02 15:04 MST"))
}

// quiets says that it is the quiet hours that make it too late.
func (q *inquiry) quiets() bool {
	at, zone := q.goes()
	_, last := q.c.window(q.r).moment(q.r.AsOf, q.r.Tick, zone)
	return last != nil && at.Before(*last) && !until(at, q.c.Limits().Quiet, zone).Before(*last)
}

func (q *inquiry) askCap(ctx context.Context, l *delivery.Limits) error {
	if !l.Capped() {
		return nil
	}
	at, zone := q.goes()
	at = until(at, l.Quiet, zone)
	contacts, err := delivery.Contacts(ctx, q.tx, q.out.CustomerKey, l.Priority, at)
	if err != nil {
		return err
	}
	full := l.Crowded(contacts, at)
	if full == nil {
		q.check("cap", true, "%s", q.roomText(l, contacts, at))
		return nil
	}
	text := fmt.Sprintf("at most %s: they had %d", full.Cap, full.Had)
	if n := len(full.Next); n > 0 {
		text += fmt.Sprintf(", and %s, of higher priority, comes on %s; there is room again on %s", full.Next[0].Campaign, q.moment(full.Next[0].At), q.moment(full.Free))
	} else {
		text += fmt.Sprintf("; there is room again on %s", q.moment(full.Free))
	}
	if l.Postpone {
		q.check("cap", true, "%s, and it is put off until then", text)
		return nil
	}
	q.wait(full.Free)
	q.check("cap", false, "%s", text)
	return nil
}

// roomText says what they had, by the first cap.
func (q *inquiry) roomText(l *delivery.Limits, contacts []delivery.Contact, at time.Time) string {
	had := make([]string, len(l.Caps))
	for i, c := range l.Caps {
		n := 0
		for _, k := range contacts {
			if !k.Planned && k.At.After(at.Add(-c.Within)) {
				n++
			}
		}
		had[i] = fmt.Sprintf("at most %s: they had %d", c, n)
	}
	return strings.Join(had, ", and ")
}
