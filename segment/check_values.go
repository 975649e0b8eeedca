package segment

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
)

// label refuses a word that an enum column can't have: such a comparison would be the same for everybody.
func (c *checker) label(a, b node) bool {
	col, ok := a.(*column)
	if !ok {
		if col, ok = b.(*column); !ok {
			return true
		}
		b = a
	}
	word, ok := b.(*constant)
	if !ok || word.v == nil || col.col.Enum == nil || slices.Contains(col.col.Enum.Values, fmt.Sprint(word.v)) {
		return true
	}
	c.problem(b.at(), diag.DidYouMean(fmt.Sprint(word.v), col.col.Enum.Values), "%s is no value of %s", c.words(b), c.words(col))
	return false
}

// otherHint says how a column of a type that rules do not know can be mapped, if one of the nodes is such a column.
func (c *checker) otherHint(nodes ...node) string {
	for _, n := range nodes {
		col, ok := n.(*column)
		if !ok || col.t != typeOther {
			continue
		}
		if hint := c.jsonHint(n); hint != "" {
			return hint
		}
		if col.col.Kind == customer.Other && col.col.PGType != "" {
			return fmt.Sprintf("%s is %s: map a view that casts it, as in: create view … as select %s as %s, …", c.words(n), col.col.PGType,
				castOf(col.col), col.col.SQL())
		}
	}
	return ""
}

// castOf is what a view can make of a column of a type that rules do not know.
func castOf(c customer.Column) string {
	name := c.SQL()
	switch {
	case c.PGType == "money":
		return name + "::numeric"
	case strings.HasSuffix(c.PGType, "[]"):
		return name + "::text[]"
	case strings.HasPrefix(c.PGType, "interval"):
		return "extract(epoch from " + name + ") / 86400"
	case strings.HasSuffix(c.PGType, "range"):
		return "lower(" + name + ")"
	case c.PGType == "bytea":
		return "encode(" + name + ", 'hex')"
	case strings.HasSuffix(c.PGType, "hstore"):
		return "to_jsonb(" + name + ")"
	}
	return name + "::text"
}
