package campaign

import (
	"errors"
	"strings"
	"time"

	"github.com/adhocore/gronx"

	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// Schedule says when a campaign runs: once `at` a time, or at every tick of a cron expression.
type Schedule struct {
	At       *CivilTime `yaml:"at" jsonschema_description:"Once, at this date and time"`
	Cron     string     `yaml:"cron" jsonschema_description:"At every tick of: minute hour day month weekday"`
	Timezone string     `yaml:"timezone" jsonschema_description:"An IANA name, or customer: at that time where each customer lives; by default the company's zone"`
	Until    *ClockTime `yaml:"until" jsonschema_description:"Nothing is sent after this time of the tick's day"`
	CatchUp  string     `yaml:"catch_up" jsonschema:"enum=once,enum=skip" jsonschema_description:"Of ticks that were missed while nothing ran: once (the latest one, the default) or skip"`
}

// customerZone is the timezone that means each customer's own.
const customerZone = "customer"

// calendar is a checked schedule: it knows its ticks, which are civil times.
type calendar struct {
	at       time.Time
	cron     string // "" for at
	customer bool
	zone     *time.Location // of ticks; for customer zones, the company's
	until    *ClockTime
	skip     bool // missed ticks are skipped, not caught up
}

// Zones at the ends of the world: a tick in customers' zones begins in the first and ends in the last.
const (
	eastMost = 14 * time.Hour
	westMost = -12 * time.Hour
)

// planAhead is how long before the first zone reaches a tick its run is planned.
const planAhead = 10 * time.Minute

// grace is how late a tick may be and still not count as missed.
const grace = 10 * time.Minute

func newCalendar(f *strictyaml.File, s *Schedule, companyZone string) (*calendar, diag.List) {
	var problems diag.List
	c := &calendar{until: s.Until, cron: s.Cron, customer: s.Timezone == customerZone}
	name := s.Timezone
	if name == "" || c.customer {
		name = companyZone
	}
	zone, err := loadZone(name)
	if err != nil {
		problems = append(problems, f.Problem("$.schedule.timezone", `write "customer", or an IANA name such as Asia/Jakarta`, "unknown time zone %q", name))
		zone = time.UTC
	}
	c.zone = zone
	problems = append(problems, c.setTicks(f, s)...)
	switch s.CatchUp {
	case "", "once":
	case "skip":
		c.skip = true
	default:
		problems = append(problems, f.Problem("$.schedule.catch_up", "", "catch_up is once or skip, not %q", s.CatchUp))
	}
	return c, problems
}

var errUnknownZone = errors.New("unknown time zone")

// loadZone refuses "" and "Local", which time.LoadLocation takes.
func loadZone(name string) (*time.Location, error) {
	if name == "" || strings.EqualFold(name, "local") {
		return nil, errUnknownZone
	}
	return time.LoadLocation(name)
}

func (c *calendar) setTicks(f *strictyaml.File, s *Schedule) diag.List {
	switch {
	case s.At != nil && s.Cron != "":
		return diag.List{f.KeyProblem("$.schedule.cron", "keep one of them", "a schedule has `at` or `cron`, not both")}
	case s.At != nil:
		c.at = time.Time(*s.At)
	case s.Cron == "":
		return diag.List{f.Problem("$.schedule", "such as cron: \"0 8 * * *\"", "a schedule needs `at` or `cron`")}
	case len(strings.Fields(s.Cron)) != 5 && !strings.HasPrefix(s.Cron, "@"), !gronx.New().IsValid(s.Cron):
		return diag.List{f.Problem("$.schedule.cron", "five fields: minute hour day month weekday, such as \"0 8 * * 1\" for Mondays at 8",
			"%q is not a cron expression", s.Cron)}
	default:
		if _, err := gronx.NextTickAfter(s.Cron, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), false); err != nil {
			return diag.List{f.Problem("$.schedule.cron", "", "%q never comes", s.Cron)}
		}
	}
	return nil
}

// next is the first tick after a civil time; false when there is none.
func (c *calendar) next(after time.Time) (time.Time, bool) {
	if c.cron == "" {
		return c.at, c.at.After(after)
	}
	t, err := gronx.NextTickAfter(c.cron, after, false)
	if err != nil {
		return time.Time{}, false
	}
	return t, true
}

// instant is when a civil time comes in a zone. One that daylight saving skips comes an hour later by the clock, as
// with PostgreSQL's `at time zone`; of one that comes twice it is the first.
func instant(civil time.Time, zone *time.Location) time.Time {
	y, m, d := civil.Date()
	h, mi, s := civil.Clock()
	t := time.Date(y, m, d, h, mi, s, 0, zone)
	if earlier := t.Add(-time.Hour); sameClock(earlier.In(zone), civil) {
		return earlier
	}
	return t
}

func sameClock(t, civil time.Time) bool {
	return t.Format("2006-01-02 15:04:05") == civil.Format("2006-01-02 15:04:05")
}

// planAt is when the run of a tick is planned.
func (c *calendar) planAt(tick time.Time) time.Time {
	if c.customer {
		return tick.Add(-eastMost - planAhead)
	}
	return instant(tick, c.zone)
}

// lastAt is when a tick is certainly over: its last zone has reached `until`, or the end of its day.
func (c *calendar) lastAt(tick time.Time) time.Time {
	end := date(tick).AddDate(0, 0, 1)
	if c.until != nil {
		end = date(tick).Add(time.Duration(*c.until) * time.Minute)
	}
	if c.customer {
		return end.Add(-westMost)
	}
	return instant(end, c.zone)
}

// civilNow is a moment as a civil time of the calendar; for customer zones that of the first zone on earth, whose ticks
// are planned first.
func (c *calendar) civilNow(now time.Time) time.Time {
	if c.customer {
		return now.UTC().Add(eastMost + planAhead)
	}
	t := now.In(c.zone)
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// due decides what to do at a moment about the tick that was noted as next: the tick to run, if any, and the one to
// note. Of several missed ticks at most the latest is run; none with catch_up: skip.
func (c *calendar) due(noted, now time.Time) (run *time.Time, next *time.Time) {
	latest := noted
	for {
		t, ok := c.next(latest)
		if !ok {
			break
		}
		if c.planAt(t).After(now) {
			next = &t
			break
		}
		latest = t
	}
	late := now.Sub(c.planAt(latest)) > grace && !(c.customer && now.Before(latest.Add(-westMost)))
	if late && c.skip {
		return nil, next
	}
	if c.until != nil && now.After(c.lastAt(latest)) {
		return nil, next // nobody could get it any more
	}
	return &latest, next
}
