package privacy

import (
	"fmt"
	"time"
)

// Month is a calendar month as in ids of messages: 0 is January 2026.
type Month int

// monthShift is where the month stands in a message's id, see migrations/0001_ledger.sql.
const monthShift = 44

// MonthOf is the month of a moment, in UTC.
func MonthOf(t time.Time) Month {
	t = t.UTC()
	return Month((t.Year()-2026)*12 + int(t.Month()) - 1)
}

// ParseMonth reads a month such as 2026-05.
func ParseMonth(text string) (Month, error) {
	t, err := time.Parse("2006-01", text)
	if err != nil {
		return 0, fmt.Errorf("%q is no month; write it as 2026-05", text)
	}
	return MonthOf(t), nil
}

// String is the month as 2026-05.
func (m Month) String() string { return m.start().Format("2006-01") }

// MarshalText implements encoding.TextMarshaler.
func (m Month) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

func (m Month) start() time.Time { return time.Date(2026, 1+time.Month(m), 1, 0, 0, 0, 0, time.UTC) }

// partition is the name of the month's part of a table.
func (m Month) partition(table string) string { return table + "_" + m.start().Format("2006_01") }

// first and last bound the ids of the month's messages.
func (m Month) first() int64 { return int64(m) << monthShift }
func (m Month) last() int64  { return int64(m+1)<<monthShift - 1 }
