package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/sandbox"
)

type sandboxOptions struct {
	smtp, http, dir, misbehave string
	expose                     bool
}

func newSandboxCommand(a *app) *cobra.Command {
	var o sandboxOptions
	c := &cobra.Command{
		Use:   "sandbox",
		Short: "Run a mail server that catches everything and shows it on a page",
		Long: `A real SMTP server on this machine that delivers nothing: what it accepts is on the disk
before it says so, and shown on a page. Point sapa.yaml at it to try campaigns out:

  channels:
    email: {smtp: "smtp://127.0.0.1:2525", from: "Me <me@example.com>"}`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runSandbox(c.Context(), a, o) },
	}
	c.Flags().StringVar(&o.smtp, "smtp", "127.0.0.1:2525", "address of the SMTP server")
	c.Flags().StringVar(&o.http, "http", "127.0.0.1:8025", "address of the page")
	c.Flags().StringVar(&o.dir, "dir", "", "folder of the mail (default: .sapa/mail in the project)")
	c.Flags().StringVar(&o.misbehave, "misbehave", "", "rules of misbehaviour; the page's help has them")
	c.Flags().BoolVar(&o.expose, "expose", false, "permit addresses that other machines can reach; nothing has a password")
	return c
}

func runSandbox(ctx context.Context, a *app, o sandboxOptions) error {
	rules, err := sandbox.ParseRules(o.misbehave)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("--misbehave: %w", err)}
	}
	if o.dir == "" {
		o.dir = filepath.Join(a.dir, ".sapa", "mail")
	}
	server, err := sandbox.Start(ctx, sandbox.Config{SMTPAddr: o.smtp, HTTPAddr: o.http, Dir: o.dir, Log: a.log(), Misbehave: rules, Expose: o.expose, Now: a.now})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "catching mail on smtp://%s, showing it on http://%s; stop with Ctrl-C\n", server.SMTPAddr(), server.HTTPAddr())
	<-ctx.Done()
	return server.Close()
}
