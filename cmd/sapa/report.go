package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sapa-crm/sapa/report"
)

func newReportCommand(a *app) *cobra.Command {
	var run int
	var since string
	var asCSV, asJSON bool
	c := &cobra.Command{
		Use:   "report [CAMPAIGN]",
		Short: "What campaigns did: sent, failed and why, opened, clicked, unsubscribed",
		Long: `What campaigns did, run by run. Opened, clicked and unsubscribed count messages, each once;
opens and clicks by privacy proxies and scanners are apart. docs/reporting.md defines each number,
and the SQL views with the same ones.`,
		Example: `  sapa report birthday
  sapa report --since 30d --csv > november.csv`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			f := report.Filter{Run: run, Campaign: strings.Join(args, "")}
			var err error
			if f.Since, err = parseSince(since, a.now()); err != nil {
				return &exitError{exitUsage, err}
			}
			return a.report(c, f, func(r report.Report) error {
				switch {
				case asCSV:
					return report.WriteCSV(a.stdout, r)
				case asJSON:
					return report.WriteJSON(a.stdout, r)
				}
				return report.WriteTable(a.stdout, r, a.tableOptions())
			})
		},
	}
	c.Flags().IntVar(&run, "run", 0, "only this run")
	c.Flags().StringVar(&since, "since", "", "only runs started since a date (2026-11-01) or within a time (30d, 12h)")
	c.Flags().BoolVar(&asCSV, "csv", false, "one line per run, for spreadsheets")
	c.Flags().BoolVar(&asJSON, "json", false, "for programs")
	c.MarkFlagsMutuallyExclusive("csv", "json")
	return c
}

// report reads what the filter chooses and shows it.
func (a *app) report(c *cobra.Command, f report.Filter, show func(report.Report) error) error {
	s, err := a.openProjectDB(c.Context())
	if err != nil {
		return err
	}
	defer s.close()
	r, err := report.Campaigns(c.Context(), s.pool, f)
	if err != nil {
		return err
	}
	return show(r)
}

// tableOptions fit the terminal. Colours are for people who did not ask for none (no-color.org).
func (a *app) tableOptions() report.TableOptions {
	if !terminal(a.stdout) {
		return report.TableOptions{}
	}
	return report.TableOptions{Width: terminalWidth(a.stdout), Color: a.env("NO_COLOR") == "" && a.env("TERM") != "dumb"}
}

// terminalWidth is 0 where it is not known.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// parseSince reads the flag --since.
func parseSince(text string, now time.Time) (time.Time, error) {
	t, err := report.ParseSince(text, now)
	if err != nil {
		return t, fmt.Errorf("--since %w", err)
	}
	return t, nil
}
