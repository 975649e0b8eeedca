package customer

import (
	"cmp"
	"slices"
	"strings"
)

// JSONShape is what rules know of the values within a json or jsonb column: what sapa.yaml declares, or else what a sample
// of the rows has shown.
type JSONShape struct {
	Declared bool
	Paths    []JSONPath // sorted by their keys
	Unread   string     // why the rows could not be sampled; "" where they were
}

// JSONPath is a value within a JSON column, and the type that rules take it for. A value of another type is missing.
type JSONPath struct {
	Keys []string
	// Kind is Numeric, Text, Bool, Date, Timestamptz or TextArray; JSON for an object with further keys; Other for what
	// rules can only compare with nil.
	Kind  Kind
	Mixed []string // the words of its types where the sample has shown several, and Kind is Other
}

// JSONValue is where a value stands within a JSON column.
type JSONValue struct {
	Column string
	Binary bool // jsonb
	Keys   []string
	Mixed  []string // JSONPath's
}

// Value is a value within a JSON column as a column of its own, whose name is ValueName's; false when nothing is known of
// it. It is nullable, and its PGType is that of what is read out.
func (c Column) Value(keys []string) (Column, bool) {
	if c.JSON == nil {
		return Column{}, false
	}
	p, ok := c.JSON.Find(keys)
	pgTypes := map[Kind]string{
		Numeric: "numeric", Text: "text", Bool: "boolean", Date: "date",
		Timestamptz: "timestamp with time zone", TextArray: "text[]",
	}
	return Column{
		Name: ValueName(c.Name, keys), Kind: p.Kind, PGType: pgTypes[p.Kind], Nullable: true, JSON: c.JSON,
		Within: &JSONValue{Column: c.Name, Binary: c.PGType == "jsonb", Keys: keys, Mixed: p.Mixed},
	}, ok
}

// ValueName is what a row of values calls a value within a JSON column: the column and the keys with NUL between them.
func ValueName(column string, keys []string) string {
	return column + "\x00" + strings.Join(keys, "\x00")
}

// Value finds a column by its exact name, or what is within one by its ValueName.
func (e *Entity) Value(name string) (Column, bool) {
	parts := strings.Split(name, "\x00")
	c, ok := e.Column(parts[0])
	if !ok || len(parts) == 1 {
		return c, ok
	}
	return c.Value(parts[1:])
}

// Find is the path with these keys. An object is known by what is within it.
func (s *JSONShape) Find(keys []string) (JSONPath, bool) {
	within := false
	for _, p := range s.Paths {
		if slices.Equal(p.Keys, keys) {
			return p, true
		}
		within = within || startsWith(p.Keys, keys)
	}
	return JSONPath{Keys: keys, Kind: JSON}, within
}

// Names are the keys that can follow these keys, for did-you-mean.
func (s *JSONShape) Names(keys []string) []string {
	var names []string
	for _, p := range s.Paths {
		if startsWith(p.Keys, keys) && !slices.Contains(names, p.Keys[len(keys)]) {
			names = append(names, p.Keys[len(keys)])
		}
	}
	return names
}

func startsWith(keys, with []string) bool {
	return len(keys) > len(with) && slices.Equal(keys[:len(with)], with)
}

// jsonWords are the types of values within JSON, as sapa.yaml writes them.
var jsonWords = []struct {
	word string
	kind Kind
}{
	{"text", Text},
	{"number", Numeric},
	{"boolean", Bool},
	{"date", Date},
	{"time", Timestamptz},
	{"texts", TextArray},
}

// JSONWord is the type of a value within JSON as sapa.yaml writes it: text, number, boolean, date, time or texts.
func JSONWord(k Kind) string {
	for _, w := range jsonWords {
		if w.kind == k {
			return w.word
		}
	}
	return "text"
}

// WrittenPath is the path to a value within JSON as sapa.yaml writes it, with quotes around a key that holds a dot.
func WrittenPath(keys []string) string {
	parts := make([]string, len(keys))
	for i, k := range keys {
		if parts[i] = k; strings.ContainsAny(k, `."`) || k == "" {
			parts[i] = `"` + strings.ReplaceAll(k, `"`, `""`) + `"`
		}
	}
	return strings.Join(parts, ".")
}

func sortPaths(paths []JSONPath) {
	slices.SortFunc(paths, func(a, b JSONPath) int {
		return cmp.Or(slices.Compare(a.Keys, b.Keys), cmp.Compare(a.Kind, b.Kind))
	})
}
