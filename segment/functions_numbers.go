package segment

import (
	"fmt"
	"math"
	"regexp"
	"strconv"

	"github.com/expr-lang/expr/ast"
	"github.com/shopspring/decimal"
)

func numberFunctions() []*Function {
	return []*Function{
		{
			Name: "abs", Usage: "abs(number)", form: formExact, Result: typeNumeric,
			Sentence: "The number without its sign.",
			Example:  `abs(customer.income - 5_000_000) < 100_000`,
			eval:     evalExact(math.Abs, decimal.Decimal.Abs), sql: exactSQL("abs"),
		},
		{
			Name: "round", Usage: "round(number)", form: formExact, Result: typeNumeric,
			Sentence: "The nearest whole number; a half goes away from 0.",
			Example:  `round(customer.income / 1_000_000) == 5`,
			eval:     evalExact(nil, func(d decimal.Decimal) decimal.Decimal { return d.Round(0) }), emit: emitRound,
		},
		{
			Name: "floor", Usage: "floor(number)", form: formExact, Result: typeNumeric,
			Sentence: "The next whole number downwards.",
			Example:  `floor(customer.income / 1_000_000) == 4`,
			eval:     evalExact(nil, decimal.Decimal.Floor), sql: exactSQL("floor"),
		},
		{
			Name: "ceil", Usage: "ceil(number)", form: formExact, Result: typeNumeric,
			Sentence: "The next whole number upwards.",
			Example:  `ceil(customer.income / 1_000_000) == 5`,
			eval:     evalExact(nil, decimal.Decimal.Ceil), sql: exactSQL("ceil"),
		},
		{
			Name: "int", Usage: "int(number) or int(text)", form: formInt, Result: typeInt,
			Sentence: "The number without its fraction, or the whole number that a text writes; missing where it writes none.",
			Example:  `int(customer.income / 1000) % 2 == 0`,
		},
		{
			Name: "float", Usage: "float(number) or float(text)", form: formFloat, Result: typeFloat,
			Sentence: "The number in double precision, or the one that a text writes; missing where it writes none.",
			Example:  `float(trim(customer.name)) > 2.5`,
		},
	}
}

// formExact checks a function that is exact: floats are taken to their 15 significant digits, as in calculations.
func formExact(c *checker, fn *Function, at span, args []ast.Node) node {
	a, ok := c.numberArgument(fn, at, args)
	if !ok {
		return nil
	}
	if a.typ() == typeInt && fn.Name != "abs" {
		return a
	}
	t := exactType(a.typ())
	return &call{base{t: t, loc: at, null: a.nullable()}, fn, []node{convert(a, t)}}
}

func (c *checker) numberArgument(fn *Function, at span, args []ast.Node) (node, bool) {
	if len(args) != 1 {
		c.argumentCount(fn, at)
		return nil, false
	}
	a := c.expr(args[0])
	if a != nil && !a.typ().isNumber() {
		c.problem(a.at(), "for example "+fn.Example, "%s takes a number, but %s is %s", fn.Name, c.words(a), a.typ())
		return nil, false
	}
	return a, a != nil
}

// evalExact leaves NaN and the infinities as special says, without it as they are.
func evalExact(special func(float64) float64, exact func(decimal.Decimal) decimal.Decimal) func(Clock, []any) any {
	return func(_ Clock, args []any) any {
		if f, ok := args[0].(float64); ok {
			if special != nil {
				f = special(f)
			}
			return f
		}
		return whole64(exact(asDecimal(args[0])))
	}
}

// whole64 is an int64 where the number is one.
func whole64(d decimal.Decimal) any {
	if d.Exponent() >= 0 && d.Exponent() < 20 && d.IsInteger() && d.BigInt().IsInt64() {
		return d.BigInt().Int64()
	}
	return d
}

func exactSQL(name string) func([]sqlArg) string {
	return func(args []sqlArg) string { return fmt.Sprintf("%s(%s::numeric)", name, args[0].text) }
}

func emitRound(e *emitter, n *call) string {
	if e.mutate == mutateRoundEven {
		return "round(" + e.float(n.args[0]) + ")::numeric"
	}
	return exactSQL("round")([]sqlArg{{e.value(n.args[0]), n.t}})
}

// formInt cuts a number's fraction off, or reads a text.
func formInt(c *checker, fn *Function, at span, args []ast.Node) node {
	return c.numberOf(fn, at, args, typeInt, func(a node) node {
		if a.typ() == typeInt {
			return a
		}
		return &call{base{t: typeInt, loc: at, null: true}, truncation(), []node{convert(a, typeNumeric)}}
	})
}

func formFloat(c *checker, fn *Function, at span, args []ast.Node) node {
	return c.numberOf(fn, at, args, typeFloat, func(a node) node { return convert(a, typeFloat) })
}

func (c *checker) numberOf(fn *Function, at span, args []ast.Node, t Type, number func(node) node) node {
	if len(args) != 1 {
		return c.argumentCount(fn, at)
	}
	a := c.expr(args[0])
	switch {
	case a == nil:
		return nil
	case a.typ().isNumber():
		return number(a)
	case a.typ() == typeText:
		return &call{base{t: t, loc: at, null: true}, readNumber(fn.Name), []node{a}}
	}
	return c.problem(a.at(), "for example "+fn.Example, "%s takes a number or a text, but %s is %s", fn.Name, c.words(a), a.typ())
}

// truncation is int(number). NaN, the infinities and numbers of more than a thousand digits are missing.
func truncation() *Function {
	limit := decimal.New(1, maxDigits)
	return &Function{
		Name: "int",
		eval: func(_ Clock, args []any) any {
			if _, special := args[0].(float64); special {
				return nil
			}
			d := asDecimal(args[0])
			if d.Abs().GreaterThanOrEqual(limit) {
				return nil
			}
			return whole64(d.Truncate(0))
		},
		sql: func(args []sqlArg) string {
			return fmt.Sprintf("(select trunc(v) from (select %s::numeric as v offset 0) g where abs(v) < 1e%d)", args[0].text, maxDigits)
		},
	}
}

// The texts that int and float read: strings that mean the same in Go and in PostgreSQL, far from the limits of either.
const (
	wholeText    = `^[+-]?[0-9]{1,100}$`
	fractionText = `^[+-]?[0-9]{1,50}([.][0-9]{1,50})?([eE][+-]?[0-9]{1,2})?$`
)

// readNumber reads the number that a text writes.
func readNumber(name string) *Function {
	pattern, pgType := wholeText, "numeric"
	if name == "float" {
		pattern, pgType = fractionText, "float8"
	}
	re := regexp.MustCompile(pattern)
	return &Function{
		Name: name,
		eval: func(_ Clock, args []any) any {
			s := args[0].(string)
			if !re.MatchString(s) {
				return nil
			}
			if name == "float" {
				f, _ := strconv.ParseFloat(s, 64)
				return f
			}
			d, _ := decimal.NewFromString(s)
			return whole64(d)
		},
		sql: func(args []sqlArg) string {
			return repeating(func(s, _ string) string {
				return fmt.Sprintf("case when %s ~ '%s' then %s::%s end", s, pattern, s, pgType)
			})([]sqlArg{args[0], {"1", typeInt}})
		},
	}
}
