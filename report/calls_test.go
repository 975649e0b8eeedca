package report

import (
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels/calls"
	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// What came of calls is in the report of a run, in that of a campaign with several, and in a view.
func TestCallOutcomes(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	c := ledgertest.NewCampaign(t, pool, "mothers-day", "offers")
	one, two := c.Run(t, "one", 20), c.Run(t, "two", 20)
	for i, o := range calls.Outcomes() {
		ledgertest.Exec(t, pool, `insert into response_totals (run_id, kind, part, link, total, uniq) values
			($1, $3, '', -1, $4, $4), ($1, $3, '', -1, 1, 0), ($2, $3, '', -1, 1, 1)`, one.ID, two.ID, o.Kind(), i)
	}
	r, err := Campaigns(t.Context(), pool, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	want := []CallCount{
		{calls.Reached, 1, 2}, {calls.Interested, 2, 3}, {calls.Order, 3, 4}, {calls.CallBack, 4, 5}, {calls.NoAnswer, 5, 6}, {calls.WrongNumber, 6, 7}, {calls.DoNotCall, 7, 8},
	}
	if d := cmp.Diff(want, r.Campaigns[0].Sum.Calls); d != "" {
		t.Errorf("the campaign's (-want +got):\n%s", d)
	}
	golden(t, "calls-all.txt", render(t, func(w io.Writer) error { return WriteTable(w, r, TableOptions{}) }))
	var view string
	err = pool.QueryRow(t.Context(), `select string_agg(concat_ws(' ', campaign, outcome, customers, calls), ', ' order by customers, outcome)
		from report_call_outcomes where run_id = $1 and customers > 3`, one.ID).Scan(&view)
	if want := "mothers-day no answer 4 5, mothers-day wrong number 5 6, mothers-day do not call 6 7"; err != nil || view != want {
		t.Errorf("the view has %q, %v", view, err)
	}
}
