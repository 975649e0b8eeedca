package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/campaign"
)

type approveOptions struct {
	version   int
	yes, json bool
}

func newApproveCommand(a *app) *cobra.Command {
	var o approveOptions
	c := &cobra.Command{
		Use:   "approve [CAMPAIGN]",
		Short: "Approve a version that somebody else applied; without a campaign, list what waits",
		Long: `Where a campaign, or sapa.yaml, says "approval: required", a version that is applied waits
until somebody else approves it; until then runs and schedules use the version before. Shows
who applied it, what changed, and whom it would reach now against whom the version before
would, and asks.

Who acts is the account of the operating system, or SAPA_ACTOR.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.listWaiting(c.Context(), o.json)
			}
			return runApprove(c.Context(), a, args[0], o)
		},
	}
	c.Flags().IntVar(&o.version, "version", 0, "number of the version (default: the one that waits)")
	c.Flags().BoolVar(&o.yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON; only shows what waits, unless with --yes")
	return c
}

func (a *app) listWaiting(ctx context.Context, asJSON bool) error {
	s, err := a.openProjectDB(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	list, err := campaign.WaitingVersions(ctx, s.pool)
	if err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(list)
	}
	if len(list) == 0 {
		fmt.Fprintln(a.stdout, "no version waits for approval")
	}
	for _, w := range list {
		fmt.Fprintln(a.stdout, waits(w))
	}
	return nil
}

// waits is what to know about a version that waits.
func waits(w campaign.Waiting) string {
	until := fmt.Sprintf("version %d runs until then", w.Current)
	if w.Current == 0 {
		until = "nothing runs until then"
	}
	return fmt.Sprintf("%s version %d, applied by %s on %s, waits for approval by somebody else; %s", w.Campaign, w.Number, w.AppliedBy,
		w.AppliedAt.Local().Format("Mon 2 Jan 2006 15:04 MST"), until)
}

func runApprove(ctx context.Context, a *app, name string, o approveOptions) error {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	planner, err := s.planner(a)
	if err != nil {
		return err
	}
	review, err := planner.Review(ctx, name, o.version)
	if err != nil {
		return err
	}
	if !o.json {
		a.printReview(review)
	}
	yes := o.yes
	if !yes && o.json {
		return a.printJSON(review)
	}
	if err := review.MayApprove(a.actor()); err != nil {
		return err
	}
	if !yes {
		if err := a.confirmChange(fmt.Sprintf("--version %d --yes", review.Number), "\napprove version %d of %s?", review.Number, name); err != nil {
			return err
		}
	}
	change, err := planner.Approve(ctx, name, review.Number, a.actor())
	if err != nil {
		return err
	}
	if o.json {
		return a.printJSON(change)
	}
	next := ""
	if change.Tick != "" {
		next = ", next tick " + change.Tick
	}
	fmt.Fprintf(a.stdout, "\nversion %d of %s is approved%s\n", change.Number, name, next)
	return nil
}

func (a *app) printReview(r *campaign.Review) {
	fmt.Fprintln(a.stdout, waits(r.Waiting))
	for _, c := range r.Changes {
		fmt.Fprintf(a.stdout, "\n%s\n  %s\n", c.File, strings.Join(c.Lines, "\n  "))
	}
	fmt.Fprintln(a.stdout)
	if r.Before != nil {
		fmt.Fprintf(a.stdout, "a run of version %d would send %s now, to an audience of %s\n", r.Current, thousands(r.Before.Planned), thousands(r.Before.Audience))
	}
	fmt.Fprintf(a.stdout, "a run of version %d would send %s now, to an audience of %s\n", r.Number, thousands(r.After.Planned), thousands(r.After.Audience))
	for _, warning := range []string{r.After.Refused, r.After.Hold} {
		if warning != "" {
			fmt.Fprintf(a.stdout, "  %s\n", strings.ReplaceAll(warning, "\n", "\n  "))
		}
	}
}
