package main

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/report"
	"github.com/sapa-crm/sapa/response"
)

type repliesOptions struct {
	filter        report.ReplyFilter
	seen          bool
	asJSON, asCSV bool
}

func newRepliesCommand(a *app) *cobra.Command {
	var o repliesOptions
	c := &cobra.Command{
		Use:   "replies [CAMPAIGN | --seen ID…]",
		Short: "What customers texted back; --seen marks it as read",
		Long: `Lists what customers texted back and nobody has read yet: when, who, after which campaign,
and the text. STOP, START and HELP are answered by Sapa itself and are listed with --all.`,
		Example: `  sapa replies
  sapa replies oil-change --all --csv > replies.csv
  sapa replies --seen 17 18`,
		RunE: func(c *cobra.Command, args []string) error { return runReplies(c.Context(), a, args, o) },
	}
	c.Flags().BoolVar(&o.filter.All, "all", false, "also what was read, and STOP, START and HELP")
	c.Flags().IntVar(&o.filter.Limit, "limit", 50, "at most so many, the latest; 0 = all")
	c.Flags().BoolVar(&o.seen, "seen", false, "mark these as read")
	c.Flags().BoolVar(&o.asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&o.asCSV, "csv", false, "one line per text, for spreadsheets")
	c.MarkFlagsMutuallyExclusive("json", "csv", "seen")
	c.MarkFlagsMutuallyExclusive("all", "seen")
	return c
}

func runReplies(ctx context.Context, a *app, args []string, o repliesOptions) error {
	if err := checkLimit(o.filter.Limit); err != nil {
		return err
	}
	ids, err := replyIDs(args, o.seen)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	s, err := a.openProjectDB(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if o.seen {
		n, err := response.MarkSeen(ctx, s.pool, ids, a.actor(), a.now())
		if err != nil {
			return err
		}
		return replyMarks().said(a, n, len(ids))
	}
	o.filter.Campaign = strings.Join(args, "")
	if o.filter.Campaign != "" { // the error for one that does not exist
		if _, err := report.Campaigns(ctx, s.pool, report.Filter{Campaign: o.filter.Campaign, Latest: 1}); err != nil {
			return err
		}
	}
	list, err := report.Replies(ctx, s.pool, o.filter)
	if err != nil {
		return err
	}
	return a.printReplies(list, o)
}

func replyMarks() marking {
	return marking{"replies", "seen", "a text", "read", "a text that nobody has read"}
}

// replyIDs are the numbers to be marked as read.
func replyIDs(args []string, seen bool) ([]int64, error) {
	switch {
	case seen:
		return replyMarks().ids(args)
	case len(args) > 1:
		return nil, fmt.Errorf("write: sapa replies [CAMPAIGN], or: sapa replies --seen ID…")
	}
	return nil, nil
}

func (a *app) printReplies(list []report.Reply, o repliesOptions) error {
	switch {
	case o.asCSV:
		return report.WriteRepliesCSV(a.stdout, list)
	case o.asJSON:
		return a.printJSON(list)
	case len(list) == 0 && o.filter.All:
		fmt.Fprintln(a.stdout, "nobody has texted back")
		return nil
	case len(list) == 0:
		fmt.Fprintln(a.stdout, "nothing that was not read; what was: sapa replies --all")
		return nil
	}
	columns := []any{"number", "when", "customer", "campaign", "text"}
	if o.filter.All {
		columns = append(columns, "kind", "read")
	}
	t := a.table(columns...)
	for _, r := range list {
		row := []any{r.ID, a.moment(r.At), value(r.CustomerKey), value(r.Campaign), shown(r)}
		if o.filter.All {
			row = append(row, r.Kind, map[bool]string{true: "yes"}[r.SeenAt != nil])
		}
		t.AppendRow(row)
	}
	t.Render()
	a.sayLimit(o.filter.Limit, len(list))
	return nil
}

// shown is a customer's text in one line.
func shown(r report.Reply) string {
	if r.Text == nil {
		return "(deleted)"
	}
	text := oneLine(*r.Text)
	if r.Media > 0 {
		text = strings.TrimSpace(fmt.Sprintf("%s (with %d pictures or other files)", text, r.Media))
	}
	return text
}

// oneLine is a text of somebody else's in one line. What would steer a terminal is left out.
func oneLine(text string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, text)), " ")
}
