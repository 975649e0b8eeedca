package campaign_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/customer"
)

// FuzzLoadSegments: whatever a segment's file holds beside one that uses it, both are read or have problems whose places
// are in their files.
func FuzzLoadSegments(f *testing.F) {
	cases, err := os.ReadFile("testdata/segments.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range strings.Split(string(cases), "\n-- ") {
		_, text, _ := strings.Cut(file, " --\n")
		f.Add(text)
	}
	f.Add("segment: a\ndescription: >\n  folded\n  text\nowner: \"me\"\nwhere: |-\n  customer.city == 'Solo' &&\n\n  !segment(\"user\")\n")
	f.Add("segment: a\nwhere: \"customer.city == \\\"So\\x6co\\\" && segment('a')\"\n")
	f.Add("segment: user\nwhere: &w segment(\"a\")\nowner: *w\n")
	schema := &customer.Schema{Zone: "Asia/Jakarta", Customer: &customer.Entity{
		Name: "customer", Key: "id", Table: customer.TableName{Schema: "public", Name: "customers"},
		Columns: []customer.Column{
			{Name: "id", Kind: customer.Int, PGType: "bigint"},
			{Name: "city", Kind: customer.Text, PGType: "text", Nullable: true},
			{Name: "born", Kind: customer.Date, PGType: "date", Nullable: true},
		},
	}}
	f.Fuzz(func(t *testing.T, text string) {
		project := fstest.MapFS{
			"segments/a.yaml":    {Data: []byte(text)},
			"segments/user.yaml": {Data: []byte("segment: user\nwhere: segment(\"a\") || customer.city == nil\n")},
		}
		segments, problems, err := campaign.LoadSegments(project, schema, campaign.Ledger{Topics: []string{"offers"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			if p.Message == "" || strings.Contains(p.Message, "can't be read: ") || p.Source == nil || p.Span.Line > strings.Count(p.Source.Text, "\n")+1 {
				t.Fatalf("%q at %v", p.String(), p.Span)
			}
		}
		for _, s := range segments.List {
			if s.Rule == nil && len(problems) == 0 {
				t.Fatalf("nothing is wrong with %q, and it has no rule", s.Name())
			}
		}
	})
}
