package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jedib0t/go-pretty/v6/text"
)

// example is a report with what makes rendering hard: big numbers, zeros, nothing sent, a paused run, a label.
func example() Report {
	at := time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC)
	paused := "the SMTP server does not take the user name or password; mend channels.email.smtp, then: sapa resume 14"
	run := func(id int, campaign string, n Numbers, reasons ...Reason) Run {
		tick := at.AddDate(0, 0, id-14).Add(7 * time.Hour)
		return Run{
			RunID: id, Campaign: campaign, Version: 1 + id/12, Tick: tick, TickText: tick.Format("2006-01-02 15:04"), AsOf: tick,
			State: "done", Actor: "rina", CreatedAt: tick, PlannedAt: &tick, FinishedAt: &tick,
			Numbers: n, AddsUp: n.Missing() == 0, Rates: n.rates(), Reasons: append([]Reason{}, reasons...), Causes: []Cause{},
		}
	}
	birthday := []Run{
		run(10, "birthday", Numbers{Audience: 52, Sent: 50, Failed: 1, Skipped: 1, Bounced: 1, Opened: 21, Opens: 30, Clicked: 6, Clicks: 8},
			Reason{"failed", "hard bounce", 1}, Reason{"skipped", "no address", 1}),
		run(11, "birthday", Numbers{Audience: 61, Already: 4, Sent: 56, Skipped: 1, Opened: 30, Opens: 41, Clicked: 9, Clicks: 9, Unsubscribed: 1, MachineOpened: 12, MachineOpens: 14},
			Reason{"skipped", "no consent", 1}),
		run(12, "birthday", Numbers{Audience: 48, Sent: 48, Opened: 12, Opens: 12, Clicked: 3, Clicks: 3}),
	}
	sale := run(13, "spring-sale", Numbers{
		Audience: 1_204_118, Already: 310, Planned: 400_000, Claimed: 64, Sent: 790_233, Failed: 3_511, Skipped: 9_998, Unknown: 2,
		Bounced: 3_000, Opened: 301_222, Opens: 512_001, Clicked: 40_118, Clicks: 51_000, Unsubscribed: 812, MachineOpened: 98_000, MachineOpens: 120_000,
		MachineClicked: 7_000, MachineClicks: 21_000,
	}, Reason{"failed", "hard bounce", 3_000}, Reason{"failed", "refused", 511}, Reason{"skipped", "no consent", 9_000}, Reason{"skipped", "suppressed", 998})
	sale.State, sale.Label = "sending", "second wave"
	stuck := run(14, "win-back", Numbers{Audience: 300, Planned: 299})
	stuck.State, stuck.Reason, stuck.FinishedAt = "paused", &paused, nil
	r := Report{At: at}
	for _, runs := range [][]Run{birthday, {sale}, {stuck}} {
		r.Campaigns = append(r.Campaigns, Campaign{Name: runs[0].Campaign, Sum: sum(runs), Runs: runs})
	}
	return r
}

// only is the report of some campaigns.
func only(r Report, names ...string) Report {
	var kept []Campaign
	for _, c := range r.Campaigns {
		if strings.Contains(strings.Join(names, " "), c.Name) {
			kept = append(kept, c)
		}
	}
	return Report{At: r.At, Campaigns: kept}
}

func render(t *testing.T, write func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTableGolden(t *testing.T) {
	t.Parallel()
	many := only(example(), "birthday")
	for range 30 {
		many.Campaigns[0].Runs = append(many.Campaigns[0].Runs, many.Campaigns[0].Runs[0])
	}
	for name, c := range map[string]struct {
		r     Report
		o     TableOptions
		write func(io.Writer, Report, TableOptions) error
	}{
		"all.txt":        {example(), TableOptions{}, WriteTable},
		"wide.txt":       {only(example(), "spring-sale"), TableOptions{Width: 160}, WriteTable},
		"wrapped.txt":    {only(example(), "spring-sale"), TableOptions{Width: 50}, WriteStatus},
		"narrow.txt":     {only(example(), "birthday"), TableOptions{Width: 50}, WriteTable},
		"color.txt":      {only(example(), "birthday", "win-back"), TableOptions{Color: true}, WriteTable},
		"many.txt":       {many, TableOptions{MaxRuns: 3}, WriteTable},
		"summary.txt":    {example(), TableOptions{MaxRuns: 2}, WriteTable},
		"no-runs.txt":    {Report{Campaigns: []Campaign{{Name: "birthday"}}}, TableOptions{}, WriteTable},
		"empty.txt":      {Report{}, TableOptions{}, WriteTable},
		"status.txt":     {only(example(), "spring-sale"), TableOptions{}, WriteStatus},
		"status-bad.txt": {only(example(), "win-back"), TableOptions{}, WriteStatus},
		"status-all.txt": {example(), TableOptions{}, WriteStatus},
		"status-no.txt":  {Report{}, TableOptions{}, WriteStatus},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := render(t, func(w io.Writer) error { return c.write(w, c.r, c.o) })
			golden(t, name, got)
			for line := range strings.Lines(got) {
				line = strings.TrimRight(line, "\n")
				prose := !strings.HasPrefix(text.StripEscape(line), "  ")
				if limit := max(c.o.Width, 80); !prose && text.StringWidthWithoutEscSequences(line) > limit {
					t.Errorf("wider than %d: %s", limit, line)
				}
				if strings.HasSuffix(line, " ") {
					t.Errorf("ends with a space: %q", line)
				}
			}
		})
	}
}

func TestJSONGolden(t *testing.T) {
	t.Parallel()
	got := render(t, func(w io.Writer) error { return WriteJSON(w, only(example(), "birthday", "win-back")) })
	golden(t, "report.json", got)
	var back Report
	if err := json.Unmarshal([]byte(got), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(example().Campaigns[0].Sum, back.Campaigns[0].Sum); diff != "" {
		t.Errorf("read back:\n%s", diff)
	}
	if got := render(t, func(w io.Writer) error { return WriteJSON(w, Report{Campaigns: group(nil, nil)}) }); !strings.Contains(got, `"campaigns": []`) {
		t.Errorf("an empty report is %s", got)
	}
}

func TestCSVGolden(t *testing.T) {
	t.Parallel()
	got := render(t, func(w io.Writer) error { return WriteCSV(w, example()) })
	golden(t, "report.csv", got)
	records, err := csv.NewReader(strings.NewReader(got)).ReadAll()
	if err != nil || len(records) != 6 {
		t.Errorf("%d records, %v", len(records), err)
	}
}

func TestWriteErrorsAreReturned(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	for name, write := range map[string]func(io.Writer) error{
		"table":  func(w io.Writer) error { return WriteTable(w, example(), TableOptions{}) },
		"status": func(w io.Writer) error { return WriteStatus(w, example(), TableOptions{}) },
		"json":   func(w io.Writer) error { return WriteJSON(w, example()) },
		"csv":    func(w io.Writer) error { return WriteCSV(w, example()) },
	} {
		if err := write(failing{full}); !errors.Is(err, full) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestNumbersAsText(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 100000: "100,000"} {
		if got := number(n); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
	half, none := 0.5, ratio(1, 0)
	if percent(&half) != "50.0%" || percent(none) != "–" {
		t.Errorf("%s %s", percent(&half), percent(none))
	}
	if got := sparkline([]float64{0, 0.5, 1, 0.01}); got != "▁▅█▁" {
		t.Errorf("sparkline is %s", got)
	}
	if got := sparkline([]float64{0, 0}); got != "▁▁" {
		t.Errorf("sparkline of nothing is %s", got)
	}
}
