package report

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
	"github.com/sapa-crm/sapa/response"
)

// texting makes a run's messages texts, with the provider's reports, prices and the customers' answers.
func texting(t *testing.T, pool *pgxpool.Pool, rec *response.Recorder, run *ledgertest.Run, random *rand.Rand) {
	t.Helper()
	keys, err := response.LoadKeyring(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	urls, err := response.NewURLs("https://sapa.example", keys)
	if err != nil {
		t.Fatal(err)
	}
	hooks := response.NewHooks(response.NewTracker(pool, keys, rec), response.HookOptions{})
	hasher, err := customer.LoadHasher(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	ledgertest.Exec(t, pool, `
		with charged as (
			update attempts set segments = 1 + message_id % 3, price = 0.0525 * (1 + message_id % 3), currency = 'USD', encoding = 'GSM-7'
			where verdict = 'accepted' and message_id between $1 and $2 returning segments, price
		)
		insert into run_costs (run_id, segments, messages, price, currency) select $3, segments, 1, price, 'USD' from charged`,
		run.Base+1, run.Base+int64(run.Count), run.ID)
	statuses := []channels.ReportStatus{
		channels.ReportSent, channels.ReportDelivered, channels.ReportDelivered, channels.ReportRead, channels.ReportUndelivered, channels.ReportUndelivered,
	}
	for i := range 60 {
		id := run.Base + 1 + int64(i)
		number := fmt.Sprintf("+62811%06d%02d", run.ID, i)
		ledgertest.Exec(t, pool, `
			with a as (insert into addresses (channel, raw, normalised, hash) values ('sms', $1, $1, $2) returning id)
			update messages m set channel = 'sms', address_id = a.id from a where m.id = $3`, number, hasher.Hash("sms", number), id)
		r := channels.Report{ProviderID: fmt.Sprintf("SM%d", id), Status: statuses[random.IntN(len(statuses))]}
		if r.Status == channels.ReportUndelivered {
			r.Code, r.Words = 30003+2*random.IntN(2), "not reached"
		}
		if err := hooks.Report(t.Context(), "sms", urls.MessageToken(id), r, ledgertest.Tick); err != nil {
			t.Fatal(err)
		}
		in := channels.Inbound{ProviderID: fmt.Sprintf("IN%d", id), From: number, Text: []string{"ok", "stop", "help"}[i%3]}
		if _, err := hooks.Inbound(t.Context(), "sms", in, ledgertest.Tick.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
}

// textReport is a report of texts in two runs, of which the second has just begun.
func textReport() Report {
	r := only(example(), "birthday")
	known := func(n int64) *int64 { return &n }
	code := func(n int) *int { return &n }
	words := func(s string) *string { return &s }
	usd := words("USD")
	first := r.Campaigns[0].Runs[0]
	first.Campaign = "oil-change"
	first.Numbers = Numbers{
		Audience: 1_220, Sent: 1_210, Skipped: 10, Clicked: 88, Clicks: 93, Unsubscribed: 4,
		Delivered: known(1_150), Undelivered: known(41), Read: known(0), Replied: known(17),
		Segments: known(1_944), Priced: known(1_180), Cost: amount("97.34"), Currency: usd,
	}
	first.Rates = first.rates()
	first.Reasons = []Reason{{"skipped", "bad address", 10}}
	first.Causes = []Cause{{code(30003), words("the phone can't be reached now"), 30}, {code(30005), words("no such number"), 10}, {nil, nil, 1}}
	second := first
	second.RunID, second.State = 15, "sending"
	second.Numbers = Numbers{Audience: 900, Planned: 850, Claimed: 10, Sent: 40, Segments: known(80)}
	second.Rates, second.Reasons, second.Causes = second.rates(), []Reason{}, []Cause{}
	runs := []Run{first, second}
	return Report{At: r.At, Campaigns: []Campaign{{Name: "oil-change", Sum: sum(runs), Runs: runs}}}
}

func amount(text string) *Amount {
	var a Amount
	if _, ok := a.rat.SetString(text); !ok {
		panic(text)
	}
	return &a
}

func TestTextsGolden(t *testing.T) {
	t.Parallel()
	one := textReport()
	one.Campaigns[0].Runs = one.Campaigns[0].Runs[:1]
	begun := textReport()
	begun.Campaigns[0].Runs = begun.Campaigns[0].Runs[1:]
	for name, r := range map[string]Report{"texts.txt": textReport(), "text.txt": one, "text-begun.txt": begun} {
		golden(t, name, render(t, func(w io.Writer) error { return WriteTable(w, r, TableOptions{Width: 100}) }))
	}
	golden(t, "texts.csv", render(t, func(w io.Writer) error { return WriteCSV(w, textReport()) }))
}

// Costs of one currency add up, exactly; of several they have no sum.
func TestSumOfCosts(t *testing.T) {
	t.Parallel()
	one, usd, idr := int64(1), "USD", "IDR"
	run := func(cost, currency *string) Run {
		if cost == nil {
			return Run{}
		}
		return Run{Numbers: Numbers{Priced: &one, Cost: amount(*cost), Currency: currency}}
	}
	small := "0.1"
	for name, c := range map[string]struct {
		runs []Run
		want string
	}{
		"none":       {[]Run{run(nil, nil), run(nil, nil)}, "<nil> "},
		"one":        {[]Run{run(nil, nil), run(&small, &usd)}, "0.10 USD"},
		"three":      {[]Run{run(&small, &usd), run(&small, &usd), run(nil, nil), run(&small, &usd)}, "0.30 USD"},
		"currencies": {[]Run{run(&small, &usd), run(&small, &idr), run(&small, &usd)}, "<nil> "},
	} {
		s := sum(c.runs)
		if got := fmt.Sprintf("%v %s", s.Cost, value(s.Currency)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestAmount(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"0", "0.00"}, {"12.5", "12.50"}, {"0.005250", "0.00525"}, {"1000", "1000.00"}, {"-0.0075", "-0.0075"}, {"123456789012.345678", "123456789012.345678"},
	} {
		var n pgtype.Numeric
		if err := n.Scan(c.text); err != nil {
			t.Fatal(err)
		}
		var a Amount
		if err := a.ScanNumeric(n); err != nil || a.String() != c.want {
			t.Errorf("%s is %s (%v), want %s", c.text, a.String(), err, c.want)
		}
	}
	var a Amount
	if err := a.ScanNumeric(pgtype.Numeric{NaN: true, Valid: true}); err == nil {
		t.Error("not a number is an amount")
	}
}

// What runs cost is checked and mended, too, and a message that the provider has twice is told.
func TestCheckCosts(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	generate(t, pool, 6)
	costs := one[string](t, pool, `select concat_ws(' ', segments, priced, cost, currency) from report_runs where run_id = 4`)
	ledgertest.Exec(t, pool, `insert into run_costs (run_id, segments, messages, price, currency) values (4, -3, 2, 1.5, 'USD')`)
	ledgertest.Exec(t, pool, `insert into delivery_reports (message_id, provider_id, status, at, open)
		select message_id, 'SMx', 'sent', at, false from delivery_reports order by message_id limit 1`)
	list, err := Check(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	var what []string
	for _, d := range list {
		what = append(what, fmt.Sprintf("%d %s %d", d.Run, d.What, d.Stored-d.Counted))
	}
	want := []string{
		"4 cost USD in millionths 1500000", "4 priced messages USD 2", "4 segments -3",
		"4 messages that the provider has more than once -1",
	}
	if diff := cmp.Diff(want, what); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
	if _, err := Mend(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	if got := one[string](t, pool, `select concat_ws(' ', segments, priced, cost, currency) from report_runs where run_id = 4`); got != costs {
		t.Errorf("mended to %s, was %s", got, costs)
	}
}
