// Package linediff shows how one text became another, line by line:
//
//	  audience:
//	-   where: customer.city == "Solo"
//	+   where: "true"
package linediff

import (
	"slices"
	"strings"
)

// Context is how many unchanged lines are shown around a change.
const Context = 2

// maxCells bounds the memory of comparing two texts; longer ones are shown as replaced whole.
const maxCells = 4 << 20

// Lines are the changes from a to b with the lines around them, each with "- ", "+ " or two blanks before it; "…" stands
// for what is left out. There is none where the texts are the same.
func Lines(a, b string) []string {
	if a == b {
		return nil
	}
	return shorten(compare(split(a), split(b)))
}

func split(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// compare marks every line, by the longest common subsequence.
func compare(a, b []string) []string {
	var out []string
	if (len(a)+1)*(len(b)+1) > maxCells {
		return mark("+ ", b, mark("- ", a, out))
	}
	longest := table(a, b)
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			out = append(out, "  "+a[i])
			i, j = i+1, j+1
		case longest[i+1][j] >= longest[i][j+1]:
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return mark("+ ", b[j:], mark("- ", a[i:], out))
}

// table is the length of the longest common subsequence of a[i:] and b[j:].
func table(a, b []string) [][]int32 {
	t := make([][]int32, len(a)+1)
	for i := range t {
		t[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				t[i][j] = t[i+1][j+1] + 1
			} else {
				t[i][j] = max(t[i+1][j], t[i][j+1])
			}
		}
	}
	return t
}

func mark(sign string, lines, out []string) []string {
	for _, line := range lines {
		out = append(out, sign+line)
	}
	return out
}

// shorten leaves out unchanged lines far from any change.
func shorten(lines []string) []string {
	near := make([]bool, len(lines))
	for i, line := range lines {
		if strings.HasPrefix(line, "  ") {
			continue
		}
		for k := max(0, i-Context); k <= min(len(lines)-1, i+Context); k++ {
			near[k] = true
		}
	}
	if !slices.Contains(near, true) {
		return nil // only the ends of lines differ
	}
	var out []string
	for i, line := range lines {
		switch {
		case near[i]:
			out = append(out, line)
		case i == 0 || near[i-1]:
			out = append(out, "…")
		}
	}
	return out
}
