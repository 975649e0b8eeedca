package segment

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

func (c compiler) test(n node) testFunc {
	switch n := n.(type) {
	case *constant:
		v := isTrue(n.v)
		return func(*frame) bool { return v }
	case *compare:
		return c.compare(n)
	case *equal:
		a, b := c.value(n.a), c.value(n.b)
		return func(f *frame) bool { return same(a(f), b(f)) }
	case *isNil:
		a := c.value(n.a)
		return func(f *frame) bool { return a(f) == nil }
	case *member:
		return c.member(n)
	case *between:
		x, lo, hi := c.value(n.x), c.value(n.lo), c.value(n.hi)
		return func(f *frame) bool {
			v, from, to := x(f), lo(f), hi(f)
			return v != nil && from != nil && to != nil && order(v, from) >= 0 && order(v, to) <= 0
		}
	case *contains:
		list, x := c.value(n.list), c.value(n.x)
		return func(f *frame) bool {
			items, _ := list(f).([]string)
			v, ok := x(f).(string)
			return ok && slices.Contains(items, v)
		}
	case *textTest:
		return c.textTest(n)
	case *match:
		a, re := c.value(n.a), n.re
		return func(f *frame) bool {
			s, ok := a(f).(string)
			return ok && re.MatchString(s)
		}
	case *truth:
		a := c.value(n.a)
		return func(f *frame) bool { return isTrue(a(f)) }
	case *not:
		a := c.test(n.a)
		return func(f *frame) bool { return !a(f) }
	case *and:
		return c.junction(n.parts, false)
	case *or:
		return c.junction(n.parts, true)
	case *quantifier:
		return c.quantifier(n)
	case *overTexts:
		return c.anyText(n)
	case *named:
		return c.test(n.a)
	case *fact:
		return c.fact(n)
	case *choose, *coalesce, *column, *call:
		a := c.value(n)
		return func(f *frame) bool { return isTrue(a(f)) }
	}
	panic(fmt.Sprintf("segment: unknown node %T", n))
}

// junction stops at the first part that decides.
func (c compiler) junction(parts []node, decisive bool) testFunc {
	tests := make([]testFunc, len(parts))
	for i, p := range parts {
		tests[i] = c.test(p)
	}
	return func(f *frame) bool {
		for _, t := range tests {
			if t(f) == decisive {
				return decisive
			}
		}
		return !decisive
	}
}

func (c compiler) compare(n *compare) testFunc {
	a, b, holds := c.value(n.a), c.value(n.b), operator(n.op)
	return func(f *frame) bool {
		x := a(f)
		if x == nil {
			return false
		}
		y := b(f)
		return y != nil && holds(order(x, y))
	}
}

func operator(op string) func(int) bool {
	switch op {
	case "<":
		return func(o int) bool { return o < 0 }
	case "<=":
		return func(o int) bool { return o <= 0 }
	case ">":
		return func(o int) bool { return o > 0 }
	}
	return func(o int) bool { return o >= 0 }
}

// order compares two values of one type.
func order(a, b any) int {
	switch x := a.(type) {
	case string:
		return strings.Compare(x, b.(string))
	case time.Time:
		return x.Compare(b.(time.Time))
	case bool:
		if x == b.(bool) {
			return 0
		}
		return 1
	}
	return compareNumbers(a, b)
}

// same is ==: missing is equal to missing only.
func same(a, b any) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return order(a, b) == 0
}

func (c compiler) member(n *member) testFunc {
	x, withNil := c.value(n.x), n.withNil
	items := make([]valueFunc, len(n.items))
	for i, item := range n.items {
		items[i] = c.value(item)
	}
	return func(f *frame) bool {
		v := x(f)
		if v == nil {
			return withNil
		}
		for _, item := range items {
			if w := item(f); w != nil && order(v, w) == 0 {
				return true
			}
		}
		return false
	}
}

func (c compiler) textTest(n *textTest) testFunc {
	a, b := c.value(n.a), c.value(n.b)
	test := map[string]func(s, part string) bool{
		"contains": strings.Contains, "startsWith": strings.HasPrefix,
		"endsWith": strings.HasSuffix,
	}[n.op]
	return func(f *frame) bool {
		s, ok := a(f).(string)
		part, okToo := b(f).(string)
		return ok && okToo && test(s, part)
	}
}

func (c compiler) quantifier(n *quantifier) testFunc {
	each, pred := c.rows(n.rows), c.test(n.pred)
	decisive := n.op != "all" // any and none look for a row that satisfies, all for one that does not
	return func(f *frame) bool {
		found := false
		each(f, func() bool {
			found = pred(f) == decisive
			return !found
		})
		return found == (n.op == "any")
	}
}
