package templates

import (
	"errors"
	"strings"

	"github.com/shopspring/decimal"
)

// locale is how a language writes numbers, dates and lists.
type locale struct {
	group, point string
	months, days [12]string // days: Sunday first, 7 used
	shortMonths  [12]string
	shortDays    [12]string
	long, short  string // formats of date_long and date_short
	and          string
	serialComma  bool
	dollar       string // the US dollar's symbol
}

var (
	englishMonths = [12]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}
	englishShort  = [12]string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}
	englishDays   = [12]string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
	englishShortD = [12]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

	indonesian = &locale{
		group: ".", point: ",", dollar: "US$", and: "dan", long: "%-d %B %Y", short: "%d/%m/%Y",
		months:      [12]string{"Januari", "Februari", "Maret", "April", "Mei", "Juni", "Juli", "Agustus", "September", "Oktober", "November", "Desember"},
		shortMonths: [12]string{"Jan", "Feb", "Mar", "Apr", "Mei", "Jun", "Jul", "Agu", "Sep", "Okt", "Nov", "Des"},
		days:        [12]string{"Minggu", "Senin", "Selasa", "Rabu", "Kamis", "Jumat", "Sabtu"},
		shortDays:   [12]string{"Min", "Sen", "Sel", "Rab", "Kam", "Jum", "Sab"},
	}
	english = &locale{
		group: ",", point: ".", dollar: "$", and: "and", long: "%-d %B %Y", short: "%d/%m/%Y",
		months: englishMonths, shortMonths: englishShort, days: englishDays, shortDays: englishShortD,
	}
	american = &locale{
		group: ",", point: ".", dollar: "$", and: "and", serialComma: true, long: "%B %-d, %Y", short: "%m/%d/%Y",
		months: englishMonths, shortMonths: englishShort, days: englishDays, shortDays: englishShortD,
	}
	// continental is English words with the separators of the languages that write 12.500,5.
	continental = &locale{
		group: ".", point: ",", dollar: "US$", and: "and", long: "%-d %B %Y", short: "%d/%m/%Y",
		months: englishMonths, shortMonths: englishShort, days: englishDays, shortDays: englishShortD,
	}
)

// findLocale is the locale of a BCP 47 tag. Languages without words here get English ones.
func findLocale(tag string) *locale {
	tag = strings.ReplaceAll(tag, "_", "-")
	language, region, _ := strings.Cut(tag, "-")
	switch strings.ToLower(language) {
	case "id", "in", "jv", "su":
		return indonesian
	case "de", "nl", "es", "it", "pt", "tr", "vi", "da":
		return continental
	case "en":
		if strings.EqualFold(region, "US") || region == "" {
			return american
		}
	}
	return english
}

// localeOf is the person's locale, else the scope's, else the schema's default, else English.
func (t *Template) localeOf(vars map[string]any) *locale {
	if tag, ok := vars["locale"].(string); ok && tag != "" && tag != t.localeTag {
		return findLocale(tag)
	}
	return t.locale
}

// format writes a number with separators; places < 0 keeps the places that it has.
func (l *locale) format(d decimal.Decimal, places int) string {
	s := d.String()
	if places >= 0 {
		s = d.StringFixed(int32(places))
	}
	sign, digits := "", s
	if strings.HasPrefix(s, "-") {
		sign, digits = "-", s[1:]
	}
	whole, fraction, found := strings.Cut(digits, ".")
	var b strings.Builder
	b.WriteString(sign)
	for i, c := range []byte(whole) {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteString(l.group)
		}
		b.WriteByte(c)
	}
	if found {
		b.WriteString(l.point + fraction)
	}
	return b.String()
}

// currency is how an amount is written: the symbol before it, and its decimal places.
func (l *locale) currency(code string) (symbol string, places int, ok bool) {
	switch code {
	case "IDR":
		return "Rp\u00a0", 0, true
	case "USD":
		return l.dollar, 2, true
	case "EUR":
		return "€", 2, true
	case "GBP":
		return "£", 2, true
	case "SGD":
		return "S$", 2, true
	case "AUD":
		return "A$", 2, true
	case "MYR":
		return "RM", 2, true
	case "JPY":
		return "¥", 0, true
	case "KRW", "VND":
		return code + "\u00a0", 0, true
	}
	letters := len(code) == 3 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
	return code + "\u00a0", 2, letters
}

// money writes an amount. The space behind a symbol does not break in HTML and is an ordinary one elsewhere.
func money(f *frame, in any, code string) (any, error) {
	d, ok := toNumber(in)
	if !ok {
		return nil, errNumber(in)
	}
	if tooLong(d) {
		return nil, errDigits
	}
	symbol, places, ok := f.locale.currency(code)
	if !ok {
		return nil, errors.New(`a currency is needed, as in "USD"`)
	}
	if f.t.format != HTML {
		symbol = strings.ReplaceAll(symbol, "\u00a0", " ")
	}
	sign := ""
	if d = d.Round(int32(places)); d.IsNegative() {
		sign, d = "-", d.Abs()
	}
	return sign + symbol + f.locale.format(d, places), nil
}

func numberFilter(f *frame, in any, args []any) (any, error) {
	d, ok := toNumber(in)
	if !ok {
		return nil, errNumber(in)
	}
	places, err := wholeArg(args, 0, -1)
	switch {
	case err != nil:
		return nil, err
	case tooLong(d):
		return nil, errDigits
	case len(args) > 0 && (places < 0 || places > 20):
		return nil, errors.New("the places must be 0 to 20")
	}
	return f.locale.format(d, places), nil
}
