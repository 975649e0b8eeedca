package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/customer/importer"
	"github.com/sapa-crm/sapa/internal/diag"
)

type consentOptions struct {
	channel, topic, evidence string
}

// check refuses channels and topics that do not exist: a consent to them would mean nothing.
func (o *consentOptions) check(ctx context.Context, s *session) error {
	if o.channel != customer.Every && !slices.Contains(customer.Channels(), o.channel) {
		return &exitError{exitUsage, fmt.Errorf("--channel: no channel %q; %s", o.channel, diag.DidYouMean(o.channel, customer.Channels()))}
	}
	topics, err := s.schema.AllTopics(ctx, s.pool)
	if err != nil {
		return err
	}
	if why := customer.UnknownTopic(o.topic, topics); why != "" {
		return &exitError{exitUsage, fmt.Errorf("--topic %s: %s", o.topic, why)}
	}
	return nil
}

func newConsentChangeCommand(a *app, verb, short string, granted bool) *cobra.Command {
	var o consentOptions
	c := &cobra.Command{
		Use:   verb + " CUSTOMER",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return runConsentChange(c.Context(), a, args[0], o, customer.ConsentChange{Granted: granted})
		},
	}
	if granted {
		c.Long = `Records that a customer wants messages, as said to somebody of yours. A topic with opt_in: double
then waits until the customer confirms it by the link of a campaign with  confirms: TOPIC.
A column of yours that says no goes before what is recorded here.`
	}
	c.Flags().StringVar(&o.channel, "channel", customer.Every, "email, sms, … (every channel)")
	c.Flags().StringVar(&o.topic, "topic", customer.Every, "a topic (every topic)")
	c.Flags().StringVar(&o.evidence, "evidence", "", "what shows that the customer said so; personal data, blanked on erasure")
	return c
}

func runConsentChange(ctx context.Context, a *app, key string, o consentOptions, c customer.ConsentChange) error {
	return a.withCustomer(ctx, key, func(s *session, p *customer.Person) error {
		if err := o.check(ctx, s); err != nil {
			return err
		}
		c.CustomerKey, c.Channel, c.Topic, c.At = p.Key, o.channel, o.topic, a.now()
		if o.evidence != "" {
			c.Evidence = map[string]any{"note": o.evidence}
		}
		done, err := s.schema.ChangeConsent(ctx, s.pool, a.actor(), c)
		if err != nil {
			return err
		}
		if len(done) == 0 {
			fmt.Fprintf(a.stdout, "customer %s: nothing changes, the ledger says so already; see: sapa consent history %[1]s\n", p.Key)
		}
		for _, one := range done {
			fmt.Fprintf(a.stdout, "customer %s: %s\n", p.Key, describe(one))
		}
		s.warnColumns(a, p, c)
		return nil
	})
}

// describe says what an entry means, in words.
func describe(c customer.ConsentChange) string {
	topic, channel := "topic "+c.Topic, c.Channel
	if c.Topic == customer.Every {
		topic = "every topic"
	}
	if c.Channel == customer.Every {
		channel = "every channel"
	}
	what := topic + " on " + channel
	switch {
	case c.Resumes:
		return "the pause is over"
	case !c.Until.IsZero():
		return what + " is paused until " + c.Until.UTC().Format("2006-01-02 15:04") + " UTC"
	case c.Pending:
		return what + " was asked for, and the customer is to confirm it"
	case c.Granted:
		return what + " is granted"
	}
	return what + " is withdrawn"
}

// warnColumns says where one of the company's columns goes before what was granted.
func (s *session) warnColumns(a *app, p *customer.Person, c customer.ConsentChange) {
	if !c.Granted || c.Resumes {
		return
	}
	for _, channel := range slices.Sorted(maps.Keys(p.OptedIn)) {
		if !p.OptedIn[channel] && (c.Channel == channel || c.Channel == customer.Every) {
			fmt.Fprintf(a.stdout, "but the column %s says no, which goes before: nothing is sent on %s\n", s.schema.Consent.Columns[channel], channel)
		}
	}
}

func newConsentPauseCommand(a *app) *cobra.Command {
	var days int
	var evidence string
	c := &cobra.Command{
		Use:   "pause CUSTOMER --days 30",
		Short: "Send a customer nothing for some days; afterwards everything is as before",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if days < 1 || days > 3650 {
				return &exitError{exitUsage, fmt.Errorf("--days %d: write a number from 1 to 3650", days)}
			}
			o := consentOptions{channel: customer.Every, topic: customer.Every, evidence: evidence}
			return runConsentChange(c.Context(), a, args[0], o, customer.ConsentChange{Until: a.now().AddDate(0, 0, days)})
		},
	}
	c.Flags().IntVar(&days, "days", 30, "how many days")
	c.Flags().StringVar(&evidence, "evidence", "", "what shows that the customer said so; personal data, blanked on erasure")
	return c
}

func newConsentResumeCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "resume CUSTOMER",
		Short: "End a customer's pause before its time",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o := consentOptions{channel: customer.Every, topic: customer.Every}
			return runConsentChange(c.Context(), a, args[0], o, customer.ConsentChange{Granted: true, Resumes: true})
		},
	}
}

func newConsentImportCommand(a *app) *cobra.Command {
	var l customer.ConsentList
	c := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Record what customers said elsewhere, from a list with its evidence",
		Long: `Reads CSV or TSV whose first line names the columns: customer (the key of your customers
table) and granted (yes, y, true, t, 1, ya, granted; or no, n, false, f, 0, tidak, withdrawn),
and as there are channel, topic, at (when it was said) and evidence. It is done in one transaction; what the
ledger says already, or what is older than what the customer has said since, adds nothing.
Grants of topics with opt_in: double wait for the customer's confirmation.

Lines that can't be used go to FILE.rejects.csv with line, column, value and reason.

Exit codes: 0 everything is recorded · 1 nothing was changed, the message says why ·
2 wrong command line · 3 done, but some lines were rejected.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return runConsentImport(c.Context(), a, args[0], l) },
	}
	c.Flags().StringVar(&l.Channel, "channel", "", "channel of lines that do not say (every channel)")
	c.Flags().StringVar(&l.Topic, "topic", "", "topic of lines that do not say (every topic)")
	c.Flags().StringVar(&l.Rejects, "rejects", "", "file for lines that can't be used (FILE.rejects.csv)")
	return c
}

func runConsentImport(ctx context.Context, a *app, path string, l customer.ConsentList) (err error) {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	o := consentOptions{channel: l.Channel, topic: l.Topic}
	if o.channel == "" {
		o.channel = customer.Every
	}
	if o.topic == "" {
		o.topic = customer.Every
	}
	if err := o.check(ctx, s); err != nil {
		return err
	}
	if l.Topics, err = s.schema.AllTopics(ctx, s.pool); err != nil {
		return err
	}
	if l.Source, err = importer.Open(path, a.stdin); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Source.Close()) }()
	l.Actor, l.Now = a.actor(), a.now()
	done, err := s.schema.ImportConsents(ctx, s.pool, l)
	if err != nil {
		return err
	}
	return a.printList(done, "recorded")
}
