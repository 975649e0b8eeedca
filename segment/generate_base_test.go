package segment

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"

	"github.com/sapa-crm/sapa/customer"
)

// baseRule is customers.where in the world: about three quarters of the customers.
const baseRule = `customer.visits >= 1 || customer.vip`

// inBase is the same in plain Go.
func inBase(row map[string]any) bool { return row["visits"].(int64) >= 1 || row["vip"].(bool) }

// baseAtom draws a condition about a customer's place among all.
func (g *generator) baseAtom(depth int) string {
	op := oneOf(g, " == ", " != ", " < ", " <= ", " > ", " >= ")
	switch g.n(6) {
	case 0:
		return "(" + g.recency() + op + oneOf(g, strconv.Itoa(g.n(4000)), "0", "-5", "31.5", g.number(0)) + ")"
	case 1:
		return "(" + oneOf(g, "frequency(", "monetary(") + g.dated() + ")" + op + g.number(0) + ")"
	case 2:
		return "(" + g.recency() + oneOf(g, " in ", " not in ") + "-1000..3000 ? " + g.boolean(0) + " : " + g.boolean(0) + ")"
	}
	if len(g.closures) > 0 { // a place is one of the customer
		return "(" + g.recency() + op + g.number(0) + ")"
	}
	if g.n(2) == 0 {
		return g.scored(op)
	}
	return g.percentiled(depth, op)
}

// dated draws rows of a relation that has a time and an amount.
func (g *generator) dated() string {
	relations := []string{"customer.orders", "customer.vehicles"}
	rows := oneOf(g, relations...)
	if g.n(3) == 0 {
		rows = "filter(" + rows + ", " + g.inClosure(rows) + ")"
	}
	return rows
}

func (g *generator) inClosure(rows string) string {
	r, _ := g.schema.Customer.Relation(rows[len("customer."):])
	g.closures = append(g.closures, r.Target)
	residual := g.residual
	g.residual = false // a place among all must be said by the database
	defer func() { g.closures, g.residual = g.closures[:len(g.closures)-1], residual }()
	return g.comparison(1, g.number)
}

func (g *generator) recency() string { return "recency(" + g.dated() + ")" }

func (g *generator) scored(op string) string {
	rows := g.dated()
	part := func() string {
		return "rfm(" + rows + ")." + oneOf(g, "recency", "frequency", "monetary")
	}
	switch g.n(6) {
	case 0:
		return "(rfm(" + rows + ")" + oneOf(g, " == ", " != ") + oneOf(g, `"545"`, `"111"`, `"333"`, `"515"`, "rfm("+g.dated()+")") + ")"
	case 1:
		return "(rfm(" + rows + ")" + oneOf(g, " startsWith ", " endsWith ") + strconv.Quote(strconv.Itoa(1+g.n(5))) + ")"
	case 2:
		return "(rfm(" + rows + ")" + oneOf(g, " in ", " not in ") + oneOf(g, `["555", "554", "111", "351"]`, `["211", nil]`) + ")"
	case 3:
		return "(" + part() + " >= 3 && " + part() + op + strconv.Itoa(g.n(7)) + ")"
	}
	return "(" + part() + op + oneOf(g, strconv.Itoa(g.n(7)), "2.5", part()) + ")"
}

// percentiled draws percentile(…) of everything that has an order, in all uses.
func (g *generator) percentiled(depth int, op string) string {
	residual := g.residual
	g.residual = false
	defer func() { g.residual = residual }()
	of := oneOf(g, g.number, g.moment, func(int) string { return "sum(map(customer.orders, .total))" },
		func(int) string { return g.recency() }, func(int) string { return "customer.age" })(min(depth-1, 1))
	if !varies(of) {
		of = "customer.age"
	}
	place := "percentile(" + of + ")"
	switch g.n(8) {
	case 0:
		return "(" + place + oneOf(g, " in ", " not in ") + fmt.Sprintf("%d..%d)", g.n(50), 50+g.n(50))
	case 1:
		return "(" + place + op + "percentile(customer.points))"
	case 2:
		return "((" + place + " ?? 50) / 10" + op + strconv.Itoa(g.n(10)) + ")"
	case 3:
		return "(" + place + oneOf(g, " == nil", " != nil") + ")"
	}
	return "(" + place + op + oneOf(g, strconv.Itoa(1+g.n(98)), "90", "0", "99") + ")"
}

// varies says that an expression is checked to be about the customer.
func varies(text string) bool {
	v, problems := ParseValue(Text("percentile("+text+")"), NewScope(testSchema()))
	return problems == nil && v != nil
}

// question is asked with what its rule needs of all customers, found out by sorting them in Go.
func (w *world) question(text string, clock Clock) question {
	rule, problems := ParseRule(Text(text), testScope(w.schema))
	if problems == nil && Needs(rule) {
		clock.Given = w.given(rule, clock)
	}
	return question{text, clock}
}

func (w *world) given(rule *Rule, clock Clock) *Given {
	all := map[string]thresholds{}
	l, err := rule.lowering(clock)
	if err != nil {
		panic(err)
	}
	var visit func(n node)
	visit = func(n node) {
		if s, ok := n.(*standing); ok {
			of := l.node(s.of)
			key, err := l.key(of)
			if err != nil {
				panic(err)
			}
			all[key] = thresholds{of: s.text, t: of.typ(), below: parted(w.values(rule, of, clock))}
		}
		for _, c := range children(n) {
			visit(c)
		}
	}
	visit(rule.root)
	return (*Given)(nil).with(all)
}

// values are those of all customers of the base, in order.
func (w *world) values(rule *Rule, of node, clock Clock) []any {
	value, f := compiler{clock: clock}.value(of), newFrame(rule.vars)
	var all []any
	for _, row := range w.customers {
		if !inBase(row) {
			continue
		}
		f.rows[0] = row
		if v := value(&f); v != nil {
			all = append(all, v)
		}
	}
	slices.SortStableFunc(all, order)
	return all
}

// parted are the 99 thresholds of sorted values, none of none.
func parted(sorted []any) []any {
	if len(sorted) == 0 {
		return nil
	}
	var out []any
	for k := 1; k <= hundredths; k++ {
		out = append(out, sorted[(k*len(sorted)+99)/100-1])
	}
	return out
}

// The third opinion on a place among all is had by evaluating the argument for every customer of the base and counting.

// opinionOnBase is the third opinion on functions of rows; known is false for all others.
func opinionOnBase(clock Clock, name string, args []any) (v any, known bool, err error) {
	switch name {
	case "frequency":
		return len(args[0].([]any)), true, nil
	case "monetary":
		v, err = aggregateOpinions(clock, "sum", valuesOfRows(args[0], 1))
		return v, true, err
	case "recency":
		return recencyOpinion(clock, args[0]), true, nil
	}
	return nil, false, nil
}

func recencyOpinion(clock Clock, list any) any {
	var best any
	for _, v := range valuesOfRows(list, 0) {
		if best == nil || v.(moment).as(customer.Date, clock.Zone).After(best.(moment).t) {
			best = moment{customer.Date, v.(moment).as(customer.Date, clock.Zone)}
		}
	}
	if best == nil {
		return nil
	}
	days := new(big.Rat)
	switch t := best.(moment).t; {
	case t.Equal(Infinity):
		days.SetInt64(-endless)
	case t.Equal(NegInfinity):
		days.SetInt64(endless)
	default:
		days.SetInt64((clock.Today.Unix() - t.Unix()) / 86400)
	}
	return exact{rat: days}
}

// valuesOfRows are the times (0) or the amounts (1) of rows that have one.
func valuesOfRows(list any, which int) []any {
	var out []any
	for _, row := range list.([]any) {
		for _, names := range [][2]string{{"ordered_at", "total"}, {"due", "price"}} {
			if v, ok := row.(map[string]any)[names[which]]; ok && v != nil {
				out = append(out, v)
			}
		}
	}
	return out
}

// opinionOnPlace is percentile(x) as place_(x, "x"), and rfm(rows) as rfm_("", rows, "rows"): the text can be evaluated for
// everybody else.
func opinionOnPlace(n *ast.CallNode) (ast.Node, bool) {
	name := n.Callee.(*ast.IdentifierNode).Value
	switch name {
	case "percentile":
		return callTo("place_", n.Arguments[0], &ast.StringNode{Value: n.Arguments[0].String()}), true
	case "rfm":
		return callTo("rfm_", &ast.StringNode{}, n.Arguments[0], &ast.StringNode{Value: n.Arguments[0].String()}), true
	}
	return nil, false
}

// opinionOnScore is rfm(rows).recency.
func opinionOnScore(n *ast.MemberNode) (ast.Node, bool) {
	call, ok := n.Node.(*ast.CallNode)
	if !ok || call.Callee.(*ast.IdentifierNode).Value != "rfm_" {
		return nil, false
	}
	call.Arguments[0] = n.Property
	return call, true
}

func (o *opinion) onBase(clock Clock) map[string]func(...any) (any, error) {
	known := map[string][]any{}
	return map[string]func(...any) (any, error){
		"place_": func(a ...any) (any, error) {
			others, err := o.everybody(clock, known, a[1].(string), func(v any) any { return number_(v) })
			if v := number_(a[0]); v != nil && err == nil && len(others) > 0 {
				return placeOpinion(clock, others, v, 100) - 1, nil
			}
			return nil, err
		},
		"rfm_": func(a ...any) (any, error) {
			scores := ""
			for _, name := range scoreNames() {
				if a[0] != "" && a[0] != name {
					continue
				}
				of := func(rows any) any { return scoreOpinion(clock, name, rows) }
				others, err := o.everybody(clock, known, name+" "+a[2].(string), of)
				mine := of(a[1])
				if err != nil || mine == nil && a[0] == "" || len(others) == 0 {
					return nil, err
				}
				if a[0] == name {
					if mine == nil {
						return nil, nil
					}
					return placeOpinion(clock, others, mine, 5), nil
				}
				if mine != nil {
					scores += strconv.Itoa(placeOpinion(clock, others, mine, 5))
				}
			}
			return scores, nil
		},
	}
}

// scoreOpinion is what rfm ranks.
func scoreOpinion(clock Clock, name string, rows any) any {
	list := rows.([]any)
	if len(list) == 0 {
		return nil
	}
	switch name {
	case "recency":
		days := recencyOpinion(clock, rows)
		if days == nil {
			return nil
		}
		return exact{rat: new(big.Rat).Neg(days.(exact).rat)}
	case "frequency":
		return number_(len(list))
	}
	v, _ := aggregateOpinions(clock, "sum", valuesOfRows(rows, 1))
	return v
}

// everybody are the values of all customers of the base, sorted; name may stand before the text.
func (o *opinion) everybody(clock Clock, known map[string][]any, text string, of func(any) any) ([]any, error) {
	if all, ok := known[text]; ok {
		return all, nil
	}
	source := text
	for _, name := range scoreNames() {
		if len(text) > len(name) && text[:len(name)+1] == name+" " {
			source = text[len(name)+1:]
		}
	}
	program, err := o.compileRaw(source, clock)
	if err != nil {
		return nil, err
	}
	all := []any{}
	for _, row := range o.rows {
		if !truthy(row["vip"]) && row["visits"].(exact).rat.Cmp(big.NewRat(1, 1)) < 0 {
			continue
		}
		v, err := vm.Run(program, map[string]any{"customer": row})
		if err != nil {
			return nil, err
		}
		if v = of(v); v != nil {
			all = append(all, v)
		}
	}
	slices.SortStableFunc(all, func(a, b any) int { return compareOpinions(clock, a, b) })
	known[text] = all
	return all, nil
}

// placeOpinion is the part, of so many equal parts from 1, in which a value is: by how many of the others are less.
func placeOpinion(clock Clock, others []any, v any, parts int) int {
	less := 0
	for _, other := range others {
		if compareOpinions(clock, other, v) < 0 {
			less++
		}
	}
	return min(parts, less*parts/len(others)+1)
}

// compileRaw compiles text that the patcher has been through.
func (o *opinion) compileRaw(text string, clock Clock) (*vm.Program, error) {
	options := []expr.Option{expr.AllowUndefinedVariables(), expr.Optimize(false)}
	for name, f := range o.functions(clock) {
		options = append(options, expr.Function(name, f))
	}
	return expr.Compile(text, options...)
}
