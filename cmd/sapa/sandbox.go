package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/sandbox"
)

type sandboxOptions struct {
	smtp, http, dir, misbehave string
	account, inbound           string
	hang, late, pace           time.Duration
	expose                     bool
}

func newSandboxCommand(a *app) *cobra.Command {
	var o sandboxOptions
	c := &cobra.Command{
		Use:   "sandbox",
		Short: "Run a mail server and a Twilio that catch everything and show it on a page",
		Long: `A real SMTP server on this machine that delivers nothing, and an HTTP server that speaks
Twilio's API: what they accept is on the disk before they say so, and shown on a page, where
texts and WhatsApp messages can be answered as the customer, and calls have a transcript.
Point sapa.yaml at it to try campaigns out:

  channels:
    email: {smtp: "smtp://127.0.0.1:2525", from: "Me <me@example.com>"}
    sms: {twilio: "${TWILIO_URL}", from: "+6281100000001"}
    whatsapp: {twilio: "${TWILIO_URL}", from: "+6281100000001"}
    voice: {twilio: "${TWILIO_URL}", from: "+6281100000001"}

with the TWILIO_URL that is printed at the start.

--misbehave takes these words with a share, separated by commas, such as
4xx=5%,sms-timeout-after=1%:

` + misbehaviourHelp(),
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runSandbox(c.Context(), a, o) },
	}
	c.Flags().StringVar(&o.smtp, "smtp", "127.0.0.1:2525", "address of the SMTP server")
	c.Flags().StringVar(&o.http, "http", "127.0.0.1:8025", "address of the page and of Twilio's API")
	c.Flags().StringVar(&o.dir, "dir", "", "folder of the mail and texts (default: .sapa/mail in the project)")
	c.Flags().StringVar(&o.misbehave, "misbehave", "", "rules of misbehaviour; the words are above")
	c.Flags().StringVar(&o.account, "twilio-account", sandbox.DefaultAccountSID+":"+sandbox.DefaultAuthToken, "account SID and token of Twilio's API")
	c.Flags().StringVar(&o.inbound, "inbound-url", sandbox.DefaultInboundURL, "where customers' texts go, on this machine")
	c.Flags().DurationVar(&o.pace, "pace", 500*time.Millisecond, "how long a text takes to be sent, and again to be delivered")
	c.Flags().DurationVar(&o.hang, "hang", 30*time.Second, "how long a request without an answer is held")
	c.Flags().DurationVar(&o.late, "late", 5*time.Second, "how late callbacks are that come late")
	c.Flags().BoolVar(&o.expose, "expose", false, "permit addresses that other machines can reach; nothing but Twilio's API has a password")
	return c
}

// misbehaviourHelp lists the words of --misbehave, one a line.
func misbehaviourHelp() string {
	var b strings.Builder
	for _, rule := range sandbox.Words() {
		fmt.Fprintf(&b, "  %-20s %s\n", rule.Name, rule.Help)
	}
	return strings.TrimRight(b.String(), "\n")
}

func runSandbox(ctx context.Context, a *app, o sandboxOptions) error {
	rules, err := sandbox.ParseRules(o.misbehave)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("--misbehave: %w", err)}
	}
	account, token, found := strings.Cut(o.account, ":")
	if !found || account == "" || token == "" {
		return &exitError{exitUsage, fmt.Errorf("--twilio-account: write SID:token, such as %s:secret", sandbox.DefaultAccountSID)}
	}
	if o.dir == "" {
		o.dir = filepath.Join(a.dir, ".sapa", "mail")
	}
	server, err := sandbox.Start(ctx, sandbox.Config{
		SMTPAddr: o.smtp, HTTPAddr: o.http, Dir: o.dir, Log: a.log(), Misbehave: rules, Expose: o.expose, Now: a.now,
		AccountSID: account, AuthToken: token, InboundURL: o.inbound, Pace: o.pace, Hang: o.hang, Late: o.late,
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, `catching mail and texts, showing them on http://%s; stop with Ctrl-C
  SMTP_URL=smtp://%s
  TWILIO_URL=%s
  customers' texts go to %s
`, server.HTTPAddr(), server.SMTPAddr(), server.TwilioURL(), o.inbound)
	<-ctx.Done()
	return server.Close()
}
