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
	var private privateOptions
	var proxies []string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the engine: schedules, sending, the listener for customers, and the pages and API for the company",
		Long: `Runs until it is stopped: makes the runs that schedules ask for, sends what is due, and
answers customers on the public listener and the company on the private one, where people
log in (sapa user). Any number of processes may run side by side on one database. SIGTERM
lets what is being handed over finish, for up to 25 seconds.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runServe(c.Context(), a, listen, private, proxies) },
	}
	c.Flags().StringVar(&listen, "public", "", "address of the public listener (default: that of a loopback public_url, else 127.0.0.1:8080)")
	c.Flags().StringSliceVar(&proxies, "trusted-proxy", nil, "address or network of a proxy whose X-Forwarded-For is believed, besides those on this machine")
	private.add(c)
	return c
}

func runServe(ctx context.Context, a *app, listen string, private privateOptions, proxies []string) error {
	a.level = slog.LevelWarn // nobody looks on
	if err := private.check(); err != nil {
		return err
	}
	trusted, err := parseTrusted(proxies)
	if err != nil {
		return err
	}
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	s.trusted = trusted
	planner, err := s.planner(a)
	if err != nil {
		return err
	}
	engine, err := s.watched(ctx, a)
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
	deps, err := s.privateDeps(ctx, a, planner, private.secure())
	deps.Metrics, deps.Requested = s.metrics.Handler(), s.metrics.Requests("private")
	if err != nil {
		return errors.Join(err, public.Close())
	}
	inside, err := private.open(ctx)
	if err != nil {
		return errors.Join(err, public.Close())
	}
	if inside == nil {
		fmt.Fprintf(a.stdout, "serving; public listener on http://%s; no private listener; stop with Ctrl-C\n", public.Addr())
	} else {
		fmt.Fprintf(a.stdout, "serving; public listener on http://%s; private listener on %s; stop with Ctrl-C\n", public.Addr(), private.address(inside))
		if err := s.hintUsers(ctx, a); err != nil {
			return errors.Join(err, public.Close(), inside.Close())
		}
	}
	return together(ctx,
		func(ctx context.Context) error { return s.servePublicOn(ctx, a, public) },
		func(ctx context.Context) error { return servePrivateOn(ctx, inside, deps) },
		func(ctx context.Context) error { planner.RunSchedules(ctx); return nil },
		func(ctx context.Context) error { return s.compact(ctx, a) },
		func(ctx context.Context) error { return s.tidyCalls(ctx, a) },
		func(ctx context.Context) error { s.keeper(a, "sapa").RunDaily(ctx); return nil },
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
	tracker.Offer(s.schema, s.chosenChannels())
	deps := s.publicDeps(a, tracker)
	if s.metrics != nil {
		s.metrics.Hits(recorder.Stats)
		deps.Requested = s.metrics.Requests("public")
	}
	if err := s.addHooks(a, &deps); err != nil {
		return errors.Join(err, l.Close(), recorder.Close(ctx))
	}
	serveErr := web.ServeListener(ctx, l, web.Public(deps))
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
	return web.PublicDeps{
		Tracker: tracker, Company: s.companyName(), PublicURL: s.config.PublicURL, Now: a.now, Log: a.log(),
		Trusted: s.trusted, Ready: s.ready,
	}
}

// companyName is the company as customers and colleagues know it.
func (s *session) companyName() string {
	name := s.config.Company.Name
	if name == "" && s.config.Channels.Email != nil {
		name = s.config.Channels.Email.From.Name
	}
	return name
}
