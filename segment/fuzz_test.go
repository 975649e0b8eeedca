package segment

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// FuzzParseRule: whatever is written, nothing panics; what is accepted becomes SQL whose only texts are bound
// parameters, and a program that decides.
func FuzzParseRule(f *testing.F) {
	files, err := filepath.Glob("testdata/rules/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds: ", err)
	}
	for _, file := range files {
		rule, _, _ := strings.Cut(readSeed(f, file), divider)
		f.Add(rule)
	}
	for _, fn := range Functions() {
		f.Add(fn.Example)
	}
	w := newWorld(1)
	f.Fuzz(func(t *testing.T, text string) {
		scope := NewScope(w.schema)
		rule, problems := ParseRule(Text(text), scope)
		if problems != nil {
			if message := problems.Error(); strings.Contains(message, "the rule can't be read") {
				t.Fatal(message)
			}
			return
		}
		checkTranslation(t, rule, w.clocks[1])
		program, err := rule.Program(w.clocks[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range w.customers[:20] {
			if _, err := program.Match(Row{"customer": row}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func readSeed(f *testing.F, file string) string {
	f.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	return string(b)
}

// What SQL may consist of: words, quoted identifiers, numbers, operators, and the constants that the translation itself
// writes.
var (
	quotedText  = regexp.MustCompile(`'[^']*'`)
	ownTexts    = []string{"'NaN'", "'Infinity'", "'-Infinity'"}
	placeholder = regexp.MustCompile(`\$(\d+)::`)
	comment     = regexp.MustCompile(`--|/\*|;|\\`)
)

func checkTranslation(t *testing.T, rule *Rule, clock Clock) {
	t.Helper()
	var args Args
	cond, err := rule.SQL(&args, clock, map[string]string{"customer": "c"})
	if err != nil {
		if strings.Contains(err.Error(), "digits") {
			return
		}
		t.Fatal(err)
	}
	for _, text := range quotedText.FindAllString(cond.SQL, -1) {
		if !slices.Contains(ownTexts, text) {
			t.Fatalf("a text that is not bound: %s\n%s", text, cond.SQL)
		}
	}
	if comment.MatchString(cond.SQL) {
		t.Fatalf("not a condition: %s", cond.SQL)
	}
	used := map[int]bool{}
	for _, m := range placeholder.FindAllStringSubmatch(cond.SQL, -1) {
		n, _ := strconv.Atoi(m[1])
		used[n] = true
	}
	if len(used) != len(args.Values()) {
		t.Fatalf("%d parameters are bound and %d used: %s", len(args.Values()), len(used), cond.SQL)
	}
}
