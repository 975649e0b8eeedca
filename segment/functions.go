package segment

import (
	"fmt"
	"slices"

	"github.com/expr-lang/expr/ast"
)

// Function is a row of the function table: everything the checker, both back ends and the documentation know of it.
// A missing argument makes the result missing, so neither eval nor sql meets one.
type Function struct {
	Name     string
	Usage    string // "days(n)", as the reference shows it
	Sentence string // what it gives, for the reference
	Example  string // a condition that uses it, checked by a test

	// Either form checks a call with a shape of its own (closures, several types), or Params and Result say its types.
	form    func(c *checker, fn *Function, at span, args []ast.Node) node
	Params  []Type
	Result  Type
	partial bool                     // may be missing without a missing argument
	fixed   bool                     // the arguments must be the same for all rows
	check   func(args []node) string // what is wrong with constant arguments, "" if nothing

	eval     func(clock Clock, args []any) any
	sql      func(args []sqlArg) string // nil: only ever a constant, or a residual
	bindings func(clock Clock) []binding
	emit     func(e *emitter, n *call) string // instead of sql, where the SQL depends on constant arguments
	clocked  bool                             // eval reads the clock
	residual string                           // why SQL can't say it, where it can't
}

// sqlArg is an argument's SQL and type; the bindings follow the arguments.
type sqlArg struct {
	text string
	t    Type
}

// binding is a constant that a function's SQL needs besides its arguments.
type binding struct {
	value any
	cast  string
}

func (f *Function) usage() string {
	return fmt.Sprintf("%s is used as %s", f.Name, f.Usage)
}

// Functions is the table, in the order of the reference.
func Functions() []*Function {
	return slices.Concat(
		rowFunctions(), pickFunctions(), timeFunctions(), calendarFunctions(), textFunctions(), numberFunctions(),
		peopleFunctions(), baseFunctions(),
	)
}

func function(name string) (*Function, bool) {
	for _, f := range Functions() {
		if f.Name == name {
			return f, true
		}
	}
	return nil, false
}

func functionNames() []string {
	var names []string
	for _, f := range Functions() {
		names = append(names, f.Name)
	}
	return names
}
