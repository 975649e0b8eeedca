package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/migrations"
)

// bench is a database, a company in it, a sink, and what was found so far.
type bench struct {
	options
	*company
	dir     string
	url     string
	cluster *pg.Cluster
	sink    *child
	addr    string
	source  *source // nil: there is none
	applied int
	results results
}

func openBench(ctx context.Context, o options) (*bench, error) {
	dir, err := os.MkdirTemp("", "sapa-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, dir: dir}
	if err := b.open(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) open(ctx context.Context) (err error) {
	if err := os.Chmod(b.dir, 0o755); err != nil { // PostgreSQL may run under another account
		return err
	}
	if b.cluster, err = pg.Private(ctx, pg.PrivateOptions{Dir: filepath.Join(b.dir, "pg")}); err != nil {
		return err
	}
	if err := b.cluster.EnsureDatabase(ctx, "bench"); err != nil {
		return err
	}
	b.url = b.cluster.URL("bench")
	if err := b.prepare(ctx); err != nil {
		return err
	}
	if b.sink, err = spawn(ctx, "sink", sinkOptions{}); err != nil {
		return err
	}
	var stats sinkStats
	if err := b.sink.out.Decode(&stats); err != nil {
		return err
	}
	b.addr = stats.Addr
	if b.source, err = findSource(ctx, filepath.Join(b.dir, "postfix")); err != nil {
		fmt.Fprintf(os.Stderr, "There is no smtp-source to compare with: %v\n\n", err)
	}
	return nil
}

// prepare makes Sapa's tables and the company's.
func (b *bench) prepare(ctx context.Context) error {
	pool, err := pg.Connect(ctx, b.url, pg.Options{MaxConns: 1})
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := migrations.Up(ctx, pool, pg.DefaultSchema); err != nil {
		return err
	}
	if _, err := pool.Exec(ctx, customersTable); err != nil {
		return err
	}
	b.company, err = openCompany(ctx, b.url, 4)
	return err
}

func (b *bench) close() {
	if b.sink != nil {
		_ = b.sink.in.Close()
		_ = b.sink.cmd.Wait()
	}
	if b.company != nil {
		b.pool.Close()
	}
	if b.cluster != nil {
		if err := b.cluster.Release(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	_ = os.RemoveAll(b.dir)
}

// reset begins the sink's counters anew, and answers what they were.
func (b *bench) reset(rtt time.Duration) (s sinkStats, err error) {
	if err := b.sink.tell(sinkOptions{RTT: rtt}); err != nil {
		return s, err
	}
	err = b.sink.out.Decode(&s)
	return s, err
}

func (b *bench) describe() {
	var version string
	if err := b.pool.QueryRow(context.Background(), `select split_part(version(), ' ', 2)`).Scan(&version); err != nil {
		version = err.Error()
	}
	b.results.Date = time.Now().Format(time.DateOnly)
	b.results.Machine = fmt.Sprintf("%d CPUs (%s), Go %s, PostgreSQL %s with fsync", runtime.NumCPU(), cpuModel(), strings.TrimPrefix(runtime.Version(), "go"), version)
	b.results.Messages, b.results.Rounds = b.messages, b.rounds
	fmt.Printf("%s, %s, %d connections, %d rounds: median (least–most)\n\n", b.results.Date, b.results.Machine, b.connections, b.rounds)
}

func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.Trim(name, "\t\n: ")
		}
	}
	return runtime.GOARCH
}

// audience makes sure that there are so many customers and a campaign for them, whose name it returns.
func (b *bench) audience(ctx context.Context, n int) (string, error) {
	_, err := b.pool.Exec(ctx, `
		insert into bench.customers
		select i, 'Person ' || i, 'person' || i || '@mail.example', 'City ' || i % 97, i % 1000
		from generate_series((select coalesce(max(id), 0) + 1 from bench.customers), $1::int) i`, n)
	if err != nil {
		return "", err
	}
	if _, err := b.pool.Exec(ctx, `vacuum analyze bench.customers`); err != nil {
		return "", err
	}
	b.applied++
	name := fmt.Sprintf("offer-%d", b.applied)
	return name, b.apply(ctx, name, n)
}

// planned plans a run of a campaign.
func (b *bench) planned(ctx context.Context, name string) (run int, took time.Duration, err error) {
	if _, err := b.pool.Exec(ctx, `checkpoint`); err != nil {
		return 0, 0, err
	}
	begun := time.Now()
	r, _, err := b.planner.Start(ctx, campaign.Start{Campaign: name, Actor: "bench", Yes: true})
	if err != nil {
		return 0, 0, err
	}
	return r.ID, time.Since(begun), nil
}

// settle brings the address book into the state in which it is most days: its pages have been looked at before.
func (b *bench) settle(ctx context.Context) error {
	_, err := b.pool.Exec(ctx, `vacuum analyze addresses`)
	return err
}

// empty forgets all runs, so that each is planned for the first time and the tables do not grow.
func (b *bench) empty(ctx context.Context) error {
	_, err := b.pool.Exec(ctx, `truncate messages, attempts, occasions, batches, run_totals, runs, river_job cascade`)
	return err
}

// result is what one variant did in one round.
type result struct {
	rate     float64 // messages per second, from the first to the last at the sink
	client   float64 // CPU of the sending process, from its start to its end, in µs per message
	postgres float64
	sink     float64
	octets   float64 // of a message
}

// watch measures a process that sends n messages to a server that is so far away; send starts it and waits for its end.
func (b *bench) watch(n int, rtt time.Duration, send func() (*exec.Cmd, error)) (r result, err error) {
	if _, err := b.reset(rtt); err != nil {
		return r, err
	}
	before, err := b.usage()
	if err != nil {
		return r, err
	}
	sender, err := send()
	if err != nil {
		return r, err
	}
	stats, err := b.reset(0)
	if err != nil {
		return r, err
	}
	after, err := b.usage()
	if err != nil {
		return r, err
	}
	if stats.Count != int64(n) {
		return r, fmt.Errorf("the sink has %d messages, want %d", stats.Count, n)
	}
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(n) }
	r.rate, r.octets = float64(n-1)/stats.Last.Sub(stats.First).Seconds(), float64(stats.Octets)/float64(n)
	r.client, r.postgres, r.sink = each(cpu(sender)), each(after.postgres-before.postgres), each(after.sink-before.sink)
	return r, nil
}

// usage is the processor time that PostgreSQL, whatever of it does something, and the sink have taken so far.
type usage struct{ postgres, sink time.Duration }

func (b *bench) usage() (u usage, err error) {
	if u.postgres, err = b.postgresCPU(); err != nil {
		return u, err
	}
	u.sink, err = cpuOf(b.sink.cmd.Process.Pid)
	return u, err
}
