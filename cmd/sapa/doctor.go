package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/migrations"
)

// errSetup says that doctor found something to mend, which it has printed.
var errSetup = errors.New("the set-up needs mending, see above")

func newDoctorCommand(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the set-up and say how to mend what is wrong",
		Long: `Checks the database that Sapa would use, without changing anything: DATABASE_URL with
its rights and tables, or, where that is not set, PostgreSQL's programs and the
private cluster. Exit code 1 when something needs mending.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runDoctor(cmd.Context(), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	return cmd
}

func (a *app) runDoctor(ctx context.Context, asJSON bool) error {
	dir, err := pg.DefaultDir(a.dir, a.env)
	if err != nil {
		return err
	}
	checks := pg.CheckAll(ctx, pg.CheckOptions{
		URL: a.env("DATABASE_URL"), Schema: a.env("SAPA_SCHEMA"), Dir: dir, Pending: migrations.Pending, Home: delivery.CheckInstallation,
	})
	if asJSON {
		return a.doctorJSON(checks)
	}
	if !pg.PrintChecks(a.stdout, checks) {
		return errSetup
	}
	return nil
}

func (a *app) doctorJSON(checks []pg.Check) error {
	out := json.NewEncoder(a.stdout)
	out.SetIndent("", "  ")
	if err := out.Encode(checks); err != nil {
		return err
	}
	for _, c := range checks {
		if !c.OK {
			return errSetup
		}
	}
	return nil
}
