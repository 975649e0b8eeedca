package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/campaign"
)

func newAdoptCommand(a *app) *cobra.Command {
	var yes, hold, asJSON bool
	c := &cobra.Command{
		Use:   "adopt",
		Short: "Let a database that was copied or renamed send from now on; first everything is held",
		Long: `Sapa remembers the database that it was set up in, and sends nothing from another: a dump
that was restored to try something out must not write to customers. "sapa adopt" makes this
database the one that sends, after a restore that is meant to replace the first one.

Before that, everything is held: runs that are being planned or sent are paused (look at
each, then sapa resume or sapa cancel), and ticks that have passed make no run.

A copy of a cluster's files, or of the disk below them, can't be told from the first one:
after restoring one, begin with sapa adopt --hold.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runAdopt(c.Context(), a, yes, hold, asJSON) },
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&hold, "hold", false, "hold everything although the database is the recorded one")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func runAdopt(ctx context.Context, a *app, yes, hold, asJSON bool) error {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	planner, err := s.planner(a)
	if err != nil {
		return err
	}
	plan, err := planner.Adopt(ctx, a.actor(), campaign.AdoptOptions{DryRun: true, Hold: hold})
	if err != nil {
		return err
	}
	if !plan.Needed() && !hold {
		if asJSON {
			return a.printJSON(plan)
		}
		fmt.Fprintf(a.stdout, "this database, %s of the cluster %s, is the one that sends; there is nothing to adopt\n", plan.To.Database, plan.To.SystemIdentifier)
		return nil
	}
	if !asJSON {
		a.printAdoption(plan)
		fmt.Fprintln(a.stdout)
	}
	if !yes {
		question := "let this database send from now on?"
		if !plan.Needed() {
			question = "hold all this?"
		}
		if err := a.confirmChange("--yes", "%s", question); err != nil {
			return err
		}
	}
	done, err := planner.Adopt(ctx, a.actor(), campaign.AdoptOptions{Hold: hold})
	if err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(done)
	}
	a.sayAdopted(done)
	return nil
}

func (a *app) sayAdopted(done *campaign.Adoption) {
	paused := "no run is paused"
	switch n := len(done.Paused) + len(done.Waiting); {
	case n == 1:
		paused = "1 run is paused"
	case n > 1:
		paused = thousands(n) + " runs are paused"
	}
	if done.Needed() {
		fmt.Fprintf(a.stdout, "\nthis database sends from now on; %s. The other one must not send any more: stop its sapa serve\n", paused)
		return
	}
	fmt.Fprintf(a.stdout, "\neverything is held; %s, see: sapa status. If this is a copy of a disk or of a cluster's files, the one that it was copied from must not send any more\n", paused)
}

func (a *app) printAdoption(p *campaign.Adoption) {
	fmt.Fprintf(a.stdout, "recorded: database %s of the cluster %s\nhere:     database %s of the cluster %s\n\n",
		p.From.Database, p.From.SystemIdentifier, p.To.Database, p.To.SystemIdentifier)
	if p.Needed() {
		fmt.Fprintln(a.stdout, "adopting it would")
	} else {
		fmt.Fprintln(a.stdout, "holding everything would")
	}
	for _, r := range p.Paused {
		fmt.Fprintf(a.stdout, "  pause run %d of %s, with %s messages waiting\n", r.Run, r.Campaign, thousands(r.Waiting))
	}
	for _, name := range p.Moved {
		fmt.Fprintf(a.stdout, "  move the schedule of %s to its next tick, without a run for those that have passed\n", name)
	}
	for _, name := range p.Stopped {
		fmt.Fprintf(a.stdout, "  end the schedule of %s, whose version does not fit the tables here; sapa apply begins it anew\n", name)
	}
	if len(p.Paused)+len(p.Moved)+len(p.Stopped) == 0 {
		fmt.Fprintln(a.stdout, "  pause nothing: no run is being planned or sent, and no schedule is due")
	}
	for _, r := range p.Waiting {
		fmt.Fprintf(a.stdout, "  leave run %d of %s paused, with %s messages waiting\n", r.Run, r.Campaign, thousands(r.Waiting))
	}
}
