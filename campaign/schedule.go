package campaign

import (
	"fmt"
	"strings"
	"time"

	"github.com/adhocore/gronx"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/wallclock"
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

// sameTicks says whether two schedules have the same ticks.
func sameTicks(a, b *Schedule) bool {
	switch {
	case a == nil || b == nil:
		return a == b
	case a.At == nil || b.At == nil:
		return a.At == b.At && a.Cron == b.Cron && a.Timezone == b.Timezone
	}
	return *a.At == *b.At && a.Timezone == b.Timezone
}

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

func (k *checker) checkSchedule() {
	s := k.c.Definition.Schedule
	if s == nil {
		return
	}
	c := &calendar{until: s.Until, cron: s.Cron, customer: s.Timezone == customerZone, skip: s.CatchUp == "skip"}
	if s.At != nil {
		c.at = time.Time(*s.At)
	}
	before := len(k.problems)
	c.zone = k.checkZone(s.Timezone)
	if s.CatchUp != "" && s.CatchUp != "once" && s.CatchUp != "skip" {
		k.problem("$.schedule.catch_up", "write once, or skip", "unknown catch_up %q", s.CatchUp)
	}
	k.checkTicks(s)
	if len(k.problems) == before && k.wellFormed {
		k.checkUntil(c)
	}
	k.c.calendar = c
}

// checkZone is the zone of ticks.
func (k *checker) checkZone(name string) *time.Location {
	if strings.TrimSpace(name) == "" || name == customerZone {
		name = k.c.schema.Zone
	}
	if customer.ValidZone(name) {
		if zone, err := time.LoadLocation(name); err == nil {
			return zone
		}
	}
	k.problem("$.schedule.timezone", zoneHint(name), "no time zone is called %q", name)
	return time.UTC
}

func zoneHint(name string) string {
	abbreviations := map[string]string{"WIB": "Asia/Jakarta", "WITA": "Asia/Makassar", "WIT": "Asia/Jayapura", "GMT": "UTC", "Z": "UTC"}
	if zone, ok := abbreviations[strings.ToUpper(name)]; ok {
		return fmt.Sprintf("did you mean %q?", zone)
	}
	near := diag.DidYouMean(name, []string{customerZone, "Asia/Jakarta", "Asia/Makassar", "Asia/Jayapura", "Asia/Singapore", "UTC"})
	if strings.HasPrefix(near, "did you mean") {
		return near
	}
	return "write customer, or a name of the IANA list, such as Asia/Jakarta"
}

func (k *checker) checkTicks(s *Schedule) {
	switch {
	case s.At != nil && s.Cron != "":
		k.add(k.f.KeyProblem("$.schedule.cron", "keep one of them", "a schedule has at, for once, or cron, for ever, not both"))
	case s.At != nil, strings.TrimSpace(s.Cron) != "":
	case k.wellFormed && !k.f.Has("$.schedule.cron"):
		k.problem("$.schedule", `such as  cron: "0 8 * * *"  for every day at 8`, "a schedule needs at, or cron")
	}
	if strings.TrimSpace(s.Cron) != "" {
		k.checkCron(s.Cron)
	}
}

const cronHint = `five fields: minute hour day month weekday, such as "0 8 * * 1" for Mondays at 8`

func (k *checker) checkCron(cron string) {
	const at = "$.schedule.cron"
	fields := strings.Fields(cron)
	if len(fields) != 5 {
		k.problem(at, cronHint, "%q is not a cron expression", cron)
		return
	}
	what := []string{
		"minute (0 to 59)", "hour (0 to 23)", "day of the month (1 to 31)", "month (1 to 12, or JAN to DEC)",
		"weekday (0 to 7, or SUN to SAT; 0 and 7 are Sunday)",
	}
	offset, wrong := 0, false
	for i, field := range fields {
		offset += strings.Index(cron[offset:], field)
		alone := []string{"*", "*", "*", "*", "*"}
		alone[i] = field
		if !gronx.New().IsValid(strings.Join(alone, " ")) {
			k.problemIn(at, offset, len(field), cronHint, "%q can't be the %s", field, what[i])
			wrong = true
		}
		offset += len(field)
	}
	if _, ok := (&calendar{cron: cron}).next(anyClock().Now); !wrong && !ok {
		k.problem(at, "the months have no such day", "%q never comes", cron)
	}
}

// checkUntil refuses an end that every tick comes after. The first hundred ticks stand for all.
func (k *checker) checkUntil(c *calendar) {
	if c.until == nil {
		return
	}
	tick, ok := c.next(time.Time{})
	if c.cron != "" {
		tick, ok = c.next(anyClock().Now)
	}
	first := tick
	for i := 0; ok && i < 100; i++ {
		if clockOf(tick) < *c.until {
			return
		}
		tick, ok = c.next(tick)
	}
	k.problem("$.schedule.until", "choose a later time; nothing is sent after it", "until is not after the tick at %s", first.Format("15:04"))
}

func clockOf(t time.Time) ClockTime { return ClockTime(t.Hour()*60 + t.Minute()) }

// next is the first tick after a civil time; false when there is none.
func (c *calendar) next(after time.Time) (time.Time, bool) {
	if c.cron == "" {
		return c.at, c.at.After(after)
	}
	t, err := gronx.NextTickAfter(c.cron, after, false)
	return t, err == nil
}

// first is the first tick that is still to come at a moment. For customers' zones the company's own counts: a schedule
// that is applied at seven begins with today's tick at eight, wherever its customers live.
func (c *calendar) first(now time.Time) (time.Time, bool) {
	after := civil(now, c.zone).Add(-3 * time.Hour) // clocks are never put back by more
	for {
		t, ok := c.next(after)
		if !ok || instant(t, c.zone).After(now) {
			return t, ok
		}
		after = t
	}
}

// civil is a moment as date and time in a zone, in which midnight UTC stands for midnight.
func civil(now time.Time, zone *time.Location) time.Time {
	t := now.In(zone)
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// instant is when a civil time comes in a zone.
func instant(civil time.Time, zone *time.Location) time.Time { return wallclock.Instant(civil, zone) }

// planAt is when the run of a tick is planned.
func (c *calendar) planAt(tick time.Time) time.Time {
	if c.customer {
		return tick.Add(-eastMost - planAhead)
	}
	return instant(tick, c.zone)
}

// over says that nobody could get the tick's messages any more: its last zone has reached `until`.
func (c *calendar) over(tick, now time.Time) bool {
	if c.until == nil {
		return false
	}
	end := date(tick).Add(time.Duration(*c.until) * time.Minute)
	if c.customer {
		return now.After(end.Add(-westMost))
	}
	return now.After(instant(end, c.zone))
}

// due decides what to do at a moment about the tick that was noted as next: the tick to run, if any, and the one to
// note. Of several missed ticks at most the latest is run; none with catch_up: skip.
func (c *calendar) due(noted, now time.Time) (run, next *time.Time) {
	latest := noted
	t, ok := c.next(latest)
	for ok && !c.planAt(t).After(now) {
		latest = t
		t, ok = c.next(latest)
	}
	if ok {
		next = &t
	}
	missed := now.Sub(instant(latest, c.zone)) > grace
	if missed && c.skip || c.over(latest, now) {
		return nil, next
	}
	return &latest, next
}
