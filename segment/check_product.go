package segment

import "github.com/shopspring/decimal"

// maxProduct keeps products within what PostgreSQL's numeric holds exactly: 16,383 digits after the point, and far more
// before it. A factor counts the digits that its values may have in units of 150.
const maxProduct = 100

// tooLong is a product of too many factors, nil if there is none.
func tooLong(n node) node {
	for _, c := range children(n) {
		if found := tooLong(c); found != nil {
			return found
		}
	}
	if a, ok := n.(*arith); ok && a.op == "*" && factors(n) > maxProduct {
		return n
	}
	return nil
}

// factors is how many units of digits a number can have because of what it was multiplied from.
func factors(n node) int {
	if c, ok := n.(*constant); ok {
		return digitsOf(c.v) / 150
	}
	all := 0
	for _, c := range children(n) {
		if a, ok := n.(*arith); ok && a.op == "*" {
			all += factors(c)
			continue
		}
		all = max(all, factors(c))
	}
	if n.typ() == typeFloat {
		return max(all, 3)
	}
	return max(all, 1)
}

func digitsOf(v any) int {
	d, ok := v.(decimal.Decimal)
	if !ok {
		return 0
	}
	return max(d.NumDigits(), int(d.Exponent()), -int(d.Exponent()))
}
