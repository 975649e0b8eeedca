package importer

import (
	"fmt"
	"strconv"
)

// valueParser turns a value as written into one that PostgreSQL reads.
type valueParser struct {
	notation   notation
	spaces     bool // single spaces group digits
	formats    []dateFormat
	latestYear int // of two-digit years
}

// appendValue writes a value as the text format of COPY has it. A reason means that it can't be loaded.
func (c *Column) appendValue(dst, v []byte) (out []byte, reason string) {
	if c.Type == Text {
		return appendText(dst, v), ""
	}
	t := trimSpace(v)
	switch c.Type {
	case Boolean:
		return c.parser.appendBool(dst, t)
	case BigInt, Numeric:
		return c.parser.appendNumber(dst, t, c.Type)
	}
	return c.appendDate(dst, t)
}

// appendText escapes what COPY's text format reserves.
func appendText(dst, v []byte) []byte {
	for _, b := range v {
		switch b {
		case '\\':
			dst = append(dst, '\\', '\\')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, b)
		}
	}
	return dst
}

func (p *valueParser) appendBool(dst, t []byte) ([]byte, string) {
	value, _, ok := boolWord(t)
	switch {
	case ok && value, string(t) == "1":
		return append(dst, 't'), ""
	case ok, string(t) == "0":
		return append(dst, 'f'), ""
	}
	return dst, "neither true nor false"
}

// maxNumericDigits is what numeric keeps before and behind the point, cautiously.
const maxNumericDigits = 1000

func (p *valueParser) appendNumber(dst, t []byte, kind Type) ([]byte, string) {
	n, ok := scanNumber(t, p.spaces)
	if !ok {
		return dst, "not a number"
	}
	if len(n.body) > maxNumericDigits {
		return dst, fmt.Sprintf("a number of more than %d digits", maxNumericDigits)
	}
	if kind == BigInt && n.hasFraction(p.notation) {
		return dst, "not a whole number"
	}
	start := len(dst)
	dst, ok = n.appendTo(dst, p.notation)
	if !ok {
		return dst, "not a number written like " + p.notation.String()
	}
	if kind == BigInt && n.digits > 18 {
		if _, err := strconv.ParseInt(string(dst[start:]), 10, 64); err != nil {
			return dst[:start], "too large for a whole number (bigint)"
		}
	}
	return dst, ""
}

func (c *Column) appendDate(dst, t []byte) ([]byte, string) {
	d, format, ok := c.parser.date(t)
	if !ok {
		return dst, "not a date written " + c.Format
	}
	year, month, day := d.civil(format.order)
	if d.pattern.digits == 2 {
		year = century(year, c.parser.latestYear)
	}
	if !exists(year, month, day) {
		return dst, fmt.Sprintf("no such day: year %d, month %d, day %d", year, month, day)
	}
	if c.Type == Date && d.hasClock && !d.clock.midnight() {
		return dst, "has a time, which a date can't keep"
	}
	if c.Type == Timestamp && d.clock.zoned {
		return dst, "has a time zone, which a timestamp can't keep"
	}
	dst = appendDay(dst, year, month, day)
	if c.Type == Date {
		return dst, ""
	}
	return d.clock.appendTo(dst, c.Type), ""
}

// date takes a value apart that has one of the column's formats.
func (p *valueParser) date(t []byte) (writtenDate, dateFormat, bool) {
	d, ok := scanDate(t)
	if !ok {
		d, ok = compactDate(t)
	}
	if ok {
		for _, f := range p.formats {
			if f.pattern == d.pattern {
				return d, f, true
			}
		}
	}
	return d, dateFormat{}, false
}

// compactDate reads 20210113.
func compactDate(t []byte) (d writtenDate, ok bool) {
	n, err := strconv.Atoi(string(t))
	if len(t) != 8 || err != nil || !isDigit(t[0]) {
		return d, false
	}
	d.pattern = datePattern{form: formCompact, digits: 4}
	d.parts = [3]int{n / 10000, n / 100 % 100, n % 100}
	return d, true
}

func appendDay(dst []byte, year, month, day int) []byte {
	dst = appendPadded(dst, year, 4)
	dst = append(dst, '-')
	dst = appendPadded(dst, month, 2)
	dst = append(dst, '-')
	return appendPadded(dst, day, 2)
}

// appendTo writes the time behind the day. A timestamptz without a zone is UTC.
func (c clock) appendTo(dst []byte, kind Type) []byte {
	dst = append(dst, ' ')
	dst = appendPadded(dst, c.hour, 2)
	dst = append(dst, ':')
	dst = appendPadded(dst, c.minute, 2)
	dst = append(dst, ':')
	dst = appendPadded(dst, c.second, 2)
	if len(c.fraction) > 0 {
		dst = append(dst, '.')
		dst = append(dst, c.fraction[:min(len(c.fraction), 9)]...)
	}
	if kind != Timestamptz {
		return dst
	}
	sign, offset := byte('+'), c.offset
	if offset < 0 {
		sign, offset = '-', -offset
	}
	dst = append(dst, sign)
	dst = appendPadded(dst, offset/60, 2)
	dst = append(dst, ':')
	return appendPadded(dst, offset%60, 2)
}

func appendPadded(dst []byte, n, width int) []byte {
	for limit := 10; width > 1; width, limit = width-1, limit*10 {
		if n < limit {
			dst = append(dst, '0')
		}
	}
	return strconv.AppendInt(dst, int64(n), 10)
}
