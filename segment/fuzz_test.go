package segment

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// FuzzParseRule: whatever is written, nothing panics. What is accepted becomes SQL that consists of the translation's own
// words, of names in the schema and of bound parameters; PostgreSQL accepts it; and it chooses whom the VM chooses.
func FuzzParseRule(f *testing.F) {
	alone(f)
	for _, rule := range seeds(f) {
		f.Add(rule)
	}
	w, db := fuzzWorld(f)
	words := newVocabulary(f, w.schema)
	f.Fuzz(func(t *testing.T, text string) {
		scope := testScope(w.schema)
		rule, problems := ParseRule(Text(text), scope)
		if problems != nil {
			checkProblems(t, text, problems)
			return
		}
		clock := w.clocks[len(text)%len(w.clocks)]
		q, err := Audience(scope, nil, rule, &Args{}, clock)
		if err != nil {
			refusedLate(t, err)
			return
		}
		words.check(t, q.Where, q.Args)
		inTime(t, rule.root, func(t fataler) { w.compareQuery(t, db, q, rule, clock) })
	})
}

// FuzzParseValue does the same for values, whose text SQL and VM must write alike.
func FuzzParseValue(f *testing.F) {
	alone(f)
	for _, rule := range seeds(f) {
		f.Add(rule)
	}
	w, db := fuzzWorld(f)
	values := w.valuesAsked()
	for i := range 100 {
		f.Add(values.Example(i).text)
	}
	words := newVocabulary(f, w.schema)
	f.Fuzz(func(t *testing.T, text string) {
		value, problems := ParseValue(Text(text), testScope(w.schema))
		if problems != nil {
			checkProblems(t, text, problems)
			return
		}
		clock := w.clocks[len(text)%len(w.clocks)]
		var args Args
		sql, err := value.SQL(&args, clock, map[string]string{"customer": "c"})
		if err != nil {
			refusedLate(t, err)
			return
		}
		words.check(t, sql, &args)
		inTime(t, value.rule.root, func(t fataler) { w.compareValue(t, db, text, clock) })
	})
}

// fuzzWorld is one world in one database; a fuzzing process has its own.
func fuzzWorld(f *testing.F) (*world, *pgxpool.Pool) {
	f.Helper()
	w := newWorld(1)
	db := pgtest.Empty(f, append(testDatabases()["zone"], pgtest.Setting("jit", "off"), pgtest.Setting("statement_timeout", "5s"))...)
	w.create(f, db)
	return w, db
}

// seeds are the golden rules, the rules in the documents and examples, the functions' examples, and drawn ones.
func seeds(f *testing.F) []string {
	f.Helper()
	var list []string
	for _, file := range glob(f, "testdata/rules/*.txt") {
		rule, _, _ := strings.Cut(readSeed(f, file), divider)
		list = append(list, rule)
	}
	for _, block := range regexp.MustCompile("(?s)```expr\n(.*?)```").FindAllStringSubmatch(readSeed(f, "../docs/rules.md"), -1) {
		list = append(list, strings.Split(strings.TrimSpace(block[1]), "\n")...)
	}
	for _, file := range glob(f, "../examples/*/campaigns/*.yaml") {
		for _, where := range regexp.MustCompile(`(?m)^\s+(?:where|when): (.*)`).FindAllStringSubmatch(readSeed(f, file), -1) {
			list = append(list, strings.Trim(where[1], `'"`))
		}
	}
	for _, fn := range Functions() {
		list = append(list, fn.Example)
	}
	questions := newWorld(1).questions()
	for i := range 100 {
		list = append(list, questions.Example(i).text)
	}
	return list
}

func glob(f *testing.F, pattern string) []string {
	f.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds in %s: %v", pattern, err)
	}
	return files
}

func readSeed(f *testing.F, file string) string {
	f.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	return string(b)
}

// checkProblems wants places in the text, and no panic that was caught.
func checkProblems(t *testing.T, text string, problems diag.List) {
	t.Helper()
	lines := strings.Split(text, "\n")
	for _, p := range problems {
		if p.Message == "" || strings.Contains(p.Message, "the rule can't be read") {
			t.Fatalf("%q", p.Message)
		}
		if p.Span.Line < 1 || p.Span.Line > len(lines) || p.Span.Col > len([]rune(lines[p.Span.Line-1]))+1 {
			t.Fatalf("%q is at %v", p.Message, p.Span)
		}
	}
	_ = problems.Error()
}

// refusedLate: some numbers are refused only when they are bound, and some values because SQL can't say them.
func refusedLate(t *testing.T, err error) {
	t.Helper()
	if strings.HasPrefix(err.Error(), "segment: ") { // a panic
		t.Fatal(err)
	}
}

// closures is how deep rows are asked about within rows.
func closures(n node) int {
	deepest := 0
	for _, c := range children(n) {
		deepest = max(deepest, closures(c))
	}
	if rowsOfNode(n) != nil {
		deepest++
	}
	return deepest
}

// inTime compares unless database or VM would take too long: their time is exponential in the depth.
func inTime(t *testing.T, n node, compare func(fataler)) {
	t.Helper()
	if closures(n) > 4 {
		return
	}
	if err := attempt(compare); err != nil && !strings.Contains(err.Error(), "statement timeout") {
		t.Fatal(err)
	}
}
