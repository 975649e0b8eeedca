package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/channels/calls"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery/calldesk"
	"github.com/sapa-crm/sapa/report"
)

// callsOptions are the flags of sapa calls and of the verbs below it.
type callsOptions struct {
	run      int
	since    string
	agent    string
	note, at string
	asJSON   bool
}

func newCallsCommand(a *app) *cobra.Command {
	var o callsOptions
	c := &cobra.Command{
		Use:   "calls",
		Short: "The list of calls: where it stands, the next one, and what came of it",
		Long: `Lists the runs whose customers are to be called, and what each agent did. Agents work through
the list with "calls next" and "calls done", or on the page /calls of the private listener
(sapa serve). docs/calls.md has the rules.`,
		Example: `  sapa calls
  sapa calls next
  sapa calls done 176093872848897 interested --note "wants a quote"
  sapa calls done 176093872848897 call-back --at 14:30
  sapa calls export 12 --csv list.csv`,
		Args: unknownVerb,
		RunE: func(c *cobra.Command, _ []string) error { return runCalls(c.Context(), a, o) },
	}
	c.Flags().IntVar(&o.run, "run", 0, "only this run's")
	c.Flags().StringVar(&o.since, "since", "24h", "what agents did since a date such as 2026-11-01, or for a time such as 30d or 12h")
	c.Flags().BoolVar(&o.asJSON, "json", false, "print JSON")
	c.AddCommand(newCallsNext(a), newCallsDone(a), newCallsRelease(a), newCallsExport(a))
	return c
}

func runCalls(ctx context.Context, a *app, o callsOptions) error {
	s, err := a.openProjectDB(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	since, err := report.ParseSince(o.since, a.now())
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("--since: %w", err)}
	}
	runs, err := report.CallRuns(ctx, s.pool, o.run, a.now())
	if err != nil {
		return err
	}
	agents, err := report.CallAgents(ctx, s.pool, o.run, since, a.now())
	if err != nil {
		return err
	}
	if o.asJSON {
		return a.printJSON(map[string]any{"runs": runs, "agents": agents})
	}
	if len(runs) == 0 {
		fmt.Fprintln(a.stdout, "nobody is to be called")
	} else {
		t := a.table("run", "campaign", "state", "due", "later", "agents have", "done", "put aside")
		for _, r := range runs {
			t.AppendRow([]any{r.Run, r.Campaign, r.State, r.Due, r.Later, r.Claimed, r.Done, r.Aside})
		}
		t.Render()
	}
	if len(agents) > 0 {
		t := a.table("agent", "calls", "reached", "interested", "orders", "last", "has")
		for _, g := range agents {
			last := ""
			if g.Last != nil {
				last = a.moment(*g.Last)
			}
			t.AppendRow([]any{g.Agent, g.Calls, g.Reached, g.Interested, g.Orders, last, value(g.Has)})
		}
		t.Render()
	}
	return nil
}

// addAgent lets a person act for somebody else who calls.
func (o *callsOptions) addAgent(c *cobra.Command) {
	c.Flags().StringVar(&o.agent, "agent", "", "who calls (default: you, as the audit log knows you)")
}

func (o *callsOptions) who(a *app) string {
	if o.agent != "" {
		return o.agent
	}
	return a.actor()
}

func newCallsNext(a *app) *cobra.Command {
	var o callsOptions
	c := &cobra.Command{
		Use:   "next",
		Short: "Take the next call, and show whom, why, and what to say",
		Long: `Takes the next call for you, or shows the one that you have: why the customer is called, what to
offer, what to say, what the company knows of them and what passed between you. It is kept for
you for 15 minutes, or for what sapa.yaml says.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runCallsNext(c.Context(), a, o) },
	}
	o.addAgent(c)
	c.Flags().BoolVar(&o.asJSON, "json", false, "print JSON")
	return c
}

// callDesk is the list of calls as this project's sapa.yaml sets it up.
func (s *session) callDesk(ctx context.Context, a *app) (*calldesk.Desk, error) {
	urls, err := s.urls(ctx)
	if err != nil {
		return nil, err
	}
	var settings customer.CallsSettings
	if set := s.config.Channels.Calls; set != nil {
		settings = *set
	}
	return &calldesk.Desk{
		Pool: s.pool, Schema: s.schema, Library: s.library, URLs: urls, Settings: settings.WithDefaults(), Now: s.businessTime, Log: a.log(),
	}, nil
}

// historyShown is how many contacts an agent sees.
const historyShown = 12

func runCallsNext(ctx context.Context, a *app, o callsOptions) error {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	desk, err := s.callDesk(ctx, a)
	if err != nil {
		return err
	}
	c, err := desk.Next(ctx, o.who(a))
	if errors.Is(err, calldesk.ErrNone) && !o.asJSON {
		fmt.Fprintln(a.stdout, "nobody is to be called now; what waits: sapa calls. Calls that are due there wait for their hours where the customer lives,\nfor a colleague who has the customer, or for their campaign")
		return nil
	}
	if err != nil {
		return err
	}
	history, err := report.History(ctx, s.pool, c.CustomerKey, historyShown)
	if err != nil {
		return err
	}
	if o.asJSON {
		return a.printJSON(struct {
			*calldesk.Call
			History []report.Contact `json:"history"`
		}{c, history})
	}
	a.printCall(c, history)
	return nil
}

// printCall shows a call as an agent needs it. What customers wrote may not steer the terminal.
func (a *app) printCall(c *calldesk.Call, history []report.Contact) {
	who := c.Name
	if who == "" {
		who = "customer " + c.CustomerKey
	}
	fmt.Fprintln(a.stdout, strings.TrimSpace(oneLine(who)+"  "+c.Phone))
	fmt.Fprintf(a.stdout, "call %d · %s, run %d · customer %s · %s there\n", c.ID, c.Campaign, c.Run, oneLine(c.CustomerKey), a.now().In(zoneOf(c.Zone)).Format("15:04"))
	if c.Stop != nil {
		a.printStop(c)
		return
	}
	for _, line := range callRemarks(c) {
		fmt.Fprintln(a.stdout, line)
	}
	fmt.Fprintf(a.stdout, "\nwhy    %s\n", oneLine(c.Reason))
	if c.Offer != "" {
		fmt.Fprintf(a.stdout, "offer  %s\n", oneLine(c.Offer))
	}
	fmt.Fprintln(a.stdout)
	for line := range strings.Lines(c.Script) {
		fmt.Fprintf(a.stdout, "  %s\n", oneLine(line))
	}
	if len(c.Card) > 0 {
		fmt.Fprintln(a.stdout)
	}
	for _, l := range c.Card {
		fmt.Fprintf(a.stdout, "%s: %s\n", l.Name, oneLine(l.Value))
	}
	if len(history) > 0 {
		fmt.Fprintln(a.stdout)
	}
	for _, h := range history {
		words := ""
		if h.Words != nil {
			words = " “" + oneLine(*h.Words) + "”"
		}
		fmt.Fprintln(a.stdout, strings.TrimSpace(fmt.Sprintf("%s  %s %s, %s%s", a.moment(h.At), value(h.Campaign), h.Channel, h.What, words)))
	}
	fmt.Fprintf(a.stdout, "\nyours until %s; then:  sapa calls done %d OUTCOME\n", a.moment(c.Until), c.ID)
	fmt.Fprintf(a.stdout, "outcomes: %s\n", outcomeWords())
}

// printStop says why a call must not be made that the agent has.
func (a *app) printStop(c *calldesk.Call) {
	fmt.Fprintf(a.stdout, "\ndo not call: %s\n\n", c.Stop.Text)
	fmt.Fprintf(a.stdout, "if you have spoken to them:  sapa calls done %d OUTCOME\nif not:                      sapa calls release %[1]d\n", c.ID)
	fmt.Fprintf(a.stdout, "outcomes: %s\n", outcomeWords())
}

func callRemarks(c *calldesk.Call) (list []string) {
	if c.CallBack {
		list = append(list, "they expect your call")
	}
	if c.Tries > 0 {
		remark := fmt.Sprintf("nobody answered so far (%d)", c.Tries)
		if c.Last {
			remark += "; this is the last time"
		}
		list = append(list, remark)
	}
	return list
}

func outcomeWords() string {
	words := make([]string, len(calls.Outcomes()))
	for i, o := range calls.Outcomes() {
		words[i] = o.Arg()
	}
	return strings.Join(words, ", ")
}

func zoneOf(name string) *time.Location {
	if zone, err := time.LoadLocation(name); err == nil {
		return zone
	}
	return time.UTC
}

// callID reads the number of a call.
func callID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return 0, &exitError{exitUsage, fmt.Errorf("%q is not the number of a call; see: sapa calls next", text)}
	}
	return id, nil
}
