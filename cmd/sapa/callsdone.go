package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/channels/calls"
	"github.com/sapa-crm/sapa/delivery/calldesk"
	"github.com/sapa-crm/sapa/report"
)

func newCallsDone(a *app) *cobra.Command {
	var o callsOptions
	c := &cobra.Command{
		Use:   "done CALL OUTCOME",
		Short: "Say what came of a call",
		Long: `Says what came of a call: reached, interested, order, call-back (with --at), no-answer,
wrong-number or do-not-call. Who did not answer is called again later, a few times. A wrong
number is never called again, and neither is who wants no calls.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return runCallsDone(c.Context(), a, args, o) },
	}
	o.addAgent(c)
	c.Flags().StringVar(&o.note, "note", "", "what the next one who calls should know")
	c.Flags().StringVar(&o.at, "at", "", "of call-back: 14:30, 2026-11-23 14:30 (where the customer lives), or 2h")
	return c
}

func runCallsDone(ctx context.Context, a *app, args []string, o callsOptions) error {
	id, err := callID(args[0])
	if err != nil {
		return err
	}
	outcome, err := calls.ParseOutcome(args[1])
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if o.at != "" && outcome != calls.CallBack {
		return &exitError{exitUsage, fmt.Errorf("--at belongs to call-back, not to %s", outcome.Arg())}
	}
	if o.at == "" && outcome == calls.CallBack {
		return &exitError{exitUsage, errors.New(`when do they want to be called? add  --at 14:30,  --at "2026-11-24 14:30"  or  --at 2h`)}
	}
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	desk, err := s.callDesk(ctx, a)
	if err != nil {
		return err
	}
	said, err := desk.Done(ctx, o.who(a), id, calldesk.Result{Outcome: outcome, Note: o.note, At: o.at})
	if err != nil {
		return err
	}
	switch {
	case said.Open:
		fmt.Fprintf(a.stdout, "%s; the call comes again at %s\n", outcome, a.moment(said.DueAt))
	case said.Late:
		fmt.Fprintf(a.stdout, "%s; the run does not wait for it any more, but it counts\n", outcome)
	default:
		fmt.Fprintf(a.stdout, "%s; done\n", outcome)
	}
	return nil
}

func newCallsRelease(a *app) *cobra.Command {
	var o callsOptions
	c := &cobra.Command{
		Use:   "release CALL",
		Short: "Give a call back, for somebody else to make",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := callID(args[0])
			if err != nil {
				return err
			}
			s, err := a.open(c.Context())
			if err != nil {
				return err
			}
			defer s.close()
			desk, err := s.callDesk(c.Context(), a)
			if err != nil {
				return err
			}
			if err := desk.Release(c.Context(), o.who(a), id); err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "call %d is anybody's again\n", id)
			return nil
		},
	}
	o.addAgent(c)
	return c
}

func newCallsExport(a *app) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "export RUN --csv FILE",
		Short: "Write a run's list of calls as CSV",
		Long: `Writes a run's list of calls, with names, telephone numbers, scripts and what came of them, for
those who call with another program. It holds personal data, is readable by you alone, and its
making is in the audit log. Outcomes come back with: sapa calls done`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return runCallsExport(c.Context(), a, args[0], file) },
	}
	c.Flags().StringVar(&file, "csv", "", "file to write, which must not exist yet, or - for standard output")
	return c
}

func runCallsExport(ctx context.Context, a *app, arg, file string) error {
	run, err := strconv.Atoi(arg)
	if err != nil || run < 1 {
		return &exitError{exitUsage, fmt.Errorf("%q is not the number of a run; see: sapa calls", arg)}
	}
	if file == "" {
		return &exitError{exitUsage, errors.New("where to? write: sapa calls export RUN --csv FILE, or --csv - for standard output")}
	}
	s, err := a.openProjectDB(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if file == "-" {
		_, err := s.exportCalls(ctx, a, a.stdout, run)
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists already: name another file, or remove this one", file)
	}
	if err != nil {
		return fmt.Errorf("export calls of run %d: %w", run, err)
	}
	n, err := s.exportCalls(ctx, a, f, run)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(file)) // half a list is none
	}
	fmt.Fprintf(a.stdout, "%d calls written to %s\n", n, file)
	return nil
}

// exportCalls writes the list, and that it was written.
func (s *session) exportCalls(ctx context.Context, a *app, w io.Writer, run int) (int, error) {
	buffered := bufio.NewWriter(w)
	n, err := report.WriteCallsCSV(ctx, s.pool, buffered, run)
	if err != nil {
		return n, err
	}
	if err := buffered.Flush(); err != nil {
		return n, fmt.Errorf("write calls of run %d: %w", run, err)
	}
	return n, access.Record(ctx, s.pool, access.Entry{
		Actor: a.actor(), Action: "export calls", Subject: fmt.Sprintf("run %d", run), Detail: map[string]any{"calls": n},
	})
}
