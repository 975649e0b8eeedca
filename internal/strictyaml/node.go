package strictyaml

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/sapa-crm/sapa/internal/diag"
)

// ScalarUnmarshaler is a type with a text form of its own, such as a duration 300d. The error says what was expected
// ("expected a duration such as 300d") and must not repeat the text, which may hold an expanded secret: the decoder
// adds what was found, as written.
type ScalarUnmarshaler interface {
	UnmarshalScalar(text string) error
}

// NodeUnmarshaler is a type that may be written in several ways, such as one text or a list of texts. Problems of
// parts are found by Node.Decode and returned.
type NodeUnmarshaler interface {
	UnmarshalNode(n Node) diag.List
}

// KeyHinter is a struct that knows more of a key than did-you-mean can: that it stands elsewhere, or is not there yet.
type KeyHinter interface {
	// KeyHint is the hint for a key that the struct does not have, or that is required and missing, and, for the key "",
	// where there is no group of keys at all; "" for none.
	KeyHint(key string) string
}

// Kind is the form of a value. Null never reaches a NodeUnmarshaler: an empty value is always a problem.
type Kind int

// The kinds.
const (
	Null Kind = iota
	Text
	List
	Map
)

// String is the kind as messages say it.
func (k Kind) String() string {
	return [...]string{"nothing", "text", "a list", "a group of keys"}[k]
}

// Node is one value of a file.
type Node struct {
	f *File
	n *yaml.Node
}

// Entry is one key of a map and its value.
type Entry struct {
	Key   string
	Value Node
}

// Kind is the value's form.
func (n Node) Kind() Kind {
	switch {
	case n.n.Kind == yaml.SequenceNode:
		return List
	case n.n.Kind == yaml.MappingNode:
		return Map
	case n.n.Kind == yaml.ScalarNode && !isNull(n.n):
		return Text
	}
	return Null
}

// Text is a scalar's text; "" for everything else.
func (n Node) Text() string {
	if n.Kind() != Text {
		return ""
	}
	return n.n.Value
}

// Quoted says that a scalar is in quotes or a block, and so is certainly meant as text.
func (n Node) Quoted() bool { return isQuoted(n.n) || isBlock(n.n) }

// Path is the value's path, such as "$.channels[1]".
func (n Node) Path() string { return n.f.paths[n.n] }

// File is the file that the value stands in.
func (n Node) File() *File { return n.f }

// Items are a list's values; nil for everything else.
func (n Node) Items() []Node {
	if n.Kind() != List {
		return nil
	}
	items := make([]Node, len(n.n.Content))
	for i, c := range n.n.Content {
		items[i] = Node{n.f, c}
	}
	return items
}

// Entries are a map's keys and values in the file's order, without duplicates; nil for everything else.
func (n Node) Entries() []Entry {
	if n.Kind() != Map {
		return nil
	}
	var entries []Entry
	for i := 0; i < len(n.n.Content); i += 2 {
		key, value := n.n.Content[i], n.n.Content[i+1]
		if _, indexed := n.f.paths[value]; indexed && key.Kind == yaml.ScalarNode {
			entries = append(entries, Entry{key.Value, Node{n.f, value}})
		}
	}
	return entries
}

// Problem is a problem with this value.
func (n Node) Problem(hint, format string, args ...any) diag.Problem {
	return diag.Problem{Source: n.f.Source, Span: n.span(), Message: fmt.Sprintf(format, args...), Hint: hint}
}

// Expected is the problem that this value is not what is wanted there: "expected a list, found text".
func (n Node) Expected(hint, what string) diag.Problem {
	return n.Problem(hint, "expected %s, found %s", what, n.found())
}

func (n Node) span() diag.Span {
	if path := n.Path(); path != "$" {
		return n.f.Span(path)
	}
	return n.f.token(n.n)
}

// found describes the value as it is written, never as it was expanded.
func (n Node) found() string {
	if n.Kind() != Text {
		return n.Kind().String()
	}
	text := n.n.Value
	if written, changed := n.f.written[n.n]; changed {
		text = written
	}
	if utf8.RuneCountInString(text) > 40 || isBlock(n.n) {
		return "text"
	}
	if strings.Contains(text, `"`) {
		return "'" + text + "'"
	}
	return fmt.Sprintf("%q", text)
}

// entryName is how messages call the value: its key, or its number in the list.
func (n Node) entryName() string {
	if key := n.f.entries[n.Path()].key; key != nil {
		return fmt.Sprintf("%q", key.Value)
	}
	return "this item"
}
