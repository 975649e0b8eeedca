package segment

import "github.com/expr-lang/expr/ast"

// pickFunctions choose one row of several.
func pickFunctions() []*Function {
	return []*Function{
		{
			Name: "first", Usage: "first(rows)", form: orTexts(formPick),
			Sentence: "The earliest row by the relation's time (at: in sapa.yaml), missing when there is none.",
			Example:  `first(customer.orders).ordered_at > ago(days(30))`,
		},
		{
			Name: "last", Usage: "last(rows)", form: orTexts(formPick),
			Sentence: "The latest row by the relation's time (at: in sapa.yaml), missing when there is none.",
			Example:  `last(customer.orders).total > 100_000`,
		},
		{
			Name: "find", Usage: "find(rows, condition)", form: orTexts(formFind),
			Sentence: "The earliest row that satisfies the condition, missing when none does.",
			Example:  `find(customer.vehicles, .km > 100_000).dealer.city == "Solo"`,
		},
	}
}

// formPick is first(rows) or last(rows).
func formPick(c *checker, fn *Function, at span, args []ast.Node) node {
	if len(args) != 1 {
		return c.argumentCount(fn, at)
	}
	r, ok := c.rowsOf(fn, args[0])
	if !ok {
		return nil
	}
	by, ok := c.timeAndKey(fn, at, r)
	if !ok {
		return nil
	}
	return c.pick(at, r, by, fn.Name == "last")
}

func formFind(c *checker, fn *Function, at span, args []ast.Node) node {
	r, pred := c.rowsAndBody(fn, at, args, c.condition)
	if pred == nil {
		return nil
	}
	if r.value != nil {
		return c.problem(at, "write find(rows, condition).column", "find takes the rows of a relation, but %s is %s", c.short(c.extent(args[0])), typeList)
	}
	by, ok := c.timeOrKey(fn, at, r.rows)
	if !ok {
		return nil
	}
	return c.pick(at, r.where(pred), by, false)
}
