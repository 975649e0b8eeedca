package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/segment"
)

// namedSegments reads the project's segments. Their problems are said by whatever uses them, so that one that is broken
// does not keep the others from being asked.
func (s *session) namedSegments(ctx context.Context, a *app) (*campaign.Segments, error) {
	ledger, err := campaign.ReadLedger(ctx, s.pool)
	if err != nil {
		return nil, err
	}
	named, _, err := campaign.LoadSegments(os.DirFS(a.dir), s.schema, ledger)
	return named, err
}

// scopeOf is the scope of rules that are given on the command line, and the rule: that of a segment where the text is the
// name of one.
func (s *session) scopeOf(ctx context.Context, a *app, text string) (scope *segment.Scope, rule string, err error) {
	named, err := s.namedSegments(ctx, a)
	if err != nil {
		return nil, "", err
	}
	scope = segment.NewScope(s.schema).WithNames(named.Names)
	if !campaign.IsSegmentName(text) {
		return scope, text, nil
	}
	if _, err := named.Find(text); err != nil {
		return nil, "", err
	}
	return scope, segmentRule(text), nil
}

// segmentRule is the rule that a segment's name stands for.
func segmentRule(name string) string { return fmt.Sprintf("segment(%q)", name) }

// listedSegment is a named segment as it is shown.
type listedSegment struct {
	Segment     string   `json:"segment"`
	Description string   `json:"description"`
	Owner       string   `json:"owner"`
	Where       string   `json:"where"`
	Uses        []string `json:"uses,omitempty"`    // other segments
	Size        *int     `json:"size,omitempty"`    // with --count
	Problem     string   `json:"problem,omitempty"` // why it can't be used
}

// listSegments shows the named segments; with --count also how many customers belong to each, which asks the database as
// often as there are segments.
func listSegments(ctx context.Context, a *app, o segmentOptions) error {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	named, err := s.namedSegments(ctx, a)
	if err != nil {
		return err
	}
	scope, list := segment.NewScope(s.schema).WithNames(named.Names), []listedSegment{}
	for _, one := range named.List {
		l := listedSegment{Segment: one.Name(), Description: one.Definition.Description, Owner: one.Definition.Owner, Where: one.Definition.Where}
		switch {
		case one.Rule == nil:
			l.Problem = "it can't be used: sapa validate"
		case o.sizes:
			if l.Size, err = s.size(ctx, a, scope, one.Name(), o); err != nil {
				return err
			}
		}
		if one.Rule != nil {
			l.Uses = without(one.Rule.Segments(), one.Name())
		}
		list = append(list, l)
	}
	if o.json {
		return a.printJSON(list)
	}
	a.printSegments(list, o.sizes)
	return nil
}

func without(names []string, name string) []string {
	var others []string
	for _, n := range names {
		if n != name {
			others = append(others, n)
		}
	}
	return others
}

func (s *session) size(ctx context.Context, a *app, scope *segment.Scope, name string, o segmentOptions) (*int, error) {
	q, err := s.queryOf(ctx, a, scope, segmentRule(name), o)
	if err != nil {
		return nil, fmt.Errorf("segment %s: %w", name, err)
	}
	n, err := s.count(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("segment %s: ask the company's tables: %w", name, err)
	}
	return &n, nil
}

func (a *app) printSegments(list []listedSegment, sizes bool) {
	if len(list) == 0 {
		fmt.Fprintln(a.stdout, "There are no named segments yet: make one as segments/regulars.yaml (docs/rules.md).")
		return
	}
	heads := []any{"segment", "description", "owner"}
	if sizes {
		heads = append(heads, "customers")
	}
	t := a.table(heads...)
	for _, l := range list {
		about := l.Description
		if l.Problem != "" {
			about = l.Problem
		}
		row := []any{l.Segment, about, l.Owner}
		if l.Size != nil {
			row = append(row, thousands(*l.Size))
		}
		t.AppendRow(row)
	}
	t.Render()
}

// unreadable says what is wrong with a rule that was given on the command line.
func unreadable(err error) error {
	return fmt.Errorf("the rule can't be used\n%w", err)
}

// askCompany is an error of the company's tables, or what has to be done before Sapa's own can be asked.
func askCompany(err error) error {
	if errors.Is(err, segment.ErrNoTables) {
		return err
	}
	return fmt.Errorf("ask the company's tables: %w", err)
}
