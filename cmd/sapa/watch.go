package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/report"
)

// watchEvery is how often sapa status --watch looks.
const watchEvery = time.Second

// watcher looks at runs again and again. In a terminal it writes over what it wrote before; elsewhere it writes a line
// where something has changed.
type watcher struct {
	a         *app
	s         *session
	filter    report.Filter
	tty       bool
	untilDone bool

	said map[int]string // the line of each run that was last written, without its time
	open []int          // the runs that were under way at the last look
	away bool           // the database was away at the last look
}

// watchStatus looks until it is interrupted or, with untilDone, until no run is under way.
func (a *app) watchStatus(ctx context.Context, f report.Filter, untilDone bool) error {
	s, err := a.openProjectDB(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	w := &watcher{a: a, s: s, filter: f, tty: terminal(a.stdout), untilDone: untilDone, said: map[int]string{}}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		ended, err := w.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil // Ctrl-C is how one stops looking
		case pg.Fleeting(err):
			w.wait(err)
		case err != nil || ended:
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// look shows where runs stand. It has ended when it should until all was done, and nothing is under way.
func (w *watcher) look(ctx context.Context) (ended bool, err error) {
	st, err := w.s.standing(ctx, w.filter)
	if err != nil {
		return false, err
	}
	w.away = false
	runs, err := w.withEnded(ctx, runsOf(st.Report))
	if err != nil {
		return false, err
	}
	if w.tty {
		if err := w.draw(st); err != nil {
			return false, err
		}
	} else {
		w.print(runs)
	}
	if !w.untilDone || slices.ContainsFunc(runs, moves) {
		return false, nil
	}
	return true, w.conclude(runs)
}

func runsOf(r report.Report) (runs []report.Run) {
	for _, c := range r.Campaigns {
		runs = append(runs, c.Runs...)
	}
	slices.SortFunc(runs, func(a, b report.Run) int { return a.RunID - b.RunID })
	return runs
}

// moves says whether a run is under way.
func moves(r report.Run) bool { return r.State == "planning" || r.State == "sending" }

// withEnded adds those that were under way at the last look and are not listed any more, since they are over.
func (w *watcher) withEnded(ctx context.Context, runs []report.Run) ([]report.Run, error) {
	for _, id := range w.open {
		if slices.ContainsFunc(runs, func(r report.Run) bool { return r.RunID == id }) {
			continue
		}
		r, err := report.Campaigns(ctx, w.s.pool, report.Filter{Run: id})
		if err != nil {
			return nil, err
		}
		runs = append(runs, runsOf(r)...)
	}
	w.open = w.open[:0]
	for _, r := range runs {
		if moves(r) || w.untilDone {
			w.open = append(w.open, r.RunID)
		}
	}
	return runs, nil
}

// draw writes the whole screen at once, so that it does not flicker.
func (w *watcher) draw(st standing) error {
	var screen bytes.Buffer
	out := *w.a
	out.stdout = &screen
	fmt.Fprintf(&screen, "%s, every %s; Ctrl-C ends\n\n", w.clock(), watchEvery)
	if err := report.WriteStatus(&screen, st.Report, w.a.tableOptions()); err != nil {
		return err
	}
	out.printRails(st)
	const home, clearLine, clearBelow = "\x1b[H", "\x1b[K", "\x1b[J"
	_, err := w.a.stdout.Write([]byte(home + strings.ReplaceAll(screen.String(), "\n", clearLine+"\n") + clearBelow))
	return err
}

func (w *watcher) clock() string { return w.a.now().Local().Format("15:04:05") }

// print writes the lines of those runs whose line has changed.
func (w *watcher) print(runs []report.Run) {
	for i := range runs {
		line := watchLine(&runs[i])
		if w.said[runs[i].RunID] == line {
			continue
		}
		w.said[runs[i].RunID] = line
		fmt.Fprintf(w.a.stdout, "%s %s\n", w.clock(), line)
	}
}

// watchLine is "run 3 oil-change sending: 120 of 400 sent, 5 failed, 275 waiting".
func watchLine(r *report.Run) string {
	var b strings.Builder
	fmt.Fprintf(&b, "run %d %s %s: %s of %s sent", r.RunID, r.Campaign, r.State, thousands(int(r.Sent)), thousands(int(r.Audience-r.Already)))
	for _, n := range []struct {
		count int64
		word  string
	}{{r.Failed, "failed"}, {r.Skipped, "skipped"}, {r.Unknown, "unknown"}, {r.HeldOut, "held out"}, {r.Waiting(), "waiting"}} {
		if n.count > 0 {
			fmt.Fprintf(&b, ", %s %s", thousands(int(n.count)), n.word)
		}
	}
	if r.Reason != nil && *r.Reason != "" && r.State != "done" {
		reason, _, _ := strings.Cut(*r.Reason, "\n")
		fmt.Fprintf(&b, "; %s", reason)
	}
	return b.String()
}

// wait says once that the database is away; it is waited for.
func (w *watcher) wait(err error) {
	if !w.away {
		fmt.Fprintf(w.a.stderr, "%s waiting for the database: %v\n", w.clock(), err)
	}
	w.away = true
}

// conclude tells a program how the runs ended that were watched.
func (w *watcher) conclude(runs []report.Run) error {
	if w.tty && len(runs) > 0 {
		w.print(runs) // the screen shows only what is under way
	}
	if len(runs) == 0 {
		fmt.Fprintln(w.a.stdout, "no run is under way")
	}
	var errs []error
	partial := false
	for i := range runs {
		switch r := &runs[i]; {
		case r.State == "paused":
			errs = append(errs, fmt.Errorf("run %d is paused; see: sapa status %[1]d", r.RunID))
		case r.State == "cancelled":
			errs = append(errs, fmt.Errorf("run %d was cancelled", r.RunID))
		case r.Failed+r.Unknown > 0:
			partial = true
		}
	}
	if len(errs) == 0 && partial {
		return &exitError{code: exitPartial}
	}
	return errors.Join(errs...)
}
