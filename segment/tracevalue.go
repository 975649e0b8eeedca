package segment

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/sapa-crm/sapa/customer"
)

// TraceValue is a value that a condition looked at.
type TraceValue struct {
	Text  string `json:"text"`           // as its author wrote it: customer.city
	Value any    `json:"value"`          // nil: missing; text, a boolean, a json.Number, a list; dates and times as text
	Words string `json:"-"`              // for people: 1,250,000
	Note  string `json:"note,omitempty"` // of an aggregate: of 4 orders
}

// valuesOf are the values of a condition that are not written out in it.
func (t *tracer) valuesOf(n node) []TraceValue {
	var out []TraceValue
	for _, operand := range operands(n) {
		out = t.addOperand(out, operand)
	}
	return out
}

// operands are the parts of a condition that have values.
func operands(n node) []node {
	switch n := n.(type) {
	case *truth:
		return []node{n.a}
	case *not:
		return operands(n.a)
	}
	if _, ok := n.(*named); ok || !isCondition(n) {
		return []node{n}
	}
	return children(n)
}

// addOperand adds an operand's value; of a calculation, those that went into it, too.
func (t *tracer) addOperand(out []TraceValue, n node) []TraceValue {
	for {
		c, ok := n.(*cast)
		if !ok || c.at() != c.a.at() {
			break
		}
		n = c.a
	}
	if isLiteral(n) {
		return out
	}
	if _, ok := n.(*named); !ok && isCondition(n) {
		return append(out, t.valuesOf(n)...)
	}
	_, isCall := n.(*call)
	if inner, ok := inside(n); ok {
		if !(isCall && n.typ() == typeBool) { // its verdict is the condition's
			out = t.add(out, n)
		}
		for _, i := range inner {
			if _, isColumn := i.(*column); isCall && isColumn && i.at() == n.at() { // nobody wrote it: the key of random_split
				continue
			}
			out = t.addOperand(out, i)
		}
		return out
	}
	return t.add(out, n)
}

// isLiteral says that a value is written out, so that showing it would repeat the condition.
func isLiteral(n node) bool {
	switch n := n.(type) {
	case *constant, *listNode:
		return true
	case *negate:
		return isLiteral(n.a)
	}
	return n.typ() == typePeriod || n.typ() == typeDuration
}

// inside are the operands of a calculation; false for what is a value of its own.
func inside(n node) ([]node, bool) {
	switch n.(type) {
	case *arith, *negate, *shift, *cast, *coalesce, *choose, *call:
		return children(n), true
	}
	return nil, false
}

func (t *tracer) add(out []TraceValue, n node) []TraceValue {
	v, ok := t.traceValue(n)
	if !ok {
		return out
	}
	for _, known := range out {
		if known.Text == v.Text {
			return out
		}
	}
	return append(out, v)
}

// traceValue is false for what has no value that could be shown, such as a row.
func (t *tracer) traceValue(n node) (out TraceValue, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	v := t.value(n)
	out = TraceValue{Text: t.text(n), Value: jsonValue(v, n.typ()), Words: t.words(v, n.typ())}
	if a, isAggregate := n.(*aggregate); isAggregate {
		out.Note = t.aggregateNote(a)
	}
	return out, true
}

// aggregateNote says of how many rows a number is made.
func (t *tracer) aggregateNote(n *aggregate) string {
	all := n.rows
	all.filters = nil
	total := len(t.rowsOf(all))
	if total == 0 {
		return "no " + n.rows.rel.Name
	}
	if n.op == "count" {
		if len(n.rows.filters) == 0 {
			return ""
		}
		return fmt.Sprintf("of %s", countWords(total, n.rows.rel.Name))
	}
	if left := len(t.rowsOf(n.rows)); left < total {
		return fmt.Sprintf("%s of %s", grouped(fmt.Sprint(left)), countWords(total, n.rows.rel.Name))
	}
	return countWords(total, n.rows.rel.Name)
}

// countWords is 1 order, 4 orders.
func countWords(n int, relation string) string {
	if n == 1 {
		return "1 " + customer.Singular(relation)
	}
	return grouped(fmt.Sprint(n)) + " " + relation
}

// rowLabel names a row by its key, by its time where the relation has no key, or by its place.
func (t *tracer) rowLabel(r rows, row map[string]any, number int) string {
	name, e := customer.Singular(r.rel.Name), r.rel.Target
	if v := row[e.Key]; e.Key != "" && v != nil {
		return name + " " + fmt.Sprint(v)
	}
	if at, ok := e.Column(e.At); ok && e.Key == "" {
		if v, ok := row[at.Name].(time.Time); ok {
			return name + " of " + t.timeWords(v, columnType(at.Kind))
		}
	}
	return fmt.Sprintf("%s no. %d", name, number)
}

// jsonValue is a value as JSON has it.
func jsonValue(v any, t Type) any {
	switch v := v.(type) {
	case nil, string, bool, []string:
		return v
	case int64, decimal.Decimal:
		return json.Number(canonical(v, t))
	case float64:
		text := canonical(v, t)
		if isSpecial(v) {
			return text
		}
		return json.Number(text)
	}
	return canonical(v, t)
}

// words is a value for people.
func (t *tracer) words(v any, kind Type) string {
	switch v := v.(type) {
	case nil:
		return "missing"
	case bool:
		if kind == typeOther {
			return "there is one"
		}
		return fmt.Sprint(v)
	case string:
		return textWords(v)
	case []string:
		if len(v) == 0 {
			return "an empty list"
		}
		return textWords(strings.Join(v, ", "))
	case time.Time:
		return t.timeWords(v, kind)
	case int64, decimal.Decimal, float64:
		return grouped(canonical(v, kind))
	}
	return textWords(fmt.Sprint(v))
}

func (t *tracer) timeWords(v time.Time, kind Type) string {
	switch {
	case isInfinite(v):
		return canonical(v, typeDate)
	case kind == typeDate:
		return v.Format(time.DateOnly)
	case kind == typeInstant:
		return v.In(t.low.clock.Zone).Format("2006-01-02 15:04 MST")
	}
	return v.Format("2006-01-02 15:04")
}

// maxValueWords is how many characters of a text are shown.
const maxValueWords = 60

func textWords(s string) string {
	if s == "" || strings.TrimSpace(s) != s {
		return fmt.Sprintf("%q", s)
	}
	runes := []rune(strings.Join(strings.Fields(s), " "))
	if len(runes) > maxValueWords {
		return string(runes[:maxValueWords-1]) + "…"
	}
	return string(runes)
}

// grouped puts commas between the thousands of a number's canonical text.
func grouped(text string) string {
	whole, fraction, _ := strings.Cut(text, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	if strings.Trim(whole, "0123456789") != "" {
		return text
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		fraction = "." + fraction
	}
	return sign + whole + fraction
}
