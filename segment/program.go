package segment

import (
	"errors"
	"fmt"
)

// Row is the row of each root name ("customer", "vehicle") as the VM wants it: column name → value, to-one relation →
// map[string]any or nil, to-many relation → []map[string]any. Values have the Go types that Type lists.
type Row = map[string]any

// Program decides a rule for one row at a time, with the same answer as its SQL. It belongs to one goroutine: make one
// for each.
type Program struct {
	rule  *Rule
	test  testFunc
	frame frame
}

// Program compiles the rule for frozen time.
func (r *Rule) Program(clock Clock) (p *Program, err error) {
	defer recovered(&err)
	lowered, err := r.lower(clock)
	if err != nil {
		return nil, err
	}
	test := compiler{clock: clock}.test(lowered)
	return &Program{rule: r, test: test, frame: newFrame(r.vars)}, nil
}

func newFrame(v *vars) frame { return frame{rows: make([]map[string]any, len(v.all))} }

// Match says whether the row satisfies the rule. It is an error when a root is absent or a value has a Go type that
// its column can't have; neither happens with rows loaded as Columns says.
func (p *Program) Match(row Row) (ok bool, err error) {
	defer recovered(&err)
	if err := p.frame.load(p.rule, row); err != nil {
		return false, err
	}
	ok = p.test(&p.frame)
	if p.frame.err != nil {
		return false, fmt.Errorf("rule %q: %w", p.rule.Text(), p.frame.err)
	}
	return ok, nil
}

// load sets the roots' rows.
func (f *frame) load(r *Rule, row Row) error {
	f.err = nil
	f.facts, _ = row[FactsKey].(map[string]bool)
	for i, root := range r.scope.roots() {
		if r.scope.isEvent(root.entity) {
			continue
		}
		m, ok := row[root.name].(map[string]any)
		if !ok {
			return errors.New("no row for " + root.name)
		}
		f.rows[i] = m
	}
	return nil
}

// ValueProgram gives a value for one row at a time, as Program decides a rule.
type ValueProgram struct {
	value *Value
	eval  valueFunc
	frame frame
}

// Program compiles the value for frozen time.
func (v *Value) Program(clock Clock) (p *ValueProgram, err error) {
	defer recovered(&err)
	lowered, err := v.rule.lower(clock)
	if err != nil {
		return nil, err
	}
	eval := compiler{clock: clock}.value(lowered)
	return &ValueProgram{value: v, eval: eval, frame: newFrame(v.rule.vars)}, nil
}

// Text is the row's value in the canonical format; false when it is missing.
func (p *ValueProgram) Text(row Row) (text string, ok bool, err error) {
	defer recovered(&err)
	if err := p.frame.load(&p.value.rule, row); err != nil {
		return "", false, err
	}
	v := p.eval(&p.frame)
	if p.frame.err != nil {
		return "", false, fmt.Errorf("%q: %w", p.value.Text(), p.frame.err)
	}
	if v == nil {
		return "", false, nil
	}
	return canonical(v, p.value.rule.root.typ()), true, nil
}
