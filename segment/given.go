package segment

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/shopspring/decimal"
)

// Given is what rules need of the whole customer base, found out once by Prepare and then the same for SQL and Go: of
// each expression that percentile or rfm goes over, the 99 thresholds that part the base into hundredths. It is
// immutable, and its JSON is what a run keeps. The zero value and nil have nothing.
type Given struct {
	all     map[string]thresholds // by the expression's key
	pretend bool
}

// hundredths is how many thresholds there are, and percentile's greatest value.
const hundredths = 99

// thresholds part the values of an expression: the k-th, from 1, is the smallest value that at least k percent of the
// customers who have a value do not exceed.
type thresholds struct {
	of    string // the expression as its author wrote it
	t     Type
	below []any // values of type t, or none when nobody has a value
}

// Pretended has thresholds for every expression, which stand for those of any customer base: for asking whether and how
// a rule translates, as validation does, never whom it means.
func Pretended() *Given { return &Given{pretend: true} }

// find is false for an expression that was not prepared.
func (g *Given) find(key string, t Type) (thresholds, bool) {
	if g == nil {
		return thresholds{}, false
	}
	if g.pretend {
		return pretended(t), true
	}
	found, ok := g.all[key]
	return found, ok && found.t == t
}

func pretended(t Type) thresholds {
	out := thresholds{t: t}
	for k := range hundredths {
		out.below = append(out.below, pretendedValue(t, k+1))
	}
	return out
}

func pretendedValue(t Type, k int) any {
	switch {
	case t == typeFloat:
		return float64(k)
	case t.isTime():
		return time.Date(2000, 1, 1+k, 0, 0, 0, 0, time.UTC)
	}
	return int64(k)
}

// with is g and more.
func (g *Given) with(more map[string]thresholds) *Given {
	out := &Given{all: map[string]thresholds{}}
	if g != nil {
		maps.Copy(out.all, g.all)
		out.pretend = g.pretend
	}
	maps.Copy(out.all, more)
	return out
}

// Empty says that nothing was prepared, because no rule needed it.
func (g *Given) Empty() bool { return g == nil || len(g.all) == 0 && !g.pretend }

// writtenThresholds is the JSON of thresholds: {"of": "customer.income", "type": "bigint", "below": ["1200", …]}.
type writtenThresholds struct {
	Of    string   `json:"of"`
	Type  string   `json:"type"`
	Below []string `json:"below"`
}

// MarshalJSON writes an object by key, so that two of them are one by PostgreSQL's jsonb ||.
func (g *Given) MarshalJSON() ([]byte, error) {
	if g != nil && g.pretend {
		return nil, errors.New("pretended thresholds can't be kept")
	}
	out := map[string]writtenThresholds{}
	if g != nil {
		for key, t := range g.all {
			out[key] = t.written()
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (g *Given) UnmarshalJSON(text []byte) error {
	var in map[string]writtenThresholds
	if err := json.Unmarshal(text, &in); err != nil {
		return fmt.Errorf("read prepared thresholds: %w", err)
	}
	all := map[string]thresholds{}
	for key, w := range in {
		t, err := w.read()
		if err != nil {
			return fmt.Errorf("read the prepared thresholds of %q: %w", w.Of, err)
		}
		all[key] = t
	}
	*g = Given{all: all}
	return nil
}

func (t thresholds) written() writtenThresholds {
	w := writtenThresholds{Of: t.of, Type: sqlType(t.t), Below: []string{}}
	for _, v := range t.below {
		w.Below = append(w.Below, thresholdText(v))
	}
	return w
}

// placeable are the types of values that can be put in order and parted.
func placeable() []Type {
	return []Type{typeInt, typeNumeric, typeFloat, typeDate, typeTimestamp, typeInstant}
}

func (w writtenThresholds) read() (thresholds, error) {
	out := thresholds{of: w.Of}
	for _, t := range placeable() {
		if sqlType(t) == w.Type {
			out.t = t
		}
	}
	if out.t == typeNothing || len(w.Below) != 0 && len(w.Below) != hundredths {
		return out, fmt.Errorf("%d thresholds of type %q", len(w.Below), w.Type)
	}
	for _, text := range w.Below {
		v, err := readThreshold(text, out.t)
		if err != nil {
			return out, err
		}
		out.below = append(out.below, v)
	}
	return out, nil
}

// thresholdText is exact: a float has as many digits as tell it apart, a time is seconds and microseconds since 1970.
func thresholdText(v any) string {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v+0, 'g', -1, 64) // -0 + 0 is 0
	case time.Time:
		switch {
		case v.Equal(Infinity):
			return "+Inf"
		case v.Equal(NegInfinity):
			return "-Inf"
		}
		return fmt.Sprintf("%d.%06d", v.Unix(), v.Nanosecond()/1000)
	}
	return fmt.Sprint(v)
}

func readThreshold(text string, t Type) (any, error) {
	if t.isTime() {
		return readTime(text)
	}
	if f, err := strconv.ParseFloat(text, 64); t == typeFloat || err == nil && isSpecial(f) && strings.Trim(text, "+-0123456789.e") != "" {
		return f, err
	}
	d, err := decimal.NewFromString(text)
	if err != nil {
		return nil, err
	}
	return wholeOrDecimal(d), nil
}

func readTime(text string) (time.Time, error) {
	switch text {
	case "+Inf":
		return Infinity, nil
	case "-Inf":
		return NegInfinity, nil
	}
	seconds, micros, _ := strings.Cut(text, ".")
	s, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	us, err := strconv.ParseInt(micros, 10, 64)
	return time.Unix(s, us*1000).UTC(), err
}

// wholeOrDecimal is an int64 where it is one.
func wholeOrDecimal(d decimal.Decimal) any {
	if d.IsInteger() && d.LessThanOrEqual(decimal.NewFromInt(math.MaxInt64)) && d.GreaterThanOrEqual(decimal.NewFromInt(math.MinInt64)) {
		return d.IntPart()
	}
	return d
}

// wholeNumeric is a numeric of the database as the evaluator has it.
func wholeNumeric(n pgtype.Numeric) any {
	v := goNumeric(n)
	if d, ok := v.(decimal.Decimal); ok {
		return wholeOrDecimal(d)
	}
	return v
}
