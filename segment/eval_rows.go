package segment

import "fmt"

// rows gives a function that calls visit with each of the rows as the current one, until visit says stop (false).
func (c compiler) rows(r rows) func(f *frame, visit func() bool) {
	filter := c.junction(r.filters, false)
	slot, owner, relation := r.row.slot, c.row(r.of), r.rel.Name
	return func(f *frame, visit func() bool) {
		row := owner(f)
		outer := f.rows[slot]
		defer func() { f.rows[slot] = outer }()
		for _, related := range f.related(row[relation], relation) {
			f.rows[slot] = related
			if filter(f) && !visit() {
				return
			}
		}
	}
}

// row gives the row at a path, nil where there is none.
func (c compiler) row(p path) func(*frame) map[string]any {
	if len(p.via) == 0 {
		slot := p.from.slot
		return func(f *frame) map[string]any { return f.rows[slot] }
	}
	s := p.last()
	if s.pick != nil {
		return c.picked(p.owner(), s)
	}
	owner, relation := c.row(p.owner()), s.rel.Name
	return func(f *frame) map[string]any {
		row, _ := owner(f)[relation].(map[string]any)
		return row
	}
}

// related is a relation's value as rows.
func (f *frame) related(v any, relation string) []map[string]any {
	switch v := v.(type) {
	case nil:
		return nil
	case []map[string]any:
		return v
	case []any:
		out := make([]map[string]any, len(v))
		for i := range v {
			out[i], _ = v[i].(map[string]any)
		}
		return out
	}
	if f.err == nil {
		f.err = fmt.Errorf("relation %s: a value of Go type %T can't stand for rows", relation, v)
	}
	return nil
}

func (c compiler) aggregate(n *aggregate) valueFunc {
	each := c.rows(n.rows)
	if n.op == "count" {
		return func(f *frame) any {
			var count int64
			each(f, func() bool { count++; return true })
			if count == 0 && n.null {
				return nil
			}
			return count
		}
	}
	of := c.value(n.of)
	start, step, finish := aggregation(n)
	return func(f *frame) any {
		state, count, some := start, int64(0), false
		each(f, func() bool {
			some = true
			if v := of(f); v != nil {
				state, count = step(state, v), count+1
			}
			return true
		})
		if !some && n.null {
			return nil
		}
		return finish(state, count)
	}
}

// aggregation is how a function other than count goes over the values that are not missing.
func aggregation(n *aggregate) (start any, step func(state, v any) any, finish func(state any, count int64) any) {
	add := func(state, v any) any { return calculate("+", state, toExact(v)) }
	keep := func(state any, _ int64) any { return state }
	switch n.op {
	case "sum":
		return int64(0), add, keep
	case "mean":
		return int64(0), add, func(state any, count int64) any { return divide(state, count) }
	case "min":
		return nil, extreme(-1), keep
	}
	return nil, extreme(1), keep
}

func extreme(sign int) func(state, v any) any {
	return func(state, v any) any {
		if state == nil || order(v, state)*sign > 0 {
			return v
		}
		return state
	}
}
