package segment

import "strings"

func textFunctions() []*Function {
	return []*Function{
		{
			Name: "len", Usage: "len(text)", form: formLen, Result: typeInt,
			Sentence: "How many characters a text has, or how many entries a list.",
			Example:  `len(customer.name) > 40`, eval: evalLen, sql: sqlLen,
		},
		{
			Name: "trim", Usage: "trim(text)", Params: []Type{typeText}, Result: typeText,
			Sentence: "The text without white space at its ends.",
			Example:  `trim(customer.city) == "Solo"`,
			eval:     func(_ Clock, args []any) any { return strings.TrimSpace(args[0].(string)) },
			sql:      func(args []sqlArg) string { return "btrim(" + args[0].text + ", " + args[1].text + ")" },
			bindings: func(Clock) []binding { return []binding{{whiteSpace, "text"}} },
		},
		{
			Name: "lower", Usage: "lower(text)", Params: []Type{typeText}, Result: typeText,
			Sentence: "The text in small letters.",
			Example:  `lower(customer.city) == "solo"`,
			eval:     func(_ Clock, args []any) any { return strings.ToLower(args[0].(string)) },
			residual: "databases differ in which letters they take for small and capital forms of each other",
		},
		{
			Name: "upper", Usage: "upper(text)", Params: []Type{typeText}, Result: typeText,
			Sentence: "The text in capital letters.",
			Example:  `upper(customer.city) == "SOLO"`,
			eval:     func(_ Clock, args []any) any { return strings.ToUpper(args[0].(string)) },
			residual: "databases differ in which letters they take for small and capital forms of each other",
		},
	}
}

// whiteSpace is what strings.TrimSpace cuts.
const whiteSpace = "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"

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
