package templates

import (
	"errors"

	"github.com/shopspring/decimal"
)

var errZero = errors.New("division by zero")

func errNumber(v any) error { return errors.New("a number is needed, and this is " + kindOf(v)) }

func numberFilters() []*filter {
	one := []param{{name: "number", shape: numberShape}}
	places := []param{{name: "places", shape: numberShape, optional: true}}
	return []*filter{{
		name: "rupiah", in: numberShape, result: gives(textShape), fn: func(f *frame, in any, _ []any) (any, error) { return money(f, in, "IDR") },
		doc: "An amount in rupiah, without cents.", example: `{{ 12500000 | rupiah }}`, output: "Rp 12.500.000",
	}, {
		name: "money", in: numberShape, params: []param{{name: "currency", shape: textShape}}, result: gives(textShape),
		fn:  func(f *frame, in any, args []any) (any, error) { return money(f, in, printed(args[0])) },
		doc: "An amount in a currency (ISO 4217 code), written as the customer's language does.", example: `{{ 1234.5 | money: "USD" }}`, output: "US$1.234,50",
	}, {
		name: "number", in: numberShape, params: places, result: gives(textShape), fn: numberFilter,
		doc:     "With the separators of the customer's language; with so many places, or as many as it has.",
		example: `{{ 12500.5 | number }}, {{ 12500.5 | number: 2 }}`, output: "12.500,5, 12.500,50",
	}, {
		name: "plus", in: numberShape, params: one, result: gives(numberShape), fn: arithmetic(addition),
		doc: "Added. Exact, as all arithmetic here.", example: `{{ 0.1 | plus: 0.2 }}`, output: "0.3",
	}, {
		name: "minus", in: numberShape, params: one, result: gives(numberShape), fn: arithmetic(subtraction),
		doc: "Subtracted.", example: `{{ 10 | minus: 3 }}`, output: "7",
	}, {
		name: "times", in: numberShape, params: one, result: gives(numberShape), fn: arithmetic(multiplication),
		doc: "Multiplied.", example: `{{ 150000 | times: 0.9 }}`, output: "135000",
	}, {
		name: "divided_by", in: numberShape, params: one, result: gives(numberShape), fn: arithmetic(division),
		doc:     "Divided. As in Liquid, two whole numbers give a whole number; write 2.0 for one with a fraction.",
		example: `{{ 7 | divided_by: 2 }}, {{ 7 | divided_by: 2.0 }}`, output: "3, 3.5",
	}, {
		name: "modulo", in: numberShape, params: one, result: gives(numberShape), fn: arithmetic(modulo),
		doc: "What remains of a division.", example: `{{ 7 | modulo: 3 }}`, output: "1",
	}, {
		name: "round", in: numberShape, params: places, result: gives(numberShape), fn: round,
		doc: "Rounded to so many places (0), a half away from zero.", example: `{{ 2.5 | round }}, {{ 2.345 | round: 2 }}`, output: "3, 2.35",
	}, {
		name: "ceil", in: numberShape, result: gives(numberShape), fn: numberFn(decimal.Decimal.Ceil),
		doc: "The next whole number above.", example: `{{ 2.1 | ceil }}`, output: "3",
	}, {
		name: "floor", in: numberShape, result: gives(numberShape), fn: numberFn(decimal.Decimal.Floor),
		doc: "The next whole number below.", example: `{{ 2.9 | floor }}`, output: "2",
	}, {
		name: "abs", in: numberShape, result: gives(numberShape), fn: numberFn(decimal.Decimal.Abs),
		doc: "Without its sign.", example: `{{ -5 | abs }}`, output: "5",
	}, {
		name: "at_least", in: numberShape, params: one, result: gives(numberShape), fn: arithmetic(func(a, b decimal.Decimal, _ bool) (decimal.Decimal, error) { return decimal.Max(a, b), nil }),
		doc: "Never less than a number.", example: `{{ 3 | at_least: 5 }}`, output: "5",
	}, {
		name: "at_most", in: numberShape, params: one, result: gives(numberShape), fn: arithmetic(func(a, b decimal.Decimal, _ bool) (decimal.Decimal, error) { return decimal.Min(a, b), nil }),
		doc: "Never more than a number.", example: `{{ 8 | at_most: 5 }}`, output: "5",
	}}
}

// operation is arithmetic on two numbers; whole says that both are whole numbers by type.
type operation func(a, b decimal.Decimal, whole bool) (decimal.Decimal, error)

func addition(a, b decimal.Decimal, _ bool) (decimal.Decimal, error)    { return a.Add(b), nil }
func subtraction(a, b decimal.Decimal, _ bool) (decimal.Decimal, error) { return a.Sub(b), nil }

func multiplication(a, b decimal.Decimal, _ bool) (decimal.Decimal, error) { return a.Mul(b), nil }

func division(a, b decimal.Decimal, whole bool) (decimal.Decimal, error) {
	switch {
	case b.IsZero():
		return b, errZero
	case whole:
		return a.Div(b).Truncate(0), nil
	}
	return a.Div(b), nil
}

func modulo(a, b decimal.Decimal, _ bool) (decimal.Decimal, error) {
	if b.IsZero() {
		return b, errZero
	}
	return a.Mod(b), nil
}

func arithmetic(op operation) func(*frame, any, []any) (any, error) {
	return func(_ *frame, in any, args []any) (any, error) {
		a, ok := toNumber(in)
		if !ok {
			return nil, errNumber(in)
		}
		b, ok := toNumber(args[0])
		if !ok {
			return nil, errNumber(args[0])
		}
		if tooLong(a) || tooLong(b) {
			return nil, errDigits
		}
		return bounded(op(a, b, isWhole(in) && isWhole(args[0])))
	}
}

func isWhole(v any) bool {
	_, ok := v.(int64)
	return ok
}

var errDigits = errors.New("the number has too many digits")

func tooLong(d decimal.Decimal) bool {
	e := int(d.Exponent())
	return e > maxDigits || e < -maxDigits || d.NumDigits() > maxDigits
}

// bounded refuses numbers with too many digits and makes small whole ones plain again.
func bounded(d decimal.Decimal, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	if tooLong(d) {
		return nil, errDigits
	}
	if d.IsInteger() && d.NumDigits() < 18 && d.Exponent() <= 18 {
		if i := d.BigInt(); i.IsInt64() {
			return i.Int64(), nil
		}
	}
	return d, nil
}

func numberFn(fn func(decimal.Decimal) decimal.Decimal) func(*frame, any, []any) (any, error) {
	return func(_ *frame, in any, _ []any) (any, error) {
		d, ok := toNumber(in)
		switch {
		case !ok:
			return nil, errNumber(in)
		case tooLong(d):
			return nil, errDigits
		}
		return bounded(fn(d), nil)
	}
}

func round(_ *frame, in any, args []any) (any, error) {
	n, err := wholeArg(args, 0, 0)
	if err != nil {
		return nil, err
	}
	if n < 0 || n > 20 {
		return nil, errors.New("the places must be 0 to 20")
	}
	return numberFn(func(d decimal.Decimal) decimal.Decimal { return roundHalf(d, int32(n)) })(nil, in, nil)
}

// roundHalf rounds a half away from zero.
func roundHalf(d decimal.Decimal, places int32) decimal.Decimal { return d.Round(places) }
