package segment

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
)

// Index is one that would help. Nobody makes it but a person.
type Index struct {
	Create string `json:"create"` // create index concurrently on public.customers (birth_date);
	Why    string `json:"why"`
}

// Tables below this many rows are read as a whole faster than anything else.
const smallTable = 10_000

// An index is advised where reading by it costs less than half of reading the whole table, and saves at least a fifth of
// the whole plan.
const (
	indexWorth = 0.5
	planWorth  = 0.2
)

// candidate is an index that might help: the key, and the condition that it would serve.
type candidate struct {
	rule  *Rule
	src   *source // where the conditions' text stands
	row   *variable
	table customer.TableName
	key   string // (city), using gin (tags)
	lead  string // what pg_get_indexdef says of the first key: city, tags
	ops   string // operator class that is needed; "": the type's own
	conds []node // what it serves; none for a join column
}

// advise looks for the index that saves most; where there is none, it says why.
func (q *Query) advise(ctx context.Context, tx pgx.Tx, top *planNode, tables planTables) (*Index, string, error) {
	scanned := scannedWhole(top, tables)
	if len(scanned) == 0 {
		return nil, "no index would help: " + unscanned(top, q.scope.Schema.Customer.Table.Name), nil
	}
	a := &adviser{q: q, tx: tx, tables: tables}
	for _, r := range q.rules {
		l, err := r.lowering(q.clock)
		if err != nil {
			return nil, "", err
		}
		a.rule, a.src = r, r.source
		a.conjunction(l.node(r.root), r.vars.all[0])
	}
	best, most, err := a.best(ctx, scanned)
	switch {
	case err != nil:
		return nil, "", err
	case best != nil && most >= planWorth*top.Cost:
		return &Index{Create: best.statement(), Why: best.why()}, "", nil
	case !slices.ContainsFunc(scanned, a.known):
		return nil, "an index on a view's tables might help; whoever made the view knows them", nil
	}
	for _, t := range scanned {
		if slices.Contains(a.grouped, customer.TableName{Schema: t.Schema, Name: t.Name}) {
			return nil, fmt.Sprintf("no index would help: count, sum and their like of %s are made for all customers at once", t.Name), nil
		}
	}
	if top.Rows < indexWorth*float64(a.tables.rows(q.scope.Schema.Customer.Table))/10 && len(a.unknown) > 0 {
		return nil, fmt.Sprintf("Sapa knows no index for %s; see docs/rules.md#speed", strings.Join(a.unknown, " and ")), nil
	}
	return nil, "no index would help: the rule asks about so many rows that reading " + tableNames(scanned) + " as a whole is the fastest way", nil
}

// scannedWhole are the large tables that the plan reads as a whole.
func scannedWhole(top *planNode, tables planTables) []planTable {
	var list []planTable
	top.each(func(n *planNode) {
		t, ok := tables.find(n.Schema, n.Relation)
		if ok && len(n.indexes()) == 0 && t.Rows >= smallTable && !slices.Contains(list, t) {
			list = append(list, t)
		}
	})
	return list
}

// unscanned says why no large table is read as a whole.
func unscanned(top *planNode, customers string) string {
	whole, reads, everybody := false, false, false
	top.each(func(n *planNode) {
		reads = reads || n.Relation != ""
		whole = whole || n.Relation != "" && len(n.indexes()) == 0
		everybody = everybody || n.Relation == customers && len(n.indexes()) > 0 && n.Condition == "" && n.Type != "Bitmap Heap Scan"
	})
	switch {
	case !reads:
		return "nobody is read"
	case everybody:
		return "everybody is read anyway"
	case whole:
		return "what is read as a whole is small"
	}
	return "everything is found by indexes already"
}

func tableNames(list []planTable) string {
	var names []string
	for _, t := range list {
		names = append(names, t.Name)
	}
	return strings.Join(names, " and ")
}

// adviser collects candidates of a query's rules.
type adviser struct {
	q      *Query
	tx     pgx.Tx
	tables planTables
	rule   *Rule
	src    *source // of the rule, or of a segment that stands in it
	list   []*candidate

	grouped []customer.TableName // of which aggregates are made
	unknown []string             // conditions whose kind no index is known for
}

// known says whether sapa.yaml maps the table itself, and not a view of it.
func (a *adviser) known(t planTable) bool {
	seen := map[*customer.Entity]bool{}
	var maps func(e *customer.Entity) bool
	maps = func(e *customer.Entity) bool {
		if seen[e] {
			return false
		}
		seen[e] = true
		return e.Table == customer.TableName{Schema: t.Schema, Name: t.Name} ||
			slices.ContainsFunc(e.Relations, func(r *customer.Relation) bool { return maps(r.Target) })
	}
	return maps(a.q.scope.Schema.Customer)
}

// conjunction collects from conditions that must all hold of one row.
func (a *adviser) conjunction(n node, row *variable) {
	switch n := n.(type) {
	case *and:
		for _, p := range n.parts {
			a.conjunction(p, row)
		}
		return
	case *named:
		outer := a.src
		a.src = n.src
		a.conjunction(n.a, row)
		a.src = outer
		return
	case *quantifier:
		conds := n.rows.filters
		if n.op != "all" {
			conds = append(slices.Clone(conds), n.pred)
		}
		a.join(n.rows)
		a.relation(conds, n.rows.row)
		return
	}
	if found := aggregates(n); len(found) > 0 {
		for _, agg := range found {
			if independent(agg) { // it is written over groups of the whole relation
				a.grouped = append(a.grouped, agg.rows.rel.Target.Table)
			} else {
				a.join(agg.rows)
			}
			a.relation(agg.rows.filters, agg.rows.row)
		}
		return
	}
	a.leaf(n, row)
}

// aggregates are those of a leaf, without those within them.
func aggregates(n node) []*aggregate {
	if agg, ok := n.(*aggregate); ok {
		return []*aggregate{agg}
	}
	var found []*aggregate
	for _, c := range children(n) {
		found = append(found, aggregates(c)...)
	}
	return found
}

// join collects the join column of a relation's table.
func (a *adviser) join(r rows) {
	a.add(&candidate{row: r.row, table: r.rel.Target.Table, key: "(" + ident(r.rel.Remote) + ")", lead: r.rel.Remote}, nil)
}

// relation collects conditions on a relation's rows.
func (a *adviser) relation(conds []node, row *variable) {
	for _, c := range conds {
		a.conjunction(c, row)
	}
}

func (a *adviser) leaf(n node, row *variable) {
	if unsayable(n) != nil {
		return
	}
	known := false
	defer func() {
		if _, same := n.(*constant); !known && !same {
			a.unknown = append(a.unknown, strings.Join(strings.Fields(a.src.quote(n.at())), " "))
		}
	}()
	sql, args, err := a.sql(a.rule, []node{n}, row)
	if err != nil {
		return
	}
	if c := indexFor(sql, args); c != nil {
		known = true
		c.row, c.table = row, row.entity.Table
		a.add(c, n)
	}
}

// add joins conditions that one index would serve.
func (a *adviser) add(c *candidate, cond node) {
	i := slices.IndexFunc(a.list, func(o *candidate) bool {
		return o.row == c.row && o.key == c.key && (len(o.conds) > 0) == (cond != nil)
	})
	if i < 0 {
		c.rule, c.src = a.rule, a.src
		a.list = append(a.list, c)
		i = len(a.list) - 1
	}
	if cond != nil {
		a.list[i].conds = append(a.list[i].conds, cond)
	}
}

// sql is conditions on a row of one table, which is called t.
func (a *adviser) sql(r *Rule, conds []node, row *variable) (string, *Args, error) {
	args := &Args{}
	e := newEmitter(r, args, a.q.clock, nil)
	e.aliases[row] = "t"
	var texts []string
	for _, c := range conds {
		texts = append(texts, e.cond(c, true, widen))
	}
	return strings.Join(texts, " and "), args, e.err
}

func (c *candidate) statement() string {
	return "create index concurrently on " + ident(c.table.Schema) + "." + ident(c.table.Name) + " " + c.key + ";"
}

func (c *candidate) why() string {
	if len(c.conds) == 0 {
		return fmt.Sprintf("it finds the %s of each customer, where now all of %s is read", c.row.name, c.table.Name)
	}
	var texts []string
	for _, n := range c.conds {
		if text := strings.Join(strings.Fields(c.src.quote(n.at())), " "); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return fmt.Sprintf("it finds the few rows of %s with %s", c.table.Name, strings.Join(texts, " and "))
}

// best is the candidate that saves most of the planner's cost.
func (a *adviser) best(ctx context.Context, scanned []planTable) (found *candidate, most float64, err error) {
	for _, c := range a.list {
		i := slices.IndexFunc(scanned, func(t planTable) bool { return t.Schema == c.table.Schema && t.Name == c.table.Name })
		if i < 0 {
			continue
		}
		has, err := a.hasIndex(ctx, c)
		if err != nil {
			return nil, 0, err
		}
		if has {
			continue
		}
		saved, err := a.saves(ctx, c, scanned[i])
		if err != nil {
			return nil, 0, err
		}
		if saved > most {
			found, most = c, saved
		}
	}
	return found, most, nil
}

// saves guesses what reading by the index would save, as the planner would reckon; 0 where it is not worth it.
func (a *adviser) saves(ctx context.Context, c *candidate, t planTable) (float64, error) {
	whole := t.Pages + 0.0125*t.Rows
	wanted, lookups := 0.0, 1.0
	if len(c.conds) == 0 {
		customers, err := a.customers(ctx)
		if err != nil || customers == 0 {
			return 0, err
		}
		all := math.Max(1, float64(a.tables.rows(a.q.scope.Schema.Customer.Table)))
		wanted, lookups = customers*t.Rows/all, customers
	} else {
		sql, args, err := a.sql(c.rule, c.conds, c.row)
		if err != nil {
			return 0, nil
		}
		top, err := explainSQL(ctx, a.tx, "select from "+c.table.SQL()+" t where "+sql, args)
		if err != nil {
			return 0, err
		}
		wanted = top.Rows
	}
	byIndex := lookups*4 + fetchCost(wanted, t.Pages) + 0.015*wanted
	if byIndex > indexWorth*whole {
		return 0, nil
	}
	return whole - byIndex, nil
}

// fetchCost is what a bitmap scan pays for so many rows that lie anywhere in so many pages (Mackert and Lohman).
func fetchCost(rows, pages float64) float64 {
	if pages < 1 {
		return rows
	}
	fetched := math.Min(pages, 2*pages*rows/(2*pages+rows))
	return fetched * (4 - 3*math.Sqrt(fetched/pages))
}

// customers is how many customers satisfy what the rules ask of the customers' own row, as the planner expects.
func (a *adviser) customers(ctx context.Context) (float64, error) {
	least := math.Inf(1)
	for _, c := range a.list {
		if c.row != c.rule.vars.all[0] || len(c.conds) == 0 {
			continue
		}
		sql, args, err := a.sql(c.rule, c.conds, c.row)
		if err != nil {
			continue
		}
		top, err := explainSQL(ctx, a.tx, "select from "+c.table.SQL()+" t where "+sql, args)
		if err != nil {
			return 0, err
		}
		least = math.Min(least, top.Rows)
	}
	if math.IsInf(least, 1) {
		return float64(a.tables.rows(a.q.scope.Schema.Customer.Table)), nil
	}
	return least, nil
}

// hasIndex says whether the table has such an index already, which the planner did not want.
func (a *adviser) hasIndex(ctx context.Context, c *candidate) (has bool, err error) {
	method := "btree"
	if strings.HasPrefix(c.key, "using gin") {
		method = "gin"
	}
	lead, collation, _ := strings.Cut(c.lead, " collate ")
	err = a.tx.QueryRow(ctx, `
		select exists (
			select from pg_index i
			join pg_class ic on ic.oid = i.indexrelid join pg_am am on am.oid = ic.relam
			join pg_class tc on tc.oid = i.indrelid join pg_namespace n on n.oid = tc.relnamespace
			join pg_opclass o on o.oid = i.indclass[0]
			left join pg_collation l on l.oid = i.indcollation[0]
			where n.nspname = @schema and tc.relname = @table and i.indisvalid and i.indpred is null and am.amname = @method
			  and (lower(replace(pg_get_indexdef(i.indexrelid, 1, true), '"', '')) = lower(@lead)
			       or @lead like 'extract%' and lower(replace(pg_get_indexdef(i.indexrelid, 1, true), '"', '')) like '%' || lower(@lead) || '%')
			  and (@ops = '' or o.opcname = @ops or l.collname = 'C')
			  and (@collation = '' or l.collname = 'C'))`, pgx.NamedArgs{
		"schema": c.table.Schema, "table": c.table.Name, "method": method, "lead": lead, "ops": c.ops, "collation": collation,
	}).Scan(&has)
	return has, err
}
