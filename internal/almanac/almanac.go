// Package almanac says on which dates of a year a holiday falls. It reads what sapa.yaml and the tables that ship with
// Sapa write:
//
//	12-25                            month and day, every year; 02-29 is kept on 28 February in common years
//	second sunday of may             first, second, third, fourth or last
//	easter - 2                       days before or after Easter Sunday (Gregorian); also "orthodox easter"
//	fourth thursday of november + 1  the day after it
//	2027-03-10                       one date of one year, for what is announced year by year
package almanac

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// Days are the days of one holiday: rules for every year, and dates of single years, which go before the rules.
type Days struct {
	rules []rule
	dates map[int][]time.Time
}

// rule is a day of every year.
type rule struct {
	base   base
	month  time.Month
	day    int          // of fixed days
	nth    int          // of weekdays: 1 to 4, or -1 for the last
	wday   time.Weekday //
	offset int          // in days
}

type base int

const (
	fixed base = iota
	weekday
	easter
	orthodox
)

// Parse reads one or more days.
func Parse(texts ...string) (Days, error) {
	var d Days
	for _, text := range texts {
		if err := d.add(text); err != nil {
			return Days{}, err
		}
	}
	return d, nil
}

var errForm = errors.New("expected a date such as 2027-03-10, or a rule such as 12-22, second sunday of may or easter - 2")

func (d *Days) add(text string) error {
	text = strings.ToLower(strings.Join(strings.Fields(text), " "))
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		if d.dates == nil {
			d.dates = map[int][]time.Time{}
		}
		d.dates[t.Year()] = append(d.dates[t.Year()], t)
		return nil
	}
	r, err := parseRule(text)
	if err != nil {
		return err
	}
	d.rules = append(d.rules, r)
	return nil
}

var (
	offsetForm  = regexp.MustCompile(`^(.+?) ?([+-]) ?(\d{1,3})( days?)?$`)
	fixedForm   = regexp.MustCompile(`^(\d\d)-(\d\d)$`)
	weekdayForm = regexp.MustCompile(`^([a-z]+) ([a-z]+) (?:of|in) ([a-z]+)$`)
)

func parseRule(text string) (rule, error) {
	if !fixedForm.MatchString(text) {
		if m := offsetForm.FindStringSubmatch(text); m != nil {
			r, err := parseRule(m[1])
			r.offset, _ = strconv.Atoi(m[2] + m[3])
			return r, err
		}
	}
	if m := fixedForm.FindStringSubmatch(text); m != nil {
		return parseFixed(text)
	}
	if m := weekdayForm.FindStringSubmatch(text); m != nil {
		return parseWeekday(m[1], m[2], m[3])
	}
	switch text {
	case "easter":
		return rule{base: easter}, nil
	case "orthodox easter":
		return rule{base: orthodox}, nil
	}
	return rule{}, errForm
}

func parseFixed(text string) (rule, error) {
	t, err := time.Parse(time.DateOnly, "2024-"+text) // a leap year
	if err != nil {
		return rule{}, errors.New("expected a month and a day that exist, such as 12-22")
	}
	return rule{base: fixed, month: t.Month(), day: t.Day()}, nil
}

func parseWeekday(nth, day, month string) (rule, error) {
	r := rule{base: weekday, nth: slices.Index([]string{"", "first", "second", "third", "fourth"}, nth)}
	if nth == "last" {
		r.nth = -1
	}
	found := r.nth != -1 || nth == "last"
	for w := time.Sunday; w <= time.Saturday; w++ {
		if strings.EqualFold(w.String(), day) {
			r.wday, day = w, ""
		}
	}
	for m := time.January; m <= time.December; m++ {
		if strings.EqualFold(m.String(), month) {
			r.month = m
		}
	}
	if !found || day != "" || r.month == 0 {
		return rule{}, errors.New("expected first, second, third, fourth or last, a weekday and a month, as in second sunday of may")
	}
	return r, nil
}

// UnmarshalNode reads one day or a list of days.
func (d *Days) UnmarshalNode(n strictyaml.Node) diag.List {
	items := []strictyaml.Node{n}
	switch {
	case n.Kind() == strictyaml.List && len(n.Items()) == 0:
		return diag.List{n.Problem("such as [2027-03-10, 2027-03-11], or leave the line out", "no day is named")}
	case n.Kind() == strictyaml.List:
		items = n.Items()
	}
	var problems diag.List
	for _, item := range items {
		if item.Kind() != strictyaml.Text {
			problems = append(problems, item.Expected("", "a day such as 12-22, or a list of days"))
		} else if err := d.add(item.Text()); err != nil {
			problems = append(problems, item.Problem("", "%v, found %q", err, item.Text()))
		}
	}
	return problems
}

// In are the days of a year in order, midnight UTC standing for a date; none where the year is not known.
func (d Days) In(year int) []time.Time {
	days := slices.Clone(d.dates[year])
	if len(days) == 0 {
		for _, r := range d.rules {
			days = append(days, r.in(year))
		}
	}
	slices.SortFunc(days, time.Time.Compare)
	return days
}

// Over are the days where own, which an author wrote, goes before these: a rule of its own replaces all, a date those of
// its year.
func (d Days) Over(own Days) Days {
	if len(own.rules) > 0 {
		return own
	}
	merged := Days{rules: d.rules, dates: map[int][]time.Time{}}
	for _, from := range []map[int][]time.Time{d.dates, own.dates} {
		for year, days := range from {
			merged.dates[year] = days
		}
	}
	return merged
}

// Has says whether the days hold dates of a year, and not a rule for every year.
func (d Days) Has(year int) bool { return len(d.dates[year]) > 0 }

func (r rule) in(year int) time.Time {
	var day time.Time
	switch r.base {
	case easter:
		day = gregorianEaster(year)
	case orthodox:
		day = orthodoxEaster(year)
	case weekday:
		day = r.weekdayIn(year)
	default:
		day = date(year, r.month, r.day)
		if day.Month() != r.month { // 29 February
			day = day.AddDate(0, 0, -1)
		}
	}
	return day.AddDate(0, 0, r.offset)
}

func (r rule) weekdayIn(year int) time.Time {
	if r.nth < 0 {
		last := date(year, r.month+1, 0)
		return last.AddDate(0, 0, -(int(last.Weekday()-r.wday)+7)%7)
	}
	first := date(year, r.month, 1)
	return first.AddDate(0, 0, (int(r.wday-first.Weekday())+7)%7+7*(r.nth-1))
}

func date(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// gregorianEaster is Easter Sunday of the western churches, by the algorithm that Nature published anonymously in 1876.
func gregorianEaster(year int) time.Time {
	a, b, c := year%19, year/100, year%100
	d, e := b/4, b%4
	g := (8*b + 13) / 25
	h := (19*a + b - d - g + 15) % 30
	i, k := c/4, c%4
	l := (32 + 2*e + 2*i - h - k) % 7
	m := (a + 11*h + 22*l) / 451
	n := h + l - 7*m + 114
	return date(year, time.Month(n/31), n%31+1)
}

// orthodoxEaster is Easter Sunday by the Julian calendar (Meeus), as a date of the Gregorian one.
func orthodoxEaster(year int) time.Time {
	a, b, c := year%4, year%7, year%19
	d := (19*c + 15) % 30
	e := (2*a + 4*b - d + 34) % 7
	n := d + e + 114
	return date(year, time.Month(n/31), n%31+1+year/100-year/400-2)
}
