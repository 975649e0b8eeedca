package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/delivery"
)

// drillClock is the business time of a drill, a minute for each second, so that what is refused for now is tried again
// while the drill lasts. Leases and rates go by real time.
type drillClock struct{ Real time.Time }

const drillSpeed = 60

func (c drillClock) now() time.Time { return c.Real.Add(drillSpeed * time.Since(c.Real)) }

// drillWork is what a process of a drill is told on its command line.
type drillWork struct {
	Dir   string
	Clock drillClock
	Lease delivery.Lease
	Fault delivery.Fault
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
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	planner, err := s.planner(a)
	if err != nil {
		return err
	}
	cfg, err := s.engineConfig(ctx, a)
	if err != nil {
		return err
	}
	cfg.Lease, cfg.Fault = w.Lease, w.Fault
	engine, err := delivery.New(cfg)
	if err != nil {
		return err
	}
	return engine.Run(ctx, planner.AddWorkers)
}
