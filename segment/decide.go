package segment

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// DB is where the rows come from: a pool, a connection or a transaction.
type DB interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Key identifies one row of an audience, as text. Each is empty where the audience does not go through a relation.
type Key struct{ Customer, Each string }

// chunk is how many candidates are decided at once; their related rows are loaded together.
const chunk = 1000

// Keys streams the audience in chunks, whether SQL decides alone or leaves a residual: then each candidate is loaded and
// asked by the rules' Programs. Memory does not grow with the audience. visit must not use the transaction that db may be.
func (q *Query) Keys(ctx context.Context, db DB, visit func([]Key) error) error {
	tx, err := db.Begin(ctx)
	if err != nil {
		return fmt.Errorf("read the audience: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	d, err := newDecision(q, tx)
	if err != nil {
		return err
	}
	if err := d.run(ctx, visit); err != nil {
		return fmt.Errorf("read the audience: %w", err)
	}
	return nil
}

// decision goes through the candidates.
type decision struct {
	query    *Query
	loader   loader
	programs []*Program
	roots    []string // with columns, in the order of the select list
	needs    map[string]*Columns
	row      Columns  // the key of spare Rows
	keys     int      // how many columns of the select list are keys
	shared   bool     // visit uses the transaction, too
	facts    []string // the last columns, by their keys in Row[FactsKey]
	asked    []string // their SQL
}

func newDecision(q *Query, tx pgx.Tx) (*decision, error) {
	d := &decision{query: q, loader: loader{tx: tx, zone: companyZone(q.scope)}, needs: map[string]*Columns{}, keys: 1}
	if q.scope.Each != nil {
		d.keys = 2
	}
	if q.Exact {
		return d, nil
	}
	for _, root := range q.scope.roots() {
		if q.Aliases[root.name] != "" {
			d.roots = append(d.roots, root.name)
			d.needs[root.name] = &Columns{Entity: root.entity}
		}
	}
	for _, rule := range q.rules {
		program, err := rule.Program(q.clock)
		if err != nil {
			return nil, err
		}
		d.programs = append(d.programs, program)
		for name, need := range rule.Columns() {
			d.needs[name].merge(need)
		}
	}
	var err error
	d.facts, d.asked, err = q.factColumns()
	return d, err
}

func (d *decision) run(ctx context.Context, visit func([]Key) error) error {
	_, err := d.loader.tx.Exec(ctx, `set local lock_timeout = '`+pg.LockTimeout+`';
		set local cursor_tuple_fraction = 1`) // all rows are wanted, not the first
	if err != nil {
		return err
	}
	d.loader.spare = spare{}
	if d.shared || d.related() {
		return d.byCursor(ctx, visit)
	}
	return d.stream(ctx, visit)
}

// related says whether rows behind relations must be loaded.
func (d *decision) related() bool {
	for _, need := range d.needs {
		if len(need.Relations) > 0 {
			return true
		}
	}
	return false
}

// stream reads the candidates by one query: the database goes on while Go decides, and it may use several processes, which
// no cursor does.
func (d *decision) stream(ctx context.Context, visit func([]Key) error) error {
	rows, err := d.loader.tx.Query(ctx, d.sql(), d.query.args()...)
	if err != nil {
		return err
	}
	defer rows.Close()
	candidates := make([][]any, 0, chunk)
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		if candidates = append(candidates, values); len(candidates) == chunk {
			if err := d.pass(ctx, candidates, visit); err != nil {
				_ = rows.Conn().PgConn().CancelRequest(ctx) // else Close would read all that is left
				return err
			}
			candidates = candidates[:0]
		}
	}
	if rows.Err() != nil || len(candidates) == 0 {
		return rows.Err()
	}
	return d.pass(ctx, candidates, visit)
}

// byCursor reads the candidates in chunks, between which the connection is free for what is related to them.
func (d *decision) byCursor(ctx context.Context, visit func([]Key) error) error {
	if _, err := d.loader.tx.Exec(ctx, "declare sapa_candidates no scroll cursor for "+d.sql(), d.query.args()...); err != nil {
		return err
	}
	for {
		rows, err := d.loader.values(ctx, fmt.Sprintf("fetch %d from sapa_candidates", chunk))
		if err != nil || len(rows) == 0 {
			return err
		}
		if err := d.pass(ctx, rows, visit); err != nil {
			return err
		}
	}
}

// pass decides a chunk and shows those who were accepted.
func (d *decision) pass(ctx context.Context, rows [][]any, visit func([]Key) error) error {
	keys, err := d.decide(ctx, rows)
	if err != nil {
		return err
	}
	d.loader.spare.free()
	return visit(keys)
}

func (d *decision) sql() string {
	q := d.query
	list := []string{CustomerAlias + "." + quote(q.scope.Schema.Customer.Key) + "::text"}
	if q.scope.Each != nil {
		list = append(list, d.eachKey())
	}
	for _, root := range d.roots {
		list = append(list, d.loader.selectList(q.Aliases[root], d.needs[root])...)
	}
	list = append(list, d.asked...)
	return "select " + strings.Join(list, ", ") + " from " + q.From + " where " + q.Where
}

func (d *decision) eachKey() string {
	if key := d.query.scope.Each.Target.Key; key != "" {
		return EachAlias + "." + quote(key) + "::text"
	}
	return "''"
}

// decide keeps the keys of those rows that all programs accept.
func (d *decision) decide(ctx context.Context, rows [][]any) ([]Key, error) {
	candidates, err := d.candidates(ctx, rows)
	if err != nil {
		return nil, err
	}
	keys := make([]Key, 0, len(rows))
	for i, row := range rows {
		ok, err := d.accept(candidates[i])
		if err != nil {
			return nil, err
		}
		if ok {
			keys = append(keys, d.key(row))
		}
	}
	return keys, nil
}

// candidates are the rows as Programs want them, with what is related to them.
func (d *decision) candidates(ctx context.Context, rows [][]any) ([]Row, error) {
	candidates := d.loader.spare.take(len(rows), &d.row)
	at := d.keys
	for _, root := range d.roots {
		loaded, err := d.loader.rows(ctx, rows, at, d.needs[root])
		if err != nil {
			return nil, err
		}
		for i, row := range loaded {
			candidates[i][root] = row
		}
		at += d.needs[root].width()
	}
	d.addFacts(candidates, rows, at)
	return candidates, nil
}

func (d *decision) accept(row Row) (bool, error) {
	for _, p := range d.programs {
		if ok, err := p.Match(row); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

func (d *decision) key(row []any) Key {
	k := Key{}
	k.Customer, _ = row[0].(string)
	if d.keys == 2 {
		k.Each, _ = row[1].(string)
	}
	return k
}

// args asks pgx for parameter types that the server has described, in a plan of the statement's own.
func (q *Query) args() []any {
	return append([]any{pgx.QueryExecModeDescribeExec}, q.Args.Values()...)
}
