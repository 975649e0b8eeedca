package importer

import (
	"bytes"
	"slices"
	"strings"
	"time"
)

// dateForm is how the parts of a date follow each other on paper.
type dateForm uint8

const (
	formYearFirst dateForm = iota + 1 // 2021-01-13
	formYearLast                      // 01/13/2021, 13.1.21; which number is the month is another question
	formDayName                       // 13 Jan 2021
	formNameDay                       // January 13, 2021
	formCompact                       // 20210113; only where an override says so
)

// datePattern is what dates of one habit have in common.
type datePattern struct {
	form   dateForm
	sep    byte  // 0 where a name separates
	digits uint8 // of the year: 2 or 4
}

// dateOrder says which number is which, of formYearLast; of formYearFirst only where an override says so.
type dateOrder uint8

const (
	monthDayYear dateOrder = iota
	dayMonthYear
	yearMonthDay // 21-01-13
	yearDayMonth // 2021-13-01, of formYearFirst
)

// dateFormat is a pattern whose order is known.
type dateFormat struct {
	pattern datePattern
	order   dateOrder
}

// String writes the format as an override does.
func (f dateFormat) String() string {
	year := "YYYY"
	if f.pattern.digits == 2 {
		year = "YY"
	}
	sep := string(f.pattern.sep)
	switch f.pattern.form {
	case formYearFirst:
		if f.order == yearDayMonth {
			return strings.Join([]string{"YYYY", "DD", "MM"}, sep)
		}
		return strings.Join([]string{"YYYY", "MM", "DD"}, sep)
	case formDayName:
		return "DD MON " + year
	case formNameDay:
		return "MON DD " + year
	case formCompact:
		return "YYYYMMDD"
	}
	switch f.order {
	case dayMonthYear:
		return strings.Join([]string{"DD", "MM", year}, sep)
	case yearMonthDay:
		return strings.Join([]string{year, "MM", "DD"}, sep)
	}
	return strings.Join([]string{"MM", "DD", year}, sep)
}

// writtenDate is a date, and perhaps a time, taken apart.
type writtenDate struct {
	pattern  datePattern
	parts    [3]int // in the order of writing; a month's name as its number
	clock    clock
	hasClock bool
}

// clock is a time of day.
type clock struct {
	hour, minute, second int
	fraction             []byte // digits behind the second's dot
	zoned                bool
	offset               int // minutes east of UTC, where zoned
}

func (c clock) midnight() bool {
	return c.hour == 0 && c.minute == 0 && c.second == 0 && len(bytes.TrimRight(c.fraction, "0")) == 0
}

// scanDate takes a trimmed value apart; ok is false when it has not the shape of a date.
func scanDate(v []byte) (d writtenDate, ok bool) {
	var rest []byte
	if len(v) < 6 {
		return d, false
	}
	if isDigit(v[0]) {
		rest, ok = d.scanNumbers(v)
	} else {
		rest, ok = d.scanNameFirst(v)
	}
	if !ok || len(rest) == 0 {
		return d, ok
	}
	d.clock, d.hasClock = scanClock(rest)
	return d, d.hasClock
}

// scanNumbers reads 2021-01-13, 01/13/21 and 13 Jan 2021.
func (d *writtenDate) scanNumbers(v []byte) (rest []byte, ok bool) {
	first, n, v := leadingNumber(v)
	if n == 0 || n == 3 || n > 4 || len(v) < 2 {
		return v, false
	}
	d.parts[0] = first
	if n <= 2 && nameSeparator(v[0]) && isLetter(v[1]) || isLetter(v[0]) {
		return d.scanDayName(v, n)
	}
	sep := v[0]
	if sep != '-' && sep != '/' && sep != '.' {
		return v, false
	}
	second, m, v := leadingNumber(v[1:])
	if m == 0 || m > 2 || len(v) < 2 || v[0] != sep {
		return v, false
	}
	third, k, v := leadingNumber(v[1:])
	d.parts[1], d.parts[2] = second, third
	d.pattern = datePattern{form: formYearLast, sep: sep, digits: uint8(k)}
	if n == 4 {
		d.pattern = datePattern{form: formYearFirst, sep: sep, digits: 4}
		return v, k == 1 || k == 2
	}
	return v, k == 2 || k == 4
}

// scanDayName goes on behind the day of 13 Jan 2021.
func (d *writtenDate) scanDayName(v []byte, digits int) (rest []byte, ok bool) {
	month, v := monthName(trimNameSeparators(v))
	year, n, v := leadingNumber(trimNameSeparators(v))
	d.parts[1], d.parts[2] = month, year
	d.pattern = datePattern{form: formDayName, digits: uint8(n)}
	return v, digits <= 2 && month > 0 && (n == 2 || n == 4)
}

// scanNameFirst reads January 13, 2021.
func (d *writtenDate) scanNameFirst(v []byte) (rest []byte, ok bool) {
	month, v := monthName(v)
	if month == 0 {
		return v, false
	}
	day, m, v := leadingNumber(trimNameSeparators(v))
	year, n, v := leadingNumber(trimNameSeparators(v))
	d.parts = [3]int{month, day, year}
	d.pattern = datePattern{form: formNameDay, digits: uint8(n)}
	return v, (m == 1 || m == 2) && (n == 2 || n == 4)
}

// leadingNumber reads up to five digits.
func leadingNumber(v []byte) (value, digits int, rest []byte) {
	for digits < len(v) && digits < 5 && isDigit(v[digits]) {
		value = value*10 + int(v[digits]-'0')
		digits++
	}
	return value, digits, v[digits:]
}

func nameSeparator(c byte) bool { return c == ' ' || c == '-' || c == '/' || c == ',' || c == '.' }

func trimNameSeparators(v []byte) []byte {
	for len(v) > 0 && nameSeparator(v[0]) {
		v = v[1:]
	}
	return v
}

func isLetter(c byte) bool { return (c|0x20) >= 'a' && (c|0x20) <= 'z' }

// monthName reads the English or Indonesian name of a month, whole or its first three letters; 0 when it is none.
func monthName(v []byte) (month int, rest []byte) {
	n := 0
	for n < len(v) && isLetter(v[n]) {
		n++
	}
	if n < 3 || n > 9 {
		return 0, v
	}
	month, names := monthOf([3]byte{v[0] | 0x20, v[1] | 0x20, v[2] | 0x20})
	if month == 0 || (n > 3 && !slices.Contains(strings.Fields(names), strings.ToLower(string(v[:n])))) {
		return 0, v
	}
	return month, v[n:]
}

// monthOf finds a month by the first three letters, and gives its whole names.
func monthOf(letters [3]byte) (month int, names string) {
	switch string(letters[:]) {
	case "jan":
		return 1, "january januari"
	case "feb", "peb":
		return 2, "february februari pebruari"
	case "mar":
		return 3, "march maret"
	case "apr":
		return 4, "april"
	case "may", "mei":
		return 5, ""
	case "jun":
		return 6, "june juni"
	case "jul":
		return 7, "july juli"
	case "aug", "agu", "agt", "ags":
		return 8, "august agustus"
	case "sep":
		return 9, "september sept"
	case "oct", "okt":
		return 10, "october oktober"
	case "nov", "nop":
		return 11, "november nopember"
	case "dec", "des":
		return 12, "december desember"
	}
	return 0, ""
}

// scanClock reads the time behind a date: " 08:30", "T08:30:00.5Z", " 8:30 PM", " 08:30:00 +07:00".
func scanClock(v []byte) (c clock, ok bool) {
	if v[0] != ' ' && v[0] != 'T' && v[0] != 't' {
		return c, false
	}
	var n int
	c.hour, n, v = leadingNumber(bytes.TrimLeft(v[1:], " "))
	if n < 1 || n > 2 || len(v) == 0 || v[0] != ':' {
		return c, false
	}
	if c.minute, n, v = leadingNumber(v[1:]); n != 2 {
		return c, false
	}
	if len(v) > 0 && v[0] == ':' {
		if c.second, n, v = leadingNumber(v[1:]); n != 2 {
			return c, false
		}
		c.fraction, v = fraction(v)
	}
	if v, ok = c.halfDay(v); !ok {
		return c, false
	}
	return c, c.zone(trimSpace(v)) && c.hour < 24 && c.minute < 60 && c.second < 60
}

func fraction(v []byte) (digits, rest []byte) {
	if len(v) < 2 || (v[0] != '.' && v[0] != ',') {
		return nil, v
	}
	n := 1
	for n < len(v) && isDigit(v[n]) {
		n++
	}
	return v[1:n], v[n:]
}

// halfDay reads AM or PM.
func (c *clock) halfDay(v []byte) (rest []byte, ok bool) {
	t := bytes.TrimLeft(v, " ")
	if len(t) < 2 || (t[1]|0x20) != 'm' || ((t[0]|0x20) != 'a' && (t[0]|0x20) != 'p') {
		return v, true
	}
	if c.hour < 1 || c.hour > 12 {
		return v, false
	}
	c.hour %= 12
	if (t[0] | 0x20) == 'p' {
		c.hour += 12
	}
	return t[2:], true
}

// zone reads Z, UTC, +07, +0700 or +07:00.
func (c *clock) zone(v []byte) bool {
	switch s := string(v); {
	case s == "":
		return true
	case s == "Z" || s == "z" || s == "UTC" || s == "GMT":
		c.zoned = true
		return true
	case s[0] != '+' && s[0] != '-':
		return false
	}
	hours, n, rest := leadingNumber(v[1:])
	minutes := 0
	switch {
	case n == 4 && len(rest) == 0:
		hours, minutes = hours/100, hours%100
	case n == 2 && len(rest) == 3 && rest[0] == ':':
		minutes, n, rest = leadingNumber(rest[1:])
		if n != 2 || len(rest) != 0 {
			return false
		}
	case n != 2 || len(rest) != 0:
		return false
	}
	c.zoned, c.offset = true, hours*60+minutes
	if v[0] == '-' {
		c.offset = -c.offset
	}
	return hours <= 15 && minutes < 60
}

// civil is the date, as year, month and day; the year as it is written, so perhaps with two digits.
func (d writtenDate) civil(order dateOrder) (year, month, day int) {
	p := d.parts
	switch {
	case order == yearDayMonth:
		return p[0], p[2], p[1]
	case d.pattern.form == formYearFirst, d.pattern.form == formCompact:
		return p[0], p[1], p[2]
	case d.pattern.form == formDayName:
		return p[2], p[1], p[0]
	case d.pattern.form == formNameDay || order == monthDayYear:
		return p[2], p[0], p[1]
	case order == dayMonthYear:
		return p[2], p[1], p[0]
	}
	return p[0], p[1], p[2]
}

// plausible tells whether a month and a day can be ones, in any year.
func plausible(year, month, day int) bool {
	return month >= 1 && month <= 12 && day >= 1 && day <= daysIn(month) && year >= 0
}

func daysIn(month int) int {
	switch month {
	case 2:
		return 29
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// exists tells whether the calendar has the day.
func exists(year, month, day int) bool {
	if year < 1 || !plausible(year, month, day) {
		return false
	}
	leap := year%4 == 0 && (year%100 != 0 || year%400 == 0)
	return month != 2 || day < 29 || leap
}

// century completes a two-digit year: the last year with these digits that is not later than the latest one.
func century(twoDigits int, latest int) int {
	year := latest - latest%100 + twoDigits
	if year > latest {
		year -= 100
	}
	return year
}

// latestYear is how far ahead a two-digit year may lie.
func latestYear(now time.Time, births bool) int {
	if births {
		return now.Year()
	}
	return now.Year() + 20
}
