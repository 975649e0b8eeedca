package segment

import "github.com/sapa-crm/sapa/customer"

// Type is the type of an expression. Go values of each type, as rows bring them and the evaluator makes them (nil is
// missing everywhere):
//
//	Bool bool · Int int64 or, beyond its range, decimal.Decimal · Numeric int64, decimal.Decimal or the float64s NaN
//	and ±Inf · Float float64 · Text string · Texts []string · Date time.Time, midnight UTC standing for a civil date ·
//	Timestamp time.Time in UTC standing for civil time · Instant time.Time · Period and Duration period
type Type uint8

// The types.
const (
	typeNothing   Type = iota // the type of nil
	typeOther                 // a column that can be tested for nil and nothing else
	typeBool                  //
	typeInt                   // whole numbers, without limit
	typeNumeric               // exact numbers, without limit
	typeFloat                 // double precision, and what / gives
	typeText                  // also uuid and enum columns
	typeTexts                 // a list of texts
	typeDate                  // a civil date
	typeTimestamp             // civil time without a zone
	typeInstant               // a point in time
	typePeriod                // calendar days and months
	typeDuration              // hours, minutes and seconds
	typeRow                   // one row of an entity
	typeRows                  // rows behind a relation
	typeList                  // [1, 2, 3] or what map gives
)

// String is the type in words, for messages.
func (t Type) String() string {
	return [...]string{
		"nil", "a value that rules can only compare with nil", "a boolean", "a whole number", "a number",
		"a number", "text", "a list of texts", "a date", "a date and time", "an instant", "a period", "a duration", "a row",
		"a list of rows", "a list",
	}[t]
}

func columnType(k customer.Kind) Type {
	switch k {
	case customer.Bool:
		return typeBool
	case customer.Int:
		return typeInt
	case customer.Numeric:
		return typeNumeric
	case customer.Float:
		return typeFloat
	case customer.Text, customer.UUID, customer.Enum:
		return typeText
	case customer.TextArray:
		return typeTexts
	case customer.Date:
		return typeDate
	case customer.Timestamp:
		return typeTimestamp
	case customer.Timestamptz:
		return typeInstant
	}
	return typeOther
}

func (t Type) isNumber() bool { return t == typeInt || t == typeNumeric || t == typeFloat }

func (t Type) isTime() bool { return t == typeDate || t == typeTimestamp || t == typeInstant }

func (t Type) isScalar() bool {
	return t != typeNothing && t != typeOther && t < typePeriod && t != typeTexts
}

// ordered types can be compared by < and sorted; min and max know them.
func (t Type) isOrdered() bool { return t.isNumber() || t.isTime() || t == typeText }

// join is the type in which values of both types are compared: the less precise of two numbers or two times.
func join(a, b Type) (Type, bool) {
	switch {
	case a == b:
		return a, true
	case a.isNumber() && b.isNumber():
		return max(a, b), true
	case a.isTime() && b.isTime():
		return min(a, b), true
	}
	return typeNothing, false
}
