package segment

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sapa-crm/sapa/internal/pg"
)

// Question is what is asked of customers: a *Rule or a *Value, either of which may be nil.
type Question interface{ asked() *Rule }

func (r *Rule) asked() *Rule { return r }

func (v *Value) asked() *Rule {
	if v == nil {
		return nil
	}
	return &v.rule
}

// Prepare finds out what the questions need to know of all customers, those whom base (customers.where; nil for every
// row) lets through, and returns the clock with it in Given. What the clock's Given has already is kept. It reads the
// whole base, once for every few expressions; where no question needs anything, it asks nothing. SQL and Program of a rule refuse a
// clock that lacks what the rule needs.
func Prepare(ctx context.Context, db DB, scope *Scope, base *Rule, clock Clock, questions ...Question) (Clock, error) {
	p := &preparation{scope: NewScope(scope.Schema), clock: clock, found: map[string]int{}}
	for _, q := range questions {
		if rule := q.asked(); rule != nil {
			if err := p.look(rule); err != nil {
				return clock, fmt.Errorf("prepare rule %q: %w", rule.Text(), err)
			}
		}
	}
	if len(p.wanted) == 0 {
		return clock, nil
	}
	all, err := p.ask(ctx, db, base)
	if err != nil {
		return clock, fmt.Errorf("place customers among all: %w", err)
	}
	clock.Given = clock.Given.with(all)
	return clock, nil
}

// Needs says whether Prepare would have something to find out for a question.
func Needs(questions ...Question) bool {
	for _, q := range questions {
		if rule := q.asked(); rule != nil {
			if _, ok := findNode[*standing](rule.root); ok {
				return true
			}
		}
	}
	return false
}

// preparation collects the expressions whose thresholds are wanted.
type preparation struct {
	scope  *Scope
	clock  Clock
	wanted []distribution
	found  map[string]int // their places in wanted, by key
}

// distribution is an expression whose thresholds are wanted.
type distribution struct {
	key  string
	id   identity // whose key it is
	rule *Rule
	of   node // lowered
	text string
}

// look finds what a rule needs and the clock lacks.
func (p *preparation) look(r *Rule) (err error) {
	defer recovered(&err)
	l, err := r.lowering(p.clock)
	if err != nil {
		return err
	}
	return p.lookAt(r, l, r.root)
}

func (p *preparation) lookAt(r *Rule, l lowering, n node) error {
	if n, ok := n.(*standing); ok {
		d := distribution{rule: r, of: l.node(n.of), text: n.text}
		id, err := l.identity(d.of)
		if err != nil {
			return err
		}
		key := id.key()
		d.key, d.id = key, id
		if _, given := p.clock.Given.find(key, d.of.typ()); given {
			return nil
		}
		i, ok := p.found[key]
		switch {
		case !ok:
			p.found[key] = len(p.wanted)
			p.wanted = append(p.wanted, d)
		case !id.same(p.wanted[i].id):
			return fmt.Errorf("the places of %s and %s have one key", p.wanted[i].text, d.text)
		}
		return nil
	}
	for _, c := range children(n) {
		if err := p.lookAt(r, l, c); err != nil {
			return err
		}
	}
	return nil
}

// ask reads the base in a transaction that leaves nothing behind.
func (p *preparation) ask(ctx context.Context, db DB, base *Rule) (map[string]thresholds, error) {
	tx, err := db.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	// Many values are sorted; compiling such a statement takes longer than running it.
	_, err = tx.Exec(ctx, `set local lock_timeout = '`+pg.LockTimeout+`'; set local work_mem = '64MB'; set local jit = off`)
	if err != nil {
		return nil, err
	}
	everybody := func(args *Args) (*Query, error) { return Audience(p.scope, base, nil, args, p.clock) }
	q, err := everybody(&Args{})
	if err != nil {
		return nil, err
	}
	if !q.Exact {
		if everybody, err = p.decided(ctx, tx, q); err != nil {
			return nil, err
		}
	}
	return p.read(ctx, tx, everybody)
}

// decided is a query that SQL can't say exactly, after each candidate was asked: their keys are in a temporary table.
func (p *preparation) decided(ctx context.Context, tx pgx.Tx, q *Query) (func(*Args) (*Query, error), error) {
	const table = "sapa_base"
	if _, err := tx.Exec(ctx, `create temporary table `+table+` (customer_key text collate "C") on commit drop`); err != nil {
		return nil, err
	}
	d, err := newDecision(q, tx)
	if err != nil {
		return nil, err
	}
	d.shared = true
	err = d.run(ctx, func(keys []Key) error {
		_, err := tx.CopyFrom(ctx, pgx.Identifier{table}, []string{"customer_key"},
			pgx.CopyFromSlice(len(keys), func(i int) ([]any, error) { return []any{keys[i].Customer}, nil }))
		return err
	})
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, `analyze `+table); err != nil {
		return nil, err
	}
	return func(args *Args) (*Query, error) {
		all, err := Audience(p.scope, nil, nil, args, p.clock)
		if err == nil {
			all.Where = fmt.Sprintf("%s.%s::text in (select b.customer_key from %s b)", CustomerAlias, quote(p.scope.Schema.Customer.Key), table)
		}
		return all, err
	}, nil
}

// fractions are those of the thresholds, a trifle less than k/100: percentile_disc takes the first value whose place,
// of n, is at least fraction × n, and 0.07 × 100 is a little more than 7 in double precision. The trifle is more than
// that error and less than a hundredth of a place while n is below 5 000 000 000.
func fractions() []float64 {
	var all []float64
	for k := range hundredths {
		all = append(all, float64(k+1)/100-1e-12)
	}
	return all
}

// sortsAtOnce is how many expressions one statement parts: it sorts them all at the same time, each in a work_mem of its own.
const sortsAtOnce = 8

// read asks for the thresholds of all expressions.
func (p *preparation) read(ctx context.Context, tx pgx.Tx, base func(*Args) (*Query, error)) (map[string]thresholds, error) {
	all := map[string]thresholds{}
	for some := range slices.Chunk(p.wanted, sortsAtOnce) {
		q, err := base(&Args{})
		if err != nil {
			return nil, err
		}
		if err := p.readSome(ctx, tx, q, some, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// readSome asks one statement for the thresholds of some expressions.
func (p *preparation) readSome(ctx context.Context, tx pgx.Tx, q *Query, some []distribution, all map[string]thresholds) error {
	at := q.Args.Bind(fractions(), "float8[]")
	values, joins, err := p.valuesSQL(some, q.Args)
	if err != nil {
		return err
	}
	var columns []string
	for i, d := range some {
		columns = append(columns, fmt.Sprintf("(percentile_disc(%s) within group (order by %s))::%s[]", at, values[i], readType(d.of.typ())))
	}
	sql := "select " + strings.Join(columns, ", ") + " from " + q.From + joins + " where " + q.Where
	found := make([]any, len(some))
	for i, d := range some {
		found[i] = scanner(d.of.typ())
	}
	err = tx.QueryRow(ctx, sql, append([]any{pgx.QueryExecModeDescribeExec}, q.Args.Values()...)...).Scan(found...)
	if err != nil {
		return err
	}
	for i, d := range some {
		below, err := scanned(found[i], d.of.typ())
		if err != nil {
			return err
		}
		all[d.key] = thresholds{of: d.text, t: d.of.typ(), below: below}
	}
	return nil
}

// readType is the type as which thresholds are read: whole numbers may be beyond bigint.
func readType(t Type) string {
	if t == typeInt {
		return "numeric"
	}
	return sqlType(t)
}

// scanner takes an array of a type, which is null when nobody has a value.
func scanner(t Type) any {
	switch t {
	case typeFloat:
		return new([]float64)
	case typeDate:
		return new([]pgtype.Date)
	case typeTimestamp:
		return new([]pgtype.Timestamp)
	case typeInstant:
		return new([]pgtype.Timestamptz)
	}
	return new([]pgtype.Numeric)
}

func scanned(array any, t Type) ([]any, error) {
	var values []any
	switch a := array.(type) {
	case *[]float64:
		values = anys(*a, func(v float64) any { return v })
	case *[]pgtype.Date:
		values = anys(*a, func(v pgtype.Date) any { return timeOrEnd(v.Time, v.InfinityModifier) })
	case *[]pgtype.Timestamp:
		values = anys(*a, func(v pgtype.Timestamp) any { return timeOrEnd(v.Time, v.InfinityModifier) })
	case *[]pgtype.Timestamptz:
		values = anys(*a, func(v pgtype.Timestamptz) any { return timeOrEnd(v.Time, v.InfinityModifier) })
	case *[]pgtype.Numeric:
		values = anys(*a, wholeNumeric)
	}
	if len(values) != 0 && len(values) != hundredths {
		return nil, fmt.Errorf("%d thresholds of %s", len(values), t)
	}
	return values, nil
}

func anys[T any](list []T, of func(T) any) []any {
	var out []any
	for _, v := range list {
		out = append(out, of(v))
	}
	return out
}

func timeOrEnd(t time.Time, end pgtype.InfinityModifier) any {
	switch end {
	case pgtype.Infinity:
		return Infinity
	case pgtype.NegativeInfinity:
		return NegInfinity
	}
	return t.UTC()
}
