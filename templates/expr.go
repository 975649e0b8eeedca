package templates

// expr is a checked expression. eval gives a value in the engine's own types (see value.go); a missing value is nil.
type expr interface {
	eval(f *frame) (any, error)
	place() pos
}

type (
	// literal is a constant of the template.
	literal struct {
		at pos
		v  any
	}
	// variable is a name and the steps behind it: customer.dealer.city, vehicles[0].plate.
	variable struct {
		at    pos
		name  string
		steps []step
		root  root
		slot  int    // of a local
		field string // of forloop
		civil bool   // a time of which only the date counts
	}
	// step is .name (or ["name"]) or [index].
	step struct {
		at    pos
		name  string
		index expr
	}
	// rangeExpr is (from..to), a list of whole numbers.
	rangeExpr struct {
		at       pos
		from, to expr
	}
	// filtered is a value and the filters behind it.
	filtered struct {
		at    pos
		base  expr
		calls []call
	}
	// call is one filter with its arguments.
	call struct {
		at    pos // of the name
		name  string
		args  []expr
		named []named
		def   *filter
	}
	// named is a named argument.
	named struct {
		at    pos
		name  string
		value expr
	}
	// binary is a comparison, contains, and, or.
	binary struct {
		at   pos
		op   string
		a, b expr
	}
)

type root int

const (
	global  root = iota // from vars
	local               // assign, capture, the variable of a loop
	forloop             // the innermost loop's state
)

func (e *literal) place() pos   { return e.at }
func (e *variable) place() pos  { return e.at }
func (e *rangeExpr) place() pos { return e.at }
func (e *filtered) place() pos  { return e.at }
func (e *binary) place() pos    { return e.at }
