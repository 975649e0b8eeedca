package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/sapa-crm/sapa/delivery"
)

// progressLine shows a run's progress: one line that is written over in a terminal, a line every few seconds elsewhere,
// nothing where JSON is wanted.
type progressLine struct {
	a       *app
	tty     bool
	silent  bool
	started time.Time
	first   int // handed over before we began to look
	last    time.Time
	width   int
	news    string // what the last line said, without rates
}

// plainEvery is how often a line is printed where no terminal looks on, and quietEvery while nothing changes.
const (
	plainEvery = 5 * time.Second
	quietEvery = time.Minute
)

func newProgressLine(a *app, silent bool) *progressLine {
	return &progressLine{a: a, tty: terminal(a.stderr), silent: silent}
}

func (b *progressLine) show(p *delivery.Progress, now time.Time) {
	if b.started.IsZero() {
		b.started, b.first, b.last = now, handled(p), now
	}
	if b.silent || (!b.tty && now.Sub(b.last) < plainEvery) {
		return
	}
	if news := counts(p) + p.State + p.Reason; b.tty || news != b.news || now.Sub(b.last) > quietEvery {
		b.news = news
		b.print(b.line(p, now), now)
	}
}

// away shows that the database does not answer at the moment.
func (b *progressLine) away(err error, now time.Time) {
	if b.silent || (!b.tty && now.Sub(b.last) < plainEvery) {
		return
	}
	b.print(fmt.Sprintf("waiting for the database: %v", err), now)
}

func (b *progressLine) print(line string, now time.Time) {
	b.last = now
	if !b.tty {
		fmt.Fprintln(b.a.stderr, line)
		return
	}
	if f, ok := b.a.stderr.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 10 && len(line) >= w {
			line = line[:w-1]
		}
	}
	fmt.Fprintf(b.a.stderr, "\r%s%s", line, strings.Repeat(" ", max(0, b.width-len(line))))
	b.width = len(line)
}

// end leaves the line and makes room for what follows.
func (b *progressLine) end() {
	if b.tty && !b.silent && b.width > 0 {
		fmt.Fprintf(b.a.stderr, "\r%s\r", strings.Repeat(" ", b.width))
	}
}

// line is "sent 1,234 of 20,000, failed 3, skipped 12, 812/s, 0:23 left".
func (b *progressLine) line(p *delivery.Progress, now time.Time) string {
	text := counts(p)
	if p.State == "paused" {
		return text + ", " + p.Reason
	}
	elapsed := now.Sub(b.started).Seconds()
	if done := handled(p) - b.first; done > 0 && elapsed > 0.5 {
		rate := float64(done) / elapsed
		left := time.Duration(float64(p.Waiting()) / rate * float64(time.Second))
		text += fmt.Sprintf(", %s/s, %d:%02d left", thousands(int(rate)), int(left.Minutes()), int(left.Seconds())%60)
	}
	if p.Reason != "" {
		text += ", " + p.Reason
	}
	return text
}

func handled(p *delivery.Progress) int {
	return p.Counts["sent"] + p.Counts["failed"] + p.Counts["unknown"]
}

func counts(p *delivery.Progress) string {
	text := fmt.Sprintf("sent %s of %s", thousands(p.Counts["sent"]), thousands(p.Messages()))
	if n := p.Counts["already"]; n > 0 {
		text += fmt.Sprintf(" (%s more had it already)", thousands(n))
	}
	for _, state := range []string{"failed", "skipped", "unknown", "held_out"} {
		if n := p.Counts[state]; n > 0 {
			text += fmt.Sprintf(", %s %s", strings.ReplaceAll(state, "_", " "), thousands(n))
		}
	}
	return text
}

var english = message.NewPrinter(language.English)

func thousands(n int) string { return english.Sprintf("%d", n) }

func sortedKeys(m map[string]int) []string { return slices.Sorted(maps.Keys(m)) }
