package report

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// Answers that customers gave on the spot are those of the view, and printed: of a run below what came back, of several in
// a table, the ten commonest.
func TestAnswers(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	c := ledgertest.NewCampaign(t, pool, "ring", "offers")
	one, two := c.Run(t, "one", 20), c.Run(t, "two", 20)
	for _, run := range []*ledgertest.Run{one, two} {
		run.Settle(t, 1, 20, "sent", "")
		ledgertest.Exec(t, pool, `insert into response_totals (run_id, kind, part, link, total, uniq) values
			($1, 'reply', '', -1, 9, 7), ($1, 'reply', 'interested', 0, 3, 2), ($1, 'reply', 'interested', 0, 1, 1), ($1, 'reply', 'later', 0, 4, 4),
			($1, 'reply', 'gone', 0, 1, 1), ($1, 'reply', 'gone', 0, -1, -1)`, run.ID)
	}
	r, err := Campaigns(t.Context(), pool, Filter{Run: one.ID})
	if err != nil {
		t.Fatal(err)
	}
	want := []Answer{{"later", 4, 4}, {"interested", 3, 4}}
	if d := cmp.Diff(want, r.Campaigns[0].Runs[0].Answers); d != "" {
		t.Error(d)
	}
	golden(t, "answers-run.txt", render(t, func(w io.Writer) error { return WriteTable(w, r, TableOptions{}) }))
	if csv := render(t, func(w io.Writer) error { return WriteCSV(w, r) }); !strings.HasSuffix(csv, ",later=4; interested=3\n") {
		t.Error(csv)
	}
	for i := range 12 {
		ledgertest.Exec(t, pool, `insert into response_totals (run_id, kind, part, link, total, uniq) values ($1, 'reply', $2, 0, 1, 1)`, two.ID, fmt.Sprintf("answer %02d", i))
	}
	if r, err = Campaigns(t.Context(), pool, Filter{}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Answer{{"later", 8, 8}, {"interested", 6, 8}}, r.Campaigns[0].Sum.Answers[:2]); d != "" {
		t.Error(d)
	}
	golden(t, "answers-all.txt", render(t, func(w io.Writer) error { return WriteTable(w, r, TableOptions{}) }))
	if r, err = Campaigns(t.Context(), pool, Filter{Run: two.ID}); err != nil {
		t.Fatal(err)
	}
	if text := render(t, func(w io.Writer) error { return WriteTable(w, r, TableOptions{}) }); !strings.Contains(text, "  and 4 rarer; the view report_answers has all\n") || strings.Contains(text, "answer 08") {
		t.Error(text)
	}
}
