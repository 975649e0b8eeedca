package strictyaml

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/sapa-crm/sapa/internal/diag"
)

// structure walks the tree once: it indexes every value by its path and reports what is refused wherever it stands.
func (f *File) structure() diag.List {
	var problems diag.List
	f.index("$", nil, f.root, &problems)
	return problems
}

func (f *File) index(path string, key, value *yaml.Node, problems *diag.List) {
	f.entries[path] = entry{key, value}
	f.paths[value] = path
	f.refuse(value, problems)
	switch value.Kind {
	case yaml.MappingNode:
		f.indexMap(path, value, problems)
	case yaml.SequenceNode:
		for i, item := range value.Content {
			f.index(Index(path, i), nil, item, problems)
		}
	}
}

func (f *File) indexMap(path string, m *yaml.Node, problems *diag.List) {
	first := map[string]*yaml.Node{}
	for i := 0; i < len(m.Content); i += 2 {
		key, value := m.Content[i], m.Content[i+1]
		if !f.goodKey(m, key, problems) {
			continue
		}
		if before, twice := first[key.Value]; twice {
			problems.Add(f.Source, f.token(key), fmt.Sprintf("it stands on line %d already", before.Line),
				"duplicate key %q", key.Value)
			continue
		}
		first[key.Value] = key
		f.index(Key(path, key.Value), key, value, problems)
	}
}

// goodKey reports keys that are no text.
func (f *File) goodKey(m, key *yaml.Node, problems *diag.List) bool {
	switch {
	case key.Tag == "!!merge":
		problems.Add(f.Source, f.token(key), "write the keys out", "merge keys (<<) are not supported")
	case key.Kind == yaml.MappingNode && f.startsTemplate(key):
		f.refused[m] = true
		problems.Add(f.Source, diag.Span{Line: key.Line, Col: key.Column - 1, Len: 2}, quoteTemplate,
			"text that begins with {{ needs quotes")
	case key.Kind != yaml.ScalarNode || isNull(key):
		problems.Add(f.Source, f.token(key), "", "a key must be text")
	default:
		f.refuse(key, problems)
		return true
	}
	return false
}

// refuse reports YAML's machinery that hides what a file says. Aliases need no report of their own: there is none
// without an anchor.
func (f *File) refuse(n *yaml.Node, problems *diag.List) {
	switch {
	case n.Kind == yaml.AliasNode:
		f.refused[n] = true
	case n.Anchor != "":
		problems.Add(f.Source, diag.Span{Line: n.Line, Col: n.Column, Len: len([]rune(n.Anchor)) + 1},
			"write the value out wherever it is needed, or put it in quotes if it is text",
			"anchors and aliases (&%s, *%s) are not supported", n.Anchor, n.Anchor)
	case n.Style&yaml.TaggedStyle != 0:
		f.refused[n] = true
		problems.Add(f.Source, f.word(n), quoteValue, "a value that begins with ! needs quotes")
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
