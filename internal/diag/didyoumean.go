package diag

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// DidYouMean is the hint for a name that does not exist: the nearest of the known names, or the list of them when
// they are few, or nothing.
func DidYouMean(name string, known []string) string {
	if best, ok := nearest(name, known); ok {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if len(known) > 0 && len(known) <= 12 {
		return Known(known)
	}
	return ""
}

// DidYouMeanFile is DidYouMean for the name of a file: what follows its first dot says nothing about which one was meant.
func DidYouMeanFile(name string, known []string) string {
	stem := func(name string) string {
		folder, base := path.Split(name)
		base, _, _ = strings.Cut(base, ".")
		return folder + base
	}
	of := map[string]string{}
	var stems []string
	for _, k := range slices.Sorted(slices.Values(known)) {
		if s := stem(k); of[s] == "" {
			of[s] = k
			stems = append(stems, s)
		}
	}
	if best, ok := nearest(stem(name), stems); ok {
		return fmt.Sprintf("did you mean %q?", of[best])
	}
	if len(known) > 0 && len(known) <= 12 {
		return Known(known)
	}
	return ""
}

// Known is the hint that lists all known names, for a name that is like none of them.
func Known(known []string) string {
	return "known here: " + strings.Join(slices.Sorted(slices.Values(known)), ", ")
}

func nearest(name string, known []string) (string, bool) {
	best, bestDistance := "", len([]rune(name))/3+2
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best, best != ""
}

// distance is the optimal string alignment distance (insert, delete, replace, swap of neighbours), in runes.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	var before []int
	last := make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row := make([]int, len(y)+1)
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(y)]
}
