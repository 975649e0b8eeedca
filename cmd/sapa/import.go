package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/customer/importer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// importOptions are the flags of sapa import.
type importOptions struct {
	importer.Options
	add, replace, dryRun, yes bool
}

func newImportCommand(a *app) *cobra.Command {
	var o importOptions
	c := &cobra.Command{
		Use:   "import FILE|- --table NAME [--key COLUMN[,COLUMN]]",
		Short: "Bring a CSV file into a table of schema data, its types inferred and shown first",
		Long: `Reads a CSV or TSV file, plain or gzip, from a path or from standard input (-), infers each
column's type over the whole file, shows what it found and copies the rows into a table of
schema "data" in one transaction. It writes only tables that it made itself.

Columns are named in small letters, CustomerKey as customer_key; --key and --type take
either name. Where a guess would be dangerous (is 01/02/2021 in January? is 1.500 one and
a half?) it asks for --type instead of loading. Types: text, boolean, bigint, numeric
(formats 1,234.56 and 1.234,56), date, timestamp and timestamptz (formats such as
MM/DD/YYYY, DD.MM.YY or YYYYMMDD, several with commas between them; what stands in
timestamptz without a zone is UTC). Two-digit years are at most 20 years ahead, and
in columns named like a birth date never ahead.

With --key, importing again adds new rows, changes those that differ, and leaves the rest.
Rows that can't be loaded go to FILE.rejects.csv with line, column, value, reason and
record; everything else is loaded.

Exit codes: 0 every row is loaded · 1 nothing was loaded, the message says why ·
2 wrong command line · 3 loaded, but some rows were rejected.`,
		Example: `  sapa import customers.csv --table customers --key CustomerKey --type BirthDate=date:MM/DD/YYYY
  zcat sales.csv.gz | sapa import - --table sales --key OrderNumber,OrderLineItem`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &exitError{exitUsage, errors.New("name one file to import, or - for standard input")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return runImport(c.Context(), a, args[0], o) },
	}
	f := c.Flags()
	f.StringVar(&o.Table, "table", "", "name of the table in schema data (required)")
	f.StringSliceVar(&o.Key, "key", nil, "columns that identify a row; a table keeps its key")
	f.StringArrayVar(&o.Types, "type", nil, "COLUMN=TYPE[:FORMAT] instead of what is inferred; may be repeated")
	f.StringVar(&o.Delimiter, "delimiter", "", "character between values, or tab (detected)")
	f.StringVar(&o.Encoding, "encoding", "", "utf-8, utf-16, windows-1252 or latin-1 (detected)")
	f.StringArrayVar(&o.Null, "null", nil, "word that means a missing value; may be repeated ("+strings.Join(importer.DefaultNull(), ", ")+"; the empty value always does)")
	f.StringVar(&o.Rejects, "rejects", "", "file for rows that can't be loaded (FILE.rejects.csv)")
	f.BoolVar(&o.add, "append", false, "add the rows to a table without a key that exists already")
	f.BoolVar(&o.replace, "replace", false, "put the rows in place of those that the table has")
	f.BoolVar(&o.dryRun, "dry-run", false, "only show what was inferred; touch no database")
	f.BoolVar(&o.yes, "yes", false, "load without asking in a terminal")
	c.MarkFlagsMutuallyExclusive("append", "replace")
	return c
}

// mode checks the flags and says what to do with a table that exists.
func (o *importOptions) mode() (importer.Mode, error) {
	switch {
	case o.Table == "":
		return 0, &exitError{exitUsage, errors.New("name the table: --table NAME")}
	case o.add && len(o.Key) > 0:
		return 0, &exitError{exitUsage, errors.New("--append is for tables without a key; with --key rows are merged")}
	case o.add:
		return importer.Append, nil
	case o.replace:
		return importer.Replace, nil
	}
	return importer.Merge, nil
}

func runImport(ctx context.Context, a *app, path string, o importOptions) (err error) {
	if o.Mode, err = o.mode(); err != nil {
		return err
	}
	bar := &importBar{out: a.stderr, silent: !terminal(a.stderr)}
	defer bar.end()
	o.Now, o.Progress = a.now, bar.show
	src, err := importer.Open(path, a.stdin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	plan, err := importer.Inspect(ctx, src, o.Options)
	bar.end()
	if err != nil {
		return err
	}
	if o.dryRun {
		a.printImport(plan)
		return nil
	}
	return a.loadImport(ctx, plan, bar, path != "-" && !o.yes)
}

// loadImport shows the plan as it fits the table, and loads it.
func (a *app) loadImport(ctx context.Context, plan *importer.Plan, bar *importBar, ask bool) error {
	s, err := a.openDB(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := importer.Fit(ctx, s.pool, plan); err != nil {
		return err
	}
	a.printImport(plan)
	if ask {
		if err := a.confirm(ctx, fmt.Sprintf("Load %s into %s.%s?", many(plan.Rows, "row"), plan.Schema, plan.Table)); err != nil {
			return err
		}
	}
	result, err := s.loadAudited(ctx, a, plan)
	bar.end()
	if err != nil {
		return err
	}
	a.printImported(result)
	if result.Rejected > 0 {
		return &exitError{code: exitPartial}
	}
	return nil
}

// printImport shows what was inferred.
func (a *app) printImport(p *importer.Plan) {
	fmt.Fprintf(a.stdout, "%s: %s, %s, %s\n", p.Source.Name, many(p.Rows, "row"), delimiterName(p.Delimiter), p.Encoding)
	t := a.table("column", "in the file", "type", "missing", "examples")
	overridden := false
	for i := range p.Columns {
		c := &p.Columns[i]
		overridden = overridden || c.Overridden
		t.AppendRow([]any{columnTitle(p, c), c.Header, typeTitle(c), percent(c.MissingShare()), strings.Join(c.Examples, " · ")})
	}
	t.Render()
	if len(p.Key) > 0 {
		fmt.Fprintln(a.stdout, "# key")
	}
	if overridden {
		fmt.Fprintln(a.stdout, "* as --type says")
	}
	for _, note := range p.Notes {
		fmt.Fprintln(a.stdout, "- "+note)
	}
}

// loadAudited loads, with who did so in the audit log.
func (s *session) loadAudited(ctx context.Context, a *app, plan *importer.Plan) (result importer.Result, err error) {
	err = pg.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		if result, err = importer.Load(ctx, tx, plan); err != nil {
			return err
		}
		return access.Record(ctx, tx, access.Entry{Actor: a.actor(), Action: "import", Subject: "table " + result.Table, Detail: map[string]any{
			"created": result.Created, "added": result.Added, "changed": result.Changed, "rejected": result.Rejected,
		}})
	})
	return result, err
}

func columnTitle(p *importer.Plan, c *importer.Column) string {
	for _, k := range p.Key {
		if k == c.Name {
			return c.Name + " #"
		}
	}
	return c.Name
}

func typeTitle(c *importer.Column) string {
	title := string(c.Type)
	if c.Format != "" {
		title += " " + strings.ReplaceAll(c.Format, ",", ", ")
	}
	if c.Type == importer.Numeric || c.Type == importer.BigInt {
		title = strings.TrimSpace(string(c.Type) + " " + c.Format) // the comma of 1.234,56 is no list
	}
	if c.Overridden {
		title += " *"
	}
	return title
}

// percent shows a share; what is more than nothing never looks like nothing.
func percent(share float64) string {
	switch {
	case share == 0:
		return ""
	case share < 0.001:
		return "< 0.1 %"
	}
	return fmt.Sprintf("%.1f %%", 100*share)
}

func delimiterName(c byte) string {
	switch c {
	case ',':
		return "commas"
	case ';':
		return "semicolons"
	case '\t':
		return "tabs"
	}
	return fmt.Sprintf("%q between values", c)
}

// many is "1 row" or "18,148 rows".
func many(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(int(n)) + " " + noun + "s"
}

// printImported says what happened, in one line.
func (a *app) printImported(r importer.Result) {
	how := fmt.Sprintf("%s added, %s changed, %s unchanged", thousands(int(r.Added)), thousands(int(r.Changed)), thousands(int(r.Unchanged)))
	if r.Created {
		how = "a new table"
	}
	if len(r.NewColumns) > 0 {
		how += ", new columns " + strings.Join(r.NewColumns, ", ")
	}
	line := fmt.Sprintf("%s loaded into %s (%s)", thousands(int(r.Loaded)), r.Table, how)
	if r.Rejected > 0 {
		line += fmt.Sprintf(", %s rejected (see %s)", thousands(int(r.Rejected)), r.RejectsFile)
	}
	fmt.Fprintln(a.stdout, line)
}

// confirm asks a person; where nobody sits at the terminal the answer is yes.
func (a *app) confirm(ctx context.Context, question string) error {
	in, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) || !terminal(a.stderr) {
		return nil
	}
	fmt.Fprintf(a.stderr, "%s [Y/n] ", question)
	answer := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(in).ReadString('\n')
		if err != nil {
			line = "n"
		}
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case text := <-answer:
		if text == "" || text == "y" || text == "yes" {
			return nil
		}
		return errors.New("nothing was loaded")
	}
}

// importBar shows how far a reading of the file has come, a bar for each.
type importBar struct {
	out    io.Writer
	silent bool

	mu      sync.Mutex
	phase   string
	tracker *progress.Tracker
	done    chan struct{}
}

func (b *importBar) show(p importer.Progress) {
	if b.silent {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.phase != p.Phase {
		b.finish()
		b.start(p)
	}
	b.tracker.SetValue(p.Done)
}

func (b *importBar) start(p importer.Progress) {
	b.phase = p.Phase
	b.tracker = &progress.Tracker{Message: p.Phase, Total: p.Total, Units: progress.UnitsBytes}
	b.done = make(chan struct{})
	w := progress.NewWriter()
	w.SetOutputWriter(b.out)
	w.SetAutoStop(true)
	w.SetTrackerLength(30)
	w.SetUpdateFrequency(100 * time.Millisecond)
	w.SetStyle(progress.StyleBlocks)
	w.Style().Visibility.ETA = true
	w.AppendTracker(b.tracker)
	go func() { w.Render(); close(b.done) }()
}

// end leaves the bar that is shown, if there is one.
func (b *importBar) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.finish()
	b.phase = ""
}

func (b *importBar) finish() {
	if b.tracker == nil {
		return
	}
	b.tracker.MarkAsDone()
	<-b.done
	b.tracker = nil
}
