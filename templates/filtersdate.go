package templates

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

func dateFilters() []*filter {
	return []*filter{{
		name: "date", in: dateShape, params: []param{{name: "format", shape: textShape}}, result: gives(textShape), fn: dateFilter,
		doc: "A date in a format of `%` letters: `%d` day, `%-d` day without zero, `%m` month, `%B` its name, `%b` its short name, " +
			"`%Y` year, `%y` two digits of it, `%A` day of the week, `%a` its short name, `%H` hour, `%I` hour to 12, `%M` minute, " +
			"`%S` second, `%p` AM or PM, `%j` day of the year, `%F` for 2026-11-22, `%T` for 08:30:00, `%%` for a percent sign. " +
			"The names are in the customer's language.",
		example: `{{ run.date | date: "%A, %-d %B %Y" }}`, output: "Minggu, 22 November 2026",
	}, {
		name: "date_long", in: dateShape, result: gives(textShape), fn: func(f *frame, in any, _ []any) (any, error) { return formatDate(f, in, f.locale.long) },
		doc: "A date as a letter has it.", example: `{{ run.date | date_long }}`, output: "22 November 2026",
	}, {
		name: "date_short", in: dateShape, result: gives(textShape), fn: func(f *frame, in any, _ []any) (any, error) { return formatDate(f, in, f.locale.short) },
		doc: "A date in numbers.", example: `{{ run.date | date_short }}`, output: "22/11/2026",
	}}
}

func dateFilter(f *frame, in any, args []any) (any, error) {
	return formatDate(f, in, printed(args[0]))
}

func formatDate(f *frame, in any, format string) (any, error) {
	t, ok := toTime(in)
	if !ok {
		return nil, errors.New("a date is needed, and this is " + kindOf(in))
	}
	if len(format) > 200 {
		return nil, errors.New("the format is too long")
	}
	return strftime(f.locale, t, format)
}

// toTime reads a date: a date, or a text such as 2026-11-22 or 2026-11-22 08:00.
func toTime(v any) (time.Time, bool) {
	if t, ok := v.(time.Time); ok {
		return t, true
	}
	s, ok := text(v)
	if !ok {
		return time.Time{}, false
	}
	for _, layout := range []string{time.DateOnly, time.DateTime, "2006-01-02 15:04", time.RFC3339} {
		if t, err := time.Parse(layout, strings.TrimSpace(s)); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// strftime formats as C's function of this name does, with the names of a locale. %-d leaves out a leading zero, %^B
// makes capitals.
func strftime(l *locale, t time.Time, format string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		flag := byte(0)
		if i+1 < len(format) && strings.IndexByte("-^", format[i+1]) >= 0 {
			i++
			flag = format[i]
		}
		if i++; i >= len(format) {
			return "", errors.New("a letter is missing behind the last %")
		}
		s, ok := directive(l, t, format[i])
		if !ok {
			return "", fmt.Errorf("%%%c has no meaning in a date's format", format[i])
		}
		switch flag {
		case '-':
			s = withoutZero(s)
		case '^':
			s = strings.ToUpper(s)
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

func withoutZero(s string) string {
	if trimmed := strings.TrimLeft(s, "0 "); trimmed != "" {
		return trimmed
	}
	return s[max(0, len(s)-1):]
}

func directive(l *locale, t time.Time, c byte) (string, bool) {
	switch c {
	case 'a':
		return l.shortDays[t.Weekday()], true
	case 'A':
		return l.days[t.Weekday()], true
	case 'b', 'h':
		return l.shortMonths[t.Month()-1], true
	case 'B':
		return l.months[t.Month()-1], true
	case 'e':
		return fmt.Sprintf("%2d", t.Day()), true
	case 'j':
		return fmt.Sprintf("%03d", t.YearDay()), true
	case 'u':
		return strconv.Itoa((int(t.Weekday())+6)%7 + 1), true
	case '%':
		return "%", true
	}
	layout, ok := layouts[c]
	return t.Format(layout), ok
}

// layouts are the directives that Go's time package knows.
var layouts = map[byte]string{
	'd': "02", 'm': "01", 'Y': "2006", 'y': "06", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'P': "pm",
	'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'Z': "MST", 'z': "-0700",
}
