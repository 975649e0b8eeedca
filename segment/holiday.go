package segment

import (
	"fmt"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"

	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/segment/holidays"
)

// formHoliday is holiday(name), holiday(name, within) or holiday(name, within, country).
func formHoliday(c *checker, fn *Function, at span, args []ast.Node) node {
	if len(args) < 1 || len(args) > 3 {
		return c.argumentCount(fn, at)
	}
	name, where, ok := c.nameArgument(fn, args[0])
	if !ok {
		return nil
	}
	table := holidays.For(c.scope.Schema.Country, c.scope.Schema.Holidays)
	if len(args) == 3 {
		if table = c.countryTable(fn, args[2]); table == nil {
			return nil
		}
	}
	found, ok := table.Find(name)
	if !ok {
		return c.problem(where, holidayHint(name, table, len(args)), "unknown holiday %q", name)
	}
	checked := []node{&constant{base{t: typeText, loc: where}, found, ""}}
	if len(args) > 1 {
		within := c.lookAround(fn, args[1])
		if within == nil {
			return nil
		}
		checked = append(checked, within)
	}
	return test(fn, at, checked...)
}

func (c *checker) countryTable(fn *Function, arg ast.Node) *holidays.Table {
	code, where, ok := c.nameArgument(fn, arg)
	if !ok {
		return nil
	}
	if code == c.scope.Schema.Country {
		return holidays.For(code, c.scope.Schema.Holidays)
	}
	for _, known := range holidays.Countries() {
		if known == code {
			return holidays.For(code, nil)
		}
	}
	hint := "there are tables for " + strings.Join(holidays.Countries(), ", ") + "; write other days in sapa.yaml, below holidays:"
	c.problem(where, hint, "no table of holidays for %q", code)
	return nil
}

// holidayHint is what was probably meant, or all that there are.
func holidayHint(name string, table *holidays.Table, args int) string {
	if hint := diag.DidYouMean(name, table.Names()); strings.HasPrefix(hint, "did you") {
		return hint
	}
	for _, code := range holidays.Countries() {
		if _, ok := holidays.For(code, nil).Find(name); ok && args < 3 {
			return fmt.Sprintf("it is one of country %s: write holiday(%q, days(7), %q)", code, name, code)
		}
	}
	var names []string
	for _, h := range table.All() {
		names = append(names, h.Name)
	}
	return "known are " + strings.Join(names, ", ") + "; add your own to sapa.yaml: holidays: {" + slug(name) + ": MONTH-DAY}"
}

// slug is a text as a holiday's name.
func slug(text string) string {
	text = strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return ' '
	}, strings.ToLower(text)), " 0123456789")
	if text == "" {
		return "founding_day"
	}
	return strings.Join(strings.Fields(text), "_")
}

// impossible is an evaluation that has no result: a rule that can't be asked at this time.
type impossible struct{ error }

// NotReadyError says that a rule can't be asked at this time although it is right: a holiday has no date in the year.
type NotReadyError struct{ err error }

func (e *NotReadyError) Error() string { return e.err.Error() }

// Unwrap is what is missing.
func (e *NotReadyError) Unwrap() error { return e.err }

// evalHoliday fails for a year that the table does not know, because nobody's holiday would pass unnoticed otherwise.
func evalHoliday(clock Clock, args []any) any {
	h, s := args[0].(*holidays.Holiday), spanOf(clock, args)
	found := false
	for year := s.from.Year() - 1; year <= s.to.Year()+1; year++ { // a rule such as 01-01 - 7 gives a day of the year before
		days := h.In(year)
		if len(days) == 0 && year >= s.from.Year() && year <= s.to.Year() && !clock.pretends() {
			return impossible{&NotReadyError{h.Missing(year)}}
		}
		for _, d := range days {
			found = found || s.has(d.Date)
		}
	}
	return found
}

func (s dateSpan) has(d time.Time) bool { return !d.Before(s.from) && !d.After(s.to) }

// pretends says that a rule is asked whether it translates, not whom it means.
func (c Clock) pretends() bool { return c.Given != nil && c.Given.pretend }

// Ready says which holidays of the rule the table does not know at a time, so that authors hear of it before a run does.
func (r *Rule) Ready(clock Clock) (problems diag.List) {
	if clock.check() != nil {
		return nil
	}
	var err error
	defer func() {
		if err != nil {
			problems.Add(r.source.file, diag.Span{}, "", "%v", err)
		}
	}()
	defer recovered(&err)
	r.ready(lowering{rule: r, clock: clock, err: new(error)}, r.root, nil, &problems)
	return problems
}

// Ready is Rule.Ready.
func (v *Value) Ready(clock Clock) diag.List { return v.rule.Ready(clock) }

// ready goes through the tree; inside is the segment that it has come into, nil in the rule itself.
func (r *Rule) ready(l lowering, n node, inside *named, problems *diag.List) {
	if s, ok := n.(*named); ok && inside == nil {
		inside = s
	}
	if c, ok := n.(*call); ok && c.fn.Name == "holiday" {
		*l.err = nil
		l.node(c)
		if *l.err != nil && inside != nil {
			problems.Add(r.source.file, r.source.span(inside.at()), "", "in the segment %s: %v", inside.name, *l.err)
		} else if *l.err != nil {
			problems.Add(r.source.file, r.source.span(c.at()), "", "%v", *l.err)
		}
	}
	for _, child := range children(n) {
		r.ready(l, child, inside, problems)
	}
}
