package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/report"
)

type messagesOptions struct {
	state string
	limit int
	json  bool
}

func newMessagesCommand(a *app) *cobra.Command {
	var o messagesOptions
	last := len(messageStates) - 1
	c := &cobra.Command{
		Use:   "messages RUN",
		Short: "List a run's messages: who got it, who did not, and why in the server's words",
		Args:  cobra.ExactArgs(1),
		RunE:  func(c *cobra.Command, args []string) error { return runMessages(c.Context(), a, args[0], o) },
	}
	c.Flags().StringVar(&o.state, "state", "", "only those that are "+strings.Join(messageStates[:last], ", ")+" or "+messageStates[last])
	c.Flags().IntVar(&o.limit, "limit", 50, "at most so many, 0 = all")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return c
}

var messageStates = []string{"planned", "claimed", "sent", "failed", "skipped", "held_out", "unknown"}

func runMessages(ctx context.Context, a *app, arg string, o messagesOptions) error {
	run, err := strconv.Atoi(arg)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("%q is not the number of a run; see: sapa status --all", arg)}
	}
	if o.state != "" && !slices.Contains(messageStates, o.state) {
		return &exitError{exitUsage, fmt.Errorf("--state: no state %q; %s", o.state, diag.DidYouMean(o.state, messageStates))}
	}
	if err := checkLimit(o.limit); err != nil {
		return err
	}
	s, err := a.openProjectDB(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	list, err := report.Messages(ctx, s.pool, run, o.state, o.limit)
	if err != nil {
		return err
	}
	if o.json {
		return a.printJSON(list)
	}
	several := slices.ContainsFunc(list, func(m report.Message) bool { return m.Channel != list[0].Channel || m.Step > 0 })
	t := a.table("customer", "state", "reason", "code", "words")
	if several {
		t = a.table("customer", "channel", "state", "reason", "code", "words")
	}
	for _, m := range list {
		if several {
			t.AppendRow([]any{m.CustomerKey, rung(m), m.State + arrival(m) + a.departure(m), value(m.Reason), value(m.Code), value(m.Words)})
			continue
		}
		t.AppendRow([]any{m.CustomerKey, m.State + arrival(m) + a.departure(m), value(m.Reason), value(m.Code), value(m.Words)})
	}
	t.Render()
	if o.limit > 0 && len(list) == o.limit {
		fmt.Fprintf(a.stdout, "the first %d; more with --limit\n", o.limit)
	}
	return nil
}

// rung is a message's channel, and of a further rung of a ladder why it came to that.
func rung(m report.Message) string {
	if m.Because == nil {
		return m.Channel
	}
	return fmt.Sprintf("%s, after %s", m.Channel, *m.Because)
}

// arrival is what the provider has reported.
func arrival(m report.Message) string {
	switch {
	case m.DeliveredAt != nil:
		return ", delivered"
	case m.UndeliveredAt != nil && m.UndeliveredCode != nil:
		return fmt.Sprintf(", undelivered (%d)", *m.UndeliveredCode)
	case m.UndeliveredAt != nil:
		return ", undelivered"
	}
	return ""
}

// departure is when a message may go that waits for its hour, or for another attempt.
func (a *app) departure(m report.Message) string {
	if m.State != "planned" || m.NotBefore == nil || !m.NotBefore.After(a.now()) {
		return ""
	}
	return ", goes " + a.moment(*m.NotBefore)
}

// value prints what may be missing.
func value[T any](p *T) any {
	if p == nil {
		return ""
	}
	return *p
}
