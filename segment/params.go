package segment

import (
	"math"
	"math/big"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/shopspring/decimal"
)

// Constants are bound as values that carry their PostgreSQL type, because pgx would otherwise send a time.Time as an
// instant, and the session's zone would turn it into a date.

func (e *emitter) constant(v any, t Type) string {
	if v == nil {
		return "null::" + sqlType(t)
	}
	if b, ok := v.(bool); ok {
		if b {
			return "true"
		}
		return "false"
	}
	if d, ok := v.(decimal.Decimal); ok {
		if d.NumDigits() > maxDigits || d.Exponent() > maxDigits || d.Exponent() < -maxDigits {
			return e.fail("a number with more than %d digits", maxDigits)
		}
		if t == typeInt { // beyond bigint
			t = typeNumeric
		}
	}
	if p, ok := v.(period); ok {
		return e.interval(p)
	}
	return e.bind(parameter(v, t), sqlType(t))
}

// maxDigits is far from what PostgreSQL's numeric can hold.
const maxDigits = 1000

func sqlType(t Type) string {
	switch t {
	case typeBool:
		return "boolean"
	case typeInt:
		return "bigint"
	case typeNumeric:
		return "numeric"
	case typeFloat:
		return "float8"
	case typeDate:
		return "date"
	case typeTimestamp:
		return "timestamp"
	case typeInstant:
		return "timestamptz"
	case typeTexts:
		return "text[]"
	}
	return "text"
}

func parameter(v any, t Type) any {
	switch t {
	case typeNumeric:
		return numericValue(v)
	case typeDate:
		d, modifier := finite(v.(time.Time))
		return pgtype.Date{Time: d, InfinityModifier: modifier, Valid: true}
	case typeTimestamp:
		d, modifier := finite(v.(time.Time))
		return pgtype.Timestamp{Time: d, InfinityModifier: modifier, Valid: true}
	case typeInstant:
		d, modifier := finite(v.(time.Time))
		return pgtype.Timestamptz{Time: d, InfinityModifier: modifier, Valid: true}
	}
	return v
}

func finite(t time.Time) (time.Time, pgtype.InfinityModifier) {
	switch {
	case t.Equal(Infinity):
		return time.Time{}, pgtype.Infinity
	case t.Equal(NegInfinity):
		return time.Time{}, pgtype.NegativeInfinity
	}
	return t.UTC(), pgtype.Finite
}

func numericValue(v any) pgtype.Numeric {
	if f, ok := v.(float64); ok {
		switch {
		case math.IsNaN(f):
			return pgtype.Numeric{NaN: true, Valid: true}
		case f > 0:
			return pgtype.Numeric{InfinityModifier: pgtype.Infinity, Valid: true}
		}
		return pgtype.Numeric{InfinityModifier: pgtype.NegativeInfinity, Valid: true}
	}
	d := asDecimal(v)
	return pgtype.Numeric{Int: new(big.Int).Set(d.Coefficient()), Exp: d.Exponent(), Valid: true}
}

func (e *emitter) interval(p period) string {
	return e.bind(pgtype.Interval{Months: int32(p.months), Days: int32(p.days), Microseconds: p.micros, Valid: true}, "interval")
}

// arrayParam is the constants of a list as one parameter.
func arrayParam(constants []any, t Type) (values any, cast string) {
	switch t {
	case typeText:
		return typed[string](constants, t), "text[]"
	case typeBool:
		return typed[bool](constants, t), "boolean[]"
	case typeInt:
		if ints := typed[int64](constants, t); len(ints) == len(constants) {
			return ints, "bigint[]"
		}
		return typed[pgtype.Numeric](constants, typeNumeric), "numeric[]"
	case typeNumeric:
		return typed[pgtype.Numeric](constants, t), "numeric[]"
	case typeFloat:
		return typed[float64](constants, t), "float8[]"
	case typeDate:
		return typed[pgtype.Date](constants, t), "date[]"
	case typeTimestamp:
		return typed[pgtype.Timestamp](constants, t), "timestamp[]"
	}
	return typed[pgtype.Timestamptz](constants, t), "timestamptz[]"
}

// typed are the constants whose parameter is a T.
func typed[T any](constants []any, t Type) []T {
	out := make([]T, 0, len(constants))
	for _, v := range constants {
		if x, ok := parameter(v, t).(T); ok {
			out = append(out, x)
		}
	}
	return out
}
