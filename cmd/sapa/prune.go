package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/customer/privacy"
)

type pruneOptions struct {
	before            string
	yes, dryRun, json bool
}

func newPruneCommand(a *app) *cobra.Command {
	var o pruneOptions
	c := &cobra.Command{
		Use:   "prune --before MONTH",
		Short: "Drop months of messages; totals, occasions and unsubscribe links stay",
		Long: `Drops the messages, attempts, hits and responses of whole months before the given one. Reports keep their
totals, nobody gets an occasion twice, and links in old mails go on working; sapa messages has nothing more to list.
A month with runs that are not over, or with messages that are planned, claimed or unknown, stays.

The section retention of sapa.yaml has it done by itself:  retention: {messages: 24mo}`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runPrune(c.Context(), a, o) },
	}
	c.Flags().StringVar(&o.before, "before", "", "the first month that stays, such as 2026-05")
	c.Flags().BoolVar(&o.yes, "yes", false, "drop without asking")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would be dropped, and change nothing")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return c
}

// pruneReport is what prune prints as JSON.
type pruneReport struct {
	Months []privacy.Pruned `json:"months"`
	Stay   []string         `json:"stay"`
}

func runPrune(ctx context.Context, a *app, o pruneOptions) error {
	if o.before == "" {
		return &exitError{exitUsage, errors.New("say the first month that stays, such as --before 2026-05\nsee: sapa prune --help")}
	}
	before, err := privacy.ParseMonth(o.before)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("--before %w", err)}
	}
	if current := privacy.MonthOf(a.now()); before > current {
		return &exitError{exitUsage, fmt.Errorf("--before %s: only months that are over can be dropped, so %s at the latest", before, current)}
	}
	s, err := a.openProjectDB(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	months, err := privacy.Months(ctx, s.pool, before)
	if err != nil {
		return err
	}
	r := pruneReport{Months: []privacy.Pruned{}, Stay: []string{}}
	for _, m := range months {
		if err := r.note(m, m.Month.Open(ctx, s.pool)); err != nil {
			return err
		}
	}
	if len(r.Months)+len(r.Stay) == 0 && !o.json {
		fmt.Fprintf(a.stdout, "there are no messages before %s\n", o.before)
		return nil
	}
	if !o.yes || o.dryRun {
		if done, err := a.askPrune(r, o); done || err != nil {
			return err
		}
	}
	r, err = s.pruneAll(ctx, a, r.Months, r.Stay)
	if o.json {
		return errors.Join(err, a.printJSON(r))
	}
	for _, m := range r.Months {
		fmt.Fprintf(a.stdout, "%s is dropped: %s\n", m.Month, sizes(m))
	}
	a.printStay(r)
	if err == nil && len(r.Stay) > 0 {
		return &exitError{code: exitPartial}
	}
	return err
}

// note takes a month as one that goes, or that stays with the reason.
func (r *pruneReport) note(m privacy.Pruned, err error) error {
	open, refused := errors.AsType[*privacy.OpenError](err)
	switch {
	case refused:
		r.Stay = append(r.Stay, open.Error())
	case err != nil:
		return err
	default:
		r.Months = append(r.Months, m)
	}
	return nil
}

// askPrune shows what would go; done says that this was all.
func (a *app) askPrune(r pruneReport, o pruneOptions) (done bool, err error) {
	if o.json {
		if !o.dryRun {
			return true, &exitError{exitUsage, errors.New("with --json, add --yes or --dry-run")}
		}
		return true, a.printJSON(r)
	}
	for _, m := range r.Months {
		fmt.Fprintf(a.stdout, "%s would be dropped: %s\n", m.Month, sizes(m))
	}
	a.printStay(r)
	if len(r.Months) == 0 {
		return true, &exitError{code: exitPartial}
	}
	if o.dryRun {
		return true, nil
	}
	return false, a.confirmLoss("This can't be undone. Drop them?")
}

func (s *session) pruneAll(ctx context.Context, a *app, months []privacy.Pruned, stay []string) (pruneReport, error) {
	r := pruneReport{Months: []privacy.Pruned{}, Stay: stay}
	for _, m := range months {
		done, err := privacy.Prune(ctx, s.pool, m.Month, a.actor())
		if err := r.note(done, err); err != nil {
			return r, err
		}
	}
	return r, privacy.Sweep(ctx, s.pool)
}

func (a *app) printStay(r pruneReport) {
	for _, why := range r.Stay {
		fmt.Fprintln(a.stderr, why)
	}
}

func sizes(m privacy.Pruned) string {
	return fmt.Sprintf("%s messages and %s attempts of %s runs",
		thousands(int(m.Messages)), thousands(int(m.Attempts)), thousands(int(m.Runs)))
}
