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
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/heap"
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
	heap.Roomy()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program without its process: tests call it.
func run(ctx context.Context, args []string, env func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := newApp(env, stdin, stdout, stderr)
	root := newRootCommand(a)
	root.SetArgs(args)
	return a.exitCode(root.ExecuteContext(ctx))
}

// explainUsage makes wrong arguments a wrong command line that shows the right one, for a command and those below it.
func explainUsage(c *cobra.Command) {
	if c.HasSubCommands() && !c.Runnable() {
		c.Args, c.RunE = unknownVerb, func(c *cobra.Command, _ []string) error { return c.Help() }
	}
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			err := check(c, args)
			if _, said := errors.AsType[*exitError](err); err == nil || said {
				return err
			}
			return &exitError{exitUsage, fmt.Errorf("write: %s\nsee: %s --help", c.UseLine(), c.CommandPath())}
		}
	}
	for _, below := range c.Commands() {
		explainUsage(below)
	}
}

// unknownVerb refuses the arguments of a command that has verbs, which are verbs that do not exist.
func unknownVerb(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, below := range c.Commands() {
		names = append(names, below.Name())
	}
	hint := diag.DidYouMean(args[0], names)
	if hint != "" {
		hint = "; " + hint
	}
	return &exitError{exitUsage, fmt.Errorf("%s has no verb %q%s\nsee: %[1]s --help", c.CommandPath(), args[0], hint)}
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

// version is the module's version, or the commit that the program was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && info.Main.Version == "(devel)" {
			return "built from " + s.Value
		}
	}
	return info.Main.Version
}

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "sapa",
		Short: "Campaigns over the customers that are already in your PostgreSQL",
		Long: `Sapa greets each customer with the right message at the right time: whom a campaign
reaches is a rule over your own PostgreSQL tables, written in YAML.

Begin with: init, import, validate, preview, apply, run; then: serve, status, report.

Exit codes: 0 done · 1 not done, the message says why · 2 wrong command line ·
3 done, but not for everything (rejected rows, failed messages).`,
		Version:       version(),
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
	explainUsage(root)
	return root
}
