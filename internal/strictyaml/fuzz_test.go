package strictyaml

import (
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"
)

// Whatever a file holds, it is decoded or has problems whose places are in the file.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add(places)
	f.Fuzz(func(t *testing.T, text string) {
		file, problems := Parse("f.yaml", text)
		var c campaign
		problems = append(problems, file.Expand(func(string) string { return "x" })...)
		problems = append(problems, file.Decode(&c)...)
		for path := range file.entries {
			file.At(path, 1, 2)
		}
		for _, p := range problems {
			_ = p.String()
			if p.Span.Line > len(file.lines) || p.Span.Line > 0 && p.Span.Col > len(file.lines[p.Span.Line-1])+1 {
				t.Errorf("%q is at %v", p.Message, p.Span)
			}
		}
		if file.root == nil && len(problems) == 0 && utf8.ValidString(text) {
			t.Error("nothing was read, and nothing is wrong")
		}
	})
}
