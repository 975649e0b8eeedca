package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/pg"
)

type runOptions struct {
	asOf, again       string
	dryRun, json, yes bool
	show              int
}

func newRunCommand(a *app) *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "run CAMPAIGN",
		Short: "Run a campaign now: plan it, send it, show the progress",
		Long: `Plans a run of the campaign's applied version and sends it from here, at once, until
everything is handed over. Whoever had this occasion before gets nothing again, however
often you run it; --again LABEL repeats on purpose.

A run that would pass max_audience is refused. One that is unusually large (docs/rails.md)
is planned, shown and asked about; where nobody can be asked it stays paused.

From another terminal: sapa status, pause, resume, cancel. Ctrl-C pauses the run.

Exit codes: 0 all sent · 1 not run, or paused · 2 wrong command line · 3 sent, but some failed.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return runRun(c.Context(), a, args[0], o) },
	}
	c.Flags().StringVar(&o.asOf, "as-of", "", "run as of this date, or date and time, in the company's zone (default: now)")
	c.Flags().StringVar(&o.again, "again", "", "repeat for everybody: a label that makes this occasion another one")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "plan, show the numbers and the first messages, take everything back")
	c.Flags().IntVar(&o.show, "show", 3, "with --dry-run: how many of the first messages to show")
	c.Flags().BoolVar(&o.yes, "yes", false, "an unusually large run is meant: do not ask")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return c
}

func runRun(ctx context.Context, a *app, name string, o runOptions) error {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	planner, err := s.planner(a)
	if err != nil {
		return err
	}
	start := campaign.Start{Campaign: name, Label: o.again, Actor: a.actor(), Yes: o.yes}
	if o.asOf != "" {
		if start.Tick, err = campaign.ParseTick(o.asOf); err != nil {
			return &exitError{exitUsage, fmt.Errorf("--as-of %w", err)}
		}
	}
	if o.dryRun {
		return s.dryRun(ctx, a, planner, start, o)
	}
	channels, err := s.library.Channels(ctx, name)
	if err != nil {
		return s.notApplied(a, name, err)
	}
	for _, channel := range channels {
		if err := s.preflight(ctx, channel); err != nil {
			return fmt.Errorf("nothing was planned: %w", err)
		}
	}
	s.warnUnapplied(ctx, a, name)
	run, plan, err := planner.Start(ctx, start)
	if err != nil {
		return s.notApplied(a, name, err)
	}
	if !o.json {
		a.printPlan(fmt.Sprintf("run %d of %s, as of %s", run.ID, name, run.Tick.Format("Mon 2 Jan 2006 15:04")), plan)
	}
	if plan.Hold != "" {
		if err := s.askToSend(ctx, a, planner, run, plan, o.json); err != nil {
			return err
		}
	}
	return errors.Join(s.work(ctx, a, planner, run.ID, o.json), s.warnTooLate(ctx, a, run.ID), s.warnQuarantined(ctx, a, name))
}

// askToSend asks about an unusually large run, which waits, paused: yes lets it go on, no ends it, and where nobody can
// be asked it goes on waiting.
func (s *session) askToSend(ctx context.Context, a *app, planner *campaign.Planner, r *campaign.Run, plan *campaign.Plan, asJSON bool) error {
	run := r.ID
	yes, err := false, errNoAnswer
	if !asJSON {
		fmt.Fprintf(a.stdout, "  %s\n", plan.Hold)
		yes, err = a.ask("send to %s?", thousands(plan.Planned))
	}
	switch {
	case errors.Is(err, errNoAnswer):
		p, err := delivery.ReadProgress(ctx, s.pool, run, a.now())
		if err != nil {
			return err
		}
		if asJSON {
			if err := a.printJSON(p); err != nil {
				return err
			}
		}
		return fmt.Errorf("run %d is paused: %s\nwhere nobody can be asked, say beforehand that it is meant: sapa run %s --yes", run, p.Reason, r.Campaign)
	case !yes:
		if err := planner.Cancel(ctx, run, a.actor()); err != nil {
			return err
		}
		return fmt.Errorf("run %d is cancelled; nothing was sent", run)
	}
	return planner.Resume(ctx, run, a.actor())
}

// warnTooLate tells that the run would have been paused, had it not been over so soon.
func (s *session) warnTooLate(ctx context.Context, a *app, run int) error {
	p, err := delivery.ReadProgress(context.WithoutCancel(ctx), s.pool, run, a.now())
	if err == nil && p.State == "done" && p.Reason != "" {
		fmt.Fprintf(a.stderr, "run %d: %s\n", run, p.Reason)
	}
	return err
}

// warnQuarantined tells that the run has put its campaign into quarantine.
func (s *session) warnQuarantined(ctx context.Context, a *app, name string) error {
	list, err := campaign.Quarantines(context.WithoutCancel(ctx), s.pool)
	if err != nil {
		return err
	}
	for _, q := range list {
		if q.Campaign == name {
			fmt.Fprintln(a.stderr, quarantined(q))
		}
	}
	return nil
}

// quarantined is what to know about a campaign in quarantine.
func quarantined(q campaign.Quarantine) string {
	return fmt.Sprintf("%s is in quarantine since run %d and makes no runs: %s\n  why: sapa messages %[2]d --state failed; mend the template and apply it, or let it go on as it is: sapa resume %[1]s",
		q.Campaign, q.Run, q.Reason)
}

func (s *session) dryRun(ctx context.Context, a *app, planner *campaign.Planner, start campaign.Start, o runOptions) error {
	if o.show < 0 {
		return &exitError{exitUsage, errors.New("--show is how many messages to show, from 0")}
	}
	s.warnUnapplied(ctx, a, start.Campaign)
	start.PublicURL = s.exampleURL()
	run, r, err := planner.Rehearse(ctx, start, o.show, s.exampleURL())
	if err != nil {
		return s.notApplied(a, start.Campaign, err)
	}
	if o.json {
		return a.printJSON(r)
	}
	a.printPlan(fmt.Sprintf("dry run of %s, as of %s; nothing was stored", start.Campaign, run.Tick.Format("Mon 2 Jan 2006 15:04")), r.Plan)
	a.printRehearsal(r)
	return nil
}

// failingMost is how many of the messages that would fail are shown one by one.
const failingMost = 10

func (a *app) printRehearsal(r *campaign.Rehearsal) {
	switch {
	case r.Refused != "":
		fmt.Fprintf(a.stdout, "  a run would be refused: %s\n", strings.ReplaceAll(r.Refused, "\n", "\n  "))
	case r.Hold != "":
		fmt.Fprintf(a.stdout, "  a run would wait for a person: %s\n", r.Hold)
	}
	for i, p := range r.Messages {
		fmt.Fprintf(a.stdout, "\n--- message %d of %s ---\n", i+1, thousands(r.Planned))
		a.printPreview(p, "")
	}
	if len(r.Failing) == 0 {
		return
	}
	fmt.Fprintf(a.stdout, "\nof the first %s messages %s would fail:\n", thousands(r.Looked), thousands(len(r.Failing)))
	for _, f := range r.Failing[:min(len(r.Failing), failingMost)] {
		fmt.Fprintf(a.stdout, "  customer %s: %s\n", f.CustomerKey, f.Reason)
	}
	if more := len(r.Failing) - failingMost; more > 0 {
		fmt.Fprintf(a.stdout, "  and %s more\n", thousands(more))
	}
}

func (a *app) printPlan(title string, p *campaign.Plan) {
	fmt.Fprintln(a.stdout, title)
	fmt.Fprintf(a.stdout, "  audience %s = already %s + planned %s + skipped %s\n", thousands(p.Audience), thousands(p.Already),
		thousands(p.Planned), thousands(p.Audience-p.Already-p.Planned))
	for _, reason := range sortedKeys(p.Skipped) {
		fmt.Fprintf(a.stdout, "  skipped, %s: %s\n", reason, thousands(p.Skipped[reason]))
	}
	a.printChannels(p)
	if p.First != nil && p.Last != nil {
		fmt.Fprintf(a.stdout, "  go from %s to %s\n", a.moment(*p.First), a.moment(*p.Last))
	}
	if p.PutOff > 0 {
		fmt.Fprintf(a.stdout, "  put off to the end of quiet hours: %s\n", thousands(p.PutOff))
	}
	if p.Capped > 0 {
		done := map[string]string{"skip": "skipped", "postpone": "put off"}[p.OnCap]
		fmt.Fprintf(a.stdout, "  beyond a cap as things are now, and to be %s when their time comes: %s\n", done, thousands(p.Capped))
	}
	if p.Zones > 0 {
		fmt.Fprintf(a.stdout, "  %s with a time zone that is not an IANA name: the default is taken\n", counted(p.Zones, "customer"))
	}
}

// printChannels says what goes by which channel, and what that costs; nothing where there is one, and no cost is known.
func (a *app) printChannels(p *campaign.Plan) {
	for _, c := range p.Channels {
		switch {
		case c.Cost != nil:
			fmt.Fprintf(a.stdout, "  by %s: %s, estimated at %s (%s each)\n", c.Channel, thousands(c.Messages), c.Cost, c.Each)
		case len(p.Channels) > 1:
			fmt.Fprintf(a.stdout, "  by %s: %s\n", c.Channel, thousands(c.Messages))
		}
	}
	if p.Budget != nil && p.Left != nil {
		fmt.Fprintf(a.stdout, "  of the budget of %s, %s is left\n", p.Budget, p.Left)
	}
	if p.Odd > 0 {
		fmt.Fprintf(a.stdout, "  %s with a preferred channel that is not the name of one: it is ignored\n", counted(p.Odd, "customer"))
	}
}

// preflight makes sure that the database is the one that sends, and that the provider of a channel can be used before anything is planned.
func (s *session) preflight(ctx context.Context, channel string) error {
	if err := delivery.CheckInstallation(ctx, s.pool); err != nil {
		return err
	}
	account, err := s.account(channel)
	if err != nil {
		return err
	}
	if _, err := s.publicURL(); err != nil {
		return err
	}
	conn, err := account.Channel.Open(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}

// notApplied is the error for a campaign that the database does not know; one whose file is here was not applied yet.
func (s *session) notApplied(a *app, name string, err error) error {
	file := filepath.Join("campaigns", name+".yaml")
	if _, statErr := os.Stat(filepath.Join(a.dir, file)); statErr == nil && errors.Is(err, campaign.ErrNotFound) {
		return fmt.Errorf("%s is not applied yet; first: sapa apply", file)
	}
	return err
}

// warnUnapplied tells the author that the file on disk is not what is being sent.
func (s *session) warnUnapplied(ctx context.Context, a *app, name string) {
	project, _, err := s.library.Project(ctx, os.DirFS(a.dir))
	if err != nil {
		return // there need be no project folder to run an applied version
	}
	for _, c := range project.Campaigns {
		if c.Name() != name {
			continue
		}
		changes, err := campaign.Diff(ctx, s.pool, []*campaign.Campaign{c}, a.now())
		unfit := diag.List(nil) // it can't be applied as it is, and so is not what is applied
		if errors.As(err, &unfit) || err == nil && changes[0].Action == "change" {
			fmt.Fprintf(a.stderr, "note: the file of %s differs from its applied version, which is what runs; apply the file with: sapa apply\n", name)
		}
		return
	}
	if _, err := os.Stat(filepath.Join(a.dir, "campaigns", name+".yaml")); err == nil {
		fmt.Fprintf(a.stderr, "note: the file of %s can't be used as it is, and its applied version is what runs; see: sapa validate\n", name)
	}
}

// engine is ready to send.
func (s *session) engine(ctx context.Context, a *app) (*delivery.Engine, error) {
	cfg, err := s.engineConfig(ctx, a)
	if err != nil {
		return nil, err
	}
	return delivery.New(cfg)
}

func (s *session) engineConfig(ctx context.Context, a *app) (cfg delivery.Config, err error) {
	if err := delivery.CheckInstallation(ctx, s.pool); err != nil {
		return cfg, err
	}
	accounts, err := s.accounts()
	if err != nil {
		return cfg, err
	}
	urls, err := s.urls(ctx)
	if err != nil {
		return cfg, err
	}
	cfg = delivery.Config{
		Pool: s.pool, DBSchema: s.dbSchema, Schema: s.schema, Accounts: accounts,
		Library: s.library, URLs: urls, Log: a.log(), Now: a.now,
	}
	if s.metrics != nil {
		cfg.Meter = s.metrics
	}
	return cfg, nil
}

// work sends from this process until the run needs no more: done, cancelled, or paused by the engine.
func (s *session) work(ctx context.Context, a *app, planner *campaign.Planner, run int, asJSON bool) error {
	p, err := delivery.ReadProgress(ctx, s.pool, run, a.now())
	if err != nil {
		return err
	}
	if stopped(p) { // nothing was planned
		return a.conclude(p, asJSON)
	}
	engine, err := s.engine(ctx, a)
	if err != nil {
		return err
	}
	engineCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	watchCtx, stopWatch := context.WithCancelCause(ctx)
	defer stopWatch(nil)
	go func() {
		err := engine.Run(engineCtx, planner.AddWorkers)
		if err != nil {
			stopWatch(&engineError{err})
		}
		ended <- err
	}()
	watchErr := s.watch(watchCtx, a, planner, run, asJSON)
	stop()
	err = <-ended
	if _, told := errors.AsType[*engineError](watchErr); told {
		return watchErr
	}
	return errors.Join(watchErr, err)
}

// engineError says that the engine ended by itself, while somebody still looks on.
type engineError struct{ err error }

func (e *engineError) Error() string { return e.err.Error() }
func (e *engineError) Unwrap() error { return e.err }

// watch shows the progress until the run stops.
func (s *session) watch(ctx context.Context, a *app, planner *campaign.Planner, run int, asJSON bool) error {
	bar := newProgressLine(a, asJSON)
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		p, err := delivery.ReadProgress(context.WithoutCancel(ctx), s.pool, run, a.now())
		switch {
		case pg.Fleeting(err):
			bar.away(err, time.Now()) // the engine holds what it knows until the database is back
		case err != nil:
			return err
		default:
			bar.show(p, time.Now())
		}
		if err == nil && stopped(p) {
			bar.end()
			return a.conclude(p, asJSON)
		}
		select {
		case <-ctx.Done():
			bar.end()
			if e, ok := errors.AsType[*engineError](context.Cause(ctx)); ok {
				return fmt.Errorf("run %d is not being sent from here any more: %w\nwhen that is mended: sapa resume %d", run, e, run)
			}
			return s.interrupt(context.WithoutCancel(ctx), a, planner, run, asJSON)
		case <-ticker.C:
		}
	}
}

// byHand begins the reason of a run that a person paused: a process that sends then waits for the person to resume.
const byHand = "paused by "

func stopped(p *delivery.Progress) bool {
	switch p.State {
	case "done", "cancelled":
		return true
	case "sending":
		if p.Open && p.Waiting() == 0 {
			return true
		}
		return (p.Resting != nil || p.ByHand) && (p.Reason == "" || p.WarmingUp())
	case "paused":
		return !strings.HasPrefix(p.Reason, byHand)
	}
	return false
}

// interrupt pauses the run, unless it is over by now.
func (s *session) interrupt(ctx context.Context, a *app, planner *campaign.Planner, run int, asJSON bool) error {
	err := planner.Pause(ctx, run, a.actor(), "interrupted by "+a.actor())
	if err != nil && !errors.Is(err, campaign.ErrState) {
		return err
	}
	p, err := delivery.ReadProgress(ctx, s.pool, run, a.now())
	if err != nil {
		return err
	}
	if p.State != "paused" {
		return a.conclude(p, asJSON)
	}
	return fmt.Errorf("interrupted: run %d is paused; go on with: sapa resume %d", run, run)
}

// conclude says how a run ended.
func (a *app) conclude(p *delivery.Progress, asJSON bool) error {
	if asJSON {
		if err := a.printJSON(p); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.stdout, "run %d %s: %s\n", p.Run, p.State, counts(p))
		for _, reason := range sortedKeys(p.Reasons) {
			fmt.Fprintf(a.stdout, "  %s: %s\n", reason, thousands(p.Reasons[reason]))
		}
	}
	switch {
	case p.State == "sending" && p.Open && p.Waiting() == 0:
		fmt.Fprintf(a.stderr, "run %d waits for more events of its day\n", p.Run)
	case p.State == "sending" && p.ByHand:
		fmt.Fprintf(a.stderr, "%s wait for people: letters at sapa letters, calls at sapa calls\n", thousands(p.Waiting()))
		return nil
	case p.State == "sending":
		why := p.Reason
		if why == "" {
			why = fmt.Sprintf("sapa messages %d --state planned", p.Run)
		}
		fmt.Fprintf(a.stderr, "%s wait until %s; sapa serve sends them by itself, or then: sapa resume %d\nwhy: %s\n",
			thousands(p.Waiting()), p.Resting.In(a.zone()).Format("Mon 2 Jan 15:04 MST"), p.Run, why)
		return &exitError{code: exitPartial}
	case p.State == "paused":
		resume := fmt.Sprintf("sapa resume %d", p.Run)
		if strings.HasSuffix(p.Reason, resume) {
			return fmt.Errorf("run %d is paused: %s", p.Run, p.Reason)
		}
		return fmt.Errorf("run %d is paused: %s\nwhen that is mended: %s", p.Run, p.Reason, resume)
	case p.State == "cancelled":
		return fmt.Errorf("run %d was cancelled", p.Run)
	case p.Counts["failed"]+p.Counts["unknown"] > 0:
		return &exitError{code: exitPartial}
	}
	return nil
}
