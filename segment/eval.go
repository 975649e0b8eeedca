package segment

import (
	"cmp"
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"github.com/sapa-crm/sapa/customer"
)

// frame is the state of one evaluation: the current row of each variable, and the first value of a wrong Go type.
type frame struct {
	rows  []map[string]any
	facts map[string]bool // by their text
	err   error
}

// valueFunc gives a value, nil for missing; testFunc decides a condition.
type (
	valueFunc func(*frame) any
	testFunc  func(*frame) bool
)

// compiler turns nodes into closures.
type compiler struct{ clock Clock }

func (c compiler) value(n node) valueFunc {
	switch n := n.(type) {
	case *constant:
		v := n.v
		return func(*frame) any { return v }
	case *column:
		return c.columnValue(n)
	case *arith:
		return c.arith(n)
	case *negate:
		a := c.value(n.a)
		return strict1(a, func(v any) any { return calculate("-", int64(0), toExact(v)) })
	case *shift:
		return c.shift(n)
	case *cast:
		return c.cast(n)
	case *coalesce:
		a, b := c.value(n.a), c.value(n.b)
		return func(f *frame) any {
			if v := a(f); v != nil {
				return v
			}
			return b(f)
		}
	case *choose:
		return c.choose(n)
	case *call:
		return c.call(n)
	case *standing:
		return c.standing(n)
	case *scores:
		return c.scores(n)
	case *element:
		return c.element(n)
	case *overTexts:
		return c.overTexts(n)
	case *aggregate:
		return c.aggregate(n)
	case *extremum:
		return c.extremum(n)
	}
	test := c.test(n)
	return func(f *frame) any { return test(f) }
}

// strict1 and strict2 are missing where an operand is.
func strict1(a valueFunc, apply func(any) any) valueFunc {
	return func(f *frame) any {
		if v := a(f); v != nil {
			return apply(v)
		}
		return nil
	}
}

func strict2(a, b valueFunc, apply func(x, y any) any) valueFunc {
	return func(f *frame) any {
		x := a(f)
		if x == nil {
			return nil
		}
		y := b(f)
		if y == nil {
			return nil
		}
		return apply(x, y)
	}
}

func (c compiler) arith(n *arith) valueFunc {
	a, b := c.value(n.a), c.value(n.b)
	switch {
	case n.t == typeText:
		return strict2(a, b, func(x, y any) any { return x.(string) + y.(string) })
	case n.t == typePeriod || n.t == typeDuration:
		sign := map[string]int{"+": 1, "-": -1}[n.op]
		return strict2(a, b, func(x, y any) any { return x.(period).plus(y.(period), sign) })
	case n.op == "/":
		return strict2(a, b, divide)
	case n.op == "%":
		return strict2(a, b, modulo)
	}
	op := n.op
	return strict2(a, b, func(x, y any) any { return calculate(op, toExact(x), toExact(y)) })
}

func (c compiler) shift(n *shift) valueFunc {
	a, by := c.value(n.a), c.value(n.by)
	t, minus, zone := n.t, n.minus, c.clock.Zone
	return strict2(a, by, func(x, y any) any {
		p := y.(period)
		if minus {
			p = p.negated()
		}
		if !isMovable(x.(time.Time)) && p != (period{}) {
			return nil
		}
		if t == typeInstant {
			return addInstant(x.(time.Time), p, zone)
		}
		return addCivil(x.(time.Time), p)
	})
}

func (c compiler) cast(n *cast) valueFunc {
	a, from, to, zone := c.value(n.a), n.a.typ(), n.t, c.clock.Zone
	switch {
	case to == typeFloat:
		return strict1(a, nearestFloat)
	case to == typeText:
		return strict1(a, func(v any) any { return canonical(v, from) })
	case to == typeNumeric:
		return strict1(a, toExact)
	}
	return strict1(a, func(v any) any {
		t := v.(time.Time)
		if from == typeInstant {
			t = toCivil(t, zone)
		}
		if to == typeDate {
			t = toDate(t)
		}
		return t
	})
}

func (c compiler) choose(n *choose) valueFunc {
	cond, a, b := c.test(n.cond), c.value(n.a), c.value(n.b)
	return func(f *frame) any {
		if cond(f) {
			return a(f)
		}
		return b(f)
	}
}

func (c compiler) call(n *call) valueFunc {
	args := make([]valueFunc, len(n.args))
	for i, a := range n.args {
		args[i] = c.value(a)
	}
	eval, clock := n.fn.eval, c.clock
	return func(f *frame) any {
		values := make([]any, len(args))
		for i, a := range args {
			if values[i] = a(f); values[i] == nil {
				return nil
			}
		}
		v := eval(clock, values)
		if bad, ok := v.(impossible); ok {
			f.err = cmp.Or(f.err, bad.error)
			return nil
		}
		return v
	}
}

// columnValue reads a column of the row at a path. A missing row has missing values.
func (c compiler) columnValue(n *column) valueFunc {
	row, name, kind := c.row(n.path), n.col.Name, n.col.Kind
	opaque := n.t == typeOther
	return func(f *frame) any {
		v := row(f)[name]
		if v == nil {
			return nil
		}
		if opaque { // that there is a value is all a rule can ask
			return true
		}
		v, ok := normal(v, kind)
		if !ok && f.err == nil {
			f.err = fmt.Errorf("column %s: a value of Go type %T can't stand for %s", name, row(f)[name], kind)
		}
		return v
	}
}

// normal is a row's value in the evaluator's Go type; false when it is of another type.
func normal(v any, kind customer.Kind) (any, bool) {
	switch x := v.(type) {
	case string:
		return v, columnType(kind) == typeText
	case int64:
		return v, kind == customer.Int || kind == customer.Numeric
	case bool:
		return v, kind == customer.Bool
	case time.Time:
		return v, columnType(kind).isTime()
	case []string:
		return v, kind == customer.TextArray
	case int32:
		return int64(x), kind == customer.Int
	case int16:
		return int64(x), kind == customer.Int
	case int:
		return int64(x), kind == customer.Int
	case float64:
		return v, kind == customer.Float || kind == customer.Numeric && isSpecial(v)
	case float32:
		return float64(x), kind == customer.Float
	}
	_, ok := v.(decimal.Decimal)
	return v, ok && kind == customer.Numeric
}
