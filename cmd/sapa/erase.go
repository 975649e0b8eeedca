package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/customer/privacy"
)

type eraseOptions struct{ yes, dryRun, json bool }

func newEraseCommand(a *app) *cobra.Command {
	var o eraseOptions
	c := &cobra.Command{
		Use:   "erase CUSTOMER",
		Short: "Forget a customer who asked for it: addresses, IPs, texts, evidence; totals stay",
		Long: `Blanks everything that Sapa holds about the customer with this key, in one transaction. Their messages
stay for counting, under a pseudonym; addresses that were suppressed stay so, as a keyed hash.

Your own table is not touched. While the customer's row is still there, nothing is sent to it; once it is gone, the
key may be given to somebody new, who inherits nothing. Backups and copies of the database are yours to mind:
docs/privacy.md.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return runErase(c.Context(), a, args[0], o) },
	}
	c.Flags().BoolVar(&o.yes, "yes", false, "erase without asking")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would be erased, and change nothing")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return c
}

func runErase(ctx context.Context, a *app, key string, o eraseOptions) error {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	how := privacy.EraseOptions{Customer: key, Actor: a.actor(), Now: a.now, DryRun: true}
	if !o.yes || o.dryRun {
		e, err := privacy.Erase(ctx, s.pool, s.schema, how)
		if err != nil {
			return err
		}
		if o.json && o.dryRun {
			return a.printJSON(e)
		}
		a.printErasure(e, s.schema.Customer.Table.String())
		if o.dryRun {
			return nil
		}
		if err := a.confirmLoss("This can't be undone. Erase?"); err != nil {
			return err
		}
	}
	how.DryRun = false
	e, err := privacy.Erase(ctx, s.pool, s.schema, how)
	if err != nil {
		return err
	}
	if o.json {
		return a.printJSON(e)
	}
	a.sayErased(e)
	return nil
}

// printErasure says what is, or would be, erased.
func (a *app) printErasure(e *privacy.Erasure, table string) {
	fmt.Fprintf(a.stdout, "customer %s\n", e.Customer)
	if e.RowPresent {
		fmt.Fprintf(a.stdout, "  the row in %s is there: while it is, nothing is sent to it\n", table)
	} else {
		fmt.Fprintf(a.stdout, "  the row in %s is gone\n", table)
	}
	for _, at := range e.Before {
		fmt.Fprintf(a.stdout, "  erased before, %s\n", at)
	}
	for _, line := range []struct {
		n     int64
		words string
	}{
		{e.Messages, "messages stay under a pseudonym, without address"},
		{e.Planned, "of them are planned, and skipped"},
		{e.Claimed, "of them are being handed over now; that is waited for"},
		{e.Occasions, "occasions stay under the pseudonym"},
		{e.Addresses, "addresses go"},
		{e.Shared, "addresses stay, because messages of other customers use them"},
		{e.Suppressions, "suppressed addresses stay as keyed hashes"},
		{e.Consents, "decisions on consent stay under the pseudonym, without evidence"},
		{e.Hits, "hits lose IP and user agent"},
		{e.Links, "short links lose their personal part"},
		{e.Words, "answers of servers lose their words"},
		{e.Inbound, "messages from the customer lose sender and text"},
		{e.Events, "events of the customer lose their data"},
	} {
		if line.n > 0 {
			fmt.Fprintf(a.stdout, "  %s %s\n", thousands(int(line.n)), line.words)
		}
	}
}

func (a *app) sayErased(e *privacy.Erasure) {
	switch {
	case e.Number == 0:
		fmt.Fprintf(a.stdout, "customer %s was erased before, %s; nothing of theirs is left\n", e.Customer, strings.Join(e.Before, ", "))
	case e.RowPresent:
		fmt.Fprintf(a.stdout, "customer %s is erased (erasure %d); while the row is there, nothing is sent to it\n", e.Customer, e.Number)
	default:
		fmt.Fprintf(a.stdout, "customer %s is erased (erasure %d)\n", e.Customer, e.Number)
	}
}

// errUnconfirmed says that a person did not agree, or that there is none.
var errUnconfirmed = errors.New("nothing was changed")

// confirmLoss asks a person before something is lost; where nobody can be asked the answer is no.
func (a *app) confirmLoss(question string) error {
	return a.confirmChange("--yes", "%s", question)
}

// confirmChange asks a person before something is changed; flags are how to go ahead where nobody can be asked.
func (a *app) confirmChange(flags, question string, args ...any) error {
	yes, err := a.ask(question, args...)
	switch {
	case errors.Is(err, errNoAnswer):
		return fmt.Errorf("%w; to go ahead without being asked, add %s", errUnconfirmed, flags)
	case err != nil:
		return err
	case !yes:
		return errUnconfirmed
	}
	return nil
}
