package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/customer/privacy"
)

func newExportCustomerCommand(a *app) *cobra.Command {
	var out string
	var withRow bool
	c := &cobra.Command{
		Use:   "export-customer CUSTOMER",
		Short: "Write everything that Sapa holds about a customer, as JSON",
		Long: `Writes addresses, messages with their attempts, reports, hits and responses, decisions on consent with
their evidence, suppressions and messages from the customer. docs/privacy.md describes the shape. Your own table has
more: --with-row adds the columns of the customer's row that sapa.yaml maps.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return runExportCustomer(c.Context(), a, out, privacy.ExportOptions{Customer: args[0], Now: a.now(), WithRow: withRow})
		},
	}
	c.Flags().StringVar(&out, "out", "", "file to write, which must not exist yet (default: standard output)")
	c.Flags().BoolVar(&withRow, "with-row", false, "also the mapped columns of the customer's own row")
	return c
}

func runExportCustomer(ctx context.Context, a *app, out string, o privacy.ExportOptions) (err error) {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if out == "" {
		w := bufio.NewWriter(a.stdout)
		return errors.Join(privacy.Export(ctx, s.pool, s.schema, w, o), w.Flush())
	}
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists already: name another file, or remove this one", out)
	}
	if err != nil {
		return fmt.Errorf("export customer %s: %w", o.Customer, err)
	}
	w := bufio.NewWriter(f)
	if err := errors.Join(privacy.Export(ctx, s.pool, s.schema, w, o), w.Flush(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(out)) // half an export is none
	}
	fmt.Fprintf(a.stdout, "written to %s\n", out)
	return nil
}
