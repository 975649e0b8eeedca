package delivery

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
)

// Limits are when, and how often, a version's messages may go. docs/limits.md has what they mean.
type Limits struct {
	Quiet       []customer.Window // in the customer's zone, nothing is handed over in these hours
	Zone        string            // of customers who have none: the company's
	Caps        []customer.Cap    // how many messages a customer gets, of all campaigns
	Postpone    bool              // a message beyond a cap waits until the cap allows it; otherwise it is skipped
	Priority    int               // who gets the last place under a cap
	Exempt      bool              // its messages count for nobody's cap
	GiveUpAfter time.Duration     // after the first attempt; 0: when the waits between attempts are used up
}

// Capped says whether the claim counts what the customer got.
func (l *Limits) Capped() bool { return len(l.Caps) > 0 }

// claimSQL is the statement of a claim. What quiet hours and caps need stands in it only where there are any: the others
// have the same text, and the same plan, as if there were no such thing.
func (l *Limits) claimSQL() string {
	if len(l.Quiet) == 0 && !l.Capped() {
		return fmt.Sprintf(claimForm, "", "checked k where m.id = k.id and m.id between @lo and @hi", "", "")
	}
	steps, from := noQuietSQL, "quieted"
	if len(l.Quiet) > 0 {
		steps = l.quietSQL()
	}
	if l.Capped() {
		steps, from = steps+cappedSQL, "within_caps"
	}
	return fmt.Sprintf(claimForm, steps, from+" k where m.id = k.id and m.id between @lo and @hi and k.later is null", fmt.Sprintf(putOffSQL, from),
		"union all select p.id, false, p.customer_key, null, 0::smallint, null, null, null, null, null from put_off p\n")
}

// claimArgs are what claimSQL asks for.
func (l *Limits) claimArgs(args pgx.NamedArgs) {
	args["gives_up"], args["default_zone"] = l.GiveUpAfter > 0, l.Zone
	args["postpone"], args["priority"] = l.Postpone, l.Priority
	args["cap_most"], args["cap_within"] = l.CapColumns()
}

// CapColumns are the caps as table runs keeps them; nil without any.
func (l *Limits) CapColumns() (most []int32, within []time.Duration) {
	for _, c := range l.Caps {
		most, within = append(most, int32(c.Most)), append(within, c.Within) //nolint:gosec // at most 1000
	}
	return most, within
}

// A message that is put off stays planned, and none of its accounts change.
const putOffSQL = `, put_off as (
	update messages m set not_before = k.later
	from %s k
	where m.id = k.id and m.id between @lo and @hi and k.reason is null and k.later is not null
	returning m.id, m.customer_key
)`

// next is when a message may be tried again that would be tried at a time: quiet hours are waited for.
func (m *message) next(at time.Time) time.Time {
	if m.Limits == nil {
		return at
	}
	zone := ""
	if m.Zone != nil {
		zone = *m.Zone
	}
	return m.Limits.after(at, zone)
}

// tooLate says that another attempt at a time would come after the message's end, or after it is given up. now is when it
// was tried last.
func (m *message) tooLate(at, now time.Time) bool {
	if m.NotAfter != nil && !at.Before(*m.NotAfter) {
		return true
	}
	if m.Limits == nil || m.Limits.GiveUpAfter == 0 {
		return false
	}
	first := now
	if m.FirstTry != nil {
		first = *m.FirstTry
	}
	return at.After(first.Add(m.Limits.GiveUpAfter))
}
