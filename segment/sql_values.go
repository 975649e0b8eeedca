package segment

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/customer"
)

// value writes an expression. It is NULL where the value is missing.
func (e *emitter) value(n node) string {
	switch n := n.(type) {
	case *constant:
		return e.constant(n.v, n.t)
	case *column:
		return e.columnValue(n)
	case *arith:
		return e.arithSQL(n)
	case *negate:
		return "(-" + e.exact(n.a) + ")"
	case *shift:
		return e.shiftSQL(n)
	case *cast:
		return e.castSQL(n)
	case *coalesce:
		return fmt.Sprintf("coalesce(%s, %s)", e.value(n.a), e.value(n.b))
	case *choose:
		return fmt.Sprintf("(case when %s then %s else %s end)", e.cond(n.cond, true, widen), e.value(n.a), e.value(n.b))
	case *call:
		return e.callSQL(n)
	case *standing:
		return e.standingSQL(n)
	case *scores:
		return e.scoresSQL(n)
	case *element:
		return e.aliases[n.item] + ".v"
	case *overTexts:
		if n.op != "any" {
			return e.overTextsSQL(n)
		}
	case *aggregate:
		return e.aggregateSQL(n)
	case *extremum:
		return e.extremumSQL(n)
	}
	if isCondition(n) { // a condition as a value is two-valued
		return "((" + trimParens(e.cond(n, true, widen)) + ") is true)"
	}
	return e.fail("segment: unknown value %T", n)
}

// columnValue is the column in a form in which = and LIKE compare it as text does.
func (e *emitter) columnValue(n *column) string {
	sql := e.columnSQL(n)
	switch {
	case n.col.Folds:
		return sql + ` collate "C"`
	case n.t == typeFloat && n.col.PGType != "double precision": // real, whose cast to numeric would keep 6 digits
		return sql + "::float8"
	case n.t == typeText && !plainText(n.col.PGType):
		return sql + "::text"
	case n.t == typeTexts && n.col.PGType != "text[]" && !strings.HasPrefix(n.col.PGType, "character varying"):
		return sql + "::text[]"
	}
	return sql
}

// plainText types compare as text by themselves. char(n) ignores trailing blanks, citext ignores case, and so on.
func plainText(pgType string) bool {
	return pgType == "text" || pgType == "character varying" || strings.HasPrefix(pgType, "character varying(")
}

// columnSQL is the bare column, by a scalar subquery where it stands behind a to-one relation that has no alias here.
func (e *emitter) columnSQL(n *column) string {
	w := n.col.Within
	if w == nil {
		return e.field(n.path, n.col.SQL())
	}
	base := e.field(n.path, quote(w.Column))
	if e.raw[n] {
		return jsonDoc{base, *w}.text()
	}
	return withinSQL(base, n.col, companyZone(e.rule.scope), e.mutate)
}

func (e *emitter) field(p path, column string) string {
	if alias, ok := e.alias(p); ok {
		if !slices.Contains(e.used[alias], column) {
			e.used[alias] = append(e.used[alias], column)
		}
		return alias + "." + column
	}
	if len(p.via) == 0 {
		return e.fail("segment: no alias for %q", p.from.name)
	}
	rel := p.last().rel
	if p.last().pick != nil {
		return e.pickedField(p, column)
	}
	alias := e.newAlias()
	return fmt.Sprintf("(select %s.%s from %s %s where %s.%s = %s)", alias, column, rel.Target.Table.SQL(), alias,
		alias, quote(rel.Remote), e.field(p.owner(), quote(rel.Local)))
}

func (e *emitter) alias(p path) (string, bool) {
	if len(p.via) == 0 {
		alias, ok := e.aliases[p.from]
		return alias, ok
	}
	for _, h := range e.hops {
		if e.sameRow(h.path, p) {
			return h.alias, true
		}
	}
	return "", false
}

func samePath(a, b path) bool {
	if a.from != b.from || len(a.via) != len(b.via) {
		return false
	}
	for i := range a.via {
		if !sameStep(a.via[i], b.via[i]) {
			return false
		}
	}
	return true
}

func (e *emitter) newAlias() string {
	e.next++
	return fmt.Sprintf("s%d", e.next)
}

func (e *emitter) arithSQL(n *arith) string {
	switch {
	case n.t == typeText:
		return fmt.Sprintf("(%s || %s)", e.value(n.a), e.value(n.b))
	case n.op == "/" && e.mutate == mutateNullif:
		return fmt.Sprintf("(%s / %s)", e.double(n.a), e.double(n.b))
	case n.op == "/":
		return fmt.Sprintf("(%s / %s)", e.double(n.a), divisor(n.b, e.double(n.b)))
	case n.op == "%":
		return fmt.Sprintf("(%s %% %s)", e.exact(n.a), divisor(n.b, e.exact(n.b)))
	}
	return fmt.Sprintf("(%s %s %s)", e.exact(n.a), n.op, e.exact(n.b))
}

// divisor is NULL instead of 0.
func divisor(n node, text string) string {
	if k, ok := n.(*constant); ok && k.v != nil && !isZero(k.v) {
		return text
	}
	return "nullif(" + text + ", 0)"
}

// exact is a number as numeric, so that calculating with it is exact and never out of range.
func (e *emitter) exact(n node) string {
	switch n := n.(type) {
	case *constant:
		if n.v == nil {
			return "null::numeric"
		}
		return e.bind(numericValue(toExact(n.v)), "numeric")
	case *arith:
		if n.op != "/" {
			return e.value(n)
		}
	case *negate:
		return e.value(n)
	case *column:
		if n.col.Kind == customer.Numeric {
			return e.value(n)
		}
	}
	return e.value(n) + "::numeric"
}

// double is a number as double precision, NULL outside the range that division takes (see toFloat).
func (e *emitter) double(n node) string {
	switch n := n.(type) {
	case *constant:
		if n.v == nil || toFloat(n.v) == nil {
			return "null::float8"
		}
		return e.bind(toFloat(n.v), "float8")
	case *column:
		switch {
		case n.col.Kind == customer.Int:
			return e.value(n) + "::float8"
		case isMoney(n.col.PGType):
			return "nullif(" + e.value(n) + ", 'NaN')::float8"
		}
	case *aggregate:
		if n.op == "count" {
			return e.value(n) + "::float8"
		}
	}
	if n.typ() == typeInt { // abs of the smallest bigint is out of range
		return double(e.exact(n))
	}
	return double(e.value(n))
}

// isMoney types hold nothing outside the range that division takes, but NaN.
func isMoney(pgType string) bool {
	var precision, scale int
	_, err := fmt.Sscanf(pgType, "numeric(%d,%d)", &precision, &scale)
	return err == nil && precision <= 100
}

func double(text string) string {
	return "(select v::float8 from (values (" + text + ")) g(v) where v = 0 or abs(v) between 1e-140 and 1e140)"
}

// float is an exact number as double precision for a comparison. The cast of a number beyond its range would be an
// error, so such numbers become infinite or 0 (see nearestFloat).
func (e *emitter) float(n node) string {
	if c, ok := n.(*column); ok && (n.typ() == typeInt || strings.HasPrefix(c.col.PGType, "numeric(")) {
		return e.value(n) + "::float8"
	}
	return "(select case when v = 'NaN' then 'NaN' when v > 1e300 then 'Infinity' when v < -1e300 then '-Infinity' " +
		"when abs(v) < 1e-300 then 0 else v::float8 end from (values (" + e.exact(n) + ")) g(v))"
}

func (e *emitter) shiftSQL(n *shift) string {
	by, ok := n.by.(*constant)
	if !ok || by.v == nil {
		return e.fail("segment: a period that is no constant")
	}
	p := by.v.(period)
	if n.minus {
		p = p.negated()
	}
	t := e.value(n.a)
	if n.nullable() && p != (period{}) {
		return e.withinMovable(n, t, func(t string) string { return e.shifted(n, t, p) })
	}
	return e.shifted(n, t, p)
}

// shifted is a date or time, from earliest to latest, plus a period.
func (e *emitter) shifted(n *shift, t string, p period) string {
	calendar := period{months: p.months, days: p.days}
	switch {
	case n.t == typeDate && p.months == 0:
		return fmt.Sprintf("(%s + %s)", t, e.bind(int64(p.days), "int"))
	case n.t == typeDate:
		return fmt.Sprintf("(%s + %s)::date", t, e.interval(p))
	case n.t == typeInstant && calendar != period{}:
		t = fmt.Sprintf("((%s at time zone %s + %s) at time zone %s)", t, e.zone(), e.interval(calendar), e.zone())
		p = period{micros: p.micros}
	}
	if p == (period{}) {
		return t
	}
	return fmt.Sprintf("(%s + %s)", t, e.interval(p))
}

// withinMovable is the moved value, NULL where it might leave the database's range, since no row may make a run fail.
func (e *emitter) withinMovable(n *shift, t string, moved func(t string) string) string {
	test := fmt.Sprintf("%%s between '%s' and '%s' or not isfinite(%%s)", earliestText, latestText)
	if _, ok := n.a.(*column); ok {
		return fmt.Sprintf("(case when "+test+" then %s end)", t, t, moved(t))
	}
	return fmt.Sprintf("(select case when "+test+" then %s end from (values (%s)) g(v))", "v", "v", moved("v"), t)
}

func (e *emitter) zone() string { return e.bind(e.clock.Zone.String(), "text") }

func (e *emitter) castSQL(n *cast) string {
	from, to := n.a.typ(), n.t
	switch {
	case to == typeFloat:
		return e.float(n.a)
	case to == typeText:
		return e.canonical(n.a)
	case to == typeNumeric:
		return e.exact(n.a)
	}
	t := e.value(n.a)
	if from == typeInstant && e.mutate != mutateSessionZone {
		t = fmt.Sprintf("(%s at time zone %s)", t, e.zone())
	}
	if to == typeDate {
		return t + "::date"
	}
	return t
}

func (e *emitter) callSQL(n *call) string {
	if n.fn.emit != nil {
		return n.fn.emit(e, n)
	}
	if n.fn.sql == nil {
		return e.fail("segment: %s has no SQL", n.fn.Name)
	}
	args := make([]sqlArg, 0, len(n.args)+1)
	for _, a := range n.args {
		args = append(args, sqlArg{e.value(a), a.typ()})
	}
	if n.fn.bindings != nil {
		for _, b := range n.fn.bindings(e.clock) {
			args = append(args, sqlArg{e.bind(b.value, b.cast), typeNothing})
		}
	}
	return n.fn.sql(args)
}
