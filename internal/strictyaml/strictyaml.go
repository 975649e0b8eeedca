// Package strictyaml reads the project's YAML files the way their authors mean them: every scalar keeps its text
// (+62811, 01234 and 1.50 stay what was written; yes and no are text), and everything doubtful is a problem with a
// place, all problems of a file at once:
//
//	campaigns/birthday.yaml:4:3: unknown key "wher"
//	   4 |   wher: birthday(customer.birth_date)
//	     |   ^^^^
//	     did you mean "where"?
//
// Unknown and duplicate keys, wrong types, empty values, a second document, anchors, aliases, merge keys and tags are
// refused. Files are decoded into plain structs with `yaml:"name"` or `yaml:"name,required"` tags; what the structs
// can't say is checked afterwards by name of a path, as in
//
//	problems = append(problems, f.Problem("$.audience.where", "", "a rule is needed"))
package strictyaml

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sapa-crm/sapa/internal/diag"
)

// File is a parsed file. It is immutable after Parse and Expand.
type File struct {
	Source *diag.Source

	root    *yaml.Node
	lines   [][]rune
	entries map[string]entry      // by path
	paths   map[*yaml.Node]string // the way back
	written map[*yaml.Node]string // texts as written, for scalars that Expand changed
	refused map[*yaml.Node]bool   // values whose form was reported, so that nothing more is said about them
}

// entry is what a path leads to: a value and, in maps, its key.
type entry struct {
	key, value *yaml.Node
}

// Parse reads one file and checks its form. The File is never nil: after a syntax error it is empty, decoding it
// reports nothing more, and its spans mean the file as a whole.
func Parse(name, text string) (*File, diag.List) {
	text = strings.TrimPrefix(text, "\uFEFF")
	f := &File{
		Source:  &diag.Source{Name: name, Text: text},
		entries: map[string]entry{},
		paths:   map[*yaml.Node]string{},
		written: map[*yaml.Node]string{},
		refused: map[*yaml.Node]bool{},
	}
	for line := range strings.SplitSeq(text, "\n") {
		f.lines = append(f.lines, []rune(strings.TrimSuffix(line, "\r")))
	}
	if bad := f.characters(); len(bad) > 0 {
		return f, bad
	}
	docs, err := documents(text)
	if err != nil {
		return f, diag.List{f.syntaxProblem(err)}
	}
	if len(docs) == 0 || isNull(docs[0].Content[0]) {
		return f, diag.List{{Source: f.Source, Message: "the file is empty"}}
	}
	f.root = docs[0].Content[0]
	problems := f.structure()
	if len(docs) > 1 {
		problems.Add(f.Source, f.separatorBefore(docs[1]), "", "a second document: one file holds one document")
	}
	return f, problems
}

// documents reads at most two documents, which is enough to know that there is more than one.
func documents(text string) ([]*yaml.Node, error) {
	var docs []*yaml.Node
	dec := yaml.NewDecoder(strings.NewReader(text))
	for len(docs) < 2 {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		docs = append(docs, &doc)
	}
	return docs, nil
}

// separatorBefore is the place of the "---" that begins a document.
func (f *File) separatorBefore(doc *yaml.Node) diag.Span {
	for line := doc.Content[0].Line; line > 1; line-- {
		if strings.HasPrefix(string(f.line(line)), "---") {
			return diag.Span{Line: line, Col: 1, Len: 3}
		}
	}
	return diag.Span{Line: doc.Line, Col: 1, Len: 1}
}

// Decode fills a struct (or a map, or a slice) from the file; see the package comment for the tags. Keys that are
// absent leave their fields as they are, so that defaults can be set before.
func (f *File) Decode(into any) diag.List {
	if f.root == nil {
		return nil
	}
	return Node{f: f, n: f.root}.Decode(into)
}

// Root is the file's content as a node; false after a syntax error and for an empty file.
func (f *File) Root() (Node, bool) { return Node{f: f, n: f.root}, f.root != nil }

// Has says whether the file has something at the path.
func (f *File) Has(path string) bool {
	_, ok := f.entries[path]
	return ok
}

// Sound says whether the file has something at the path of which no problem of form was reported.
func (f *File) Sound(path string) bool {
	e, ok := f.entries[path]
	return ok && !f.refused[e.value]
}

// Keys lists the keys of the map at a path in the file's order.
func (f *File) Keys(path string) []string {
	n := f.entries[path].value
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	var keys []string
	for i := 0; i < len(n.Content); i += 2 {
		keys = append(keys, n.Content[i].Value)
	}
	return keys
}

// Problem is a problem with the value at a path, or, where the path leads nowhere, with its nearest parent.
func (f *File) Problem(path, hint, format string, args ...any) diag.Problem {
	return diag.Problem{Source: f.Source, Span: f.Span(path), Message: fmt.Sprintf(format, args...), Hint: hint}
}

// KeyProblem is a problem with the key at a path, such as a name that means nothing.
func (f *File) KeyProblem(path, hint, format string, args ...any) diag.Problem {
	return diag.Problem{Source: f.Source, Span: f.KeySpan(path), Message: fmt.Sprintf(format, args...), Hint: hint}
}

// Key is the path of a key in the map at path: Key("$", "audience") is "$.audience"; a key that is no plain word is
// quoted, as in `$.limits["a.b"]`.
func Key(path, key string) string {
	if isWord(key) {
		return path + "." + key
	}
	return path + "[" + strconv.Quote(key) + "]"
}

// Index is the path of an item of the list at path, counted from 0.
func Index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func isWord(s string) bool { return s != "" && !strings.ContainsAny(s, ".[]\" ") }

// parent cuts the last step off a path; the root's parent is "".
func parent(path string) string {
	if strings.HasSuffix(path, `"]`) {
		return path[:max(0, strings.LastIndex(path, `["`))]
	}
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}
