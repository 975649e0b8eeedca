package web

import (
	"reflect"
	"strings"
)

// jsonNames are the members that a struct is read from.
func jsonNames(into any) []string {
	var names []string
	t := reflect.TypeOf(into).Elem()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}
