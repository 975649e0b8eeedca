package templates

import (
	"strings"
	"unicode"
)

// particles are the small words of names, in the languages whose names have them.
const particles = " al bin binti da das de del della den der di do dos du la las le los ten ter van von y "

// titlecase mends a name that is all capitals or all small letters; one with both was typed with care.
func titlecase(s string) string {
	if s != strings.ToUpper(s) && s != strings.ToLower(s) {
		return s
	}
	words := strings.Split(strings.ToLower(s), " ")
	for i, w := range words {
		if i > 0 && strings.Contains(particles, " "+w+" ") {
			continue
		}
		words[i] = titleWord(w)
	}
	return strings.Join(words, " ")
}

// titleWord puts a capital at the start, behind a dash, a point or a parenthesis, and behind the apostrophe of O' and
// D' (but not of Ma'ruf). Roman numerals stay capitals.
func titleWord(w string) string {
	switch w {
	case "ii", "iii", "iv", "vi", "vii", "viii":
		return strings.ToUpper(w)
	}
	r := []rune(w)
	start := 0 // of the current part
	for i, c := range r {
		if i == start {
			r[i] = unicode.ToUpper(c)
		}
		switch {
		case strings.ContainsRune("-.(/\"", c), strings.ContainsRune("'’", c) && i == start+1:
			start = i + 1
		}
	}
	return string(r)
}
