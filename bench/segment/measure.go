package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/segment"
)

func measure(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "sapa-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)                      //nolint:errcheck // a folder for temporary files
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL may run under another account
		return err
	}
	cluster, err := pg.Private(ctx, pg.PrivateOptions{Dir: filepath.Join(dir, "pg")})
	if err != nil {
		return err
	}
	defer func() {
		if err := cluster.Release(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	if err := cluster.EnsureDatabase(ctx, "bench"); err != nil {
		return err
	}
	url := cluster.URL("bench")
	fmt.Printf("generating %d customers …\n", o.customers)
	if err := generate(ctx, url, o.customers); err != nil {
		return err
	}
	c, err := openCompany(ctx, url)
	if err != nil {
		return err
	}
	defer c.conn.Close(ctx) //nolint:errcheck // it is over
	return c.measure(ctx, o, url)
}

func (c *company) measure(ctx context.Context, o options, url string) error {
	var version string
	if err := c.conn.QueryRow(ctx, `select split_part(version(), ' ', 2)`).Scan(&version); err != nil {
		return err
	}
	fmt.Printf("%s, %d CPUs, Go %s, PostgreSQL %s, %d pairs\n\n%-10s %9s %10s %10s %7s\n", time.Now().Format(time.DateOnly), runtime.NumCPU(),
		strings.TrimPrefix(runtime.Version(), "go"), version, o.pairs, "rule", "people", "Sapa", "by hand", "ratio")
	r := &results{}
	var ratios []float64
	for _, q := range chosen(o.only) {
		one, err := c.compare(ctx, q, o)
		if err != nil {
			return fmt.Errorf("%s: %w", q.name, err)
		}
		r.Rules, ratios = append(r.Rules, one), append(ratios, one.Ratio)
		fmt.Printf("%-10s %9d %8.1fms %8.1fms %7.2f\n", q.name, one.Count, one.SapaS*1e3, one.HandS*1e3, one.Ratio)
	}
	r.Median, r.Worst = round(median(ratios)), round(slices.Max(ratios))
	if o.only == "" {
		if err := c.residual(ctx, url, r); err != nil {
			return err
		}
	}
	fmt.Printf("\nmedian %.2f, worst %.2f; decided in Go: %.1f s, %.0f MB\n", r.Median, r.Worst, r.ResidualS, r.ResidualRSS)
	return r.write(o.out)
}

// compare runs both statements in turns; the first of a pair changes from pair to pair.
func (c *company) compare(ctx context.Context, q question, o options) (ruleResult, error) {
	compiled, err := c.query(ctx, q.rule)
	if err != nil {
		return ruleResult{}, err
	}
	if !compiled.Exact {
		return ruleResult{}, fmt.Errorf("SQL can't say it: %v", compiled.Residual)
	}
	ours := statement{"select count(*) from " + compiled.From + " where " + compiled.Where, compiled.Args.Values()}
	byHand := statement{"select count(*) from bench.customers c where " + q.where, nil}
	if o.explain {
		if err := c.explain(ctx, ours, byHand); err != nil {
			return ruleResult{}, err
		}
	}
	var sapa, hand, ratios []float64
	for i := range o.pairs + 1 { // the first pair warms up
		first, second := ours, byHand
		if i%2 == 1 {
			first, second = byHand, ours
		}
		a, n, err := c.time(ctx, first)
		if err != nil {
			return ruleResult{}, err
		}
		b, m, err := c.time(ctx, second)
		if err != nil {
			return ruleResult{}, err
		}
		if n != m {
			return ruleResult{}, fmt.Errorf("the two find %d and %d people", n, m)
		}
		if i%2 == 1 {
			a, b = b, a
		}
		if i > 0 {
			sapa, hand, ratios = append(sapa, a), append(hand, b), append(ratios, a/b)
		}
		if i == o.pairs {
			return ruleResult{q.name, q.rule, round(median(ratios)), median(sapa), median(hand), n}, nil
		}
	}
	return ruleResult{}, nil
}

type statement struct {
	sql  string
	args []any
}

// time runs a statement as Sapa does: its plan is made for its values.
func (c *company) time(ctx context.Context, s statement) (seconds float64, n int, err error) {
	began := time.Now()
	err = c.conn.QueryRow(ctx, s.sql, append([]any{pgx.QueryExecModeExec}, s.args...)...).Scan(&n)
	return time.Since(began).Seconds(), n, err
}

func (c *company) explain(ctx context.Context, statements ...statement) error {
	for _, s := range statements {
		fmt.Println(s.sql, s.args)
		rows, err := c.conn.Query(ctx, "explain analyze "+s.sql, append([]any{pgx.QueryExecModeExec}, s.args...)...)
		if err != nil {
			return err
		}
		var line string
		if _, err := pgx.ForEachRow(rows, []any{&line}, func() error { fmt.Println(" ", line); return nil }); err != nil {
			return err
		}
	}
	return nil
}

// residual lets a process of its own decide the residual rule, so that its memory can be told.
func (c *company) residual(ctx context.Context, url string, r *results) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.CommandContext(ctx, program)
	child.Env = append(os.Environ(), residualEnv+"="+url)
	child.Stderr = os.Stderr
	out, err := child.Output()
	if err != nil {
		return fmt.Errorf("decide the residual rule: %w", err)
	}
	return json.Unmarshal(out, r)
}

// beResidual decides the residual rule and prints time and memory.
func beResidual(ctx context.Context, url string, out io.Writer) error {
	c, err := openCompany(ctx, url)
	if err != nil {
		return err
	}
	defer c.conn.Close(ctx) //nolint:errcheck // it is over
	q, err := c.query(ctx, residualRule)
	if err != nil {
		return err
	}
	if q.Exact {
		return fmt.Errorf("nothing stays behind of %s", residualRule)
	}
	began, n := time.Now(), 0
	if err := q.Keys(ctx, c.conn, func(keys []segment.Key) error { n += len(keys); return nil }); err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	if n == 0 {
		return fmt.Errorf("nobody is meant by %s", residualRule)
	}
	peak, err := peakMemory()
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(map[string]float64{"residual_s": round(took), "residual_rss_mb": round(peak)})
}

// peakMemory is the most that this process had resident, in MB (proc(5), VmHWM).
func peakMemory() (float64, error) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(text)[0], 64)
			return kb / 1024, err
		}
	}
	return 0, fmt.Errorf("no VmHWM in /proc/self/status")
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	if len(sorted) == 0 {
		return 0
	}
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func round(x float64) float64 { return float64(int(x*1000+0.5)) / 1000 }
