// Command send measures what sending costs: Sapa with its full ledger against a bare go-mail Client.Send loop with its
// defaults and no database, on the same sink; planning against a bare INSERT … SELECT into the same tables; and the
// memory of a sending process.
//
//	go run ./bench/send                        everything, about ten minutes
//	go run ./bench/send -only send -rtt 5ms    one part, as if the server were 5 ms away
//
// It uses a PostgreSQL of its own with fsync on, and the loopback. Senders, sink and PostgreSQL are processes of their
// own, so that their CPU can be told apart. Variants take turns, and what is printed are medians and the ratios of each
// round: on a machine that is shared, only ratios of the same round tell.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
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
	connections int
	rounds      int
	rtt         time.Duration
	plan        string
	memory      string
	url         string
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
		return beWorker(ctx, os.Stdin)
	}
	var o options
	flags := flag.NewFlagSet("send", flag.ContinueOnError)
	flags.StringVar(&o.only, "only", "send,plan,memory", "the parts to measure")
	flags.IntVar(&o.messages, "messages", 20_000, "messages in each round of sending")
	flags.IntVar(&o.connections, "connections", 32, "connections of both senders")
	flags.IntVar(&o.rounds, "rounds", 7, "rounds")
	flags.DurationVar(&o.rtt, "rtt", 0, "delay of each flight of the sink's replies")
	flags.StringVar(&o.plan, "plan", "100000,1000000", "audiences to plan")
	flags.StringVar(&o.memory, "memory", "10000,100000", "audiences whose sending process is measured")
	flags.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of the last sending process to this file")
	flags.StringVar(&o.url, "database", "", "an empty database instead of a cluster of its own, whose CPU is then not measured")
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
	for part, f := range map[string]func(context.Context) error{"send": b.sending, "plan": b.planning, "memory": b.memory} {
		if !strings.Contains(","+o.only+",", ","+part+",") {
			continue
		}
		if err := f(ctx); err != nil {
			return err
		}
	}
	return nil
}

// child is this program as another process: a JSON value on its standard input tells it what to do.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

func spawn(ctx context.Context, role string, what any) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.CommandContext(ctx, self)}
	c.cmd.Env = append(os.Environ(), roleEnv+"="+role)
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = json.NewDecoder(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	return c, c.tell(what)
}

func (c *child) tell(what any) error { return json.NewEncoder(c.in).Encode(what) }

// finish waits until the process has ended by itself.
func (c *child) finish() error { return errors.Join(c.cmd.Wait()) }

// cpu is the processor time that a process which has ended took.
func (c *child) cpu() time.Duration {
	return c.cmd.ProcessState.UserTime() + c.cmd.ProcessState.SystemTime()
}

// peak is the most memory that a process which has ended had, in bytes.
func (c *child) peak() int64 {
	usage, ok := c.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return usage.Maxrss << 10 // Linux counts in KiB
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	if len(sorted) == 0 {
		return 0
	}
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// spread is "median (least–most)".
func spread(list []float64, format string) string {
	return fmt.Sprintf(format+" ("+format+"–"+format+")", median(list), slices.Min(list), slices.Max(list))
}
