package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/report"
)

func newCheckCommand(a *app) *cobra.Command {
	var mend bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Count the whole ledger again and compare it with the totals that status and report show",
		Long: `Counts messages, attempts and responses one by one and compares them with the totals. It may run while
others send. Differences are printed and the exit code is 1; --mend makes the totals what the ledger says.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.openProjectDB(c.Context())
			if err != nil {
				return err
			}
			defer s.close()
			if mend {
				list, err := report.Mend(c.Context(), s.pool)
				if err != nil {
					return err
				}
				err = access.Record(c.Context(), s.pool, access.Entry{Actor: a.actor(), Action: "mend", Subject: "totals", Detail: map[string]any{"numbers": len(list)}})
				if err != nil {
					return err
				}
				a.printDifferences(list)
				fmt.Fprintf(a.stdout, "mended %d\n", len(list))
			}
			list, err := report.Check(c.Context(), s.pool)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				fmt.Fprintln(a.stdout, "everything adds up")
				return nil
			}
			a.printDifferences(list)
			return fmt.Errorf("%d numbers are not what the ledger says", len(list))
		},
	}
	c.Flags().BoolVar(&mend, "mend", false, "make the totals what the ledger says")
	return c
}

func (a *app) printDifferences(list []report.Difference) {
	for _, d := range list {
		fmt.Fprintln(a.stdout, d)
	}
}
