package campaign_test

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
)

var update = flag.Bool("update", false, "rewrite what testdata expects")

// Each file of testdata is a project: files, each below a line "-- name --", a line of dashes, and what an author reads.
func TestMessages(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatal("no cases", err)
	}
	s := setupCRM(t)
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			input, want, _ := strings.Cut(string(data), "\n----------\n")
			files := split(t, input+"\n")
			got := s.messages(files)
			if *update {
				if err := os.WriteFile(name, []byte(input+"\n----------\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// messages are what an author reads of a project: the problems, or the names of the campaigns.
func (s *shop) messages(files map[string]string) string {
	p, problems, err := campaign.LoadProject(project(files), s.schema, s.library.Base())
	if err == nil {
		err = problems.Err()
	}
	if err != nil {
		return err.Error() + "\n"
	}
	var names []string
	warnings := ""
	for _, c := range p.Campaigns {
		names = append(names, c.Name())
		for _, w := range c.Warnings {
			warnings += w.String() + "\n"
		}
	}
	return "in order: " + strings.Join(names, ", ") + "\n" + warnings
}

// split cuts a case into its files.
func split(t *testing.T, input string) map[string]string {
	t.Helper()
	files := map[string]string{}
	name := ""
	for line := range strings.Lines(input) {
		if mark, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(mark, " --\n") {
			name = strings.TrimSuffix(mark, " --\n")
			files[name] = ""
			continue
		}
		files[name] += line
	}
	if slices.Contains(slices.Collect(maps.Keys(files)), "") {
		t.Fatal("the case does not begin with the name of a file")
	}
	return files
}
