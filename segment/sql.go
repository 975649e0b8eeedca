package segment

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// emitter writes a lowered rule as SQL. Its contract for conditions: the text IS TRUE exactly when the node has the
// wanted truth value, and may be NULL otherwise. AND, OR, EXISTS and WHERE keep that contract, NOT does not, so NOT is
// pushed down to the leaves: a positive leaf stays bare and an index can serve it.
type emitter struct {
	rule     *Rule
	args     *Args
	clock    Clock
	aliases  map[*variable]string
	hops     []hop                    // to-one rows that have an alias here
	grouped  map[node]string          // aggregates that have a text here: those of the HAVING clause that is being written
	used     map[string][]string      // columns of picked rows that are used, by the row's alias
	side     *side                    // the grouping that is being written
	raw      map[*column]bool         // texts within JSON that are written without their type's test
	next     int                      // number of the last alias
	residual []Reason                 //
	inside   []*named                 // segments that are being written, the innermost last
	reasons  map[residualKey]struct{} // of residual
	mutate   mutation
	err      error
}

type hop struct {
	path  path
	alias string
}

// direction says how a condition that SQL can't decide may be approximated: by a superset or by a subset.
type direction bool

const (
	widen  direction = true
	narrow direction = false
)

func newEmitter(r *Rule, args *Args, clock Clock, aliases map[string]string) *emitter {
	e := &emitter{
		rule: r, args: args, clock: clock, aliases: map[*variable]string{}, grouped: map[node]string{}, used: map[string][]string{},
		raw:     map[*column]bool{},
		reasons: map[residualKey]struct{}{}, mutate: r.mutate,
	}
	for i, root := range r.scope.roots() {
		if alias := aliases[root.name]; alias != "" {
			e.aliases[r.vars.all[i]] = alias
		}
	}
	return e
}

func (e *emitter) condition(n node) (string, error) {
	text := trimParens(e.cond(n, true, widen))
	return text, e.err
}

// trimParens takes off parentheses that enclose the whole text.
func trimParens(s string) string {
	if !strings.HasPrefix(s, "((") && !strings.HasPrefix(s, "(") || !strings.HasSuffix(s, ")") {
		return s
	}
	level, inString := 0, byte(0)
	for i := range len(s) {
		switch c := s[i]; {
		case inString != 0:
			if c == inString {
				inString = 0
			}
		case c == '"' || c == '\'':
			inString = c
		case c == '(':
			level++
		case c == ')':
			if level--; level == 0 && i < len(s)-1 {
				return s
			}
		}
	}
	return s[1 : len(s)-1]
}

func (e *emitter) fail(format string, args ...any) string {
	if e.err == nil {
		e.err = fmt.Errorf(format, args...)
	}
	return "null"
}

// cond writes a condition that has the truth value want.
func (e *emitter) cond(n node, want bool, d direction) string {
	switch n := n.(type) {
	case *constant:
		return fmt.Sprint(isTrue(n.v) == want)
	case *not:
		return e.cond(n.a, !want, d)
	case *and:
		return e.junction(n.parts, want, want, d)
	case *or:
		return e.junction(n.parts, !want, want, d)
	case *quantifier:
		return e.quantifier(n, want, d)
	case *named:
		return e.named(n, want, d)
	case *fact:
		return e.fact(n, want)
	case *compare, *equal:
		if q := e.asExistence(n); q != nil {
			return e.quantifier(q, want, d)
		}
	case *truth:
		if c, ok := n.a.(*choose); ok {
			return e.chooseCondition(c, want, d)
		}
	}
	return e.leaf(n, want, d)
}

func (e *emitter) junction(parts []node, conjunction, want bool, d direction) string {
	word, neutral := " or ", "false"
	if conjunction {
		word, neutral = " and ", "true"
	}
	var texts []string
	if conjunction && want {
		picked, others := e.sharePicks(parts)
		texts, parts = e.shareGroups(others)
		texts = append(picked, texts...)
	}
	for _, p := range parts {
		if text := e.cond(p, want, d); text != neutral {
			texts = append(texts, text)
		}
	}
	switch len(texts) {
	case 0:
		return neutral
	case 1:
		return texts[0]
	}
	return "(" + strings.Join(texts, word) + ")"
}

// chooseCondition is cond ? a : b for booleans; NULL in CASE WHEN counts as false, as it should.
func (e *emitter) chooseCondition(n *choose, want bool, d direction) string {
	a, b := asCondition(n.a), asCondition(n.b)
	if why := unsayable(n.cond); why != nil {
		return fmt.Sprintf("((%s and %s) or (%s and %s))", e.cond(n.cond, true, d), e.cond(a, want, d),
			e.cond(n.cond, false, d), e.cond(b, want, d))
	}
	return fmt.Sprintf("case when %s then %s else %s end", e.cond(n.cond, true, d), e.cond(a, want, d), e.cond(b, want, d))
}

// leaf writes a condition without parts that are decided on their own, or leaves it to the VM.
func (e *emitter) leaf(n node, want bool, d direction) string {
	if why := unsayable(n); why != nil {
		return e.unknown(why, d)
	}
	if extreme, ok := e.asExtreme(n); ok {
		n = extreme
	}
	if text, ok := e.groupLeaf(n, want); ok {
		return text
	}
	if text, ok := e.hopLeaf(n, want); ok {
		return text
	}
	if want {
		return e.positive(n)
	}
	return e.negative(n)
}

// unknown stands for a condition that only the VM can decide.
func (e *emitter) unknown(why *reason, d direction) string {
	if key := (residualKey{e.source(), why.at}); !e.seen(key) {
		e.residual = append(e.residual, e.reason(why))
	}
	if e.mutate == mutateNarrow {
		return "true"
	}
	return fmt.Sprint(bool(d))
}

type reason struct {
	at   span
	text string
}

// unsayable finds what in a lowered node SQL can't say exactly; nil when it can say everything.
func unsayable(n node) *reason {
	switch n := n.(type) {
	case *named:
		return n.unsayable()
	case *match:
		if _, ok := pgPattern(n.re); !ok {
			return &reason{n.at(), "databases have their own idea of word boundaries, line ends and very large patterns in a regular expression"}
		}
	case *call:
		if n.fn.sql == nil && n.fn.residual != "" {
			return &reason{n.at(), n.fn.residual}
		}
	}
	for _, c := range children(n) {
		if why := unsayable(c); why != nil {
			return why
		}
	}
	return nil
}

func (e *emitter) positive(n node) string {
	if text, ok := e.rawText(n); ok {
		return text
	}
	switch n := n.(type) {
	case *overTexts:
		return e.overTextsSQL(n)
	case *compare:
		return e.compareSQL(n.a, n.op, n.b)
	case *equal:
		return e.equalSQL(n)
	case *isNil:
		return e.value(n.a) + " is null"
	case *member:
		return e.memberSQL(n)
	case *between:
		return fmt.Sprintf("%s between %s and %s", e.value(n.x), e.value(n.lo), e.value(n.hi))
	case *contains:
		return e.containsSQL(n)
	case *textTest:
		return e.textTestSQL(n)
	case *match:
		return e.matchSQL(n)
	case *truth:
		return e.value(n.a)
	}
	return e.fail("segment: unknown condition %T", n)
}

// negative is the exact negation of positive, also where that is NULL.
func (e *emitter) negative(n node) string {
	certain := !slices.ContainsFunc(children(n), nullable)
	switch n := n.(type) {
	case *compare:
		if certain {
			return e.compareSQL(n.a, inverse(n.op), n.b)
		}
	case *equal:
		return e.unequalSQL(n)
	case *isNil:
		return e.value(n.a) + " is not null"
	case *member:
		if text, ok := e.notMemberSQL(n, certain); ok {
			return text
		}
	case *truth:
		if _, ok := n.a.(*column); ok && certain {
			return "not " + e.positive(n)
		} else if ok && e.mutate != mutateIsNotTrue {
			return e.positive(n) + " is not true"
		}
	}
	if e.mutate == mutateIsNotTrue || certain {
		return "not (" + e.positive(n) + ")"
	}
	return "(" + e.positive(n) + ") is not true"
}

func nullable(n node) bool { return n.nullable() }

// canonicalText writes a value as text.
func (e *emitter) canonicalText(n node) (string, error) {
	if why := unsayable(n); why != nil {
		return "", errors.New(e.rule.source.quote(why.at) + ": " + why.text)
	}
	text := e.canonical(n)
	return text, e.err
}

func (e *emitter) bind(v any, cast string) string { return e.args.Bind(v, cast) }
