package delivery

import (
	"fmt"
	"time"

	"github.com/sapa-crm/sapa/customer"
)

// A message that became due before the quiet hours, and is only claimed within them, waits for their end, or is too late
// when that is after its end.
func (l *Limits) quietSQL() string {
	return fmt.Sprintf(`, rung as (
	select k.*, nullif(%s, @now) as later from checked k
), quieted as materialized (
	select r.id, r.customer_key, r.normalised, r.consent, r.not_after,
	       coalesce(r.reason, case when r.later >= r.not_after then 'too late' end) as reason,
	       case when r.reason is null and (r.later >= r.not_after) is not true then r.later end as later
	from rung r
)`, QuietUntil("@now::timestamptz", "coalesce(k.zone, @default_zone)", l.Quiet))
}

const noQuietSQL = `, quieted as (
	select k.id, k.customer_key, k.normalised, k.consent, k.not_after, k.reason, null::timestamptz as later from checked k
)`

// QuietUntil is SQL for the end of the quiet hours in which a moment lies in a zone, and the moment itself where it lies in
// none. Moment and zone are SQL, too.
func QuietUntil(moment, zone string, quiet []customer.Window) string {
	for _, w := range quiet {
		moment = fmt.Sprintf("quiet_until(%s, %s, %s, %s)", moment, zone, clockSQL(w.From), clockSQL(w.To))
	}
	return moment
}

// clockSQL is a time of day, in minutes since midnight.
func clockSQL(minute int) string {
	return fmt.Sprintf("time '%02d:%02d'", minute/60, minute%60)
}

// after is the first moment from at on that is not within quiet hours in a zone; "" is the company's.
func (l *Limits) after(at time.Time, zone string) time.Time {
	if len(l.Quiet) == 0 {
		return at
	}
	if zone == "" {
		zone = l.Zone
	}
	where, err := time.LoadLocation(zone)
	if err != nil {
		return at // the claim asks the database, which knows the zone
	}
	for _, w := range l.Quiet {
		at = w.Until(at, where)
	}
	return at
}
