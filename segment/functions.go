package segment

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
)

// Function is a row of the function table: everything the checker, both back ends and the documentation know of it.
// A missing argument makes the result missing, so neither eval nor sql meets one.
type Function struct {
	Name     string
	Usage    string // "days(n)", as the reference shows it
	Sentence string // what it gives, for the reference
	Example  string // a condition that uses it, checked by a test

	// Either form checks a call with a shape of its own (closures, several types), or Params and Result say its types.
	form    func(c *checker, fn *Function, at span, args []ast.Node) node
	Params  []Type
	Result  Type
	partial bool                     // may be missing without a missing argument
	fixed   bool                     // the arguments must be the same for all rows
	check   func(args []node) string // what is wrong with constant arguments, "" if nothing

	eval     func(clock Clock, args []any) any
	sql      func(args []sqlArg) string // nil: only ever a constant, or a residual
	bindings func(clock Clock) []binding
	residual string // why SQL can't say it, where it can't
}

// sqlArg is an argument's SQL and type; the bindings follow the arguments.
type sqlArg struct {
	text string
	t    Type
}

// binding is a constant that a function's SQL needs besides its arguments.
type binding struct {
	value any
	cast  string
}

func (f *Function) usage() string {
	return fmt.Sprintf("%s is used as %s", f.Name, f.Usage)
}

// Functions is the table, in the order of the reference.
func Functions() []*Function {
	return slices.Concat(rowFunctions(), timeFunctions(), textFunctions())
}

func rowFunctions() []*Function {
	return []*Function{
		{
			Name: "any", Usage: "any(rows, condition)", form: formQuantifier,
			Sentence: "True when at least one row satisfies the condition.",
			Example:  `any(customer.vehicles, .next_service_on <= today())`,
		},
		{
			Name: "none", Usage: "none(rows, condition)", form: formQuantifier,
			Sentence: "True when no row satisfies the condition; so also when there are no rows.",
			Example:  `none(customer.orders, .ordered_at > ago(days(180)))`,
		},
		{
			Name: "all", Usage: "all(rows, condition)", form: formQuantifier,
			Sentence: "True when every row satisfies the condition; so also when there are no rows.",
			Example:  `all(customer.vehicles, .km < 100_000)`,
		},
		{
			Name: "filter", Usage: "filter(rows, condition)", form: formFilter,
			Sentence: "The rows that satisfy the condition, for another function.",
			Example:  `sum(filter(customer.orders, .kind == "part"), .total) > 500_000`,
		},
		{
			Name: "map", Usage: "map(rows, column)", form: formMap,
			Sentence: "The values of a column, for sum, min, max and mean.",
			Example:  `max(map(customer.orders, .ordered_at)) < ago(days(90))`,
		},
		{
			Name: "count", Usage: "count(rows) or count(rows, condition)", form: formCount,
			Sentence: "How many rows there are, or how many satisfy the condition.",
			Example:  `count(customer.orders, .ordered_at > ago(days(90))) >= 3`,
		},
		{
			Name: "sum", Usage: "sum(rows, column)", form: formAggregate,
			Sentence: "The sum of a column; missing values are left out, and the sum of no rows is 0.",
			Example:  `sum(customer.orders, .total) > 1_000_000`,
		},
		{
			Name: "min", Usage: "min(map(rows, column))", form: formAggregate,
			Sentence: "The smallest, earliest or first value of a column; missing when there is none.",
			Example:  `min(map(customer.orders, .ordered_at)) > ago(days(30))`,
		},
		{
			Name: "max", Usage: "max(map(rows, column))", form: formAggregate,
			Sentence: "The largest, latest or last value of a column; missing when there is none.",
			Example:  `max(map(customer.orders, .total)) >= 250_000`,
		},
		{
			Name: "mean", Usage: "mean(map(rows, column))", form: formAggregate,
			Sentence: "The average of a column, missing values left out; missing when there is none.",
			Example:  `mean(map(customer.orders, .total)) > 100_000`,
		},
	}
}

func timeFunctions() []*Function {
	return []*Function{
		{
			Name: "today", Usage: "today()", Result: typeDate,
			Sentence: "The date of the run's tick: the same for every customer.",
			Example:  `any(customer.vehicles, .next_service_on == today() + days(7))`,
			eval:     func(clock Clock, _ []any) any { return clock.Today },
		},
		{
			Name: "now", Usage: "now()", Result: typeInstant,
			Sentence: "The moment as of which the run was planned.",
			Example:  `customer.created_at > now() - hours(48)`,
			eval:     func(clock Clock, _ []any) any { return clock.Now },
		},
		{
			Name: "ago", Usage: "ago(period)", form: formAgo, Result: typeInstant,
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
		{
			Name: "birthday", Usage: "birthday(date)", Params: []Type{typeDate}, Result: typeBool, partial: true,
			Sentence: "True when today() is the anniversary of the date; 29 February is kept on 28 February in common years.",
			Example:  `birthday(customer.birth_date)`,
			eval:     evalBirthday, sql: sqlBirthday, bindings: bindBirthday,
		},
	}
}

func textFunctions() []*Function {
	return []*Function{
		{
			Name: "len", Usage: "len(text)", form: formLen, Result: typeInt,
			Sentence: "How many characters a text has, or how many entries a list.",
			Example:  `len(customer.name) > 40`, eval: evalLen, sql: sqlLen,
		},
		{
			Name: "trim", Usage: "trim(text)", Params: []Type{typeText}, Result: typeText,
			Sentence: "The text without white space at its ends.",
			Example:  `trim(customer.city) == "Solo"`,
			eval:     func(_ Clock, args []any) any { return strings.TrimSpace(args[0].(string)) },
			sql:      func(args []sqlArg) string { return "btrim(" + args[0].text + ", " + args[1].text + ")" },
			bindings: func(Clock) []binding { return []binding{{whiteSpace, "text"}} },
		},
		{
			Name: "lower", Usage: "lower(text)", Params: []Type{typeText}, Result: typeText,
			Sentence: "The text in small letters.",
			Example:  `lower(customer.city) == "solo"`,
			eval:     func(_ Clock, args []any) any { return strings.ToLower(args[0].(string)) },
			residual: "databases differ in which letters they take for small and capital forms of each other",
		},
		{
			Name: "upper", Usage: "upper(text)", Params: []Type{typeText}, Result: typeText,
			Sentence: "The text in capital letters.",
			Example:  `upper(customer.city) == "SOLO"`,
			eval:     func(_ Clock, args []any) any { return strings.ToUpper(args[0].(string)) },
			residual: "databases differ in which letters they take for small and capital forms of each other",
		},
	}
}

// whiteSpace is what strings.TrimSpace cuts.
const whiteSpace = "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"

func function(name string) (*Function, bool) {
	for _, f := range Functions() {
		if f.Name == name {
			return f, true
		}
	}
	return nil, false
}

func functionNames() []string {
	var names []string
	for _, f := range Functions() {
		names = append(names, f.Name)
	}
	return names
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

func evalLen(_ Clock, args []any) any {
	switch v := args[0].(type) {
	case []string:
		return int64(len(v))
	case string:
		return int64(len([]rune(v)))
	}
	return nil
}

func sqlLen(args []sqlArg) string {
	if args[0].t == typeTexts {
		return "cardinality(array_remove(" + args[0].text + ", null))"
	}
	return "length(" + args[0].text + ")"
}

func evalBirthday(clock Clock, args []any) any {
	d := args[0].(time.Time)
	if isInfinite(d) {
		return nil
	}
	return slices.Contains(birthdays(clock.Today), monthDay(d))
}

func monthDay(d time.Time) int32 { return int32(d.Month())*100 + int32(d.Day()) }

// birthdays are the days of birth, as month*100 + day, that are celebrated today.
func birthdays(today time.Time) []int32 {
	days := []int32{monthDay(today)}
	if days[0] == 228 && today.AddDate(0, 0, 1).Month() == time.March {
		days = append(days, 229)
	}
	return days
}

// sqlBirthday is written so that an index on this very expression serves it; docs/rules.md shows the index.
func sqlBirthday(args []sqlArg) string {
	date, days := args[0].text, args[1].text
	return fmt.Sprintf("(extract(month from %s) * 100 + extract(day from %s))::int = any(%s)", date, date, days)
}

func bindBirthday(clock Clock) []binding { return []binding{{birthdays(clock.Today), "int[]"}} }
