package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
)

// drillClock is the business time of a drill. For mail it is a minute for each second, so that what is refused for now is
// tried again while the drill lasts; leases and rates go by real time. Texts are looked up by the time at which they were
// handed over, by real time, so that for them only the waits are shorter (drillWaits).
type drillClock struct {
	Real  time.Time
	Speed time.Duration // seconds of business time for each second
}

const drillSpeed = 60

func (c drillClock) now() time.Time { return c.Real.Add(c.Speed * time.Since(c.Real)) }

// drillWork is what a process of a drill is told on its command line.
type drillWork struct {
	Dir   string
	Clock drillClock
	Lease delivery.Lease
	Waits delivery.Waits
	Fault delivery.Fault

	Public bool // it answers on the listener that it was given, too
}

// newDrillWorkerCommand is a process of a drill. Nobody else starts it.
func newDrillWorkerCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "drill-worker WORK",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var w drillWork
			if err := json.Unmarshal([]byte(args[0]), &w); err != nil {
				return &exitError{exitUsage, fmt.Errorf("drill-worker is started by sapa drill: %w", err)}
			}
			return runDrillWorker(c.Context(), a, w)
		},
	}
}

// runDrillWorker sends until it is told to stop, or killed.
func runDrillWorker(ctx context.Context, parent *app, w drillWork) error {
	if _, err := os.Stat(w.Dir + "/" + drillMark); err != nil {
		return fmt.Errorf("drill-worker works for a drill only: %w", err)
	}
	a := parent.private(w.Dir)
	a.now, a.level = w.Clock.now, slog.LevelError
	s, planner, engine, err := w.ready(ctx, a)
	for pg.Fleeting(err) && ctx.Err() == nil { // PostgreSQL crashed meanwhile: whoever starts a process starts it again
		time.Sleep(100 * time.Millisecond)
		s, planner, engine, err = w.ready(ctx, a)
	}
	if err != nil {
		return err
	}
	defer s.close()
	work := func(ctx context.Context) error { return engine.Run(ctx, planner.AddWorkers) }
	if !w.Public {
		return work(ctx)
	}
	public, err := givenListener()
	if err != nil {
		return err
	}
	return together(ctx, work, func(ctx context.Context) error { return s.servePublicOn(ctx, a, public) })
}

// ready is all that the process needs. Without an error the caller closes the session.
func (w drillWork) ready(ctx context.Context, a *app) (*session, *campaign.Planner, *delivery.Engine, error) {
	s, err := a.open(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	planner, err := s.planner(a)
	if err != nil {
		s.close()
		return nil, nil, nil, err
	}
	cfg, err := s.engineConfig(ctx, a)
	if err != nil {
		s.close()
		return nil, nil, nil, err
	}
	cfg.Lease, cfg.Waits, cfg.Fault = w.Lease, w.Waits, w.Fault
	engine, err := delivery.New(cfg)
	if err != nil {
		s.close()
	}
	return s, planner, engine, err
}

// givenListener is the first file that this process was given beside its streams. All processes of a drill wait there, as
// behind a proxy: who is stopped or killed answers nobody, and the others go on.
func givenListener() (net.Listener, error) {
	f := os.NewFile(3, "public listener")
	defer f.Close() //nolint:errcheck // the listener has its own copy
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("use the drill's public listener: %w", err)
	}
	return l, nil
}
