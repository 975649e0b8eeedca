package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/report"
)

func newStatusCommand(a *app) *cobra.Command {
	var asJSON, all, watch, untilDone bool
	c := &cobra.Command{
		Use:   "status [RUN]",
		Short: "Where runs stand: what was sent, what waits, and whether it adds up",
		Long: `Shows the runs that are under way, or one run with its whole accounting and the copies for
your own people (seeds:); campaigns in quarantine; versions that wait for approval; and how
far accounts are with their warm-up.

--watch looks every second: in a terminal it writes over what it wrote before, elsewhere it
writes a line for each run that has changed. With --until-done it ends when no run is under
way: exit code 3 when messages failed or are unknown, 1 when a run was paused or cancelled.`,
		Example: `  sapa status --watch
  sapa status 12 --watch --until-done >> run-12.log`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			f := report.Filter{Open: !all}
			if len(args) == 1 {
				run, err := strconv.Atoi(args[0])
				if err != nil || run < 1 {
					return &exitError{exitUsage, fmt.Errorf("%q is not the number of a run; see: sapa status --all", args[0])}
				}
				f = report.Filter{Run: run}
			}
			switch {
			case untilDone && !watch:
				return &exitError{exitUsage, errors.New("--until-done belongs to --watch; give both")}
			case watch && asJSON:
				return &exitError{exitUsage, errors.New("--watch writes no JSON; leave one of --watch and --json out")}
			case watch:
				return a.watchStatus(c.Context(), f, untilDone)
			}
			return a.status(c.Context(), f, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "for programs; that of sapa report, with seeds, quarantined, waiting and warm_ups")
	c.Flags().BoolVar(&watch, "watch", false, "look again every second, until Ctrl-C")
	c.Flags().BoolVar(&untilDone, "until-done", false, "with --watch: until no run is under way")
	c.Flags().BoolVar(&all, "all", false, "runs that are done or cancelled, too")
	return c
}

// standing is a report with what keeps campaigns from running.
type standing struct {
	report.Report
	Seeds       []report.SeedCopy     `json:"seeds,omitempty"` // of the one run that was asked for
	Quarantined []campaign.Quarantine `json:"quarantined,omitempty"`
	Waiting     []campaign.Waiting    `json:"waiting_for_approval,omitempty"`
	// WarmUps are the accounts that are being warmed up.
	WarmUps []delivery.WarmUpState `json:"warm_ups,omitempty"`
}

func (a *app) status(ctx context.Context, f report.Filter, asJSON bool) error {
	s, err := a.openProjectDB(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	st, err := s.standing(ctx, f)
	if err != nil {
		return err
	}
	if st.WarmUps, err = a.warmUps(ctx, s.pool); err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(st)
	}
	if err := report.WriteStatus(a.stdout, st.Report, a.tableOptions()); err != nil {
		return err
	}
	a.printRails(st)
	a.printWarmUps(st.WarmUps)
	return nil
}

func (s *session) standing(ctx context.Context, f report.Filter) (st standing, err error) {
	if st.Report, err = report.Campaigns(ctx, s.pool, f); err != nil {
		return st, err
	}
	if f.Run > 0 {
		st.Seeds, err = report.Seeds(ctx, s.pool, f.Run)
		return st, err
	}
	if st.Quarantined, err = campaign.Quarantines(ctx, s.pool); err != nil {
		return st, err
	}
	st.Waiting, err = campaign.WaitingVersions(ctx, s.pool)
	return st, err
}

func (a *app) printRails(st standing) {
	if len(st.Seeds) > 0 {
		fmt.Fprintln(a.stdout, "\ncopies for your own people")
	}
	for _, c := range st.Seeds {
		words := ""
		if c.State != "sent" && c.Words != "" {
			words = ": " + c.Words
		}
		fmt.Fprintf(a.stdout, "  %-8s %s, %s%s\n", c.State, c.Address, a.moment(c.At), words)
	}
	if len(st.Quarantined)+len(st.Waiting) > 0 {
		fmt.Fprintln(a.stdout)
	}
	for _, q := range st.Quarantined {
		fmt.Fprintln(a.stdout, quarantined(q))
	}
	for _, w := range st.Waiting {
		fmt.Fprintf(a.stdout, "%s: sapa approve %s\n", waits(w), w.Campaign)
	}
}
