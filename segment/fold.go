package segment

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// foldText says lower(x) == "solo" and its like exactly in SQL: where a text in small letters is compared with constants,
// only those letters matter that the constants have, and they are few enough to be written out. The same holds for capital
// letters, for lists, and for contains, startsWith and endsWith.
//
// It is exact: let C be the letters of the constants. Every letter that becomes one of C is replaced by what it becomes, and
// so is every letter of C that becomes another. Any letter that is left alone is the same in small letters, or neither it
// nor what it becomes is in C, so that it matches nothing either way.
func (l lowering) foldText(n node) node {
	switch n := n.(type) {
	case *equal:
		a, b := fold(n.a, n.b, l.mutate), fold(n.b, n.a, l.mutate)
		if a != nil {
			return &equal{n.base, a, n.b}
		}
		if b != nil {
			return &equal{n.base, n.a, b}
		}
	case *textTest:
		if a := fold(n.a, n.b, l.mutate); a != nil {
			return &textTest{n.base, n.op, a, n.b}
		}
	case *member:
		if slices.ContainsFunc(n.items, func(i node) bool { return !isConstant(i) }) {
			return n
		}
		if x := foldTo(n.x, n.items, l.mutate); x != nil {
			return &member{n.base, x, n.items, n.withNil}
		}
	}
	return n
}

func fold(n, with node, m mutation) node {
	if !isConstant(with) {
		return nil
	}
	return foldTo(n, []node{with}, m)
}

// foldTo is the call of lower or upper written for these constants; nil for other nodes.
func foldTo(n node, constants []node, m mutation) node {
	c, ok := n.(*call)
	if !ok || c.fn.Name != "lower" && c.fn.Name != "upper" || len(constants) == 0 {
		return nil
	}
	letters := map[rune]bool{}
	for _, k := range constants {
		text, _ := k.(*constant).v.(string)
		for _, r := range text {
			letters[r] = true
		}
	}
	from, to := foldings(c.fn.Name, letters, m)
	fn := *c.fn
	fn.residual = ""
	fn.sql = func(args []sqlArg) string {
		if args[1].text == "" {
			return args[0].text
		}
		return fmt.Sprintf("translate(%s, %s, %s)", args[0].text, args[1].text, args[2].text)
	}
	fn.bindings = func(Clock) []binding { return []binding{{from, "text"}, {to, "text"}} }
	return &call{c.base, &fn, c.args}
}

// foldings are the letters that translate replaces, and what by.
func foldings(name string, letters map[rune]bool, m mutation) (from, to string) {
	change := unicode.ToLower
	if name == "upper" {
		change = unicode.ToUpper
	}
	var f, t strings.Builder
	add := func(r rune) {
		if c := change(r); c != r && (letters[c] || letters[r]) && (m != mutateFoldASCII || r < 0x80) {
			f.WriteRune(r)
			t.WriteRune(c)
		}
	}
	for _, cases := range unicode.CaseRanges {
		for r := rune(cases.Lo); r <= rune(cases.Hi); r++ { //nolint:gosec // code points
			add(r)
		}
	}
	return f.String(), t.String()
}
