package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/migrations"
)

// bench is a database, a company in it, and a sink.
type bench struct {
	options
	*company
	dir     string
	cluster *pg.Cluster
	sink    *child
	addr    string
	applied int
}

func openBench(ctx context.Context, o options) (*bench, error) {
	dir, err := os.MkdirTemp("", "sapa-bench-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL may run under another account
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
	if b.url == "" {
		if b.cluster, err = pg.Private(ctx, pg.PrivateOptions{Dir: filepath.Join(b.dir, "pg")}); err != nil {
			return err
		}
		if err := b.cluster.EnsureDatabase(ctx, "bench"); err != nil {
			return err
		}
		b.url = b.cluster.URL("bench")
	}
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
	if b.company, err = openCompany(ctx, b.url, 4); err != nil {
		return err
	}
	if b.sink, err = spawn(ctx, "sink", sinkOptions{RTT: b.rtt}); err != nil {
		return err
	}
	stats, err := b.sinkStats()
	b.addr = stats.Addr
	return err
}

func (b *bench) close() {
	if b.sink != nil {
		_ = b.sink.in.Close()
		_ = b.sink.finish()
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

func (b *bench) sinkStats() (s sinkStats, err error) {
	err = b.sink.out.Decode(&s)
	return s, err
}

// reset begins the sink's counters anew, and answers what they were.
func (b *bench) reset() (sinkStats, error) {
	if err := b.sink.tell(struct{}{}); err != nil {
		return sinkStats{}, err
	}
	return b.sinkStats()
}

func (b *bench) describe() {
	var version string
	if err := b.pool.QueryRow(context.Background(), `select split_part(version(), ' ', 2)`).Scan(&version); err != nil {
		version = err.Error()
	}
	fmt.Printf("%s, %d CPUs (%s), Go %s, PostgreSQL %s with fsync, %d connections, round trip %s\n\n",
		time.Now().Format(time.DateOnly), runtime.NumCPU(), cpuModel(), strings.TrimPrefix(runtime.Version(), "go"), version, b.connections, b.rtt)
}

func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for _, line := range strings.Split(string(info), "\n") {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimLeft(name, "\t: ")
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
	if _, err := b.pool.Exec(ctx, `analyze bench.customers`); err != nil {
		return "", err
	}
	b.applied++
	name := fmt.Sprintf("offer-%d", b.applied)
	return name, b.apply(ctx, name, n)
}

// planned plans a run of a campaign for the n-th time.
func (b *bench) planned(ctx context.Context, name string, n int) (run int, took time.Duration, err error) {
	if _, err := b.pool.Exec(ctx, `checkpoint`); err != nil {
		return 0, 0, err
	}
	begun := time.Now()
	r, _, err := b.planner.Start(ctx, campaign.Start{Campaign: name, Label: strconv.Itoa(n), Actor: "bench", Yes: true})
	if err != nil {
		return 0, 0, err
	}
	return r.ID, time.Since(begun), nil
}

// empty forgets all runs, so that the tables do not grow from round to round.
func (b *bench) empty(ctx context.Context) error {
	_, err := b.pool.Exec(ctx, `truncate messages, attempts, occasions, batches, run_totals, runs, river_job cascade`)
	return err
}

// result is what one variant did in one round.
type result struct {
	rate     float64 // messages per second, from the first to the last at the sink
	client   float64 // CPU of the sending process, in µs per message
	postgres float64
	sink     float64
	wall     float64 // seconds from the process's start to its end
}

// watch measures a sending process.
func (b *bench) watch(ctx context.Context, role string, what any, n int) (r result, err error) {
	if _, err := b.reset(); err != nil {
		return r, err
	}
	postgres, sinkCPU, begun := b.postgresCPU(), cpuOf(b.sink.cmd.Process.Pid), time.Now()
	c, err := spawn(ctx, role, what)
	if err != nil {
		return r, err
	}
	if err := c.finish(); err != nil {
		return r, fmt.Errorf("%s: %w", role, err)
	}
	r.wall = time.Since(begun).Seconds()
	stats, err := b.reset()
	if err != nil {
		return r, err
	}
	if stats.Count != int64(n) {
		return r, fmt.Errorf("%s: the sink has %d messages, want %d", role, stats.Count, n)
	}
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(n) }
	r.rate = float64(n-1) / stats.Last.Sub(stats.First).Seconds()
	r.client, r.postgres, r.sink = each(c.cpu()), each(b.postgresCPU()-postgres), each(cpuOf(b.sink.cmd.Process.Pid)-sinkCPU)
	return r, nil
}

// postgresCPU is what the cluster's processes have taken so far, those that have ended among them.
func (b *bench) postgresCPU() time.Duration {
	if b.cluster == nil {
		return 0
	}
	pid, err := os.ReadFile(filepath.Join(b.cluster.Dir(), "data", "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(pid), "\n")
	postmaster, err := strconv.Atoi(first)
	if err != nil {
		return 0
	}
	total := cpuOf(postmaster)
	children, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range children {
		if fields, err := stat(path); err == nil && fields[1] == first {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			total += cpuOf(pid)
		}
	}
	return total
}

// cpuOf is the processor time of a process and of its children that have ended.
func cpuOf(pid int) time.Duration {
	fields, err := stat(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	var ticks int64
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		n, _ := strconv.ParseInt(field, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100
}

// stat is the fields of /proc/PID/stat behind the program's name.
func stat(path string) ([]string, error) {
	line, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	i := bytes.LastIndexByte(line, ')')
	fields := strings.Fields(string(line[i+1:]))
	if i < 0 || len(fields) < 15 {
		return nil, errors.New("unreadable")
	}
	return fields, nil
}
