package report

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
	"github.com/sapa-crm/sapa/response"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { pgtest.MainNoLeaks(m) }

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; rewrite with -update):\n%s", name, diff)
	}
}

// generate makes campaigns with runs whose messages ended in every way, and with responses of people and machines.
func generate(t *testing.T, pool *pgxpool.Pool, seed uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	rec := response.NewRecorder(pool, response.RecorderOptions{})
	for _, name := range []string{"birthday", "oil-change", "up-sell"} {
		c := ledgertest.NewCampaign(t, pool, name, "offers", "https://shop.example/a", "https://shop.example/b")
		for i := range 3 {
			run := c.Run(t, fmt.Sprintf("take %d", i), 200)
			settle(t, run, random)
			respond(t, rec, run, random)
			if name == "oil-change" {
				texting(t, pool, rec, run, random)
			}
			ledgertest.Exec(t, pool, `insert into run_totals (run_id, state, delta) values ($1, 'already', $2), ($1, 'audience', $2)`, run.ID, random.IntN(50))
		}
	}
	if err := rec.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func settle(t *testing.T, run *ledgertest.Run, random *rand.Rand) {
	t.Helper()
	ends := []struct {
		state, reason, verdict string
		code                   int
	}{
		{"sent", "", "accepted", 250},
		{"failed", "hard bounce", "suppress", 550},
		{"failed", "refused", "permanent", 554},
		{"failed", "content", "", 0},
		{"skipped", "no consent", "", 0},
		{"skipped", "no address", "", 0},
		{"held_out", "", "", 0},
		{"unknown", "", "unknown", 0},
		{"claimed", "", "", 0},
		{"planned", "", "", 0},
	}
	next := 1
	for _, e := range ends {
		n := 1 + random.IntN(8)
		if e.state == "sent" {
			n = 100 + random.IntN(20)
		}
		if e.state != "planned" {
			run.Settle(t, next, next+n-1, e.state, e.reason)
		}
		if e.verdict != "" {
			run.Attempt(t, next, next+n-1, e.verdict, e.code, "5.1.1 <dead@example.org>: unknown, write to help@example.org")
		}
		next += n
	}
}

func respond(t *testing.T, rec *response.Recorder, run *ledgertest.Run, random *rand.Rand) {
	t.Helper()
	verdicts := []response.Verdict{response.Human, response.Human, response.Proxy, response.Scanner}
	for i := range 250 {
		h := response.Hit{
			At:        ledgertest.Tick.Add(time.Duration(i) * time.Minute),
			MessageID: run.Base + 1 + int64(random.IntN(100)),
			Kind:      response.HitOpen,
			Verdict:   verdicts[random.IntN(len(verdicts))],
			Link:      random.IntN(2),
		}
		switch random.IntN(5) {
		case 0:
			h.Kind = response.HitClick
		case 1:
			h.Kind = response.HitPage
		}
		if i%50 == 0 {
			h.Kind, h.Verdict = response.HitUnsubscribe, response.Human
		}
		if err := rec.Record(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
}

// The report, its views and the ledger say the same, before and after the totals are compacted.
func TestNumbersAgree(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	generate(t, pool, 1)
	before := agree(t, pool)
	if err := Compact(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, pool, `select count(*) from response_totals`); n > 300 {
		t.Errorf("%d rows of response totals are left", n)
	}
	after := agree(t, pool)
	if diff := cmp.Diff(before.Campaigns, after.Campaigns); diff != "" {
		t.Errorf("compacting changed the report:\n%s", diff)
	}
}

func agree(t *testing.T, pool *pgxpool.Pool) Report {
	t.Helper()
	r, err := Campaigns(t.Context(), pool, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Campaigns) != 3 || len(r.Campaigns[0].Runs) != 3 {
		t.Fatalf("report is %+v", r)
	}
	for _, c := range r.Campaigns {
		for i := range c.Runs {
			agreeRun(t, pool, &c.Runs[i])
		}
	}
	if list, err := Check(t.Context(), pool); err != nil || len(list) > 0 {
		t.Errorf("check: %v, %v", list, err)
	}
	return r
}

// agreeRun compares a run's numbers with what its messages and responses say one by one.
func agreeRun(t *testing.T, pool *pgxpool.Pool, run *Run) {
	t.Helper()
	rows, _ := pool.Query(t.Context(), `
		select $2::bigint + $3 - $3 as audience, $3::bigint as already,
			count(*) filter (where state = 'planned') as planned, count(*) filter (where state = 'claimed') as claimed,
			count(sent_at) as sent,
			count(*) filter (where state = 'failed') as failed, count(*) filter (where state = 'skipped') as skipped,
			count(*) filter (where state = 'held_out') as held_out, count(*) filter (where step > 0) as rungs, count(*) filter (where state = 'unknown') as unknown,
			count(*) filter (where reason = 'hard bounce') as bounced,
			count(opened_at) as opened, count(clicked_at) as clicked, count(unsubscribed_at) as unsubscribed,
			count(machine_opened_at) as machine_opened, count(machine_clicked_at) as machine_clicked,
			case when count(coalesce(delivered_at, undelivered_at, read_at)) > 0 then count(delivered_at) end as delivered,
			case when count(coalesce(delivered_at, undelivered_at, read_at)) > 0 then count(undelivered_at) end as undelivered,
			case when count(coalesce(delivered_at, undelivered_at, read_at)) > 0 then count(read_at) end as read,
			case when count(coalesce(delivered_at, undelivered_at, read_at)) > 0 then count(replied_at) end as replied,
			sum(segments) filter (where state = 'sent') as segments, nullif(count(price), 0) as priced, sum(price) as cost, min(currency) as currency,
			(select count(*) from report_responses where run_id = $1 and kind = 'open' and verdict = 'human') as opens,
			(select count(*) from report_responses where run_id = $1 and kind = 'click' and verdict = 'human') as clicks,
			(select count(*) from report_responses where run_id = $1 and kind = 'open' and verdict <> 'human') as machine_opens,
			(select count(*) from report_responses where run_id = $1 and kind = 'click' and verdict <> 'human') as machine_clicks
		from report_messages where run_id = $1`, run.RunID, 200+run.Already, run.Already)
	want, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Numbers])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, run.Numbers); diff != "" {
		t.Errorf("run %d (-ledger +report):\n%s", run.RunID, diff)
	}
	if diff := cmp.Diff(run.rates(), run.Rates); diff != "" {
		t.Errorf("run %d, rates (-Go +view):\n%s", run.RunID, diff)
	}
	if run.Missing() != 0 || !run.AddsUp || run.Opened == 0 || run.MachineOpened == 0 || run.Unsubscribed == 0 || run.Clicked == 0 {
		t.Errorf("run %d: %+v", run.RunID, run)
	}
	links := one[int64](t, pool, `select sum(clicks)::bigint from report_links where run_id = $1`, run.RunID)
	if links != run.Clicks {
		t.Errorf("run %d: links have %d clicks, the run %d", run.RunID, links, run.Clicks)
	}
	var reasons int64
	for _, r := range run.Reasons {
		reasons += r.Messages
	}
	if reasons != run.Failed+run.Skipped || len(run.Reasons) != 5 {
		t.Errorf("run %d: reasons %v for %d failed and %d skipped", run.RunID, run.Reasons, run.Failed, run.Skipped)
	}
}

func one[T any](t testing.TB, pool *pgxpool.Pool, sql string, args ...any) T {
	t.Helper()
	rows, _ := pool.Query(t.Context(), sql, args...)
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func TestViewsNameNobody(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	generate(t, pool, 2)
	words := one[string](t, pool, `select min(words) from report_messages`)
	if words != "5.1.1 <address>: unknown, write to <address>" {
		t.Errorf("words are %q", words)
	}
	// Every column that a view shows is documented, and none is an address or an IP.
	missing := one[[]string](t, pool, `
		select coalesce(array_agg(c.relname || coalesce('.' || a.attname, '')), '{}')
		from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
		where c.relnamespace = 'sapa'::regnamespace and c.relkind = 'v'
		  and (obj_description(c.oid, 'pg_class') is null or a.attname ~ '^ip|address|agent|email|phone'
		    or col_description(c.oid, a.attnum) is null and a.attname not in
		      ('run_id', 'campaign', 'version', 'label', 'actor', 'created_at', 'planned_at', 'finished_at', 'message_id', 'hit_id', 'at', 'channel', 'messages', 'customer_key'))`)
	if len(missing) > 0 {
		t.Errorf("not documented, or personal: %q", missing)
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	generate(t, pool, 3)
	ledgertest.NewCampaign(t, pool, "new", "offers")
	ledgertest.Exec(t, pool, `update runs set state = 'done', created_at = '2026-01-01' where id <= 4`)
	ids := func(f Filter) string {
		t.Helper()
		r, err := Campaigns(t.Context(), pool, f)
		if err != nil {
			return err.Error()
		}
		var parts []string
		for _, c := range r.Campaigns {
			parts = append(parts, c.Name)
			for i := range c.Runs {
				parts = append(parts, fmt.Sprint(c.Runs[i].RunID))
			}
		}
		return strings.Join(parts, " ")
	}
	for _, c := range []struct {
		f    Filter
		want string
	}{
		{Filter{}, "birthday 1 2 3 oil-change 4 5 6 up-sell 7 8 9"},
		{Filter{Campaign: "oil-change"}, "oil-change 4 5 6"},
		{Filter{Campaign: "new"}, "new"},
		{Filter{Run: 8}, "up-sell 8"},
		{Filter{Open: true}, "oil-change 5 6 up-sell 7 8 9"},
		{Filter{Since: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Campaign: "birthday"}, "birthday"},
		{Filter{Campaign: "birtday"}, "there is no campaign \"birtday\"\n  did you mean \"birthday\"?"},
		{Filter{Run: 77}, "there is no run 77; see: sapa status --all"},
		{Filter{Run: 1, Campaign: "up-sell"}, "there is no run 1 of campaign up-sell; see: sapa status --all"},
	} {
		if got := ids(c.f); got != c.want {
			t.Errorf("%+v: %s, want %s", c.f, got, c.want)
		}
	}
}

func TestCheckAndMend(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	generate(t, pool, 4)
	check := func(f func(context.Context, *pgxpool.Pool) ([]Difference, error), want ...string) {
		t.Helper()
		list, err := f(t.Context(), pool)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range list {
			got = append(got, d.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("differences (-want +got):\n%s", diff)
		}
	}
	checkAll := func(ctx context.Context, p *pgxpool.Pool) ([]Difference, error) { return Check(ctx, p) }
	mendAll := func(ctx context.Context, p *pgxpool.Pool) ([]Difference, error) { return Mend(ctx, p) }
	check(checkAll)
	ledgertest.Exec(t, pool, `insert into run_totals (run_id, state, reason, delta) values (2, 'failed', 'refused', 3), (2, 'sent', '', -3), (3, 'audience', '', 1)`)
	ledgertest.Exec(t, pool, `insert into response_totals (run_id, kind, total, uniq) values (5, 'open', -1000, 7)`)
	ledgertest.Exec(t, pool, `insert into attempts (message_id, number, worker, epoch, at, verdict)
		select message_id, 2, 1, 1, at, 'accepted' from attempts where verdict = 'accepted' order by 1 limit 2`)
	stored := func(sql string, run int) int64 { return one[int64](t, pool, sql, run) }
	failed := stored(`select count(*) from messages where run_id = $1 and reason = 'refused'`, 2)
	sent := stored(`select count(*) from messages where run_id = $1 and state = 'sent'`, 2)
	opens := stored(`select opens from report_runs where run_id = $1`, 5) + 1000
	opened := stored(`select opened from report_runs where run_id = $1`, 5) - 7
	totals := []string{
		fmt.Sprintf("run 2, failed: refused: the totals say %d, the ledger %d", failed+3, failed),
		fmt.Sprintf("run 2, sent: the totals say %d, the ledger %d", sent-3, sent),
		fmt.Sprintf("run 5, open, all: the totals say %s, the ledger %d", number(opens-1000), opens),
		fmt.Sprintf("run 5, open, messages: the totals say %d, the ledger %d", opened+7, opened),
	}
	audience := stored(`select audience from report_runs where run_id = $1`, 3)
	ledger := []string{
		"run 1, messages accepted more than once: the totals say 0, the ledger 2",
		fmt.Sprintf("run 3, audience against its parts: the totals say %d, the ledger %d", audience, audience-1),
	}
	check(checkAll, append(append([]string{}, totals...), ledger...)...)
	check(mendAll, totals...)
	check(checkAll, ledger...)
}

// A month that was dropped by retention is no difference.
func TestCheckLeavesDroppedMonthsOut(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	generate(t, pool, 5)
	ledgertest.Exec(t, pool, `drop table messages_2026_11`)
	ledgertest.Exec(t, pool, `insert into pruned_months (month, actor, messages, attempts) values (10, 'tester', 1800, 0)`)
	if list, err := Check(t.Context(), pool); err != nil || len(list) > 0 {
		t.Errorf("check: %v, %v", list, err)
	}
}

// What is appended while totals are compacted is not lost.
func TestCompactBesideAppends(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	run := ledgertest.NewCampaign(t, pool, "birthday", "wishes").Run(t, "", 1)
	const writers, each = 4, 300
	errs := make(chan error)
	for range writers {
		go func() {
			var err error
			for range each {
				if _, e := pool.Exec(t.Context(), `insert into run_totals (run_id, state, delta) values ($1, 'sent', 1)`, run.ID); e != nil {
					err = e
				}
			}
			errs <- err
		}()
	}
	for range 2 {
		go func() {
			var err error
			for range 30 {
				if e := Compact(t.Context(), pool); e != nil {
					err = e
				}
			}
			errs <- err
		}()
	}
	for range writers + 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if err := Compact(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	if sent := one[int](t, pool, `select sent from report_runs`); sent != writers*each {
		t.Errorf("%d of %d are left", sent, writers*each)
	}
}
