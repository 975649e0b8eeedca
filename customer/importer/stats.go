package importer

import (
	"math/bits"
	"slices"
	"unicode/utf8"
)

// sample is a value with its place, for messages.
type sample struct {
	line  int
	value string
}

func (s *sample) keep(line int, v []byte) {
	if s.line == 0 {
		*s = sample{line, shorten(string(v), 40)}
	}
}

// stats is what one column's values say, in constant memory.
type stats struct {
	rows, missing int64
	words         map[string]int64 // words that were taken as missing
	examples      []string

	texts, codes          int64 // values that are no boolean, number or date; digits that are no quantity
	firstText, firstCode  sample
	bools                 [2]int64 // false and true
	certain               bool     // true or false itself occurs, not only Y or N
	firstBool             sample
	numbers               numberStats
	dates                 []patternStats
	badDates              int64 // have the shape of a date, but no order makes one
	firstBadDate          sample
	clocks, zoned, unzone int64 // dates with a time that is not midnight; with and without a zone
	firstZoned, firstBare sample
	firstClock            sample
}

// numberStats counts numbers by what they prove.
type numberStats struct {
	n         int64
	styles    [ambiguousComma + 1]int64
	first     [ambiguousComma + 1]sample
	fractions int64 // whatever the notation
	firstFrac sample
	wide      int64 // more than 18 digits
	money     int64
	currency  string
	mixed     sample // an amount in another currency than the first
	firstAny  sample
}

// patternStats counts dates of one pattern by the orders that they allow.
type patternStats struct {
	pattern      datePattern
	n            int64
	allowed      [yearMonthDay + 1]int64
	against      [yearMonthDay + 1]sample // the first value that forbids the order
	first        sample
	low          int64     // values in which the day could be the month
	firsts, last [2]uint64 // the different first and last numbers, as sets
}

const maxPatterns = 12

// add looks at one value.
func (s *stats) add(line int, v []byte, nulls map[string]bool) {
	s.rows++
	t := trimSpace(v)
	if len(t) == 0 {
		s.missing++
		return
	}
	if len(t) <= maxNullWord && nulls[string(t)] {
		s.addMissingWord(string(t))
		return
	}
	s.example(t)
	digits, letters := census(t)
	switch {
	case !digits && len(t) <= maxBoolWord && s.addBool(line, t):
	case digits && letters <= maxSignLetters && s.addNumber(line, t):
	case digits && letters <= maxDateLetters && s.addDate(line, t):
	default:
		s.texts++
		s.firstText.keep(line, t)
	}
}

// What a value can be at most, by its letters: a number with the sign of a currency, a date with the name of a month.
const (
	maxSignLetters = 3
	maxDateLetters = 15
)

// census tells whether a value has digits, and counts its ASCII letters: most texts show at once that they are nothing else.
func census(t []byte) (digits bool, letters int) {
	for _, c := range t {
		if isDigit(c) {
			digits = true
		} else if isLetter(c) {
			letters++
		}
	}
	return digits, letters
}

func (s *stats) addMissingWord(word string) {
	s.missing++
	if s.words == nil {
		s.words = map[string]int64{}
	}
	s.words[word]++
}

// Examples are taken from the first rows.
const (
	maxExamples = 3
	exampleRows = 1000
)

func (s *stats) example(t []byte) {
	if len(s.examples) == maxExamples || s.rows > exampleRows {
		return
	}
	text := shorten(string(t), 24)
	if !slices.Contains(s.examples, text) {
		s.examples = append(s.examples, text)
	}
}

// maxBoolWord is the longest word of boolWord.
const maxBoolWord = 5

// boolWord reads the words that are booleans. certain ones can hardly mean anything else.
func boolWord(t []byte) (value, certain, ok bool) {
	if len(t) > maxBoolWord {
		return false, false, false
	}
	var small [maxBoolWord]byte
	for i, c := range t {
		small[i] = c | 0x20
	}
	switch string(small[:len(t)]) {
	case "true":
		return true, true, true
	case "false":
		return false, true, true
	case "y", "yes", "t", "ya", "on":
		return true, false, true
	case "n", "no", "f", "tidak", "off":
		return false, false, true
	}
	return false, false, false
}

func (s *stats) addBool(line int, t []byte) bool {
	value, certain, ok := boolWord(t)
	if !ok {
		return false
	}
	i := 0
	if value {
		i = 1
	}
	s.bools[i]++
	s.certain = s.certain || certain
	s.firstBool.keep(line, t)
	return true
}

func (s *stats) addNumber(line int, t []byte) bool {
	n, ok := scanNumber(t, false)
	if !ok {
		return false
	}
	if n.code {
		s.codes++
		s.firstCode.keep(line, t)
		return true
	}
	s.numbers.add(line, t, n)
	return true
}

func (s *numberStats) add(line int, t []byte, n number) {
	s.n++
	s.firstAny.keep(line, t)
	s.styles[n.style]++
	s.first[n.style].keep(line, t)
	if n.fraction {
		s.fractions++
		s.firstFrac.keep(line, t)
	}
	if n.digits > 18 {
		s.wide++
	}
	if n.currency == "" {
		return
	}
	s.money++
	if s.currency == "" {
		s.currency = n.currency
	}
	if s.currency != n.currency {
		s.mixed.keep(line, t)
	}
}

func (s *stats) addDate(line int, t []byte) bool {
	d, ok := scanDate(t)
	if !ok {
		return false
	}
	p := s.pattern(d.pattern)
	if p == nil || !p.add(line, t, d) {
		s.badDates++
		s.firstBadDate.keep(line, t)
		return true
	}
	s.addClock(line, t, d)
	return true
}

func (s *stats) addClock(line int, t []byte, d writtenDate) {
	if d.hasClock && (d.clock.zoned || !d.clock.midnight()) {
		s.clocks++
		s.firstClock.keep(line, t)
	}
	if d.clock.zoned {
		s.zoned++
		s.firstZoned.keep(line, t)
		return
	}
	s.unzone++
	s.firstBare.keep(line, t)
}

// pattern finds the counters of a pattern; nil when the column has too many.
func (s *stats) pattern(key datePattern) *patternStats {
	for i := range s.dates {
		if s.dates[i].pattern == key {
			return &s.dates[i]
		}
	}
	if len(s.dates) == maxPatterns {
		return nil
	}
	s.dates = append(s.dates, patternStats{pattern: key})
	return &s.dates[len(s.dates)-1]
}

// orders are those that a pattern can have.
func (p datePattern) orders() []dateOrder {
	switch {
	case p.form != formYearLast:
		return []dateOrder{monthDayYear}
	case p.digits == 2:
		return []dateOrder{monthDayYear, dayMonthYear, yearMonthDay}
	}
	return []dateOrder{monthDayYear, dayMonthYear}
}

// add counts a date; it is false when no order makes one of it.
func (p *patternStats) add(line int, t []byte, d writtenDate) bool {
	var fits [yearMonthDay + 1]bool
	some := false
	for _, o := range p.pattern.orders() {
		fits[o] = plausible(d.civil(o))
		some = some || fits[o]
	}
	if !some {
		return false
	}
	p.n++
	p.first.keep(line, t)
	for _, o := range p.pattern.orders() {
		if fits[o] {
			p.allowed[o]++
		} else {
			p.against[o].keep(line, t)
		}
	}
	if (fits[monthDayYear] && fits[dayMonthYear]) || (p.pattern.form == formYearFirst && d.parts[2] <= 12) {
		p.low++
	}
	if p.pattern.digits == 2 {
		include(&p.firsts, d.parts[0])
		include(&p.last, d.parts[2])
	}
	return true
}

func include(set *[2]uint64, n int) { set[n>>6&1] |= 1 << (n & 63) }

func size(set [2]uint64) int { return bits.OnesCount64(set[0]) + bits.OnesCount64(set[1]) }

func (s *stats) values() int64 { return s.rows - s.missing }

func (s *stats) goodDates() int64 {
	var n int64
	for _, p := range s.dates {
		n += p.n
	}
	return n
}

// shorten cuts a long value for showing.
func shorten(s string, runes int) string {
	if utf8.RuneCountInString(s) <= runes {
		return s
	}
	return string([]rune(s)[:runes-1]) + "…"
}
