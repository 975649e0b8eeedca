package segment

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
)

// inside checks a value within a JSON column, such as customer.extra.address.city.
func (c *checker) inside(n *ast.MemberNode, of *column, name *ast.StringNode) node {
	outer, keys := of.col, []string{name.Value}
	if w := of.col.Within; w != nil {
		outer = customer.Column{Name: w.Column, Kind: customer.JSON, PGType: jsonType(w.Binary), JSON: of.col.JSON}
		keys = slices.Concat(w.Keys, keys)
	}
	col, ok := outer.Value(keys)
	if !ok {
		return c.unknownValue(c.extent(name), of, outer, keys)
	}
	return &column{base{t: columnType(col.Kind), loc: c.extent(n), null: true}, of.path, col}
}

func jsonType(binary bool) string {
	if binary {
		return "jsonb"
	}
	return "json"
}

// hasValues says that something can stand within the column.
func hasValues(n node) bool {
	col, ok := n.(*column)
	return ok && (col.col.Kind == customer.JSON || col.col.Within != nil && len(col.col.Within.Mixed) > 0)
}

func (c *checker) unknownValue(at span, of *column, outer customer.Column, keys []string) node {
	entity := of.path.entity()
	declare := "declare it in sapa.yaml: " + declaration(entity, outer.Name, keys, "text")
	shape := outer.JSON
	switch {
	case shape == nil:
		return c.problem(at, declare, "nothing is known of what is in %s", outer.Name)
	case shape.Unread != "":
		return c.problem(at, declare, "nothing is known of what is in %s: a sample of %s could not be read (%s)", outer.Name, entity.Table, shape.Unread)
	}
	hint := diag.DidYouMean(keys[len(keys)-1], shape.Names(keys[:len(keys)-1]))
	if !strings.HasPrefix(hint, "did you mean") {
		hint = strings.TrimPrefix(strings.Join([]string{hint, declare}, "; or "), "; or ")
	}
	where := "sapa.yaml does not declare it"
	if !shape.Declared {
		where = "it is in none of the first rows of " + entity.Table.String()
	}
	return c.problem(at, hint, "unknown value %q in %s: %s", keys[len(keys)-1], c.words(of), where)
}

// declaration is how sapa.yaml says of which type a value is.
func declaration(e *customer.Entity, name string, keys []string, word string) string {
	if e.Event != "" {
		return eventDeclaration(e, keys, word)
	}
	return fmt.Sprintf("json: {%s: {%s: %s}} under %s", name, customer.WrittenPath(keys), word, e.Name)
}

// oneType refuses a value that is of one type here and of another there.
func (c *checker) oneType(n node) node {
	col, ok := n.(*column)
	if !ok || col.col.Within == nil || len(col.col.Within.Mixed) == 0 {
		return n
	}
	w, word := col.col.Within, "text"
	for _, mixed := range w.Mixed {
		if mixed != "object" && mixed != "other" && mixed != "empty" {
			word = mixed
			break
		}
	}
	return c.problem(n.at(), "say in sapa.yaml which counts: "+declaration(col.path.entity(), w.Column, w.Keys, word)+"; others are then missing",
		"%s is not of one type: the first rows of %s have %s", c.words(n), col.path.entity().Table, mixedWords(w.Mixed))
}

func mixedWords(words []string) string {
	plural := map[string]string{
		"text": "texts", "number": "numbers", "boolean": "booleans", "date": "dates", "time": "times", "texts": "lists of texts",
		"object": "objects", "other": "other lists", "empty": "empty lists",
	}
	var list []string
	for _, w := range words {
		list = append(list, plural[w])
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}

// jsonHint names what stands within a JSON value that was taken for a value itself.
func (c *checker) jsonHint(n node) string {
	col, ok := n.(*column)
	if !ok || col.col.Kind != customer.JSON || col.col.JSON == nil {
		return ""
	}
	var keys []string
	if w := col.col.Within; w != nil {
		keys = w.Keys
	}
	names := col.col.JSON.Names(keys)
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("write what is within, such as %s.%s", c.words(n), names[0])
}

// withinSQL is the SQL of a value within a JSON column, given the column's. It is NULL for a value of another type, and no
// value can make it fail: each cast stands behind CASE, which PostgreSQL keeps in order, where it reorders AND.
func withinSQL(base string, col customer.Column, zone string, m mutation) string {
	r := reading{jsonDoc: jsonDoc{base, *col.Within}, zone: zone, mutate: m}
	once := func(base, inside string) string {
		return fmt.Sprintf("(select %s from (select %s as j offset 0) g)", inside, base)
	}
	subquery := strings.HasPrefix(base, "(")
	switch {
	case r.Binary && !subquery:
		return r.value(col.Kind)
	case r.Binary:
		return once(base, r.within("g.j").value(col.Kind))
	case !subquery:
		return once(fmt.Sprintf("case when %s then %s end", convertible(base), base), r.within("g.j").value(col.Kind))
	}
	return once(base, once(fmt.Sprintf("case when %s then g.j end", convertible("g.j")), r.within("g.j").value(col.Kind)))
}

// jsonDoc is a document, and where in it a value is.
type jsonDoc struct {
	base string
	customer.JSONValue
}

// node is the value as JSON, text is it as text. Arrays have no keys, so what is sought in one is missing.
func (d jsonDoc) node() string { return "(" + d.base + d.steps(len(d.Keys)) + ")" }

func (d jsonDoc) text() string {
	last := len(d.Keys) - 1
	return "(" + d.base + d.steps(last) + " ->> " + literal(d.Keys[last]) + ")"
}

func (d jsonDoc) steps(n int) string {
	var b strings.Builder
	for _, key := range d.Keys[:n] {
		b.WriteString(" -> " + literal(key))
	}
	return b.String()
}

// is tests the value's type.
func (d jsonDoc) is(word string) string {
	return fmt.Sprintf("%s_typeof(%s) = '%s'", jsonType(d.Binary), d.node(), word)
}

// literal is a text in SQL under any setting of standard_conforming_strings.
func literal(s string) string {
	s = strings.ReplaceAll(s, "'", "''")
	if strings.Contains(s, `\`) {
		return "E'" + strings.ReplaceAll(s, `\`, `\\`) + "'"
	}
	return "'" + s + "'"
}

// companyZone is the zone of times without an offset.
func companyZone(s *Scope) string { return cmp.Or(s.Schema.Zone, "UTC") }

type reading struct {
	jsonDoc
	zone   string
	mutate mutation
}

func (r reading) within(base string) reading {
	r.base = base
	return r
}

func (r reading) value(k customer.Kind) string {
	switch k {
	case customer.Numeric:
		return r.number()
	case customer.Text:
		return fmt.Sprintf("(case when %s then %s end)", r.is("string"), r.text())
	case customer.Bool:
		return fmt.Sprintf("(case %s::text when 'true' then true when 'false' then false end)", r.node())
	case customer.Date:
		return r.date()
	case customer.Timestamptz:
		return r.time()
	case customer.TextArray:
		return fmt.Sprintf("(case when %s then array(select v #>> '{}' from %s_array_elements(%s) g(v) where %s_typeof(v) = 'string') end)",
			r.is("array"), jsonType(r.Binary), r.node(), jsonType(r.Binary))
	case customer.JSON:
		return fmt.Sprintf("(case when %s then true end)", r.is("object"))
	}
	return fmt.Sprintf("(case when %s_typeof(%s) <> 'null' then true end)", jsonType(r.Binary), r.node())
}

// maxJSONDigits is how many characters a number within JSON may take without an exponent; a longer one is missing. It keeps
// calculations with it within the range of numeric.
const maxJSONDigits = 100

func (r reading) number() string {
	exact := r.text() + "::numeric"
	switch {
	case r.mutate == mutateJSONGuard:
		return "(" + exact + ")"
	case r.mutate == mutateJSONText:
		return fmt.Sprintf("(case when length(%s) <= %d and %s ~ '^-?[0-9]+([.][0-9]+)?$' then %s end)", r.text(), maxJSONDigits, r.text(), exact)
	case r.Binary:
		return fmt.Sprintf("(case when %s and length(%s) <= %d then %s end)", r.is("number"), r.text(), maxJSONDigits, r.node()+"::numeric")
	}
	return fmt.Sprintf("(case when %s and %s ~ '^-?[0-9]{1,%d}([.][0-9]{1,%d})?([eE][+-]?[0-9]{1,3})?$' then case when length((%s)::text) <= %d then %s end end)",
		r.is("number"), r.text(), maxJSONDigits, maxJSONDigits, exact, maxJSONDigits, exact)
}

// A date and a time as JSON has them, by ISO 8601. Only what matches is cast, since PostgreSQL knows no cast that fails softly
// before version 16.
const (
	isoDate = `((?!0000)[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))` +
		`|(?!0000)([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)`
	isoClock  = `[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?`
	isoOffset = `(Z|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)`
	hasOffset = `:[0-9.]*(Z|[+-][0-9:]*)$` // of what is a time
)

func (r reading) date() string {
	text := r.text()
	return fmt.Sprintf("(case when %s and %s ~ '^%s$' then %s::date end)", r.is("string"), text, isoDate, text)
}

// time reads a text with an offset as that instant, one without as the company's local time.
func (r reading) time() string {
	text := r.text()
	return fmt.Sprintf("(case when %s and %s ~ '^%s(%s%s?)?$' then case when %s ~ '%s' then %s::timestamptz else %s::timestamp at time zone %s end end)",
		r.is("string"), text, isoDate, isoClock, isoOffset, text, hasOffset, text, text, literal(r.zone))
}

// convertible says that a json document has no escape that PostgreSQL can't read, such as \u0000 or half a surrogate pair,
// which it stores all the same and which would make the very search for a key fail.
func convertible(base string) string {
	const pair, bad = `\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}`, `\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})`
	return fmt.Sprintf("regexp_replace(replace(%s::text, %s, '  '), %s, '', 'g') !~ %s", base, literal(`\\`), literal(pair), literal(bad))
}

// rawText writes a leaf that compares a text within jsonb with a constant so that an index on (column ->> 'key') can serve:
// the bare text, and that it is one.
func (e *emitter) rawText(n node) (string, bool) {
	col := textWithin(n)
	if col == nil || e.raw[col] {
		return "", false
	}
	if _, ok := e.alias(col.path); !ok { // a subquery
		return "", false
	}
	base := e.field(col.path, quote(col.col.Within.Column))
	e.raw[col] = true
	defer delete(e.raw, col)
	return fmt.Sprintf("(%s and %s)", e.positive(n), jsonDoc{base, *col.col.Within}.is("string")), true
}

// textWithin is the column of a leaf that is false unless it is a text.
func textWithin(n node) *column {
	var x node
	switch n := n.(type) {
	case *equal:
		if x = n.a; isConstant(n.a) {
			x = n.b
		}
		if !slices.ContainsFunc(children(n), func(c node) bool { return isConstant(c) && !c.nullable() }) {
			return nil
		}
	case *compare:
		x = n.a
	case *textTest:
		x = n.a
	case *match:
		x = n.a
	case *member:
		if x = n.x; n.withNil {
			return nil
		}
	}
	col, ok := x.(*column)
	if !ok || col.col.Within == nil || !col.col.Within.Binary || col.t != typeText {
		return nil
	}
	return col
}

// containsWithin is "x" in a list within jsonb, as an index on the column by GIN serves it.
func (e *emitter) containsWithin(n *contains) (string, bool) {
	col, ok := n.list.(*column)
	k, constant := n.x.(*constant)
	if !ok || !constant || k.v == nil || col.col.Within == nil || !col.col.Within.Binary {
		return "", false
	}
	var document any = []any{k.v}
	for _, key := range slices.Backward(col.col.Within.Keys) {
		document = map[string]any{key: document}
	}
	text, err := json.Marshal(document)
	if err != nil {
		return e.fail("segment: %v", err), true
	}
	return fmt.Sprintf("%s @> %s::jsonb", e.field(col.path, quote(col.col.Within.Column)), e.bind(string(text), "text")), true
}
