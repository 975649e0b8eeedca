package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/segment"
)

type segmentOptions struct {
	asOf  string
	limit int
	json  bool
	sizes bool
}

func newSegmentCommand(a *app) *cobra.Command {
	var o segmentOptions
	c := &cobra.Command{
		Use:     "segment",
		Aliases: []string{"segments"},
		Short:   "List the named segments; ask a rule or a segment of all customers: how many, who, and by which SQL",
		Long: `Without a verb it lists the named segments, the files of segments/. The verbs take a rule, or the
name of a segment.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return listSegments(c.Context(), a, o) },
	}
	c.Flags().BoolVar(&o.sizes, "count", false, "also count the customers of each segment")
	c.PersistentFlags().StringVar(&o.asOf, "as-of", "", "ask as of this date, or date and time (default: now)")
	c.PersistentFlags().BoolVar(&o.json, "json", false, "print JSON")
	list := segmentVerb(a, &o, "list RULE", "List the customers that a rule means: key, name, address", listSegment)
	list.Flags().IntVar(&o.limit, "limit", 20, "at most so many; 0 for all, as with --json")
	list.PreRunE = func(*cobra.Command, []string) error {
		switch {
		case o.limit < 0:
			return &exitError{exitUsage, fmt.Errorf("--limit %d: expected how many to list, or 0 for all", o.limit)}
		case o.json && !list.Flags().Changed("limit"):
			o.limit = 0
		}
		return nil
	}
	c.AddCommand(
		segmentVerb(a, &o, "count RULE", "Count the customers that a rule means", countSegment),
		list,
		newExplainCommand(a, &o),
		segmentVerb(a, &o, "sql RULE", "Show the SQL that a rule becomes, with its bound parameters", sqlSegment),
	)
	return c
}

func segmentVerb(a *app, o *segmentOptions, use, short string, f func(context.Context, *app, *session, *segment.Query, segmentOptions) error) *cobra.Command {
	return &cobra.Command{
		Use:     use,
		Short:   short,
		Args:    cobra.ExactArgs(1),
		Example: `  sapa segment ` + use[:len(use)-len("RULE")] + `'customer.city == "Semarang" && birthday(customer.birth_date)'`,
		RunE: func(c *cobra.Command, args []string) error {
			s, err := a.open(c.Context())
			if err != nil {
				return err
			}
			defer s.close()
			q, err := s.segment(c.Context(), a, args[0], *o)
			if err != nil {
				return err
			}
			return f(c.Context(), a, s, q, *o)
		},
	}
}

// segment compiles a rule of the command line.
func (s *session) segment(ctx context.Context, a *app, rule string, o segmentOptions) (*segment.Query, error) {
	scope, rule, err := s.scopeOf(ctx, a, rule)
	if err != nil {
		return nil, err
	}
	return s.queryOf(ctx, a, scope, rule, o)
}

// queryOf compiles a rule of a scope, and makes ready what it asks.
func (s *session) queryOf(ctx context.Context, a *app, scope *segment.Scope, rule string, o segmentOptions) (*segment.Query, error) {
	parsed, problems := segment.ParseRule(segment.Text(rule), scope)
	if err := problems.Err(); err != nil {
		return nil, unreadable(err)
	}
	clock, err := s.clock(a, o.asOf)
	if err != nil {
		return nil, err
	}
	if err := segment.FillFacts(ctx, s.pool, s.library.Base(), clock, parsed); err != nil {
		return nil, askCompany(err)
	}
	if clock, err = segment.Prepare(ctx, s.pool, scope, s.library.Base(), clock, parsed); err != nil {
		return nil, askCompany(err)
	}
	return segment.Audience(scope, s.library.Base(), parsed, &segment.Args{}, clock)
}

// clock freezes time: now, or a civil date and time of the company's zone.
func (s *session) clock(a *app, asOf string) (segment.Clock, error) {
	zone, err := time.LoadLocation(s.schema.Zone)
	if err != nil {
		return segment.Clock{}, fmt.Errorf("the company's time zone: %w", err)
	}
	now := a.now().In(zone)
	if asOf != "" {
		tick, err := campaign.ParseTick(asOf)
		if err != nil {
			return segment.Clock{}, &exitError{exitUsage, fmt.Errorf("--as-of %w", err)}
		}
		now = time.Date(tick.Year(), tick.Month(), tick.Day(), tick.Hour(), tick.Minute(), tick.Second(), 0, zone)
	}
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	return segment.Clock{Today: today, Now: now, Zone: zone}, nil
}

func queryArgs(q *segment.Query) []any {
	return append([]any{pgx.QueryExecModeExec}, q.Args.Values()...)
}

func countSegment(ctx context.Context, a *app, s *session, q *segment.Query, o segmentOptions) error {
	n, err := s.count(ctx, q)
	if err != nil {
		return fmt.Errorf("ask the company's tables: %w", err)
	}
	if o.json {
		return a.printJSON(map[string]any{"count": n})
	}
	fmt.Fprintln(a.stdout, n)
	return nil
}

// count asks the database alone where SQL says the rule exactly; otherwise each candidate is asked here.
func (s *session) count(ctx context.Context, q *segment.Query) (n int, err error) {
	if q.Exact {
		err = s.pool.QueryRow(ctx, "select count(*) from "+q.From+" where "+q.Where, queryArgs(q)...).Scan(&n)
		return n, err
	}
	err = q.Keys(ctx, s.pool, func(keys []segment.Key) error { n += len(keys); return nil })
	return n, err
}

type listed struct {
	Key     string `json:"key"`
	Name    string `json:"name"`
	Address string `json:"address"`
}

func listSegment(ctx context.Context, a *app, s *session, q *segment.Query, o segmentOptions) error {
	column := func(name string) string {
		if name == "" {
			return "''"
		}
		return "coalesce(" + segment.CustomerAlias + "." + pgx.Identifier{name}.Sanitize() + "::text, '')"
	}
	key := segment.CustomerAlias + "." + s.schema.KeyColumn().SQL()
	where, args, err := s.firstOf(ctx, q, key, o.limit)
	if err != nil {
		return fmt.Errorf("ask the company's tables: %w", err)
	}
	sql := fmt.Sprintf("select %s::text as key, %s as name, %s as address from %s where %s order by %s", key,
		column(s.schema.Name.Column), column(s.schema.Email.Column), q.From, where, key)
	if o.limit > 0 {
		sql += fmt.Sprintf(" limit %d", o.limit)
	}
	rows, _ := s.pool.Query(ctx, sql, args...)
	people, err := pgx.CollectRows(rows, pgx.RowToStructByName[listed])
	if err != nil {
		return fmt.Errorf("ask the company's tables: %w", err)
	}
	if o.json {
		return a.printJSON(people)
	}
	t := a.table("key", "name", "address")
	for _, p := range people {
		t.AppendRow([]any{p.Key, p.Name, p.Address})
	}
	t.Render()
	if o.limit > 0 && len(people) == o.limit {
		fmt.Fprintf(a.stdout, "the first %d; more with --limit, all with --limit 0\n", o.limit)
	}
	return nil
}

var errEnough = errors.New("enough")

// firstOf is the condition for the first rows of the query: its own, or, where each candidate must be asked here, the
// list of keys that were found.
func (s *session) firstOf(ctx context.Context, q *segment.Query, key string, limit int) (where string, args []any, err error) {
	if q.Exact {
		return q.Where, queryArgs(q), nil
	}
	var found []string
	err = q.Keys(ctx, s.pool, func(keys []segment.Key) error {
		for _, k := range keys {
			found = append(found, k.Customer)
		}
		if limit > 0 && len(found) >= limit {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return "", nil, err
	}
	return key + "::text = any($1::text[])", []any{found}, nil
}

func sqlSegment(_ context.Context, a *app, s *session, q *segment.Query, o segmentOptions) error {
	sql := fmt.Sprintf("select %s.%s\nfrom %s\nwhere %s", segment.CustomerAlias, s.schema.KeyColumn().SQL(), q.From, q.Where)
	if o.json {
		return a.printJSON(map[string]any{"sql": sql, "args": q.Args.Values()})
	}
	fmt.Fprintln(a.stdout, sql)
	for _, r := range q.Residual {
		fmt.Fprintf(a.stdout, "-- each of these is then asked in the program: %v\n", r)
	}
	for i, v := range q.Args.Words() {
		fmt.Fprintf(a.stdout, "-- $%d = %s\n", i+1, v)
	}
	return nil
}
