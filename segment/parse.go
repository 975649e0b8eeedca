package segment

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"

	"github.com/sapa-crm/sapa/internal/diag"
)

// maxRule and maxNodes keep parser, translator and database far from their limits of recursion.
const (
	maxRule  = 64_000 // runes
	maxNodes = 4_000
)

// parse is expr's parser with our limits. Problems are added to the list.
func parse(s *source, problems *diag.List) ast.Node {
	switch {
	case strings.TrimSpace(s.text) == "":
		problems.Add(s.file, s.span(span{}), `write a condition such as customer.city == "Semarang"`, "the rule is empty")
		return nil
	case !utf8.ValidString(s.text) || strings.ContainsRune(s.text, 0):
		problems.Add(s.file, s.span(span{}), "save the file as UTF-8", "the rule has bytes that are no text")
		return nil
	case len(s.runes) > maxRule:
		problems.Add(s.file, s.span(span{}), "", "the rule is longer than %d characters", maxRule)
		return nil
	}
	config := conf.CreateNew()
	config.MaxNodes = maxNodes
	tree, err := parser.ParseWithConfig(s.text, config)
	if err != nil {
		addSyntaxError(s, problems, err)
		return nil
	}
	return tree.Node
}

func addSyntaxError(s *source, problems *diag.List, err error) {
	var at *file.Error
	if !errors.As(err, &at) {
		problems.Add(s.file, s.span(span{}), "", "%v", err)
		return
	}
	where := span{at.From, max(at.To, at.From+1)}
	if odd, hint := pasted(s); hint != "" {
		problems.Add(s.file, s.span(odd), hint, "%s can't be used in rules", s.quote(odd))
		return
	}
	message, hint := explainSyntax(s, where, at.Message)
	hint = cmp.Or(numberHint(s, where), hint)
	problems.Add(s.file, s.span(where), hint, "%s", message)
}

var unexpected = regexp.MustCompile(`^unexpected token (\w+)(?:\("(.*)"\))?$`)

// explainSyntax puts expr's messages into an author's words.
func explainSyntax(s *source, at span, message string) (text, hint string) {
	if strings.Contains(message, "exceeds maximum allowed nodes") {
		return fmt.Sprintf("the rule has more than %d parts", maxNodes), "use a list: customer.city in [\"Solo\", \"Semarang\"]"
	}
	if strings.HasPrefix(message, "Operator (") {
		return "?? and other operators can't be mixed without parentheses", "write (customer.visits ?? 0) > 5"
	}
	m := unexpected.FindStringSubmatch(message)
	if m == nil {
		return explainOther(message)
	}
	kind, word := m[1], m[2]
	if kind == "EOF" {
		return "the rule ends too early", endHint(s)
	}
	return "unexpected " + describe(word), syntaxHint(s, at, kind, word)
}

func describe(word string) string { return "\"" + word + "\" here" }

// explainOther is for what expr's lexer and parser say besides unexpected tokens.
func explainOther(message string) (text, hint string) {
	switch {
	case strings.HasPrefix(message, "expected at least"):
		return "an argument is missing here", "rows and a condition are wanted, as in any(customer.vehicles, .km > 50_000)"
	case strings.HasPrefix(message, "literal not terminated"):
		return "a text has no closing quote", ""
	case strings.HasPrefix(message, "invalid char escape"):
		return "a backslash in a text needs another one", `write "\\" for one backslash`
	case strings.Contains(message, "value out of range"), strings.Contains(message, "too large"):
		return "this number is too large", ""
	case strings.HasPrefix(message, "wrap predicate"):
		return "; can't be used here", "write && between conditions"
	}
	return message, ""
}

func endHint(s *source) string {
	if opened, _ := brackets(s.runes); opened > 0 {
		return "a closing bracket is missing"
	}
	if hint := percentHint(s.text); hint != "" {
		return hint
	}
	words := strings.Fields(s.text)
	return "something is missing after " + words[len(words)-1]
}

func syntaxHint(s *source, at span, kind, word string) string {
	before := string(s.runes[:at.from])
	if hint := percentHint(before); hint != "" {
		return hint
	}
	switch {
	case kind == "Operator" && word == "=":
		return "write == to compare"
	case kind == "Operator" && word == "&":
		return "write && or and"
	case kind == "Operator" && word == ".":
		return columnHint(before, string(s.runes[at.from:]))
	case kind == "Operator" && word == "<>":
		return "write !="
	case kind == "Operator" && word == "if":
		return "write if … { … } else { … }, or && between conditions"
	case kind == "Identifier":
		return wordHint(before, word, string(s.runes[at.from:]))
	case kind == "Operator" && word == ">" && at.from > 0 && s.runes[at.from-1] == '<':
		return "write !="
	case kind == "Operator":
		return operatorHint(s, at, word)
	}
	return ""
}

func wordHint(before, word, after string) string {
	switch strings.ToLower(word) {
	case "and", "or", "not", "in":
		return "write " + strings.ToLower(word) + " in small letters"
	case "is":
		return isHint(after)
	case "like", "ilike":
		return `write contains, startsWith or endsWith: customer.name startsWith "A"`
	case "between":
		return betweenHint(before)
	}
	return "an operator such as == or && is missing before it"
}

// extent is the whole text of an AST node: expr's own locations are those of one token, without parentheses.
func (c *checker) extent(n ast.Node) span {
	v := &extentVisitor{span: span{-1, -1}}
	ast.Walk(&n, v)
	if v.from < 0 {
		return span{}
	}
	return c.src.balance(v.span)
}

type extentVisitor struct{ span }

// Visit widens the extent by one node's token.
func (v *extentVisitor) Visit(n *ast.Node) {
	if _, ok := (*n).(*ast.ConditionalNode); ok { // its location is that of the token behind it
		return
	}
	at := (*n).Location()
	if at.To <= at.From {
		return
	}
	if v.from < 0 || at.From < v.from {
		v.from = at.From
	}
	v.to = max(v.to, at.To)
}

// balance takes in the brackets outside a range that belong to brackets inside it.
func (s *source) balance(at span) span {
	at.to = s.emptyCall(at.to)
	opened, unopened := brackets(s.runes[at.from:at.to])
	for ; unopened > 0; unopened-- {
		i := skipSpace(s.runes, at.from-1, -1)
		if i < 0 || !strings.ContainsRune("([{", s.runes[i]) {
			break
		}
		at.from = i
	}
	for ; opened > 0; opened-- {
		i := skipSpace(s.runes, at.to, 1)
		if i >= len(s.runes) || !strings.ContainsRune(")]}", s.runes[i]) {
			break
		}
		at.to = i + 1
	}
	return at
}

// emptyCall is the place behind the brackets of a call without arguments, which are no part of any node.
func (s *source) emptyCall(at int) int {
	open := skipSpace(s.runes, at, 1)
	if open >= len(s.runes) || s.runes[open] != '(' {
		return at
	}
	if end := skipSpace(s.runes, open+1, 1); end < len(s.runes) && s.runes[end] == ')' {
		return end + 1
	}
	return at
}

// skipSpace is the next place that is neither space nor a trailing comma.
func skipSpace(runes []rune, i, step int) int {
	for i >= 0 && i < len(runes) && (unicode.IsSpace(runes[i]) || runes[i] == ',') {
		i += step
	}
	return i
}

// brackets counts those that are opened and not closed, and those that are closed and were not opened.
func brackets(runes []rune) (opened, unopened int) {
	quote := rune(0)
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; {
		case quote != 0 && r == '\\' && quote != '`':
			i++
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case strings.ContainsRune("\"'`", r):
			quote = r
		case strings.ContainsRune("([{", r):
			opened++
		case strings.ContainsRune(")]}", r) && opened > 0:
			opened--
		case strings.ContainsRune(")]}", r):
			unopened++
		}
	}
	return opened, unopened
}
