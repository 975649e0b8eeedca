package templates

import (
	"errors"
	"net/url"
	"strings"
	"unicode"
)

func textFilters() []*filter {
	one := []param{{name: "text", shape: textShape}}
	return []*filter{{
		name: "titlecase", in: textShape, result: gives(textShape), fn: textFn(titlecase),
		doc:     "A name that was typed in capitals (or without any), with capitals where names have them. A name with both is left alone.",
		example: `{{ "SITI O'NEIL" | titlecase }}, {{ "jan van der berg" | titlecase }}, {{ "McDonald" | titlecase }}`, output: "Siti O'Neil, Jan van der Berg, McDonald",
	}, {
		name: "upcase", in: textShape, result: gives(textShape), fn: textFn(strings.ToUpper),
		doc: "All in capitals.", example: `{{ "halo" | upcase }}`, output: "HALO",
	}, {
		name: "downcase", in: textShape, result: gives(textShape), fn: textFn(strings.ToLower),
		doc: "All in small letters.", example: `{{ "Halo" | downcase }}`, output: "halo",
	}, {
		name: "capitalize", in: textShape, result: gives(textShape), fn: textFn(capitalize),
		doc: "The first letter as a capital, the rest as it is.", example: `{{ "halo Budi" | capitalize }}`, output: "Halo Budi",
	}, {
		name: "append", in: textShape, params: one, result: gives(textShape), fn: textFn2(func(s, t string) string { return s + t }),
		doc: "The text, and another behind it.", example: `{{ "Halo" | append: "!" }}`, output: "Halo!",
	}, {
		name: "prepend", in: textShape, params: one, result: gives(textShape), fn: textFn2(func(s, t string) string { return t + s }),
		doc: "The text, and another before it.", example: `{{ "Budi" | prepend: "Pak " }}`, output: "Pak Budi",
	}, {
		name: "replace", in: textShape, params: []param{{name: "old", shape: textShape}, {name: "new", shape: textShape}},
		result: gives(textShape), fn: replacing(-1),
		doc: "Another text in every place of one.", example: `{{ "a-b-c" | replace: "-", " " }}`, output: "a b c",
	}, {
		name: "replace_first", in: textShape, params: []param{{name: "old", shape: textShape}, {name: "new", shape: textShape}},
		result: gives(textShape), fn: replacing(1),
		doc: "Another text in the first place of one.", example: `{{ "a-b-c" | replace_first: "-", " " }}`, output: "a b-c",
	}, {
		name: "remove", in: textShape, params: one, result: gives(textShape), fn: replacing(-1),
		doc: "Without every place of a text.", example: `{{ "a-b-c" | remove: "-" }}`, output: "abc",
	}, {
		name: "remove_first", in: textShape, params: one, result: gives(textShape), fn: replacing(1),
		doc: "Without the first place of a text.", example: `{{ "a-b-c" | remove_first: "-" }}`, output: "ab-c",
	}, {
		name: "strip", in: textShape, result: gives(textShape), fn: textFn(strings.TrimSpace),
		doc: "Without white space at both ends.", example: `[{{ "  Budi " | strip }}]`, output: "[Budi]",
	}, {
		name: "lstrip", in: textShape, result: gives(textShape), fn: textFn(func(s string) string { return strings.TrimLeftFunc(s, unicode.IsSpace) }),
		doc: "Without white space at the start.", example: `[{{ "  Budi " | lstrip }}]`, output: "[Budi ]",
	}, {
		name: "rstrip", in: textShape, result: gives(textShape), fn: textFn(func(s string) string { return strings.TrimRightFunc(s, unicode.IsSpace) }),
		doc: "Without white space at the end.", example: `[{{ " Budi  " | rstrip }}]`, output: "[ Budi]",
	}}
}

func moreTextFilters() []*filter {
	end := param{name: "end", shape: textShape, optional: true}
	return []*filter{{
		name: "truncate", in: textShape, params: []param{{name: "length", shape: numberShape, optional: true}, end}, result: gives(textShape), fn: truncate,
		doc:     "At most so many characters (50), the end (three points) among them.",
		example: `{{ "Ganti oli dan filter" | truncate: 12 }}`, output: "Ganti oli...",
	}, {
		name: "truncatewords", in: textShape, params: []param{{name: "words", shape: numberShape, optional: true}, end}, result: gives(textShape), fn: truncateWords,
		doc:     "At most so many words (15), with an end (three points) where some were left out.",
		example: `{{ "Ganti oli dan filter" | truncatewords: 2 }}`, output: "Ganti oli...",
	}, {
		name: "split", in: textShape, params: []param{{name: "by", shape: textShape}}, result: givesList, fn: split,
		doc:     "The list of the parts between a text.",
		example: `{{ "Budi Santoso" | split: " " | first }}`, output: "Budi",
	}, {
		name: "strip_html", in: textShape, result: gives(textShape), fn: textFn(stripHTML),
		doc: "Without HTML tags.", example: `{{ "<b>Halo</b>" | strip_html }}`, output: "Halo",
	}, {
		name: "strip_newlines", in: textShape, result: gives(textShape), fn: textFn(func(s string) string { return strings.NewReplacer("\r", "", "\n", "").Replace(s) }),
		doc: "Without line breaks.", example: `{{ "Budi" | strip_newlines }}`, output: "Budi",
	}, {
		name: "newline_to_br", in: textShape, result: gives(textShape), fn: newlineToBR,
		doc: "In HTML, `<br>` for every line break. In a text, nothing changes.", example: `{{ "Budi" | newline_to_br }}`, output: "Budi",
	}, {
		name: "escape", in: textShape, result: gives(textShape), fn: escapeFilter,
		doc: "Written so that HTML shows it. HTML templates do this by themselves.", example: `{{ "a < b" | escape }}`, output: "a &lt; b",
	}, {
		name: "url_encode", in: textShape, result: gives(textShape), fn: textFn(url.QueryEscape),
		doc: "Encoded for an address. In the query of a link this happens by itself.", example: `{{ "Budi & Siti" | url_encode }}`, output: "Budi+%26+Siti",
	}}
}

func capitalize(s string) string {
	r := []rune(s)
	if len(r) == 0 {
		return s
	}
	r[0] = unicode.ToUpper(r[0])
	return string(r)
}

func truncate(_ *frame, in any, args []any) (any, error) {
	r := []rune(printed(in))
	n, err := wholeArg(args, 0, 50)
	if err != nil || n < 0 || len(r) <= n {
		return string(r), err
	}
	end := "..."
	if len(args) > 1 {
		end = printed(args[1])
	}
	return strings.TrimRight(string(r[:max(0, n-len([]rune(end)))]), " ") + end, nil
}

func truncateWords(_ *frame, in any, args []any) (any, error) {
	s := printed(in)
	n, err := wholeArg(args, 0, 15)
	words := strings.Fields(s)
	if err != nil || len(words) <= max(1, n) {
		return s, err
	}
	end := "..."
	if len(args) > 1 {
		end = printed(args[1])
	}
	return strings.Join(words[:max(1, n)], " ") + end, nil
}

// split is Liquid's: a space splits at any white space, and empty parts at the end are dropped.
func split(_ *frame, in any, args []any) (any, error) {
	s, by := printed(in), printed(args[0])
	if by == " " {
		return list(strings.Fields(s)), nil
	}
	if strings.Count(s, by) > 10_000 {
		return nil, errors.New("there are more than 10000 parts")
	}
	parts := strings.Split(s, by)
	for len(parts) > 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	return list(parts), nil
}

func stripHTML(s string) string {
	var b strings.Builder
	for {
		open := strings.IndexByte(s, '<')
		if open < 0 {
			return b.String() + s
		}
		end := strings.IndexByte(s[open:], '>')
		if end < 0 {
			return b.String() + s
		}
		b.WriteString(s[:open])
		s = s[open+end+1:]
	}
}

func newlineToBR(f *frame, in any, _ []any) (any, error) {
	s := strings.ReplaceAll(printed(in), "\r\n", "\n")
	if f.t.format != HTML {
		return s, nil
	}
	if m, ok := in.(markup); ok {
		return markup(strings.ReplaceAll(string(m), "\n", "<br>\n")), nil
	}
	if len(s) > MaxOutput/8 {
		return nil, errLong
	}
	return markup(strings.ReplaceAll(string(appendHTML(nil, s)), "\n", "<br>\n")), nil
}

func escapeFilter(f *frame, in any, _ []any) (any, error) {
	if m, ok := in.(markup); ok {
		return m, nil
	}
	s := string(appendHTML(nil, printed(in)))
	if f.t.format == HTML {
		return markup(s), nil
	}
	return s, nil
}
