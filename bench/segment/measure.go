package main

import (
	"bufio"
	"context"
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
	fmt.Printf("\nmedian %.2f, worst %.2f\n", r.Median, r.Worst)
	if o.only == "" {
		if err := c.residual(ctx, url, r); err != nil {
			return err
		}
		fmt.Printf("decided in Go: %.1f s, %.0f MB; with the rows of a relation: %.1f s, %.0f MB\n", r.ResidualS, r.ResidualRSS, r.RelatedS, r.RelatedRSS)
	}
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
	var p pairs
	for n := 0; !p.enough(o.pairs); n++ {
		if err := c.pair(ctx, &p, ours, byHand, n%2 == 1); err != nil {
			return ruleResult{}, err
		}
		if n == 0 {
			p = pairs{people: p.people} // it warmed up
		}
	}
	return ruleResult{q.name, q.rule, round(median(p.ratios)), median(p.sapa), median(p.hand), p.people}, nil
}

// pairs are the seconds that both statements took, turn by turn.
type pairs struct {
	sapa, hand, ratios []float64
	spent              float64
	people             int
}

// enough: fast statements are asked more often, as what else the machine does weighs more in them.
func (p *pairs) enough(least int) bool {
	return len(p.ratios) >= least && (p.spent > 5 || len(p.ratios) >= 10*least)
}

// pair runs both statements, ours first or second.
func (c *company) pair(ctx context.Context, p *pairs, ours, byHand statement, second bool) error {
	order := []statement{ours, byHand}
	if second {
		slices.Reverse(order)
	}
	var took [2]float64
	var people [2]int
	for i, s := range order {
		var err error
		if took[i], people[i], err = c.time(ctx, s); err != nil {
			return err
		}
	}
	if people[0] != people[1] {
		return fmt.Errorf("the two find %d and %d people", people[0], people[1])
	}
	if second {
		slices.Reverse(took[:])
	}
	p.sapa, p.hand = append(p.sapa, took[0]), append(p.hand, took[1])
	p.ratios, p.spent, p.people = append(p.ratios, took[0]/took[1]), p.spent+took[0]+took[1], people[0]
	return nil
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

// residual lets processes of their own decide the residual rules, so that their memory can be told.
func (c *company) residual(ctx context.Context, url string, r *results) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	for rule, to := range map[string]*struct{ s, mb *float64 }{
		residualRule: {&r.ResidualS, &r.ResidualRSS}, relatedRule: {&r.RelatedS, &r.RelatedRSS},
	} {
		child := exec.CommandContext(ctx, program, rule)
		child.Env = append(os.Environ(), residualEnv+"="+url)
		child.Stderr = os.Stderr
		out, err := child.Output()
		if err != nil {
			return fmt.Errorf("decide %s: %w", rule, err)
		}
		if _, err := fmt.Sscan(string(out), to.s, to.mb); err != nil {
			return fmt.Errorf("decide %s: %w", rule, err)
		}
	}
	return nil
}

// beResidual decides a residual rule and prints seconds and megabytes.
func beResidual(ctx context.Context, url, rule string, out io.Writer) error {
	c, err := openCompany(ctx, url)
	if err != nil {
		return err
	}
	defer c.conn.Close(ctx) //nolint:errcheck // it is over
	q, err := c.query(ctx, rule)
	if err != nil {
		return err
	}
	if q.Exact {
		return fmt.Errorf("nothing stays behind of %s", rule)
	}
	began, n := time.Now(), 0
	if err := q.Keys(ctx, c.conn, func(keys []segment.Key) error { n += len(keys); return nil }); err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	if n == 0 {
		return fmt.Errorf("nobody is meant by %s", rule)
	}
	peak, err := peakMemory()
	if err != nil {
		return err
	}
	fmt.Fprintln(out, round(took), round(peak))
	return nil
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
