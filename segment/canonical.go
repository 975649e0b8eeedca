package segment

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/shopspring/decimal"
)

// The canonical text of a value is part of what tells one occasion from another, for ever: golden tests freeze it, and
// no setting of the database or the session changes it.
//
//	Text as it is · Bool true, false · Int 42 · Numeric 1.5, no trailing zeros · Float its 15 significant digits
//	Date 2026-01-31 · Timestamp 2026-01-31T08:00:00.5 · Instant 2026-01-31T01:00:00Z, in UTC · infinity, -infinity

// canonical is that text in SQL. JSON writes dates in one way, whatever DateStyle says.
func (e *emitter) canonical(n node) string {
	switch n.typ() {
	case typeBool:
		return "(" + e.value(n) + ")::text"
	case typeNumeric, typeFloat:
		return "trim_scale(" + e.exact(n) + ")::text"
	case typeDate, typeTimestamp:
		return "(to_jsonb(" + e.value(n) + ") #>> '{}')"
	case typeInstant:
		return "((to_jsonb(" + e.value(n) + " at time zone 'UTC') #>> '{}') || 'Z')"
	}
	return e.value(n) + "::text"
}

// canonical is that text in Go.
func canonical(v any, t Type) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case decimal.Decimal:
		return v.String()
	case float64:
		return canonicalFloat(v)
	case time.Time:
		return canonicalTime(v, t)
	}
	return fmt.Sprint(v)
}

func canonicalFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return toExact(f).(decimal.Decimal).String()
}

func canonicalTime(v time.Time, t Type) string {
	layout, suffix := "-01-02T15:04:05.999999", ""
	switch t {
	case typeDate:
		layout = "-01-02"
	case typeInstant:
		suffix = "Z"
	}
	switch {
	case v.Equal(Infinity):
		return "infinity" + suffix
	case v.Equal(NegInfinity):
		return "-infinity" + suffix
	}
	v = v.UTC()
	if year := v.Year(); year <= 0 {
		return fmt.Sprintf("%04d", 1-year) + v.Format(layout) + " BC" + suffix
	}
	return fmt.Sprintf("%04d", v.Year()) + v.Format(layout) + suffix
}
