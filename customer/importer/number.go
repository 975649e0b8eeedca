package importer

import (
	"bytes"
	"unicode/utf8"
)

// notation is how a column's numbers are written.
type notation uint8

// The notations. Both also group by apostrophe and no-break space.
const (
	undecided    notation = iota
	dotDecimal            // 1,234.56
	commaDecimal          // 1.234,56
)

func (n notation) String() string {
	if n == commaDecimal {
		return "1.234,56"
	}
	return "1,234.56"
}

// numberStyle is what one written number says of its notation.
type numberStyle uint8

const (
	plainNumber    numberStyle = iota // 1234: nothing
	provesDot                         // 1,234,567 or 12.5: 1,234.56
	provesComma                       // 1.234.567 or 12,5: 1.234,56
	ambiguousDot                      // 1.500
	ambiguousComma                    // 1,500
)

// number is a written number, taken apart.
type number struct {
	negative bool
	currency string // as canonical text, such as "$"; empty: none
	body     []byte // digits and separators, no sign
	style    numberStyle
	fraction bool // it has one whatever the notation; of ambiguous ones it depends
	digits   int  // before the decimal separator
	code     bool // digits that are no quantity: leading zero or plus, too long
}

// scanNumber takes a trimmed value apart; ok is false when it is no number. With spaces, single spaces group digits, too.
func scanNumber(v []byte, spaces bool) (n number, ok bool) {
	if len(v) == 0 {
		return n, false
	}
	v, n.negative = parentheses(v)
	plus := false
	v, plus = sign(v, &n)
	v, n.currency = currency(v)
	if n.currency != "" && !plus {
		v, plus = sign(v, &n)
	}
	n.body = v
	if !n.split(spaces) {
		return n, false
	}
	n.code = n.code || plus
	return n, true
}

// sign takes a sign off.
func sign(v []byte, n *number) (rest []byte, plus bool) {
	switch {
	case len(v) > 1 && v[0] == '-':
		n.negative = true
		return v[1:], false
	case len(v) > 1 && v[0] == '+':
		return v[1:], true
	}
	return v, false
}

// parentheses takes the bookkeeper's minus off, where it is about an amount: (1,234.00), not (11).
func parentheses(v []byte) (rest []byte, negative bool) {
	if len(v) > 2 && v[0] == '(' && v[len(v)-1] == ')' && bytes.ContainsAny(v, ".,$€£") {
		return v[1 : len(v)-1], true
	}
	return v, false
}

// maxGroups bounds the groups of digits of one number.
const maxGroups = 12

// split looks at digits and separators. It reports whether the body is a number at all.
func (n *number) split(spaces bool) bool {
	var runs [maxGroups + 1]int // digits of each group
	var seps [maxGroups]byte    // between them; soft ones as ' '
	groups := 0
	for b := n.body; len(b) > 0; {
		if c := b[0]; c >= '0' && c <= '9' {
			runs[groups]++
			b = b[1:]
			continue
		}
		sep, size := separator(b, spaces)
		if size == 0 || groups == maxGroups {
			return false
		}
		seps[groups] = sep
		groups++
		b = b[size:]
	}
	return n.judge(runs[:groups+1], seps[:groups])
}

// separator is the one at the head of b, and its size; 0 when there is none.
func separator(b []byte, spaces bool) (sep byte, size int) {
	switch c := b[0]; {
	case c == '.' || c == ',':
		return c, 1
	case c == '\'' || (c == ' ' && spaces):
		return ' ', 1
	case c < utf8.RuneSelf:
		return 0, 0
	}
	switch r, size := utf8.DecodeRune(b); r {
	case '\u00a0', '\u202f', '\u2019':
		return ' ', size
	}
	return 0, 0
}

// judge decides on the style by the groups' sizes.
func (n *number) judge(runs []int, seps []byte) bool {
	last := len(seps) - 1
	if runs[len(runs)-1] == 0 {
		return false // ends with a separator
	}
	if last < 0 {
		n.digits = runs[0]
		n.code = runs[0] > 18 || (runs[0] > 1 && n.body[0] == '0')
		return true
	}
	zero := n.body[0] == '0'
	switch {
	case seps[last] == ' ':
		return allSame(seps) && n.grouped(runs, zero, plainNumber)
	case last == 0:
		return n.single(runs, seps[0], zero)
	case allSame(seps):
		return n.grouped(runs, zero, provesGroup(seps[0]))
	}
	if !allSame(seps[:last]) || seps[last] == seps[0] || !n.grouped(runs[:len(runs)-1], zero, provesDecimal(seps[last])) {
		return false
	}
	n.fraction = true
	return true
}

// single is a number with one dot or comma.
func (n *number) single(runs []int, sep byte, zero bool) bool {
	n.digits = runs[0]
	n.code = runs[0] > 1 && zero
	if runs[1] != 3 || runs[0] < 1 || runs[0] > 3 || zero {
		n.style, n.fraction = provesDecimal(sep), true
		return true
	}
	n.style = ambiguousDot
	if sep == ',' {
		n.style = ambiguousComma
	}
	if groupsOnly(n.currency, sep) {
		n.style = provesGroup(sep)
	}
	return true
}

// grouped tells whether the runs are groups of three.
func (n *number) grouped(runs []int, zero bool, style numberStyle) bool {
	if runs[0] < 1 || runs[0] > 3 || zero {
		return false
	}
	n.digits = runs[0]
	for _, r := range runs[1:] {
		if r != 3 {
			return false
		}
		n.digits += r
	}
	n.style = style
	return true
}

func allSame(seps []byte) bool {
	for _, s := range seps {
		if s != seps[0] {
			return false
		}
	}
	return true
}

func provesDecimal(sep byte) numberStyle {
	if sep == '.' {
		return provesDot
	}
	return provesComma
}

func provesGroup(sep byte) numberStyle {
	if sep == ',' {
		return provesDot
	}
	return provesComma
}

// money is the sign of a currency, and how three digits behind a separator are meant with it.
type money struct {
	sign  string
	name  string
	habit habit
}

type habit uint8

const (
	unknownHabit habit = iota // both notations are in use
	english                   // a comma groups: $90,000
	whole                     // no cents are written: three digits are a group, whatever the separator: Rp 1.500
)

// currencies are the signs that are known, longer ones first.
var currencies = [...]money{
	{"US$", "$", english},
	{"USD", "$", english},
	{"HK$", "HK$", english},
	{"NZ$", "NZ$", english},
	{"A$", "A$", english},
	{"AUD", "A$", english},
	{"S$", "S$", english},
	{"SGD", "S$", english},
	{"C$", "C$", english},
	{"CAD", "C$", english},
	{"R$", "R$", unknownHabit},
	{"BRL", "R$", unknownHabit},
	{"$", "$", english},
	{"GBP", "£", english},
	{"£", "£", english},
	{"MYR", "RM", english},
	{"RM", "RM", english},
	{"INR", "₹", english},
	{"₹", "₹", english},
	{"PHP", "₱", english},
	{"₱", "₱", english},
	{"Rp.", "Rp", whole},
	{"Rp", "Rp", whole},
	{"IDR", "Rp", whole},
	{"JPY", "¥", whole},
	{"¥", "¥", whole},
	{"KRW", "₩", whole},
	{"₩", "₩", whole},
	{"VND", "₫", whole},
	{"₫", "₫", whole},
	{"EUR", "€", unknownHabit},
	{"€", "€", unknownHabit},
	{"CHF", "CHF", unknownHabit},
	{"THB", "฿", unknownHabit},
	{"฿", "฿", unknownHabit},
}

// currency takes the sign of a currency off the head or the end.
func currency(v []byte) (rest []byte, name string) {
	if len(v) == 0 {
		return v, ""
	}
	head, end := !numeric(v[0]), !isDigit(v[len(v)-1])
	if !head && !end {
		return v, ""
	}
	for _, m := range currencies {
		switch {
		case head && hasPrefixFold(v, m.sign):
			return trimSpace(bytes.TrimSuffix(trimSpace(v[len(m.sign):]), []byte(",-"))), m.name
		case end && hasPrefixFold(v[max(0, len(v)-len(m.sign)):], m.sign):
			return trimSpace(v[:len(v)-len(m.sign)]), m.name
		}
	}
	return v, ""
}

// groupsOnly tells whether three digits behind the separator can only be a group.
func groupsOnly(currency string, sep byte) bool {
	if currency == "" {
		return false
	}
	for _, m := range currencies {
		if m.name == currency {
			return m.habit == whole || (m.habit == english && sep == ',')
		}
	}
	return false
}

func hasPrefixFold(v []byte, prefix string) bool {
	if len(v) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if v[i] != prefix[i] && (!isLetter(v[i]) || v[i]|0x20 != prefix[i]|0x20) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func numeric(c byte) bool { return isDigit(c) || c == '.' || c == ',' }

// trimSpace takes spaces off both ends, no-break ones, too.
func trimSpace(v []byte) []byte {
	for len(v) > 0 && asciiSpace(v[0]) {
		v = v[1:]
	}
	for len(v) > 0 && asciiSpace(v[len(v)-1]) {
		v = v[:len(v)-1]
	}
	if len(v) > 0 && (v[0] >= utf8.RuneSelf || v[len(v)-1] >= utf8.RuneSelf) {
		return bytes.TrimFunc(v, func(r rune) bool { return r == ' ' || r == '\u00a0' || r == '\u202f' })
	}
	return v
}

func asciiSpace(c byte) bool { return c == ' ' || (c >= '\t' && c <= '\r') }

// appendNumber writes the number as PostgreSQL reads it; ok is false when it is not written in this notation.
func (n number) appendTo(dst []byte, in notation) (out []byte, ok bool) {
	if (in == dotDecimal && n.style == provesComma) || (in == commaDecimal && n.style == provesDot) {
		return dst, false
	}
	decimal := byte('.')
	if in == commaDecimal {
		decimal = ','
	}
	if n.negative {
		dst = append(dst, '-')
	}
	if !isDigit(n.body[0]) {
		dst = append(dst, '0')
	}
	for _, c := range n.body {
		switch {
		case isDigit(c):
			dst = append(dst, c)
		case c == decimal:
			dst = append(dst, '.')
		}
	}
	return dst, true
}

// hasFraction tells whether the number has one in the notation.
func (n number) hasFraction(in notation) bool {
	switch n.style {
	case ambiguousDot:
		return in != commaDecimal
	case ambiguousComma:
		return in == commaDecimal
	}
	return n.fraction
}
