package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// WriteJSON writes the report as one indented JSON document. Its keys are those of the views; rates are shares from 0 to 1, or
// null where there is nothing to divide by.
func WriteJSON(w io.Writer, r Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// WriteCSV writes one line per run (RFC 4180), with a head that names the columns of view report_runs, and the reasons
// as "hard bounce=3; refused=1", and answers alike. An empty field is a missing value.
func WriteCSV(w io.Writer, r Report) error {
	c := csv.NewWriter(w)
	fields := csvFields()
	record := make([]string, len(fields))
	for i, f := range fields {
		record[i] = f.name
	}
	if err := c.Write(record); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	for _, campaign := range r.Campaigns {
		for n := range campaign.Runs {
			for i, f := range fields {
				record[i] = f.value(&campaign.Runs[n])
			}
			if err := c.Write(record); err != nil {
				return fmt.Errorf("write the report: %w", err)
			}
		}
	}
	c.Flush()
	return c.Error()
}

type csvField struct {
	name  string
	value func(*Run) string
}

func csvFields() []csvField {
	count := func(f func(*Run) int64) func(*Run) string {
		return func(r *Run) string { return strconv.FormatInt(f(r), 10) }
	}
	share := func(f func(*Run) *float64) func(*Run) string {
		return func(r *Run) string { return shareText(f(r)) }
	}
	known := func(f func(*Run) *int64) func(*Run) string {
		return func(r *Run) string { return knownText(f(r)) }
	}
	return []csvField{
		{"campaign", func(r *Run) string { return r.Campaign }},
		{"run_id", func(r *Run) string { return strconv.Itoa(r.RunID) }},
		{"version", func(r *Run) string { return strconv.Itoa(r.Version) }},
		{"label", func(r *Run) string { return r.Label }},
		{"tick", func(r *Run) string { return r.TickText }},
		{"as_of", func(r *Run) string { return timeText(&r.AsOf) }},
		{"state", func(r *Run) string { return r.State }},
		{"finished_at", func(r *Run) string { return timeText(r.FinishedAt) }},
		{"audience", count(func(r *Run) int64 { return r.Audience })},
		{"already", count(func(r *Run) int64 { return r.Already })},
		{"planned", count(func(r *Run) int64 { return r.Planned })},
		{"claimed", count(func(r *Run) int64 { return r.Claimed })},
		{"sent", count(func(r *Run) int64 { return r.Sent })},
		{"failed", count(func(r *Run) int64 { return r.Failed })},
		{"skipped", count(func(r *Run) int64 { return r.Skipped })},
		{"held_out", count(func(r *Run) int64 { return r.HeldOut })},
		{"unknown", count(func(r *Run) int64 { return r.Unknown })},
		{"bounced", count(func(r *Run) int64 { return r.Bounced })},
		{"opened", count(func(r *Run) int64 { return r.Opened })},
		{"opens", count(func(r *Run) int64 { return r.Opens })},
		{"clicked", count(func(r *Run) int64 { return r.Clicked })},
		{"clicks", count(func(r *Run) int64 { return r.Clicks })},
		{"unsubscribed", count(func(r *Run) int64 { return r.Unsubscribed })},
		{"machine_opened", count(func(r *Run) int64 { return r.MachineOpened })},
		{"machine_opens", count(func(r *Run) int64 { return r.MachineOpens })},
		{"machine_clicked", count(func(r *Run) int64 { return r.MachineClicked })},
		{"machine_clicks", count(func(r *Run) int64 { return r.MachineClicks })},
		{"open_rate", share(func(r *Run) *float64 { return r.OpenRate })},
		{"click_rate", share(func(r *Run) *float64 { return r.ClickRate })},
		{"click_to_open_rate", share(func(r *Run) *float64 { return r.ClickToOpenRate })},
		{"unsubscribe_rate", share(func(r *Run) *float64 { return r.UnsubscribeRate })},
		{"bounce_rate", share(func(r *Run) *float64 { return r.BounceRate })},
		{"delivered", known(func(r *Run) *int64 { return r.Delivered })},
		{"undelivered", known(func(r *Run) *int64 { return r.Undelivered })},
		{"read", known(func(r *Run) *int64 { return r.Read })},
		{"replied", known(func(r *Run) *int64 { return r.Replied })},
		{"delivery_rate", share(func(r *Run) *float64 { return r.DeliveryRate })},
		{"undelivered_rate", share(func(r *Run) *float64 { return r.UndeliveredRate })},
		{"reply_rate", share(func(r *Run) *float64 { return r.ReplyRate })},
		{"segments", known(func(r *Run) *int64 { return r.Segments })},
		{"priced", known(func(r *Run) *int64 { return r.Priced })},
		{"cost", costText},
		{"currency", func(r *Run) string { return value(r.Currency) }},
		{"rungs", count(func(r *Run) int64 { return r.Rungs })},
		{"planned_cost", func(r *Run) string { return amountText(r.PlannedCost) }},
		{"budget", func(r *Run) string { return amountText(r.Budget) }},
		{"planned_currency", func(r *Run) string { return value(r.PlannedCurrency) }},
		{"undelivered_causes", causesText},
		{"failed_reasons", func(r *Run) string { return reasonsText(r, "failed") }},
		{"skipped_reasons", func(r *Run) string { return reasonsText(r, "skipped") }},
		{"answers", answersText},
	}
}

func knownText(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

func costText(r *Run) string { return amountText(r.Cost) }

func amountText(a *Amount) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// causesText is "30003=2; 30005=1"; an error without a code is "?".
func causesText(r *Run) string {
	parts := make([]string, len(r.Causes))
	for i, c := range r.Causes {
		parts[i] = fmt.Sprintf("%s=%d", codeText(c.Code), c.Messages)
	}
	return strings.Join(parts, "; ")
}

func codeText(code *int) string {
	if code == nil {
		return "?"
	}
	return strconv.Itoa(*code)
}

func shareText(share *float64) string {
	if share == nil {
		return ""
	}
	return strconv.FormatFloat(*share, 'g', 6, 64)
}

func timeText(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func reasonsText(r *Run, state string) string {
	var parts []string
	for _, reason := range r.Reasons {
		if reason.State == state {
			parts = append(parts, fmt.Sprintf("%s=%d", reason.Reason, reason.Messages))
		}
	}
	return strings.Join(parts, "; ")
}
