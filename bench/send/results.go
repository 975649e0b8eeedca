package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// results are the figures as other programs read them: medians. Ratios are Sapa's figure over the other's.
type results struct {
	Rate       float64  `json:"rate"` // messages per second
	GoMail     float64  `json:"gomail_ratio"`
	GoMailLean float64  `json:"gomail_lean_ratio"` // go-mail without NOOP and RSET
	GoMailFar  float64  `json:"gomail_ratio_5ms"`
	SMTPSource *float64 `json:"smtpsource_ratio"` // null: there was none
	CPU        float64  `json:"cpu_ratio"`        // of Sapa and PostgreSQL over that of go-mail's client
	SmallRSS   float64  `json:"rss_mb_10k"`
	BigRSS     float64  `json:"rss_mb_1m"`
	Plan       float64  `json:"plan_ratio"`
	Messages   int      `json:"messages"`
	Rounds     int      `json:"rounds"`
	Machine    string   `json:"machine"`
	Date       string   `json:"date"`
}

func (r *results) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

func round(x float64) float64 { return math.Round(x*1000) / 1000 }

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	if len(sorted) == 0 {
		return 0
	}
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// spread is "median (least–most)".
func spread(list []float64, format string) string {
	return fmt.Sprintf(format+" ("+format+"–"+format+")", median(list), slices.Min(list), slices.Max(list))
}
