package templates

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

// filter is one row of the filter table: what checks, evaluates and documents it.
type filter struct {
	name         string
	in           shape // what it takes; anything where a text is taken, because everything can be printed
	params       []param
	result       func(in typ, args []typ) typ
	takesMissing bool // is asked even when its value is missing
	scalars      bool // the elements of its list can't be rows, unless a column is named
	fn           func(f *frame, in any, args []any) (any, error)
	doc          string // a sentence for marketers
	example      string // a template that shows it
	output       string // what the example makes, in locale id-ID
}

// param is an argument of a filter.
type param struct {
	name     string
	shape    shape
	optional bool
	column   bool // a literal column name of the rows in the list
}

// signature is how the filter is written: truncate: length, [end].
func (d *filter) signature() string {
	if len(d.params) == 0 {
		return d.name
	}
	names := make([]string, len(d.params))
	for i, p := range d.params {
		names[i] = p.name
		if p.optional {
			names[i] = "[" + p.name + "]"
		}
	}
	return d.name + ": " + strings.Join(names, ", ")
}

// byColumn says whether the filter can name a column of the rows in its list.
func (d *filter) byColumn() bool { return len(d.params) > 0 && d.params[0].column }

func (d *filter) required() int {
	n := 0
	for _, p := range d.params {
		if !p.optional {
			n++
		}
	}
	return n
}

// filterTable is every filter of the language, in the order of the reference.
func filterTable() []*filter {
	return slices.Concat(valueFilters(), textFilters(), moreTextFilters(), numberFilters(), dateFilters(), listFilters())
}

func indexFilters() map[string]*filter {
	index := map[string]*filter{}
	for _, d := range filterTable() {
		index[d.name] = d
	}
	return index
}

// Results of filters.
func gives(s shape) func(typ, []typ) typ { return func(typ, []typ) typ { return typ{shape: s} } }
func givesSame(in typ, _ []typ) typ      { return in }
func givesElement(in typ, _ []typ) typ   { return in.element() }
func givesList(typ, []typ) typ           { return typ{shape: listShape, elem: &typ{shape: textShape}} }

func valueFilters() []*filter {
	return []*filter{{
		name: "default", params: []param{{name: "value"}}, takesMissing: true,
		result: func(in typ, args []typ) typ { return join(in, args[0]) },
		fn: func(_ *frame, in any, args []any) (any, error) {
			if !truthy(in) || isVoid(in, empty{}) {
				return args[0], nil
			}
			return in, nil
		},
		doc:     "What to print instead of a value that is missing, false or an empty text.",
		example: `{{ customer.nickname | default: "Pelanggan" }}`, output: "Pelanggan",
	}, {
		name: "size", result: gives(numberShape),
		fn: func(_ *frame, in any, _ []any) (any, error) {
			switch in := in.(type) {
			case []any:
				return len(in), nil
			case map[string]any:
				return len(in), nil
			}
			return len([]rune(printed(in))), nil
		},
		doc: "How many characters a text has, or how many elements a list.", example: `{{ "Halo" | size }}`, output: "4",
	}}
}

// textFn makes a filter function of one that changes a text.
func textFn(fn func(string) string) func(*frame, any, []any) (any, error) {
	return func(_ *frame, in any, _ []any) (any, error) { return fn(printed(in)), nil }
}

// textFn2 is textFn with one argument that is a text.
func textFn2(fn func(s, arg string) string) func(*frame, any, []any) (any, error) {
	return func(_ *frame, in any, args []any) (any, error) {
		s, arg := printed(in), printed(args[0])
		if len(s)+len(arg) > MaxOutput {
			return nil, errLong
		}
		return fn(s, arg), nil
	}
}

var errLong = fmt.Errorf("the text is longer than %d bytes", MaxOutput)

// replacing is the replace filters; n as in strings.Replace.
func replacing(n int) func(*frame, any, []any) (any, error) {
	return func(_ *frame, in any, args []any) (any, error) {
		s, old, with := printed(in), printed(args[0]), ""
		if len(args) > 1 {
			with = printed(args[1])
		}
		if old == "" {
			return s, nil
		}
		if found := strings.Count(s, old); len(s)+found*len(with) > MaxOutput {
			return nil, errLong
		}
		return strings.Replace(s, old, with, n), nil
	}
}

// wholeArg is the i-th argument as a whole number, or otherwise where it is not given.
func wholeArg(args []any, i, otherwise int) (int, error) {
	if i >= len(args) {
		return otherwise, nil
	}
	d, ok := toNumber(args[i])
	if !ok || !d.IsInteger() || d.Abs().GreaterThan(decimal.NewFromInt(MaxOutput)) {
		return 0, fmt.Errorf("a whole number is needed, and this is %s", kindOf(args[i]))
	}
	return int(d.IntPart()), nil
}
