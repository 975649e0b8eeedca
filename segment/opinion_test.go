package segment

import (
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"
	"github.com/shopspring/decimal"

	"github.com/sapa-crm/sapa/customer"
)

// The third opinion: SQL and our evaluator share the checker and the lowered tree, so a mistake there would be theirs in
// common. Here expr's own compiler and VM run the rule's text. Nothing of the package is used but the periods' calendar;
// types are those that values have at run time, and the missing rules are written again, as functions that a patcher puts
// in the place of expr's operators.

type opinion struct {
	rows []map[string]any // customers with values of the opinion's own types
}

func newOpinion(w *world) *opinion {
	o := &opinion{}
	seen := map[string]map[string]any{}
	for _, row := range w.customers {
		of := opinionRow(row, w.schema.Customer, seen)
		of[ledgerKey] = aboutLedger{w, row}
		o.rows = append(o.rows, of)
	}
	return o
}

func (o *opinion) check(t fataler, w *world, text string, clock Clock) {
	rule, problems := ParseRule(Text(text), testScope(w.schema))
	if problems != nil {
		if tooBig(problems.Error()) {
			return
		}
		t.Fatalf("a rule of correct types is refused:\n%v", problems)
	}
	if o.has(rule) {
		o.compare(t, w, rule, w.match(t, rule, clock), clock)
	}
}

// has says whether there is an opinion on the rule. There is none where a value has one static type and several at run
// time, and on digits that expr's floats lose.
func (o *opinion) has(rule *Rule) bool {
	return !joinsTypes(rule.root) && !manyDigits.MatchString(rule.Text())
}

func (o *opinion) compare(t fataler, w *world, rule *Rule, ours []int64, clock Clock) {
	program, err := o.compile(rule.Text(), clock)
	if err != nil {
		t.Fatalf("%s\n%v", rule.Text(), err)
	}
	var theirs []int64
	machine := vm.VM{}
	for i, row := range o.rows {
		v, err := machine.Run(program, map[string]any{"customer": row})
		if err != nil {
			t.Fatalf("%s\n%v", rule.Text(), err)
		}
		if truthy(v) {
			theirs = append(theirs, int64(i+1))
		}
	}
	if d := disagreement(theirs, ours, true); d != "" {
		d = strings.Replace(d, "SQL", "expr", 1)
		t.Fatalf("%s\nclock %v\n%s", rule.Text(), clock, w.explain(d))
	}
}

var manyDigits = regexp.MustCompile(`\d\.\d{16,}|\d{16,}\.`)

func joinsTypes(n node) bool {
	isCast := func(n node) bool { _, ok := n.(*cast); return ok }
	switch n := n.(type) {
	case *coalesce, *choose, *member, *extremum:
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
		if c.Kind == customer.JSON && row[c.Name] != nil {
			out[c.Name] = opinionWithin(row, c)
		}
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

func (o *opinion) functions(clock Clock) map[string]func(...any) (any, error) {
	functions := map[string]func(...any) (any, error){
		"truthy_": func(a ...any) (any, error) { return truthy(a[0]), nil },
		"get_":    func(a ...any) (any, error) { return get(a[0], a[1]), nil },
		"op_":     func(a ...any) (any, error) { return operate(clock, a[0].(string), a[1], a[2]) },
		"fn_":     func(a ...any) (any, error) { return apply(clock, a[0].(string), a[1:]) },
	}
	maps.Copy(functions, o.onBase(clock))
	return functions
}

func (o *opinion) compile(text string, clock Clock) (*vm.Program, error) {
	options := []expr.Option{expr.AllowUndefinedVariables(), expr.Optimize(false), expr.Patch(opinionPatcher{})}
	for name, f := range o.functions(clock) {
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
		if score, ok := opinionOnScore(x); ok {
			ast.Patch(n, score)
			return
		}
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
		if placed, ok := opinionOnPlace(x); ok {
			ast.Patch(n, placed)
			return
		}
		if name := x.Callee.(*ast.IdentifierNode).Value; !strings.HasSuffix(name, "_") {
			if name == "random_split" {
				x.Arguments = append(x.Arguments, &ast.IdentifierNode{Value: "customer"})
			}
			if aboutCustomer(name) {
				x.Arguments = append([]ast.Node{&ast.IdentifierNode{Value: "customer"}}, x.Arguments...)
			}
			ast.Patch(n, callTo("fn_", append([]ast.Node{word(name)}, x.Arguments...)...))
		}
	case *ast.BuiltinNode:
		if len(x.Arguments) == 2 {
			if p, ok := x.Arguments[1].(*ast.PredicateNode); ok {
				if x.Name != "map" {
					p.Node = callTo("truthy_", p.Node)
				}
				list := x.Arguments[0]
				x.Arguments[0] = callTo("fn_", word("some"), list)
				if x.Name == "map" || x.Name == "filter" {
					defer func() { // of a missing list nothing is left
						missing := callTo("fn_", word("is nil"), list)
						ast.Patch(n, &ast.ConditionalNode{Cond: missing, Exp1: &ast.NilNode{}, Exp2: *n})
					}()
				}
				switch x.Name {
				case "map": // which leaves missing values out
					ast.Patch(n, callTo("fn_", word("present"), x))
				case "find":
					ast.Patch(n, callTo("fn_", word("find"), &ast.BuiltinNode{Name: "filter", Arguments: x.Arguments}))
				}
				return
			}
		}
		ast.Patch(n, callTo("fn_", append([]ast.Node{word(x.Name)}, x.Arguments...)...))
	}
}
