package segment

import "fmt"

// rebuild copies a node with each of its children replaced by f's result.
func rebuild(n node, f func(node) node) node {
	switch n := n.(type) {
	case *constant, *fact, *element:
		return n
	case *overTexts:
		return n.rebuild(f)
	case *column:
		c := *n
		c.path = n.path.rebuild(f)
		return &c
	case *rowRef:
		c := *n
		c.path = n.path.rebuild(f)
		return &c
	case *rowsRef:
		c := *n
		c.rows = rebuildRows(n.rows, f)
		return &c
	case *listNode:
		c := *n
		c.items = rebuildAll(n.items, f)
		return &c
	case *mapped:
		c := *n
		c.of, c.rows = f(n.of), rebuildRows(n.rows, f)
		return &c
	case *arith:
		c := *n
		c.a, c.b = f(n.a), f(n.b)
		return &c
	case *negate:
		c := *n
		c.a = f(n.a)
		return &c
	case *shift:
		c := *n
		c.a, c.by = f(n.a), f(n.by)
		return &c
	case *cast:
		c := *n
		c.a = f(n.a)
		return &c
	case *coalesce:
		c := *n
		c.a, c.b = f(n.a), f(n.b)
		return &c
	case *choose:
		c := *n
		c.cond, c.a, c.b = f(n.cond), f(n.a), f(n.b)
		return &c
	case *call:
		c := *n
		c.args = rebuildAll(n.args, f)
		return &c
	case *standing:
		c := *n
		c.of = f(n.of)
		return &c
	case *scores:
		c := *n
		c.parts = rebuildAll(n.parts, f)
		return &c
	case *extremum:
		c := *n
		c.items = rebuildAll(n.items, f)
		return &c
	case *aggregate:
		c := *n
		c.rows = rebuildRows(n.rows, f)
		if n.of != nil {
			c.of = f(n.of)
		}
		return &c
	}
	return rebuildCondition(n, f)
}

func rebuildCondition(n node, f func(node) node) node {
	switch n := n.(type) {
	case *compare:
		c := *n
		c.a, c.b = f(n.a), f(n.b)
		return &c
	case *equal:
		c := *n
		c.a, c.b = f(n.a), f(n.b)
		return &c
	case *isNil:
		c := *n
		c.a = f(n.a)
		return &c
	case *member:
		c := *n
		c.x, c.items = f(n.x), rebuildAll(n.items, f)
		return &c
	case *between:
		c := *n
		c.x, c.lo, c.hi = f(n.x), f(n.lo), f(n.hi)
		return &c
	case *contains:
		c := *n
		c.list, c.x = f(n.list), f(n.x)
		return &c
	case *textTest:
		c := *n
		c.a, c.b = f(n.a), f(n.b)
		return &c
	case *match:
		c := *n
		c.a = f(n.a)
		return &c
	case *truth:
		c := *n
		c.a = f(n.a)
		return &c
	case *and:
		c := *n
		c.parts = rebuildAll(n.parts, f)
		return &c
	case *or:
		c := *n
		c.parts = rebuildAll(n.parts, f)
		return &c
	case *not:
		c := *n
		c.a = f(n.a)
		return &c
	case *named:
		c := *n
		c.a = f(n.a)
		return &c
	case *quantifier:
		c := *n
		c.pred, c.rows = f(n.pred), rebuildRows(n.rows, f)
		return &c
	}
	panic(fmt.Sprintf("segment: unknown node %T", n))
}

func rebuildAll(nodes []node, f func(node) node) []node {
	out := make([]node, len(nodes))
	for i, n := range nodes {
		out[i] = f(n)
	}
	return out
}

func rebuildRows(r rows, f func(node) node) rows {
	r.of, r.filters = r.of.rebuild(f), rebuildAll(r.filters, f)
	return r
}
