package segment

import (
	"fmt"
	"slices"
	"strings"
)

// Trace is a clause of a rule with its verdict for one row, and what made it. The verdict of the whole is Program.Match's.
type Trace struct {
	Text   string       `json:"text"` // as its author wrote it, in one line
	Kind   string       `json:"kind"` // condition, and, or, not, choice, segment; any, all, none and the like of rows
	Holds  bool         `json:"holds"`
	Values []TraceValue `json:"values,omitempty"` // what a condition looked at
	Parts  []*Trace     `json:"parts,omitempty"`
	Rows   *TraceRows   `json:"rows,omitempty"` // of any, all, none and the like
}

// TraceRows is what a condition over rows found.
type TraceRows struct {
	Name     string     `json:"name"`     // of the relation
	Total    int        `json:"total"`    // how many there are; of all(filter(…)), how many are left by the filter
	Matching int        `json:"matching"` // how many satisfy the condition
	Shown    []TraceRow `json:"shown,omitempty"`
}

// TraceRow is one of the rows that decided, or of those that fail the fewest conditions.
type TraceRow struct {
	Label string   `json:"label"` // vehicle 21
	Parts []*Trace `json:"parts"`
}

// shownRows is how many rows a Trace has of each condition over rows.
const shownRows = 3

// Trace evaluates each clause of the rule for one row. The row has what Program wants, and the keys of related rows where
// they shall be named (see Candidates).
func (r *Rule) Trace(clock Clock, row Row) (t *Trace, err error) {
	defer recovered(&err)
	low, err := r.lowering(clock)
	if err != nil {
		return nil, err
	}
	tr := newTracer(r, low)
	if err := tr.frame.load(r, row); err != nil {
		return nil, err
	}
	t = tr.trace(r.root)
	if *low.err != nil {
		return nil, fmt.Errorf("rule %q: %w", r.Text(), *low.err)
	}
	if tr.frame.err != nil {
		return nil, fmt.Errorf("rule %q: %w", r.Text(), tr.frame.err)
	}
	return t, nil
}

// tracer evaluates the parts of a rule's tree as its author wrote it. Each part is lowered by itself, so that what lowering
// turns into something else means the same here.
type tracer struct {
	src    *source // where the text of the part stands that is traced: the rule, or a segment that it uses
	low    lowering
	frame  frame
	tests  map[node]testFunc
	values map[node]valueFunc
}

func newTracer(r *Rule, low lowering) *tracer {
	return &tracer{
		src: r.source, low: low, frame: newFrame(r.vars),
		tests: map[node]testFunc{}, values: map[node]valueFunc{},
	}
}

func (t *tracer) holds(n node) bool {
	test, ok := t.tests[n]
	if !ok {
		test = compiler{clock: t.low.clock}.test(t.low.node(n))
		t.tests[n] = test
	}
	return test(&t.frame)
}

func (t *tracer) value(n node) any {
	value, ok := t.values[n]
	if !ok {
		value = compiler{clock: t.low.clock}.value(t.low.node(n))
		t.values[n] = value
	}
	return value(&t.frame)
}

func (t *tracer) trace(n node) *Trace {
	switch n := n.(type) {
	case *and:
		return t.junction(n, "and", n.parts)
	case *or:
		return t.junction(n, "or", n.parts)
	case *not:
		return t.not(n)
	case *quantifier:
		return t.quantifier(n)
	case *named:
		return t.named(n)
	case *truth:
		if c, ok := n.a.(*choose); ok && c.t == typeBool {
			return t.choice(c)
		}
	}
	return t.condition(n)
}

func (t *tracer) one(n node, kind string) *Trace {
	return &Trace{Text: t.text(n), Kind: kind, Holds: t.holds(n)}
}

func (t *tracer) text(n node) string {
	return strings.Join(strings.Fields(t.src.quote(n.at())), " ")
}

func (t *tracer) condition(n node) *Trace {
	out := t.one(n, "condition")
	out.Values = t.valuesOf(n)
	return out
}

func (t *tracer) junction(n node, kind string, parts []node) *Trace {
	out := t.one(n, kind)
	for _, p := range parts {
		out.Parts = append(out.Parts, t.trace(p))
	}
	return out
}

// not of one condition, such as !=, is a condition, too.
func (t *tracer) not(n *not) *Trace {
	inner := t.trace(n.a)
	if inner.Kind == "condition" {
		out := t.one(n, "condition")
		out.Values = inner.Values
		return out
	}
	out := t.one(n, "not")
	out.Parts = []*Trace{inner}
	return out
}

// named is a segment with the clauses of its own rule.
func (t *tracer) named(n *named) *Trace {
	out := t.one(n, "segment")
	outer := t.src
	defer func() { t.src = outer }()
	t.src = n.src
	out.Parts = []*Trace{t.trace(n.a)}
	return out
}

// choice has the question and the answer that it chose.
func (t *tracer) choice(n *choose) *Trace {
	out := t.one(n, "choice")
	chosen := n.b
	if t.holds(n.cond) {
		chosen = n.a
	}
	out.Parts = []*Trace{t.trace(n.cond), t.trace(asCondition(chosen))}
	return out
}

// quantifier shows the rows that decided; where none satisfies and one should, those that fail the fewest conditions.
func (t *tracer) quantifier(n *quantifier) *Trace {
	out := t.one(n, n.op)
	found := t.ask(n)
	out.Rows = &TraceRows{Name: n.rows.rel.Name, Total: len(found)}
	for i := range found {
		if found[i].holds {
			out.Rows.Matching++
		}
	}
	for _, a := range chooseRows(n.op, out.Holds, found) {
		out.Rows.Shown = append(out.Rows.Shown, TraceRow{Label: t.rowLabel(n.rows, a.row, a.number), Parts: a.parts})
	}
	return out
}

// asked is a row with the clauses that it was asked.
type asked struct {
	row    map[string]any
	number int // from 1
	parts  []*Trace
	holds  bool
	away   int // how many conditions would have to be another
}

// ask asks each row of the relation; all(filter(…)) is asked only of those that the filter leaves.
func (t *tracer) ask(n *quantifier) []asked {
	clauses := append(slices.Clone(n.rows.filters), n.pred)
	if n.op == "all" {
		clauses = []node{n.pred}
	}
	var parts []node
	for _, c := range clauses {
		parts = append(parts, partsOf[*and](c)...)
	}
	slot := n.rows.row.slot
	over := n.rows
	if n.op != "all" {
		over.filters = nil
	}
	outer := t.frame.rows[slot]
	defer func() { t.frame.rows[slot] = outer }()
	var found []asked
	for i, row := range t.rowsOf(over) {
		t.frame.rows[slot] = row
		a := asked{row: row, number: i + 1, holds: true}
		for _, p := range parts {
			part := t.trace(p)
			a.parts = append(a.parts, part)
			a.holds, a.away = a.holds && part.Holds, a.away+part.away(true)
		}
		found = append(found, a)
	}
	return found
}

// rowsOf are the rows that satisfy the filters, as they are evaluated in a Program.
func (t *tracer) rowsOf(r rows) []map[string]any {
	lowered, ok := t.low.node(&aggregate{base{t: typeInt}, "count", r, nil}).(*aggregate)
	if !ok {
		return nil
	}
	var found []map[string]any
	compiler{clock: t.low.clock}.rows(lowered.rows)(&t.frame, func() bool {
		found = append(found, t.frame.rows[r.row.slot])
		return true
	})
	return found
}

// chooseRows are the rows to show.
func chooseRows(op string, verdict bool, found []asked) []asked {
	var yes, no []asked
	for _, a := range found {
		if a.holds {
			yes = append(yes, a)
		} else {
			no = append(no, a)
		}
	}
	slices.SortStableFunc(no, func(a, b asked) int { return a.away - b.away })
	switch {
	case op == "all" && !verdict:
		return first(no, shownRows)
	case op == "all", op == "none" && verdict:
		return nil
	case op == "any" && verdict:
		return first(yes, 1)
	case len(yes) > 0:
		return first(yes, shownRows)
	}
	return first(no, shownRows)
}

func first[T any](list []T, n int) []T { return list[:min(n, len(list))] }

// away is how many conditions would have to be another for the verdict to be want.
func (t *Trace) away(want bool) int {
	if t.Holds == want {
		return 0
	}
	all := t.Kind == "and" && want || t.Kind == "or" && !want
	switch {
	case t.Kind == "not":
		return t.Parts[0].away(!want)
	case t.Kind == "segment":
		return t.Parts[0].away(want)
	case t.Kind != "and" && t.Kind != "or":
		return 1
	}
	sum, least := 0, 0
	for i, p := range t.Parts {
		n := p.away(want)
		sum += n
		if i == 0 || n < least {
			least = n
		}
	}
	if all {
		return sum
	}
	return least
}
