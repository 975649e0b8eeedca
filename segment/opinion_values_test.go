package segment

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/customer"
)

// The semantics of the third opinion, on values typed at run time.

func get(row, of any) any {
	name, ok := of.(string)
	if !ok {
		return textOpinion(row, of.(int))
	}
	m, ok := row.(map[string]any)
	if !ok && (name == "services" || name == "vehicles" || name == "orders") {
		return []any{}
	}
	return m[name]
}

func operate(clock Clock, op string, a, b any) (any, error) {
	a, b = number_(a), number_(b)
	switch op {
	case "==":
		return equals(clock, a, b), nil
	case "!=":
		return !equals(clock, a, b), nil
	case "??":
		if a == nil {
			return b, nil
		}
		return a, nil
	case "in":
		return isIn(clock, a, b), nil
	}
	if a == nil || b == nil {
		switch op {
		case "+", "-", "*", "/", "%":
			return nil, nil
		}
		return false, nil
	}
	switch op {
	case "<", "<=", ">", ">=":
		return holds(op, compareOpinions(clock, a, b)), nil
	case "contains":
		return strings.Contains(a.(string), b.(string)), nil
	case "startsWith":
		return strings.HasPrefix(a.(string), b.(string)), nil
	case "endsWith":
		return strings.HasSuffix(a.(string), b.(string)), nil
	case "matches":
		return regexp.MatchString(b.(string), a.(string))
	}
	return reckon(clock, op, a, b)
}

func holds(op string, c int) bool {
	return op == "<" && c < 0 || op == "<=" && c <= 0 || op == ">" && c > 0 || op == ">=" && c >= 0
}

// number_ makes a literal of expr exact.
func number_(v any) any {
	switch v := v.(type) {
	case int:
		return exact{rat: new(big.Rat).SetInt64(int64(v))}
	case float64:
		r, _ := new(big.Rat).SetString(strconv.FormatFloat(v, 'g', -1, 64))
		return exact{rat: r}
	}
	return v
}

func equals(clock Clock, a, b any) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	if x, ok := a.(bool); ok {
		return x == b.(bool)
	}
	return compareOpinions(clock, a, b) == 0
}

func isIn(clock Clock, a, list any) bool {
	switch list := list.(type) {
	case []string:
		return slices.Contains(list, fmt.Sprint(a)) && a != nil
	case []int:
		if a == nil {
			return false
		}
		n, ok := a.(exact) // a range
		return ok && n.rat != nil && n.rat.IsInt() && n.rat.Num().IsInt64() && slices.Contains(list, int(n.rat.Num().Int64()))
	case []any:
		return slices.ContainsFunc(list, func(item any) bool {
			if a == nil || item == nil || item == (writtenNil{}) {
				return a == nil && item == writtenNil{}
			}
			return equals(clock, a, number_(item))
		})
	}
	return false
}

func compareOpinions(clock Clock, a, b any) int {
	switch x := a.(type) {
	case string:
		return strings.Compare(x, b.(string))
	case moment:
		return compareMoments(clock, x, b.(moment))
	}
	x, exactA := a.(exact)
	y, exactB := b.(exact)
	if exactA && exactB && x.rat != nil && y.rat != nil {
		return x.rat.Cmp(y.rat)
	}
	return rank(a, exactA && !exactB, b, exactB && !exactA)
}

// rank compares by PostgreSQL's order of floats, NaN on top.
func rank(a any, convertA bool, b any, convertB bool) int {
	x, y := asFloat(a, convertA), asFloat(b, convertB)
	switch {
	case math.IsNaN(x) && math.IsNaN(y) || x == y:
		return 0
	case math.IsNaN(x) || x > y:
		return 1
	}
	return -1
}

func asFloat(v any, _ bool) float64 {
	switch v := v.(type) {
	case double_:
		return float64(v)
	case exact:
		if v.rat == nil {
			return v.special
		}
		f, _ := v.rat.Float64()
		switch size := math.Abs(f); {
		case size < 1e-300:
			return 0
		case size > 1e300:
			return math.Copysign(math.Inf(1), f)
		}
		return f
	}
	return 0
}

func compareMoments(clock Clock, a, b moment) int {
	kind := min(a.kind, b.kind) // Date < Timestamp < Timestamptz
	return a.as(kind, clock.Zone).Compare(b.as(kind, clock.Zone))
}

func (m moment) as(kind customer.Kind, zone *time.Location) time.Time {
	t := m.t
	if t.Equal(Infinity) || t.Equal(NegInfinity) {
		return t
	}
	if m.kind == customer.Timestamptz && kind != customer.Timestamptz {
		l := t.In(zone)
		t = time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), l.Nanosecond(), time.UTC)
	}
	if kind == customer.Date {
		t = t.Add(-time.Duration(t.Hour())*time.Hour - time.Duration(t.Minute())*time.Minute -
			time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond()))
	}
	return t
}

func reckon(clock Clock, op string, a, b any) (any, error) {
	switch x := a.(type) {
	case string:
		return x + b.(string), nil
	case period:
		return x.plus(b.(period), map[string]int{"+": 1, "-": -1}[op]), nil
	case moment:
		p := b.(period)
		if op == "-" {
			p = p.negated()
		}
		if year := x.t.Year(); p != (period{}) && !isInfinite(x.t) && (year < -3000 || year > 200_000) {
			return nil, nil
		}
		if x.kind == customer.Timestamptz {
			return moment{x.kind, addInstant(x.t, p, clock.Zone)}, nil
		}
		return moment{x.kind, addCivil(x.t, p)}, nil
	}
	switch op {
	case "/":
		x, y := limited(a), limited(b)
		if math.IsNaN(x) || math.IsNaN(y) || y == 0 {
			return nil, nil
		}
		return double_(x / y), nil
	case "%":
		x, y := a.(exact).rat.Num(), b.(exact).rat.Num()
		if y.Sign() == 0 {
			return nil, nil
		}
		return exact{rat: new(big.Rat).SetInt(new(big.Int).Rem(x, y))}, nil
	}
	return exactly(op, digits15(a), digits15(b)), nil
}

// limited is NaN for what division leaves out.
func limited(v any) float64 {
	if e, ok := v.(exact); ok && e.rat != nil {
		size := new(big.Rat).Abs(e.rat)
		limit, _ := new(big.Rat).SetString("1e140")
		if size.Sign() != 0 && (size.Cmp(limit) > 0 || new(big.Rat).Inv(size).Cmp(limit) > 0) {
			return math.NaN()
		}
	}
	f := asFloat(v, false)
	if f != 0 && (math.Abs(f) > 1e140 || math.Abs(f) < 1e-140) {
		return math.NaN()
	}
	return f
}

func digits15(v any) exact {
	d, ok := v.(double_)
	if !ok {
		return v.(exact)
	}
	r, ok := new(big.Rat).SetString(fmt.Sprintf("%.15g", float64(d)))
	if !ok {
		return exact{special: float64(d)}
	}
	return exact{rat: r}
}

func exactly(op string, a, b exact) any {
	if a.rat == nil || b.rat == nil {
		return exact{special: calculateSpecial(op, signOf(a), signOf(b)).(float64)}
	}
	switch op {
	case "+":
		return exact{rat: new(big.Rat).Add(a.rat, b.rat)}
	case "-":
		return exact{rat: new(big.Rat).Sub(a.rat, b.rat)}
	}
	return exact{rat: new(big.Rat).Mul(a.rat, b.rat)}
}

func signOf(e exact) float64 {
	if e.rat == nil {
		return e.special
	}
	return float64(e.rat.Sign())
}

func apply(clock Clock, name string, args []any) (any, error) {
	switch name {
	case "nil":
		return writtenNil{}, nil
	case "today":
		return moment{customer.Date, clock.Today}, nil
	case "now":
		return moment{customer.Timestamptz, clock.Now.Truncate(time.Microsecond)}, nil
	case "days", "weeks", "months", "years":
		n := int(asFloat(number_(args[0]), false))
		return map[string]period{"days": {days: n}, "weeks": {days: 7 * n}, "months": {months: n}, "years": {months: 12 * n}}[name], nil
	case "hours", "minutes":
		n := int64(asFloat(number_(args[0]), false))
		return period{micros: n * map[string]int64{"hours": 3600e6, "minutes": 60e6}[name]}, nil
	case "duration":
		d, err := time.ParseDuration(args[0].(string))
		return period{micros: d.Microseconds()}, err
	case "ago":
		return reckon(clock, "-", moment{customer.Timestamptz, clock.Now.Truncate(time.Microsecond)}, args[0])
	case "sum", "min", "max", "mean":
		if len(args) > 1 {
			return aggregateOpinions(clock, name, args)
		}
		return aggregateOpinions(clock, name, args[0].([]any))
	case "count":
		if list, ok := args[0].([]any); ok {
			return len(list), nil
		}
	}
	for _, of := range []func(Clock, string, []any) (v any, known bool, err error){
		opinionOnValues, opinionOnRows, opinionOnCalendar, opinionOnPeople, opinionOnBase,
	} {
		if v, known, err := of(clock, name, args); known {
			return v, err
		}
	}
	if args[0] == nil {
		return nil, nil
	}
	switch name {
	case "hasPrefix", "hasSuffix":
		return operate(clock, map[string]string{"hasPrefix": "startsWith", "hasSuffix": "endsWith"}[name], args[0], args[1])
	case "date":
		if s, ok := args[0].(string); ok {
			t, err := time.Parse(time.DateOnly, s)
			return moment{customer.Date, t}, err
		}
		return moment{customer.Date, args[0].(moment).as(customer.Date, clock.Zone)}, nil
	case "len":
		if list, ok := args[0].([]string); ok {
			return len(list), nil
		}
		return len([]rune(args[0].(string))), nil
	case "trim":
		return strings.TrimSpace(args[0].(string)), nil
	case "lower":
		return strings.ToLower(args[0].(string)), nil
	case "upper":
		return strings.ToUpper(args[0].(string)), nil
	}
	return nil, fmt.Errorf("no opinion on %s", name)
}

func aggregateOpinions(clock Clock, name string, list []any) (any, error) {
	list = slices.DeleteFunc(slices.Clone(list), func(v any) bool { return v == nil })
	var total any = exact{rat: new(big.Rat)}
	var best any
	for _, v := range list {
		v = number_(v)
		if name == "sum" || name == "mean" {
			total, _ = reckon(clock, "+", total, v)
			continue
		}
		if best == nil || (name == "min") == (compareOpinions(clock, v, best) < 0) {
			best = v
		}
	}
	switch name {
	case "sum":
		return total, nil
	case "mean":
		return reckon(clock, "/", total, number_(len(list)))
	}
	return best, nil
}
