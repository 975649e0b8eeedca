// Command send measures what sending costs: Sapa with its full ledger against the same message sent by a bare loop around
// go-mail's Client.Send with its defaults and no database, by that loop without NOOP and RSET, and by Postfix's
// smtp-source; all at the same sink, and again as if the server were 5 ms away. Then planning against a bare INSERT …
// SELECT into the same tables, and the memory of a sending process.
//
//	go run ./bench/send                             everything, about a quarter of an hour
//	go run ./bench/send -only send -messages 10000  one part, smaller
//
// It uses a PostgreSQL of its own with fsync on, and the loopback. Senders, sink and PostgreSQL are processes of their
// own, so that their CPU can be told apart. Variants take turns in an order that changes from round to round, and what
// counts is the median of the ratios of each round: on a machine that is shared, only ratios of the same round tell. The
// figures are written to bench/results/send.json when all parts were measured.
//
// smtp-source is taken from the system, or from Debian's package, which is fetched and taken apart in a temporary folder.
// Where neither can be had, its figures are left out and its ratio is null.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// roleEnv tells this program to be one of its child processes.
const roleEnv = "SAPA_BENCH_ROLE"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench/send:", err)
		os.Exit(1)
	}
}

type options struct {
	only        string
	messages    int
	far         int
	rtt         time.Duration
	connections int
	rounds      int
	toPlan      int
	small, big  int
	out         string
	profile     string
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch os.Getenv(roleEnv) {
	case "sink":
		return beSink(os.Stdin, os.Stdout)
	case "gomail":
		return beGoMail(ctx, os.Stdin)
	case "worker":
		return beWorker(ctx, os.Stdin, os.Stdout)
	}
	var o options
	flags := flag.NewFlagSet("send", flag.ContinueOnError)
	flags.StringVar(&o.only, "only", "send,far,plan,memory", "the parts to measure; far is sending to a server that is -rtt away")
	flags.IntVar(&o.messages, "messages", 100_000, "recipients in each round of sending")
	flags.IntVar(&o.far, "far", 10_000, "recipients in each round of sending to a server that is far away")
	flags.DurationVar(&o.rtt, "rtt", 5*time.Millisecond, "how far away: delay of each flight of the server's replies")
	flags.IntVar(&o.connections, "connections", 32, "connections of each sender")
	flags.IntVar(&o.rounds, "rounds", 7, "rounds of each part")
	flags.IntVar(&o.toPlan, "plan", 1_000_000, "recipients of the run that is planned")
	flags.IntVar(&o.small, "small", 10_000, "recipients of the smaller run whose sending process's memory is measured")
	flags.IntVar(&o.big, "big", 1_000_000, "recipients of the bigger one")
	flags.StringVar(&o.out, "out", "bench/results/send.json", "where the figures go when all parts were measured; empty: nowhere")
	flags.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of the last sending process to this file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return measure(ctx, o)
}

func measure(ctx context.Context, o options) error {
	b, err := openBench(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	b.describe()
	parts := []struct {
		name string
		do   func(context.Context) error
	}{{"send", b.sendNear}, {"far", b.sendFar}, {"plan", b.planning}, {"memory", b.memory}}
	measured := 0
	for _, p := range parts {
		if !slices.Contains(strings.Split(o.only, ","), p.name) {
			continue
		}
		if err := p.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		measured++
	}
	if measured == 0 {
		return fmt.Errorf("-only takes send, far, plan and memory, with commas between them, not %q", o.only)
	}
	if measured < len(parts) || o.out == "" {
		return nil
	}
	return b.results.write(o.out)
}
