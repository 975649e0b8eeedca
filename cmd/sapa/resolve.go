package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/channels/email"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/response"
)

type resolveOptions struct {
	logs      []string
	complete  bool
	customers []string
	accepted  bool
	refused   bool
	resend    bool
}

func newResolveCommand(a *app) *cobra.Command {
	var o resolveOptions
	c := &cobra.Command{
		Use:   "resolve RUN",
		Short: "Settle a run's unknown messages: from the mail server's log, by hand, or by sending them again",
		Long: `A message is unknown when it was handed over and no answer came back: the connection broke, or the
process died. It is not sent again by itself. Without flags, says how many there are.

--log FILE reads a log of the mail server (Postfix, Exim, or lines of a Message-ID and the word accepted
or refused; .gz and - for standard input, too) and settles what it decides. With --complete
the logs have everything that the server accepted since the run began: what they do not
have was not accepted, is failed, and sapa retry takes it up. Logs say nothing about texts and calls.

--accepted, --refused and --resend decide for all of them, or with --customer for some. What is
sent again may arrive twice, both times with the same Message-ID.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return runResolve(c.Context(), a, args[0], o) },
	}
	c.Flags().StringSliceVar(&o.logs, "log", nil, "a log of the mail server; several times for several")
	c.Flags().BoolVar(&o.complete, "complete", false, "with --log: what the logs do not have was not accepted")
	c.Flags().StringSliceVar(&o.customers, "customer", nil, "only the messages of this customer; several times for several")
	c.Flags().BoolVar(&o.accepted, "accepted", false, "they arrived: sent")
	c.Flags().BoolVar(&o.refused, "refused", false, "they did not arrive: failed, free for sapa retry")
	c.Flags().BoolVar(&o.resend, "resend", false, "send them again, although some may have arrived")
	c.MarkFlagsMutuallyExclusive("log", "accepted", "refused", "resend")
	return c
}

func runResolve(ctx context.Context, a *app, arg string, o resolveOptions) error {
	run, err := strconv.Atoi(arg)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("%q is not the number of a run; see: sapa status --all", arg)}
	}
	if o.complete && len(o.logs) == 0 {
		return &exitError{exitUsage, errors.New("--complete says something about logs; name them with --log")}
	}
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	planner, err := s.planner(a)
	if err != nil {
		return err
	}
	unknown, err := planner.Unknown(ctx, run, o.customers)
	if err != nil {
		return err
	}
	decidable, err := planner.Unknown(ctx, run, o.customers, o.channels()...)
	if err != nil {
		return err
	}
	findings, by, err := o.findings(ctx, a, s, decidable)
	if err != nil {
		return err
	}
	if by == "" || len(unknown) == 0 {
		return a.sayUnknown(run, len(unknown))
	}
	return a.resolve(ctx, s, planner, run, findings, by, len(unknown))
}

// sayUnknown says what could be done.
func (a *app) sayUnknown(run, n int) error {
	if n == 0 {
		fmt.Fprintf(a.stdout, "run %d has no unknown messages\n", run)
		return nil
	}
	fmt.Fprintf(a.stdout, `run %[1]d has %[2]s unknown messages: they were handed over and no answer came back
  who they are                    sapa messages %[1]d --state unknown
  settle them by the server's log sapa resolve %[1]d --log FILE
  or decide for all of them       sapa resolve %[1]d --accepted, --refused or --resend
`, run, thousands(n))
	return nil
}

// resolve settles, and sends from here what nobody else would send.
func (a *app) resolve(ctx context.Context, s *session, p *campaign.Planner, run int, findings []delivery.Finding, by string, unknown int) error {
	here := false
	if slices.ContainsFunc(findings, func(f delivery.Finding) bool { return f.Is == delivery.Resend }) {
		var err error
		if here, err = s.sendsHere(ctx, run); err != nil {
			return err
		}
	}
	settled, err := p.Resolve(ctx, run, findings, a.actor(), by)
	if err != nil {
		return err
	}
	left := unknown
	for _, n := range settled {
		left -= n
	}
	fmt.Fprintf(a.stdout, "run %d: %s sent, %s failed, %s to be sent again, %s still unknown\n", run, thousands(settled[delivery.WasAccepted]),
		thousands(settled[delivery.NotAccepted]), thousands(settled[delivery.Resend]), thousands(left))
	if settled[delivery.NotAccepted] > 0 {
		fmt.Fprintf(a.stdout, "send those that failed again with: sapa retry %d\n", run)
	}
	if settled[delivery.Resend] == 0 {
		return nil
	}
	return s.sendSomewhere(ctx, a, p, run, here)
}

// channels are those about whose messages the options can say something; none is all. A mail server's log has no texts: what
// it does not have may have been accepted all the same.
func (o resolveOptions) channels() []string {
	if len(o.logs) > 0 {
		return []string{"email"}
	}
	return nil
}

// findings are what the options say about the unknown messages, and in a few words what that rests on; "" when they say
// nothing.
func (o resolveOptions) findings(ctx context.Context, a *app, s *session, unknown []int64) ([]delivery.Finding, string, error) {
	switch {
	case len(o.logs) > 0:
		list, err := o.fromLogs(ctx, a, s, unknown)
		return list, "the mail server's log", err
	case o.accepted:
		return decided(unknown, delivery.WasAccepted, "accepted, says "+a.actor()), "hand", nil
	case o.refused:
		return decided(unknown, delivery.NotAccepted, "not accepted, says "+a.actor()), "hand", nil
	case o.resend:
		return decided(unknown, delivery.Resend, ""), "hand", nil
	}
	return nil, "", nil
}

func decided(unknown []int64, is delivery.Resolution, words string) []delivery.Finding {
	list := make([]delivery.Finding, len(unknown))
	for i, id := range unknown {
		list[i] = delivery.Finding{Message: id, Is: is, Words: words}
	}
	return list
}

// fromLogs is what the logs say about the unknown messages. One that a server accepted anywhere was accepted.
func (o resolveOptions) fromLogs(ctx context.Context, a *app, s *session, unknown []int64) ([]delivery.Finding, error) {
	keys, err := response.LoadKeyring(ctx, s.pool)
	if err != nil {
		return nil, err
	}
	found := make(map[int64]delivery.Finding, len(unknown))
	for _, id := range unknown {
		found[id] = delivery.Finding{Message: id}
	}
	ours := func(messageID string) bool {
		_, known := found[messageOf(keys, messageID)]
		return known
	}
	entry := func(e email.LogEntry) error {
		f := found[messageOf(keys, e.MessageID)]
		if f.Is != delivery.WasAccepted {
			f.Is, f.ProviderID, f.Words = verdictOf(e), e.QueueID, "by the mail server's log"
			found[f.Message] = f
		}
		return nil
	}
	for _, name := range o.logs {
		if err := readLog(a, name, ours, entry); err != nil {
			return nil, err
		}
	}
	var list []delivery.Finding
	for _, id := range unknown {
		f := found[id]
		if f.Is == "" && o.complete {
			f.Is, f.Words = delivery.NotAccepted, "not in the mail server's log"
		}
		if f.Is != "" {
			list = append(list, f)
		}
	}
	return list, nil
}

func verdictOf(e email.LogEntry) delivery.Resolution {
	if e.Accepted {
		return delivery.WasAccepted
	}
	return delivery.NotAccepted
}

// messageOf is the message that a Message-ID names; 0 when it is none of ours.
func messageOf(keys *response.Keyring, messageID string) int64 {
	token, _, _ := strings.Cut(messageID, "@")
	t, err := keys.Verify(token)
	if err != nil || t.Kind != response.Message {
		return 0
	}
	return t.MessageID
}

func readLog(a *app, name string, ours func(string) bool, entry func(email.LogEntry) error) error {
	var in io.Reader = a.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return &exitError{exitUsage, fmt.Errorf("--log: %w", err)}
		}
		defer f.Close() //nolint:errcheck // it was only read
		in = f
	}
	if strings.HasSuffix(name, ".gz") {
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return fmt.Errorf("--log %s: %w", name, err)
		}
		in = unpacked
	}
	return email.ReadLog(in, ours, entry)
}
