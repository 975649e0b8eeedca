package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/access"
)

func newLogCommand(a *app) *cobra.Command {
	var f access.LogFilter
	var since string
	var asJSON bool
	c := &cobra.Command{
		Use:   "log",
		Short: "Who changed what: the audit log, the newest first",
		Long: `Every change to campaigns, runs, consent, suppressions and users is in the audit log, with who made
it: an account of the operating system, a Sapa user, or "sapa" and "schedule" for Sapa itself.`,
		Example: `  sapa log --actor ani --since 7d
  sapa log --subject "run 12"
  sapa log --subject user --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if f.Since, err = parseSince(since, a.now()); err != nil {
				return &exitError{exitUsage, err}
			}
			if f.Limit < 1 || f.Before < 0 {
				return &exitError{exitUsage, errors.New("--limit and --before: write numbers from 1")}
			}
			return a.users(c.Context(), func(ctx context.Context, s *session) error {
				list, err := access.Log(ctx, s.pool, f)
				if err != nil {
					return err
				}
				if asJSON {
					return a.printJSON(list)
				}
				return a.printLog(list, f.Limit)
			})
		},
	}
	c.Flags().StringVar(&f.Actor, "actor", "", "only what this account or user did")
	c.Flags().StringVar(&f.Action, "action", "", "only this, such as apply, run, pause, \"user add\"")
	c.Flags().StringVar(&f.Subject, "subject", "", "only about this, such as \"run 12\", or a kind, such as run")
	c.Flags().StringVar(&since, "since", "", "only since a date (2026-11-01) or within a time (30d, 12h)")
	c.Flags().IntVar(&f.Limit, "limit", 50, "at most so many")
	c.Flags().Int64Var(&f.Before, "before", 0, "only older than the entry with this number")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// detailWords writes what an entry says more as keys with their values.
func detailWords(detail map[string]any) string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(detail)) {
		if v := detail[key]; v != nil && v != "" {
			words = append(words, fmt.Sprintf("%s %v", key, v))
		}
	}
	return strings.Join(words, ", ")
}

func (a *app) printLog(list []access.Logged, limit int) error {
	t := a.table("no.", "when", "actor", "action", "subject", "details")
	for _, e := range list {
		t.AppendRow([]any{e.ID, a.moment(e.At), e.Actor, e.Action, e.Subject, detailWords(e.Detail)})
	}
	if width := a.tableOptions().Width; width > 0 {
		t.Style().Size.WidthMax = width
	}
	t.Render()
	if len(list) == limit {
		fmt.Fprintf(a.stdout, "older ones: sapa log --before %d\n", list[len(list)-1].ID)
	}
	return nil
}
