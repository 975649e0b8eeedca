package segment

import (
	"cmp"
	"fmt"
	"regexp"

	"github.com/shopspring/decimal"
)

// valueRange is what a function can give: whole numbers from lo to hi, or from lo on where hi is below it.
type valueRange struct {
	lo, hi int64
	gives  string // in words
	hint   string
}

// rangeOf is the range of a function that has one.
func (c *checker) rangeOf(n node) (valueRange, bool) {
	switch n := n.(type) {
	case *call:
		if n.fn.Name == "weekday" {
			return valueRange{1, 7, "weekday gives 1 for Monday to 7 for Sunday", ""}, true
		}
	case *standing:
		if n.from == 0 {
			return valueRange{0, hundredths, "percentile gives whole numbers from 0 to 99", "write >= 90 for the best tenth, >= 99 for the best hundredth"}, true
		}
		return valueRange{1, 5, c.words(n) + " gives 1 to 5, 5 being the best", ""}, true
	case *aggregate:
		if n.op == "count" {
			return valueRange{0, -1, c.words(n) + " gives whole numbers from 0 up", ""}, true
		}
	}
	return valueRange{}, false
}

// never reports a comparison with what a function can't give, such as weekday(…) == 0: it would be the same for everybody.
func (c *checker) never(op string, a, b node) bool {
	if _, ok := c.rangeOf(b); ok || isScores(b) {
		a, b, op = b, a, cmp.Or(mirrored(op), op)
	}
	if isScores(a) {
		return c.neverScores(op, a, b)
	}
	r, ok := c.rangeOf(a)
	if !ok || !b.typ().isNumber() {
		return false
	}
	v, fixed := fixedValue(b)
	if !fixed || v == nil || isSpecial(v) {
		return false
	}
	how, excluded := r.excludes(op, asDecimal(toExact(v)))
	if !excluded {
		return false
	}
	if v == int64(0) && isCall(a, "weekday") {
		r.hint = "write 7 for Sunday"
	}
	c.problem(b.at(), r.hint, "%s, never %s%s", r.gives, how, c.words(b))
	return true
}

// excludes says that nothing of the range, or all of it, compares so with a number.
func (r valueRange) excludes(op string, d decimal.Decimal) (how string, excluded bool) {
	lo, hi, bounded := decimal.NewFromInt(r.lo), decimal.NewFromInt(r.hi), r.hi >= r.lo
	switch {
	case op == "<" && d.Equal(lo):
		return "less than ", true
	case op == ">" && bounded && d.Equal(hi):
		return "more than ", true
	case d.LessThan(lo), bounded && d.GreaterThan(hi):
		return "", true
	}
	return "", !d.IsInteger() && (bounded || mirrored(op) == "")
}

func isScores(n node) bool {
	_, ok := n.(*scores)
	return ok
}

// threeScores are the texts that rfm can give.
var threeScores = regexp.MustCompile(`^[1-5]{3}$`)

// neverScores is never for rfm(…): each of its digits has an order, and the three of them together have none.
func (c *checker) neverScores(op string, a, b node) bool {
	if mirrored(op) != "" {
		words := c.words(a)
		c.problem(a.at(), fmt.Sprintf("write %s.recency >= 4 && %s.frequency >= 4", words, words),
			"%s is three digits, and %s would compare them as text", words, op)
		return true
	}
	text, ok := constantText(b)
	if !ok || threeScores.MatchString(text) {
		return false
	}
	c.problem(b.at(), `write three digits, as in "555", or ask for one: `+c.words(a)+".recency == 5",
		"rfm gives three digits from 1 to 5, never %s", c.words(b))
	return true
}

// emptyRange reports x in lo..hi without a number, or with one that x can't have.
func (c *checker) emptyRange(x, lo, hi node) bool {
	from, fixedFrom := fixedValue(lo)
	to, fixedTo := fixedValue(hi)
	if fixedFrom && fixedTo && from != nil && to != nil && compareNumbers(from, to) > 0 {
		c.problem(span{lo.at().from, hi.at().to}, fmt.Sprintf("write the smaller number first: %s..%s", c.words(hi), c.words(lo)),
			"no number lies from %s to %s", c.words(lo), c.words(hi))
		return true
	}
	return c.never("in", x, lo) || c.never("in", x, hi)
}
