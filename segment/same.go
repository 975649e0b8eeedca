package segment

import (
	"reflect"
	"regexp"

	"github.com/sapa-crm/sapa/customer"
)

// sameness compares typed trees before they are lowered: the same kinds of nodes with the same parts, wherever their
// texts stand. Whatever it does not know is the same only where Go's == says so.
type sameness struct {
	rows map[*variable]*variable // those that the first tree declares, with those of the second
}

// sameFilters says that two picks, of rows of one relation, take the same rows.
func sameFilters(a, b *pick) bool {
	if len(a.filters) != len(b.filters) {
		return false
	}
	s := sameness{map[*variable]*variable{a.row: b.row}}
	return s.values(reflect.ValueOf(a.filters), reflect.ValueOf(b.filters))
}

func (s sameness) values(a, b reflect.Value) bool {
	if a.Kind() != b.Kind() || a.Type() != b.Type() {
		return false
	}
	switch a.Kind() {
	case reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return s.values(a.Elem(), b.Elem())
	case reflect.Pointer:
		return s.pointers(a, b)
	case reflect.Slice:
		if a.Len() != b.Len() || a.IsNil() != b.IsNil() {
			return false
		}
		for i := range a.Len() {
			if !s.values(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Struct:
		return s.structs(a, b)
	case reflect.Func, reflect.Map:
		return a.IsNil() && b.IsNil()
	}
	return a.Equal(b)
}

func (s sameness) pointers(a, b reflect.Value) bool {
	if a.IsNil() || b.IsNil() {
		return a.IsNil() == b.IsNil()
	}
	x, y := a.UnsafePointer(), b.UnsafePointer()
	switch a.Type() {
	case reflect.TypeFor[*variable]():
		other, declared := s.rows[(*variable)(x)]
		return declared && other == (*variable)(y) || !declared && x == y
	case reflect.TypeFor[*customer.Relation](), reflect.TypeFor[*source]():
		return x == y
	case reflect.TypeFor[*Function]():
		return (*Function)(x).Name == (*Function)(y).Name
	case reflect.TypeFor[*regexp.Regexp]():
		return (*regexp.Regexp)(x).String() == (*regexp.Regexp)(y).String()
	}
	return s.values(a.Elem(), b.Elem())
}

// structs leaves out where a text stands and which number a pick has. In rows, picks and lists what declares the current
// row stands before what asks about it.
func (s sameness) structs(a, b reflect.Value) bool {
	for i := range a.NumField() {
		field := a.Type().Field(i)
		if field.Type == reflect.TypeFor[span]() || field.Name == "id" && a.Type() == reflect.TypeFor[pick]() {
			continue
		}
		if declares(a.Type(), field.Name) {
			s.rows[(*variable)(a.Field(i).UnsafePointer())] = (*variable)(b.Field(i).UnsafePointer())
		}
		if !s.values(a.Field(i), b.Field(i)) {
			return false
		}
	}
	return true
}

// declares says that a field is a new current row, or the current text of a list.
func declares(t reflect.Type, field string) bool {
	switch t {
	case reflect.TypeFor[rows](), reflect.TypeFor[pick]():
		return field == "row"
	case reflect.TypeFor[overTexts]():
		return field == "item"
	}
	return false
}
