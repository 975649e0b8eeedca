package segment

import (
	"crypto/sha256"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/customer"
)

// calendarAtom draws a condition about birthdays, ages, weekdays and holidays.
func (g *generator) calendarAtom(depth int) string {
	date := g.moment(depth)
	switch g.n(12) {
	case 0, 1:
		return "birthday(" + date + ", " + g.lookAround() + ")"
	case 2:
		return "birthday(" + date + ")"
	case 3, 4:
		if g.n(3) == 0 {
			return "anniversary(" + date + ")"
		}
		return "anniversary(" + date + ", " + g.lookAround() + ")"
	case 5, 6:
		return g.aged(date)
	case 7:
		return "(weekday(" + date + ")" + oneOf(g, " == ", " != ", " <= ") + strconv.Itoa(g.n(7)+1) + ")"
	case 8:
		return "(weekday(" + date + ") in " + oneOf(g, "6..7", "1..3", "[1, nil, 7]", "[5]") + ")"
	case 9:
		if g.n(2) == 0 {
			return "in_month(" + date + ")"
		}
		return "in_month(" + date + ", " + strconv.Itoa(oneOf(g, 2, 11, 1, 12, 3)) + ")"
	case 10:
		return "(holiday(" + g.heldDay() + ") && " + g.atom(0) + ")"
	}
	return "random_split(" + oneOf(g, `"a"`, `"b"`, `"É 'x\\"`) + ", " +
		oneOf(g, "0.1", `"37.5%"`, "0.5", "1/3", "0.9", "0", "1", "0.2, 0.5", `"10%", 1`, "0, 0.01") + ")"
}

// lookAround is a period at whose ends something happens.
func (g *generator) lookAround() string {
	return oneOf(g, "days(0)", "days(1)", "days(7)", "days(-7)", "days(40)", "days(-60)", "weeks(-1)", "months(1)", "months(-2)", "months(11)",
		"days(363)", "days(364)", "days(365)", "days(366)", "days(-364)", "years(1)", "years(-1)", "years(3)", "months(1) + days(3)")
}

// aged compares an age.
func (g *generator) aged(date string) string {
	age := "age(" + date + ")"
	years := func() string { return strconv.Itoa(oneOf(g, 0, 1, 2, 18, 24, 25, 26, 36, 1982, -1, 9000)) }
	switch g.n(6) {
	case 0:
		return "(" + age + oneOf(g, " in ", " not in ") + years() + ".." + years() + ")"
	case 1:
		return "(" + age + oneOf(g, " == nil", " in [2, nil, 26]", " + 1 > 19", " < 17.5", " % 2 == 0") + ")"
	case 2:
		return "(" + years() + oneOf(g, " == ", " < ", " >= ") + age + ")"
	}
	return "(" + age + oneOf(g, " == ", " != ", " < ", " <= ", " > ", " >= ") + years() + ")"
}

func (g *generator) heldDay() string {
	var names []string
	for name := range heldDays() {
		names = append(names, name)
	}
	slices.Sort(names)
	name := strconv.Quote(names[g.n(len(names))])
	return name + oneOf(g, "", ", days(1)", ", days(-3)", ", months(2)", ", days(-40)", ", days(100)")
}

// heldDays are what the third opinion knows of holidays in the years of the tests' clocks, from calendars on paper.
func heldDays() map[string][]string {
	return map[string][]string{
		"christmas":   {"2023-12-25", "2024-12-25", "2025-12-25", "2026-12-25", "2027-12-25"},
		"lebaran":     {"2024-04-10", "2024-04-11", "2025-03-31", "2025-04-01", "2026-03-21", "2026-03-22", "2027-03-10", "2027-03-11"},
		"mothers_day": {"2023-12-22", "2024-12-22", "2025-12-22", "2026-12-22", "2027-12-22"},
		"good_friday": {"2023-04-07", "2024-03-29", "2025-04-18", "2026-04-03", "2027-03-26"},
		"nyepi":       {"2024-03-11", "2025-03-29", "2026-03-19", "2027-03-08"},
		"new_year":    {"2024-01-01", "2025-01-01", "2026-01-01", "2027-01-01"},
	}
}

// opinionOnCalendar is the third opinion on those functions, which goes through the days one by one; known is false for
// all others.
func opinionOnCalendar(clock Clock, name string, args []any) (v any, known bool, err error) {
	switch name {
	case "holiday":
		var days []string
		for _, d := range daysAround(clock.Today, args[1:]) {
			days = append(days, d.Format(time.DateOnly))
		}
		return slices.ContainsFunc(heldDays()[args[0].(string)], func(d string) bool { return slices.Contains(days, d) }), true, nil
	case "random_split":
		return inShare(args), true, nil
	case "birthday", "anniversary", "in_month", "age", "weekday":
	default:
		return nil, false, nil
	}
	m, ok := args[0].(moment)
	if ok {
		m = moment{customer.Date, m.as(customer.Date, clock.Zone)}
		ok = !m.t.Equal(Infinity) && !m.t.Equal(NegInfinity)
	}
	switch {
	case !ok && (name == "age" || name == "weekday"):
		return nil, true, nil
	case !ok:
		return false, true, nil
	}
	return opinionOnDate(clock, name, m.t, args[1:]), true, nil
}

func opinionOnDate(clock Clock, name string, d time.Time, more []any) any {
	switch name {
	case "birthday":
		return slices.ContainsFunc(daysAround(clock.Today, more), func(day time.Time) bool { return celebrates(d, day) })
	case "anniversary":
		return slices.ContainsFunc(daysAround(clock.Today, more), func(day time.Time) bool {
			return celebrates(d, day) && day.Year() > d.Year()
		})
	case "in_month":
		month := clock.Today.Format("1")
		if len(more) == 1 {
			month = fmt.Sprint(more[0])
		}
		return d.Format("1") == month
	case "weekday":
		return number_(map[string]int{"Mon": 1, "Tue": 2, "Wed": 3, "Thu": 4, "Fri": 5, "Sat": 6, "Sun": 7}[d.Format("Mon")])
	}
	return yearsOld(d, clock.Today)
}

// yearsOld counts the birthdays that have come.
func yearsOld(born, today time.Time) any {
	if born.After(today) {
		return nil
	}
	years := 0
	for year := born.Year() + 1; year <= today.Year(); year++ {
		day := time.Date(year, born.Month(), born.Day(), 12, 0, 0, 0, time.UTC)
		if day.Month() != born.Month() {
			day = time.Date(year, time.February, 28, 12, 0, 0, 0, time.UTC)
		}
		if day.Before(today.AddDate(0, 0, 1)) {
			years++
		}
	}
	return number_(years)
}

// celebrates says whether somebody who was born on a date celebrates on a day.
func celebrates(born, day time.Time) bool {
	if born.Format("01-02") == day.Format("01-02") {
		return true
	}
	tomorrow := day.AddDate(0, 0, 1).Format("01-02")
	return born.Format("01-02") == "02-29" && day.Format("01-02") == "02-28" && tomorrow == "03-01"
}

// daysAround are the days from today to a period ahead or back, which is at most three years.
func daysAround(today time.Time, period_ []any) []time.Time {
	end := today
	if len(period_) > 0 {
		end = addCivil(today, period_[0].(period))
	}
	step := 1
	if end.Before(today) {
		step = -1
	}
	days := []time.Time{today}
	for d := today; !d.Equal(end) && len(days) < 1200; {
		d = d.AddDate(0, 0, step)
		days = append(days, d)
	}
	return days
}

// inShare takes the customer's hash as a fraction; the last argument is the customer's row (see the opinion's patcher).
func inShare(args []any) bool {
	row := args[len(args)-1].(map[string]any)
	hash := sha256.Sum256([]byte(args[0].(string) + "\n" + row["id"].(exact).rat.Num().String()))
	place := new(big.Rat).SetFrac(new(big.Int).SetBytes(hash[:]), new(big.Int).Lsh(big.NewInt(1), 256))
	from, to := new(big.Rat), fraction(args[len(args)-2])
	if len(args) == 4 {
		from = fraction(args[1])
	}
	return place.Cmp(from) >= 0 && place.Cmp(to) < 0
}

func fraction(v any) *big.Rat {
	if text, ok := v.(string); ok {
		r, _ := new(big.Rat).SetString(strings.TrimSuffix(text, "%"))
		return r.Quo(r, big.NewRat(100, 1))
	}
	return digits15(number_(v)).rat
}
