package segment

import (
	"fmt"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
)

// calendarFunctions ask about birthdays, ages, weekdays and holidays.
func calendarFunctions() []*Function {
	return []*Function{
		{
			Name: "birthday", Usage: "birthday(date) or birthday(date, within)", form: formDays, Result: typeBool, clocked: true,
			Sentence: "True when the date's anniversary is today(), or falls from today() to today() + within; days(-7) looks back. " +
				"29 February is kept on 28 February in common years.",
			Example: `birthday(customer.birth_date, days(7))`,
			eval:    evalBirthday, emit: emitBirthday,
		},
		{
			Name: "anniversary", Usage: "anniversary(date) or anniversary(date, within)", form: formDays, Result: typeBool, clocked: true,
			Sentence: "As birthday, but only from the first anniversary on: not on the day itself.",
			Example:  `anniversary(customer.created_at)`,
			eval:     evalAnniversary, emit: emitAnniversary,
		},
		{
			Name: "age", Usage: "age(date)", Params: []Type{typeDate}, Result: typeInt, partial: true, clocked: true,
			Sentence: "How many whole years have passed on today(); missing for a date that lies ahead.",
			Example:  `age(customer.birth_date) in 18..25`,
			eval:     evalAge, emit: emitAge,
		},
		{
			Name: "weekday", Usage: "weekday(date)", Params: []Type{typeDate}, Result: typeInt, partial: true,
			Sentence: "The day of the week: 1 is Monday, 7 is Sunday (ISO 8601).",
			Example:  `weekday(customer.created_at) in 6..7`,
			eval:     evalWeekday,
			sql:      func(args []sqlArg) string { return fmt.Sprintf("extract(isodow from %s)::int", args[0].text) },
		},
		{
			Name: "in_month", Usage: "in_month(date) or in_month(date, 5)", form: formInMonth, Result: typeBool, clocked: true,
			Sentence: "True when the date lies in the month of today(), or in the month with that number, of any year.",
			Example:  `in_month(customer.birth_date)`,
			eval:     evalInMonth, emit: emitInMonth,
		},
		{
			Name: "holiday", Usage: `holiday("idul_fitri", within)`, form: formHoliday, Result: typeBool, clocked: true,
			Sentence: "True when the holiday falls from today() to today() + within; days(-7) looks back, and without within it is today. " +
				`A third argument names another country: holiday("thanksgiving", days(7), "US").`,
			Example: `holiday("christmas", days(7))`,
			eval:    evalHoliday,
		},
		{
			Name: "random_split", Usage: `random_split("name", "10%") or random_split("name", from, to)`, form: formSplit, Result: typeBool,
			Sentence: "True for a random share of the customers: for the same name always the same ones, and a greater share has all of a smaller.",
			Example:  `random_split("spring test", 0.1)`,
			eval:     evalSplit, emit: emitSplit,
		},
	}
}

// test is a call that is a condition: false where an argument is missing.
func test(fn *Function, at span, args ...node) node {
	return &truth{condition(at), &call{base{t: typeBool, loc: at, null: true}, fn, args}}
}

// formDays is fn(date) or fn(date, within).
func formDays(c *checker, fn *Function, at span, args []ast.Node) node {
	if len(args) != 1 && len(args) != 2 {
		return c.argumentCount(fn, at)
	}
	checked := []node{c.argument(fn, typeDate, args[0])}
	if len(args) == 2 {
		checked = append(checked, c.lookAround(fn, args[1]))
	}
	for _, a := range checked {
		if a == nil {
			return nil
		}
	}
	return test(fn, at, checked...)
}

// lookAround checks how many days a function looks ahead or back.
func (c *checker) lookAround(fn *Function, arg ast.Node) node {
	a := c.expr(arg)
	switch {
	case a == nil:
		return nil
	case a.typ().isNumber():
		return c.problem(a.at(), fmt.Sprintf("write days(%s)", c.words(a)), "%s takes a period, but %s is %s", fn.Name, c.words(a), a.typ())
	case a.typ() == typeDuration:
		return c.problem(a.at(), "write days(…), weeks(…) or months(…)", "%s goes by whole days, but %s is %s", fn.Name, c.words(a), a.typ())
	case a.typ() != typePeriod:
		return c.problem(a.at(), "for example "+fn.Example, "%s takes a period, but %s is %s", fn.Name, c.words(a), a.typ())
	}
	return a
}

// formInMonth is in_month(date) or in_month(date, 5).
func formInMonth(c *checker, fn *Function, at span, args []ast.Node) node {
	if len(args) != 1 && len(args) != 2 {
		return c.argumentCount(fn, at)
	}
	checked := []node{c.argument(fn, typeDate, args[0])}
	if len(args) == 2 {
		checked = append(checked, c.month(fn, args[1]))
	}
	for _, a := range checked {
		if a == nil {
			return nil
		}
	}
	return test(fn, at, checked...)
}

func (c *checker) month(fn *Function, arg ast.Node) node {
	a := c.expr(arg)
	if a == nil {
		return nil
	}
	k, ok := a.(*constant)
	if text, isText := constantText(a); isText {
		return c.problem(a.at(), monthHint(text), "%s takes the number of a month, but %s is text", fn.Name, c.words(a))
	}
	if ok {
		if m, whole := k.v.(int64); whole && m >= 1 && m <= 12 {
			return a
		}
	}
	return c.problem(a.at(), "write a whole number from 1 for January to 12 for December", "%s is no month", c.words(a))
}

func constantText(n node) (string, bool) {
	k, ok := n.(*constant)
	if !ok {
		return "", false
	}
	text, ok := k.v.(string)
	return text, ok
}

// monthHint knows the months' names in English and Indonesian, also cut to three letters.
func monthHint(text string) string {
	for m := time.January; m <= time.December; m++ {
		if sameName(text, m.String()) || sameName(text, indonesianMonths[m-1]) {
			return fmt.Sprintf("write %d", m)
		}
	}
	return "write 1 for January to 12 for December"
}

var (
	indonesianMonths = [...]string{
		"Januari", "Februari", "Maret", "April", "Mei", "Juni", "Juli", "Agustus", "September", "Oktober", "November", "Desember",
	}
	indonesianDays = [...]string{"Senin", "Selasa", "Rabu", "Kamis", "Jumat", "Sabtu", "Minggu"}
)

func sameName(text, name string) bool {
	return strings.EqualFold(text, name) || len(text) >= 3 && len(text) < 5 && len(text) < len(name) && strings.EqualFold(text, name[:len(text)])
}

// weekdayHint is what to write where a weekday is compared with a text.
func weekdayHint(text string) string {
	for d := 1; d <= 7; d++ {
		if sameName(text, time.Weekday(d%7).String()) || sameName(text, indonesianDays[d-1]) {
			return fmt.Sprintf("write %d", d)
		}
	}
	return "write 1 for Monday to 7 for Sunday"
}

// isCall says that a value is that of a function.
func isCall(n node, name string) bool {
	c, ok := n.(*call)
	return ok && c.fn.Name == name
}

// The evaluation and SQL of what goes by days of the year. A year's days are numbered month*100 + day: a date's number in
// SQL is an expression over which docs/rules.md shows an index.

func evalBirthday(clock Clock, args []any) any {
	d := args[0].(time.Time)
	return !isInfinite(d) && inDays(yearlyDays(spanOf(clock, args), noMutation), monthDay(d))
}

func evalAnniversary(clock Clock, args []any) any {
	return evalBirthday(clock, args).(bool) && !args[0].(time.Time).After(lastStart(spanOf(clock, args)))
}

func evalInMonth(clock Clock, args []any) any {
	d := args[0].(time.Time)
	return !isInfinite(d) && inDays([]dayRange{monthOf(clock, args)}, monthDay(d))
}

func evalAge(clock Clock, args []any) any {
	d := args[0].(time.Time)
	if isInfinite(d) || d.After(clock.Today) {
		return nil
	}
	years := clock.Today.Year() - d.Year()
	if d.After(bornBy(clock.Today, years)) {
		years--
	}
	return int64(years)
}

func evalWeekday(_ Clock, args []any) any {
	d := args[0].(time.Time)
	if isInfinite(d) {
		return nil
	}
	return int64(d.Weekday()+6)%7 + 1
}

func emitBirthday(e *emitter, n *call) string {
	s := e.span(n)
	if len(n.args) == 1 {
		return dayNumber(e.value(n.args[0])) + " = any(" + e.bind(daysOf(yearlyDays(s, e.mutate)), "int[]") + ")"
	}
	return e.daysSQL(n.args[0], yearlyDays(s, e.mutate))
}

// emitAnniversary is only met where an anniversary is a value among others; see lowering.anniversary.
func emitAnniversary(e *emitter, n *call) string {
	last := e.constant(lastStart(e.span(n)), typeDate)
	return fmt.Sprintf("(%s and %s <= %s)", emitBirthday(e, n), e.value(n.args[0]), last)
}

func emitInMonth(e *emitter, n *call) string {
	return e.daysSQL(n.args[0], []dayRange{monthOf(e.clock, constants(n.args))})
}

// emitAge subtracts dates as they are read, 20261122 - 20000229: the first four digits of the difference are the years.
// Years before our era are numbered -1, -2 …, without a year 0.
func emitAge(e *emitter, n *call) string {
	d, today := e.value(n.args[0]), e.constant(e.clock.Today, typeDate)
	return fmt.Sprintf("case when %s > '-infinity' and %s <= %s then floor((%s - (extract(year from %s) + "+
		"case when %s < '0001-01-01' then 1 else 0 end) * 10000 - extract(month from %s) * 100 - extract(day from %s)) / 10000)::int end",
		d, d, today, e.bind(e.todayNumber(), "int"), d, d, d, d)
}

func (e *emitter) todayNumber() int64 {
	days := yearlyDays(dateSpan{e.clock.Today, e.clock.Today}, e.mutate)
	return int64(e.clock.Today.Year())*10000 + int64(days[len(days)-1].to)
}

func dayNumber(date string) string {
	return fmt.Sprintf("(extract(month from %s) * 100 + extract(day from %s))::int", date, date)
}

// daysSQL asks whether a date lies on one of the days: two ranges are those around New Year.
func (e *emitter) daysSQL(date node, days []dayRange) string {
	number := dayNumber(e.value(date))
	bind := func(day int32) string { return e.bind(int64(day), "int") }
	if len(days) == 1 {
		return fmt.Sprintf("%s between %s and %s", number, bind(days[0].from), bind(days[0].to))
	}
	return fmt.Sprintf("(%s >= %s or %s <= %s)", number, bind(days[0].from), number, bind(days[1].to))
}

// span is what a call with or without within looks at.
func (e *emitter) span(n *call) dateSpan {
	s := spanOf(e.clock, constants(n.args))
	if e.mutate == mutateWithinEnd && len(n.args) == 2 {
		s.to = s.to.AddDate(0, 0, -1)
	}
	return s
}
