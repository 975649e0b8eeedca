package segment

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	exprast "github.com/expr-lang/expr/ast"
	exprparser "github.com/expr-lang/expr/parser"
)

// TestGeneratorDrawsEverything: what the generator does not draw is not proven. Of 2,000 rules at least 10 must have each
// function of the table, each operator and each kind of node.
func TestGeneratorDrawsEverything(t *testing.T) {
	t.Parallel()
	alone(t)
	const drawn, enough = 2000, 10
	w := newWorld(1)
	questions := w.questions()
	rules := map[string]int{}
	for i := range drawn {
		q := questions.Example(i)
		for what := range partsOf_(t, w, q.text) {
			rules[what]++
		}
	}
	var report strings.Builder
	for _, what := range slices.Sorted(maps.Keys(rules)) {
		fmt.Fprintf(&report, "\n%6.1f %% %s", float64(rules[what])*100/drawn, what)
	}
	t.Log(report.String())
	for _, what := range everything(t) {
		if rules[what] < enough {
			t.Errorf("%d of %d rules have %s: the generator must draw it more often", rules[what], drawn, what)
		}
	}
}

// everything is the functions of the table, the operators of the language and the kinds of nodes.
func everything(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, f := range Functions() {
		list = append(list, "function "+f.Name)
	}
	for _, op := range strings.Fields("== != < <= > >= && and || or ! + - * / % ?? in contains startsWith endsWith matches .. ?. ?: let |") {
		list = append(list, "operator "+op)
	}
	for _, kind := range nodeKinds(t) {
		list = append(list, "node "+kind)
	}
	return list
}

// nodeKinds are the types that embed base, by which a type is a node.
func nodeKinds(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	passing := []string{"rowRef", "rowsRef", "listNode", "mapped"} // which stand for what a function is given, until it is checked
	var kinds []string
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && embedsBase(spec.Type) && !slices.Contains(passing, spec.Name.Name) {
				kinds = append(kinds, spec.Name.Name)
			}
			return true
		})
	}
	return kinds
}

func embedsBase(t ast.Expr) bool {
	s, ok := t.(*ast.StructType)
	return ok && slices.ContainsFunc(s.Fields.List, func(f *ast.Field) bool {
		name, ok := f.Type.(*ast.Ident)
		return ok && name.Name == "base" && len(f.Names) == 0
	})
}

// partsOf_ is what a rule has, in its text and in the checked tree.
func partsOf_(t *testing.T, w *world, text string) map[string]bool {
	t.Helper()
	tree, err := exprparser.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	parts := writtenParts{}
	exprast.Walk(&tree.Node, parts)
	parts["operator |"] = strings.Contains(text, " | ")
	if rule, problems := ParseRule(Text(text), testScope(w.schema)); problems == nil {
		parts.nodes(rule.root)
	}
	maps.DeleteFunc(parts, func(_ string, has bool) bool { return !has })
	return parts
}

type writtenParts map[string]bool

// Visit notes one node of expr's tree.
func (p writtenParts) Visit(n *exprast.Node) {
	switch n := (*n).(type) {
	case *exprast.BinaryNode:
		p["operator "+n.Operator] = true
	case *exprast.UnaryNode:
		p["operator "+n.Operator] = true
	case *exprast.ChainNode:
		p["operator ?."] = true
	case *exprast.ConditionalNode:
		p["operator ?:"] = true
	case *exprast.VariableDeclaratorNode:
		p["operator let"] = true
	case *exprast.BuiltinNode:
		p["function "+n.Name] = true
	case *exprast.CallNode:
		p["function "+fmt.Sprint(n.Callee)] = true
	}
}

func (p writtenParts) nodes(n node) {
	p["node "+strings.TrimPrefix(fmt.Sprintf("%T", n), "*segment.")] = true
	for _, c := range children(n) {
		p.nodes(c)
	}
}
