package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/customer"
)

func newConsentCommand(a *app) *cobra.Command {
	var json bool
	c := &cobra.Command{
		Use:   "consent CUSTOMER",
		Short: "Show what a customer may be sent, and why; record what customers say elsewhere",
		Long: `Shows for each topic and channel whether the customer gets it, and what decides: a column of
yours that says no, then the latest entry of Sapa's consent ledger, then a column that says
yes, then the default. CUSTOMER is the key of your customers table.`,
		Example: `  sapa consent 4711
  sapa consent withdraw 4711 --topic newsletter --evidence "telephone, 23 November"
  sapa consent pause 4711 --days 30`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return runConsent(c.Context(), a, args[0], json) },
	}
	c.Flags().BoolVar(&json, "json", false, "print JSON")
	c.AddCommand(
		newConsentChangeCommand(a, "grant", "Record that a customer wants messages", true),
		newConsentChangeCommand(a, "withdraw", "Record that a customer does not want messages", false),
		newConsentPauseCommand(a), newConsentResumeCommand(a), newConsentHistoryCommand(a), newConsentImportCommand(a),
	)
	return c
}

// customer finds a customer by the key that somebody typed.
func (s *session) customer(ctx context.Context, key string) (*customer.Person, error) {
	p, err := s.schema.Person(ctx, s.pool, key)
	if errors.Is(err, customer.ErrNoCustomer) {
		return nil, fmt.Errorf("%w; CUSTOMER is what stands in its column %s", err, s.schema.Customer.Key)
	}
	return p, err
}

// withCustomer opens the project and finds a customer.
func (a *app) withCustomer(ctx context.Context, key string, do func(*session, *customer.Person) error) error {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	p, err := s.customer(ctx, key)
	if err != nil {
		return err
	}
	return do(s, p)
}

// consentLine is a line of sapa consent.
type consentLine struct {
	Topic   string     `json:"topic"`
	Channel string     `json:"channel"`
	Granted bool       `json:"granted"`
	Pending bool       `json:"pending,omitempty"`
	Until   *time.Time `json:"until,omitempty"`
	From    string     `json:"from"` // column, ledger, default, erasure
	Column  string     `json:"column,omitempty"`
	Source  string     `json:"source,omitempty"`
	At      *time.Time `json:"at,omitempty"`
	Blocked string     `json:"suppressed,omitempty"` // why the address is suppressed
}

func runConsent(ctx context.Context, a *app, key string, json bool) error {
	return a.withCustomer(ctx, key, func(s *session, p *customer.Person) error {
		list, err := s.standings(ctx, p, a.now())
		if err != nil {
			return err
		}
		if json {
			return a.printJSON(list)
		}
		erased, err := customer.ErasedAt(ctx, s.pool, p.Key)
		if err != nil {
			return err
		}
		if !erased.IsZero() {
			fmt.Fprintln(a.stdout, s.erasedText(p.Key, erased))
			return nil
		}
		t := a.table("topic", "channel", "gets it", "because of", "source", "at")
		for _, st := range list {
			var at any = ""
			if st.At != nil {
				at = a.moment(*st.At)
			}
			t.AppendRow([]any{st.Topic, st.Channel, st.word(), st.because(), st.Source, at})
		}
		t.Render()
		a.printBlocked(list)
		return nil
	})
}

// erasedText says when a customer was erased, by the company's calendar.
func (s *session) erasedText(key string, at time.Time) string {
	if zone, err := time.LoadLocation(s.schema.Zone); err == nil {
		at = at.In(zone)
	}
	return fmt.Sprintf("customer %s was erased on %s; nothing is sent", key, at.Format(time.DateOnly))
}

// word says whether the customer gets it.
func (st *consentLine) word() string {
	switch {
	case st.Granted:
		return "yes"
	case st.Pending:
		return "not confirmed yet"
	case st.Until != nil:
		return "paused until " + st.Until.Format(time.DateOnly)
	}
	return "no"
}

func (st *consentLine) because() string {
	if st.From == customer.FromColumn {
		return "column " + st.Column
	}
	return st.From
}

// printBlocked says on which channels the address is suppressed, whatever the consent.
func (a *app) printBlocked(list []consentLine) {
	blocked := map[string]string{}
	for _, st := range list {
		if st.Blocked != "" {
			blocked[st.Channel] = st.Blocked
		}
	}
	for _, channel := range slices.Sorted(maps.Keys(blocked)) {
		fmt.Fprintf(a.stdout, "the address on %s is suppressed (%s): nothing is sent there\n", channel, blocked[channel])
	}
}

// standings are what decides on each topic and channel that there are.
func (s *session) standings(ctx context.Context, p *customer.Person, now time.Time) ([]consentLine, error) {
	topics, err := s.topics(ctx)
	if err != nil {
		return nil, err
	}
	ledger, err := customer.ReadLedger(ctx, s.pool, p.Key)
	if err != nil {
		return nil, err
	}
	channels, err := s.reach(ctx, p)
	if err != nil {
		return nil, err
	}
	erased, err := customer.ErasedAt(ctx, s.pool, p.Key)
	if err != nil {
		return nil, err
	}
	list := []consentLine{}
	for _, topic := range topics {
		for _, c := range channels {
			if topic.On(c.name) {
				st := newConsentLine(s.schema.Standing(ledger, p.Opted(c.name), c.name, topic.Name, now))
				st.Blocked = c.blocked
				if !erased.IsZero() {
					st = consentLine{Topic: topic.Name, Channel: c.name, From: "erasure"}
				}
				list = append(list, st)
			}
		}
	}
	return list, nil
}

// topics are those that consent can be asked for; every topic as one, where there are none yet.
func (s *session) topics(ctx context.Context) ([]customer.Topic, error) {
	topics, err := s.schema.AllTopics(ctx, s.pool)
	if err == nil && len(topics) == 0 {
		topics = []customer.Topic{{Name: customer.Every}}
	}
	return topics, err
}

// reached is a channel, and why the customer's address on it is suppressed.
type reached struct{ name, blocked string }

func (s *session) reach(ctx context.Context, p *customer.Person) (list []reached, err error) {
	for _, name := range customer.Suppressible() {
		if _, mapped := s.schema.Address(name); !mapped || !s.uses(name) {
			continue
		}
		c := reached{name: name}
		if raw := p.Addresses[name]; raw != "" {
			_, a, err := customer.ReadSuppressible(name, raw, p.Region)
			if err != nil {
				return nil, err
			}
			if a.Usable() {
				why, _, err := customer.Suppressed(ctx, s.pool, name, a.Normalised)
				if err != nil {
					return nil, err
				}
				c.blocked = why.Reason
			}
		}
		list = append(list, c)
	}
	return list, nil
}

// uses says whether there can be messages by a channel: by e-mail and SMS in any case, by others where sapa.yaml sets them up.
func (s *session) uses(channel string) bool {
	set := s.config.Channels
	switch channel {
	case "whatsapp":
		return set.WhatsApp != nil
	case "voice":
		return set.Voice != nil
	case "calls":
		return set.Calls != nil
	case "email", "sms":
		return true
	}
	return set.Further[channel] != nil
}

func newConsentLine(st customer.Standing) consentLine {
	out := consentLine{Topic: st.Topic, Channel: st.Channel, Granted: st.Granted, From: st.From, Column: st.Column}
	if e := st.Entry; e != nil {
		out.Pending, out.Source, out.At = e.Pending, e.Source, &e.At
		if !e.Until.IsZero() {
			out.Until = &e.Until
		}
	}
	return out
}

func newConsentHistoryCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "history CUSTOMER",
		Short: "List everything that a customer ever said about messages, with its evidence, the latest first",
		Args:  cobra.ExactArgs(1),
		RunE:  func(c *cobra.Command, args []string) error { return runConsentHistory(c.Context(), a, args[0]) },
	}
}

func runConsentHistory(ctx context.Context, a *app, key string) error {
	return a.withCustomer(ctx, key, func(s *session, p *customer.Person) error {
		ledger, err := customer.ReadLedger(ctx, s.pool, p.Key)
		if err != nil {
			return err
		}
		if len(ledger) == 0 {
			fmt.Fprintf(a.stdout, "customer %s has said nothing yet; columns and the default decide\n", p.Key)
			return nil
		}
		t := a.table("at", "what", "source", "evidence")
		for _, e := range ledger {
			t.AppendRow([]any{a.moment(e.At), describe(e.ConsentChange), e.Source, evidenceText(e.Evidence)})
		}
		t.Render()
		return nil
	})
}

// evidenceText is evidence in one line, in a fixed order.
func evidenceText(evidence map[string]any) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(evidence)) {
		v := evidence[k]
		if n, ok := v.(float64); ok {
			v = int64(n)
		}
		parts = append(parts, fmt.Sprintf("%s %v", strings.ReplaceAll(k, "_", " "), v))
	}
	return strings.Join(parts, ", ")
}
