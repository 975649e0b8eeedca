package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/report"
	"github.com/sapa-crm/sapa/response"
	"github.com/sapa-crm/sapa/web"
)

func newServeCommand(a *app) *cobra.Command {
	var listen string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the engine: schedules, sending, and the listener for opens, clicks and unsubscribing",
		Long: `Runs until it is stopped: makes the runs that schedules ask for, sends what is due, and
answers customers on the public listener. Any number of processes may run side by side on
one database. SIGTERM lets what is being handed over finish, for up to 25 seconds.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runServe(c.Context(), a, listen) },
	}
	c.Flags().StringVar(&listen, "public", "", "address of the public listener (default: that of a loopback public_url, else 127.0.0.1:8080)")
	return c
}

func runServe(ctx context.Context, a *app, listen string) error {
	a.level = slog.LevelWarn // nobody looks on
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	planner, err := s.planner(a)
	if err != nil {
		return err
	}
	engine, err := s.engine(ctx, a)
	if err != nil {
		return err
	}
	if listen == "" {
		listen = s.publicListen()
	}
	public, err := web.Listen(ctx, listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "serving; public listener on http://%s; stop with Ctrl-C\n", public.Addr())
	return together(ctx,
		func(ctx context.Context) error { return s.servePublicOn(ctx, a, public) },
		func(ctx context.Context) error { planner.RunSchedules(ctx); return nil },
		func(ctx context.Context) error { return s.compact(ctx, a) },
		func(ctx context.Context) error { return engine.Run(ctx, planner.AddWorkers) },
	)
}

// publicListen is the address of a loopback public_url, for trying on one machine.
func (s *session) publicListen() string {
	u, err := url.Parse(s.config.PublicURL)
	if err == nil && u.Scheme == "http" && loopbackURL(s.config.PublicURL) && u.Port() != "" {
		return u.Host
	}
	return "127.0.0.1:8080"
}

// together runs all functions; when the first ends, or ctx does, the others are told to end, too.
func together(ctx context.Context, fs ...func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, len(fs))
	for _, f := range fs {
		go func() { ended <- f(ctx); stop() }()
	}
	var errs []error
	for range fs {
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *session) urls(ctx context.Context) (*response.URLs, error) {
	base, err := s.publicURL()
	if err != nil {
		return nil, err
	}
	keys, err := response.LoadKeyring(ctx, s.pool)
	if err != nil {
		return nil, err
	}
	return response.NewURLs(base, keys)
}

// servePublicOn answers customers until the context ends; hits that were taken are written before it returns.
func (s *session) servePublicOn(ctx context.Context, a *app, l net.Listener) error {
	keys, err := response.LoadKeyring(ctx, s.pool)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	recorder := response.NewRecorder(s.pool, response.RecorderOptions{Log: a.log()})
	tracker := response.NewTracker(s.pool, keys, recorder)
	serveErr := web.ServeListener(ctx, l, web.Public(s.publicDeps(a, tracker)))
	closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(serveErr, recorder.Close(closeCtx))
}

// compact keeps the totals short.
func (s *session) compact(ctx context.Context, a *app) error {
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := report.Compact(ctx, s.pool); err != nil && ctx.Err() == nil {
				a.log().Warn("compact totals", slog.Any("error", err))
			}
		}
	}
}

func (s *session) publicDeps(a *app, tracker *response.Tracker) web.PublicDeps {
	name := s.config.Company.Name
	if name == "" && s.config.Channels.Email != nil {
		name = s.config.Channels.Email.From.Name
	}
	return web.PublicDeps{
		Tracker: tracker, Company: name, PublicURL: s.config.PublicURL, Now: a.now, Log: a.log(),
		Healthy: func(ctx context.Context) error { return s.pool.Ping(ctx) },
	}
}
