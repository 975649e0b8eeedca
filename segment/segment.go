// Package segment is the rule language: a question about one customer, written in expr, answered either by one SQL
// condition over the whole customer base or in Go for one row at a time, with the same answer.
//
//	customer.city == "Semarang" && any(customer.vehicles, .next_service_on <= today() + days(14))
//
// becomes
//
//	c."city" = $1::text and exists (select from "public"."vehicles" s1
//	  where s1."customer_id" = c."id" and s1."next_service_on" <= $2::date)
//
// The stages are one-way: parse.go (expr's parser) → check.go (names and types; a typed tree, node.go) → lower.go
// (time is frozen, everything without a column becomes a constant) → sql.go or eval.go. Functions are rows of one
// table, functions.go. The package holds no database handle.
//
// The semantics, which both back ends keep: a missing value (NULL, nil) makes ordering, text, membership and function
// tests false and arithmetic missing; == takes missing as equal to missing only, and != is its exact negation; a
// missing boolean is false. Hence and, or and not are two-valued.
package segment

import (
	"fmt"
	"time"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
)

// Scope is what names a rule may use: root names, each a row of an entity.
type Scope struct {
	Schema   *customer.Schema
	Each     *customer.Relation // of a campaign that goes through a relation's rows; nil when there is none
	EachName string             // the name of one such row: "vehicle"

	extra []root
	event *customer.Entity // of a campaign that an event triggers; nil: none does
	names *Names           // nil: neither segments nor what Sapa knows
}

type root struct {
	name   string
	entity *customer.Entity
}

// NewScope is the scope of a rule over the customer's row alone.
func NewScope(s *customer.Schema) *Scope { return &Scope{Schema: s} }

// WithEach is the scope in which name is also a row of the relation.
func (s *Scope) WithEach(rel *customer.Relation, name string) *Scope {
	c := *s
	c.Each, c.EachName = rel, name
	return &c
}

// With is the scope in which name is also a row of the entity, such as the message a goal looks back to.
func (s *Scope) With(name string, e *customer.Entity) *Scope {
	c := *s
	c.extra = append(append([]root(nil), s.extra...), root{name, e})
	return &c
}

func (s *Scope) roots() []root {
	roots := []root{{"customer", s.Schema.Customer}}
	if s.Each != nil {
		roots = append(roots, root{s.EachName, s.Each.Target})
	}
	return append(roots, s.extra...)
}

// Clock is frozen time. Nothing in a rule asks the machine or the database session for the time or the zone.
type Clock struct {
	Today time.Time      // the tick's civil date: midnight UTC stands for the date
	Now   time.Time      // the run's as_of
	Zone  *time.Location // the company's zone, one that has an IANA name
	Given *Given         // what Prepare found out about all customers; nil where no rule needs it
	Event *Event         // what event means; nil where no scope has one
}

// Rule is a checked condition. It is immutable and may be used by many goroutines.
type Rule struct {
	scope  *Scope
	source *source
	root   node
	vars   *vars
	mutate mutation
}

// Text is the rule as its author wrote it.
func (r *Rule) Text() string { return r.source.text }

// Value is a checked expression of a scalar type, such as one part of an occasion.
type Value struct {
	rule Rule
}

// Text is the expression as its author wrote it.
func (v *Value) Text() string { return v.rule.source.text }

// Missing says whether the value can be missing for some row.
func (v *Value) Missing() bool { return v.rule.root.nullable() }

// ParseRule reads and checks a rule, which must be a condition. Without problems the list is empty.
func ParseRule(src Source, scope *Scope) (*Rule, diag.List) {
	s := newSource(src)
	root, vars, problems := analyse(s, scope, wantCondition)
	if len(problems) > 0 {
		return nil, problems
	}
	return &Rule{scope: scope, source: s, root: root, vars: vars}, nil
}

// ParseValue reads and checks an expression that gives text, a number, a boolean, a date or a time.
func ParseValue(src Source, scope *Scope) (*Value, diag.List) {
	s := newSource(src)
	root, vars, problems := analyse(s, scope, wantScalar)
	if len(problems) > 0 {
		return nil, problems
	}
	return &Value{Rule{scope: scope, source: s, root: root, vars: vars}}, nil
}

// Condition is a rule in SQL. Where it is not exact, the SQL lets through everybody the rule means and some others,
// and each of them must be asked by the rule's Program.
type Condition struct {
	SQL      string
	Exact    bool
	Residual []Reason
}

// Reason is a part of a rule that SQL can't say exactly.
type Reason struct {
	Span diag.Span
	Text string // the part as written
	Why  string
}

// String is the reason in one line.
func (r Reason) String() string { return fmt.Sprintf("%s: %s", r.Text, r.Why) }

// SQL translates the rule for frozen time. aliases has the caller's table alias for each root name that the rule
// uses; aliases s1, s2 … are taken by the translation. The condition may be NULL where it is not true.
func (r *Rule) SQL(args *Args, clock Clock, aliases map[string]string) (c Condition, err error) {
	defer recovered(&err)
	lowered, err := r.lower(clock)
	if err != nil {
		return Condition{}, err
	}
	e := newEmitter(r, args, clock, aliases)
	sql, err := e.condition(lowered)
	if err != nil {
		return Condition{}, fmt.Errorf("translate rule %q: %w", r.Text(), err)
	}
	return Condition{SQL: sql, Exact: len(e.residual) == 0, Residual: e.residual}, nil
}

// SQL translates the value into an expression of type text in the canonical format (see canonical.go), NULL where the
// value is missing. It is an error when SQL can't say it exactly.
func (v *Value) SQL(args *Args, clock Clock, aliases map[string]string) (sql string, err error) {
	defer recovered(&err)
	lowered, err := v.rule.lower(clock)
	if err != nil {
		return "", err
	}
	e := newEmitter(&v.rule, args, clock, aliases)
	sql, err = e.canonicalText(lowered)
	if err != nil {
		return "", fmt.Errorf("translate %q: %w", v.Text(), err)
	}
	return sql, nil
}

// recovered makes a panic, which is a mistake of this package, an error of the caller's one rule.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("segment: %v", p)
	}
}
