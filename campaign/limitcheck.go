package campaign

import (
	"cmp"
	"time"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
)

// Limits are when and how often the campaign's messages may go: its own and those of sapa.yaml.
func (c *Campaign) Limits() *delivery.Limits { return &c.Content.Limits }

func (c *Campaign) ownLimits() Limits {
	if c.Definition.Limits == nil {
		return Limits{}
	}
	return *c.Definition.Limits
}

// limitRails are those rails that spare customers. A campaign that only people of the company read has none: it disturbs no
// customer at night, and is none of the messages that they get.
func (c *Campaign) limitRails() customer.Rails {
	rails := c.schema.Rails
	if c.internal() {
		rails.QuietHours, rails.Cap = customer.QuietHours{}, customer.Cap{}
	}
	return rails
}

// internal says that all of the campaign's channels are.
func (c *Campaign) internal() bool {
	for _, channel := range c.Channels() {
		if !internal(channel) {
			return false
		}
	}
	return true
}

// sendLimits are what the claim asks. Whoever is to confirm that they want messages can't have had too many: what asks them
// is exempt from caps.
func (c *Campaign) sendLimits() delivery.Limits {
	own, rails := c.ownLimits(), c.limitRails()
	quiet, _ := rails.QuietHours.With(own.QuietHours)
	l := delivery.Limits{
		Quiet: quiet, Zone: c.schema.Zone, Postpone: own.OnCap == "postpone", Priority: int(c.Definition.Priority),
		Exempt: own.Cap.None || c.Confirms() || c.internal() && own.Cap.Most == 0, GiveUpAfter: time.Duration(cmp.Or(own.GiveUpAfter, rails.GiveUpAfter)),
	}
	if !l.Exempt {
		l.Caps = rails.Cap.With(own.Cap)
	}
	return l
}

// maxSpread is how long a run may be spread.
const maxSpread = 7 * 24 * time.Hour

// checkLimits refuses what can't work, and warns of what has no effect: sapa.yaml may change after a version was applied,
// and must not break it.
func (k *checker) checkLimits() {
	own, rails := k.c.ownLimits(), k.c.limitRails()
	if own.OnCap != "" && own.OnCap != "skip" && own.OnCap != "postpone" {
		k.problem("$.limits.on_cap", "write skip, or postpone", "unknown on_cap %q", own.OnCap)
	}
	if time.Duration(own.Spread) > maxSpread {
		k.problem("$.limits.spread", "", "a run is spread over %s at most", customer.Span(maxSpread))
	}
	if _, whole := rails.QuietHours.With(own.QuietHours); whole {
		k.problem("$.limits.quiet_hours", "write  quiet_hours: none  to lift those of sapa.yaml",
			"with those of sapa.yaml, %s, these quiet hours leave no time to send", rails.QuietHours.Window)
	}
	caps := rails.Cap.With(own.Cap)
	switch {
	case own.OnCap != "" && own.Cap.None:
		k.warn("$.limits.on_cap", "leave the line out", "on_cap has no effect with  cap: none")
	case own.OnCap != "" && len(caps) == 0 && k.wellFormed:
		k.warn("$.limits.on_cap", `such as  cap: "2 per 7d"`, "on_cap has no effect: there is no cap, neither here nor in sapa.yaml")
	}
	if own.Cap.Most > 0 && rails.Cap.Most > 0 && own.Cap != rails.Cap && rails.Cap.Stricter(own.Cap) {
		k.warn("$.limits.cap", "leave the line out, or write  cap: none  to be exempt from both",
			"this cap has no effect: that of sapa.yaml, %s, holds beside it and is stricter", rails.Cap)
	}
	k.warnQuietTick(rails.QuietHours, own.QuietHours)
}

// warnQuietTick says that a schedule's messages would all come due within the quiet hours, which end when it is too late.
// Only where the schedule is in the customers' zones it is so for everybody.
func (k *checker) warnQuietTick(rails, own customer.QuietHours) {
	cal := k.c.calendar
	if cal == nil || cal.until == nil || !cal.customer || len(k.problems) > 0 {
		return
	}
	tick, ok := cal.next(time.Time{})
	if cal.cron != "" {
		tick, ok = cal.next(anyClock().Now)
	}
	if !ok {
		return
	}
	quiet, _ := rails.With(own)
	at, end := tick, date(tick).Add(time.Duration(*cal.until)*time.Minute)
	for _, w := range quiet {
		at = w.Until(at, time.UTC)
	}
	if at.After(tick) && !at.Before(end) {
		k.warn("$.schedule.until", "choose another time, or other quiet_hours",
			"at %s it is quiet until %s, and then it is too late: nothing would be sent", tick.Format("15:04"), at.Format("15:04"))
	}
}

// batchPriority is that of the jobs that send the campaign's batches: 1 goes first, 4 last.
func (c *Campaign) batchPriority() int {
	switch p := c.Definition.Priority; {
	case p >= priorityMost/2:
		return 1
	case p > 0:
		return 2
	case p == 0:
		return 3
	}
	return 4
}

// spread is over how long a run's messages are spread; 0: they are not.
func (c *Campaign) spread() time.Duration { return time.Duration(c.ownLimits().Spread) }
