package segment

import (
	"fmt"
	"math"
	"strings"

	"github.com/sapa-crm/sapa/customer"
)

// pair is the two columns of a relation. Their values meet as texts that are equal exactly where PostgreSQL's = says that
// the columns are, of types that may differ.
type pair struct{ local, remote customer.Column }

func (c *Columns) pair(r *Related) pair {
	p := pair{local: c.column(r.Relation.Local)}
	p.remote, _ = r.Relation.Target.Column(r.Relation.Remote)
	return p
}

// localText is the text of the remote value that is equal to the local one; null if there can be none, as for a fraction
// among whole numbers.
func (p pair) localText(alias string) string {
	if p.remote.Kind == customer.Int && p.local.Kind == customer.Numeric {
		return fmt.Sprintf("case when %[1]s = trunc(%[1]s) and %[1]s between %[2]d and %[3]d then %[1]s::bigint::text end",
			alias+"."+p.local.SQL(), math.MinInt64, math.MaxInt64)
	}
	return p.text(alias + "." + p.local.SQL())
}

// remoteText is the text of the remote column.
func (p pair) remoteText(alias string) string { return p.text(alias + "." + p.remote.SQL()) }

func (p pair) text(sql string) string {
	switch {
	case p.remote.Kind == customer.Numeric: // 5.00 = 5
		return "trim_scale(" + sql + "::numeric)::text"
	case p.remote.Kind == customer.Float: // -0 = 0
		return "(" + sql + "::float8 + 0)::text"
	case p.foldsCase():
		return "lower(" + sql + "::text)"
	}
	return sql + "::text"
}

// keyType is the type of the texts that are looked up: without a length, a scale or a range that could change them.
func (p pair) keyType() string {
	switch {
	case p.remote.Kind == customer.Int:
		return "bigint"
	case p.remote.Kind == customer.Numeric:
		return "numeric"
	case p.remote.Kind == customer.Float:
		return "float8"
	case p.foldsCase():
		return p.remote.PGType
	case p.remote.Kind == customer.Text && strings.HasPrefix(p.remote.PGType, "character("):
		return "bpchar"
	case p.remote.Kind == customer.Text:
		return "text"
	}
	return p.remote.PGType
}

// unlike says why texts can't tell which of the columns' values PostgreSQL's = takes for equal; "" where they can.
func (p pair) unlike() string {
	switch {
	case p.local.Folds || p.remote.Folds:
		return "have a collation that takes different texts for equal"
	case columnType(p.local.Kind).isTime() && p.remote.Kind != p.local.Kind:
		return fmt.Sprintf("are of the types %s and %s", p.local.PGType, p.remote.PGType)
	}
	return ""
}

// foldsCase says whether capitals don't count: PostgreSQL compares citext with text as text.
func (p pair) foldsCase() bool { return isCitext(p.local) && isCitext(p.remote) }

func isCitext(c customer.Column) bool {
	return c.Kind == customer.Text && (c.PGType == "citext" || strings.HasSuffix(c.PGType, ".citext"))
}
