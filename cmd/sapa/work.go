package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
)

func newWorkCommand(a *app) *cobra.Command {
	private := privateOptions{}
	c := &cobra.Command{
		Use:   "work",
		Short: "Send what is due, together with whoever else does: one more process, on this machine or another",
		Long: `Runs until it is stopped, and sends what is due: what sapa serve does but for schedules and the
public listener. Any number of processes may run side by side on one database, on any machines;
the rates of provider accounts hold over all of them. With --private it has the private listener, too,
for /metrics, /healthz and /readyz. SIGTERM lets what is being handed over finish, for up to 25 seconds.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runWork(c.Context(), a, private) },
	}
	private.add(c)
	flag := c.Flags().Lookup("private")
	flag.DefValue, private.listen = noPrivate, noPrivate
	return c
}

func runWork(ctx context.Context, a *app, private privateOptions) error {
	a.level = slog.LevelWarn // nobody looks on
	if err := private.check(); err != nil {
		return err
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
	engine, err := s.watched(ctx, a)
	if err != nil {
		return err
	}
	deps, err := s.privateDeps(ctx, a, planner, private.secure())
	if err != nil {
		return err
	}
	deps.Metrics, deps.Requested = s.metrics.Handler(), s.metrics.Requests("private")
	inside, err := private.open(ctx)
	if err != nil {
		return err
	}
	if inside == nil {
		fmt.Fprintln(a.stdout, "sending; no private listener; stop with Ctrl-C")
	} else {
		fmt.Fprintf(a.stdout, "sending; private listener on %s; stop with Ctrl-C\n", private.address(inside))
	}
	return together(ctx,
		func(ctx context.Context) error { return servePrivateOn(ctx, inside, deps) },
		func(ctx context.Context) error { return engine.Run(ctx, planner.AddWorkers) },
	)
}
