package segment

import (
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/shopspring/decimal"
)

// Values that place a customer among all customers.
type (
	// standing is how many thresholds of the base a customer's value exceeds, counted from `from`. Lowering gives it the
	// thresholds, or makes it a constant where nobody has a value.
	standing struct {
		base
		of       node
		text     string // of as its author wrote it
		percents []int  // which of the hundredths are thresholds, ascending
		from     int64
		below    []any // the thresholds; nil before lowering
	}
	// scores are ranks of one digit each, as a text. Each can be had by its name.
	scores struct {
		base
		parts []node
	}
)

// scoreNames are what can follow rfm(…).
func scoreNames() []string { return []string{"recency", "frequency", "monetary"} }

// ranked is a rank whose value is missing where of is.
func (c *checker) ranked(at span, of node, percents []int, from int64) *standing {
	return &standing{base: base{t: typeInt, loc: at, null: true}, of: of, text: c.words(of), percents: percents, from: from}
}

// findNode finds the first T of a tree.
func findNode[T node](n node) (found T, ok bool) {
	if found, ok = n.(T); ok {
		return found, true
	}
	for _, c := range children(n) {
		if found, ok = findNode[T](c); ok {
			return found, true
		}
	}
	return found, false
}

// bind gives a rank whose children are lowered its thresholds.
func (l lowering) bind(n *standing) node {
	key, err := l.key(n.of)
	if err != nil {
		l.fail(fmt.Errorf("the place of %s among all customers: %w", n.text, err))
		return n
	}
	found, ok := l.clock.Given.find(key, n.of.typ())
	if !ok {
		l.fail(fmt.Errorf("the place of %s among all customers was not prepared", n.text))
		return n
	}
	if len(found.below) == 0 {
		return &constant{base{t: typeInt, loc: n.loc, null: true}, nil, ""}
	}
	out := *n
	out.below = nil
	for _, k := range n.percents {
		if l.mutate == mutateThreshold {
			k = min(k+1, hundredths)
		}
		out.below = append(out.below, found.below[k-1])
	}
	return &out
}

func (l lowering) fail(err error) {
	if *l.err == nil {
		*l.err = err
	}
}

// key identifies a lowered expression by its identity: two with the same key have the same values for all customers.
func (l lowering) key(of node) (string, error) {
	id, err := l.identity(of)
	return id.key(), err
}

// identity is the SQL that a lowered expression becomes, after its type, and what is bound in it.
type identity struct {
	text string
	args []string
}

func (l lowering) identity(of node) (identity, error) {
	if why := unsayable(of); why != nil {
		return identity{}, errors.New(why.text)
	}
	plain := *l.rule
	plain.mutate = noMutation
	var args Args
	e := newEmitter(&plain, &args, l.clock, map[string]string{"customer": CustomerAlias})
	id := identity{text: sqlType(of.typ()) + " " + e.value(of)}
	for _, v := range args.Values() {
		id.args = append(id.args, boundText(v))
	}
	return id, e.err
}

// key is a hash in which each part has its length before it, so that no two parts read like one.
func (id identity) key() string {
	h := sha256.New()
	for _, part := range append([]string{id.text}, id.args...) {
		fmt.Fprintf(h, "%d %s ", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

func (id identity) same(other identity) bool {
	return id.text == other.text && slices.Equal(id.args, other.args)
}

// boundText is a parameter with its Go type; each item of a list is quoted by itself.
func boundText(v any) string {
	list := reflect.ValueOf(v)
	if _, one := v.(driver.Valuer); one || list.Kind() != reflect.Slice {
		return fmt.Sprintf("%T %q", v, plainBound(v))
	}
	items := make([]string, list.Len())
	for i := range items {
		items[i] = plainBound(list.Index(i).Interface())
	}
	return fmt.Sprintf("%T %q", v, items)
}

func plainBound(v any) string {
	if d, ok := v.(driver.Valuer); ok {
		if written, err := d.Value(); err == nil {
			v = written
		}
	}
	return fmt.Sprint(v)
}

// uncast looks through casts from one kind of number to another.
func uncast(n node) node {
	for {
		c, ok := n.(*cast)
		if !ok || !c.t.isNumber() || !c.a.typ().isNumber() {
			return n
		}
		n = c.a
	}
}

// bounds are the whole numbers from lo to hi; each end may be open.
type bounds struct {
	lo, hi       int64
	hasLo, hasHi bool
}

// farthest is beyond every rank, and beyond every period.
const farthest = 1_000_000

// boundsOf are the whole numbers that stand in a relation to a constant; false where that is none or out of all reason.
func boundsOf(op string, k node) (bounds, bool) {
	c, ok := k.(*constant)
	if !ok || c.v == nil || isSpecial(c.v) || !c.t.isNumber() {
		return bounds{}, false
	}
	d, ok := toExact(c.v).(decimal.Decimal)
	if !ok {
		i, whole := toExact(c.v).(int64)
		if !whole {
			return bounds{}, false
		}
		d = decimal.NewFromInt(i)
	}
	if d.Abs().GreaterThan(decimal.NewFromInt(farthest)) {
		return bounds{}, false
	}
	floor, ceil := d.Floor().IntPart(), d.Ceil().IntPart()
	switch op {
	case ">":
		return bounds{lo: floor + 1, hasLo: true}, true
	case ">=":
		return bounds{lo: ceil, hasLo: true}, true
	case "<":
		return bounds{hi: ceil - 1, hasHi: true}, true
	case "<=":
		return bounds{hi: floor, hasHi: true}, true
	}
	return bounds{lo: ceil, hi: floor, hasLo: true, hasHi: true}, true
}

// compareWhole turns a comparison of a rank, or of a number of days, with a constant into comparisons of the value
// behind it with constants, which groups and indexes serve.
func (l lowering) compareWhole(n node) (node, bool) {
	switch n := n.(type) {
	case *compare:
		if isConstant(n.a) {
			return l.bounded(n, uncast(n.b), mirrored(n.op), n.a)
		}
		return l.bounded(n, uncast(n.a), n.op, n.b)
	case *equal:
		if isConstant(n.a) {
			return l.bounded(n, uncast(n.b), "==", n.a)
		}
		return l.bounded(n, uncast(n.a), "==", n.b)
	case *between:
		lo, okLo := boundsOf(">=", n.lo)
		hi, okHi := boundsOf("<=", n.hi)
		if okLo && okHi {
			return l.inBounds(n, uncast(n.x), bounds{lo: lo.lo, hi: hi.hi, hasLo: true, hasHi: true})
		}
	}
	return nil, false
}

func (l lowering) bounded(n, x node, op string, k node) (node, bool) {
	b, ok := boundsOf(op, k)
	if !ok {
		return nil, false
	}
	return l.inBounds(n, x, b)
}

// inBounds leaves alone what groups decide at once as it is: two bounds of an aggregate would be two questions.
func (l lowering) inBounds(n, x node, b bounds) (node, bool) {
	of, ok := l.placed(x)
	if !ok {
		return nil, false
	}
	if _, aggregated := findNode[*aggregate](of); aggregated && b.hasLo && b.hasHi {
		return nil, false
	}
	var parts []node
	if b.hasLo {
		parts = append(parts, l.atLeast(n.at(), x, b.lo))
	}
	if b.hasHi {
		parts = append(parts, l.atMost(n.at(), x, b.hi))
	}
	if slices.ContainsFunc(parts, isCompare) { // what is compared is known
		parts = slices.DeleteFunc(parts, func(p node) bool { _, ok := p.(*not); return ok })
	}
	return l.junction(n, parts, true), true
}

func isCompare(n node) bool {
	_, ok := n.(*compare)
	return ok
}

// placed is the value behind a rank or a number of days.
func (l lowering) placed(x node) (node, bool) {
	switch x := x.(type) {
	case *standing:
		return x.of, true
	case *call:
		if x.fn.Name == daysSinceName {
			return x.args[0], true
		}
	}
	return nil, false
}

func (l lowering) atLeast(at span, x node, n int64) node {
	r, ok := x.(*standing)
	if !ok {
		return l.since(at, x.(*call), "<=", n)
	}
	switch i := n - r.from; {
	case i <= 0:
		return known(at, r.of)
	case i > int64(len(r.below)):
		return &constant{base{t: typeBool, loc: at}, false, ""}
	default:
		op := ">"
		if l.mutate == mutateTies {
			op = ">="
		}
		return l.beside(at, r.of, op, r.below[i-1])
	}
}

func (l lowering) atMost(at span, x node, n int64) node {
	r, ok := x.(*standing)
	if !ok {
		return l.since(at, x.(*call), ">=", n)
	}
	switch i := n - r.from; {
	case i < 0:
		return &constant{base{t: typeBool, loc: at}, false, ""}
	case i >= int64(len(r.below)):
		return known(at, r.of)
	default:
		return l.beside(at, r.of, "<=", r.below[i])
	}
}

// beside compares a value with a constant of its type.
func (l lowering) beside(at span, of node, op string, v any) node {
	return l.compareDays(&compare{condition(at), op, of, &constant{base{t: of.typ(), loc: at}, v, ""}})
}

// since: so many days ago or more is on that day or before.
func (l lowering) since(at span, x *call, op string, n int64) node {
	return l.beside(at, x.args[0], op, l.clock.Today.AddDate(0, 0, -int(n)))
}

// known says that a value is not missing.
func known(at span, n node) node {
	if !n.nullable() {
		return &constant{base{t: typeBool, loc: at}, true, ""}
	}
	return &not{condition(at), &isNil{condition(at), n}}
}

func (c compiler) standing(n *standing) valueFunc {
	of, below, from := c.value(n.of), n.below, n.from
	return strict1(of, func(v any) any {
		return from + int64(sort.Search(len(below), func(i int) bool { return order(below[i], v) >= 0 }))
	})
}

func (c compiler) scores(n *scores) valueFunc {
	var parts []valueFunc
	for _, p := range n.parts {
		parts = append(parts, c.value(p))
	}
	return func(f *frame) any {
		var b strings.Builder
		for _, p := range parts {
			v := p(f)
			if v == nil {
				return nil
			}
			fmt.Fprint(&b, v)
		}
		return b.String()
	}
}

// standingSQL counts the thresholds that are less: those that are not greater, without those that are equal.
func (e *emitter) standingSQL(n *standing) string {
	t, value := n.of.typ(), e.value
	if t == typeInt || t == typeNumeric {
		t, value = typeNumeric, e.exact
	}
	v := value(n.of)
	values, cast := arrayParam(n.below, t)
	below := e.bind(values, cast)
	text := once(v, func(v string) string {
		if e.mutate == mutateTies {
			return fmt.Sprintf("width_bucket(%s, %s)", v, below)
		}
		return fmt.Sprintf("width_bucket(%s, %s) - cardinality(array_positions(%s, %s))", v, below, below, v)
	})
	if n.from == 0 {
		return text
	}
	return fmt.Sprintf("(%s + %d)", text, n.from)
}

func (e *emitter) scoresSQL(n *scores) string {
	var parts []string
	for _, p := range n.parts {
		parts = append(parts, e.value(p)+"::text")
	}
	return "(" + strings.Join(parts, " || ") + ")"
}

// once writes an expression that needs a value several times, so that the value is evaluated once; `offset 0` keeps
// PostgreSQL from putting its text everywhere again.
func once(value string, of func(v string) string) string {
	if !strings.Contains(value, "(select ") {
		return "(" + of(value) + ")"
	}
	return "(select " + of("v") + " from (select " + value + " as v offset 0) g)"
}
