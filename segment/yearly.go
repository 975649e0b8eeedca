package segment

import "time"

// dateSpan is the dates from one to another, both included.
type dateSpan struct{ from, to time.Time }

// spanOf is today, or from today to a period (the second argument) ahead or back.
func spanOf(clock Clock, args []any) dateSpan {
	if len(args) < 2 {
		return dateSpan{clock.Today, clock.Today}
	}
	other := addCivil(clock.Today, args[1].(period))
	if other.Before(clock.Today) {
		return dateSpan{other, clock.Today}
	}
	return dateSpan{clock.Today, other}
}

// dayRange is days of any year, numbered month*100 + day, both ends included.
type dayRange struct{ from, to int32 }

func monthDay(d time.Time) int32 { return int32(d.Month())*100 + int32(d.Day()) }

// yearlyDays are the days of birth that are celebrated in a span: one range, or two around New Year. 29 February is
// celebrated on 28 February in common years.
func yearlyDays(s dateSpan, m mutation) []dayRange {
	if !s.to.Before(s.from.AddDate(1, 0, -1)) {
		return []dayRange{{101, 1231}}
	}
	from, to := monthDay(s.from), monthDay(s.to)
	if isLastOfFebruary(s.to) && m != mutateLeapDay {
		to = 229
	}
	switch {
	case s.from.Year() == s.to.Year():
		return []dayRange{{from, to}}
	case m == mutateNewYear:
		return []dayRange{{from, 1231}}
	}
	return []dayRange{{from, 1231}, {101, to}}
}

// isLastOfFebruary says that 29 February is celebrated on this day although it has another number.
func isLastOfFebruary(d time.Time) bool {
	return monthDay(d) == 228 && d.AddDate(0, 0, 1).Month() == time.March
}

func inDays(days []dayRange, day int32) bool {
	for _, r := range days {
		if r.from <= day && day <= r.to {
			return true
		}
	}
	return false
}

// daysOf are the numbers of a short range.
func daysOf(days []dayRange) []int32 {
	var list []int32
	for _, r := range days {
		for d := r.from; d <= r.to; d++ {
			list = append(list, d)
		}
	}
	return list
}

// bornBy is the last date of birth whose anniversary after so many years has come on a day.
func bornBy(day time.Time, years int) time.Time {
	d := addMonths(day, -12*years)
	if next := d.AddDate(0, 0, 1); isLastOfFebruary(day) && monthDay(next) == 229 {
		return next
	}
	return d
}

// lastStart is the last date that has an anniversary in a span, the date itself not counted: what began before the span,
// or so early in it that a year has passed.
func lastStart(s dateSpan) time.Time {
	before, within := s.from.AddDate(0, 0, -1), bornBy(s.to, 1)
	if within.After(before) {
		return within
	}
	return before
}

// monthOf is the month that in_month names, or that of today.
func monthOf(clock Clock, args []any) dayRange {
	month := int32(clock.Today.Month())
	if len(args) == 2 {
		month = int32(args[1].(int64)) //nolint:gosec // 1 to 12
	}
	return dayRange{month*100 + 1, month*100 + 31}
}

// calendar lowers what can be said as a range of dates, so that an index on the date serves: ages compared with constants,
// and the part of an anniversary that is not about days of the year.
func (l lowering) calendar(n node) (node, bool) {
	switch n := n.(type) {
	case *truth:
		if isCall(n.a, "anniversary") {
			return l.anniversary(n, n.a.(*call)), true
		}
	case *compare:
		if age, ok := ageOf(n.a); ok {
			return l.compareAge(n, age, n.op, n.b)
		}
		if age, ok := ageOf(n.b); ok {
			return l.compareAge(n, age, mirrored(n.op), n.a)
		}
	case *equal:
		if age, ok := ageOf(n.a); ok {
			return l.compareAge(n, age, "==", n.b)
		}
		if age, ok := ageOf(n.b); ok {
			return l.compareAge(n, age, "==", n.a)
		}
	case *between:
		if age, ok := ageOf(n.x); ok {
			return l.ageBetween(n, age, n.lo, n.hi)
		}
	}
	return nil, false
}

// constants are the values of arguments, nil for those that differ from row to row.
func constants(args []node) []any {
	values := make([]any, len(args))
	for i, a := range args {
		if k, ok := a.(*constant); ok {
			values[i] = k.v
		}
	}
	return values
}

func ageOf(n node) (node, bool) {
	if !isCall(n, "age") {
		return nil, false
	}
	return n.(*call).args[0], true
}

func (l lowering) anniversary(n *truth, c *call) node {
	birthday, _ := function("birthday")
	s := spanOf(l.clock, constants(c.args))
	last := lastStart(s)
	if l.mutate == mutateFirstYear {
		last = s.to
	}
	return &and{condition(n.at()), []node{test(birthday, n.at(), c.args...), l.dateCompare(n, c.args[0], "<=", last)}}
}

// dateCompare compares a date, which may be the date of a time, with a constant.
func (l lowering) dateCompare(n, date node, op string, d time.Time) node {
	if x, ok := days(date); ok && isInfinite(d) {
		return &compare{condition(n.at()), op, x, &constant{base{t: x.typ(), loc: n.at()}, d, ""}}
	}
	return l.compareDays(&compare{condition(n.at()), op, date, &constant{base{t: typeDate, loc: n.at()}, d, ""}})
}

// compareAge is false as its second result for what is no whole number.
func (l lowering) compareAge(n, date node, op string, with node) (node, bool) {
	k, ok := with.(*constant)
	if !ok {
		return nil, false
	}
	years, ok := k.v.(int64)
	if !ok || years < -maxYears || years > maxYears {
		return nil, false
	}
	switch op {
	case "<":
		return l.aged(n, date, 0, years-1), true
	case "<=":
		return l.aged(n, date, 0, years), true
	case ">":
		return l.aged(n, date, years+1, maxYears), true
	case ">=":
		return l.aged(n, date, years, maxYears), true
	}
	return l.aged(n, date, years, years), true
}

func (l lowering) ageBetween(n, date, lo, hi node) (node, bool) {
	from, okFrom := lo.(*constant)
	to, okTo := hi.(*constant)
	if !okFrom || !okTo {
		return nil, false
	}
	least, okFrom := from.v.(int64)
	most, okTo := to.v.(int64)
	if !okFrom || !okTo {
		return nil, false
	}
	return l.aged(n, date, least, most), true
}

// maxYears is more than any date is old that PostgreSQL knows: its dates begin in the year -4713.
const maxYears = 100_000

// aged says that an age lies between two, which makes it known: neither ahead nor infinite.
func (l lowering) aged(n, date node, least, most int64) node {
	oldest := int64(l.clock.Today.Year()) + 4711
	least = max(least, 0)
	if least > most || least > oldest {
		return &constant{base{t: typeBool, loc: n.at()}, false, ""}
	}
	after := NegInfinity
	if most < oldest {
		after = bornBy(l.clock.Today, int(most)+1)
	}
	youngest := bornBy(l.clock.Today, int(least))
	if l.mutate == mutateAge {
		youngest = youngest.AddDate(0, 0, -1)
	}
	return &and{condition(n.at()), []node{
		l.dateCompare(n, date, ">", after),
		l.dateCompare(n, date, "<=", youngest),
	}}
}
