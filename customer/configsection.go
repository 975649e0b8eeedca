package customer

import (
	"maps"
	"slices"

	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// Sections are the sections of further channels, by name: those that package channels/kinds lists, and which read their
// settings by themselves.
type Sections map[string]*Section

// Keys implements strictyaml.KeyLister.
func (s Sections) Keys() []string { return slices.Sorted(maps.Keys(s)) }

// Section is a section that is read later.
type Section struct{ strictyaml.Node }

// UnmarshalNode keeps the section.
func (s *Section) UnmarshalNode(n strictyaml.Node) diag.List {
	s.Node = n
	return nil
}

// expected are the sections that there may be.
func expected(names []string) Sections {
	s := Sections{}
	for _, name := range names {
		s[name] = nil
	}
	return s
}

// present are those of the sections that the file has; nil for none.
func (s Sections) present() Sections {
	maps.DeleteFunc(s, func(_ string, section *Section) bool { return section == nil })
	if len(s) == 0 {
		return nil
	}
	return s
}
