package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/delivery"
)

// controlVerb is a verb that changes one run's state.
func controlVerb(a *app, use, short string, f func(context.Context, *session, *campaign.Planner, int) error) *cobra.Command {
	return &cobra.Command{
		Use:   use + " RUN",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			run, err := strconv.Atoi(args[0])
			if err != nil {
				return &exitError{exitUsage, fmt.Errorf("%q is not the number of a run; see: sapa status", args[0])}
			}
			s, err := a.open(c.Context())
			if err != nil {
				return err
			}
			defer s.close()
			planner, err := s.planner(a)
			if err != nil {
				return err
			}
			return f(c.Context(), s, planner, run)
		},
	}
}

func newPauseCommand(a *app) *cobra.Command {
	return controlVerb(a, "pause", "Stop a run; everybody who sends feels it within a second",
		func(ctx context.Context, _ *session, p *campaign.Planner, run int) error {
			if err := p.Pause(ctx, run, a.actor(), byHand+a.actor()); err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "run %d is paused; go on with: sapa resume %d\n", run, run)
			return nil
		})
}

func newResumeCommand(a *app) *cobra.Command {
	c := controlVerb(a, "resume", "Let a paused run send on; from here, when nobody else is sending",
		func(ctx context.Context, s *session, p *campaign.Planner, run int) error {
			here, err := s.sendsHere(ctx, run)
			if err != nil {
				return err
			}
			if err := p.Resume(ctx, run, a.actor()); err != nil {
				return err
			}
			return s.sendSomewhere(ctx, a, p, run, here)
		})
	c.Use, c.Long = "resume RUN|CAMPAIGN", `Lets a paused run send on; from here, when nobody else is sending. What made it pause counts
from now. With a campaign's name, lets a campaign in quarantine make runs again.`
	byRun := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if _, err := strconv.Atoi(args[0]); err == nil {
			return byRun(c, args)
		}
		return a.release(c.Context(), args[0])
	}
	return c
}

// release ends a campaign's quarantine.
func (a *app) release(ctx context.Context, name string) error {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	planner, err := s.planner(a)
	if err != nil {
		return err
	}
	if err := planner.Release(ctx, name, a.actor()); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s makes runs again\n", name)
	return nil
}

func newCancelCommand(a *app) *cobra.Command {
	return controlVerb(a, "cancel", "End a run: what was not handed over is skipped, its occasions stay free",
		func(ctx context.Context, _ *session, p *campaign.Planner, run int) error {
			if err := p.Cancel(ctx, run, a.actor()); err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "run %d is cancelled\n", run)
			return nil
		})
}

func newRetryCommand(a *app) *cobra.Command {
	return controlVerb(a, "retry", "Plan a run's failed and skipped messages again, and send them",
		func(ctx context.Context, s *session, p *campaign.Planner, run int) error {
			here, err := s.sendsHere(ctx, run)
			if err != nil {
				return err
			}
			n, err := p.Retry(ctx, run, a.actor())
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "%s messages of run %d are planned again\n", thousands(n), run)
			if n == 0 {
				return nil
			}
			return s.sendSomewhere(ctx, a, p, run, here)
		})
}

// sendsHere says that nobody else is sending, so that it would be done from here; then the provider of the run's channel
// must be usable, before anything is changed.
func (s *session) sendsHere(ctx context.Context, run int) (bool, error) {
	n, err := delivery.Alive(ctx, s.pool)
	if err != nil || n > 0 {
		return false, err
	}
	channels, err := s.library.RunChannels(ctx, run)
	if err != nil {
		return false, err
	}
	for _, channel := range channels {
		if err := s.preflight(ctx, channel); err != nil {
			return false, fmt.Errorf("nobody else is sending, and from here it can't be done: %w", err)
		}
	}
	return true, nil
}

// sendSomewhere leaves the sending to the processes that are doing so, or does it here.
func (s *session) sendSomewhere(ctx context.Context, a *app, p *campaign.Planner, run int, here bool) error {
	progress, err := delivery.ReadProgress(ctx, s.pool, run, a.now())
	if err != nil {
		return err
	}
	if progress.State == "paused" { // it was planned just now, and is too large
		return a.conclude(progress, false)
	}
	if !here {
		fmt.Fprintf(a.stdout, "run %d goes on, sent by another process; see: sapa status %d\n", run, run)
		return nil
	}
	fmt.Fprintf(a.stdout, "nobody else is sending; run %d goes on from here\n", run)
	return s.work(ctx, a, p, run, false)
}
