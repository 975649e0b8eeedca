package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/report"
)

func newStatusCommand(a *app) *cobra.Command {
	var asJSON, all bool
	c := &cobra.Command{
		Use:   "status [RUN]",
		Short: "Where runs stand: what was sent, what waits, and whether it adds up",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			f := report.Filter{Open: !all}
			if len(args) == 1 {
				run, err := strconv.Atoi(args[0])
				if err != nil || run < 1 {
					return &exitError{exitUsage, fmt.Errorf("%q is not the number of a run; see: sapa status --all", args[0])}
				}
				f = report.Filter{Run: run}
			}
			return a.report(c, f, func(r report.Report) error {
				if asJSON {
					return report.WriteJSON(a.stdout, r)
				}
				return report.WriteStatus(a.stdout, r, a.tableOptions())
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "for programs; the same as that of sapa report")
	c.Flags().BoolVar(&all, "all", false, "runs that are done or cancelled, too")
	return c
}
