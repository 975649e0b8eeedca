package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
)

type previewOptions struct {
	customer, sendTo, asOf, html, pdf, channel string
	json                                       bool
}

func newPreviewCommand(a *app) *cobra.Command {
	var o previewOptions
	c := &cobra.Command{
		Use:   "preview CAMPAIGN",
		Short: "Compose a campaign's message for one customer, from the files as they are now",
		Long: `Composes the message for a customer of the audience, or the one of --customer, and prints it.
Of a campaign with several channels it is the one that the customer would be reached by, and
why. Nothing is stored and nothing is tracked; --send-to sends that one message to you, by the
account in sapa.yaml, and to nobody else. Of a text message it says what it costs.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return runPreview(c.Context(), a, args[0], o) },
	}
	c.Flags().StringVar(&o.customer, "customer", "", "key of the customer (default: the first of the audience)")
	c.Flags().StringVar(&o.sendTo, "send-to", "", "send the message to this address or number: yours")
	c.Flags().StringVar(&o.asOf, "as-of", "", "as of this date, or date and time (default: now)")
	c.Flags().StringVar(&o.html, "html", "", "write the HTML part to this file")
	c.Flags().StringVar(&o.pdf, "pdf", "", "of a letter: print it to this file")
	c.Flags().StringVar(&o.channel, "channel", "", "of a campaign with several: the message by this one (default: the one by which a run would reach the customer)")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return c
}

func runPreview(ctx context.Context, a *app, name string, o previewOptions) error {
	s, c, err := a.openCampaign(ctx, name)
	if err != nil {
		return err
	}
	defer s.close()
	var tick time.Time
	if o.asOf != "" {
		if tick, err = campaign.ParseTick(o.asOf); err != nil {
			return &exitError{exitUsage, fmt.Errorf("--as-of %w", err)}
		}
	}
	p, err := s.previewBy(ctx, a, c, o, tick)
	if err != nil {
		return err
	}
	if o.html != "" {
		if err := os.WriteFile(filepath.Clean(o.html), []byte(p.Message.HTML), 0o600); err != nil {
			return fmt.Errorf("write the HTML part: %w", err)
		}
	}
	if o.pdf != "" {
		if err := s.printProof(a, p, o.pdf); err != nil {
			return err
		}
	}
	if o.json {
		err = a.printJSON(p)
	} else {
		a.printPreview(p, o.html)
		s.sayProof(a, p, o.pdf)
	}
	if err == nil && o.sendTo != "" {
		err = s.sendPreview(ctx, a, p, o.sendTo)
	}
	return err
}

// previewBy composes the message by the channel that was asked for, or else by the one that a run would take for the customer.
func (s *session) previewBy(ctx context.Context, a *app, c *campaign.Campaign, o previewOptions, tick time.Time) (*campaign.Preview, error) {
	if o.channel != "" {
		one, err := c.On(o.channel)
		if err != nil {
			return nil, &exitError{exitUsage, err}
		}
		c = one
	}
	return c.Preview(ctx, s.pool, o.customer, tick, a.now(), s.exampleURL())
}

// printPreview shows a message; html is the file in which its HTML part is, if there is one.
func (a *app) printPreview(p *campaign.Preview, html string) {
	due := "in the audience now"
	switch {
	case p.Skipped != "":
		due += ", but would be skipped: " + p.Skipped
	case !p.Due:
		due = "NOT in the audience now"
	}
	fmt.Fprintf(a.stdout, "customer %s, %s\n", p.CustomerKey, due)
	if way := p.Way(); way != "" {
		fmt.Fprintf(a.stdout, "channel: %s\n", way)
	}
	if len(p.Rows) > 0 && p.Rows[0] != "" {
		fmt.Fprintf(a.stdout, "rows:    %s\n", strings.Join(p.Rows, ", "))
	}
	switch {
	case p.Cost != nil:
		a.printTextPreview(p)
		return
	case p.Message.Parts != nil:
		a.printPartsPreview(p)
		return
	}
	fmt.Fprintf(a.stdout, "to:      %s <%s>\nsubject: %s\n\n%s\n", p.Message.To.Name, p.Message.To.Addr, p.Message.Subject, strings.TrimRight(p.Message.Text, "\n"))
	switch {
	case p.Message.HTML == "":
	case html != "":
		fmt.Fprintf(a.stdout, "\n(and an HTML part of %d bytes, which is in %s)\n", len(p.Message.HTML), html)
	default:
		fmt.Fprintf(a.stdout, "\n(and an HTML part of %d bytes; see it with --html FILE)\n", len(p.Message.HTML))
	}
}

// printTextPreview shows a text message and what it costs.
func (a *app) printTextPreview(p *campaign.Preview) {
	number := ""
	switch {
	case p.Address == "":
		number = ", no text reaches them: no number"
	case p.Unusable != "":
		number = ", no text reaches it: " + p.Unusable
	case p.Number != "" && p.Number != p.Address:
		number = ", " + p.Number
	}
	fmt.Fprintf(a.stdout, "to:      %s <%s>%s\n\n%s\n\n", p.Message.To.Name, p.Address, number, p.Message.Text)
	fmt.Fprintf(a.stdout, "%s, %s, %s\n", counted(p.Cost.Characters, "character"), p.Cost.Encoding, counted(p.Cost.Segments, "segment"))
	if refused := p.Cost.TooLong(); refused != "" {
		fmt.Fprintln(a.stdout, refused)
	}
	if advice := p.Cost.Advice(); advice != "" {
		fmt.Fprintln(a.stdout, advice)
	}
	a.printExampleLinks(p)
}

// printExampleLinks says where links in the place of the examples lead.
func (a *app) printExampleLinks(p *campaign.Preview) {
	for i, l := range p.Links {
		if i == 0 {
			fmt.Fprintln(a.stdout, "\nthe short addresses are examples, as long as those of a message; theirs lead to")
		}
		fmt.Fprintf(a.stdout, "  %s  %s\n", l.Short, l.Target)
	}
}

// exampleURL is what the short links of a previewed text begin with.
func (s *session) exampleURL() string {
	base, err := s.publicURL()
	if err != nil {
		return "https://sapa.your-company.example"
	}
	return base
}

// sendPreview hands one message over to the author.
func (s *session) sendPreview(ctx context.Context, a *app, p *campaign.Preview, to string) error {
	if err := sendable(p.Channel); err != nil {
		return err
	}
	if err := delivery.CheckInstallation(ctx, s.pool); err != nil {
		return err
	}
	account, err := s.account(p.Channel)
	if err != nil {
		return err
	}
	m := *p.Message
	m.From, m.To = account.From, channels.Address{Addr: to}
	m.Token, m.UnsubscribeURL = fmt.Sprintf("preview-%d", a.now().UnixNano()), ""
	if customer.Regional(p.Channel) {
		number, err := customer.Normalise(p.Channel, to, s.schema.Region.Default)
		if err != nil {
			return err
		}
		if !number.Usable() {
			return &exitError{exitUsage, fmt.Errorf("--send-to %s: %s", to, number.Reason)}
		}
		m.To.Addr = number.Normalised
	} else {
		m.Subject = "[preview] " + m.Subject
	}
	receipt, err := sendOne(ctx, account.Channel, &m)
	if err != nil {
		return fmt.Errorf("send the preview to %s: %w", m.To.Addr, err)
	}
	segments := ""
	if receipt.Segments > 0 {
		segments = ", " + counted(receipt.Segments, "segment")
	}
	fmt.Fprintf(a.stderr, "sent to %s by %s: %d %s%s\n", m.To.Addr, account.Channel.Account(), receipt.Code, receipt.Words, segments)
	if len(p.Links) > 0 {
		fmt.Fprintln(a.stderr, "its short addresses are examples and lead nowhere")
	}
	return nil
}

func sendOne(ctx context.Context, channel channels.Channel, m *channels.Message) (receipt channels.Receipt, err error) {
	session, err := channel.Open(ctx)
	if err != nil {
		return receipt, err
	}
	in := make(chan *channels.Message, 1)
	in <- m
	close(in)
	broken := session.Deliver(ctx, in, func(*channels.Message) error { return nil }, func(_ *channels.Message, r channels.Receipt, verdict error) {
		receipt, err = r, verdict
	})
	return receipt, errors.Join(err, broken, session.Close())
}

// counted is a number with its noun.
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return thousands(n) + " " + noun
}
