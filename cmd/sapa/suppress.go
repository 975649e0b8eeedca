package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/customer/importer"
	"github.com/sapa-crm/sapa/internal/diag"
)

type suppressOptions struct {
	channel, reason string
	remove          bool
}

func newSuppressCommand(a *app) *cobra.Command {
	var o suppressOptions
	c := &cobra.Command{
		Use:   "suppress ADDRESS…",
		Short: "Never use addresses again; list, import and export those that must not be used",
		Long: `Suppresses e-mail addresses and phone numbers: nothing is sent to them any more, whatever
a customer's consent says, also of runs that are under way. The channel is guessed from the
address (with an @ it is e-mail, otherwise SMS); a number that must not be used for
WhatsApp or calls needs --channel. Numbers without a country code are read by the default
region of sapa.yaml. Where an address is suppressed already, the first reason stays.`,
		Example: `  sapa suppress budi@example.com 0811-234-567 --reason "asked by telephone"
  sapa suppress --remove budi@example.com
  sapa suppress import robinson-list.csv --hashed --channel email`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return runSuppress(c.Context(), a, args, o) },
	}
	c.Flags().StringVar(&o.channel, "channel", "", "email, sms, whatsapp, voice or calls, instead of guessing")
	c.Flags().StringVar(&o.reason, "reason", "by hand", "why, in a few words")
	c.Flags().BoolVar(&o.remove, "remove", false, "permit the addresses again")
	c.AddCommand(newSuppressListCommand(a), newSuppressImportCommand(a), newSuppressExportCommand(a))
	return c
}

// checkChannel refuses what is no channel with addresses that can be suppressed.
func checkChannel(channel string) error {
	known := customer.Suppressible()
	if channel == "" || slices.Contains(known, channel) {
		return nil
	}
	return &exitError{exitUsage, fmt.Errorf("--channel: no channel %q with addresses; %s", channel, diag.DidYouMean(channel, known))}
}

func runSuppress(ctx context.Context, a *app, args []string, o suppressOptions) error {
	if err := checkChannel(o.channel); err != nil {
		return err
	}
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	list, err := s.readAddresses(args, o.channel)
	if err != nil {
		return err
	}
	if o.remove {
		return s.unsuppress(ctx, a, list)
	}
	added, err := customer.SuppressByHand(ctx, s.pool, list, customer.Suppression{Reason: o.reason, Source: a.actor(), At: a.now()})
	if err != nil {
		return err
	}
	for i, one := range list {
		if added[i] {
			fmt.Fprintf(a.stdout, "%s is suppressed on %s\n", one.Address, one.Channel)
			continue
		}
		before, _, err := customer.Suppressed(ctx, s.pool, one.Channel, one.Address)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "%s was suppressed on %s already: %s, %s, %s\n", one.Address, one.Channel, before.Reason, before.Source, a.moment(before.At))
	}
	return nil
}

// moment is a time as people of the company read it, in their own zone.
func (a *app) moment(t time.Time) string { return t.In(a.zone()).Format("2006-01-02 15:04 MST") }

// zone is the company's; UTC where sapa.yaml can't be read.
func (a *app) zone() *time.Location {
	if a.companyZone == nil {
		a.companyZone = time.UTC
		if config, err := a.loadConfig(); err == nil {
			if zone, err := time.LoadLocation(config.Customers.Timezone.Default); err == nil {
				a.companyZone = zone
			}
		}
	}
	return a.companyZone
}

// readAddresses reads all of the arguments before anything is changed.
func (s *session) readAddresses(args []string, channel string) ([]customer.ChannelAddress, error) {
	var list []customer.ChannelAddress
	for _, text := range args {
		one, read, err := customer.ReadSuppressible(channel, text, s.schema.Region.Default)
		if err != nil {
			return nil, err
		}
		if !read.Usable() {
			hint := "; see: sapa suppress --help"
			if one.Channel != "email" && s.schema.Region.Default == "" {
				hint = "; write it as +62811…, or give sapa.yaml a region"
			}
			return nil, fmt.Errorf("%q can't be an address on %s (%s); nothing was changed%s", text, one.Channel, read.Reason, hint)
		}
		if !slices.Contains(list, one) {
			list = append(list, one)
		}
	}
	return list, nil
}

func (s *session) unsuppress(ctx context.Context, a *app, list []customer.ChannelAddress) error {
	was, err := customer.UnsuppressByHand(ctx, s.pool, a.actor(), list)
	if err != nil {
		return err
	}
	for i, one := range list {
		said := "may be used again on"
		if !was[i] {
			said = "was not suppressed on"
		}
		fmt.Fprintf(a.stdout, "%s %s %s\n", one.Address, said, one.Channel)
	}
	return nil
}

func newSuppressListCommand(a *app) *cobra.Command {
	var channel string
	var asCSV bool
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List suppressed addresses with reason, source and time, the latest first",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return runSuppressList(c.Context(), a, channel, asCSV, limit)
		},
	}
	c.Flags().StringVar(&channel, "channel", "", "only those of email, sms, whatsapp, voice or calls")
	c.Flags().BoolVar(&asCSV, "csv", false, "all of them, as CSV")
	c.Flags().IntVar(&limit, "limit", 50, "at most so many, 0 = all")
	return c
}

func runSuppressList(ctx context.Context, a *app, channel string, asCSV bool, limit int) error {
	if err := checkChannel(channel); err != nil {
		return err
	}
	if err := checkLimit(limit); err != nil {
		return err
	}
	s, err := a.openProjectDB(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if asCSV {
		return listSuppressionsCSV(ctx, a, s, channel)
	}
	t, n := a.table("channel", "address", "reason", "source", "at"), 0
	err = customer.ListSuppressions(ctx, s.pool, channel, func(one *customer.SuppressedAddress) error {
		if n++; limit == 0 || n <= limit {
			t.AppendRow([]any{one.Channel, one.Known(), one.Reason, one.Source, a.moment(one.At)})
		}
		return nil
	})
	if err != nil {
		return err
	}
	if n == 0 {
		fmt.Fprintln(a.stdout, "nothing is suppressed")
		return nil
	}
	t.Render()
	if limit > 0 && n > limit {
		fmt.Fprintf(a.stdout, "%s of %s; all with --limit 0 or --csv\n", thousands(limit), thousands(n))
	}
	return nil
}

type suppressImportOptions struct {
	customer.SuppressionList
}

func newSuppressImportCommand(a *app) *cobra.Command {
	var o suppressImportOptions
	c := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Suppress the addresses of a list: CSV, TSV or one on each line, plain or hashed",
		Long: `Reads a list in one transaction; importing it again adds nothing. A first line that names
columns is recognised; the addresses are in the column named address, email, phone and the
like, or --column. Columns channel, reason and at (a date or time) are taken over.

--hashed is for lists of SHA-256 digests, 64 hexadecimal digits of the address in lower case
(of a phone number in the form +62811234567). They suppress addresses that Sapa knows at
once, and others when it meets them.

Lines that can't be used go to FILE.rejects.csv with line, column, value and reason.

Exit codes: 0 everything is suppressed · 1 nothing was changed, the message says why ·
2 wrong command line · 3 done, but some lines were rejected.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return runSuppressImport(c.Context(), a, args[0], o) },
	}
	f := c.Flags()
	f.StringVar(&o.Channel, "channel", "", "email, sms, whatsapp, voice or calls, instead of the list's column or guessing")
	f.StringVar(&o.Column, "column", "", "name of the column with the addresses")
	f.BoolVar(&o.Hashed, "hashed", false, "the list has SHA-256 digests instead of addresses")
	f.StringVar(&o.Reason, "reason", "list", "why, where the list does not say")
	f.StringVar(&o.Rejects, "rejects", "", "file for lines that can't be used (FILE.rejects.csv)")
	return c
}

func runSuppressImport(ctx context.Context, a *app, path string, o suppressImportOptions) (err error) {
	if err := checkChannel(o.Channel); err != nil {
		return err
	}
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if o.Source, err = importer.Open(path, a.stdin); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Source.Close()) }()
	o.Actor, o.Now, o.Region = a.actor(), a.now(), s.schema.Region.Default
	done, err := customer.ImportSuppressions(ctx, s.pool, o.SuppressionList)
	if err != nil {
		return err
	}
	return a.printList(done, "suppressed")
}

// printList says what importing a list did.
func (a *app) printList(r customer.ListResult, word string) error {
	line := fmt.Sprintf("%s: %s newly %s", counted(r.Records, "line"), thousands(r.Added), word)
	for _, part := range []struct {
		n    int
		what string
	}{{r.Already, "already there"}, {r.Older, "older than what the customer has said since"}, {r.Repeated, "repeated in the list"}} {
		if part.n > 0 {
			line += fmt.Sprintf(", %s %s", thousands(part.n), part.what)
		}
	}
	if r.Rejected > 0 {
		line += fmt.Sprintf(", %s rejected (see %s)", thousands(r.Rejected), r.Rejects)
	}
	fmt.Fprintln(a.stdout, line)
	if r.Pending > 0 {
		wait := "wait"
		if r.Pending == 1 {
			wait = "waits"
		}
		fmt.Fprintf(a.stdout, "%s %s for the customer's confirmation, which a campaign with  confirms:  asks for\n", thousands(r.Pending), wait)
	}
	if r.Rejected > 0 {
		return &exitError{code: exitPartial}
	}
	return nil
}

func newSuppressExportCommand(a *app) *cobra.Command {
	var channel, output string
	var hashed bool
	c := &cobra.Command{
		Use:   "export",
		Short: "Write the suppressed addresses as CSV, plain or hashed, as import reads them",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return runSuppressExport(c.Context(), a, channel, output, hashed)
		},
	}
	c.Flags().StringVar(&channel, "channel", "", "only those of email, sms, whatsapp, voice or calls")
	c.Flags().BoolVar(&hashed, "hashed", false, "SHA-256 digests instead of addresses")
	c.Flags().StringVarP(&output, "output", "o", "", "file to write, which only its owner can read (standard output)")
	return c
}

func runSuppressExport(ctx context.Context, a *app, channel, output string, hashed bool) (err error) {
	if err := checkChannel(channel); err != nil {
		return err
	}
	s, err := a.openProjectDB(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	out := a.stdout
	if output != "" {
		f, err := os.OpenFile(output, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("export suppressions: %w", err)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		out = f
	}
	done, err := customer.ExportSuppressions(ctx, s.pool, out, channel, hashed)
	if err != nil {
		return err
	}
	var left []string
	if done.Erased > 0 {
		left = append(left, thousands(done.Erased)+" whose address was erased: they stay suppressed here, and can't be exported")
	}
	if done.Hashed > 0 {
		left = append(left, thousands(done.Hashed)+" that are known by their digest only: export them with --hashed")
	}
	if len(left) > 0 {
		fmt.Fprintf(a.stderr, "%s exported; without %s\n", thousands(done.Written), strings.Join(left, "; and "))
	}
	return nil
}
