package linediff_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/internal/linediff"
)

func TestLines(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ a, b, want string }{
		"same":           {"a\nb\n", "a\nb\n", ""},
		"line ends only": {"a\r\nb\r\n", "a\nb\n", ""},
		"new":            {"", "a\nb\n", "+ a\n+ b"},
		"gone":           {"a\n", "", "- a"},
		"changed":        {"1\n2\n3\n4\n5\n6\n7\n", "1\n2\n3\nfour\n5\n6\n7\n", "…\n  2\n  3\n- 4\n+ four\n  5\n  6\n…"},
		"two places":     {"1\n2\n3\n4\n5\n6\n7\n8\n", "2\n3\n4\n5\n6\n7\n8\n9\n", "- 1\n  2\n  3\n…\n  7\n  8\n+ 9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(tt.want, strings.Join(linediff.Lines(tt.a, tt.b), "\n")); d != "" {
				t.Error(d)
			}
		})
	}
}

// Texts that are too long to be compared are shown whole.
func TestLongTexts(t *testing.T) {
	t.Parallel()
	a, b := strings.Repeat("a\n", 3000), strings.Repeat("a\n", 3001)
	if got := len(linediff.Lines(a, b)); got != 6001 {
		t.Errorf("%d lines", got)
	}
}
