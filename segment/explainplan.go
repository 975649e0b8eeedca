package segment

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
)

// planTable is what the catalog knows of a table that a plan reads.
type planTable struct {
	Schema, Name string
	Kind         string  // pg_class.relkind
	Rows         float64 // reltuples; -1: never counted
	Pages        float64
}

type planTables []planTable

// readTables reads about all tables of a plan.
func readTables(ctx context.Context, tx pgx.Tx, top *planNode) (planTables, error) {
	var schemas, names []string
	top.each(func(n *planNode) {
		if n.Relation != "" {
			schemas, names = append(schemas, n.Schema), append(names, n.Relation)
		}
	})
	rows, _ := tx.Query(ctx, `
		select distinct n.nspname as schema, c.relname as name, c.relkind::text as kind, c.reltuples::float8 as rows, c.relpages::float8 as pages
		from unnest($1::text[], $2::text[]) t (schema, name)
		join pg_namespace n on n.nspname = t.schema join pg_class c on c.relnamespace = n.oid and c.relname = t.name`, schemas, names)
	return pgx.CollectRows(rows, pgx.RowToStructByName[planTable])
}

func (t planTables) find(schema, name string) (planTable, bool) {
	i := slices.IndexFunc(t, func(p planTable) bool { return p.Schema == schema && p.Name == name })
	if i < 0 {
		return planTable{}, false
	}
	return t[i], true
}

// rows of a table as the catalog knows them; 0 where it does not.
func (t planTables) rows(name customer.TableName) int64 {
	p, _ := t.find(name.Schema, name.Name)
	return int64(max(0, p.Rows))
}

func (n *planNode) each(visit func(*planNode)) {
	visit(n)
	for i := range n.Plans {
		n.Plans[i].each(visit)
	}
}

// planWords are the steps of a plan in the order in which they happen.
func planWords(top *planNode, tables planTables) []string {
	w := &planWriter{tables: tables}
	w.node(top, false)
	if len(w.steps) == 0 {
		w.say("reads nothing: the rule means nobody")
	}
	return w.steps
}

type planWriter struct {
	tables planTables
	steps  []string
}

func (w *planWriter) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(w.steps, text) {
		w.steps = append(w.steps, text)
	}
}

// node writes the steps of a node; repeated says that it is done for each of many rows.
func (w *planWriter) node(n *planNode, repeated bool) {
	switch {
	case n.Relation != "":
		w.scan(n, repeated)
	case strings.HasSuffix(n.Type, "Join") || n.Type == "Nested Loop":
		w.join(n, repeated)
		return
	}
	w.children(n, repeated)
	switch {
	case n.Type == "Aggregate" || n.Type == "Group" || n.Type == "GroupAggregate":
		w.say("groups them")
	case n.Type == "Sort" || n.Type == "Incremental Sort":
		w.say("sorts them")
	case n.Function != "":
		w.say("asks the function %s", n.Function)
	}
}

// children writes what a node reads; a plan below a condition is asked for each row, unless it is asked once.
func (w *planWriter) children(n *planNode, repeated bool) {
	for i := range n.Plans {
		child := &n.Plans[i]
		if n.Type == "Bitmap Heap Scan" { // its index is named there
			continue
		}
		w.node(child, repeated || child.Parent == "SubPlan" && !strings.HasPrefix(child.SubplanName, "CTE"))
	}
}

func (w *planWriter) join(n *planNode, repeated bool) {
	if len(n.Plans) < 2 {
		w.children(n, repeated)
		return
	}
	outer, inner := &n.Plans[0], &n.Plans[1]
	if n.Type == "Nested Loop" {
		w.node(outer, repeated)
		w.node(inner, repeated || outer.Rows > 1.5)
	} else { // the inner side is read first, into memory
		w.node(inner, repeated)
		w.node(outer, repeated)
		w.say("puts both together")
	}
	for i := 2; i < len(n.Plans); i++ {
		w.node(&n.Plans[i], true)
	}
}

func (w *planWriter) scan(n *planNode, repeated bool) {
	table := n.Relation
	indexes := n.indexes()
	switch {
	case len(indexes) > 0 && repeated:
		w.say("looks up %s for each by the index %s", table, strings.Join(indexes, " and "))
	case len(indexes) > 0:
		w.say("finds %s in %s by the index %s", rowsWord(n.Rows), table, strings.Join(indexes, " and "))
	case repeated:
		w.say("reads the whole table %s%s again for each", table, w.size(n))
	default:
		w.say("reads the whole table %s%s", table, w.size(n))
	}
}

// indexes are those that a scan goes by.
func (n *planNode) indexes() []string {
	if n.Index != "" {
		return []string{n.Index}
	}
	var list []string
	if n.Type == "Bitmap Heap Scan" {
		for i := range n.Plans {
			n.Plans[i].each(func(c *planNode) {
				if c.Index != "" && !slices.Contains(list, c.Index) {
					list = append(list, c.Index)
				}
			})
		}
	}
	return list
}

func (w *planWriter) size(n *planNode) string {
	t, ok := w.tables.find(n.Schema, n.Relation)
	if !ok || t.Rows < 0 {
		return ""
	}
	return " (" + rowsWord(t.Rows) + ")"
}

// rowsWord is 1 row, 950 rows, 12,300 rows, 1.2 M rows.
func rowsWord(n float64) string {
	switch {
	case n < 1.5:
		return "1 row"
	case n >= 1e6:
		return fmt.Sprintf("%.1f M rows", n/1e6)
	}
	return grouped(fmt.Sprintf("%.0f", n)) + " rows"
}
