package segment

import (
	"cmp"
	"math"
	"strconv"

	"github.com/shopspring/decimal"
)

// Numbers at run time are int64, decimal.Decimal or float64. Whole and exact numbers are int64 while they fit and
// decimals beyond; the float64s NaN, +Inf and -Inf stand for PostgreSQL's numerics of that name. Values of type Float
// are always float64. Order is PostgreSQL's: NaN equals NaN and is greater than everything else.

func asDecimal(v any) decimal.Decimal {
	if i, ok := v.(int64); ok {
		return decimal.NewFromInt(i)
	}
	return v.(decimal.Decimal)
}

func isSpecial(v any) bool {
	f, ok := v.(float64)
	return ok && (math.IsNaN(f) || math.IsInf(f, 0))
}

func compareNumbers(a, b any) int {
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y)
		}
	}
	x, floatA := a.(float64)
	y, floatB := b.(float64)
	switch {
	case floatA && floatB:
		return compareFloats(x, y)
	case floatA:
		return compareFloats(x, 0)
	case floatB:
		return compareFloats(0, y)
	}
	return asDecimal(a).Cmp(asDecimal(b))
}

// compareFloats has NaN on top, where cmp.Compare has it at the bottom.
func compareFloats(x, y float64) int {
	if math.IsNaN(x) != math.IsNaN(y) {
		return -cmp.Compare(x, y)
	}
	return cmp.Compare(x, y)
}

// calculate adds, subtracts or multiplies exactly.
func calculate(op string, a, b any) any {
	if isSpecial(a) || isSpecial(b) {
		return calculateSpecial(op, specialOrSign(a), specialOrSign(b))
	}
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok {
			if v, ok := calculateInts(op, x, y); ok {
				return v
			}
		}
	}
	x, y := asDecimal(a), asDecimal(b)
	switch op {
	case "+":
		return x.Add(y)
	case "-":
		return x.Sub(y)
	}
	return x.Mul(y)
}

// calculateInts is false when the result is out of range.
func calculateInts(op string, x, y int64) (int64, bool) {
	switch op {
	case "+":
		v := x + y
		return v, (v > x) == (y > 0)
	case "-":
		v := x - y
		return v, (v < x) == (y > 0)
	}
	return multiplyInts(x, y)
}

func multiplyInts(x, y int64) (int64, bool) {
	const half = 1 << 31
	if x > -half && x < half && y > -half && y < half {
		return x * y, true
	}
	return 0, false
}

// specialOrSign reduces a finite number to -1, 0 or 1, which is all that matters beside an infinity.
func specialOrSign(v any) float64 {
	switch v := v.(type) {
	case int64:
		return float64(cmp.Compare(v, 0))
	case float64:
		return v
	}
	return float64(v.(decimal.Decimal).Sign())
}

func calculateSpecial(op string, x, y float64) any {
	switch op {
	case "+":
		return x + y
	case "-":
		return x - y
	}
	return x * y
}

// The range of numbers that division takes; others are missing in it. It keeps every quotient within double precision.
const (
	minDivisible = 1e-140
	maxDivisible = 1e140
)

var (
	minExact = decimal.New(1, -140)
	maxExact = decimal.New(1, 140)
	minFloat = decimal.New(1, -300)
	maxFloat = decimal.New(1, 300)
)

// toFloat converts a number for division; nil when it is out of range.
func toFloat(v any) any {
	var f float64
	switch v := v.(type) {
	case int64:
		return float64(v)
	case float64:
		f = v
	case decimal.Decimal:
		if size := v.Abs(); !v.IsZero() && (size.LessThan(minExact) || size.GreaterThan(maxExact)) {
			return nil
		}
		f, _ = v.Float64()
		return f
	}
	if size := math.Abs(f); f != 0 && !(size >= minDivisible && size <= maxDivisible) {
		return nil
	}
	return f
}

// nearestFloat converts an exact number for a comparison with a Float.
func nearestFloat(v any) any {
	d, ok := v.(decimal.Decimal)
	if !ok {
		if i, ok := v.(int64); ok {
			return float64(i)
		}
		return v
	}
	switch size := d.Abs(); {
	case size.GreaterThan(maxFloat):
		return math.Inf(d.Sign())
	case size.LessThan(minFloat):
		return 0.0
	}
	f, _ := d.Float64()
	return f
}

func isZero(v any) bool {
	switch v := v.(type) {
	case int64:
		return v == 0
	case float64:
		return v == 0
	}
	return v.(decimal.Decimal).IsZero()
}

// divide gives a Float; x/0 is missing.
func divide(a, b any) any {
	x, y := toFloat(a), toFloat(b)
	if x == nil || y == nil || y.(float64) == 0 {
		return nil
	}
	return x.(float64) / y.(float64)
}

// modulo has the sign of a; x%0 is missing.
func modulo(a, b any) any {
	if isZero(b) {
		return nil
	}
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok {
			if y == -1 {
				return int64(0)
			}
			return x % y
		}
	}
	return asDecimal(a).Mod(asDecimal(b))
}

// toExact takes a Float to its 15 significant digits, as PostgreSQL's cast to numeric does. Other numbers are exact.
func toExact(v any) any {
	f, ok := v.(float64)
	if !ok || isSpecial(v) {
		return v
	}
	d, err := decimal.NewFromString(strconv.FormatFloat(f, 'g', 15, 64))
	if err != nil {
		return nil
	}
	return d
}
