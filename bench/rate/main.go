// Command rate measures whether the rate of a provider account holds over several processes, at the mail server: three
// sapa work on one database send at 50 messages a second with work waiting all the time; once undisturbed, and once while
// one of them is killed with SIGKILL and a second run begins.
//
//	go run ./bench/rate                 both, two and a half minutes
//	go run ./bench/rate -rate 200       another rate
//
// In no ten seconds may more arrive than the rate and 2 % of it, and in any minute the average must not be more than 2 %
// below the rate. Arrivals are those that the sandbox has recorded. The exit code is 1 where that does not hold. It uses a
// PostgreSQL of its own and the loopback; the figures are written to bench/results/rate.json.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench/rate:", err)
		os.Exit(1)
	}
}

type options struct {
	rate      int
	processes int
	time      time.Duration
	out       string
	program   string // sapa
}

// results are written as JSON.
type results struct {
	Date      string `json:"date"`
	Machine   string `json:"machine"`
	Rate      int    `json:"rate"` // messages a second
	Processes int    `json:"processes"`
	Quiet     found  `json:"quiet"`
	Disturbed found  `json:"disturbed"` // one process killed, a second run begun
	Holds     bool   `json:"holds"`
}

// found is what arrived at the mail server.
type found struct {
	Messages   int     `json:"messages"`
	Most       int     `json:"most_in_10s"`    // in any ten seconds
	Least      float64 `json:"per_second_60s"` // the average of the slowest minute
	Duplicates int     `json:"duplicates"`
}

func run(ctx context.Context, args []string) error {
	var o options
	flags := flag.NewFlagSet("rate", flag.ContinueOnError)
	flags.IntVar(&o.rate, "rate", 50, "messages per second of the account")
	flags.IntVar(&o.processes, "processes", 3, "processes that send")
	flags.DurationVar(&o.time, "time", 70*time.Second, "how long each measurement takes; more than a minute")
	flags.StringVar(&o.out, "out", "bench/results/rate.json", "where the figures go; empty: nowhere")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.rate < 1 || o.processes < 2 || o.time <= time.Minute {
		return errors.New("-rate starts at 1, -processes at 2, and -time is more than a minute")
	}
	r := results{
		Date: time.Now().Format(time.DateOnly), Rate: o.rate, Processes: o.processes,
		Machine: fmt.Sprintf("%d CPUs, %s, %s", runtime.NumCPU(), runtime.GOARCH, runtime.Version()),
	}
	fmt.Printf("%s, %s: %d processes, %d/s\n", r.Date, r.Machine, o.processes, o.rate)
	dir, err := os.MkdirTemp("", "sapa-rate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	if o.program, err = build(ctx, dir); err != nil {
		return err
	}
	if r.Quiet, err = measure(ctx, o, "undisturbed", nil); err != nil {
		return err
	}
	if r.Disturbed, err = measure(ctx, o, "one killed, a second run", disturb); err != nil {
		return err
	}
	r.Holds = r.Quiet.holds(o.rate) && r.Disturbed.holds(o.rate)
	if err := r.write(o.out); err != nil {
		return err
	}
	if !r.Holds {
		return errors.New("the rate does not hold")
	}
	return nil
}

// disturb kills a process a third of the time in, and starts a second run at two thirds.
func disturb(ctx context.Context, b *bench) error {
	if err := wait(ctx, b.time/3); err != nil {
		return err
	}
	if err := b.workers[0].Process.Kill(); err != nil {
		return err
	}
	if err := wait(ctx, b.time/3); err != nil {
		return err
	}
	return b.start(ctx, "second")
}

// measure sends for a time and looks at what arrived.
func measure(ctx context.Context, o options, name string, also func(context.Context, *bench) error) (f found, err error) {
	b, err := openBench(ctx, o)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.start(ctx, "first"); err != nil {
		return f, err
	}
	for range o.processes {
		if err := b.work(); err != nil {
			return f, err
		}
	}
	if err := b.firstArrival(ctx); err != nil {
		return f, err
	}
	over := time.After(o.time)
	if also != nil {
		if err := also(ctx, b); err != nil {
			return f, err
		}
	}
	select {
	case <-over:
	case <-ctx.Done():
		return f, ctx.Err()
	}
	if err := b.stillWaiting(ctx); err != nil {
		return f, err
	}
	f = b.found()
	fmt.Printf("%-25s %d messages; at most %d in 10 s (%d may be), at least %.1f/s over 60 s (%.1f must be), %d twice\n", name+":",
		f.Messages, f.Most, mayBe(o.rate), f.Least, mustBe(o.rate), f.Duplicates)
	return f, nil
}

// mayBe is how many may arrive in ten seconds: 2 % above the rate.
func mayBe(rate int) int { return rate*10 + rate*10/50 }

// mustBe is how many a second must arrive over a minute: 2 % below the rate.
func mustBe(rate int) float64 { return float64(rate) * 0.98 }

func (f found) holds(rate int) bool {
	return f.Most <= mayBe(rate) && f.Least >= mustBe(rate) && f.Duplicates == 0
}

func (r results) write(path string) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644) //nolint:gosec // for everybody
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
