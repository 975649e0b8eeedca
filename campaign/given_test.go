package campaign_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
)

const topYAML = `
campaign: top
audience:
  where: percentile(sum(customer.orders, .total)) >= 90 && rfm(customer.orders).frequency >= 1
  occasion: [rfm(customer.orders).monetary, today()]
content:
  email:
    subject: Terima kasih
    text: "Halo {{ customer.first_name | default: 'Sobat' }}, {{ 'https://bengkel.example' | link }}"
`

// spenders makes n customers; the i-th has one order of i million. One more does not count as a customer.
func (s *shop) spenders(n int) {
	s.t.Helper()
	s.exec(`insert into crm.customers (id, first_name, email, created_at) select i, 'Budi', 'budi' || i || '@mail.example', now() from generate_series(1, $1::int) i`, n)
	s.exec(`insert into crm.orders (id, customer_id, total, ordered_at) select i, i, i * 1000000, '2026-11-01 12:00+07' from generate_series(1, $1::int) i`, n)
	s.exec(`insert into crm.customers (id, email, deleted_at) values (0, 'gone@mail.example', now())`)
	s.exec(`insert into crm.orders (id, customer_id, total, ordered_at) values (0, 0, 1e12, now())`)
}

// A run finds out the thresholds of the customer base once and keeps them: whoever plans it again, after a crash or a pause,
// chooses by the same ones, though the orders have changed. A new run finds out anew.
func TestRunKeepsItsThresholds(t *testing.T) {
	t.Parallel()
	s := setupCRM(t)
	s.spenders(100)
	s.apply("top", topYAML, nil)
	run, plan := s.start("top")
	if plan.Audience != 10 || plan.Planned != 10 {
		t.Errorf("the top ten percent of 100 are %+v", plan)
	}
	var given string
	s.must(s.pool.QueryRow(t.Context(), `select given::text from runs where id = $1`, run.ID).Scan(&given))
	var of []string
	s.must(s.pool.QueryRow(t.Context(), `select array_agg(v ->> 'of' order by v ->> 'of') from runs, jsonb_each(given) g(k, v) where id = $1`, run.ID).Scan(&of))
	want := []string{"rfm(customer.orders)", "rfm(customer.orders)", "sum(customer.orders, .total)"}
	if d := cmp.Diff(want, of); d != "" {
		t.Error(d)
	}
	s.exec(`update crm.orders set total = total * 10`)
	again, err := s.planner.Begin(t.Context(), campaign.Start{Campaign: "top", Label: "again", Actor: "tester"})
	s.must(err)
	s.exec(`update runs set given = $2 where id = $1`, again.ID, given)
	s.must(s.planner.PlanRun(t.Context(), again.ID))
	if n := s.number(`select count(*) from messages where run_id = $1`, again.ID); n != 91 { // those above 90 million by ten times the orders
		t.Errorf("by the thresholds that the run had, %d are meant, want 91", n)
	}
	fresh, plan, err := s.planner.Start(t.Context(), campaign.Start{Campaign: "top", Label: "fresh", Actor: "tester"})
	s.must(err)
	if plan.Audience != 10 {
		t.Errorf("run %d: by thresholds of its own %d are meant, want 10", fresh.ID, plan.Audience)
	}
	s.addsUp()
}

// A run that has some thresholds finds out those that it lacks; one without such rules keeps none.
func TestRunFindsOutWhatItLacks(t *testing.T) {
	t.Parallel()
	s := setupCRM(t)
	s.spenders(20)
	s.apply("top", topYAML, nil)
	r, err := s.planner.Begin(t.Context(), campaign.Start{Campaign: "top", Actor: "tester"})
	s.must(err)
	s.exec(`update runs set given = '{"abc": {"of": "customer.income", "type": "numeric", "below": []}}' where id = $1`, r.ID)
	s.must(s.planner.PlanRun(t.Context(), r.ID))
	if n := s.number(`select count(*) from runs, jsonb_object_keys(given) where id = $1`, r.ID); n != 4 {
		t.Errorf("the run keeps %d expressions, want 4", n)
	}
	s.apply("all", strings.NewReplacer("campaign: top", "campaign: all", "percentile(sum(customer.orders, .total)) >= 90 && rfm(customer.orders).frequency >= 1", "true",
		"  occasion: [rfm(customer.orders).monetary, today()]\n", "").Replace(topYAML), nil)
	plain, _ := s.start("all")
	if n := s.number(`select count(*) from runs where id = $1 and given is null`, plain.ID); n != 1 {
		t.Error("a run without such rules keeps something")
	}
	s.exec(`update runs set given = '{"abc": {"of": "customer.income", "type": "text", "below": []}}', state = 'planning' where id = $1`, r.ID)
	if err := s.planner.PlanRun(t.Context(), r.ID); err == nil || !strings.Contains(err.Error(), `0 thresholds of type "text"`) {
		t.Errorf("thresholds that can't be read: %v", err)
	}
}

// A preview and a dry run find out the thresholds, and store nothing.
func TestPreviewFindsOutTheThresholds(t *testing.T) {
	t.Parallel()
	s := setupCRM(t)
	s.spenders(50)
	s.apply("top", topYAML, nil)
	_, plan, err := s.planner.DryRun(t.Context(), campaign.Start{Campaign: "top", Actor: "tester"})
	s.must(err)
	if plan.Planned != 5 {
		t.Errorf("dry run: %+v", plan)
	}
	c := s.load(map[string]string{"campaigns/top.yaml": topYAML})[0]
	for key, due := range map[string]bool{"": true, "50": true, "45": false} {
		p, err := c.Preview(t.Context(), s.pool, key, monday, monday, "http://127.0.0.1:9")
		s.must(err)
		if p.Due != due {
			t.Errorf("preview of %q: in the audience: %v, want %v", key, p.Due, due)
		}
	}
	if n := s.number(`select count(*) from runs`); n != 0 {
		t.Errorf("%d runs are left", n)
	}
}

// A column that is gone is an error of the company's tables: nobody fails, and the run says why.
func TestThresholdsOfADroppedColumn(t *testing.T) {
	t.Parallel()
	s := setupCRM(t)
	s.spenders(5)
	s.apply("top", topYAML, nil)
	s.exec(`alter table crm.orders rename total to amount`)
	_, _, err := s.planner.Start(t.Context(), campaign.Start{Campaign: "top", Actor: "tester"})
	var company *campaign.CompanyError
	if !errors.As(err, &company) || !strings.Contains(err.Error(), `column s1.total does not exist`) {
		t.Errorf("got %v", err)
	}
}
