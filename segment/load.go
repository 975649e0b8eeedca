package segment

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/shopspring/decimal"

	"github.com/sapa-crm/sapa/customer"
)

// loader reads rows of the company's tables in the Go types of the VM.
type loader struct {
	tx    pgx.Tx
	zone  string // the company's
	spare spare
}

// spare are rows that are used again for the next chunk: half the time went into making them. All rows that are loaded for
// the same Columns have the same keys. Nil keeps none.
type spare map[*Columns]*spareRows

type spareRows struct {
	rows []map[string]any
	used int
}

// take gives n rows whose values are from before.
func (s spare) take(n int, need *Columns) []map[string]any {
	if s == nil {
		return fill(make([]map[string]any, n), need)
	}
	of := s[need]
	if of == nil {
		of = &spareRows{}
		s[need] = of
	}
	if missing := of.used + n - len(of.rows); missing > 0 {
		of.rows = append(of.rows, fill(make([]map[string]any, missing), need)...)
	}
	of.used += n
	return of.rows[of.used-n : of.used : of.used]
}

func fill(rows []map[string]any, need *Columns) []map[string]any {
	for i := range rows {
		rows[i] = make(map[string]any, need.width())
	}
	return rows
}

// free says that nobody needs the rows any more.
func (s spare) free() {
	for _, of := range s {
		of.used = 0
	}
}

// values does not prepare: a cached FETCH would keep the columns of another cursor.
func (l loader) values(ctx context.Context, sql string, args ...any) ([][]any, error) {
	rows, err := l.tx.Query(ctx, sql, append([]any{pgx.QueryExecModeDescribeExec}, args...)...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
}

// selectList is the needed columns and, as text, the join column of each needed relation.
func (l loader) selectList(alias string, need *Columns) []string {
	var list []string
	for _, name := range need.Names {
		list = append(list, loadSQL(alias, need.column(name), l.zone))
	}
	for _, r := range need.Relations {
		list = append(list, need.pair(r).localText(alias))
	}
	return list
}

func (c *Columns) width() int { return len(c.Names) + len(c.Relations) }

func (c *Columns) column(name string) customer.Column {
	if col, ok := c.Entity.Value(name); ok {
		return col
	}
	return customer.Column{Name: name} // a join column that is not mapped: only whether it is nil can be asked
}

// loadSQL reads a column in one Go type per kind.
func loadSQL(alias string, c customer.Column, zone string) string {
	if c.Within != nil {
		return withinSQL(alias+"."+quote(c.Within.Column), c, zone, noMutation)
	}
	sql := alias + "." + c.SQL()
	switch c.Kind {
	case customer.Int:
		return sql + "::bigint"
	case customer.Float:
		return sql + "::float8"
	case customer.Text, customer.UUID, customer.Enum:
		return sql + "::text"
	case customer.TextArray:
		return presentTexts(sql + "::text[]")
	case customer.Other, customer.JSON:
		return "case when " + sql + " is not null then true end"
	}
	return sql
}

// rows makes maps of the values from position at on, and loads what is related to them.
func (l loader) rows(ctx context.Context, values [][]any, at int, need *Columns) ([]map[string]any, error) {
	out := l.spare.take(len(values), need)
	for j, name := range need.Names {
		kind := need.column(name).Kind
		for i, row := range values {
			v, err := goValue(row[at+j], kind)
			if err != nil {
				return nil, fmt.Errorf("column %s of %s: %w", name, need.Entity.Table, err)
			}
			out[i][name] = v
		}
	}
	at += len(need.Names)
	for j, r := range need.Relations {
		related, err := l.related(ctx, need.pair(r), r, values, at+j)
		if err != nil {
			return nil, err
		}
		for i, row := range values {
			attach(out[i], r.Relation, related, row[at+j])
		}
	}
	return out, nil
}

func attach(row map[string]any, rel *customer.Relation, related map[string][]map[string]any, local any) {
	var found []map[string]any
	if key, ok := local.(string); ok { // a row without a key has nothing related to it
		found = related[key]
	}
	switch {
	case !rel.One:
		row[rel.Name] = found
	case len(found) > 0:
		row[rel.Name] = found[0]
	default:
		row[rel.Name] = nil
	}
}

// related loads the rows of a relation for all parents, by the text of their join column.
func (l loader) related(ctx context.Context, by pair, r *Related, parents [][]any, at int) (map[string][]map[string]any, error) {
	keys := distinct(parents, at)
	if len(keys) == 0 {
		return nil, nil
	}
	rel := r.Relation
	if _, ok := rel.Target.Column(rel.Remote); !ok {
		return nil, fmt.Errorf("relation %s: its column %q is not mapped", rel.Name, rel.Remote)
	}
	if why := by.unlike(); why != "" {
		return nil, fmt.Errorf("relation %s: its columns %s and %s %s: rows can only be related so in SQL; join columns that are alike, or write the rule so that SQL can decide it",
			rel.Name, quote(rel.Local), quote(rel.Remote), why)
	}
	list := append([]string{by.remoteText("r")}, l.selectList("r", r.Columns)...)
	values, err := l.values(ctx, fmt.Sprintf("select %s from %s r where r.%s = any($1::text[]::%s[])", strings.Join(list, ", "),
		rel.Target.Table.SQL(), quote(rel.Remote), by.keyType()), keys)
	if err != nil {
		return nil, err
	}
	rows, err := l.rows(ctx, values, 1, r.Columns)
	if err != nil {
		return nil, err
	}
	out := map[string][]map[string]any{}
	for i, v := range values {
		key, _ := v[0].(string)
		out[key] = append(out[key], rows[i])
	}
	if err := l.atMostOne(rel, out); err != nil {
		return nil, err
	}
	return out, nil
}

// atMostOne refuses a to-one relation that has several rows, as SQL's scalar subquery does.
func (l loader) atMostOne(rel *customer.Relation, rows map[string][]map[string]any) error {
	for _, found := range rows {
		if rel.One && len(found) > 1 {
			return fmt.Errorf("relation %s: several rows of %s have the same %q", rel.Name, rel.Target.Table, rel.Remote)
		}
	}
	return nil
}

func distinct(rows [][]any, at int) []string {
	seen := map[string]bool{}
	var keys []string
	for _, row := range rows {
		if key, ok := row[at].(string); ok && !seen[key] {
			seen[key] = true
			keys = append(keys, key)
		}
	}
	return keys
}

// goValue is pgx's value of a column in the Go type of its kind.
func goValue(v any, kind customer.Kind) (any, error) {
	switch v := v.(type) {
	case nil, string, int64, bool, float64:
		return v, nil
	case time.Time:
		return v.UTC(), nil
	case pgtype.InfinityModifier:
		if v == pgtype.NegativeInfinity {
			return NegInfinity, nil
		}
		return Infinity, nil
	case pgtype.Numeric:
		return goNumeric(v), nil
	case []any:
		texts := make([]string, len(v))
		for i := range v {
			texts[i], _ = v[i].(string)
		}
		return texts, nil
	}
	return nil, fmt.Errorf("a value of Go type %T can't stand for %s", v, kind)
}

func goNumeric(n pgtype.Numeric) any {
	switch {
	case n.NaN:
		return math.NaN()
	case n.InfinityModifier != pgtype.Finite:
		return math.Inf(int(n.InfinityModifier))
	}
	return decimal.NewFromBigInt(n.Int, n.Exp)
}
