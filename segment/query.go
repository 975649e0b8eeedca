package segment

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
)

// Aliases of the audience's tables in Query.From.
const (
	CustomerAlias = "c"
	EachAlias     = "e"
)

// Query is an audience over the whole customer base. The caller adds its own select list:
//
//	"select c." + key + " from " + q.From + " where " + q.Where
type Query struct {
	From     string // `"public"."customers" c join "public"."vehicles" e on e."customer_id" = c."id"`
	Where    string // never empty
	Args     *Args
	Aliases  map[string]string // root name → alias
	Exact    bool              // false: each row must be asked by the rules' Programs
	Residual []Reason

	scope *Scope
	rules []*Rule
	base  *Rule // of rules, the one that says who is a customer
	clock Clock
}

// Base parses customers.where, the rule that says who counts as a customer. It is nil for every row.
func Base(s *customer.Schema, src Source) (*Rule, diag.List) {
	if strings.TrimSpace(src.Text) == "" {
		return nil, nil
	}
	rule, problems := ParseRule(src, NewScope(s))
	if rule == nil {
		return nil, problems
	}
	if n, ok := findNode[*standing](rule.root); ok {
		problems.Add(rule.source.file, rule.source.span(n.loc), "ask that in the rules that choose among the customers",
			"who counts as a customer at all can't depend on a place among all customers")
		return nil, problems
	}
	return rule, nil
}

// Audience is the query for the rows that satisfy both rules; either may be nil. base is Base's.
func Audience(scope *Scope, base, where *Rule, args *Args, clock Clock) (*Query, error) {
	q := &Query{From: from(scope), Args: args, Aliases: aliases(scope), Exact: true, scope: scope, base: base, clock: clock}
	var parts []string
	for _, rule := range []*Rule{base, where} {
		if rule == nil {
			continue
		}
		cond, err := rule.SQL(args, clock, q.Aliases)
		if err != nil {
			return nil, fmt.Errorf("audience: %w", err)
		}
		parts = append(parts, "("+cond.SQL+")")
		q.rules = append(q.rules, rule)
		q.Exact = q.Exact && cond.Exact
		q.Residual = append(q.Residual, cond.Residual...)
	}
	if len(parts) == 0 {
		parts = []string{"true"}
	}
	q.Where = strings.Join(parts, " and ")
	return q, nil
}

func aliases(s *Scope) map[string]string {
	m := map[string]string{"customer": CustomerAlias}
	if s.Each != nil {
		m[s.EachName] = EachAlias
	}
	return m
}

func from(s *Scope) string {
	text := s.Schema.Customer.Table.SQL() + " " + CustomerAlias
	if s.Each == nil {
		return text
	}
	return text + fmt.Sprintf(" join %s %s on %s.%s = %s.%s", s.Each.Target.Table.SQL(), EachAlias,
		EachAlias, quote(s.Each.Remote), CustomerAlias, quote(s.Each.Local))
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
