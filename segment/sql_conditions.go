package segment

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

func (e *emitter) compareSQL(a node, op string, b node) string {
	if text, ok := e.uuidOperands(a, op, b); ok {
		return text
	}
	x, y := e.value(a), e.value(b)
	if a.typ() == typeText && e.mutate != mutateCollate {
		x += ` collate "C"`
	}
	return x + " " + op + " " + y
}

// equalSQL stays bare unless both sides can be missing, which makes them equal.
func (e *emitter) equalSQL(n *equal) string {
	op := "="
	if n.a.nullable() && n.b.nullable() {
		op = "is not distinct from"
	}
	if text, ok := e.uuidOperands(n.a, op, n.b); ok {
		return text
	}
	return e.value(n.a) + " " + op + " " + e.value(n.b)
}

func (e *emitter) unequalSQL(n *equal) string {
	op := "<>"
	if (n.a.nullable() || n.b.nullable()) && e.mutate != mutateDistinct {
		op = "is distinct from"
	}
	if text, ok := e.uuidOperands(n.a, op, n.b); ok {
		return text
	}
	return e.value(n.a) + " " + op + " " + e.value(n.b)
}

// uuidOperands compares a uuid column with a constant as uuids, so that an index can serve. In all other uses the
// column is cast to text; the order is the same.
func (e *emitter) uuidOperands(a node, op string, b node) (string, bool) {
	if id, ok := uuidConstant(b); ok && isUUID(a) {
		return fmt.Sprintf("%s %s %s", e.columnSQL(a.(*column)), op, e.bind(id, "uuid")), true
	}
	if id, ok := uuidConstant(a); ok && isUUID(b) {
		return fmt.Sprintf("%s %s %s", e.bind(id, "uuid"), op, e.columnSQL(b.(*column))), true
	}
	return "", false
}

func uuidConstant(n node) (pgtype.UUID, bool) {
	if k, ok := n.(*constant); ok {
		return uuidValue(k.v)
	}
	return pgtype.UUID{}, false
}

// uuidValue is false for texts that are not what PostgreSQL prints for a uuid, which no uuid column is equal to.
func uuidValue(v any) (pgtype.UUID, bool) {
	s, _ := v.(string)
	id, err := uuid.Parse(s)
	return pgtype.UUID{Bytes: id, Valid: true}, err == nil && id.String() == s
}

func uuidValues(values []any) ([]pgtype.UUID, bool) {
	ids := make([]pgtype.UUID, len(values))
	for i, v := range values {
		var ok bool
		if ids[i], ok = uuidValue(v); !ok {
			return nil, false
		}
	}
	return ids, true
}

// memberSQL is x = any(constants), with an or for each item that is no constant and for nil.
func (e *emitter) memberSQL(n *member) string {
	var parts []string
	constants, others := splitItems(n.items)
	if len(constants) > 0 {
		parts = append(parts, e.anySQL(n.x, "= any", constants))
	}
	for _, item := range others {
		parts = append(parts, e.value(n.x)+" = "+e.value(item))
	}
	if n.withNil && e.mutate != mutateNilInList {
		parts = append(parts, e.value(n.x)+" is null")
	}
	switch len(parts) {
	case 0:
		return "false"
	case 1:
		return parts[0]
	}
	return "(" + strings.Join(parts, " or ") + ")"
}

// notMemberSQL is the short form where there is one.
func (e *emitter) notMemberSQL(n *member, certain bool) (string, bool) {
	constants, others := splitItems(n.items)
	if len(constants) == 0 || len(others) > 0 || !certain && !n.withNil || e.mutate == mutateNilInList {
		return "", false
	}
	return e.anySQL(n.x, "<> all", constants), true
}

func splitItems(items []node) (constants []any, others []node) {
	for _, item := range items {
		k, ok := item.(*constant)
		switch {
		case !ok:
			others = append(others, item)
		case k.v != nil: // a missing item is equal to nothing
			constants = append(constants, k.v)
		}
	}
	return constants, others
}

func (e *emitter) anySQL(x node, op string, constants []any) string {
	if ids, ok := uuidValues(constants); ok && isUUID(x) {
		return fmt.Sprintf("%s %s(%s)", e.columnSQL(x.(*column)), op, e.bind(ids, "uuid[]"))
	}
	values, cast := arrayParam(constants, x.typ())
	return fmt.Sprintf("%s %s(%s)", e.value(x), op, e.bind(values, cast))
}

func (e *emitter) containsSQL(n *contains) string {
	if text, ok := e.containsWithin(n); ok {
		return text
	}
	elements := "::text[]"
	if isVarchars(n.list) {
		elements = "::varchar[]"
	}
	return fmt.Sprintf("%s @> array[%s]%s", e.value(n.list), e.value(n.x), elements)
}

func (e *emitter) textTestSQL(n *textTest) string {
	a := e.value(n.a)
	if k, ok := n.b.(*constant); ok && k.v != nil {
		test := literalTest{n.op, k.v.(string)}
		return a + test.operator() + e.bind(test.pattern(e.mutate), "text")
	}
	b := e.value(n.b)
	switch n.op {
	case "contains":
		return fmt.Sprintf("strpos(%s, %s) > 0", a, b)
	case "startsWith":
		return fmt.Sprintf("starts_with(%s, %s)", a, b)
	}
	return fmt.Sprintf("right(%s, length(%s)) = %s", a, b, b)
}

// literalTest is a search for a constant text: contains, startsWith, endsWith or equals.
type literalTest struct{ op, literal string }

func (t literalTest) operator() string {
	if t.op == "equals" {
		return " = "
	}
	return " like "
}

var likeEscapes = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func (t literalTest) pattern(m mutation) string {
	escaped := likeEscapes.Replace(t.literal)
	if m == mutateLikeEscape {
		escaped = t.literal
	}
	switch t.op {
	case "contains":
		return "%" + escaped + "%"
	case "startsWith":
		return escaped + "%"
	case "endsWith":
		return "%" + escaped
	}
	return t.literal
}

// matchSQL prefers LIKE, which more indexes serve.
func (e *emitter) matchSQL(n *match) string {
	if test, ok := likePattern(n.re); ok {
		return e.value(n.a) + test.operator() + e.bind(test.pattern(e.mutate), "text")
	}
	pattern, _ := pgPattern(n.re)
	return e.value(n.a) + " ~ " + e.bind(pattern, "text")
}

// likePattern recognises the regular expressions that mean the same in every engine: literal text, with or without
// ^ and $ around it.
func likePattern(re *regexp.Regexp) (literalTest, bool) {
	tree, err := syntax.Parse(re.String(), syntax.Perl)
	if err != nil {
		return literalTest{}, false
	}
	parts := []*syntax.Regexp{tree}
	if tree.Op == syntax.OpConcat {
		parts = tree.Sub
	}
	begin, end, literal := false, false, ""
	for i, p := range parts {
		switch {
		case p.Op == syntax.OpBeginText && i == 0:
			begin = true
		case p.Op == syntax.OpEndText && i == len(parts)-1:
			end = true
		case p.Op == syntax.OpLiteral && p.Flags&syntax.FoldCase == 0 && !slices.ContainsFunc(p.Rune, unstorable):
			literal += string(p.Rune)
		case p.Op == syntax.OpEmptyMatch:
		default:
			return literalTest{}, false
		}
	}
	op := map[[2]bool]string{{false, false}: "contains", {true, false}: "startsWith", {false, true}: "endsWith", {true, true}: "equals"}
	return literalTest{op[[2]bool{begin, end}], literal}, true
}
