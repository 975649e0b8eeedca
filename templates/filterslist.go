package templates

import (
	"errors"
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

func listFilters() []*filter {
	column := param{name: "column", shape: textShape, column: true}
	maybe := column
	maybe.optional = true
	return []*filter{{
		name: "join", in: listShape, scalars: true, params: []param{{name: "between", shape: textShape, optional: true}}, result: gives(textShape), fn: joinFilter,
		doc:     "The elements as one text, with a text (a space) between them. Missing ones are left out.",
		example: `{{ vehicles | map: "plate" | join: ", " }}`, output: "H 1234 AB, H 77 C",
	}, {
		name: "sentence", in: listShape, scalars: true, result: gives(textShape), fn: sentence,
		doc:     "The elements as one speaks: with commas, and “dan” or “and” before the last.",
		example: `{{ vehicles | map: "plate" | sentence }}`, output: "H 1234 AB dan H 77 C",
	}, {
		name: "map", in: listShape, params: []param{column}, fn: mapFilter,
		result:  func(_ typ, args []typ) typ { return typ{shape: listShape, elem: &args[0]} },
		doc:     "The list of one column's values.",
		example: `{{ vehicles | map: "plate" | first }}`, output: "H 1234 AB",
	}, {
		name: "where", in: listShape, params: []param{column, {name: "value", optional: true}}, result: givesSame, fn: where,
		doc:     "The rows whose column has this value; without a value, those where it is neither missing nor false.",
		example: `{{ vehicles | where: "brand", "Honda" | size }}`, output: "1",
	}, {
		name: "sort", in: listShape, scalars: true, params: []param{maybe}, result: givesSame, fn: sortFilter,
		doc:     "In order, by a column where the elements are rows. Missing values come last.",
		example: `{{ vehicles | sort: "price" | map: "plate" | join: ", " }}`, output: "H 77 C, H 1234 AB",
	}, {
		name: "sum", in: listShape, scalars: true, params: []param{maybe}, result: gives(numberShape), fn: sum,
		doc:     "The sum of numbers, or of a column. Missing values count as nothing.",
		example: `{{ vehicles | sum: "price" | rupiah }}`, output: "Rp 212.500.000",
	}, {
		name: "first", in: listShape, result: givesElement, fn: func(_ *frame, in any, _ []any) (any, error) { return element(in, 0), nil },
		doc: "The first element.", example: `{{ vehicles | map: "plate" | first }}`, output: "H 1234 AB",
	}, {
		name: "last", in: listShape, result: givesElement, fn: func(_ *frame, in any, _ []any) (any, error) { return element(in, -1), nil },
		doc: "The last element.", example: `{{ vehicles | map: "plate" | last }}`, output: "H 77 C",
	}, {
		name: "reverse", in: listShape, result: givesSame, fn: reverse,
		doc: "In the opposite order.", example: `{{ vehicles | map: "plate" | reverse | join: ", " }}`, output: "H 77 C, H 1234 AB",
	}, {
		name: "uniq", in: listShape, scalars: true, result: givesSame, fn: uniq,
		doc: "Each element once.", example: `{{ "a b a" | split: " " | uniq | join }}`, output: "a b",
	}, {
		name: "compact", in: listShape, result: givesSame, fn: compact,
		doc: "Without missing elements.", example: `{{ vehicles | map: "note" | compact | size }}`, output: "0",
	}, {
		name: "slice", params: []param{{name: "from", shape: numberShape}, {name: "count", shape: numberShape, optional: true}}, result: givesSame, fn: slice,
		doc:     "A part of a text or list: from which place, counted from 0 (negative: from the end), and how many (1).",
		example: `{{ "Semarang" | slice: 0, 3 }}`, output: "Sem",
	}}
}

func elements(v any) ([]any, error) {
	l, ok := v.([]any)
	if !ok {
		return nil, errors.New("a list is needed, and this is " + kindOf(v))
	}
	return l, nil
}

// texts are the elements that are not missing, printed.
func texts(v any) ([]string, error) {
	l, err := elements(v)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(l))
	for _, e := range l {
		if e = plain(e); e != nil {
			out = append(out, printed(e))
		}
	}
	return out, nil
}

func joinFilter(_ *frame, in any, args []any) (any, error) {
	between := " "
	if len(args) > 0 {
		between = printed(args[0])
	}
	parts, err := texts(in)
	if len(parts)*len(between) > MaxOutput {
		return nil, errLong
	}
	return strings.Join(parts, between), err
}

func sentence(f *frame, in any, _ []any) (any, error) {
	parts, err := texts(in)
	if err != nil || len(parts) < 2 {
		return strings.Join(parts, ""), err
	}
	last := len(parts) - 1
	comma := ""
	if last > 1 && f.locale.serialComma {
		comma = ","
	}
	return strings.Join(parts[:last], ", ") + comma + " " + f.locale.and + " " + parts[last], nil
}

func mapFilter(_ *frame, in any, args []any) (any, error) {
	l, err := elements(in)
	out := make([]any, len(l))
	for i, row := range l {
		out[i] = property(row, printed(args[0]))
	}
	return out, err
}

func where(_ *frame, in any, args []any) (any, error) {
	l, err := elements(in)
	out := []any{}
	for _, row := range l {
		v := plain(property(row, printed(args[0])))
		if len(args) == 1 && truthy(v) || len(args) > 1 && equal(v, args[1]) {
			out = append(out, row)
		}
	}
	return out, err
}

func sortFilter(_ *frame, in any, args []any) (any, error) {
	l, err := elements(in)
	if err != nil {
		return nil, err
	}
	key := func(v any) any { return plain(v) }
	if len(args) > 0 {
		key = func(v any) any { return plain(property(v, printed(args[0]))) }
	}
	out := slices.Clone(l)
	slices.SortStableFunc(out, func(a, b any) int {
		x, y := key(a), key(b)
		switch {
		case x == nil && y == nil:
			return 0
		case x == nil:
			return 1
		case y == nil:
			return -1
		}
		c, _ := compare(x, y)
		return c
	})
	return out, nil
}

func sum(_ *frame, in any, args []any) (any, error) {
	l, err := elements(in)
	total := decimal.Zero
	for _, v := range l {
		if len(args) > 0 {
			v = property(v, printed(args[0]))
		}
		if v = plain(v); v == nil {
			continue
		}
		d, ok := toNumber(v)
		if !ok {
			return nil, errNumber(v)
		}
		total = total.Add(d)
	}
	return bounded(total, err)
}

func reverse(_ *frame, in any, _ []any) (any, error) {
	l, err := elements(in)
	out := slices.Clone(l)
	slices.Reverse(out)
	return out, err
}

func uniq(_ *frame, in any, _ []any) (any, error) {
	l, err := elements(in)
	if len(l) > maxRange {
		return nil, errors.New("the list has more than 1000 elements")
	}
	out := []any{}
	for _, v := range l {
		if !slices.ContainsFunc(out, func(o any) bool { return equal(plain(o), plain(v)) }) {
			out = append(out, v)
		}
	}
	return out, err
}

func compact(_ *frame, in any, _ []any) (any, error) {
	l, err := elements(in)
	out := []any{}
	for _, v := range l {
		if plain(v) != nil {
			out = append(out, v)
		}
	}
	return out, err
}

func slice(_ *frame, in any, args []any) (any, error) {
	from, err := wholeArg(args, 0, 0)
	if err != nil {
		return nil, err
	}
	count, err := wholeArg(args, 1, 1)
	if err != nil {
		return nil, err
	}
	if l, ok := in.([]any); ok {
		return part(l, from, count), nil
	}
	return string(part([]rune(printed(in)), from, count)), nil
}

// part is s[from:from+count], cut to what there is.
func part[T any](s []T, from, count int) []T {
	if from < 0 {
		from = max(0, from+len(s))
	}
	from = min(from, len(s))
	return s[from:min(len(s), from+max(0, count))]
}
