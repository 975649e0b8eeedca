package segment

import (
	"slices"

	"github.com/expr-lang/expr/ast"

	"github.com/sapa-crm/sapa/internal/diag"
)

// maxVisits bounds the work of checking: how often a part of a rule is read, those of segments and of let's expressions
// at each of their uses.
const maxVisits = 10 * maxNodes

// visit counts work, and reports once that it is too much.
func (c *checker) visit(n ast.Node, work int) bool {
	c.visits += work
	if c.visits <= maxVisits {
		return true
	}
	if !c.large {
		c.large = true
		c.problem(c.extent(n), "", "the rule is too large")
	}
	return false
}

// size is how many parts a tree has, one that stands in several places counted at each; it stops counting beyond limit.
func size(n node, limit int) int {
	sum := 1
	for _, part := range children(n) {
		if sum > limit {
			return sum
		}
		sum += size(part, limit-sum)
	}
	return sum
}

// checkedFirst checks the first argument of a call, whose type decides which form the call has, and keeps what it
// found for the form: arguments stand inside each other, and reading each twice would double the work at each level.
func (c *checker) checkedFirst(arg ast.Node) (a node, forget func()) {
	a = c.expr(arg)
	c.checked[arg] = a
	return a, func() { delete(c.checked, arg) }
}

// parsed is the tree of a segment's rule, which is the same at each of its uses.
type parsed struct {
	tree     ast.Node
	problems diag.List
}

// parseOnce is parse for the text of a segment.
func (c *checker) parseOnce(s *source, problems *diag.List) ast.Node {
	p, ok := c.parsed[s.text]
	if !ok {
		p.tree = parse(s, &p.problems)
		c.parsed[s.text] = p
	}
	*problems = append(*problems, slices.Clone(p.problems)...)
	return p.tree
}

func newChecker(s *source, scope *Scope, chain []string) *checker {
	c := &checker{
		src: s, scope: scope, vars: &vars{}, chain: chain, checked: map[ast.Node]node{}, parsed: map[string]parsed{},
		negated: map[ast.Node]*ast.BinaryNode{}, left: map[ast.Node]*ast.BinaryNode{},
	}
	for _, r := range scope.roots() {
		c.roots = append(c.roots, c.vars.add(r.name, r.entity))
	}
	return c
}
