package segment

import (
	"maps"
	"slices"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
)

// Names is what rules may name besides columns and relations.
type Names struct {
	// Segments are the named segments, by name.
	Segments map[string]NamedRule
	// Campaigns are those of the project and of the ledger; nil for a rule that was checked before, whose campaigns need
	// not be known any more.
	Campaigns []string
	// Goals are those of Campaigns that have a goal.
	Goals []string
	// Topics are those of sapa.yaml and of all campaigns; nil as in Campaigns.
	Topics []string
}

// NamedRule is the rule of a named segment.
type NamedRule struct {
	Text string
	// Place moves problems of the text to the segment's file; nil leaves them at the text.
	Place func(diag.List) diag.List
}

// WithNames is the scope in which rules may use segments and ask what Sapa itself knows of the customer.
func (s *Scope) WithNames(n *Names) *Scope {
	c := *s
	c.names = n
	return &c
}

// Names is what the scope's rules may name; nil without WithNames.
func (s *Scope) Names() *Names { return s.names }

// ParseSegment reads and checks the rule of a named segment. Its problems stand where NamedRule.Place puts them.
func ParseSegment(name string, schema *customer.Schema, names *Names) (*Rule, diag.List) {
	named := names.Segments[name]
	scope := NewScope(schema).WithNames(names)
	s := newSource(Text(named.Text))
	root, vars, problems := analyseWithin(s, scope, wantCondition, []string{name})
	if problems = named.place(s, problems); len(problems) > 0 {
		return nil, problems
	}
	return &Rule{scope: scope, source: s, root: root, vars: vars}, nil
}

// place moves the problems of the rule's own text; those of segments that it uses have been moved.
func (r NamedRule) place(s *source, problems diag.List) diag.List {
	var own, out diag.List
	for _, p := range problems {
		if p.Source == s.file {
			own = append(own, p)
		} else {
			out = append(out, p)
		}
	}
	if r.Place != nil && len(own) > 0 {
		own = r.Place(own)
	}
	return append(own, out...)
}

// Segments are the names of the segments that the rule uses, also those that they use, sorted.
func (r *Rule) Segments() []string { return slices.Sorted(maps.Keys(r.vars.segments)) }

// Segments are the names of the segments that the value uses, as of a Rule.
func (v *Value) Segments() []string { return v.rule.Segments() }
