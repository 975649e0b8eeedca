package segment

import (
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/shopspring/decimal"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
)

// want is what the whole rule has to be.
type want int

const (
	wantCondition want = iota
	wantScalar
)

// analyse parses and checks. It never panics: a mistake of ours becomes a problem at the rule.
func analyse(s *source, scope *Scope, w want) (root node, v *vars, problems diag.List) {
	return analyseWithin(s, scope, w, nil)
}

// analyseWithin is analyse for the rule of a segment: chain has its name.
func analyseWithin(s *source, scope *Scope, w want, chain []string) (root node, v *vars, problems diag.List) {
	c := newChecker(s, scope, chain)
	defer func() {
		if p := recover(); p != nil {
			c.problems.Add(s.file, s.span(span{}), "please report this rule", "the rule can't be read: %v", p)
			root, problems = nil, c.problems
		}
	}()
	tree := parse(s, &c.problems)
	if tree == nil {
		return nil, c.vars, c.problems
	}
	if w == wantCondition {
		root = c.condition(tree)
	} else {
		root = c.scalar(tree)
	}
	if root != nil && depth(root) > maxDepth {
		c.problem(root.at(), "", "the rule is nested more than %d levels deep", maxDepth)
	} else if root != nil {
		if product := tooLong(root); product != nil {
			c.problem(product.at(), "", "a product of so many factors has more digits than databases calculate with")
		}
	}
	return root, c.vars, c.problems
}

// maxDepth keeps PostgreSQL's parser within its stack.
const maxDepth = 200

func depth(n node) int {
	deepest := 0
	for _, c := range children(n) {
		deepest = max(deepest, depth(c))
	}
	return deepest + 1
}

// checker turns expr's tree into the typed tree. Each method returns nil after it has reported a problem; whoever gets
// nil stays silent, so that all independent problems of a rule are reported, and each once.
type checker struct {
	src      *source
	scope    *Scope
	vars     *vars
	roots    []*variable
	closures []closure         // innermost last
	checked  map[ast.Node]node // arguments that were checked before their call
	lets     []let
	picks    []knownPick
	parsed   map[string]parsed // the rules of segments
	visits   int
	large    bool                         // and so it was reported
	chain    []string                     // of segments whose rules stand in one another, the innermost last
	negated  map[ast.Node]*ast.BinaryNode // a negation that is the left side of an operator
	left     map[ast.Node]*ast.BinaryNode // a column that is the left side of an operator
	problems diag.List
}

// closure is what # and .column mean inside a function over a list.
type closure struct {
	row   *variable // the current row
	value node      // the current value of a list of values, made of the current row; nil where # is the row
}

// let is a variable declared by `let`. Its expression is checked anew at each use, so that closures stay apart.
type let struct {
	name     string
	value    ast.Node
	closures int // how many closures were open at the declaration
	lets     int
}

func (c *checker) problem(at span, hint, format string, args ...any) node {
	c.problems.Add(c.src.file, c.src.span(at), hint, format, args...)
	return nil
}

// words is the author's text of a node, cut when it is long.
func (c *checker) words(n node) string { return c.short(n.at()) }

func (c *checker) short(at span) string {
	text := []rune(strings.Join(strings.Fields(c.src.quote(at)), " "))
	if len(text) > 40 {
		return string(text[:39]) + "…"
	}
	return string(text)
}

// condition checks an expression that must be true or false.
func (c *checker) condition(n ast.Node) node {
	e := c.expr(n)
	if e == nil {
		return nil
	}
	if cond := asCondition(e); cond != nil {
		return cond
	}
	return c.problem(e.at(), conditionHint(e), "a condition is wanted here, but %s is %s", c.words(e), e.typ())
}

// asCondition makes any boolean two-valued; nil for other types.
func asCondition(e node) node {
	switch {
	case e.typ() != typeBool:
		return nil
	case isCondition(e) || isConstant(e):
		return e
	}
	return &truth{condition(e.at()), e}
}

func conditionHint(e node) string {
	switch t := e.typ(); {
	case t == typeRows:
		return "write any(…, true) to ask whether there are any"
	case t == typeRow:
		return "write … != nil to ask whether there is one"
	case t == typeList:
		return "write … in […]"
	case t == typeText:
		return `compare it, as in == "Solo"`
	case t.isNumber():
		return "compare it, as in > 0"
	case t.isTime():
		return "compare it, as in <= today()"
	}
	return ""
}

// scalar checks an expression that must have one value of a storable type.
func (c *checker) scalar(n ast.Node) node {
	e := c.expr(n)
	if e == nil {
		return nil
	}
	if !e.typ().isScalar() {
		return c.problem(e.at(), scalarHint(c, e), "a single value is wanted here, but %s is %s", c.words(e), e.typ())
	}
	return e
}

func (c *checker) expr(n ast.Node) node {
	if a, ok := c.checked[n]; ok {
		delete(c.checked, n)
		return a
	}
	if !c.visit(n, 1) {
		return nil
	}
	switch n := n.(type) {
	case *ast.NilNode:
		return &constant{base{t: typeNothing, loc: c.extent(n), null: true}, nil, ""}
	case *ast.BoolNode:
		return &constant{base{t: typeBool, loc: c.extent(n)}, n.Value, ""}
	case *ast.IntegerNode:
		return &constant{base{t: typeInt, loc: c.extent(n)}, int64(n.Value), c.src.quote(c.extent(n))}
	case *ast.FloatNode:
		return c.number(n)
	case *ast.StringNode:
		return c.text(n)
	case *ast.IdentifierNode:
		return c.identifier(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ChainNode:
		return c.expr(n.Node)
	case *ast.MemberNode:
		return c.member(n)
	case *ast.PointerNode:
		return c.pointer(n)
	}
	return c.compound(n)
}

func (c *checker) compound(n ast.Node) node {
	switch n := n.(type) {
	case *ast.CallNode:
		callee, ok := n.Callee.(*ast.IdentifierNode)
		if !ok {
			return c.problem(c.extent(n), methodHint(n.Callee), "values have no methods: functions stand before their argument, as in len(customer.name)")
		}
		return c.call(n, callee.Value, n.Arguments)
	case *ast.BuiltinNode:
		return c.call(n, n.Name, n.Arguments)
	case *ast.ConditionalNode:
		return c.choose(n)
	case *ast.ArrayNode:
		return c.list(n)
	case *ast.VariableDeclaratorNode:
		return c.let(n)
	case *ast.SliceNode:
		return c.slice(n)
	case *ast.MapNode:
		return c.problem(c.extent(n), "a list of values is written [1, 2, 3]", "{…} can't be used in rules")
	case *ast.SequenceNode:
		return c.problem(c.extent(n), "write && between conditions", "; can't be used in rules")
	}
	return c.problem(c.extent(n), `write text as "…"`, "this can't be used in rules")
}

func (c *checker) number(n *ast.FloatNode) node {
	at := c.extent(n)
	text := strings.ReplaceAll(c.src.quote(at), "_", "")
	d, err := decimal.NewFromString(text)
	if err != nil || len(d.Coefficient().String()) > 40 || d.Exponent() > 30 || d.Exponent() < -30 {
		return c.problem(at, "", "a number can have up to 30 digits on either side of its point")
	}
	if d.IsInteger() && d.Abs().LessThan(decimal.New(1, 18)) { // 1e6 is as whole as 1_000_000, and an index serves it
		return &constant{base{t: typeInt, loc: at}, d.IntPart(), text}
	}
	return &constant{base{t: typeNumeric, loc: at}, d, text}
}

func (c *checker) text(n *ast.StringNode) node {
	if strings.ContainsRune(n.Value, 0) || strings.ToValidUTF8(n.Value, "") != n.Value {
		return c.problem(c.extent(n), "", "this text has characters that the database can't store")
	}
	return &constant{base{t: typeText, loc: c.extent(n)}, n.Value, ""}
}

func (c *checker) identifier(n *ast.IdentifierNode) node {
	for i := len(c.lets) - 1; i >= 0; i-- {
		if c.lets[i].name == n.Value {
			return c.useLet(c.lets[i])
		}
	}
	for _, r := range c.roots {
		if r.name == n.Value {
			return &rowRef{base{t: typeRow, loc: c.extent(n)}, path{from: r}}
		}
	}
	return c.problem(c.extent(n), c.nameHint(n.Value), "unknown name %q", n.Value)
}

// nameHint knows the columns that stand without their "customer." and the functions without parentheses.
func (c *checker) nameHint(name string) string {
	for _, r := range c.roots {
		if _, ok := r.entity.Column(name); ok {
			return fmt.Sprintf("write %s.%s", r.name, name)
		}
		if _, ok := r.entity.Relation(name); ok {
			return fmt.Sprintf("write %s.%s", r.name, name)
		}
	}
	if _, ok := function(name); ok {
		return fmt.Sprintf("write %s(…)", name)
	}
	switch name {
	case "null", "NULL", "None":
		return "write nil"
	case eventName:
		return "only a campaign with  trigger:  is about an event, and its rules alone"
	case "True", "TRUE", "False", "FALSE":
		return "write " + strings.ToLower(name)
	}
	return c.bareHint(name)
}

// bareHint is for a name that nothing has: a column of the current row without its point, or a text without quotes.
func (c *checker) bareHint(name string) string {
	for i := len(c.closures) - 1; i >= 0; i-- {
		if row := c.closures[i].row; row != nil && row.entity != nil && slices.Contains(row.entity.Names(), name) {
			return "write ." + name
		}
	}
	hint := diag.DidYouMean(name, c.rootNames())
	if strings.HasPrefix(hint, "did you") {
		return hint
	}
	return fmt.Sprintf("write %q in quotes if it is a text; %s", name, hint)
}

func (c *checker) rootNames() []string {
	names := make([]string, len(c.roots))
	for i, r := range c.roots {
		names[i] = r.name
	}
	return names
}

func (c *checker) pointer(n *ast.PointerNode) node {
	if n.Name != "" || len(c.closures) == 0 {
		return c.problem(c.extent(n), pointerHint(n.Name), "#%s can't be used in rules", n.Name)
	}
	inner := c.closures[len(c.closures)-1]
	if text, ok := inner.value.(*element); ok {
		return &element{base{t: typeText, loc: c.extent(n)}, text.item}
	}
	if inner.value == nil {
		return &rowRef{base{t: typeRow, loc: c.extent(n)}, path{from: inner.row}}
	}
	if !c.visit(n, size(inner.value, maxVisits)) {
		return nil
	}
	return inner.value
}

func (c *checker) member(n *ast.MemberNode) node { return c.oneType(c.follow(n)) }

// follow is a member that may be an object here and something else there: what follows it decides.
func (c *checker) follow(n *ast.MemberNode) node {
	var of node
	if inner, ok := n.Node.(*ast.MemberNode); ok {
		of = c.follow(inner)
	} else {
		of = c.expr(n.Node)
	}
	if of == nil {
		return nil
	}
	name, ok := n.Property.(*ast.StringNode)
	if !ok && of.typ() == typeTexts {
		return c.textAt(n, of)
	}
	if !ok {
		return c.problem(c.extent(n), c.elementHint(of, n.Property), "elements can't be picked by number in rules")
	}
	switch of := of.(type) {
	case *scores:
		return c.score(n, of, name)
	case *rowRef:
		return c.field(n, of.path, name)
	case *column:
		if hasValues(of) {
			return c.inside(n, of, name)
		}
	case *rowsRef:
		return c.problem(c.extent(name), c.eachHint(n, of, name.Value),
			"%s is a list of rows: ask about its rows with any, all, none, count or sum", c.words(of))
	}
	words := c.words(of)
	if _, ok := of.(*element); ok {
		words = "#"
	}
	return c.problem(c.extent(name), "", "%s is %s and has no columns", words, of.typ())
}

func (c *checker) field(n *ast.MemberNode, p path, name *ast.StringNode) node {
	e, at := p.entity(), c.extent(n)
	if col, ok := e.Column(name.Value); ok {
		return &column{base{t: columnType(col.Kind), loc: at, null: col.Nullable || len(p.via) > 0}, p, col}
	}
	rel, ok := e.Relation(name.Value)
	if !ok && c.scope.isEvent(e) {
		return c.eventColumn(e, c.extent(name), name.Value)
	}
	if !ok {
		return c.problem(c.extent(name), diag.DidYouMean(name.Value, e.Names()), "unknown column %q of %s", name.Value, c.entityWord(p))
	}
	if rel.One {
		return &rowRef{base{t: typeRow, loc: at, null: true}, p.to(step{rel: rel})}
	}
	return &rowsRef{base{t: typeRows, loc: at}, rows{of: p, rel: rel, row: c.vars.add(rel.Name, rel.Target)}}
}

func (c *checker) entityWord(p path) string {
	if len(p.via) > 0 {
		return p.last().rel.Name
	}
	return p.from.name
}

// columnOf is a to-one row's own join column, which stands for the row where it is compared with nil.
func columnOf(r *rowRef) (*column, bool) {
	rel := r.path.last().rel
	col, ok := rel.Target.Column(rel.Remote)
	if !ok {
		col = customer.Column{Name: rel.Remote, Kind: customer.Other}
	}
	return &column{base{t: columnType(col.Kind), loc: r.loc, null: true}, r.path, col}, ok
}

func (c *checker) let(n *ast.VariableDeclaratorNode) node {
	for _, name := range append(c.rootNames(), functionNames()...) {
		if name == n.Name {
			return c.problem(span{n.Location().From, n.Location().To}, "choose another name", "%q is already a name here", n.Name)
		}
	}
	if c.expr(n.Value) == nil {
		return nil
	}
	c.lets = append(c.lets, let{n.Name, n.Value, len(c.closures), len(c.lets)})
	defer func() { c.lets = c.lets[:len(c.lets)-1] }()
	return c.expr(n.Expr)
}

// useLet checks the declared expression with the names that its declaration could see.
func (c *checker) useLet(l let) node {
	closures, lets := c.closures, c.lets
	c.closures, c.lets = closures[:l.closures:l.closures], lets[:l.lets:l.lets]
	defer func() { c.closures, c.lets = closures, lets }()
	return c.expr(l.value)
}
