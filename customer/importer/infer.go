package importer

import (
	"fmt"
	"slices"
	"strings"
)

// A column has a type when at most one value in a hundred contradicts it. Those values are rejected when the file is
// loaded, which the plan says beforehand.
const toleratedShare = 100

// verdict is what a column's values were found to be.
type verdict struct {
	kind     Type
	format   string
	parser   valueParser
	notes    []string
	question *Question
}

// infer decides on a column by its values.
func infer(col *Column) verdict {
	s := col.stats
	values := s.values()
	odd := values - s.numbers.n
	switch {
	case values == 0:
		return verdict{kind: Text}
	case s.bools[0]+s.bools[1] == values && (s.certain || (s.bools[0] > 0 && s.bools[1] > 0)):
		return verdict{kind: Boolean}
	case s.codes > 0 && s.numbers.n+s.codes == values:
		return inferCodes(col)
	case s.numbers.n > 0 && s.codes == 0 && odd*toleratedShare <= values:
		return inferNumber(col, odd)
	case s.goodDates()*2 >= values && s.goodDates() > 0 && (values-s.goodDates()-s.badDates)*toleratedShare <= values:
		return inferDate(col, "")
	}
	return inferText(col)
}

// inferCodes is text, with a word where most of it looked like numbers.
func inferCodes(col *Column) verdict {
	s := col.stats
	v := verdict{kind: Text}
	if s.numbers.n > s.codes {
		v.notes = append(v.notes, fmt.Sprintf("%s stays text: %q (line %d) is no quantity", col.Header, s.firstCode.value, s.firstCode.line))
	}
	return v
}

// inferText is text, with a word where most values are something better.
func inferText(col *Column) verdict {
	s := col.stats
	v := verdict{kind: Text}
	values := s.values()
	odd, word, kind := s.numbers.n, "numbers", Numeric
	if dates := s.goodDates(); dates > odd {
		odd, word, kind = dates, "dates", Date
	}
	if odd*4 < values*3 {
		return v
	}
	other := s.oddOne(kind)
	v.notes = append(v.notes, fmt.Sprintf("%s stays text: %d of %d values are %s, but not %q (line %d); %s would load the %s and reject the rest",
		col.Header, odd, values, word, other.value, other.line, col.flag(kind, ""), word))
	return v
}

// oddOne is the first value that is not of the kind.
func (s *stats) oddOne(kind Type) sample {
	if kind == Numeric || kind == BigInt {
		return firstOf(s.firstText, s.firstBool, s.firstCode, s.firstBadDate, s.firstDate())
	}
	return firstOf(s.firstText, s.firstBool, s.firstCode, s.numbers.firstAny)
}

func (s *stats) firstDate() sample {
	var first sample
	for _, p := range s.dates {
		first = firstOf(first, p.first)
	}
	return first
}

// firstOf is the one on the earliest line.
func firstOf(samples ...sample) sample {
	var first sample
	for _, c := range samples {
		if c.line > 0 && (first.line == 0 || c.line < first.line) {
			first = c
		}
	}
	return first
}

// inferNumber decides between bigint and numeric.
func inferNumber(col *Column, odd int64) verdict {
	s := &col.stats.numbers
	if holdsCodes(col.Name) && s.money == 0 && s.fractions == 0 {
		return verdict{kind: Text, notes: []string{fmt.Sprintf("%s stays text: a column with this name holds no quantities; %s makes it a number",
			col.Header, col.flag(BigInt, ""))}}
	}
	in, question := notationOf(col)
	if question != nil {
		return verdict{kind: Numeric, question: question}
	}
	v := verdict{kind: BigInt, parser: valueParser{notation: in}}
	if s.hasFractions(in) || s.money > 0 || s.wide > 0 {
		v.kind = Numeric
	}
	if in == commaDecimal {
		v.format = in.String()
	}
	if odd > 0 {
		v.notes = append(v.notes, rejection(col, v.kind, odd, col.stats.oddOne(v.kind)))
	}
	return v
}

// rejection announces what will not be loaded.
func rejection(col *Column, kind Type, n int64, first sample) string {
	values := "values are"
	if n == 1 {
		values = "value is"
	}
	return fmt.Sprintf("%s: %d %s no %s, as %q on line %d: rejected unless %s, or --null where a word means missing",
		col.Header, n, values, kind, first.value, first.line, col.flag(Text, ""))
}

func (s *numberStats) hasFractions(in notation) bool {
	if in == commaDecimal {
		return s.fractions+s.styles[ambiguousComma] > 0
	}
	return s.fractions+s.styles[ambiguousDot] > 0
}

// notationOf weighs what the numbers prove.
func notationOf(col *Column) (notation, *Question) {
	s := &col.stats.numbers
	dot, comma := s.styles[provesDot], s.styles[provesComma]
	switch {
	case s.mixed.line > 0:
		return undecided, &Question{
			Column:  col.Header,
			Message: fmt.Sprintf("amounts in several currencies: %q (line %d), but %q (line %d)", s.firstAny.value, s.firstAny.line, s.mixed.value, s.mixed.line),
			Flags:   []string{col.flag(Text, ""), col.flag(Numeric, dotDecimal.String()), col.flag(Numeric, commaDecimal.String())},
		}
	case dot > 0 && comma > 0:
		a, b := s.first[provesDot], s.first[provesComma]
		return undecided, askNotation(col, fmt.Sprintf("%q (line %d) is written like 1,234.56, but %q (line %d) like 1.234,56", a.value, a.line, b.value, b.line))
	case comma > 0:
		return commaDecimal, nil
	case dot > 0 || s.styles[ambiguousDot]+s.styles[ambiguousComma] == 0:
		return dotDecimal, nil
	}
	first := s.first[ambiguousDot]
	if first.line == 0 {
		first = s.first[ambiguousComma]
	}
	return undecided, askNotation(col, fmt.Sprintf("%q (line %d) may be a fraction or thousands: no value of the column decides", first.value, first.line))
}

func askNotation(col *Column, message string) *Question {
	return &Question{
		Column: col.Header, Message: message,
		Flags: []string{col.flag(Numeric, dotDecimal.String()), col.flag(Numeric, commaDecimal.String())},
	}
}

// inferDate decides between date, timestamp and timestamptz, and on the order of days and months.
func inferDate(col *Column, forced Type) verdict {
	s := col.stats
	v := verdict{kind: forced}
	if forced == "" {
		v.kind = s.dateType()
	}
	if forced == "" && s.zoned > 0 && s.unzone > 0 {
		v.question = &Question{
			Column:  col.Header,
			Message: fmt.Sprintf("%q (line %d) has a time zone, but %q (line %d) has none", s.firstZoned.value, s.firstZoned.line, s.firstBare.value, s.firstBare.line),
			Flags:   []string{col.flag(Timestamptz, "") + " (without a zone: UTC)", col.flag(Text, "")},
		}
		return v
	}
	formats, note, question := dateFormats(col, v.kind)
	if question != nil {
		v.question = question
		return v
	}
	v.parser.formats, v.format = formats, formatNames(formats)
	if note != "" {
		v.notes = append(v.notes, note)
	}
	if odd := s.values() - s.goodDates(); odd > 0 && forced == "" {
		v.notes = append(v.notes, rejection(col, v.kind, odd, firstOf(s.oddOne(Date), s.firstBadDate)))
	}
	return v
}

func (s *stats) dateType() Type {
	switch {
	case s.zoned > 0:
		return Timestamptz
	case s.clocks > 0:
		return Timestamp
	}
	return Date
}

// dateFormats finds each pattern's order: from its own values, else, where a spreadsheet tore one column in two, from
// the other pattern.
func dateFormats(col *Column, kind Type) (formats []dateFormat, note string, question *Question) {
	var open []*patternStats
	patterns := col.stats.dates
	if p := swapped(patterns); p != nil {
		return nil, "", askSwapped(col, kind, p)
	}
	for i := range patterns {
		p := &patterns[i]
		switch orders := p.possible(); len(orders) {
		case 1:
			formats = append(formats, dateFormat{p.pattern, orders[0]})
		case 0:
			return nil, "", askConflict(col, kind, p)
		default:
			open = append(open, p)
		}
	}
	for _, p := range open {
		order, ok := tornOrder(p, patterns)
		if !ok {
			return nil, "", askOrder(col, kind, p, formats, open)
		}
		f := dateFormat{p.pattern, order}
		formats = append(formats, f)
		note = fmt.Sprintf("%s: %q is read as %s, for only the days past 12 are written otherwise, as spreadsheets leave them; %s says so for good",
			col.Header, p.first.value, f, col.flag(kind, formatNames(formats)))
	}
	return formats, note, nil
}

// possible are the orders in which every value of the pattern is a date.
func (p *patternStats) possible() []dateOrder {
	var orders []dateOrder
	for _, o := range p.pattern.orders() {
		if p.allowed[o] == p.n {
			orders = append(orders, o)
		}
	}
	if len(orders) > 1 && p.yearIsLast() {
		orders = slices.DeleteFunc(orders, func(o dateOrder) bool { return o == yearMonthDay })
	}
	return orders
}

// yearIsLast tells of two-digit years that the last number is the year: it takes few values while the first takes many, and
// not those in which monthly or quarterly dates end.
func (p *patternStats) yearIsLast() bool {
	ends := [2]uint64{1<<1 | 1<<15 | 1<<28 | 1<<29 | 1<<30 | 1<<31}
	onlyEnds := p.last[0]&^ends[0] == 0 && p.last[1] == 0
	return size(p.firsts) >= 3 && size(p.firsts) >= 2*size(p.last) && !onlyEnds
}

// minTorn is how many dates with a day past 12 it takes to believe in a torn column: were the two patterns
// independent, each of them would have such a day by a chance of three in five.
const minTorn = 5

// tornOrder recognises what spreadsheets do to dates of a foreign order: those that they could misread (both numbers up
// to 12) they turned into their own pattern, number by number; those that they couldn't (day past 12) they left as text.
// The two together are one column of one order, and the second part shows it.
func tornOrder(open *patternStats, all []patternStats) (dateOrder, bool) {
	if open.low < open.n {
		return 0, false
	}
	for i := range all {
		p := &all[i]
		if p.pattern.form != formYearLast || p.pattern == open.pattern || p.low > 0 || p.n < minTorn {
			continue
		}
		if orders := p.possible(); len(orders) == 1 && open.allowed[orders[0]] == open.n {
			return orders[0], true
		}
	}
	return 0, false
}

// swapped recognises the same, where the spreadsheet's own pattern has the year first: then day and month of what it misread
// may stand in each other's place.
func swapped(all []patternStats) *patternStats {
	var low, high *patternStats
	for i := range all {
		p := &all[i]
		switch {
		case p.n < minTorn:
		case p.pattern.form == formYearFirst && p.low == p.n:
			low = p
		case p.pattern.form == formYearLast && p.low == 0:
			high = p
		}
	}
	if high == nil {
		return nil
	}
	return low
}

func askSwapped(col *Column, kind Type, p *patternStats) *Question {
	var asIs, swap []dateFormat
	for i := range col.stats.dates {
		other := &col.stats.dates[i]
		f := dateFormat{pattern: other.pattern}
		if orders := other.possible(); len(orders) > 0 {
			f.order = orders[0]
		}
		asIs = append(asIs, f)
		if other == p {
			f.order = yearDayMonth
		}
		swap = append(swap, f)
	}
	return &Question{
		Column: col.Header,
		Message: fmt.Sprintf("%q (line %d) may have day and month in each other's place: only the days past 12 are written otherwise, as spreadsheets leave dates that they misread",
			p.first.value, p.first.line),
		Flags: []string{col.flag(kind, formatNames(asIs)), col.flag(kind, formatNames(swap)), col.flag(Text, "")},
	}
}

func askConflict(col *Column, kind Type, p *patternStats) *Question {
	a, b := p.against[dayMonthYear], p.against[monthDayYear]
	return &Question{
		Column:  col.Header,
		Message: fmt.Sprintf("%q (line %d) has the month first, but %q (line %d) the day", a.value, a.line, b.value, b.line),
		Flags:   orderFlags(col, kind, nil, col.stats.dates, []dateOrder{monthDayYear, dayMonthYear}),
	}
}

func askOrder(col *Column, kind Type, p *patternStats, decided []dateFormat, open []*patternStats) *Question {
	var rest []patternStats
	for _, o := range open {
		rest = append(rest, *o)
	}
	return &Question{
		Column:  col.Header,
		Message: fmt.Sprintf("which number of %q (line %d) is the month? No value of the column decides", p.first.value, p.first.line),
		Flags:   orderFlags(col, kind, decided, rest, p.possible()),
	}
}

// orderFlags are the overrides for each order of the undecided patterns, and the way out.
func orderFlags(col *Column, kind Type, decided []dateFormat, open []patternStats, orders []dateOrder) []string {
	var flags []string
	for _, o := range orders {
		formats := slices.Clone(decided)
		for _, p := range open {
			order := o
			if !slices.Contains(p.pattern.orders(), o) {
				order = monthDayYear
			}
			formats = append(formats, dateFormat{p.pattern, order})
		}
		flags = append(flags, col.flag(kind, formatNames(formats)))
	}
	return append(flags, col.flag(Text, ""))
}

func formatNames(formats []dateFormat) string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.String()
	}
	return strings.Join(names, ",")
}

// flag is the override to type.
func (c *Column) flag(kind Type, format string) string {
	text := c.Name + "=" + string(kind)
	if simpleWord(c.Header) {
		text = c.Header + "=" + string(kind)
	}
	if format != "" {
		text += ":" + format
	}
	if strings.ContainsAny(text, " '") {
		return "--type '" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	return "--type " + text
}

// simpleWord tells whether a shell takes the text as it is.
func simpleWord(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}
