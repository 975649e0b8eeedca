package segment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// Explanation is what a query costs, and who decides its parts.
type Explanation struct {
	Clauses []Clause `json:"clauses"`
	SQL     string   `json:"sql"`     // in lines
	Args    []string `json:"args"`    // the values of $1, $2 …
	Plan    []string `json:"plan"`    // what the database does, one step each
	Rows    int64    `json:"rows"`    // how many the database expects to find
	Table   int64    `json:"table"`   // how many customers there are, as far as the database knows
	Cost    float64  `json:"cost"`    // the planner's
	Seconds float64  `json:"seconds"` // a guess from the cost, and from the rows that are asked one by one
	Index   *Index   `json:"index,omitempty"`
	NoIndex string   `json:"no_index,omitempty"` // why none would help
}

// Clause is one of the conditions of customers.where or of the rule that must all hold.
type Clause struct {
	Text    string `json:"text"`
	Base    bool   `json:"base,omitempty"` // of customers.where
	Decides string `json:"decides"`        // database, sapa, or nobody: it is the same for all customers
	Why     string `json:"why,omitempty"`
	Instead string `json:"instead,omitempty"` // what to write, so that the database decides or there are fewer to ask
}

// Who decides a Clause.
const (
	DecidesDatabase = "database"
	DecidesSapa     = "sapa"
	DecidesNobody   = "nobody"
)

// Explain asks the database how it would find the query's rows, and looks for an index that would help. Nothing is read
// of the company's tables but what the catalog has.
func (q *Query) Explain(ctx context.Context, db DB) (x *Explanation, err error) {
	defer recovered(&err)
	x = &Explanation{SQL: formatSQL(q.selectSQL()), Args: argWords(q.Args)}
	if x.Clauses, err = q.clauses(); err != nil {
		return nil, err
	}
	tx, err := db.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("explain the rule: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, `set local lock_timeout = '`+pg.LockTimeout+`'`); err != nil {
		return nil, fmt.Errorf("explain the rule: %w", err)
	}
	if err := q.explain(ctx, tx, x); err != nil {
		return nil, fmt.Errorf("explain the rule: %w", pg.WithoutValues(err))
	}
	return x, nil
}

func (q *Query) explain(ctx context.Context, tx pgx.Tx, x *Explanation) error {
	top, err := explainSQL(ctx, tx, q.selectSQL(), q.Args)
	if err != nil {
		return err
	}
	tables, err := readTables(ctx, tx, top)
	if err != nil {
		return err
	}
	x.Plan, x.Rows, x.Cost = planWords(top, tables), int64(math.Round(top.Rows)), top.Cost
	x.Table = tables.rows(q.scope.Schema.Customer.Table)
	x.Seconds = top.Cost / costPerSecond
	if !q.Exact {
		x.Seconds += top.Rows / askedPerSecond
	}
	x.Index, x.NoIndex, err = q.advise(ctx, tx, top, tables)
	return err
}

// How much of the planner's cost, and how many candidates, take about a second on a small server with warm caches.
const (
	costPerSecond  = 250_000
	askedPerSecond = 200_000
)

func (q *Query) selectSQL() string {
	return fmt.Sprintf("select %s.%s from %s where %s", CustomerAlias, q.scope.Schema.KeyColumn().SQL(), q.From, trimParens(q.Where))
}

// planNode is a node of EXPLAIN (FORMAT JSON).
type planNode struct {
	Type        string     `json:"Node Type"`
	Parent      string     `json:"Parent Relationship"`
	Join        string     `json:"Join Type"`
	Schema      string     `json:"Schema"`
	Relation    string     `json:"Relation Name"`
	Index       string     `json:"Index Name"`
	Function    string     `json:"Function Name"`
	CTE         string     `json:"CTE Name"`
	Condition   string     `json:"Index Cond"`
	Filter      string     `json:"Filter"`
	Workers     int        `json:"Workers Planned"`
	Rows        float64    `json:"Plan Rows"`
	Cost        float64    `json:"Total Cost"`
	Startup     float64    `json:"Startup Cost"`
	SubplanName string     `json:"Subplan Name"`
	Strategy    string     `json:"Strategy"`
	Plans       []planNode `json:"Plans"`
}

// explainSQL plans a statement with its parameters, as running it would.
func explainSQL(ctx context.Context, tx pgx.Tx, sql string, args *Args) (*planNode, error) {
	var text string
	err := tx.QueryRow(ctx, "explain (verbose, format json) "+sql, append([]any{pgx.QueryExecModeExec}, args.Values()...)...).Scan(&text)
	if err != nil {
		return nil, err
	}
	var plans []struct{ Plan planNode }
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		return nil, err
	}
	if len(plans) != 1 {
		return nil, errors.New("the database gave no plan")
	}
	return &plans[0].Plan, nil
}

// clauses are the conditions of customers.where and of the rule that must all hold.
func (q *Query) clauses() ([]Clause, error) {
	var list []Clause
	for _, r := range q.rules {
		l, err := r.lowering(q.clock)
		if err != nil {
			return nil, err
		}
		root, src := r.root, r.source
		if n, ok := root.(*named); ok { // the rule is a segment, and its clauses are that one's
			root, src = n.a, n.src
		}
		for _, p := range partsOf[*and](root) {
			c := clauseOf(src, l, p)
			c.Base = r == q.base
			list = append(list, c)
		}
	}
	return list, nil
}

func clauseOf(src *source, l lowering, n node) Clause {
	c := Clause{Text: strings.Join(strings.Fields(src.quote(n.at())), " "), Decides: DecidesDatabase}
	lowered := l.node(n)
	if k, ok := lowered.(*constant); ok {
		c.Decides, c.Why = DecidesNobody, fmt.Sprintf("it is %v for everybody", isTrue(k.v))
		return c
	}
	if why := unsayable(lowered); why != nil {
		c.Decides, c.Why = DecidesSapa, why.text
		c.Instead = instead(lowered)
	}
	return c
}
