// Command sapa is the campaign engine: one binary for marketers, schedulers, analysts and operators.
// Run "sapa help" for its verbs; each verb is one file of this package.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes, also in "sapa help".
const (
	exitOK      = 0
	exitFailed  = 1 // nothing was done, or the message says what was
	exitUsage   = 2 // the command line is wrong
	exitPartial = 3 // done, but not for everything: rejects, failed messages
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program without its process: tests call it.
func run(ctx context.Context, args []string, env func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := newApp(env, stdin, stdout, stderr)
	root := newRootCommand(a)
	root.SetArgs(args)
	return a.exitCode(root.ExecuteContext(ctx))
}

// exitError carries an exit code other than 1. Its err may be nil when everything has been said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitCode is the one place where an error becomes words and a number.
func (a *app) exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	code := codeOf(err)
	if e, ok := errors.AsType[*exitError](err); !ok || e.err != nil {
		fmt.Fprintf(a.stderr, "sapa: %v\n", err)
	}
	return code
}

func codeOf(err error) int {
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return exitFailed
}

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "sapa",
		Short: "Campaigns over the customers that are already in your PostgreSQL",
		Long: `Sapa greets each customer with the right message at the right time: whom a campaign
reaches is a rule over your own PostgreSQL tables, written in YAML.

Exit codes: 0 done · 1 not done, the message says why · 2 wrong command line ·
3 done, but not for everything (rejected rows, failed messages).`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &exitError{exitUsage, fmt.Errorf("%w\nsee: %s --help", err, c.CommandPath())}
	})
	root.PersistentFlags().StringVar(&a.dir, "project", ".", "folder with sapa.yaml, campaigns/ and templates/")
	root.AddCommand(a.commands()...)
	return root
}
