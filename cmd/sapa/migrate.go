package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/migrations"
)

func newMigrateCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Make or update Sapa's own tables in the database of DATABASE_URL",
		Long: `Makes Sapa's tables (and River's) in schema "sapa", or SAPA_SCHEMA, and brings them up to
date. The company's tables are not touched. A private cluster is kept up to date by itself.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runMigrate(c.Context(), a) },
	}
}

func runMigrate(ctx context.Context, a *app) error {
	url := a.env("DATABASE_URL")
	if url == "" {
		s, err := a.openDB(ctx)
		if err != nil {
			return err
		}
		s.close()
		fmt.Fprintln(a.stdout, "the private database is up to date")
		return nil
	}
	pool, err := pg.Connect(ctx, url, pg.Options{Schema: a.dbSchema()})
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := migrations.Up(ctx, pool, a.dbSchema()); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "schema %s is up to date\n", a.dbSchema())
	return nil
}
