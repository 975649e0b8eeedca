package strictyaml

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sapa-crm/sapa/internal/diag"
)

// mask stands for each character of a secret, so that carets stay where they belong.
const mask = '•'

// Mask hides the value at a path, which is a secret, in every excerpt that problems of the file print. References to
// the environment are not secret and stay.
func (f *File) Mask(path string) {
	e := f.entries[path]
	if e.value == nil || e.key == nil || e.value.Kind != yaml.ScalarNode || isNull(e.value) {
		return
	}
	at := f.token(e.value)
	if !isBlock(e.value) {
		f.MaskSpan(at)
	}
	if f.continues(e.value, at) {
		f.maskBelow(e.value.Line, f.indentOf(e.key.Line))
	}
}

// continues says whether a scalar goes on after its first line.
func (f *File) continues(n *yaml.Node, at diag.Span) bool {
	line := f.line(at.Line)
	from := min(at.Col-1, len(line))
	first := string(line[from:min(from+at.Len, len(line))])
	text, changed := f.written[n]
	switch {
	case isBlock(n):
		return true
	case isQuoted(n):
		return len(first) <= 1 || first[len(first)-1] != first[0]
	case !changed:
		text = n.Value
	}
	return !strings.HasPrefix(first, text)
}

// maskBelow hides the lines after one that are indented deeper.
func (f *File) maskBelow(number, indent int) {
	for number++; number <= len(f.lines); number++ {
		if strings.TrimSpace(string(f.line(number))) != "" && f.indentOf(number) <= indent {
			return
		}
		f.MaskSpan(f.lineSpan(number))
	}
}

func (f *File) indentOf(number int) int {
	text := string(f.line(number))
	return len(text) - len(strings.TrimLeft(text, " "))
}

// MaskSpan hides a part of a line in every excerpt, but for quotes and for references to the environment.
func (f *File) MaskSpan(at diag.Span) {
	lines := strings.Split(f.Source.Text, "\n")
	if at.Line < 1 || at.Line > len(lines) {
		return
	}
	keep := references(f.line(at.Line))
	runes := []rune(lines[at.Line-1])
	for i := max(0, at.Col-1); i < min(len(runes), at.Col-1+at.Len); i++ {
		if !keep[i] && !strings.ContainsRune("\"'\r", runes[i]) {
			runes[i] = mask
		}
	}
	lines[at.Line-1] = string(runes)
	f.Source.Text = strings.Join(lines, "\n")
}

// references are the places of a line's runes that belong to some ${NAME}.
func references(line []rune) map[int]bool {
	places, text := map[int]bool{}, string(line)
	for _, m := range variable.FindAllStringSubmatchIndex(text, -1) {
		if text[m[0]:m[0]+2] == "$$" || !variableName.MatchString(text[m[2]:m[3]]) {
			continue
		}
		start := len([]rune(text[:m[0]]))
		for i := range len([]rune(text[m[0]:m[1]])) {
			places[start+i] = true
		}
	}
	return places
}
