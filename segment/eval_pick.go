package segment

import "fmt"

// picked gives the row that the step chooses from those behind its owner, nil where there is none.
func (c compiler) picked(owner path, s step) func(*frame) map[string]any {
	each := c.rows(rows{of: owner, rel: s.rel, row: s.pick.row, filters: s.pick.filters})
	slot, before := s.pick.row.slot, beforeIn(s.pick)
	return func(f *frame) map[string]any {
		var best map[string]any
		each(f, func() bool {
			if row := f.rows[slot]; s.pick.takes(row) && (best == nil || before(f, row, best)) {
				best = row
			}
			return true
		})
		return best
	}
}

// takes says that the row has what decides between rows.
func (p *pick) takes(row map[string]any) bool {
	for _, by := range p.order {
		if row[by.column.Name] == nil && !by.missing {
			return false
		}
	}
	return true
}

// beforeIn says which of two rows the pick prefers.
func beforeIn(p *pick) func(f *frame, a, b map[string]any) bool {
	return func(f *frame, a, b map[string]any) bool {
		for _, by := range p.order {
			x, y := f.ordered(a, by), f.ordered(b, by)
			switch {
			case x == nil && y == nil:
				continue
			case x == nil || y == nil:
				return y == nil
			}
			if o := order(x, y); o != 0 {
				return (o > 0) == p.last
			}
		}
		return false
	}
}

func (f *frame) ordered(row map[string]any, by sortColumn) any {
	v := row[by.column.Name]
	if v == nil {
		return nil
	}
	n, ok := normal(v, by.column.Kind)
	if !ok && f.err == nil {
		f.err = fmt.Errorf("column %s: a value of Go type %T can't stand for %s", by.column.Name, v, by.column.Kind)
	}
	return n
}
