package templates

import (
	"time"

	"github.com/shopspring/decimal"
)

func (e *literal) eval(*frame) (any, error) { return e.v, nil }

func (e *variable) eval(f *frame) (any, error) {
	var v any
	switch e.root {
	case local:
		v = f.slots[e.slot]
	case forloop:
		return f.loops[len(f.loops)-1].field(e.field), nil
	default:
		v = plain(f.vars[e.name])
	}
	if t, ok := v.(time.Time); ok && e.civil {
		y, m, d := t.Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC), nil
	}
	for i := range e.steps {
		var err error
		if v, err = e.steps[i].of(f, v); err != nil || v == nil {
			return nil, err
		}
	}
	return v, nil
}

// of is the part of a value that a step leads to; missing where there is none.
func (s *step) of(f *frame, v any) (any, error) {
	if s.index == nil {
		return plain(property(v, s.name)), nil
	}
	i, err := s.index.eval(f)
	if err != nil {
		return nil, err
	}
	switch i := i.(type) {
	case int64:
		return plain(element(v, i)), nil
	case string:
		return plain(property(v, i)), nil
	}
	return nil, nil
}

func property(v any, name string) any {
	switch v := v.(type) {
	case map[string]any:
		if p, ok := v[name]; ok || name != "size" {
			return p
		}
		return len(v)
	case []any:
		switch name {
		case "first":
			return element(v, 0)
		case "last":
			return element(v, -1)
		case "size":
			return len(v)
		}
	}
	if s, ok := text(v); ok && name == "size" {
		return len([]rune(s))
	}
	return nil
}

// element is a list's element; negative indices count from the end.
func element(v any, i int64) any {
	list, ok := v.([]any)
	if i < 0 {
		i += int64(len(list))
	}
	if !ok || i < 0 || i >= int64(len(list)) {
		return nil
	}
	return list[i]
}

// field is a part of forloop.
func (l loop) field(name string) any {
	switch name {
	case "first":
		return l.index == 0
	case "last":
		return l.index == l.length-1
	case "index":
		return int64(l.index + 1)
	case "index0":
		return int64(l.index)
	case "rindex":
		return int64(l.length - l.index)
	case "rindex0":
		return int64(l.length - l.index - 1)
	}
	return int64(l.length)
}

func (e *rangeExpr) eval(f *frame) (any, error) {
	from, ok1, err1 := whole(f, e.from)
	to, ok2, err2 := whole(f, e.to)
	switch {
	case err1 != nil:
		return nil, err1
	case err2 != nil:
		return nil, err2
	case !ok1 || !ok2 || to < from:
		return []any{}, nil
	case to-from >= maxRange || to-from < 0:
		return nil, fail(e.at, "the range has more than %d numbers", maxRange)
	}
	numbers := make([]any, 0, to-from+1)
	for n := range to - from + 1 {
		numbers = append(numbers, from+n)
	}
	return numbers, nil
}

// whole is an end of a range, without its fraction; false when it is no number, or one beyond 64 bits.
func whole(f *frame, e expr) (int64, bool, error) {
	v, err := e.eval(f)
	if err != nil {
		return 0, false, err
	}
	d, ok := toNumber(v)
	if d.NumDigits()+int(d.Exponent()) > maxDigits {
		return 0, false, nil
	}
	i := d.BigInt()
	return i.Int64(), ok && i.IsInt64(), nil
}

func (e *filtered) eval(f *frame) (any, error) {
	v, err := e.base.eval(f)
	if err != nil {
		return nil, err
	}
	for i := range e.calls {
		if v, err = e.calls[i].apply(f, v); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// apply runs one filter. A missing value, and a missing argument, make a missing result.
func (c *call) apply(f *frame, v any) (any, error) {
	if v == nil && !c.def.takesMissing {
		return nil, nil
	}
	var few [4]any
	args := few[:0]
	for _, a := range c.args {
		arg, err := a.eval(f)
		if err != nil {
			return nil, err
		}
		if arg == nil && !c.def.takesMissing {
			return nil, nil
		}
		args = append(args, arg)
	}
	out, err := c.def.fn(f, v, args)
	if err == nil {
		err = f.spend(1 + weight(v) + weight(out))
	}
	if err != nil {
		return nil, fail(c.at, "%s: %w", c.name, err)
	}
	return plain(out), nil
}

// weight is what handling a value costs in steps.
func weight(v any) int {
	switch v := v.(type) {
	case string:
		return len(v) >> 8
	case markup:
		return len(v) >> 8
	case []any:
		return len(v) >> 2
	}
	return 0
}

func (e *binary) eval(f *frame) (any, error) {
	a, err := e.a.eval(f)
	if err != nil {
		return nil, err
	}
	switch {
	case e.op == "and" && !truthy(a):
		return false, nil
	case e.op == "or" && truthy(a):
		return true, nil
	}
	b, err := e.b.eval(f)
	if err != nil {
		return nil, err
	}
	switch e.op {
	case "and", "or":
		return truthy(b), nil
	case "==":
		return equal(a, b), nil
	case "!=":
		return !equal(a, b), nil
	case "contains":
		return contains(a, b), nil
	}
	c, ok := compare(a, b)
	return ok && ordered(e.op, c), nil
}

func ordered(op string, c int) bool {
	switch op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	}
	return c >= 0
}

// missing is the cause of a failure: a value that would be printed is missing.
type missing struct{ variable string }

func (m *missing) Error() string { return m.variable + " is missing" }

// missing finds the variable because of which an expression is missing: the first that has no value itself.
func (f *frame) missing(e expr) string {
	switch e := e.(type) {
	case *variable:
		return f.t.source(e.at)
	case *filtered:
		all := []expr{e.base}
		for _, c := range e.calls {
			all = append(all, c.args...)
		}
		for _, part := range all {
			if v, err := part.eval(f); err == nil && v == nil {
				return f.missing(part)
			}
		}
	}
	return f.t.source(e.place())
}

// kindOf names the kind of a value, and never the value: reasons are kept where no personal data belongs.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "missing"
	case string, markup:
		return "a text"
	case bool:
		return "true or false"
	case time.Time:
		return "a date"
	case []any:
		return "a list"
	case map[string]any:
		return "a row"
	case int64, float64, decimal.Decimal:
		return "a number"
	}
	return "of an unknown type"
}

// source is a part of the template as the author wrote it.
func (t *Template) source(at pos) string { return t.src.slice(at) }
