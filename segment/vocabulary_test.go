package segment

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sapa-crm/sapa/customer"
)

// vocabulary is what SQL may consist of: the words, numbers and quoted texts that stand in the sources of this package and
// of customer, and the names of the schema. Everything else came from a rule and should have been bound.
type vocabulary map[string]bool

// Tokens of SQL; what is none of them may be an operator.
var (
	token_    = regexp.MustCompile(`"(?:[^"]|"")*"|E?'(?:[^']|'')*'|\$\d+|[a-z]\d*n?\b|[A-Za-z_][A-Za-z0-9_]*|\d+(?:\.\d+)?`)
	alias_    = regexp.MustCompile(`^[a-z]\d*n?$`)
	operators = regexp.MustCompile(`^[ \n()=<>!,.:*+\-/%|&@#?~\[\]^]*$`)
	notWord   = regexp.MustCompile(`^[\^0-9]`)
	numbers   = regexp.MustCompile(`\d+|%d`)
	comment   = regexp.MustCompile(`--|/\*|;|\\`)
)

func newVocabulary(t testing.TB, schema *customer.Schema) vocabulary {
	t.Helper()
	v := vocabulary{"c": true, "e": true, `"public"`: true}
	var files []string
	for _, folder := range []string{".", "../customer"} {
		found, err := filepath.Glob(folder + "/*.go")
		if err != nil || len(found) == 0 {
			t.Fatalf("no source in %s: %v", folder, err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			v.learn(t, file)
		}
	}
	v.learnJSON(schema)
	for _, e := range entities(schema) {
		v[quote(e.Table.Name)], v[quote(e.Key)] = true, true
		for _, c := range e.Columns {
			v[c.SQL()] = true
			v.add(c.PGType)
			v.values(c.JSON)
		}
		for _, r := range e.Relations {
			v[quote(r.Local)], v[quote(r.Remote)] = true, true
		}
	}
	return v
}

// values are the keys of what is known to stand in a JSON column.
func (v vocabulary) values(shape *customer.JSONShape) {
	if shape == nil {
		return
	}
	for _, path := range shape.Paths {
		for _, key := range path.Keys {
			v[literal(key)] = true
		}
	}
}

// learn reads the literals of a file: its texts, and the numbers that may stand in them by way of %d.
func (v vocabulary) learn(t testing.TB, file string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		switch {
		case ok && lit.Kind == token.STRING:
			if text, err := strconv.Unquote(lit.Value); err == nil {
				v.add(text)
				if notWord.MatchString(text) { // a pattern or a date that is put into quotes later
					v.add("'" + text + "'")
				}
			}
		case ok && lit.Kind == token.INT:
			v[strings.ReplaceAll(lit.Value, "_", "")] = true
		}
		return true
	})
}

func (v vocabulary) add(text string) {
	for _, text := range []string{text, strings.ReplaceAll(text, "%s_", "json_"), strings.ReplaceAll(text, "%s_", "jsonb_")} {
		for _, word := range token_.FindAllString(text, -1) {
			v[numbers.ReplaceAllString(word, "%d")] = true
			v[word] = true
		}
	}
}

// knows takes any number for %d in a quoted text.
func (v vocabulary) knows(word string) bool {
	return v[word] || alias_.MatchString(word) || strings.Contains(word, "'") && v[numbers.ReplaceAllString(word, "%d")]
}

// check wants that SQL has no other words, and that exactly its placeholders are bound.
func (v vocabulary) check(t *testing.T, sql string, args *Args) {
	t.Helper()
	used := map[string]bool{}
	for _, word := range token_.FindAllString(sql, -1) {
		switch {
		case word[0] == '$':
			used[word] = true
		case !v.knows(word):
			t.Fatalf("%s is not bound, and no word of the translation:\n%s", word, sql)
		}
	}
	if rest := token_.ReplaceAllString(sql, ""); !operators.MatchString(rest) || comment.MatchString(rest) {
		t.Fatalf("not a condition: %q\n%s", rest, sql)
	}
	for i := range args.Values() {
		delete(used, "$"+strconv.Itoa(i+1))
	}
	if len(used) > 0 {
		t.Fatalf("not bound: %v\n%s", used, sql)
	}
}

// checkTranslation wants a rule to become SQL of the translation's own words.
func checkTranslation(t *testing.T, rule *Rule, clock Clock) {
	t.Helper()
	var args Args
	cond, err := rule.SQL(&args, clock, map[string]string{"customer": "c"})
	if err != nil {
		t.Fatal(err)
	}
	v, known := vocabularies.Load(rule.scope.Schema)
	if !known {
		v, _ = vocabularies.LoadOrStore(rule.scope.Schema, newVocabulary(t, rule.scope.Schema))
	}
	v.(vocabulary).check(t, cond.SQL, &args)
}

// vocabularies are those of each schema: reading all sources takes a second.
var vocabularies sync.Map

// learnJSON adds the keys within JSON columns, and the texts that are put together from several.
func (v vocabulary) learnJSON(schema *customer.Schema) {
	v["E"], v[literal(schema.Zone)] = true, true
	for kind := customer.Other; kind <= customer.JSON; kind++ {
		for _, binary := range []bool{true, false} {
			c := customer.Column{Kind: kind, Within: &customer.JSONValue{Keys: []string{"k"}, Binary: binary}}
			v.add(withinSQL("c.j", c, "", noMutation))
		}
	}
	for _, e := range entities(schema) {
		for _, c := range e.Columns {
			if c.JSON == nil {
				continue
			}
			for _, p := range c.JSON.Paths {
				for _, key := range p.Keys {
					v.add(literal(key))
				}
			}
		}
	}
}
