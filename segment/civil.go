package segment

import (
	"errors"
	"time"
)

// Infinity and NegInfinity stand for PostgreSQL's dates and times of that name, which rules often meet as "valid for
// ever". They compare as expected and do not move.
var (
	Infinity    = time.Date(10_000_000, 1, 1, 0, 0, 0, 0, time.UTC)
	NegInfinity = time.Date(-10_000_000, 1, 1, 0, 0, 0, 0, time.UTC)
)

func isInfinite(t time.Time) bool { return t.Equal(Infinity) || t.Equal(NegInfinity) }

// period is a value of type Period (months and days) or Duration (microseconds).
type period struct {
	months, days int
	micros       int64
}

func (p period) plus(q period, sign int) period {
	return period{p.months + sign*q.months, p.days + sign*q.days, p.micros + int64(sign)*q.micros}
}

func (p period) negated() period { return period{}.plus(p, -1) }

// The longest period, about a thousand years, keeps every date of this age within PostgreSQL's range.
const (
	maxDays   = 366_000
	maxMonths = 12_000
)

func (p period) tooLong() bool {
	return p.days > maxDays || p.days < -maxDays || p.months > maxMonths || p.months < -maxMonths ||
		p.micros > maxDays*24*3600*1e6 || p.micros < -maxDays*24*3600*1e6
}

// A time before earliest or after latest does not move: it is missing then. The longest period from either stays within
// the range of PostgreSQL's timestamps, which ends in 4713 BC and in 294276.
var (
	earliest = time.Date(-3000, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(200_000, 1, 1, 0, 0, 0, 0, time.UTC)
)

// earliestText and latestText are the same in SQL, of any DateStyle.
const (
	earliestText = "3001-01-01 00:00:00+00 BC"
	latestText   = "200000-01-01 00:00:00+00"
)

func isMovable(t time.Time) bool { return isInfinite(t) || !t.Before(earliest) && !t.After(latest) }

func parseDate(s string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return time.Time{}, errors.New("a date is written as year-month-day")
	}
	return t, nil
}

// addCivil moves a civil time: first by months, to the last day of the month where the day does not exist, then by
// days, then by the rest.
func addCivil(t time.Time, p period) time.Time {
	if isInfinite(t) {
		return t
	}
	if p.months != 0 {
		t = addMonths(t, p.months)
	}
	return addMicros(t.AddDate(0, 0, p.days), p.micros)
}

func addMonths(t time.Time, months int) time.Time {
	year, month, day := t.Date()
	first := time.Date(year, month+time.Month(months), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(day, last)-1)
}

// addInstant moves an instant: by months and days on the zone's calendar, by the rest on the clock.
func addInstant(t time.Time, p period, zone *time.Location) time.Time {
	if isInfinite(t) {
		return t
	}
	if p.months != 0 || p.days != 0 {
		t = toInstant(addCivil(toCivil(t, zone), period{months: p.months, days: p.days}), zone)
	}
	return addMicros(t, p.micros)
}

// addMicros goes by quarters, since a time.Duration holds 292 years.
func addMicros(t time.Time, micros int64) time.Time {
	for range 4 {
		t = t.Add(time.Duration(micros/4) * time.Microsecond)
	}
	return t.Add(time.Duration(micros%4) * time.Microsecond)
}

// toCivil is the civil time of an instant in a zone.
func toCivil(t time.Time, zone *time.Location) time.Time {
	if isInfinite(t) {
		return t
	}
	_, offset := t.In(zone).Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// toInstant is PostgreSQL's "civil at time zone zone": a civil time that the clocks skip is taken with the offset
// before the change, one that they show twice with the offset after it.
func toInstant(civil time.Time, zone *time.Location) time.Time {
	if isInfinite(civil) {
		return civil
	}
	dayBefore := civil.Add(-24 * time.Hour).In(zone)
	_, before := dayBefore.Zone()
	early := civil.Add(-time.Duration(before) * time.Second)
	_, change := dayBefore.ZoneBounds()
	if change.IsZero() {
		return early
	}
	_, after := change.Zone()
	late := civil.Add(-time.Duration(after) * time.Second)
	switch {
	case early.Before(change) && late.Before(change):
		return early
	case early.After(change) && !late.Before(change):
		return late
	case early.After(late):
		return early
	}
	return late
}

// toDate is the civil date of a civil time.
func toDate(civil time.Time) time.Time {
	if isInfinite(civil) {
		return civil
	}
	return time.Date(civil.Year(), civil.Month(), civil.Day(), 0, 0, 0, 0, time.UTC)
}

// startOfDay is the first instant of a civil date in a zone.
func startOfDay(date time.Time, zone *time.Location) time.Time {
	start := toInstant(date, zone)
	if isInfinite(date) || !toDate(toCivil(start, zone)).Equal(date) {
		return start
	}
	// Where midnight is shown twice, toInstant gives the second; the day begins with the first.
	if first := start.Add(-time.Hour); toDate(toCivil(first, zone)).Equal(date) {
		return first
	}
	return start
}
