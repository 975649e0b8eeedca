package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// TableOptions are how WriteTable looks; the zero value suits a file.
type TableOptions struct {
	Width   int  // of the terminal, 0 = 80
	Color   bool // with ANSI colours
	MaxRuns int  // runs shown at most, 0 = 20; more are in the sums only
}

func (o TableOptions) withDefaults() TableOptions {
	if o.Width <= 0 {
		o.Width = 80
	}
	if o.MaxRuns <= 0 {
		o.MaxRuns = 20
	}
	return o
}

// WriteTable prints the report for people. Tables that are wider than the terminal continue below.
func WriteTable(w io.Writer, r Report, o TableOptions) error {
	p := &printer{out: &errWriter{w: w}, TableOptions: o.withDefaults(), ink: ink(o.Color)}
	p.report(r)
	return p.out.err
}

// printer prints sections with an empty line between them.
type printer struct {
	TableOptions
	ink
	out   *errWriter
	begun bool
}

// errWriter keeps the first error, so that printing need not look at each.
type errWriter struct {
	w   io.Writer
	err error
}

func (e *errWriter) Write(b []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	var n int
	n, e.err = e.w.Write(b)
	return n, e.err
}

func (p *printer) line(format string, args ...any) { fmt.Fprintf(p.out, format+"\n", args...) }

// section begins something new.
func (p *printer) section() {
	if p.begun {
		p.line("")
	}
	p.begun = true
}

func (p *printer) grid(columns []column, footed bool) {
	p.section()
	_ = grid{columns, footed}.write(p.out, p.Width, p.ink) // p.out keeps the error
}

func (p *printer) report(r Report) {
	runs := 0
	for _, c := range r.Campaigns {
		runs += len(c.Runs)
	}
	if len(r.Campaigns) == 0 {
		p.line("nothing to report: no run was started yet, or none that you asked for")
		return
	}
	if len(r.Campaigns) > 1 {
		p.section()
		p.line("%s", p.bold("All campaigns"))
		p.grid(p.summary(r.Campaigns), false)
	}
	if len(r.Campaigns) > 1 && runs > p.MaxRuns {
		p.section()
		p.line("%s", p.faint("the runs of one: sapa report CAMPAIGN"))
		return
	}
	for _, c := range r.Campaigns {
		p.campaign(c)
	}
	p.remarks(r)
}

// summary is one row per campaign.
func (p *printer) summary(campaigns []Campaign) []column {
	return columnsOf(campaigns, nil, []field[Campaign]{
		{"Campaign", true, func(c *Campaign) string { return c.Name }},
		{"Runs", false, func(c *Campaign) string { return number(int64(c.Sum.Runs)) }},
		{"Sent", false, func(c *Campaign) string { return number(c.Sum.Sent) }},
		{"Open\nrate", false, func(c *Campaign) string { return percent(c.Sum.OpenRate) }},
		{"Click\nrate", false, func(c *Campaign) string { return percent(c.Sum.ClickRate) }},
		{"Click to\nopen", false, func(c *Campaign) string { return percent(c.Sum.ClickToOpenRate) }},
		{"Unsub.\nrate", false, func(c *Campaign) string { return percent(c.Sum.UnsubscribeRate) }},
		{"Bounce\nrate", false, func(c *Campaign) string { return percent(c.Sum.BounceRate) }},
	})
}

func (p *printer) campaign(c Campaign) {
	p.section()
	switch len(c.Runs) {
	case 0:
		p.line("%s has not run yet; start it with: sapa run %s", p.bold(c.Name), c.Name)
		return
	case 1:
		p.card(&c.Runs[0])
		return
	}
	p.line("%s%s", p.bold(c.Name), p.faint(headline(c)))
	shown := c.Runs[max(0, len(c.Runs)-p.MaxRuns):]
	all := &Run{Numbers: c.Sum.Numbers, Rates: c.Sum.Rates}
	p.grid(columnsOf(shown, all, p.delivery(c)), true)
	if c.Sum.textual() {
		p.grid(columnsOf(shown, all, p.texts(c)), true)
	}
	if c.Sum.mailed() {
		p.grid(columnsOf(shown, all, p.responses()), true)
	}
	p.answered(c.Sum)
	p.called(c.Sum)
	if len(c.Sum.Reasons) > 0 {
		p.grid(p.reasons(c.Sum), false)
	}
	if len(c.Sum.Causes) > 0 {
		p.grid(p.causes(c.Sum), false)
	}
	if hidden := len(c.Runs) - len(shown); hidden > 0 {
		p.section()
		p.line("%s", p.faint(fmt.Sprintf("%s earlier runs are in the sums only; all of them: sapa report %s --csv", number(int64(hidden)), c.Name)))
	}
}

// headline is what follows the campaign's name: its runs, and how they were opened.
func headline(c Campaign) string {
	text := fmt.Sprintf(" · %d runs", len(c.Runs))
	var rates []float64
	for i := range c.Runs {
		if rate := c.Runs[i].OpenRate; rate != nil {
			rates = append(rates, *rate)
		}
	}
	if len(rates) >= 3 {
		text += " · open rate " + sparkline(rates[max(0, len(rates)-20):])
	}
	return text
}

// field is a column of things of one kind.
type field[T any] struct {
	head string // a leading \f marks a good place to split
	left bool
	cell func(*T) string
}

// columnsOf makes the columns of some things, with the cell of all of them as the foot.
func columnsOf[T any](things []T, all *T, fields []field[T]) []column {
	columns := make([]column, len(fields))
	for i, f := range fields {
		head, split := strings.CutPrefix(f.head, "\f")
		columns[i] = column{head: head, left: f.left, split: split}
		for n := range things {
			columns[i].cells = append(columns[i].cells, f.cell(&things[n]))
		}
		if all != nil {
			columns[i].foot = f.cell(all)
		}
	}
	return columns
}

func runID(r *Run) string {
	if r.RunID == 0 {
		return "All"
	}
	return strconv.Itoa(r.RunID)
}

// delivery are the columns of what became of the audience. Those that are 0 almost always are left out when they are.
func (p *printer) delivery(c Campaign) []field[Run] {
	fields := []field[Run]{
		{"Run", false, runID},
		{"Ver.", false, version},
		{"Tick", true, func(r *Run) string { return r.TickText }},
		{"State", true, func(r *Run) string { return p.state(r.State) }},
		{"Audience", false, func(r *Run) string { return number(r.Audience) }},
		{"Already", false, func(r *Run) string { return number(r.Already) }},
		{"Waiting", false, func(r *Run) string { return number(r.Waiting()) }},
		{"\fSent", false, func(r *Run) string { return number(r.Sent) }},
		{"Failed", false, func(r *Run) string { return p.notable(r.Failed) }},
		{"Skipped", false, func(r *Run) string { return number(r.Skipped) }},
		{"Held\nout", false, func(r *Run) string { return number(r.HeldOut) }},
		{"Unknown", false, func(r *Run) string { return p.notable(r.Unknown) }},
		{"Label", true, func(r *Run) string { return r.Label }},
	}
	labelled, versions := false, false
	for i := range c.Runs {
		labelled = labelled || c.Runs[i].Label != ""
		versions = versions || c.Runs[i].Version != c.Runs[0].Version
	}
	keep := map[string]bool{"Ver.": versions, "Waiting": c.Sum.Waiting() > 0, "Held\nout": c.Sum.HeldOut > 0, "Unknown": c.Sum.Unknown > 0, "Label": labelled}
	kept := fields[:0]
	for _, f := range fields {
		if wanted, rare := keep[f.head]; wanted || !rare {
			kept = append(kept, f)
		}
	}
	return kept
}

func version(r *Run) string {
	if r.Version == 0 {
		return ""
	}
	return strconv.Itoa(r.Version)
}

func (p *printer) responses() []field[Run] {
	return []field[Run]{
		{"Run", false, runID},
		{"Opened", false, func(r *Run) string { return number(r.Opened) }},
		{"Open\nrate", false, func(r *Run) string { return percent(r.OpenRate) }},
		{"All\nopens", false, func(r *Run) string { return number(r.Opens) }},
		{"Clicked", false, func(r *Run) string { return number(r.Clicked) }},
		{"Click\nrate", false, func(r *Run) string { return percent(r.ClickRate) }},
		{"All\nclicks", false, func(r *Run) string { return number(r.Clicks) }},
		{"Click to\nopen", false, func(r *Run) string { return percent(r.ClickToOpenRate) }},
		{"\fUnsub-\nscribed", false, func(r *Run) string { return number(r.Unsubscribed) }},
		{"Unsub.\nrate", false, func(r *Run) string { return percent(r.UnsubscribeRate) }},
		{"Bounced", false, func(r *Run) string { return p.notable(r.Bounced) }},
		{"Bounce\nrate", false, func(r *Run) string { return percent(r.BounceRate) }},
		{"Opened by\nmachines", false, func(r *Run) string { return number(r.MachineOpened) }},
		{"Clicked by\nmachines", false, func(r *Run) string { return number(r.MachineClicked) }},
	}
}

// textual tells whether any of it came back as it does from texts, mailed whether it may have come back as from e-mail.
func (n *Numbers) textual() bool { return n.Delivered != nil || n.Replied != nil || n.Segments != nil }
func (n *Numbers) mailed() bool  { return !n.textual() || n.Opens+n.MachineOpens > 0 }

// texts are the columns of what came back from texts.
func (p *printer) texts(c Campaign) []field[Run] {
	fields := []field[Run]{
		{"Run", false, runID},
		{"Deliv-\nered", false, func(r *Run) string { return known(r.Delivered) }},
		{"Delivery\nrate", false, func(r *Run) string { return percent(r.DeliveryRate) }},
		{"Undeliv-\nered", false, func(r *Run) string { return known(r.Undelivered) }},
		{"Replied", false, func(r *Run) string { return known(r.Replied) }},
		{"Clicked", false, func(r *Run) string { return number(r.Clicked) }},
		{"Click\nrate", false, func(r *Run) string { return percent(r.ClickRate) }},
		{"Unsub-\nscribed", false, func(r *Run) string { return number(r.Unsubscribed) }},
		{"Segments", false, func(r *Run) string { return known(r.Segments) }},
		{"Cost", false, func(r *Run) string { return costOf(r) }},
	}
	if c.Sum.Priced == nil {
		fields = fields[:len(fields)-1]
	}
	return fields
}

func costOf(r *Run) string {
	if r.Cost == nil {
		return "–"
	}
	return value(r.Currency) + " " + r.Cost.String()
}

// known is a number, a dash where it is not known.
func known(n *int64) string {
	if n == nil {
		return "–"
	}
	return number(*n)
}

func (p *printer) causes(s Sum) []column {
	return columnsOf(s.Causes, nil, []field[Cause]{
		{"Not delivered, by the provider's code", true, func(c *Cause) string { return causeName(*c) }},
		{"Messages", false, func(c *Cause) string { return number(c.Messages) }},
		{"Of sent", false, func(c *Cause) string { return percent(ratio(c.Messages, s.Sent)) }},
	})
}

func (p *printer) reasons(s Sum) []column {
	return columnsOf(s.Reasons, nil, []field[Reason]{
		{"Not sent", true, func(r *Reason) string { return r.State }},
		{"Reason", true, func(r *Reason) string { return r.Reason }},
		{"Messages", false, func(r *Reason) string { return number(r.Messages) }},
		{"Of audience", false, func(r *Reason) string { return percent(ratio(r.Messages, s.Audience)) }},
	})
}

// notable is a number that should be 0.
func (p *printer) notable(n int64) string {
	if n == 0 {
		return "0"
	}
	return p.bad(number(n))
}

func (p *printer) state(s string) string {
	if s == "paused" || s == "cancelled" {
		return p.warn(s)
	}
	return s
}

// remarks are what a reader must know to read the numbers rightly.
func (p *printer) remarks(r Report) {
	machines, lines := false, []string{}
	for _, c := range r.Campaigns {
		if len(c.Runs) == 1 {
			continue // its card has said all
		}
		machines = machines || c.Sum.MachineOpened+c.Sum.MachineClicked > 0
		for i := range c.Runs {
			lines = append(lines, p.remark(&c.Runs[i])...)
		}
	}
	if machines {
		lines = append(lines, p.faint("opened and clicked count people; what privacy proxies and scanners fetched is apart"))
	}
	p.notes(lines)
}

func (p *printer) notes(lines []string) {
	if len(lines) > 0 {
		p.section()
		p.line("%s", strings.Join(lines, "\n"))
	}
}

func (p *printer) remark(r *Run) []string {
	var lines []string
	if r.Reason != nil {
		lines = append(lines, p.warn(fmt.Sprintf("run %d %s: %s", r.RunID, r.State, *r.Reason)))
	}
	if missing := r.Missing(); missing != 0 {
		lines = append(lines, p.bad(fmt.Sprintf("run %d does not add up: %s of its audience are not accounted for; see: sapa check", r.RunID, number(missing))))
	}
	return lines
}
