package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/campaign"
)

func newEventCommand(a *app) *cobra.Command {
	var e campaign.Event
	var data, at string
	var asJSON bool
	c := &cobra.Command{
		Use:   "event NAME --customer KEY",
		Short: "Tell of something that happened to a customer, which may trigger a campaign",
		Long: `Takes an event: campaigns with  trigger: {event: NAME}  send the customer their message at once,
if a process serves (sapa serve), else as soon as one does. The event is stored before the
command ends. With --key an event counts once: the same one again gets the same answer.`,
		Example: `  sapa event check_in --customer 4711
  sapa event paid --customer 4711 --data '{"amount": 75000}' --key order-4711-paid`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			e.Name, e.Data = args[0], json.RawMessage(data)
			return runEvent(c.Context(), a, e, at, asJSON)
		},
	}
	c.Flags().StringVar(&e.Customer, "customer", "", "key of the customer, as in your customers table")
	c.Flags().StringVar(&data, "data", "", "what is to know about it, as a JSON object")
	c.Flags().StringVar(&e.Key, "key", "", "by which a repetition of the event is known")
	c.Flags().StringVar(&at, "at", "", "when it happened, such as 2026-11-22T15:04:05+07:00 (default: now)")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func runEvent(ctx context.Context, a *app, e campaign.Event, at string, asJSON bool) error {
	if e.Customer == "" {
		return &exitError{exitUsage, errors.New("whose event is it? add  --customer KEY")}
	}
	if at != "" {
		var err error
		if e.At, err = time.Parse(time.RFC3339, at); err != nil {
			return &exitError{exitUsage, fmt.Errorf("--at %s: write a time such as 2026-11-22T15:04:05+07:00", at)}
		}
	}
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	planner, err := s.planner(a)
	if err != nil {
		return err
	}
	e.Actor = a.actor()
	received, err := planner.Receive(ctx, e)
	if err != nil {
		return err
	}
	for _, w := range received.Warnings {
		fmt.Fprintf(a.stderr, "note: %s\n", w)
	}
	if asJSON {
		return a.printJSON(received)
	}
	a.printReceived(received)
	return nil
}

func (a *app) printReceived(r *campaign.Received) {
	text := fmt.Sprintf("event %d", r.ID)
	if r.Repeated {
		text += ", which was taken before"
	}
	fmt.Fprintf(a.stdout, "%s: %s of customer %s", text, r.Event, r.Customer)
	if len(r.Campaigns) > 0 {
		fmt.Fprintf(a.stdout, "; it triggers %s", strings.Join(r.Campaigns, ", "))
	}
	fmt.Fprintln(a.stdout, "; what came of it: sapa events")
}

func newEventsCommand(a *app) *cobra.Command {
	var f campaign.EventFilter
	var asJSON bool
	c := &cobra.Command{
		Use:   "events",
		Short: "List the last events, and what each did",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return runEvents(c.Context(), a, f, asJSON) },
	}
	c.Flags().StringVar(&f.Name, "name", "", "only events of this name")
	c.Flags().StringVar(&f.Customer, "customer", "", "only those of this customer")
	c.Flags().BoolVar(&f.Open, "open", false, "only those that wait, with why")
	c.Flags().IntVar(&f.Limit, "limit", 20, "how many, the latest last")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func runEvents(ctx context.Context, a *app, f campaign.EventFilter, asJSON bool) error {
	if f.Limit < 1 {
		return &exitError{exitUsage, errors.New("--limit is how many to list, from 1")}
	}
	s, err := a.openProjectDB(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	list, err := campaign.ListEvents(ctx, s.pool, f)
	if err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(list)
	}
	if len(list) == 0 {
		fmt.Fprintln(a.stdout, "no events; send one: sapa event NAME --customer KEY")
	}
	for _, e := range list {
		fmt.Fprintf(a.stdout, "%d  %s  %s  customer %s\n", e.ID, a.moment(e.ReceivedAt), e.Event, e.Customer)
		for _, t := range e.Triggered {
			fmt.Fprintf(a.stdout, "    %s: %s\n", t.Campaign, triggeredText(t))
		}
		for _, w := range e.Warnings {
			fmt.Fprintf(a.stdout, "    note: %s\n", w)
		}
	}
	return nil
}

// triggeredText is what an event came to with a campaign.
func triggeredText(t campaign.Triggered) string {
	switch {
	case t.Outcome == "" && t.Trouble != "":
		return fmt.Sprintf("waits; tried %s in vain: %s", counted(t.Tries, "time"), t.Trouble)
	case t.Outcome == "":
		return "waits for a process that serves: sapa serve"
	case t.Message != 0 && t.State != "":
		return fmt.Sprintf("%s (run %d, message %d)", t.State, t.Run, t.Message)
	case t.Run != 0:
		return fmt.Sprintf("%s (run %d)", t.Outcome, t.Run)
	}
	return map[string]string{
		"not meant": "the rule does not mean them", "removed": "the campaign is gone, or listens to another event now",
		"quarantine": "the campaign is in quarantine", "erased": "the customer was erased",
	}[t.Outcome]
}
