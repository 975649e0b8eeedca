package templates

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// The engine knows nil, bool, string, markup, int64, float64, decimal.Decimal, time.Time, []any and map[string]any, and
// makes every other type that Render accepts into one of these when it is read. No method of a value is ever called
// by name, so a template can reach data only.
type (
	// markup is HTML that was escaped already: captured text, the result of newline_to_br.
	markup string
	// unsupported is a value that Render does not accept.
	unsupported struct{ v any }
	// empty and blank are the constants of these names.
	empty struct{}
	blank struct{}
)

// maxDigits bounds the digits of numbers that templates make, so that repeated multiplication stays cheap.
const maxDigits = 100

// plain makes one of the engine's own types of a value.
func plain(v any) any {
	switch v := v.(type) {
	case nil, string, int64, bool, map[string]any, []any, time.Time, decimal.Decimal, markup:
		return v
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
		return v
	case float32:
		return plain(float64(v))
	case []string:
		return list(v)
	case []map[string]any:
		return list(v)
	case json.Number:
		return plainNumber(v.String())
	case []byte:
		return string(v)
	case [16]byte:
		return fmt.Sprintf("%x-%x-%x-%x-%x", v[0:4], v[4:6], v[6:8], v[8:10], v[10:16])
	}
	return plainInt(v)
}

func plainInt(v any) any {
	switch v := v.(type) {
	case int:
		return int64(v)
	case int8:
		return int64(v)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case uint:
		return fromUint(uint64(v))
	case uint8:
		return int64(v)
	case uint16:
		return int64(v)
	case uint32:
		return int64(v)
	case uint64:
		return fromUint(v)
	}
	return unsupported{v}
}

func fromUint(v uint64) any {
	if v <= math.MaxInt64 {
		return int64(v)
	}
	return decimal.NewFromBigInt(new(big.Int).SetUint64(v), 0)
}

func plainNumber(s string) any {
	if d, ok := textNumber(s); ok {
		return d
	}
	return nil
}

func list[T any](in []T) []any {
	out := make([]any, len(in))
	for i, v := range in {
		out[i] = v
	}
	return out
}

// truthy is Liquid's notion: everything but nil and false, even 0 and "".
func truthy(v any) bool { return v != nil && v != false }

// text is a value as a string, when it is one.
func text(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case markup:
		return string(v), true
	}
	return "", false
}

// toNumber reads a number: a number, or a text that holds nothing else.
func toNumber(v any) (decimal.Decimal, bool) {
	switch v := v.(type) {
	case int64:
		return decimal.NewFromInt(v), true
	case float64:
		return decimal.NewFromFloat(v), true
	case decimal.Decimal:
		return v, true
	}
	if s, ok := text(v); ok {
		return textNumber(s)
	}
	return decimal.Decimal{}, false
}

// textNumber reads digits with at most one point; exponents could stand for gigabytes of digits.
func textNumber(s string) (decimal.Decimal, bool) {
	s = strings.TrimSpace(s)
	if len(s) > maxDigits || strings.Trim(s, "0123456789.-+") != "" || strings.ContainsAny(s, "eE") {
		return decimal.Decimal{}, false
	}
	d, err := decimal.NewFromString(s)
	return d, err == nil
}

func isNumber(v any) bool {
	switch v.(type) {
	case int64, float64, decimal.Decimal:
		return true
	}
	return false
}

// equal compares two values: numbers by value, dates by day, lists by their elements. Values of different kinds differ.
func equal(a, b any) bool {
	switch a := a.(type) {
	case empty, blank:
		return isVoid(b, a)
	case nil:
		switch b.(type) {
		case empty, blank:
			return isVoid(nil, b)
		}
		return b == nil
	case bool:
		if b == (blank{}) {
			return !a
		}
		return b == a
	case []any:
		return equalLists(a, b)
	}
	switch b.(type) {
	case empty, blank:
		return isVoid(a, b)
	}
	c, ok := compare(a, b)
	return ok && c == 0
}

func equalLists(a []any, b any) bool {
	switch b := b.(type) {
	case empty, blank:
		return len(a) == 0
	case []any:
		if len(a) != len(b) {
			return false
		}
		for i := range a {
			if !equal(plain(a[i]), plain(b[i])) {
				return false
			}
		}
		return true
	}
	return false
}

// isVoid says whether v is empty or blank.
func isVoid(v, kind any) bool {
	if kind == (blank{}) {
		if s, ok := text(v); ok {
			return strings.TrimSpace(s) == ""
		}
		if !truthy(v) {
			return true
		}
	}
	switch v := v.(type) {
	case string:
		return v == ""
	case markup:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// compare orders two values of the same kind; false when they can't be compared or one is missing.
func compare(a, b any) (int, bool) {
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok {
			return cmpInt(x, y), true
		}
	}
	if isNumber(a) && isNumber(b) {
		x, _ := toNumber(a)
		y, _ := toNumber(b)
		return x.Cmp(y), true
	}
	if x, ok := a.(time.Time); ok {
		y, ok := b.(time.Time)
		return compareTimes(x, y), ok
	}
	x, ok1 := text(a)
	y, ok2 := text(b)
	return strings.Compare(x, y), ok1 && ok2
}

func cmpInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// compareTimes compares two dates as dates, whatever zone each was read in, and anything else as instants.
func compareTimes(a, b time.Time) int {
	if isDate(a) && isDate(b) {
		ay, am, ad := a.Date()
		by, bm, bd := b.Date()
		return cmpInt(int64(ay*10000+int(am)*100+ad), int64(by*10000+int(bm)*100+bd))
	}
	return a.Compare(b)
}

// isDate says whether a time is a date: midnight in its own zone.
func isDate(t time.Time) bool {
	h, m, s := t.Clock()
	return h == 0 && m == 0 && s == 0 && t.Nanosecond() == 0
}

// contains is Liquid's operator: a text within a text, an element of a list, a name in a map.
func contains(a, b any) bool {
	if s, ok := text(a); ok {
		part, ok := text(b)
		if !ok && isNumber(b) {
			part, ok = printed(b), true
		}
		return ok && strings.Contains(s, part)
	}
	switch a := a.(type) {
	case []any:
		for _, v := range a {
			if equal(plain(v), b) {
				return true
			}
		}
	case map[string]any:
		key, ok := text(b)
		_, found := a[key]
		return ok && found
	}
	return false
}
