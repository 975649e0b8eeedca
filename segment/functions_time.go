package segment

import (
	"fmt"
	"time"

	"github.com/expr-lang/expr/ast"
)

func timeFunctions() []*Function {
	return []*Function{
		{
			Name: "today", Usage: "today()", Result: typeDate, clocked: true,
			Sentence: "The date of the run's tick: the same for every customer.",
			Example:  `any(customer.vehicles, .next_service_on == today() + days(7))`,
			eval:     func(clock Clock, _ []any) any { return clock.Today },
		},
		{
			Name: "now", Usage: "now()", Result: typeInstant, clocked: true,
			Sentence: "The moment as of which the run was planned.",
			Example:  `customer.created_at > now() - hours(48)`,
			eval:     func(clock Clock, _ []any) any { return clock.Now },
		},
		{
			Name: "ago", Usage: "ago(period)", form: formAgo, Result: typeInstant, clocked: true,
			Sentence: "The moment a period before now().",
			Example:  `customer.created_at > ago(months(6))`,
			eval: func(clock Clock, args []any) any {
				return addInstant(clock.Now, args[0].(period).negated(), clock.Zone)
			},
		},
		calendar("days", "calendar days", "today() + days(14) >= customer.birth_date", func(n int) period { return period{days: n} }),
		calendar("weeks", "weeks", "customer.created_at < ago(weeks(2))", func(n int) period { return period{days: 7 * n} }),
		calendar("months", "months; a day that a month does not have becomes its last day", "customer.created_at > ago(months(1))",
			func(n int) period { return period{months: n} }),
		calendar("years", "years; 29 February becomes 28 February in common years", "customer.birth_date + years(17) <= today()",
			func(n int) period { return period{months: 12 * n} }),
		clockwise("hours", "hours", "customer.created_at > now() - hours(6)", time.Hour),
		clockwise("minutes", "minutes", "customer.created_at > now() - minutes(90)", time.Minute),
		{
			Name: "duration", Usage: `duration("1h30m")`, Params: []Type{typeText}, Result: typeDuration, fixed: true, check: checkDuration,
			Sentence: "A time span written with h, m and s.",
			Example:  `customer.created_at > now() - duration("1h30m")`,
			eval: func(_ Clock, args []any) any {
				d, _ := time.ParseDuration(args[0].(string))
				return period{micros: d.Microseconds()}
			},
		},
		{
			Name: "date", Usage: `date("2026-01-31") or date(time)`, form: formDate, Result: typeDate,
			Sentence: "A date written as year-month-day, or the date of a time in the company's zone.",
			Example:  `customer.birth_date < date("2000-01-31")`,
		},
	}
}

// calendar is a function that makes a Period of n units.
func calendar(name, unit, example string, of func(n int) period) *Function {
	return &Function{
		Name: name, Usage: name + "(n)", Params: []Type{typeInt}, Result: typePeriod, fixed: true,
		Sentence: "A period of n " + unit + ".", Example: example,
		check: func(args []node) string { return checkPeriod(args, of) },
		eval:  func(_ Clock, args []any) any { return of(smallInt(args[0])) },
	}
}

func clockwise(name, unit, example string, size time.Duration) *Function {
	of := func(n int) period { return period{micros: int64(n) * size.Microseconds()} }
	return &Function{
		Name: name, Usage: name + "(n)", Params: []Type{typeInt}, Result: typeDuration, fixed: true,
		Sentence: "A time span of n " + unit + ".", Example: example,
		check: func(args []node) string { return checkPeriod(args, of) },
		eval:  func(_ Clock, args []any) any { return of(smallInt(args[0])) },
	}
}

// smallInt is a whole number clipped to what no period needs.
func smallInt(v any) int {
	i, ok := v.(int64)
	if !ok {
		return 0
	}
	return int(max(-1e9, min(1e9, i)))
}

func checkPeriod(args []node, of func(n int) period) string {
	v, ok := fixedValue(args[0])
	if !ok {
		return "the number must be written out"
	}
	if i, ok := v.(int64); !ok || i > 1e9 || i < -1e9 || of(int(i)).tooLong() {
		return "the period is longer than a thousand years"
	}
	return ""
}

func checkDuration(args []node) string {
	k, ok := args[0].(*constant)
	if !ok {
		return "the duration must be written out"
	}
	d, err := time.ParseDuration(k.v.(string))
	switch {
	case err != nil:
		return fmt.Sprintf("%q is no duration: hours, minutes and seconds are written as 1h30m, 45m or 20s", k.v)
	case (period{micros: d.Microseconds()}).tooLong():
		return "the period is longer than a thousand years"
	}
	return ""
}

func formAgo(c *checker, fn *Function, at span, args []ast.Node) node {
	if len(args) != 1 {
		return c.argumentCount(fn, at)
	}
	a := c.expr(args[0])
	if a == nil {
		return nil
	}
	if t := a.typ(); t != typePeriod && t != typeDuration {
		hint := "for example " + fn.Example
		if t.isNumber() {
			hint = fmt.Sprintf("write ago(days(%s))", c.words(a))
		}
		return c.problem(a.at(), hint, "ago takes a period, but %s is %s", c.words(a), t)
	}
	return &call{base{t: typeInstant, loc: at}, fn, []node{a}}
}
