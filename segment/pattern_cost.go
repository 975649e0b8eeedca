package segment

import "regexp/syntax"

// maxNested bounds how often something may be repeated by repetitions inside each other, such as (?:[a-z]{0,30}){0,16}:
// matching one long text takes both engines milliseconds then.
const maxNested = 200

// nested is the greatest product of the counts of repetitions that stand inside each other; levels is how many do.
func nested(n *syntax.Regexp) (product, levels int) {
	product = 1
	for _, sub := range n.Sub {
		p, l := nested(sub)
		product, levels = max(product, p), max(levels, l)
	}
	if n.Op == syntax.OpRepeat {
		return product * max(n.Min, n.Max, 1), levels + 1
	}
	return product, levels
}

// isCostly says that a pattern is refused for its nested repetitions.
func isCostly(pattern string) bool {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return false
	}
	product, levels := nested(tree)
	return levels > 1 && product > maxNested
}
