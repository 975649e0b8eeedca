// Package wallclock turns what clocks on walls show into moments, as PostgreSQL does.
package wallclock

import "time"

// Instant is when a civil time comes in a zone. It chooses as PostgreSQL's `at time zone` does: where clocks are put
// forward over the time, it comes by the old offset, an hour later on the new clock; where they are put back, so that it
// comes twice, it is the second.
func Instant(civil time.Time, zone *time.Location) time.Time {
	utc := time.Date(civil.Year(), civil.Month(), civil.Day(), civil.Hour(), civil.Minute(), civil.Second(), civil.Nanosecond(), time.UTC)
	dayBefore := utc.AddDate(0, 0, -1).In(zone) // no clock is more than a day away from UTC
	_, change := dayBefore.ZoneBounds()
	if change.IsZero() {
		return less(utc, dayBefore)
	}
	if after := less(utc, change.In(zone)); !after.Before(change) {
		return after
	}
	return less(utc, dayBefore)
}

// less takes off a civil time the offset from UTC that holds at a moment.
func less(civil, at time.Time) time.Time {
	_, offset := at.Zone()
	return civil.Add(-time.Duration(offset) * time.Second).In(at.Location())
}
