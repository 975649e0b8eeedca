package segment

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sapa-crm/sapa/customer"
)

// valuesAtom draws a condition about JSON, lists of texts, and functions of texts and numbers.
func (g *generator) valuesAtom(depth int) string {
	switch g.n(12) {
	case 0, 1:
		return g.overTexts(depth)
	case 2:
		return "(" + g.textOfList(depth) + oneOf(g, " == ", " != ", " startsWith ", " < ") + g.text(0) + ")"
	case 3, 8, 9:
		return "(" + g.changedText(depth) + oneOf(g, " == ", " != ", " contains ", " endsWith ", " >= ") + g.text(0) + ")"
	case 4:
		return g.foldedText(depth)
	case 5, 10, 11:
		return "(" + g.changedNumber(depth) + oneOf(g, " == ", " != ", " < ", " >= ") + g.number(0) + ")"
	case 6:
		return g.inJSON()
	}
	return g.regular(depth)
}

// inJSON draws a condition about a value within JSON, right or wrong in its rows.
func (g *generator) inJSON() string {
	switch g.n(6) {
	case 0:
		if c, ok := g.valueIn(customer.JSON, customer.Other, customer.TextArray); ok {
			return "(" + c + oneOf(g, " == nil", " != nil") + ")"
		}
	case 1:
		if c, ok := g.valueIn(customer.Text); ok {
			text := g.literal(customer.Text)
			return oneOf(g, "", "!") + oneOf(g, "("+c+" == "+text+")", "("+c+" in ["+text+`, "Solo"])`, "("+c+" startsWith "+text+")", "("+c+" != "+text+")")
		}
	case 2:
		if c, ok := g.valueIn(customer.TextArray); ok {
			return "(" + oneOf(g, `"vip"`, `"É"`, g.text(0)) + oneOf(g, " in ", " not in ") + c + ")"
		}
	case 3:
		if c, ok := g.valueIn(customer.Bool); ok {
			return oneOf(g, "", "!") + c
		}
	case 4:
		if c, ok := g.valueIn(customer.Date, customer.Timestamptz); ok {
			return "(" + c + oneOf(g, " == ", " < ", " >= ") + g.moment(0) + ")"
		}
	}
	c, ok := g.valueIn(customer.Numeric)
	if !ok {
		return g.comparison(0, g.number)
	}
	return "(" + c + oneOf(g, " + 1", " * 2", "", "", "") + oneOf(g, " == ", " < ", " > ", " != ") + g.number(0) + ")"
}

// valueIn draws a value within JSON.
func (g *generator) valueIn(kinds ...customer.Kind) (string, bool) {
	kind := kinds[g.n(len(kinds))]
	for range 5 {
		if c, ok := g.column(kind); ok && (strings.Contains(c, "extra") || strings.Contains(c, "details")) {
			return c, true
		}
	}
	return "", false
}

// listOfTexts draws a list of texts.
func (g *generator) listOfTexts(depth int) string {
	if depth > 0 {
		switch g.n(6) {
		case 0:
			return "split(" + g.text(depth-1) + ", " + oneOf(g, `" "`, `""`, `"o"`, `"\n"`, g.text(0)) + ")"
		case 1:
			return "filter(" + g.listOfTexts(depth-1) + ", " + g.aboutText() + ")"
		case 2:
			return "map(" + g.listOfTexts(depth-1) + ", " + oneOf(g, `# + "x"`, `trim(#)`, `replace(#, "a", "")`, `# == "vip" ? nil : #`) + ")"
		}
	}
	if c, ok := g.column(customer.TextArray); ok {
		return c
	}
	return `split("vip a x", " ")`
}

// aboutText draws a condition about #.
func (g *generator) aboutText() string {
	literal := g.literal(customer.Text)
	switch g.n(8) {
	case 0:
		return "# == " + literal
	case 1:
		return "# != " + literal
	case 2:
		return "# in [" + literal + `, "vip", nil]`
	case 3:
		return "# in [" + literal + `, "vip"]`
	case 4:
		return "len(#) " + oneOf(g, "> ", "== ", "< ") + strconv.Itoa(g.n(4))
	case 5:
		return "# " + oneOf(g, "startsWith ", "contains ", "< ") + literal
	case 6:
		return "# == customer.name"
	}
	return "!(# startsWith \"v\")"
}

// overTexts asks about each text of a list.
func (g *generator) overTexts(depth int) string {
	list := g.listOfTexts(min(depth, 2))
	switch g.n(5) {
	case 0:
		return "(count(" + list + ", " + g.aboutText() + ")" + oneOf(g, " == ", " > ", " < ") + strconv.Itoa(g.n(3)) + ")"
	case 1:
		return "(" + oneOf(g, "len", "count") + "(" + list + ")" + oneOf(g, " == ", " > ", " < ") + strconv.Itoa(g.n(4)) + ")"
	case 2:
		return "(" + g.text(0) + " in " + list + ")"
	}
	return oneOf(g, "any", "all", "none", "one") + "(" + list + ", " + g.aboutText() + ")"
}

// textOfList draws one text of a list, or all of them in one.
func (g *generator) textOfList(depth int) string {
	list := g.listOfTexts(min(depth, 2))
	switch g.n(4) {
	case 0:
		return list + "[" + oneOf(g, "0", "1", "-1", "-2", "7") + "]"
	case 1:
		return "find(" + list + ", " + g.aboutText() + ")"
	case 2:
		return "join(" + list + ", " + oneOf(g, `""`, `"-"`) + ")"
	}
	return oneOf(g, "first", "last") + "(" + list + ")"
}

func (g *generator) changedText(depth int) string {
	s := g.text(depth - 1)
	switch g.n(6) {
	case 0:
		return "replace(" + s + ", " + oneOf(g, `"a"`, `"o"`, `"%"`, `"\\"`, `"ol"`) + ", " + oneOf(g, `""`, `"oo"`, g.text(0)) + ")"
	case 1:
		return oneOf(g, "trimPrefix(", "trimSuffix(") + s + ", " + oneOf(g, `"S"`, `"o"`, `""`, g.text(0)) + ")"
	case 2:
		return "trim(" + s + ", " + oneOf(g, `"So"`, `""`, `" %_"`, g.text(0)) + ")"
	case 3:
		return "string(" + oneOf(g, g.wholeNumber(0), g.boolean(0)) + ")"
	case 4:
		return "string(" + oneOf(g, "customer.birth_date", "customer.seen", "customer.created_at", "customer.income") + ")"
	}
	return g.textOfList(depth)
}

// foldedText compares a text in small or capital letters with constants.
func (g *generator) foldedText(depth int) string {
	fold, word := "lower", oneOf(g, "solo", "é", "a", "ß", "k", "i", "Solo", "", "%", "σ", "日")
	if g.n(2) == 0 {
		fold, word = "upper", strings.ToUpper(word)
	}
	x := fold + "(" + oneOf(g, g.text(depth-1), "customer.nick") + ")"
	switch g.n(4) {
	case 0:
		return "(" + x + oneOf(g, " in ", " not in ") + "[" + strconv.Quote(word) + `, "a", "B"])`
	case 1:
		return "(" + x + oneOf(g, " contains ", " startsWith ", " endsWith ") + strconv.Quote(word) + ")"
	}
	return "(" + x + oneOf(g, " == ", " != ") + strconv.Quote(word) + ")"
}

// regular draws a regular expression from its parts.
func (g *generator) regular(depth int) string {
	var expression func(depth int) string
	expression = func(depth int) string {
		if depth <= 0 {
			return oneOf(g, "a", "o", "S", "[a-zé]", "[^a]", ".", `\\d`, `\\w`, `\\s`, "é", "_", "%", `\\.`, `[\\s\\S]`, "x{0,2}", "日", "(?i:s)", "(?s:.)", `\\pL`)
		}
		switch g.n(5) {
		case 0:
			return expression(depth-1) + oneOf(g, "*", "+", "?", "{2}", "{1,3}", "*?")
		case 1:
			return "(" + expression(depth-1) + "|" + expression(depth-1) + ")"
		case 2:
			return "(?:" + expression(depth-1) + ")" + oneOf(g, "*", "+", "?", "{0,2}", "")
		}
		return expression(depth-1) + expression(depth-1)
	}
	pattern := oneOf(g, "", "^", `\\A`) + expression(2) + oneOf(g, "", "$", `\\z`)
	if _, err := regexp.Compile(strings.ReplaceAll(pattern, `\\`, `\`)); err != nil {
		pattern = "^[a-z]+$"
	}
	return fmt.Sprintf(`(%s matches "%s%s")`, g.text(depth-1), oneOf(g, "", "(?i)", "(?s)"), pattern)
}

func (g *generator) changedNumber(depth int) string {
	switch g.n(5) {
	case 0:
		return oneOf(g, "indexOf(", "lastIndexOf(") + g.text(depth-1) + ", " + oneOf(g, `"o"`, `""`, `"S"`, g.text(0)) + ")"
	case 1:
		return "int(" + oneOf(g, g.number(depth-1), g.text(depth-1), `"-12"`) + ")"
	case 2:
		return "float(" + oneOf(g, g.number(depth-1), g.text(depth-1), `"1.5e1"`) + ")"
	case 3:
		return oneOf(g, "round", "floor", "ceil") + "(" + oneOf(g, "customer.score", "customer.income", "customer.score * 2.5", "customer.visits + 0.5", "-customer.visits - 0.5") + ")"
	}
	return oneOf(g, "abs", "abs", "round", "floor", "ceil") + "(" + g.number(depth-1) + ")"
}

// columnsOf are the columns of a kind, and the values within JSON of that kind.
func columnsOf(prefix string, e *customer.Entity, kind customer.Kind) []string {
	var found []string
	for _, c := range e.Columns {
		if c.Kind == kind {
			found = append(found, prefix+c.Name)
		}
		if c.JSON == nil {
			continue
		}
		for _, p := range c.JSON.Paths {
			if p.Kind == kind {
				found = append(found, prefix+c.Name+jsonSteps(p.Keys))
			}
			if kind == customer.JSON && len(p.Keys) > 1 {
				found = append(found, prefix+c.Name+jsonSteps(p.Keys[:1]))
			}
		}
	}
	return found
}

// nickPool is letters whose small and capital forms are more than two.
func nickPool() []any {
	return []any{"k", "K", "\u212a", "i", "I", "İ", "ı", "s", "S", "ſ", "ß", "ẞ", "σ", "ς", "Σ", "é", "É", "SOLO", "solo", "Sol\u0130", "ǅ", "ǆ", "Ǆ", "µ", "μ", "Μ", "a", "B", "日", ""}
}

func jsonSteps(keys []string) string {
	var b strings.Builder
	for _, k := range keys {
		if regexp.MustCompile(`^\w+$`).MatchString(k) {
			b.WriteString("." + k)
		} else {
			b.WriteString("[" + strconv.Quote(k) + "]")
		}
	}
	return b.String()
}

// arrayText writes a list as PostgreSQL reads it, with what must not matter: missing texts, a second dimension, and places
// that are not counted from 1.
func arrayText(texts []string) string {
	quoted := make([]string, len(texts))
	for i, s := range texts {
		quoted[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
	}
	switch len(texts) {
	case 0:
		return "{NULL}"
	case 1:
		return "[0:0]={" + quoted[0] + "}"
	case 2:
		return "{{" + quoted[0] + "},{" + quoted[1] + "}}"
	}
	return "{" + strings.Join(slices.Insert(quoted, 1, "NULL"), ",") + "}"
}

// opinionWithin is what a JSON column holds for the third opinion: objects within each other.
func opinionWithin(row map[string]any, c customer.Column) map[string]any {
	root := map[string]any{}
	for _, p := range c.JSON.Paths {
		object := root
		for i, key := range p.Keys {
			v := row[customer.ValueName(c.Name, p.Keys[:i+1])]
			if v == nil {
				break
			}
			if i == len(p.Keys)-1 {
				object[key] = opinionValue(v, p.Kind)
				break
			}
			if object[key] == nil {
				object[key] = map[string]any{}
			}
			object = object[key].(map[string]any)
		}
	}
	return root
}

// textsOf is a list of texts, false for what is none.
func textsOf(v any) ([]string, bool) {
	switch v := v.(type) {
	case []string:
		return v, true
	case []any:
		texts := []string{}
		for _, item := range v {
			if s, ok := item.(string); ok {
				texts = append(texts, s)
			} else if item != nil {
				return nil, false
			}
		}
		return texts, len(texts) > 0
	}
	return nil, false
}

// textOpinion is list[index].
func textOpinion(list any, index int) any {
	texts, _ := textsOf(list)
	if index < 0 {
		index = len(texts) + index
	}
	if index < 0 || index > len(texts)-1 {
		return nil
	}
	return texts[index]
}

// opinionOnValues is the third opinion on those functions; known is false for all others.
func opinionOnValues(clock Clock, name string, args []any) (v any, known bool, err error) {
	switch name {
	case "some":
		if args[0] == nil {
			return []any{}, true, nil
		}
		return args[0], true, nil
	case "is nil":
		return args[0] == nil, true, nil
	case "count":
		texts, _ := textsOf(args[0])
		return len(texts), true, nil
	case "first", "find", "last", "len":
		if texts, ok := textsOf(args[0]); ok {
			index := map[string]int{"last": -1}[name]
			if name == "len" {
				return len(texts), true, nil
			}
			return textOpinion(texts, index), true, nil
		}
		if args[0] == nil {
			return nil, true, nil
		}
		return nil, false, nil
	}
	if of := valueOpinions(clock)[name]; of != nil && !(name == "trim" && len(args) == 1) {
		if slices.Contains(args, nil) {
			return nil, true, nil
		}
		return of(args), true, nil
	}
	return nil, false, nil
}

func valueOpinions(clock Clock) map[string]func([]any) any {
	text := func(of func(s, part string) any) func([]any) any {
		return func(a []any) any { return of(a[0].(string), a[1].(string)) }
	}
	return map[string]func([]any) any{
		"split": text(func(s, by string) any { return strings.SplitN(s, by, -1) }),
		"join": func(a []any) any {
			texts, _ := textsOf(a[0])
			return strings.Join(texts, a[1].(string))
		},
		"trim": text(func(s, set string) any {
			return strings.TrimFunc(s, func(r rune) bool { return strings.ContainsRune(set, r) })
		}),
		"trimPrefix": text(func(s, p string) any { s, _ = strings.CutPrefix(s, p); return s }),
		"trimSuffix": text(func(s, p string) any { s, _ = strings.CutSuffix(s, p); return s }),
		"replace": func(a []any) any {
			return strings.Join(strings.Split(a[0].(string), a[1].(string)), a[2].(string))
		},
		"indexOf":     text(func(s, p string) any { return inCharacters(s, strings.Index(s, p)) }),
		"lastIndexOf": text(func(s, p string) any { return inCharacters(s, strings.LastIndex(s, p)) }),
		"abs":         func(a []any) any { return rounded(a[0], func(r *big.Rat) *big.Rat { return new(big.Rat).Abs(r) }) },
		"floor":       func(a []any) any { return rounded(a[0], down) },
		"ceil":        func(a []any) any { return rounded(a[0], func(r *big.Rat) *big.Rat { return minus(down(minus(r))) }) },
		"round":       func(a []any) any { return rounded(a[0], halfAway) },
		"int":         intOpinion,
		"float":       floatOpinion,
		"string":      func(a []any) any { return stringOpinion(clock, a[0]) },
	}
}

func inCharacters(s string, at int) any {
	if at < 0 {
		return at
	}
	return utf8.RuneCountInString(s[:at])
}

func minus(r *big.Rat) *big.Rat { return new(big.Rat).Neg(r) }

func down(r *big.Rat) *big.Rat {
	return new(big.Rat).SetInt(new(big.Int).Div(r.Num(), r.Denom())) // Euclid's, and the denominator is positive
}

func halfAway(r *big.Rat) *big.Rat {
	if r.Sign() < 0 {
		return minus(halfAway(minus(r)))
	}
	return down(new(big.Rat).Add(r, big.NewRat(1, 2)))
}

func rounded(v any, of func(*big.Rat) *big.Rat) any {
	e := digits15(number_(v))
	if e.rat == nil {
		if of(big.NewRat(-1, 1)).Sign() > 0 && e.special < 0 { // abs
			e.special = -e.special
		}
		return e
	}
	return exact{rat: of(e.rat)}
}

func intOpinion(a []any) any {
	if s, ok := a[0].(string); ok {
		r, ok := new(big.Int).SetString(s, 10)
		if !ok || len(strings.TrimLeft(s, "+-")) > 100 || strings.Contains(s, "_") {
			return nil
		}
		return exact{rat: new(big.Rat).SetInt(r)}
	}
	e := digits15(number_(a[0]))
	if e.rat == nil {
		return nil
	}
	return exact{rat: new(big.Rat).SetInt(new(big.Int).Quo(e.rat.Num(), e.rat.Denom()))}
}

func floatOpinion(a []any) any {
	if s, ok := a[0].(string); ok {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || strings.ContainsAny(s, "nNxXpP_") {
			return nil
		}
		return double_(f)
	}
	return double_(asFloat(number_(a[0]), true))
}

func stringOpinion(_ Clock, v any) any {
	switch v := number_(v).(type) {
	case exact:
		if v.rat == nil {
			return map[bool]string{true: "Infinity", false: "-Infinity"}[v.special > 0]
		}
		text := v.rat.FloatString(400)
		return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	case moment:
		return momentText(v)
	}
	return fmt.Sprint(v)
}

func momentText(m moment) any {
	if m.t.Equal(Infinity) || m.t.Equal(NegInfinity) {
		text := map[bool]string{true: "infinity", false: "-infinity"}[m.t.Equal(Infinity)]
		if m.kind == customer.Timestamptz {
			text += "Z"
		}
		return text
	}
	text := m.t.UTC().Format(map[customer.Kind]string{
		customer.Date: time.DateOnly, customer.Timestamp: "2006-01-02T15:04:05.999999", customer.Timestamptz: "2006-01-02T15:04:05.999999Z",
	}[m.kind])
	return text
}
