package segment

import (
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/sapa-crm/sapa/internal/diag"
)

// inlined is how many parts of a rule the use of a segment counts as, besides those of the segment's rule: each is read
// anew, and some 400 of them are as large as a rule may be.
const inlined = maxNodes / 40

// maxChain is how many segments may stand in one another.
const maxChain = 20

// named is segment("regulars"): the segment's own rule stands in the tree of whoever uses it.
type named struct {
	base
	name string
	a    node    // a condition about the customer
	src  *source // of a
}

// formSegment is segment("regulars").
func formSegment(c *checker, fn *Function, at span, args []ast.Node) node {
	if len(args) != 1 {
		return c.argumentCount(fn, at)
	}
	name, where, ok := c.nameArgument(fn, args[0])
	if !ok || !c.hasNames(fn, at) {
		return nil
	}
	rule, ok := c.scope.names.Segments[name]
	switch {
	case !ok:
		return c.problem(where, c.segmentHint(name), "unknown segment %q", name)
	case slices.Contains(c.chain, name):
		hint := "take one of them out of the other's rule"
		if c.chain[len(c.chain)-1] == name {
			hint = "take it out of its own rule"
		}
		cycle := append(c.chain[slices.Index(c.chain, name):len(c.chain):len(c.chain)], name)
		return c.problem(at, hint, "a segment can't use itself: %s", strings.Join(cycle, " → "))
	case len(c.chain) >= maxChain:
		return c.problem(at, "write part of it out", "more than %d segments use one another here: %s → %s", maxChain, strings.Join(c.chain, " → "), name)
	}
	return c.inline(at, name, rule)
}

func (c *checker) segmentHint(name string) string {
	var known []string
	for n := range c.scope.names.Segments {
		known = append(known, n)
	}
	if len(known) == 0 {
		return "there are no segments yet: make one as segments/" + name + ".yaml"
	}
	return diag.DidYouMean(name, known)
}

// inline checks the segment's rule, which speaks of the customer alone, and gives it as one condition.
func (c *checker) inline(at span, name string, rule NamedRule) node {
	c.vars.use(name)
	c.visits += inlined
	inner := *c
	inner.src, inner.roots, inner.chain = newSource(Text(rule.Text)), c.roots[:1], append(c.chain[:len(c.chain):len(c.chain)], name)
	inner.closures, inner.lets, inner.problems = nil, nil, nil
	var root node
	if tree := c.parseOnce(inner.src, &inner.problems); tree != nil {
		root = inner.condition(tree)
	}
	c.visits, c.large, c.picks = inner.visits, inner.large, inner.picks
	for _, p := range rule.place(inner.src, inner.problems) {
		if !slices.Contains(c.problems, p) { // once, however often the segment is used
			c.problems = append(c.problems, p)
		}
	}
	if root == nil {
		return nil
	}
	return &named{condition(at), name, root, inner.src}
}

// use notes that the rule uses a segment.
func (v *vars) use(segment string) {
	if v.segments == nil {
		v.segments = map[string]bool{}
	}
	v.segments[segment] = true
}

// nameArgument is a name that is written out.
func (c *checker) nameArgument(fn *Function, arg ast.Node) (name string, at span, ok bool) {
	if c.isBare(arg) {
		at = c.extent(arg)
		c.problem(at, fmt.Sprintf("write %s(%q)", fn.Name, c.short(at)), "%s takes a name in quotes", fn.Name)
		return "", at, false
	}
	a := c.expr(arg)
	if a == nil {
		return "", span{}, false
	}
	k, ok := a.(*constant)
	if !ok || a.typ() != typeText {
		c.problem(a.at(), "for example "+fn.Example, "%s takes a name in quotes, but %s is %s", fn.Name, c.words(a), a.typ())
		return "", a.at(), false
	}
	return k.v.(string), a.at(), true
}

// isBare says that an argument is made of unknown words, as good-customers is: a name without its quotes.
func (c *checker) isBare(arg ast.Node) bool {
	switch n := arg.(type) {
	case *ast.IdentifierNode:
		known := slices.ContainsFunc(c.lets, func(l let) bool { return l.name == n.Value })
		return !known && !slices.Contains(c.rootNames(), n.Value)
	case *ast.BinaryNode:
		return n.Operator == "-" && c.isBare(n.Left) && c.isBare(n.Right)
	}
	return false
}

// hasNames refuses what only Sapa knows in a rule that is asked before Sapa has anything to know.
func (c *checker) hasNames(fn *Function, at span) bool {
	if c.scope.names != nil {
		return true
	}
	c.problem(at, "ask only the company's own columns and relations here",
		"%s can't be used in this rule: it says who is a customer at all, and segments and campaigns are about customers", fn.Name)
	return false
}

// residualKey is what a reason is about, in the rule or in a segment that stands in it.
type residualKey struct {
	src *source
	at  span
}

// named writes a segment's rule in the place of its name.
func (e *emitter) named(n *named, want bool, d direction) string {
	e.inside = append(e.inside, n)
	defer func() { e.inside = e.inside[:len(e.inside)-1] }()
	return e.cond(n.a, want, d)
}

// source is where the text stands that is being written.
func (e *emitter) source() *source {
	if len(e.inside) == 0 {
		return e.rule.source
	}
	return e.inside[len(e.inside)-1].src
}

// seen says whether there is a reason already, and notes it.
func (e *emitter) seen(key residualKey) bool {
	_, seen := e.reasons[key]
	e.reasons[key] = struct{}{}
	return seen
}

// reason is about a place of the rule; what stands in a segment is quoted from there.
func (e *emitter) reason(why *reason) Reason {
	text := e.source().quote(why.at)
	if len(e.inside) == 0 {
		return Reason{e.rule.source.span(why.at), text, why.text}
	}
	return Reason{e.rule.source.span(e.inside[0].at()), text, why.text + " (in the segment " + e.inside[len(e.inside)-1].name + ")"}
}

// unsayable is about the segment as a whole, where it is a value among others.
func (n *named) unsayable() *reason {
	why := unsayable(n.a)
	if why == nil {
		return nil
	}
	return &reason{n.at(), fmt.Sprintf("%s: %s", n.src.quote(why.at), why.text)}
}
