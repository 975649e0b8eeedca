package customer

import (
	"maps"
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// JSONFields are the values within one JSON column that sapa.yaml declares: a path and its type, such as km: number or
// address.city: text, or a group of further paths below a key.
type JSONFields []JSONPath

const jsonForm = "a group such as {km: number, address.city: text, labels: texts}"

// UnmarshalNode reads the paths of one column.
func (f *JSONFields) UnmarshalNode(n strictyaml.Node) diag.List {
	problems := f.read(n, nil)
	sortPaths(*f)
	return problems
}

func (f *JSONFields) read(n strictyaml.Node, above []string) diag.List {
	if n.Kind() != strictyaml.Map {
		return diag.List{n.Expected("", jsonForm)}
	}
	var problems diag.List
	for _, e := range n.Entries() {
		keys, ok := splitName(e.Key)
		if !ok || strings.Contains(e.Key, "\x00") {
			problems = append(problems, n.File().KeyProblem(e.Value.Path(), `write keys with dots between them, as in address.city; a key that holds a dot in quotes: '"a.b".c'`,
				"%q is no path to a value", e.Key))
			continue
		}
		problems = append(problems, f.entry(e, slices.Concat(above, keys))...)
	}
	if len(n.Entries()) == 0 {
		problems = append(problems, n.Expected("", jsonForm))
	}
	return problems
}

func (f *JSONFields) entry(e strictyaml.Entry, keys []string) diag.List {
	if e.Value.Kind() == strictyaml.Map {
		return f.read(e.Value, keys)
	}
	if e.Value.Kind() != strictyaml.Text {
		return diag.List{e.Value.Expected("", "a type: "+jsonTypes())}
	}
	kind, ok := jsonKind(e.Value.Text())
	if !ok {
		return diag.List{e.Value.Expected(diag.DidYouMean(e.Value.Text(), jsonTypeWords()), "a type: "+jsonTypes())}
	}
	for _, p := range *f {
		switch {
		case slices.Equal(p.Keys, keys):
			return diag.List{e.Value.File().KeyProblem(e.Value.Path(), "", "%s is declared twice", WrittenPath(keys))}
		case startsWith(p.Keys, keys), startsWith(keys, p.Keys):
			return diag.List{e.Value.File().KeyProblem(e.Value.Path(), "what has keys of its own needs no type",
				"%s and %s exclude each other: a value has a type, or keys of its own", WrittenPath(keys), WrittenPath(p.Keys))}
		}
	}
	*f = append(*f, JSONPath{Keys: keys, Kind: kind})
	return nil
}

func jsonKind(word string) (Kind, bool) {
	for _, w := range jsonWords {
		if w.word == word {
			return w.kind, true
		}
	}
	return Other, false
}

func jsonTypeWords() []string {
	words := make([]string, len(jsonWords))
	for i, w := range jsonWords {
		words[i] = w.word
	}
	return words
}

func jsonTypes() string {
	words := jsonTypeWords()
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// json gives the JSON columns of an entity the paths that sapa.yaml declares.
func (r *resolver) json(path string, t *catalogTable, e *Entity, declared map[string]JSONFields) {
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		if !r.column(strictyaml.Key(path+".json", name), t, name, JSON) {
			continue
		}
		for i := range e.Columns {
			if e.Columns[i].Name == name {
				e.Columns[i].JSON = &JSONShape{Declared: true, Paths: declared[name]}
			}
		}
	}
}
