package report

import (
	"fmt"
	"strings"
)

// card prints one run: its accounting as a sum, and what came back.
func (p *printer) card(r *Run) {
	p.title(r)
	p.accounting(r)
	if r.Sent+r.Bounced+r.Opens+r.MachineOpens > 0 && (len(r.Calls) == 0 || r.Unsubscribed+r.Clicked+value(r.Replied) > 0) {
		p.cameBack(r)
	}
	p.answers(r)
	p.calls(r)
	p.cost(r)
	p.channels(r)
}

func (p *printer) title(r *Run) {
	label := ""
	if r.Label != "" {
		label = fmt.Sprintf(" “%s”", r.Label)
	}
	p.line("%s%s", p.bold(r.Campaign), p.faint(fmt.Sprintf(" · run %d%s · tick %s · version %d · ", r.RunID, label, r.TickText, r.Version))+p.state(r.State))
	if r.Reason != nil {
		p.line("%s", p.warn(*r.Reason))
	}
}

// row is a number, what it counts, and a remark.
type row struct {
	n    int64
	name string
	note string
}

// rows prints numbers below each other; those that are 0 only where always says so.
func (p *printer) rows(wide int, rows []row, always string) {
	for _, r := range rows {
		if r.n == 0 && !strings.Contains(always, r.name) {
			continue
		}
		if r.note == "" {
			p.line("  %*s  %s", wide, number(r.n), r.name)
			continue
		}
		first := fmt.Sprintf("  %*s  %-12s  ", wide, number(r.n), r.name)
		for _, line := range wrap(r.note, p.Width-len(first)) {
			p.line("%s%s", first, p.faint(line))
			first = strings.Repeat(" ", len(first))
		}
	}
}

// wrap breaks text at spaces into lines of at most width bytes, where its words allow that.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimLeft(line+" "+word, " ")
	}
	return append(lines, line)
}

func (p *printer) accounting(r *Run) {
	p.line("")
	wide := max(7, len(number(r.Audience)))
	p.rows(wide, []row{
		{r.Already, "already", "had this occasion in an earlier run"},
		{r.Planned, "planned", "waiting"},
		{r.Claimed, "claimed", "in the hands of a worker"},
		{r.Sent, "sent", ""},
		{r.Failed, "failed", reasonsOf(r, "failed")},
		{r.Skipped, "skipped", reasonsOf(r, "skipped")},
		{r.HeldOut, "held out", "to measure the effect"},
		{r.Unknown, "unknown", "handed over without an answer"},
	}, "sent")
	p.line("  %s", strings.Repeat("─", wide+10))
	p.rows(wide, []row{{r.Audience, "audience", ""}, {r.Rungs, "rungs", "messages by a further channel, on top of the audience"}}, "audience")
	if missing := r.Missing(); missing != 0 {
		p.line("\n%s", p.bad(fmt.Sprintf("this does not add up: %s are not accounted for; see: sapa check", number(missing))))
	}
}

func (p *printer) cameBack(r *Run) {
	p.line("")
	p.rows(max(7, len(number(r.Audience))), []row{
		{value(r.Delivered), "delivered", percent(r.DeliveryRate) + " of sent"},
		{value(r.Undelivered), "undelivered", percent(r.UndeliveredRate) + " of sent" + causesOf(r)},
		{value(r.Read), "read", ""},
		{value(r.Replied), "replied", percent(r.ReplyRate) + " of sent; read them: sapa replies"},
		{r.Opened, "opened", percent(r.OpenRate) + " of sent" + inAll(r.Opens, "opens")},
		{r.Clicked, "clicked", percent(r.ClickRate) + " of sent" + clickToOpen(r) + inAll(r.Clicks, "clicks")},
		{r.Unsubscribed, "unsubscribed", percent(r.UnsubscribeRate) + " of sent"},
		{r.Bounced, "bounced", percent(r.BounceRate) + "; their addresses are suppressed"},
		{r.MachineOpened, "opened by privacy proxies and scanners, not counted above", ""},
		{r.MachineClicked, "clicked by scanners, not counted above", ""},
	}, always(r))
}

// always are the rows that are shown also where they are 0. Of texts no opens are known.
func always(r *Run) string {
	switch {
	case len(r.Calls) > 0:
		return ""
	case r.Delivered != nil:
		return "delivered clicked unsubscribed"
	case r.Segments != nil:
		return "clicked unsubscribed"
	}
	return "opened clicked unsubscribed"
}

// causesOf is "; 30003 Unreachable destination handset 12, 30005 …".
func causesOf(r *Run) string {
	parts := make([]string, len(r.Causes))
	for i, c := range r.Causes {
		parts[i] = fmt.Sprintf("%s: %s", causeName(c), number(c.Messages))
	}
	if len(parts) == 0 {
		return ""
	}
	return "; " + strings.Join(parts, ", ")
}

// ownCodes are below this: Sapa's own numbers, as of letters that came back, which say no more than their words.
const ownCodes = 100

// causeName is a code with what it means.
func causeName(c Cause) string {
	switch {
	case c.Code == nil:
		return "without a code"
	case *c.Code < ownCodes && c.Words != nil:
		return *c.Words
	}
	return strings.TrimRight(codeText(c.Code)+" "+value(c.Words), " .")
}

// cost is what texts are charged as, and their price as far as it is known.
func (p *printer) cost(r *Run) {
	if r.Segments == nil {
		return
	}
	line := "  " + number(*r.Segments) + " segments"
	if r.Cost != nil {
		line += fmt.Sprintf("; %s %s", value(r.Currency), r.Cost)
		if value(r.Priced) < r.Sent {
			line += fmt.Sprintf(" so far (%s of %s messages have a price)", number(value(r.Priced)), number(r.Sent))
		}
	}
	p.line("")
	p.line("%s", p.faint(line))
}

func clickToOpen(r *Run) string {
	if r.ClickToOpenRate == nil {
		return ""
	}
	return ", " + percent(r.ClickToOpenRate) + " of opened"
}

func inAll(n int64, what string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; %s %s in all", number(n), what)
}

// reasonsOf is "hard bounce 3, refused 1".
func reasonsOf(r *Run, state string) string {
	var parts []string
	for _, reason := range r.Reasons {
		if reason.State == state {
			parts = append(parts, reason.Reason+" "+number(reason.Messages))
		}
	}
	return strings.Join(parts, ", ")
}
