package strictyaml

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sapa-crm/sapa/internal/diag"
)

// Decode fills what into points to from this value and returns every problem on the way. Supported are structs,
// maps with text keys, slices, pointers, text, booleans, whole and other numbers, any, and the two interfaces of this
// package; another type is a mistake of the program and panics.
func (n Node) Decode(into any) diag.List {
	var problems diag.List
	n.decode(reflect.ValueOf(into).Elem(), &problems)
	return problems
}

func (n Node) decode(v reflect.Value, problems *diag.List) {
	switch {
	case n.f.refused[n.n]:
		return
	case n.Kind() == Null:
		n.reportNull(problems)
		return
	}
	switch u := v.Addr().Interface().(type) {
	case NodeUnmarshaler:
		*problems = append(*problems, u.UnmarshalNode(n)...)
		return
	case ScalarUnmarshaler:
		n.decodeCustom(u, problems)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		n.decode(v.Elem(), problems)
	case reflect.Struct:
		n.decodeStruct(v, problems)
	case reflect.Map:
		n.decodeMap(v, problems)
	case reflect.Slice:
		n.decodeSlice(v, problems)
	case reflect.Interface:
		v.Set(reflect.ValueOf(n.generic(problems)))
	default:
		n.decodeScalar(v, problems)
	}
}

func (n Node) reportNull(problems *diag.List) {
	*problems = append(*problems, n.Problem("write a value, or leave the line out", "%s has no value", n.entryName()))
}

func (n Node) decodeCustom(u ScalarUnmarshaler, problems *diag.List) {
	if n.Kind() != Text {
		*problems = append(*problems, n.Expected("", "text"))
		return
	}
	if err := u.UnmarshalScalar(n.n.Value); err != nil {
		*problems = append(*problems, n.Problem("", "%v, found %s", err, n.found()))
	}
}

func (n Node) decodeStruct(v reflect.Value, problems *diag.List) {
	if n.Kind() != Map {
		*problems = append(*problems, n.Expected(ownHint(v, ""), "a group of keys"))
		return
	}
	fields := fieldsOf(v)
	seen := map[string]bool{}
	for _, e := range n.Entries() {
		at := slices.IndexFunc(fields, func(f field) bool { return f.name == e.Key })
		if at < 0 {
			hint := n.keyHint(v, e, fields)
			*problems = append(*problems, n.f.KeyProblem(e.Value.Path(), hint, "unknown key %q", e.Key))
			markMeant(fields, hint, seen)
			continue
		}
		seen[e.Key] = true
		e.Value.decode(fields[at].value, problems)
		if fields[at].into.IsValid() {
			fields[at].into.SetMapIndex(reflect.ValueOf(e.Key), fields[at].value)
		}
	}
	for _, f := range fields {
		if f.required && !seen[f.name] {
			*problems = append(*problems, n.missing(f.name, ownHint(v, f.name)))
		}
	}
}

// markMeant treats a misspelt key as present, so that it is not reported as missing, too.
func markMeant(fields []field, hint string, seen map[string]bool) {
	for _, f := range fields {
		if strings.Contains(hint, fmt.Sprintf("mean %q", f.name)) {
			seen[f.name] = true
		}
	}
}

// missing says that a map needs a key; it points at the map's own key.
func (n Node) missing(key, hint string) diag.Problem {
	if n.Path() == "$" {
		return diag.Problem{Source: n.f.Source, Message: fmt.Sprintf("the key %q is missing", key), Hint: hint}
	}
	return n.Problem(hint, "the key %q is missing here", key)
}

func ownHint(v reflect.Value, key string) string {
	if h, ok := v.Addr().Interface().(KeyHinter); ok {
		return h.KeyHint(key)
	}
	return ""
}

// keyHint is what an unknown key could have meant: first of all a key that the map does not have yet.
func (n Node) keyHint(v reflect.Value, e Entry, fields []field) string {
	key := e.Key
	if hint := ownHint(v, key); hint != "" {
		return hint
	}
	if n.n.Style&yaml.FlowStyle != 0 && e.Value.Kind() == Null {
		return "inside { } a comma ends a value: put the value before it in quotes"
	}
	var all, unseen []string
	for _, f := range fields {
		all = append(all, f.name)
		if !n.f.Has(Key(n.Path(), f.name)) {
			unseen = append(unseen, f.name)
		}
	}
	if hint := diag.DidYouMean(key, unseen); strings.HasPrefix(hint, "did you") {
		return hint
	}
	if hint := diag.DidYouMean(key, all); hint != "" || len(all) == 0 || len(all) > manyKeys {
		return hint
	}
	return diag.Known(all)
}

// manyKeys are the most keys of a group that a hint lists: as many as a campaign has, and a few.
const manyKeys = 16

func (n Node) decodeMap(v reflect.Value, problems *diag.List) {
	if n.Kind() != Map {
		*problems = append(*problems, n.Expected("", "a group of keys"))
		return
	}
	m := reflect.MakeMap(v.Type())
	for _, e := range n.Entries() {
		item := reflect.New(v.Type().Elem()).Elem()
		e.Value.decode(item, problems)
		m.SetMapIndex(reflect.ValueOf(e.Key).Convert(v.Type().Key()), item)
	}
	v.Set(m)
}

func (n Node) decodeSlice(v reflect.Value, problems *diag.List) {
	if n.Kind() != List {
		hint := ""
		if n.Kind() == Text && !isBlock(n.n) {
			hint = "write it in brackets: [" + n.written() + "]"
		}
		*problems = append(*problems, n.Expected(hint, "a list"))
		return
	}
	items := n.Items()
	s := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		item.decode(s.Index(i), problems)
	}
	v.Set(s)
}

// written is the scalar's text as it stands in the file.
func (n Node) written() string {
	at := n.f.token(n.n)
	return string(n.f.line(at.Line)[at.Col-1 : at.Col-1+at.Len])
}

func (n Node) decodeScalar(v reflect.Value, problems *diag.List) {
	what, ok := "", false
	switch v.Kind() {
	case reflect.String:
		what, ok = "text", n.Kind() == Text
		v.SetString(n.Text())
	case reflect.Bool:
		what, ok = "true or false", n.plain("true") || n.plain("false")
		v.SetBool(n.plain("true"))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		what, ok = n.setInt(v)
	case reflect.Float64:
		what, ok = "a number", n.setFloat(v)
	default:
		panic("strictyaml: cannot decode into " + v.Type().String())
	}
	if !ok {
		*problems = append(*problems, n.Expected(n.quotesHint(v.Kind()), what))
	}
}

// quotesHint says that a quoted number or boolean would be right without its quotes.
func (n Node) quotesHint(want reflect.Kind) string {
	if n.Kind() != Text || !isQuoted(n.n) || want == reflect.String {
		return ""
	}
	text := n.n.Value
	if text == "true" || text == "false" || number.MatchString(text) {
		return "leave the quotes away"
	}
	return ""
}

// plain says that the value is this word, without quotes.
func (n Node) plain(word string) bool { return n.Kind() == Text && n.bare() && n.n.Value == word }

// bare says that a scalar may be read as a number or a boolean: it has no quotes, or only those that ${NAME} needs.
func (n Node) bare() bool {
	_, expanded := n.f.written[n.n]
	return !n.Quoted() || expanded
}

var (
	whole  = regexp.MustCompile(`^[+-]?\d+(_\d+)*$`)
	number = regexp.MustCompile(`^[+-]?\d+(_\d+)*(\.\d+)?$`)
)

func (n Node) setInt(v reflect.Value) (what string, ok bool) {
	if n.Kind() != Text || !n.bare() || !whole.MatchString(n.n.Value) {
		return "a whole number", false
	}
	i, err := strconv.ParseInt(strings.ReplaceAll(n.n.Value, "_", ""), 10, v.Type().Bits())
	if err != nil {
		return fmt.Sprintf("a whole number of at most %d", uint64(1)<<(v.Type().Bits()-1)-1), false
	}
	v.SetInt(i)
	return "", true
}

func (n Node) setFloat(v reflect.Value) bool {
	if n.Kind() != Text || !n.bare() || !number.MatchString(n.n.Value) {
		return false
	}
	x, err := strconv.ParseFloat(strings.ReplaceAll(n.n.Value, "_", ""), 64)
	if err == nil && !math.IsInf(x, 0) {
		v.SetFloat(x)
	}
	return err == nil
}

// generic is the value as string, bool, int64, float64, []any or map[string]any.
func (n Node) generic(problems *diag.List) any {
	switch {
	case n.f.refused[n.n]:
		return nil
	case n.Kind() == Null:
		n.reportNull(problems)
		return nil
	case n.Kind() == List:
		list := []any{}
		for _, item := range n.Items() {
			list = append(list, item.generic(problems))
		}
		return list
	case n.Kind() == Map:
		m := map[string]any{}
		for _, e := range n.Entries() {
			m[e.Key] = e.Value.generic(problems)
		}
		return m
	}
	return n.genericScalar()
}

func (n Node) genericScalar() any {
	var i int64
	var x float64
	if n.plain("true") || n.plain("false") {
		return n.n.Value == "true"
	}
	if n.leadingZero() {
		return n.n.Value
	}
	if _, ok := n.setInt(reflect.ValueOf(&i).Elem()); ok {
		return i
	}
	if n.setFloat(reflect.ValueOf(&x).Elem()) {
		return x
	}
	return n.n.Value
}

// leadingZero tells phone numbers and postcodes from numbers: +62811 and 01234 stay text.
func (n Node) leadingZero() bool {
	text := n.n.Value
	return strings.HasPrefix(text, "+") || len(text) > 1 && text[0] == '0' && text[1] != '.'
}

type field struct {
	name     string
	required bool
	value    reflect.Value
	into     reflect.Value // the inline map that takes the value; invalid: none
}

// KeyLister is an inline map in a struct: it says which keys it takes beside those of the struct.
type KeyLister interface{ Keys() []string }

// fieldsOf lists a struct's fields that have a yaml tag; those of inline structs, and the keys of inline maps, stand beside them.
func fieldsOf(v reflect.Value) []field {
	var fields []field
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("yaml")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case options == "inline" && v.Field(i).Kind() == reflect.Map:
			fields = append(fields, keysOf(v.Field(i))...)
		case options == "inline":
			fields = append(fields, fieldsOf(v.Field(i))...)
		case name != "" && name != "-":
			fields = append(fields, field{name: name, required: options == "required", value: v.Field(i)})
		}
	}
	return fields
}

// keysOf are the keys that an inline map takes.
func keysOf(m reflect.Value) (fields []field) {
	if m.IsNil() {
		m.Set(reflect.MakeMap(m.Type()))
	}
	for _, key := range m.Interface().(KeyLister).Keys() {
		fields = append(fields, field{name: key, value: reflect.New(m.Type().Elem()).Elem(), into: m})
	}
	return fields
}
