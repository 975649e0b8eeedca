package segment

import (
	"fmt"
	"regexp"

	"github.com/sapa-crm/sapa/customer"
)

// node is one expression of the checked, typed tree. Every kind of node is a case in children, rebuild, the emitter
// and the evaluator; a kind that one of them does not know panics there, and a test visits them all.
type node interface {
	typ() Type
	at() span
	nullable() bool // may be missing
}

// span is a half-open range of runes in the rule's text.
type span struct{ from, to int }

type base struct {
	t    Type
	loc  span
	null bool
}

func (b base) typ() Type      { return b.t }
func (b base) at() span       { return b.loc }
func (b base) nullable() bool { return b.null }

// condition is the base of nodes that are true or false and never missing.
func condition(at span) base { return base{t: typeBool, loc: at} }

// variable is a row that expressions refer to: a root ("customer") or the current row of a closure.
type variable struct {
	name   string
	entity *customer.Entity
	slot   int
}

// vars are all variables of a rule, by slot.
type vars struct {
	all      []*variable
	segments map[string]bool // that the rule uses
}

func (v *vars) add(name string, e *customer.Entity) *variable {
	x := &variable{name: name, entity: e, slot: len(v.all)}
	v.all = append(v.all, x)
	return x
}

// path leads from a variable to one row: over to-one relations, and to one picked row of a to-many relation.
type path struct {
	from *variable
	via  []step
}

// step is the next row: that of a to-one relation, or the one that pick chooses.
type step struct {
	rel  *customer.Relation
	pick *pick // nil where the relation is to-one
}

func (p path) entity() *customer.Entity {
	if len(p.via) == 0 {
		return p.from.entity
	}
	return p.last().rel.Target
}

func (p path) last() step { return p.via[len(p.via)-1] }

// owner is the row from which the last step leads.
func (p path) owner() path { return path{p.from, p.via[:len(p.via)-1]} }

func (p path) to(s step) path {
	return path{p.from, append(append([]step(nil), p.via...), s)}
}

// rows are those of a to-many relation of the row at path that satisfy the filters.
type rows struct {
	of      path
	rel     *customer.Relation
	row     *variable // the current row, in filters and closures
	filters []node    // conditions
}

// Values.
type (
	constant struct {
		base
		v       any
		literal string // digits as written, for numbers
	}
	column struct {
		base
		path path
		col  customer.Column
	}
	rowRef struct { // a row itself, which can only be compared with nil or followed
		base
		path path
	}
	rowsRef struct {
		base
		rows rows
	}
	listNode struct { // a literal list
		base
		items []node
	}
	mapped struct { // map(rows, of)
		base
		rows rows
		of   node
	}
	arith struct { // + - * / % of numbers, + of texts
		base
		op   string
		a, b node
	}
	negate struct {
		base
		a node
	}
	shift struct { // a date or time plus (or minus) a constant period
		base
		a, by node
		minus bool
	}
	cast struct { // to a less precise type
		base
		a node
	}
	coalesce struct {
		base
		a, b node
	}
	choose struct { // cond ? a : b
		base
		cond, a, b node
	}
	call struct {
		base
		fn   *Function
		args []node
	}
	aggregate struct { // count sum min max mean; a nullable count or sum is missing without rows
		base
		op   string
		rows rows
		of   node // nil for count
	}
)

// Conditions: never missing.
type (
	compare struct { // < <= > >=
		base
		op   string
		a, b node
	}
	equal struct {
		base
		a, b node
	}
	isNil struct {
		base
		a node
	}
	member struct { // x in [a, b, nil]
		base
		x       node
		items   []node // of x's type
		withNil bool
	}
	between struct { // x in lo..hi
		base
		x, lo, hi node
	}
	contains struct { // x in list, for a list of texts
		base
		list, x node
	}
	textTest struct { // contains startsWith endsWith
		base
		op   string
		a, b node
	}
	match struct {
		base
		a  node
		re *regexp.Regexp
	}
	truth struct { // a boolean value as a condition: missing is false
		base
		a node
	}
	and struct {
		base
		parts []node
	}
	or struct {
		base
		parts []node
	}
	not struct {
		base
		a node
	}
	quantifier struct { // any all none
		base
		op   string
		rows rows
		pred node
	}
)

// isCondition says that the node is one of the conditions, which are two-valued and which cond translates.
func isCondition(n node) bool {
	if over, ok := n.(*overTexts); ok {
		return over.op == "any"
	}
	switch n.(type) {
	case *compare, *equal, *isNil, *member, *between, *contains, *textTest, *match, *truth, *and, *or, *not, *quantifier, *named, *fact:
		return true
	}
	return false
}

// children are the direct parts of a node, closures and filters included.
func children(n node) []node {
	switch n := n.(type) {
	case *constant, *fact, *element:
		return nil
	case *overTexts:
		return n.parts()
	case *column:
		return n.path.filters()
	case *rowRef:
		return n.path.filters()
	case *rowsRef:
		return n.rows.parts()
	case *listNode:
		return n.items
	case *mapped:
		return append([]node{n.of}, n.rows.parts()...)
	case *arith:
		return []node{n.a, n.b}
	case *negate:
		return []node{n.a}
	case *shift:
		return []node{n.a, n.by}
	case *cast:
		return []node{n.a}
	case *coalesce:
		return []node{n.a, n.b}
	case *choose:
		return []node{n.cond, n.a, n.b}
	case *call:
		return n.args
	case *standing:
		return []node{n.of}
	case *scores:
		return n.parts
	case *extremum:
		return n.items
	case *aggregate:
		if n.of == nil {
			return n.rows.parts()
		}
		return append([]node{n.of}, n.rows.parts()...)
	}
	return conditionChildren(n)
}

func conditionChildren(n node) []node {
	switch n := n.(type) {
	case *compare:
		return []node{n.a, n.b}
	case *equal:
		return []node{n.a, n.b}
	case *isNil:
		return []node{n.a}
	case *member:
		return append([]node{n.x}, n.items...)
	case *between:
		return []node{n.x, n.lo, n.hi}
	case *contains:
		return []node{n.list, n.x}
	case *textTest:
		return []node{n.a, n.b}
	case *match:
		return []node{n.a}
	case *truth:
		return []node{n.a}
	case *and:
		return n.parts
	case *or:
		return n.parts
	case *not:
		return []node{n.a}
	case *named:
		return []node{n.a}
	case *quantifier:
		return append([]node{n.pred}, n.rows.parts()...)
	}
	panic(fmt.Sprintf("segment: unknown node %T", n))
}
