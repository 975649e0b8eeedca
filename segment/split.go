package segment

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/big"
	"strings"
	"unicode"

	"github.com/expr-lang/expr/ast"
	"github.com/shopspring/decimal"

	"github.com/sapa-crm/sapa/customer"
)

// split is a share of the customers: those whose hash, SHA-256 of prefix and key as UTF-8, lies from one bound up to
// another, which does not belong to it. A bound is the first 8 bytes of a hash, nil for none.
type split struct {
	prefix   string // the name and a line end, which no name has
	from, to []byte
}

// String is the name.
func (s split) String() string { return strings.TrimSuffix(s.prefix, "\n") }

func (s split) has(key string) bool {
	hash := sha256.Sum256([]byte(s.prefix + key))
	return (s.from == nil || bytes.Compare(hash[:], s.from) >= 0) && (s.to == nil || bytes.Compare(hash[:], s.to) < 0)
}

// formSplit is random_split(name, share) or random_split(name, from, to).
func formSplit(c *checker, fn *Function, at span, args []ast.Node) node {
	if len(args) != 2 && len(args) != 3 {
		return c.argumentCount(fn, at)
	}
	name, where, ok := c.nameArgument(fn, args[0])
	if !ok {
		return nil
	}
	if strings.TrimSpace(name) == "" || len(name) > 200 || strings.ContainsFunc(name, unicode.IsControl) {
		return c.problem(where, "for example "+fn.Example, "a random share needs a name, of at most 200 bytes and without line ends")
	}
	var shares []decimal.Decimal
	for _, arg := range args[1:] {
		share, ok := c.share(fn, arg)
		if !ok {
			return nil
		}
		shares = append(shares, share)
	}
	if len(shares) == 1 {
		shares = []decimal.Decimal{decimal.Zero, shares[0]}
	}
	if len(args) == 3 && !shares[0].LessThan(shares[1]) {
		return c.problem(at, "write the smaller share first: 0.2, 0.5", "no customer lies from %s to %s", shares[0], shares[1])
	}
	s := split{name + "\n", bound(shares[0], decimal.Zero), bound(shares[1], whole)}
	return test(fn, at, c.keyOf(at), &constant{base{t: typeText, loc: where}, s, ""})
}

// keyOf is the key of the customer in question.
func (c *checker) keyOf(at span) node {
	col := c.scope.Schema.KeyColumn()
	return &column{base{t: columnType(col.Kind), loc: at, null: col.Nullable}, path{from: c.roots[0]}, col}
}

var (
	whole   = decimal.New(1, 0)
	hundred = decimal.New(100, 0)
)

// share is a number from 0 to 1, or a text such as "10%".
func (c *checker) share(fn *Function, arg ast.Node) (decimal.Decimal, bool) {
	a := c.expr(arg)
	if a == nil {
		return decimal.Zero, false
	}
	share, ok := shareOf(a)
	switch {
	case ok && !share.IsNegative() && !share.GreaterThan(whole):
		return share, true
	case ok && share.GreaterThan(whole) && !share.GreaterThan(hundred) && a.typ().isNumber():
		c.problem(a.at(), fmt.Sprintf(`write %s or "%s%%"`, share.Div(hundred), share), "a share is a number from 0 to 1, but %s is more", c.words(a))
	default:
		c.problem(a.at(), `write 0.1 or "10%" for a tenth of the customers`, "%s takes a share from 0 to 1, but this is %s", fn.Name, c.words(a))
	}
	return decimal.Zero, false
}

func shareOf(n node) (decimal.Decimal, bool) {
	if text, ok := constantText(n); ok {
		number, percent := strings.CutSuffix(text, "%")
		d, err := decimal.NewFromString(strings.TrimSpace(number))
		return d.Div(hundred), percent && err == nil && d.Exponent() > -20 && len(text) < 40
	}
	if !n.typ().isNumber() {
		return decimal.Zero, false
	}
	v, ok := fixedValue(n)
	if !ok || v == nil {
		return decimal.Zero, false
	}
	switch v := toExact(v).(type) {
	case int64:
		return decimal.NewFromInt(v), true
	case decimal.Decimal:
		return v, true
	}
	return decimal.Zero, false
}

// bound is the first 8 bytes of the least hash that lies beyond a share; nil for the share that ends nothing.
func bound(share, none decimal.Decimal) []byte {
	if share.Equal(none) {
		return nil
	}
	hashes := decimal.NewFromBigInt(new(big.Int).Lsh(big.NewInt(1), 64), 0)
	return share.Mul(hashes).Floor().BigInt().FillBytes(make([]byte, 8))
}

func evalSplit(_ Clock, args []any) any {
	return args[1].(split).has(canonical(args[0], typeText))
}

// emitSplit hashes the key in the database, where bytes compare as they do here.
func emitSplit(e *emitter, n *call) string {
	s, key := n.args[1].(*constant).v.(split), e.value(n.args[0])
	if col, ok := n.args[0].(*column); !ok || col.col.Kind != customer.Text && col.col.Kind != customer.UUID {
		key += "::text"
	}
	if s.from == nil && s.to == nil {
		return key + " is not null"
	}
	prefix := s.prefix
	if e.mutate == mutateSplit {
		prefix = ""
	}
	hash := "sha256(convert_to(" + e.bind(prefix, "text") + " || " + key + ", 'UTF8'))"
	var parts []string
	if s.from != nil {
		parts = append(parts, hash+" >= "+e.bind(s.from, "bytea"))
	}
	if s.to != nil {
		parts = append(parts, hash+" < "+e.bind(s.to, "bytea"))
	}
	return "(" + strings.Join(parts, " and ") + ")"
}
