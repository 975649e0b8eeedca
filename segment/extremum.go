package segment

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// extremum is the smallest or largest of some values; those that are missing are left out.
type extremum struct {
	base
	op    string // min or max
	items []node
}

func (c *checker) extremumOf(fn *Function, at span, first node, others []ast.Node) node {
	if fn.Name != "min" && fn.Name != "max" || len(others) == 0 {
		hint := "for example " + fn.Example
		if len(others) == 1 {
			sum := fmt.Sprintf("%s + %s", c.words(first), c.short(c.extent(others[0])))
			hint = map[string]string{"sum": "write " + sum, "mean": "write (" + sum + ") / 2"}[fn.Name]
		}
		return c.problem(first.at(), hint, "%s takes a column of rows, but %s is %s", fn.Name, c.words(first), first.typ())
	}
	items := []node{first}
	for _, arg := range others {
		item := c.expr(arg)
		if item == nil {
			return nil
		}
		items = append(items, item)
	}
	return c.extremum(fn, at, items)
}

func (c *checker) extremum(fn *Function, at span, items []node) node {
	if fn.Name != "min" && fn.Name != "max" {
		return c.problem(at, "write (a + b) or (a + b) / 2", "%s takes a column of rows", fn.Name)
	}
	if len(items) == 0 {
		return c.argumentCount(fn, at)
	}
	out := &extremum{base{t: typeNothing, loc: at, null: true}, fn.Name, nil}
	for _, item := range items {
		t, ok := join(out.t, item.typ())
		if out.t == typeNothing {
			t, ok = item.typ(), true
		}
		if !ok || !t.isOrdered() {
			return c.problem(item.at(), "for example "+fn.Name+"(customer.a, customer.b)",
				"%s compares numbers, texts, or dates and times, but %s is %s", fn.Name, c.words(item), item.typ())
		}
		out.t, out.null = t, out.null && item.nullable()
	}
	for _, item := range items {
		out.items = append(out.items, convert(item, out.t))
	}
	return out
}

func (c compiler) extremum(n *extremum) valueFunc {
	items := make([]valueFunc, len(n.items))
	for i, item := range n.items {
		items[i] = c.value(item)
	}
	better := extreme(map[string]int{"min": -1, "max": 1}[n.op])
	return func(f *frame) any {
		var best any
		for _, item := range items {
			if v := item(f); v != nil {
				best = better(best, v)
			}
		}
		return best
	}
}

// extremumSQL: greatest and least leave NULL out, as we do.
func (e *emitter) extremumSQL(n *extremum) string {
	items := make([]string, len(n.items))
	for i, item := range n.items {
		items[i] = e.value(item)
		if n.t == typeText && e.mutate != mutateCollate {
			items[i] += ` collate "C"`
		}
	}
	return map[string]string{"min": "least", "max": "greatest"}[n.op] + "(" + strings.Join(items, ", ") + ")"
}
