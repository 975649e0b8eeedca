package main

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/segment"
)

func newExplainCommand(a *app, o *segmentOptions) *cobra.Command {
	c := segmentVerb(a, o, "explain RULE", "Say what a rule costs: who decides its parts, how the database finds them, and an index that would help", explainSegment)
	c.Long = `Shows who decides each condition of a rule, PostgreSQL or Sapa, and why; the SQL with its
values; what the database does to find the customers, and how many it expects; and an index that would
help, which nobody makes but you. Your tables are read only with --count, and for percentile, rfm and has_channel.`
	c.Flags().BoolVar(&o.sizes, "count", false, "also count them, and say how long that took")
	return c
}

// explained is an explanation with what --count found.
type explained struct {
	*segment.Explanation
	Count *int     `json:"count,omitempty"`
	Took  *float64 `json:"count_seconds,omitempty"`
}

func explainSegment(ctx context.Context, a *app, s *session, q *segment.Query, o segmentOptions) error {
	x, err := q.Explain(ctx, s.pool)
	if err != nil {
		return err
	}
	out := explained{Explanation: x}
	if o.sizes {
		from := time.Now()
		n, err := s.count(ctx, q)
		if err != nil {
			return askCompany(err)
		}
		took := time.Since(from).Seconds()
		out.Count, out.Took = &n, &took
	}
	if o.json {
		return a.printJSON(out)
	}
	a.printExplained(out)
	return nil
}

func (a *app) printExplained(x explained) {
	fmt.Fprintln(a.stdout, "who decides")
	for _, c := range x.Clauses {
		a.printClause(c)
	}
	fmt.Fprintln(a.stdout, "\nwhat PostgreSQL is asked")
	a.printSQL(x.SQL, x.Args)
	fmt.Fprintln(a.stdout, "\nwhat it does")
	for i, step := range x.Plan {
		then := "then "
		if i == 0 {
			then = ""
		}
		fmt.Fprintf(a.stdout, "  %s%s\n", then, step)
	}
	fmt.Fprintln(a.stdout, "\nwhat to expect")
	if asked(x.Clauses) {
		fmt.Fprintf(a.stdout, "  about %s%s, each of whom Sapa then asks the whole rule: %s\n", counted(int(x.Rows), "candidate"), ofAll(x.Table), effort(x.Seconds))
	} else {
		fmt.Fprintf(a.stdout, "  about %s%s, %s\n", people(int(x.Rows)), ofAll(x.Table), effort(x.Seconds))
	}
	if x.Count != nil {
		fmt.Fprintf(a.stdout, "  counted: %s, in %.1f s\n", people(*x.Count), *x.Took)
	}
	fmt.Fprintln(a.stdout, "\nan index")
	if x.Index == nil {
		fmt.Fprintf(a.stdout, "  %s\n", x.NoIndex)
		return
	}
	fmt.Fprintf(a.stdout, "  %s\n  %s; Sapa never makes one\n", x.Index.Create, x.Index.Why)
}

func (a *app) printClause(c segment.Clause) {
	text := c.Text
	if c.Base {
		text += "   (customers: where in sapa.yaml)"
	}
	who := map[string]string{segment.DecidesDatabase: "PostgreSQL", segment.DecidesSapa: "Sapa", segment.DecidesNobody: "nobody"}[c.Decides]
	fmt.Fprintf(a.stdout, "  %-10s  %s\n", who, text)
	if c.Why != "" {
		fmt.Fprintf(a.stdout, "  %-10s  why: %s\n", "", c.Why)
	}
	if c.Instead != "" {
		fmt.Fprintf(a.stdout, "  %-10s  instead: %s\n", "", c.Instead)
	}
}

var placeholder = regexp.MustCompile(`\$(\d+)`)

// printSQL shows each line with the values that it is the first to use.
func (a *app) printSQL(sql string, args []string) {
	lines := strings.Split(sql, "\n")
	notes := make([]string, len(lines))
	var seen []string
	wide := 0
	for i, line := range lines {
		var list []string
		for _, m := range placeholder.FindAllStringSubmatch(line, -1) {
			if n, err := strconv.Atoi(m[1]); err == nil && n <= len(args) && !slices.Contains(seen, m[0]) {
				seen = append(seen, m[0])
				list = append(list, m[0]+" = "+cutText(args[n-1], 60))
			}
		}
		if notes[i] = strings.Join(list, ", "); notes[i] != "" {
			wide = max(wide, min(utf8.RuneCountInString(line), 90))
		}
	}
	for i, line := range lines {
		if notes[i] != "" {
			line += strings.Repeat(" ", max(0, wide-utf8.RuneCountInString(line))) + "   -- " + notes[i]
		}
		fmt.Fprintf(a.stdout, "  %s\n", line)
	}
}

func people(n int) string { return counted(n, "customer") }

func ofAll(n int64) string {
	if n <= 0 {
		return ""
	}
	return " of " + thousands(int(n))
}

// effort is a guess in words, with one figure.
func effort(seconds float64) string {
	switch {
	case seconds < 0.05:
		return "in a moment"
	case seconds < 10:
		return fmt.Sprintf("in about %.1f s", seconds)
	case seconds < 90:
		return fmt.Sprintf("in about %.0f s", seconds)
	}
	return fmt.Sprintf("in about %.0f min", math.Ceil(seconds/60))
}

func asked(list []segment.Clause) bool {
	return slices.ContainsFunc(list, func(c segment.Clause) bool { return c.Decides == segment.DecidesSapa })
}
