package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/customer/privacy"
)

func newRetentionCommand(a *app) *cobra.Command {
	var dryRun, json bool
	c := &cobra.Command{
		Use:   "retention",
		Short: "Blank and drop what is older than sapa.yaml's retention says; sapa serve does so every day",
		Long: `Goes through the kinds of personal data that docs/privacy.md lists and blanks what is older than the section
retention of sapa.yaml says; months of messages that are too old are dropped. It may run while others send.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runRetention(c.Context(), a, dryRun, json) },
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "show what would go, and change nothing")
	c.Flags().BoolVar(&json, "json", false, "print JSON")
	return c
}

func runRetention(ctx context.Context, a *app, dryRun, json bool) error {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	k := s.keeper(a, a.actor())
	work, word := k.Run, "gone"
	if dryRun {
		work, word = k.Look, "to go"
	}
	done, err := work(ctx)
	if err != nil {
		return err
	}
	if json {
		return a.printJSON(done)
	}
	t := a.table("kind", "kept for", "older than", word)
	for _, kept := range done.Kinds {
		before, rows := "", ""
		if !kept.Before.IsZero() {
			before, rows = kept.Before.UTC().Format(time.DateOnly), thousands(int(kept.Rows))
		}
		t.AppendRow([]any{kept.Kind, kept.Age, before, rows})
	}
	t.Render()
	for _, why := range done.Stay {
		fmt.Fprintln(a.stderr, why)
	}
	if done.Released > 0 {
		fmt.Fprintf(a.stdout, "%s keys of erased customers, whose rows are gone, may be used again\n", thousands(done.Released))
	}
	return nil
}

// keeper carries out the project's retention.
func (s *session) keeper(a *app, actor string) *privacy.Keeper {
	return &privacy.Keeper{Pool: s.pool, Schema: s.schema, Retention: s.config.Retention, Now: a.now, Actor: actor, Log: a.log()}
}
