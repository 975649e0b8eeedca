package customer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzLoadConfig: whatever sapa.yaml holds, it is read or has problems whose places are in the file, and no secret is shown.
func FuzzLoadConfig(f *testing.F) {
	files, err := filepath.Glob("testdata/config/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds: ", err)
	}
	for _, name := range append(files, "../examples/adventureworks/sapa.yaml") {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		text, _, _ := strings.Cut(string(data), "----------\n")
		f.Add(text)
	}
	f.Add(wholeConfig)
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "hunter2") {
			return
		}
		cfg, problems := LoadConfig("sapa.yaml", text, testEnv)
		if (cfg == nil) != (len(problems) > 0) {
			t.Fatalf("%v and %v", cfg, problems)
		}
		lines := strings.Count(text, "\n") + 1
		for _, p := range problems {
			if p.Message == "" || p.Span.Line > lines || strings.Contains(p.String(), "hunter2") {
				t.Fatalf("%q at %v", p.String(), p.Span)
			}
		}
	})
}
