package segment

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
)

func textFunctions() []*Function {
	return []*Function{
		{
			Name: "len", Usage: "len(text)", form: formLen, Result: typeInt,
			Sentence: "How many characters a text has, or how many entries a list.",
			Example:  `len(customer.name) > 40`, eval: evalLen, sql: sqlLen,
		},
		trimSpace(),
		{
			Name: "trimPrefix", Usage: `trimPrefix(text, "start")`, Params: []Type{typeText, typeText}, Result: typeText,
			Sentence: "The text without this start, if it has it.",
			Example:  `trimPrefix(customer.name, "Dr. ") startsWith "A"`,
			eval:     func(_ Clock, a []any) any { return strings.TrimPrefix(a[0].(string), a[1].(string)) },
			sql: repeating(func(s, part string) string {
				return fmt.Sprintf("case when starts_with(%s, %s) then substr(%s, length(%s) + 1) when %s is not null then %s end", s, part, s, part, part, s)
			}),
		},
		{
			Name: "trimSuffix", Usage: `trimSuffix(text, "end")`, Params: []Type{typeText, typeText}, Result: typeText,
			Sentence: "The text without this end, if it has it.",
			Example:  `trimSuffix(customer.city, " Kota") == "Solo"`,
			eval:     func(_ Clock, a []any) any { return strings.TrimSuffix(a[0].(string), a[1].(string)) },
			sql: repeating(func(s, part string) string {
				return fmt.Sprintf("case when right(%s, length(%s)) = %s then left(%s, length(%s) - length(%s)) when %s is not null then %s end",
					s, part, part, s, s, part, part, s)
			}),
		},
		{
			Name: "replace", Usage: `replace(text, "old", "new")`, Params: []Type{typeText, typeText, typeText}, Result: typeText, check: checkReplace,
			Sentence: "The text with every old, written out and not empty, replaced by new.",
			Example:  `replace(customer.name, "-", " ") contains "Siti Aminah"`,
			eval: func(_ Clock, a []any) any {
				return strings.ReplaceAll(a[0].(string), a[1].(string), a[2].(string))
			},
			sql: func(a []sqlArg) string { return fmt.Sprintf("replace(%s, %s, %s)", a[0].text, a[1].text, a[2].text) },
		},
		{
			Name: "split", Usage: `split(text, "separator")`, Params: []Type{typeText, typeText}, Result: typeTexts,
			Sentence: "The parts of the text between the separators, as a list of texts; with \"\", its characters.",
			Example:  `split(customer.name, " ")[0] == "Siti"`,
			eval:     func(_ Clock, a []any) any { return strings.Split(a[0].(string), a[1].(string)) },
			emit:     emitParts,
		},
		{
			Name: "join", Usage: `join(texts, "separator")`, Params: []Type{typeTexts, typeText}, Result: typeText,
			Sentence: "The texts of a list as one text.",
			Example:  `join(customer.tags, " ") contains "vip"`,
			eval:     func(_ Clock, a []any) any { return strings.Join(a[0].([]string), a[1].(string)) },
			sql:      func(a []sqlArg) string { return fmt.Sprintf("array_to_string(%s, %s)", a[0].text, a[1].text) },
		},
		{
			Name: "indexOf", Usage: `indexOf(text, "part")`, Params: []Type{typeText, typeText}, Result: typeInt,
			Sentence: "How many characters stand before the first such part; -1 where there is none.",
			Example:  `indexOf(customer.name, "@") >= 0`,
			eval: func(_ Clock, a []any) any {
				return characters(a[0].(string), strings.Index(a[0].(string), a[1].(string)))
			},
			sql: func(a []sqlArg) string { return fmt.Sprintf("(strpos(%s, %s) - 1)", a[0].text, a[1].text) },
		},
		{
			Name: "lastIndexOf", Usage: `lastIndexOf(text, "part")`, Params: []Type{typeText, typeText}, Result: typeInt,
			Sentence: "How many characters stand before the last such part; -1 where there is none.",
			Example:  `lastIndexOf(customer.name, " ") > 10`,
			eval: func(_ Clock, a []any) any {
				return characters(a[0].(string), strings.LastIndex(a[0].(string), a[1].(string)))
			},
			sql: repeating(func(s, part string) string {
				return fmt.Sprintf("case strpos(reverse(%s), reverse(%s)) when 0 then -1 else length(%s) - strpos(reverse(%s), reverse(%s)) - length(%s) + 1 end",
					s, part, s, s, part, part)
			}),
		},
		{
			Name: "hasPrefix", Usage: `hasPrefix(text, "start")`, form: formTextTest("startsWith"),
			Sentence: "Another way to write startsWith.",
			Example:  `hasPrefix(customer.name, "Dr.")`,
		},
		{
			Name: "hasSuffix", Usage: `hasSuffix(text, "end")`, form: formTextTest("endsWith"),
			Sentence: "Another way to write endsWith.",
			Example:  `hasSuffix(customer.name, "SH")`,
		},
		{
			Name: "lower", Usage: "lower(text)", Params: []Type{typeText}, Result: typeText,
			Sentence: "The text in small letters.",
			Example:  `lower(customer.city) == "solo"`,
			eval:     func(_ Clock, args []any) any { return strings.ToLower(args[0].(string)) },
			residual: foldingDiffers,
		},
		{
			Name: "upper", Usage: "upper(text)", Params: []Type{typeText}, Result: typeText,
			Sentence: "The text in capital letters.",
			Example:  `upper(customer.city) == "SOLO"`,
			eval:     func(_ Clock, args []any) any { return strings.ToUpper(args[0].(string)) },
			residual: foldingDiffers,
		},
		{
			Name: "string", Usage: "string(value)", form: formString, Result: typeText,
			Sentence: "A number, boolean, date or time as text, such as 1.5, true and 2026-01-31; times as in 2026-01-31T08:00:00.",
			Example:  `string(customer.visits) endsWith "0"`,
		},
	}
}

const foldingDiffers = "databases differ in which letters they take for small and capital forms of each other"

// whiteSpace is what strings.TrimSpace cuts.
const whiteSpace = "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"

func trimSpace() *Function {
	return &Function{
		Name: "trim", Usage: `trim(text) or trim(text, "characters")`, form: formTrim, Params: []Type{typeText}, Result: typeText,
		Sentence: "The text without white space, or without any of these characters, at its ends.",
		Example:  `trim(customer.city) == "Solo"`,
		eval:     func(_ Clock, args []any) any { return strings.TrimSpace(args[0].(string)) },
		sql:      func(args []sqlArg) string { return "btrim(" + args[0].text + ", " + args[1].text + ")" },
		bindings: func(Clock) []binding { return []binding{{whiteSpace, "text"}} },
	}
}

// trimCharacters is trim with a second argument.
func trimCharacters() *Function {
	return &Function{
		Name: "trim", Usage: trimSpace().Usage, Params: []Type{typeText, typeText}, Result: typeText, Example: trimSpace().Example,
		eval: func(_ Clock, args []any) any { return strings.Trim(args[0].(string), args[1].(string)) },
		sql:  func(args []sqlArg) string { return "btrim(" + args[0].text + ", " + args[1].text + ")" },
	}
}

func formTrim(c *checker, fn *Function, at span, args []ast.Node) node {
	if len(args) == 2 {
		return c.plainCall(trimCharacters(), at, args)
	}
	return c.plainCall(fn, at, args)
}

// formTextTest is an operator that is written as a function.
func formTextTest(op string) form {
	return func(c *checker, fn *Function, at span, args []ast.Node) node {
		if len(args) != 2 {
			return c.argumentCount(fn, at)
		}
		a, b := c.argument(fn, typeText, args[0]), c.argument(fn, typeText, args[1])
		if a == nil || b == nil {
			return nil
		}
		return &textTest{condition(at), op, a, b}
	}
}

// formString writes the canonical text, which is the same for ever (see canonical.go).
func formString(c *checker, fn *Function, at span, args []ast.Node) node {
	if len(args) != 1 {
		return c.argumentCount(fn, at)
	}
	a := c.expr(args[0])
	switch {
	case a == nil:
		return nil
	case a.typ() == typeText:
		return a
	case !a.typ().isScalar():
		return c.problem(a.at(), "for example "+fn.Example, "string takes a single value, but %s is %s", c.words(a), a.typ())
	}
	return &cast{base{t: typeText, loc: at, null: a.nullable()}, a}
}

func checkReplace(args []node) string {
	if v, ok := fixedValue(args[1]); !ok || v == "" || v == nil {
		return "the text to replace must be written out and not be empty"
	}
	return ""
}

func emitParts(e *emitter, n *call) string {
	return repeating(func(s, by string) string {
		parts := fmt.Sprintf("case when %s = '' then array[''] else string_to_array(%s, %s) end", s, s, by)
		if e.mutate == mutateSplitEmpty {
			parts = fmt.Sprintf("string_to_array(%s, %s)", s, by)
		}
		return fmt.Sprintf("case when %s = '' then string_to_array(%s, null) when %s <> '' then %s end", by, s, by, parts)
	})([]sqlArg{{e.value(n.args[0]), typeText}, {e.value(n.args[1]), typeText}})
}

// repeating gives a function's SQL that mentions its two arguments several times simple texts for them: what is longer stands
// once, in a subquery, or nested calls would grow without bound.
func repeating(of func(a, b string) string) func([]sqlArg) string {
	return func(args []sqlArg) string {
		if isSimple(args[0].text) && isSimple(args[1].text) {
			return "(" + of(args[0].text, args[1].text) + ")"
		}
		return fmt.Sprintf("(select %s from (select %s as a, %s as b offset 0) g)", of("g.a", "g.b"), args[0].text, args[1].text)
	}
}

func isSimple(sql string) bool { return !strings.ContainsAny(sql, " (") }

// characters turns a place in bytes, -1 for none, into one in characters.
func characters(s string, at int) any {
	if at < 0 {
		return int64(-1)
	}
	return int64(utf8.RuneCountInString(s[:at]))
}

func evalLen(_ Clock, args []any) any {
	switch v := args[0].(type) {
	case []string:
		return int64(len(v))
	case string:
		return int64(len([]rune(v)))
	}
	return nil
}

func sqlLen(args []sqlArg) string {
	if args[0].t == typeTexts {
		return presentCount(args[0].text)
	}
	return "length(" + args[0].text + ")"
}
