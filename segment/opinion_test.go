package segment

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/sapa-crm/sapa/customer"
)

// The third opinion: SQL and our evaluator share the checker and the lowered tree, so a mistake there would be theirs in
// common. Here expr's own compiler and VM run the rule's text. Nothing of the package is used but the periods' calendar;
// types are those that values have at run time, and the missing rules are written again, as functions that a patcher puts
// in the place of expr's operators.

func TestExprsVMAgrees(t *testing.T) {
	t.Parallel()
	w := newWorld(rand64(t))
	o := newOpinion(w)
	for range (rules() + 99) / 100 {
		rapid.Check(t, func(rt *rapid.T) {
			g := &generator{t: rt, schema: w.schema, residual: true}
			o.check(rt, w, g.condition(3), w.clocks[g.n(len(w.clocks))])
		})
	}
}

type opinion struct {
	rows []map[string]any // customers with values of the opinion's own types
}

func newOpinion(w *world) *opinion {
	o := &opinion{}
	seen := map[string]map[string]any{}
	for _, row := range w.customers {
		o.rows = append(o.rows, opinionRow(row, w.schema.Customer, seen))
	}
	return o
}

func (o *opinion) check(t *rapid.T, w *world, text string, clock Clock) {
	rule, problems := ParseRule(Text(text), NewScope(w.schema))
	if problems != nil {
		if tooBig(problems.Error()) {
			return
		}
		t.Fatalf("a rule of correct types is refused:\n%v", problems)
	}
	// Skipped: what has one static type and several at run time, and digits that expr's floats lose.
	if joinsTypes(rule.root) || manyDigits.MatchString(text) {
		return
	}
	ours := w.match(t, rule, clock)
	program, err := o.compile(text, clock)
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	var theirs []int64
	for i, row := range o.rows {
		v, err := vm.Run(program, map[string]any{"customer": row})
		if err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
		if truthy(v) {
			theirs = append(theirs, int64(i+1))
		}
	}
	if d := disagreement(theirs, ours, true); d != "" {
		d = strings.Replace(d, "SQL", "expr", 1)
		t.Fatalf("%s\nclock %v\n%s", text, clock, w.explain(d))
	}
}

var manyDigits = regexp.MustCompile(`\d\.\d{16,}|\d{16,}\.`)

func joinsTypes(n node) bool {
	isCast := func(n node) bool { _, ok := n.(*cast); return ok }
	switch n := n.(type) {
	case *coalesce, *choose, *member:
		if slices.ContainsFunc(children(n), isCast) {
			return true
		}
	}
	return slices.ContainsFunc(children(n), joinsTypes)
}

// moment is a date, a timestamp or an instant; double is a float column's value or a quotient, everything else exact.
type (
	moment struct {
		kind customer.Kind
		t    time.Time
	}
	double_ float64
	exact   struct {
		rat     *big.Rat
		special float64 // NaN or an infinity when rat is nil
	}
)

func opinionRow(row map[string]any, e *customer.Entity, seen map[string]map[string]any) map[string]any {
	id := fmt.Sprint(e.Table, row[e.Key])
	if out, ok := seen[id]; ok {
		return out
	}
	out := map[string]any{}
	seen[id] = out
	for _, c := range e.Columns {
		out[c.Name] = opinionValue(row[c.Name], c.Kind)
	}
	for _, r := range e.Relations {
		switch v := row[r.Name].(type) {
		case map[string]any:
			out[r.Name] = opinionRow(v, r.Target, seen)
		case []map[string]any:
			list := []any{}
			for _, child := range v {
				list = append(list, opinionRow(child, r.Target, seen))
			}
			out[r.Name] = list
		default:
			if out[r.Name] = nil; !r.One {
				out[r.Name] = []any{}
			}
		}
	}
	return out
}

func opinionValue(v any, kind customer.Kind) any {
	switch v := v.(type) {
	case int64:
		return exact{rat: new(big.Rat).SetInt64(v)}
	case decimal.Decimal:
		return exact{rat: v.Rat()}
	case float64:
		if kind == customer.Numeric {
			return exact{special: v}
		}
		return double_(v)
	case time.Time:
		return moment{kind, v}
	}
	return v
}

// writtenNil is a nil that stands in a list, the only one that x in [...] finds.
type writtenNil struct{}

func truthy(v any) bool { b, ok := v.(bool); return ok && b }

func (o *opinion) compile(text string, clock Clock) (*vm.Program, error) {
	functions := map[string]func(...any) (any, error){
		"truthy_": func(a ...any) (any, error) { return truthy(a[0]), nil },
		"get_":    func(a ...any) (any, error) { return get(a[0], a[1].(string)), nil },
		"op_":     func(a ...any) (any, error) { return operate(clock, a[0].(string), a[1], a[2]) },
		"fn_":     func(a ...any) (any, error) { return apply(clock, a[0].(string), a[1:]) },
	}
	options := []expr.Option{expr.AllowUndefinedVariables(), expr.Optimize(false), expr.Patch(opinionPatcher{})}
	for name, f := range functions {
		options = append(options, expr.Function(name, f))
	}
	return expr.Compile(text, options...)
}

type opinionPatcher struct{}

func callTo(name string, args ...ast.Node) ast.Node {
	return &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: args}
}

// Visit replaces an operator by a call that knows missing values.
func (opinionPatcher) Visit(n *ast.Node) {
	word := func(s string) ast.Node { return &ast.StringNode{Value: s} }
	switch x := (*n).(type) {
	case *ast.BinaryNode:
		switch x.Operator {
		case "&&", "and", "||", "or":
			x.Left, x.Right = callTo("truthy_", x.Left), callTo("truthy_", x.Right)
		case "..":
		default:
			ast.Patch(n, callTo("op_", word(x.Operator), x.Left, x.Right))
		}
	case *ast.UnaryNode:
		if i, ok := x.Node.(*ast.IntegerNode); ok && x.Operator == "-" {
			ast.Patch(n, &ast.IntegerNode{Value: -i.Value})
			return
		}
		if x.Operator == "-" {
			ast.Patch(n, callTo("op_", word("-"), &ast.IntegerNode{}, x.Node))
			return
		}
		x.Node = callTo("truthy_", x.Node)
	case *ast.MemberNode:
		ast.Patch(n, callTo("get_", x.Node, x.Property))
	case *ast.ArrayNode:
		for i, item := range x.Nodes {
			if _, ok := item.(*ast.NilNode); ok {
				x.Nodes[i] = callTo("fn_", word("nil"))
			}
		}
	case *ast.ConditionalNode:
		x.Cond = callTo("truthy_", x.Cond)
	case *ast.CallNode:
		if name := x.Callee.(*ast.IdentifierNode).Value; !strings.HasSuffix(name, "_") {
			ast.Patch(n, callTo("fn_", append([]ast.Node{word(name)}, x.Arguments...)...))
		}
	case *ast.BuiltinNode:
		if len(x.Arguments) == 2 {
			if p, ok := x.Arguments[1].(*ast.PredicateNode); ok {
				if x.Name != "map" {
					p.Node = callTo("truthy_", p.Node)
				}
				return
			}
		}
		ast.Patch(n, callTo("fn_", append([]ast.Node{word(x.Name)}, x.Arguments...)...))
	}
}

func get(row any, name string) any {
	m, _ := row.(map[string]any)
	return m[name]
}

func operate(clock Clock, op string, a, b any) (any, error) {
	a, b = number_(a), number_(b)
	switch op {
	case "==":
		return equals(clock, a, b), nil
	case "!=":
		return !equals(clock, a, b), nil
	case "??":
		if a == nil {
			return b, nil
		}
		return a, nil
	case "in":
		return isIn(clock, a, b), nil
	}
	if a == nil || b == nil {
		switch op {
		case "+", "-", "*", "/", "%":
			return nil, nil
		}
		return false, nil
	}
	switch op {
	case "<", "<=", ">", ">=":
		return holds(op, compareOpinions(clock, a, b)), nil
	case "contains":
		return strings.Contains(a.(string), b.(string)), nil
	case "startsWith":
		return strings.HasPrefix(a.(string), b.(string)), nil
	case "endsWith":
		return strings.HasSuffix(a.(string), b.(string)), nil
	case "matches":
		return regexp.MatchString(b.(string), a.(string))
	}
	return reckon(clock, op, a, b)
}

func holds(op string, c int) bool {
	return op == "<" && c < 0 || op == "<=" && c <= 0 || op == ">" && c > 0 || op == ">=" && c >= 0
}

// number_ makes a literal of expr exact.
func number_(v any) any {
	switch v := v.(type) {
	case int:
		return exact{rat: new(big.Rat).SetInt64(int64(v))}
	case float64:
		r, _ := new(big.Rat).SetString(strconv.FormatFloat(v, 'g', -1, 64))
		return exact{rat: r}
	}
	return v
}

func equals(clock Clock, a, b any) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	if x, ok := a.(bool); ok {
		return x == b.(bool)
	}
	return compareOpinions(clock, a, b) == 0
}

func isIn(clock Clock, a, list any) bool {
	switch list := list.(type) {
	case []string:
		return slices.Contains(list, fmt.Sprint(a)) && a != nil
	case []int:
		if a == nil {
			return false
		}
		return slices.ContainsFunc(list, func(i int) bool { return equals(clock, a, number_(i)) })
	case []any:
		return slices.ContainsFunc(list, func(item any) bool {
			if a == nil || item == nil || item == (writtenNil{}) {
				return a == nil && item == writtenNil{}
			}
			return equals(clock, a, number_(item))
		})
	}
	return false
}

func compareOpinions(clock Clock, a, b any) int {
	switch x := a.(type) {
	case string:
		return strings.Compare(x, b.(string))
	case moment:
		return compareMoments(clock, x, b.(moment))
	}
	x, exactA := a.(exact)
	y, exactB := b.(exact)
	if exactA && exactB && x.rat != nil && y.rat != nil {
		return x.rat.Cmp(y.rat)
	}
	return rank(a, exactA && !exactB, b, exactB && !exactA)
}

// rank compares by PostgreSQL's order of floats, NaN on top.
func rank(a any, convertA bool, b any, convertB bool) int {
	x, y := asFloat(a, convertA), asFloat(b, convertB)
	switch {
	case math.IsNaN(x) && math.IsNaN(y) || x == y:
		return 0
	case math.IsNaN(x) || x > y:
		return 1
	}
	return -1
}

func asFloat(v any, _ bool) float64 {
	switch v := v.(type) {
	case double_:
		return float64(v)
	case exact:
		if v.rat == nil {
			return v.special
		}
		f, _ := v.rat.Float64()
		switch size := math.Abs(f); {
		case size < 1e-300:
			return 0
		case size > 1e300:
			return math.Copysign(math.Inf(1), f)
		}
		return f
	}
	return 0
}

func compareMoments(clock Clock, a, b moment) int {
	kind := min(a.kind, b.kind) // Date < Timestamp < Timestamptz
	return a.as(kind, clock.Zone).Compare(b.as(kind, clock.Zone))
}

func (m moment) as(kind customer.Kind, zone *time.Location) time.Time {
	t := m.t
	if t.Equal(Infinity) || t.Equal(NegInfinity) {
		return t
	}
	if m.kind == customer.Timestamptz && kind != customer.Timestamptz {
		l := t.In(zone)
		t = time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), l.Nanosecond(), time.UTC)
	}
	if kind == customer.Date {
		t = t.Add(-time.Duration(t.Hour())*time.Hour - time.Duration(t.Minute())*time.Minute -
			time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond()))
	}
	return t
}

func reckon(clock Clock, op string, a, b any) (any, error) {
	switch x := a.(type) {
	case string:
		return x + b.(string), nil
	case moment:
		p := b.(period)
		if op == "-" {
			p = p.negated()
		}
		if x.kind == customer.Timestamptz {
			return moment{x.kind, addInstant(x.t, p, clock.Zone)}, nil
		}
		return moment{x.kind, addCivil(x.t, p)}, nil
	}
	switch op {
	case "/":
		x, y := limited(a), limited(b)
		if math.IsNaN(x) || math.IsNaN(y) || y == 0 {
			return nil, nil
		}
		return double_(x / y), nil
	case "%":
		x, y := a.(exact).rat.Num(), b.(exact).rat.Num()
		if y.Sign() == 0 {
			return nil, nil
		}
		return exact{rat: new(big.Rat).SetInt(new(big.Int).Rem(x, y))}, nil
	}
	return exactly(op, digits15(a), digits15(b)), nil
}

// limited is NaN for what division leaves out.
func limited(v any) float64 {
	if e, ok := v.(exact); ok && e.rat != nil {
		size := new(big.Rat).Abs(e.rat)
		limit, _ := new(big.Rat).SetString("1e140")
		if size.Sign() != 0 && (size.Cmp(limit) > 0 || new(big.Rat).Inv(size).Cmp(limit) > 0) {
			return math.NaN()
		}
	}
	f := asFloat(v, false)
	if f != 0 && (math.Abs(f) > 1e140 || math.Abs(f) < 1e-140) {
		return math.NaN()
	}
	return f
}

func digits15(v any) exact {
	d, ok := v.(double_)
	if !ok {
		return v.(exact)
	}
	r, ok := new(big.Rat).SetString(fmt.Sprintf("%.15g", float64(d)))
	if !ok {
		return exact{special: float64(d)}
	}
	return exact{rat: r}
}

func exactly(op string, a, b exact) any {
	if a.rat == nil || b.rat == nil {
		return exact{special: calculateSpecial(op, signOf(a), signOf(b)).(float64)}
	}
	switch op {
	case "+":
		return exact{rat: new(big.Rat).Add(a.rat, b.rat)}
	case "-":
		return exact{rat: new(big.Rat).Sub(a.rat, b.rat)}
	}
	return exact{rat: new(big.Rat).Mul(a.rat, b.rat)}
}

func signOf(e exact) float64 {
	if e.rat == nil {
		return e.special
	}
	return float64(e.rat.Sign())
}

func apply(clock Clock, name string, args []any) (any, error) {
	switch name {
	case "nil":
		return writtenNil{}, nil
	case "today":
		return moment{customer.Date, clock.Today}, nil
	case "now":
		return moment{customer.Timestamptz, clock.Now.Truncate(time.Microsecond)}, nil
	case "days", "weeks", "months", "years":
		n := int(asFloat(number_(args[0]), false))
		return map[string]period{"days": {days: n}, "weeks": {days: 7 * n}, "months": {months: n}, "years": {months: 12 * n}}[name], nil
	case "ago":
		return reckon(clock, "-", moment{customer.Timestamptz, clock.Now.Truncate(time.Microsecond)}, args[0])
	case "sum", "min", "max", "mean":
		return aggregateOpinions(clock, name, args[0].([]any))
	case "count":
		return len(args[0].([]any)), nil
	}
	if args[0] == nil {
		return nil, nil
	}
	switch name {
	case "date":
		if s, ok := args[0].(string); ok {
			t, err := time.Parse(time.DateOnly, s)
			return moment{customer.Date, t}, err
		}
		return moment{customer.Date, args[0].(moment).as(customer.Date, clock.Zone)}, nil
	case "birthday":
		return isBirthday(args[0].(moment).as(customer.Date, clock.Zone), clock.Today), nil
	case "len":
		return len([]rune(args[0].(string))), nil
	case "trim":
		return strings.TrimSpace(args[0].(string)), nil
	case "lower":
		return strings.ToLower(args[0].(string)), nil
	case "upper":
		return strings.ToUpper(args[0].(string)), nil
	}
	return nil, fmt.Errorf("no opinion on %s", name)
}

func isBirthday(born, today time.Time) any {
	if born.Equal(Infinity) || born.Equal(NegInfinity) {
		return nil
	}
	celebrated := time.Date(today.Year(), born.Month(), born.Day(), 0, 0, 0, 0, time.UTC)
	if celebrated.Month() != born.Month() { // 29 February in a common year
		celebrated = celebrated.AddDate(0, 0, -1)
	}
	return celebrated.Equal(today)
}

func aggregateOpinions(clock Clock, name string, list []any) (any, error) {
	list = slices.DeleteFunc(slices.Clone(list), func(v any) bool { return v == nil })
	var total any = exact{rat: new(big.Rat)}
	var best any
	for _, v := range list {
		v = number_(v)
		if name == "sum" || name == "mean" {
			total, _ = reckon(clock, "+", total, v)
			continue
		}
		if best == nil || (name == "min") == (compareOpinions(clock, v, best) < 0) {
			best = v
		}
	}
	switch name {
	case "sum":
		return total, nil
	case "mean":
		return reckon(clock, "/", total, number_(len(list)))
	}
	return best, nil
}
