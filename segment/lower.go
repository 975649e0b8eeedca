package segment

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// lower freezes time: everything that is the same for all rows becomes a constant, evaluated once, and a time compared
// with a constant date becomes a time compared with the first instants of days, which an index can serve. Both back
// ends work on the result.
func (r *Rule) lower(clock Clock) (node, error) {
	l, err := r.lowering(clock)
	if err != nil {
		return nil, err
	}
	lowered := l.node(r.root)
	if *l.err != nil {
		return nil, fmt.Errorf("rule %q: %w", r.Text(), *l.err)
	}
	return lowered, nil
}

func (r *Rule) lowering(clock Clock) (lowering, error) {
	if err := clock.check(); err != nil {
		return lowering{}, fmt.Errorf("rule %q: %w", r.Text(), err)
	}
	clock.Now = clock.Now.Truncate(time.Microsecond) // what the database can tell apart
	return lowering{rule: r, clock: clock, mutate: r.mutate, err: new(error)}, nil
}

func (c Clock) check() error {
	switch {
	case c.Zone == nil:
		return errors.New("the clock has no zone")
	case c.Today.IsZero() || c.Now.IsZero():
		return errors.New("the clock has no time")
	case !toDate(c.Today).Equal(c.Today):
		return errors.New("the clock's date has a time of day")
	}
	if _, err := time.LoadLocation(c.Zone.String()); err != nil || c.Zone == time.Local {
		return fmt.Errorf("the zone %q has no IANA name", c.Zone)
	}
	return nil
}

type lowering struct {
	rule   *Rule
	clock  Clock
	mutate mutation
	err    *error // the first that a rank met
}

func (l lowering) node(n node) node {
	if isConstant(n) {
		return n
	}
	if v, ok := l.eventValue(n); ok {
		return v
	}
	n = l.foldText(rebuild(n, l.node))
	if r, ok := n.(*standing); ok {
		n = l.bind(r)
	}
	if foldable(n) {
		return l.fold(n)
	}
	if ranged, ok := l.calendar(n); ok {
		return ranged
	}
	if bounded, ok := l.compareWhole(n); ok {
		return bounded
	}
	switch n := n.(type) {
	case *and:
		return l.junction(n, n.parts, true)
	case *or:
		return l.junction(n, n.parts, false)
	case *not:
		return l.not(n)
	case *compare:
		return l.compareDays(n)
	case *equal:
		return l.equalDays(n)
	}
	return n
}

// foldable nodes have constants only, and a type that a constant can have.
func foldable(n node) bool {
	switch n.(type) {
	case *column, *rowRef, *rowsRef, *mapped, *aggregate, *quantifier, *listNode, *fact, *element, *overTexts:
		return false
	}
	for _, c := range children(n) {
		if !isConstant(c) {
			return false
		}
	}
	return true
}

func (l lowering) fold(n node) node {
	f := &frame{}
	v := compiler{clock: l.clock}.value(n)(f)
	if f.err != nil && *l.err == nil {
		*l.err = f.err
	}
	return &constant{base{t: n.typ(), loc: n.at(), null: v == nil}, v, ""}
}

// fixedValue is the value of an expression without time and rows; false when it has either.
func fixedValue(n node) (any, bool) {
	if !isFixed(n) || readsClock(n) {
		return nil, false
	}
	return compiler{}.value(n)(&frame{}), true
}

func readsClock(n node) bool {
	c, ok := n.(*call)
	return ok && c.fn.clocked || slices.ContainsFunc(children(n), readsClock)
}

// junction drops the parts that decide nothing.
func (l lowering) junction(n node, parts []node, conjunction bool) node {
	var kept []node
	for _, p := range parts {
		k, ok := p.(*constant)
		switch {
		case !ok:
			kept = append(kept, p)
		case isTrue(k.v) != conjunction:
			return &constant{base{t: typeBool, loc: n.at()}, !conjunction, ""}
		}
	}
	switch {
	case len(kept) == 0:
		return &constant{base{t: typeBool, loc: n.at()}, conjunction, ""}
	case len(kept) == 1:
		return kept[0]
	case conjunction:
		return &and{condition(n.at()), kept}
	}
	return &or{condition(n.at()), kept}
}

func isTrue(v any) bool {
	b, _ := v.(bool)
	return b
}

func (l lowering) not(n *not) node {
	if inner, ok := n.a.(*not); ok {
		return inner.a
	}
	return n
}

// days recognises the date of a time: the time is returned.
func days(n node) (node, bool) {
	c, ok := n.(*cast)
	if !ok || c.t != typeDate {
		return nil, false
	}
	switch c.a.(type) {
	case *column, *aggregate:
		return c.a, true
	}
	return nil, false
}

func constantDate(n node) (time.Time, bool) {
	k, ok := n.(*constant)
	if !ok {
		return time.Time{}, false
	}
	t, ok := k.v.(time.Time)
	return t, ok && !isInfinite(t)
}

func (l lowering) compareDays(n *compare) node {
	if x, ok := days(n.a); ok {
		if d, ok := constantDate(n.b); ok {
			return l.compareDay(n, x, n.op, d)
		}
	}
	if x, ok := days(n.b); ok {
		if d, ok := constantDate(n.a); ok {
			return l.compareDay(n, x, mirrored(n.op), d)
		}
	}
	return n
}

func (l lowering) compareDay(n node, x node, op string, d time.Time) node {
	switch op {
	case "<=":
		op, d = "<", d.AddDate(0, 0, 1)
	case ">":
		op, d = ">=", d.AddDate(0, 0, 1)
	}
	if l.mutate == mutateDayRounding && op == ">=" {
		op = ">"
	}
	return &compare{condition(n.at()), op, x, l.start(x, d)}
}

// start is the first moment of a date in the type of x.
func (l lowering) start(x node, d time.Time) node {
	if x.typ() == typeInstant {
		d = startOfDay(d, l.clock.Zone)
	}
	return &constant{base{t: x.typ(), loc: x.at()}, d, ""}
}

func (l lowering) equalDays(n *equal) node {
	x, ok := days(n.a)
	d, constantB := constantDate(n.b)
	if !ok || !constantB {
		x, ok = days(n.b)
		if d, constantB = constantDate(n.a); !ok || !constantB {
			return n
		}
	}
	if _, aggregated := x.(*aggregate); aggregated { // one question of a group, not two
		return n
	}
	return &and{condition(n.at()), []node{
		&compare{condition(n.at()), ">=", x, l.start(x, d)},
		&compare{condition(n.at()), "<", x, l.start(x, d.AddDate(0, 0, 1))},
	}}
}

// mirrored is the operator after the sides are exchanged; inverse is its negation.
func mirrored(op string) string {
	return map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<="}[op]
}

func inverse(op string) string {
	return map[string]string{"<": ">=", "<=": ">", ">": "<=", ">=": "<"}[op]
}
