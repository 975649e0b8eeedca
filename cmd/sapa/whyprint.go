package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/segment"
)

// whyLine is a clause or a question with its verdict.
type whyLine struct {
	group  int // lines of a group have their notes below each other
	indent int
	mark   string // ✓, ✗ or nothing
	text   string
	note   string // the values that made it
}

// whyPage collects lines, so that their notes can stand below each other.
type whyPage struct {
	lines []whyLine
	group int
}

func (p *whyPage) add(indent int, mark, text, note string) {
	p.lines = append(p.lines, whyLine{p.group, indent, mark, text, note})
}

// within adds lines as a group of their own.
func (p *whyPage) within(add func()) {
	p.group++
	add()
	p.group = 0
}

func verdict(ok bool) string {
	if ok {
		return "✓"
	}
	return "✗"
}

// noteColumn is how far to the right notes stand at most; behind a longer text a note stands on a line of its own.
const noteColumn = 72

func (a *app) printPage(p *whyPage) {
	color := a.tableOptions().Color
	wide := map[int]int{}
	for _, l := range p.lines {
		if n := l.width(); l.note != "" && n <= noteColumn {
			wide[l.group] = max(wide[l.group], n)
		}
	}
	for _, l := range p.lines {
		mark := l.mark
		if color && mark != "" {
			mark = map[string]string{"✓": "\x1b[32m✓\x1b[0m", "✗": "\x1b[31m✗\x1b[0m"}[mark]
		}
		if mark != "" {
			mark += " "
		}
		line := strings.Repeat("  ", l.indent) + mark + l.text
		switch {
		case l.note == "":
		case l.width() > noteColumn:
			line += "\n" + strings.Repeat("  ", l.indent+2) + l.note
		default:
			line += strings.Repeat(" ", wide[l.group]-l.width()+3) + l.note
		}
		fmt.Fprintln(a.stdout, line)
	}
}

func (l whyLine) width() int {
	n := 2*l.indent + utf8.RuneCountInString(l.text)
	if l.mark != "" {
		n += 2
	}
	return n
}

// clause adds a clause with its parts.
func (p *whyPage) clause(indent int, t *segment.Trace) {
	text, note := t.Text, valuesText(t)
	switch {
	case t.Kind == "and":
		text = "all of these"
	case t.Kind == "or":
		text = "at least one of these"
	case t.Kind == "not":
		text = "not"
	case t.Kind == "choice":
		text = "if the first holds, then the second; it does"
		if !t.Parts[0].Holds {
			text = "the first does not hold, so what stands behind the colon"
		}
	case t.Rows != nil:
		text, note = p.rowsText(t)
	}
	p.add(indent, verdict(t.Holds), text, note)
	p.parts(indent+1, t)
}

// parts adds what is below a clause.
func (p *whyPage) parts(indent int, t *segment.Trace) {
	for _, part := range flat(t) {
		p.clause(indent, part)
	}
	if t.Rows == nil {
		return
	}
	for _, r := range t.Rows.Shown {
		p.add(indent, "", r.Label, "")
		for _, part := range r.Parts {
			p.clause(indent+1, part)
		}
	}
}

// flat are the parts of a clause; the rule of a segment that is a list of conditions is that list.
func flat(t *segment.Trace) []*segment.Trace {
	if t.Kind == "segment" && len(t.Parts) == 1 && t.Parts[0].Kind == "and" {
		return t.Parts[0].Parts
	}
	return t.Parts
}

// shortText is a clause's text; a condition over rows leaves out what the rows below show.
func shortText(t *segment.Trace) string {
	open, comma := strings.Index(t.Text, "("), strings.Index(t.Text, ",")
	if t.Rows == nil || len(t.Rows.Shown) == 0 || open < 0 || comma < open || !strings.HasSuffix(t.Text, ")") || strings.Contains(t.Text[open+1:comma], "(") {
		return t.Text
	}
	return t.Text[:comma] + ", …)"
}

// rowsText is a condition over rows, and how many of them satisfy it.
func (p *whyPage) rowsText(t *segment.Trace) (text, note string) {
	text = shortText(t)
	switch n := t.Rows.Matching; {
	case t.Rows.Total == 0:
		return text, "there are no " + t.Rows.Name
	case n == 0:
		note = fmt.Sprintf("none of %s %s", thousands(t.Rows.Total), t.Rows.Name)
		if len(t.Rows.Shown) > 0 && t.Kind != "all" {
			note += some(t.Rows)
		}
	case n == t.Rows.Total && n > 1:
		note = fmt.Sprintf("all %s %s", thousands(n), t.Rows.Name)
	default:
		note = fmt.Sprintf("%s of %s %s", thousands(n), thousands(t.Rows.Total), t.Rows.Name)
	}
	return text, note
}

// some says that not all rows are shown.
func some(r *segment.TraceRows) string {
	if len(r.Shown) == r.Total {
		return ""
	}
	return fmt.Sprintf("; %d of them", len(r.Shown))
}

// valuesText are a condition's values: the first as it is where the condition begins with it, others with their names.
func valuesText(t *segment.Trace) string {
	var list []string
	for i, v := range t.Values {
		if (v.Text == "today()" || v.Text == "now()") && partOf(t.Values[:i], v.Text) {
			continue
		}
		words := v.Words
		if v.Note != "" {
			words += ", " + v.Note
			if strings.HasPrefix(v.Note, "of ") {
				words = v.Words + " " + v.Note
			}
		}
		if i > 0 || len(t.Values) > 1 && !strings.HasPrefix(t.Text, v.Text) {
			words = v.Text + " is " + words
		}
		list = append(list, words)
	}
	return strings.Join(list, "; ")
}

// partOf says that a value is part of one that is shown.
func partOf(values []segment.TraceValue, text string) bool {
	for _, v := range values {
		if v.Text != text && strings.Contains(v.Text, text) {
			return true
		}
	}
	return false
}

func whyHeader(key, name string) string {
	if name == "" {
		return "customer " + key
	}
	return fmt.Sprintf("customer %s (%s)", key, name)
}

func (a *app) printRuleWhy(w *ruleWhy) {
	fmt.Fprintf(a.stdout, "%s, as of %s\n\n", whyHeader(w.CustomerKey, w.Name), a.moment(w.AsOf))
	p := &whyPage{}
	if w.Customer != nil {
		p.add(0, verdict(w.Customer.Holds), "counts as a customer", "")
		p.within(func() { p.root(1, w.Customer) })
	}
	p.add(0, verdict(w.Rule.Holds), "the rule", "")
	p.within(func() { p.root(1, w.Rule) })
	a.printPage(p)
	fmt.Fprintln(a.stdout)
	switch {
	case w.Meant:
		fmt.Fprintln(a.stdout, "They are meant.")
	case w.Customer != nil && !w.Customer.Holds:
		fmt.Fprintln(a.stdout, "They are not meant, because they do not count as a customer (customers: where in sapa.yaml).")
	default:
		fmt.Fprintf(a.stdout, "They are not meant%s.\n", failing(w.Rule))
	}
	a.printNext(w.Next, w.NoNext, "They would be meant")
}

// root adds a rule whose heading has its verdict already.
func (p *whyPage) root(indent int, t *segment.Trace) {
	if t.Kind == "and" {
		p.parts(indent, t)
		return
	}
	p.clause(indent, t)
}

// failing names the conditions that fail, where all of a list must hold and few do not.
func failing(t *segment.Trace) string {
	var failed []string
	parts := []*segment.Trace{t}
	switch t.Kind {
	case "and":
		parts = t.Parts
	case "segment":
		if parts = flat(t); len(parts) == 1 {
			return failing(parts[0])
		}
	case "or":
		return ": none of its alternatives holds"
	}
	for _, p := range parts {
		if !p.Holds {
			failed = append(failed, cutText(shortText(p), 70))
		}
	}
	switch len(failed) {
	case 1:
		return ": " + failed[0] + " does not hold"
	case 2:
		return ": " + failed[0] + " does not hold, nor does " + failed[1]
	}
	return fmt.Sprintf(": %d conditions do not hold", len(failed))
}

func cutText(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

func (a *app) printNext(date, none, words string) {
	if none != "" {
		fmt.Fprintf(a.stdout, "The next date: %s.\n", none)
	}
	if date == "" {
		return
	}
	day, err := time.Parse(time.DateOnly, date)
	if err == nil {
		date = day.Format("Monday 2006-01-02")
	}
	fmt.Fprintf(a.stdout, "%s on %s, if nothing but the date changes.\n", words, date)
}

func (a *app) printWhy(w *campaign.Why) {
	fmt.Fprintf(a.stdout, "%s and %s, version %d, as of %s\n\n", whyHeader(w.CustomerKey, w.Name), w.Campaign, w.Version, a.moment(w.AsOf))
	p := &whyPage{}
	for _, c := range w.Checks {
		p.add(0, verdict(c.OK), c.Name, c.Text)
		switch c.Name {
		case "customer":
			p.within(func() { p.root(1, w.Customer) })
		case "rule":
			p.within(func() { p.rows(w) })
		}
	}
	a.printPage(p)
	a.printEarlier(w)
	fmt.Fprintf(a.stdout, "\n%s\n", a.conclusion(w))
	a.printNext(w.Next, w.NoNext, map[bool]string{true: "They would get it", false: "The rule would mean them"}[w.NextGets])
}

// rows adds what the rule says of each row of `each`.
func (p *whyPage) rows(w *campaign.Why) {
	for _, r := range w.Rows {
		if r.Key == "" {
			p.root(1, r.Rule)
			continue
		}
		p.add(1, verdict(r.Rule.Holds), r.Name, outcomeText(r))
		p.root(2, r.Rule)
	}
}

func outcomeText(r campaign.WhyRow) string {
	switch {
	case r.Outcome == "skipped":
		return "would be skipped: " + r.Reason
	case r.Outcome == "planned":
		return "would be planned"
	case r.Outcome == "already":
		return "had it already"
	}
	return ""
}

func (a *app) printEarlier(w *campaign.Why) {
	if len(w.Earlier) == 0 {
		return
	}
	fmt.Fprintln(a.stdout, "\nearlier, from this campaign")
	for _, e := range w.Earlier {
		state := e.State
		if state == "" {
			state = "not kept any more"
		}
		if e.Reason != "" {
			state += ": " + e.Reason
		}
		run := ""
		if e.Run > 0 {
			run = fmt.Sprintf("  run %d", e.Run)
		}
		fmt.Fprintf(a.stdout, "  %s  %s%s  occasion %s\n", a.moment(e.At), state, run, e.Occasion)
	}
}

// conclusion is one sentence, or two.
func (a *app) conclusion(w *campaign.Why) string {
	if w.Gets {
		when := w.Day
		if w.When != nil && w.When.After(w.AsOf) {
			when = "on " + w.When.In(a.zone()).Format("2006-01-02 at 15:04 MST")
		}
		return "They would get it " + when + "."
	}
	if w.ByHand {
		by := "sapa run " + w.Campaign + " would send it now"
		if w.Day != "today" {
			by = "a run by hand would send it then"
		}
		text := w.Reasons[0].Text
		return strings.ToUpper(text[:1]) + text[1:] + ".\nApart from that nothing is against it: " + by + "."
	}
	var reasons []string
	for _, r := range w.Reasons {
		reasons = append(reasons, reasonText(w, r))
	}
	return "They would not get it " + w.Day + ", because " + joined(reasons) + "."
}

func reasonText(w *campaign.Why, r campaign.Reason) string {
	switch r.Check {
	case "customer":
		return "they do not count as a customer"
	case "rule":
		if strings.HasPrefix(r.Text, "they have no ") {
			return r.Text
		}
		if len(w.Rows) == 1 {
			return "the rule " + r.Text + failing(w.Rows[0].Rule)
		}
		return "the rule " + r.Text
	}
	return r.Text
}

// joined is a, b, and c.
func joined(list []string) string {
	switch n := len(list); n {
	case 0:
		return ""
	case 1:
		return list[0]
	case 2:
		return list[0] + ", and " + list[1]
	default:
		return strings.Join(list[:n-1], ", ") + ", and " + list[n-1]
	}
}
