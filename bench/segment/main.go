// Command segment measures what rules cost: the SQL that a rule becomes against the SQL that an expert writes by hand for
// the same question, over a generated company of a million customers; and how long and in how much memory Go decides a
// rule that SQL can't say at all.
//
//	go run ./bench/segment                     everything, some minutes
//	go run ./bench/segment -customers 100000   a smaller company
//	go run ./bench/segment -only winback       the rules whose name contains a word
//
// It uses a PostgreSQL of its own. Both statements of a pair take turns, first one, then the other, and what counts is the
// ratio of each pair; both must find the same people. The figures are written to bench/results/segment.json.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// residualEnv tells this program to be its own child, which decides the residual rule in the database that it names.
const residualEnv = "SAPA_BENCH_RESIDUAL"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench/segment:", err)
		os.Exit(1)
	}
}

type options struct {
	customers int
	pairs     int
	only      string
	out       string
	explain   bool
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if url := os.Getenv(residualEnv); url != "" {
		return beResidual(ctx, url, args[0], os.Stdout)
	}
	var o options
	flags := flag.NewFlagSet("segment", flag.ContinueOnError)
	flags.IntVar(&o.customers, "customers", 1_000_000, "customers; vehicles and orders follow")
	flags.IntVar(&o.pairs, "pairs", 9, "pairs of each rule at least; fast ones run for five seconds")
	flags.StringVar(&o.only, "only", "", "only rules whose name contains this")
	flags.StringVar(&o.out, "out", "bench/results/segment.json", "where the figures go; empty: nowhere")
	flags.BoolVar(&o.explain, "explain", false, "show the plans of both statements")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return measure(ctx, o)
}

// results are the figures as other programs read them.
type results struct {
	Rules       []ruleResult `json:"rules"`
	Median      float64      `json:"median"`
	Worst       float64      `json:"worst"`
	ResidualS   float64      `json:"residual_s"`
	ResidualRSS float64      `json:"residual_rss_mb"`
	RelatedS    float64      `json:"residual_related_s"` // with the rows of a relation
	RelatedRSS  float64      `json:"residual_related_rss_mb"`
}

type ruleResult struct {
	Name  string  `json:"name"`
	Rule  string  `json:"rule"`
	Ratio float64 `json:"ratio"`
	SapaS float64 `json:"sapa_s"`
	HandS float64 `json:"hand_s"`
	Count int     `json:"count"`
}

func (r *results) write(path string) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
