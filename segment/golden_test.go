package segment

import (
	"database/sql/driver"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgtype"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const divider = "\n----------\n"

// TestRules compares each rule of testdata/rules with its SQL and parameters, or with the problems reported.
func TestRules(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/rules/*.txt")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	schema := testSchema()
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			rule, want, _ := strings.Cut(read(t, file), divider)
			got := translate(rule, testScope(schema)) + "\n"
			if *update {
				write(t, file, rule+divider+got)
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			if refused := strings.HasPrefix(got, "rule:"); refused != strings.HasPrefix(filepath.Base(file), "error-") {
				t.Errorf("the file's name does not say whether the rule is refused:\n%s", got)
			}
		})
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// translate is what a golden file shows of a rule.
func translate(text string, scope *Scope) string {
	rule, problems := ParseRule(Text(text), scope)
	if problems != nil {
		return problems.Err().Error()
	}
	var args Args
	cond, err := rule.SQL(&args, testClocks()[0], map[string]string{"customer": "c", "vehicle": "e"})
	if err != nil {
		return "error: " + err.Error()
	}
	var b strings.Builder
	b.WriteString(cond.SQL)
	for i, v := range args.Values() {
		fmt.Fprintf(&b, "\n$%d = %s", i+1, show(v))
	}
	for _, r := range cond.Residual {
		fmt.Fprintf(&b, "\nleft to the VM: %s", r)
	}
	return b.String()
}

// show is a parameter as PostgreSQL writes it.
func show(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("%q", v)
	case pgtype.Numeric, pgtype.Date, pgtype.Timestamp, pgtype.Timestamptz, pgtype.Interval, pgtype.UUID:
		value, err := v.(driver.Valuer).Value()
		return fmt.Sprint(value, errText(err))
	}
	return fmt.Sprintf("%v", v)
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
