package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/segment"
)

type whyOptions struct {
	asOf string
	json bool
}

func newWhyCommand(a *app) *cobra.Command {
	var o whyOptions
	c := &cobra.Command{
		Use:   "why CUSTOMER CAMPAIGN | SEGMENT | RULE",
		Short: "Why one customer would get a campaign's message or is meant by a rule, or why not",
		Long: `Shows each clause of the rule with its verdict and the values that made it, then everything else
that decides: the address, suppression, consent, earlier messages, the cooldown, the schedule;
and, where a date decides, the next one. It asks the campaign as it is applied, and changes nothing.
CUSTOMER is the key of your customers table, or an address that only one customer has.`,
		Example: `  sapa why 4711 birthday
  sapa why ani@example.com regulars
  sapa why 4711 birthday --as-of 2026-12-24
  sapa why 4711 'any(customer.vehicles, .next_service_on <= today() + days(14))'`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return runWhy(c.Context(), a, args[0], args[1], o) },
	}
	c.Flags().StringVar(&o.asOf, "as-of", "", "ask as of this date, or date and time (default: now)")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return c
}

func runWhy(ctx context.Context, a *app, who, what string, o whyOptions) error {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	var tick time.Time
	if o.asOf != "" {
		if tick, err = campaign.ParseTick(o.asOf); err != nil {
			return &exitError{exitUsage, fmt.Errorf("--as-of %w", err)}
		}
	}
	key, err := s.whose(ctx, who)
	if err != nil {
		return err
	}
	if !campaign.IsSegmentName(what) {
		return s.whyRule(ctx, a, key, what, o)
	}
	err = s.whyCampaign(ctx, a, key, what, tick, o)
	if !errors.Is(err, campaign.ErrNotFound) {
		return err
	}
	segmentErr := s.whyRule(ctx, a, key, what, o)
	if !errors.Is(segmentErr, campaign.ErrNotFound) {
		return segmentErr
	}
	file := filepath.Join("campaigns", what+".yaml")
	if _, statErr := os.Stat(filepath.Join(a.dir, file)); statErr == nil {
		return fmt.Errorf("campaign %q: %s is not applied yet: sapa apply", what, file)
	}
	return fmt.Errorf("%w\n%w", err, segmentErr)
}

// whose is the key of the customer whom somebody means: by the key, or by an address that no other customer has.
func (s *session) whose(ctx context.Context, text string) (string, error) {
	p, err := s.customer(ctx, text)
	if err == nil {
		return p.Key, nil
	}
	if !errors.Is(err, customer.ErrNoCustomer) {
		return "", err
	}
	keys, addressErr := s.schema.KeysByAddress(ctx, s.pool, text)
	switch {
	case addressErr != nil:
		return "", addressErr
	case len(keys) == 0:
		return "", fmt.Errorf("%w, or an address that one customer has", err)
	case len(keys) > 1:
		return "", fmt.Errorf("several customers have the address %s, with the keys %s: name one of them by its key", text, strings.Join(keys, ", "))
	}
	return keys[0], nil
}

func (s *session) whyCampaign(ctx context.Context, a *app, key, name string, tick time.Time, o whyOptions) error {
	p, err := s.planner(a)
	if err != nil {
		return err
	}
	w, err := p.Why(ctx, name, key, tick)
	if err != nil {
		return err
	}
	if o.json {
		return a.printJSON(w)
	}
	a.printWhy(w)
	return nil
}

// ruleWhy is what a rule says of one customer.
type ruleWhy struct {
	CustomerKey string         `json:"customer_key"`
	Name        string         `json:"name,omitempty"`
	AsOf        time.Time      `json:"as_of"`
	Today       string         `json:"today"`
	Meant       bool           `json:"meant"`
	Customer    *segment.Trace `json:"customer,omitempty"` // of customers.where
	Rule        *segment.Trace `json:"rule"`
	Next        string         `json:"next,omitempty"`
	NoNext      string         `json:"no_next,omitempty"` // why there is no next date where one may be expected
}

// whyRule asks a rule, or a named segment, in a transaction that is taken back.
func (s *session) whyRule(ctx context.Context, a *app, key, text string, o whyOptions) error {
	scope, text, err := s.scopeOf(ctx, a, text)
	if err != nil {
		return err
	}
	rule, problems := segment.ParseRule(segment.Text(text), scope)
	if err := problems.Err(); err != nil {
		return unreadable(err)
	}
	clock, err := s.clock(a, o.asOf)
	if err != nil {
		return err
	}
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("ask the company's tables: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	w, err := s.askRule(ctx, tx, key, rule, scope, clock)
	if err != nil {
		return err
	}
	if o.json {
		return a.printJSON(w)
	}
	a.printRuleWhy(w)
	return nil
}

func (s *session) askRule(ctx context.Context, tx pgx.Tx, key string, rule *segment.Rule, scope *segment.Scope, clock segment.Clock) (*ruleWhy, error) {
	base := s.library.Base()
	clock, err := segment.Prepare(ctx, tx, scope, base, clock, rule)
	if err != nil {
		return nil, askCompany(err)
	}
	one, err := segment.One(s.schema, key)
	if err != nil {
		return nil, err
	}
	if err := segment.FillFacts(ctx, tx, one, clock, rule); err != nil {
		return nil, askCompany(err)
	}
	found, err := segment.Candidates(ctx, tx, scope, key, clock, base, rule)
	if err != nil {
		return nil, askCompany(err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("customer %q: %w in %s", key, customer.ErrNoCustomer, s.schema.Customer.Table)
	}
	w := &ruleWhy{CustomerKey: key, AsOf: clock.Now, Today: clock.Today.Format(time.DateOnly), Meant: true}
	if w.Name, err = s.nameOf(ctx, key); err != nil {
		return nil, err
	}
	return w, w.decide(clock, found, base, rule)
}

// decide asks customers.where and the rule, and the days to come where one of them says no.
func (w *ruleWhy) decide(clock segment.Clock, found []segment.Candidate, base, rule *segment.Rule) (err error) {
	if base != nil {
		if w.Customer, err = base.Trace(clock, found[0].Row); err != nil {
			return err
		}
	}
	if w.Rule, err = rule.Trace(clock, found[0].Row); err != nil {
		return err
	}
	w.Meant = w.Rule.Holds && (w.Customer == nil || w.Customer.Holds)
	if w.Meant {
		return nil
	}
	if w.NoNext = segment.Undated(found, rule); w.NoNext != "" {
		return nil
	}
	w.Next, err = nextMeant(clock, found, base, rule)
	if notReady := new(segment.NotReadyError); errors.As(err, &notReady) {
		w.NoNext = "none is given, because " + notReady.Error()
		return nil
	}
	if w.Next == "" && rule.Dated() && (w.Customer == nil || w.Customer.Holds) {
		w.NoNext = fmt.Sprintf("there is none within %d days", daysAhead)
	}
	return err
}

// daysAhead is how many days are looked ahead for the next date on which a rule means somebody.
const daysAhead = 400

func nextMeant(clock segment.Clock, found []segment.Candidate, rules ...*segment.Rule) (string, error) {
	for day := 1; day <= daysAhead; day++ {
		ahead := clock.Ahead(day)
		meant, err := segment.Meant(ahead, found, rules...)
		if err != nil {
			return "", err
		}
		if meant {
			return ahead.Today.Format(time.DateOnly), nil
		}
	}
	return "", nil
}

// nameOf is what the customer is called; "" where no column is mapped.
func (s *session) nameOf(ctx context.Context, key string) (name string, err error) {
	column, k := s.schema.Name.Column, s.schema.KeyColumn()
	if column == "" {
		return "", nil
	}
	err = s.pool.QueryRow(ctx, fmt.Sprintf(`select coalesce(%s::text, '') from %s where %s = $1::text::%s`,
		pgx.Identifier{column}.Sanitize(), s.schema.Customer.Table.SQL(), k.SQL(), k.PGType), key).Scan(&name)
	if err != nil {
		return "", fmt.Errorf("ask the company's tables: %w", err)
	}
	return name, nil
}
