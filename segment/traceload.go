package segment

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// Candidate is one customer, or one of the customer's rows of `each`, with all that some rules ask about.
type Candidate struct {
	Key Key
	Row Row
}

// Candidates loads what the rules ask about one customer: the customer's row, or one Candidate for each row of the
// scope's `each`, in the order of their keys. Nothing is decided: the rules need not hold. Related rows come with their keys,
// by which a Trace names them. A nil rule asks nothing.
func Candidates(ctx context.Context, db DB, scope *Scope, key string, clock Clock, rules ...*Rule) ([]Candidate, error) {
	q, err := Audience(scope, nil, nil, &Args{}, clock)
	if err != nil {
		return nil, err
	}
	q.Only(key)
	q.Exact = false // so that rows are loaded
	q.rules = slices.DeleteFunc(slices.Clone(rules), func(r *Rule) bool { return r == nil })
	found, err := q.candidates(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("read customer %s: %w", key, pg.WithoutValues(err))
	}
	return found, nil
}

// One is the rule that means one customer alone. The key is as the database writes it.
func One(s *customer.Schema, key string) (*Rule, error) {
	column := s.KeyColumn()
	if column.Kind != customer.Int {
		key = strconv.Quote(key)
	}
	rule, problems := ParseRule(Text(fmt.Sprintf("customer[%q] == %s", column.Name, key)), NewScope(s))
	if err := problems.Err(); err != nil {
		return nil, fmt.Errorf("ask about one customer: %w", err)
	}
	return rule, nil
}

// Only restricts the query to one customer. The key is as the database writes it; one that the key column's type can't have
// is an error of the database.
func (q *Query) Only(key string) {
	column := q.scope.Schema.KeyColumn()
	q.Where = fmt.Sprintf("%s.%s = %s::%s and (%s)", CustomerAlias, column.SQL(), q.Args.Bind(key, "text"), column.PGType, q.Where)
}

func (q *Query) candidates(ctx context.Context, db DB) ([]Candidate, error) {
	tx, err := db.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, `set local lock_timeout = '`+pg.LockTimeout+`'`); err != nil {
		return nil, err
	}
	return q.readCandidates(ctx, tx)
}

func (q *Query) readCandidates(ctx context.Context, tx pgx.Tx) ([]Candidate, error) {
	d, err := newDecision(q, tx)
	if err != nil {
		return nil, err
	}
	for _, need := range d.needs {
		need.addKeys()
	}
	sql := d.sql()
	if e := q.scope.Each; e != nil && e.Target.Key != "" {
		sql += " order by " + EachAlias + "." + quote(e.Target.Key)
	}
	values, err := d.loader.values(ctx, sql, q.Args.Values()...)
	if err != nil {
		return nil, err
	}
	rows, err := d.candidates(ctx, values)
	if err != nil {
		return nil, err
	}
	found := make([]Candidate, len(rows))
	for i, row := range rows {
		found[i] = Candidate{d.key(values[i]), row}
	}
	return found, nil
}

// addKeys adds what names related rows: their keys, or their time where they have none.
func (c *Columns) addKeys() {
	for _, r := range c.Relations {
		switch e := r.Columns.Entity; {
		case e.Key != "":
			r.Columns.add(e.Key)
		case e.At != "":
			r.Columns.add(e.At)
		}
		r.Columns.addKeys()
	}
}

// Meant says whether one of the candidates satisfies all of the rules. A nil rule is satisfied by everybody.
func Meant(clock Clock, candidates []Candidate, rules ...*Rule) (bool, error) {
	var programs []*Program
	for _, r := range rules {
		if r == nil {
			continue
		}
		p, err := r.Program(clock)
		if err != nil {
			return false, err
		}
		programs = append(programs, p)
	}
	for _, c := range candidates {
		ok := true
		for _, p := range programs {
			var err error
			if ok, err = p.Match(c.Row); err != nil {
				return false, err
			}
			if !ok {
				break
			}
		}
		if ok {
			return true, nil
		}
	}
	return false, nil
}

// Ahead is the clock so many days later, at the same time of day in the company's zone. What a run prepares stays as it is.
func (c Clock) Ahead(days int) Clock {
	now := c.Now.In(c.Zone)
	c.Today = c.Today.AddDate(0, 0, days)
	c.Now = now.AddDate(0, 0, days)
	return c
}

// Undated says why the candidates can't be asked the questions as of another day; "" where they can. Given knows the place
// of a customer among all customers for one day only. Of facts with a period those that hold will not hold any more some
// day, and nothing has asked when.
func Undated(candidates []Candidate, questions ...Question) string {
	for _, q := range questions {
		rule := q.asked()
		if rule == nil {
			continue
		}
		if n, ok := findNode[*standing](rule.root); ok {
			return fmt.Sprintf("none is given, because the place of %s among all customers is known of one day only", n.text)
		}
		for _, f := range rule.Facts() {
			if f.within != (period{}) && slices.ContainsFunc(candidates, func(c Candidate) bool { return c.holds(f) }) {
				return fmt.Sprintf("none is given, because %s holds now, and it is not known until when", f)
			}
		}
	}
	return ""
}

func (c Candidate) holds(f Fact) bool {
	facts, _ := c.Row[FactsKey].(map[string]bool)
	return facts[f.String()]
}

// Dated says whether the rule looks at dates or times.
func (r *Rule) Dated() bool { return hasTime(r.root) }

func hasTime(n node) bool {
	return n.typ().isTime() || slices.ContainsFunc(children(n), hasTime)
}
