package segment

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a translated pattern may cost: the characters it can stand for when repetitions are written out, and the ranges of
// one class. PostgreSQL refuses patterns that are too complex.
const (
	maxPattern = 1000
	maxRanges  = 200
	maxRepeat  = 255 // PostgreSQL's own
)

// pgPattern writes a regular expression for PostgreSQL; false where the two could differ. Whether a text matches depends
// only on the language of the expression, so everything that is regular in the strict sense is the same in both engines
// when no class depends on a locale: characters by number, classes as ranges of numbers, one after another, either, and
// repetition. Left out are the conditions between characters: word boundaries, line ends, and ends within a repetition.
func pgPattern(re *regexp.Regexp) (string, bool) {
	tree, err := syntax.Parse(re.String(), syntax.Perl)
	if err != nil {
		return "", false
	}
	p := &patternWriter{ok: true}
	p.write(tree, false)
	if p.ok = p.ok && weight(tree) <= maxPattern; !p.ok {
		return "", false
	}
	return "***:" + p.String(), true
}

type patternWriter struct {
	strings.Builder
	ok bool
}

func (p *patternWriter) write(n *syntax.Regexp, repeated bool) {
	switch n.Op {
	case syntax.OpEmptyMatch:
		p.WriteString("(?:)")
	case syntax.OpLiteral:
		for _, r := range n.Rune {
			p.letter(r, n.Flags&syntax.FoldCase != 0)
		}
	case syntax.OpCharClass:
		p.class(n.Rune)
	case syntax.OpAnyCharNotNL:
		p.WriteString(`[^\u000a]`)
	case syntax.OpAnyChar:
		p.WriteString(`(?:[^\u000a]|\u000a)`)
	case syntax.OpBeginText, syntax.OpEndText:
		p.ok = p.ok && !repeated
		p.WriteString(map[syntax.Op]string{syntax.OpBeginText: `\A`, syntax.OpEndText: `\Z`}[n.Op])
	case syntax.OpCapture:
		p.group(n.Sub, "", repeated)
	case syntax.OpConcat:
		for _, sub := range n.Sub {
			p.group([]*syntax.Regexp{sub}, "", repeated)
		}
	case syntax.OpAlternate:
		p.group(n.Sub, "", repeated)
	case syntax.OpStar:
		p.group(n.Sub, "*", true)
	case syntax.OpPlus:
		p.group(n.Sub, "+", true)
	case syntax.OpQuest:
		p.group(n.Sub, "?", true)
	case syntax.OpRepeat:
		p.group(n.Sub, p.times(n.Min, n.Max), true)
	default:
		p.ok = false
	}
}

// group is alternatives, and how often.
func (p *patternWriter) group(alternatives []*syntax.Regexp, times string, repeated bool) {
	p.WriteString("(?:")
	for i, sub := range alternatives {
		if i > 0 {
			p.WriteString("|")
		}
		p.write(sub, repeated)
	}
	p.WriteString(")" + times)
}

func (p *patternWriter) times(least, most int) string {
	p.ok = p.ok && least <= maxRepeat && most <= maxRepeat
	switch {
	case most < 0:
		return fmt.Sprintf("{%d,}", least)
	case most == least:
		return fmt.Sprintf("{%d}", least)
	}
	return fmt.Sprintf("{%d,%d}", least, most)
}

func (p *patternWriter) letter(r rune, anyCase bool) {
	if unstorable(r) {
		p.ok = false
		return
	}
	if !anyCase {
		p.WriteString(escaped(r))
		return
	}
	ranges := []rune{r, r}
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		ranges = append(ranges, f, f)
	}
	p.class(ranges)
}

func (p *patternWriter) class(ranges []rune) {
	if len(ranges) == 0 || ranges[len(ranges)-1] == 0 || len(ranges) > 2*maxRanges {
		p.ok = false
		return
	}
	p.WriteString("[")
	for i := 0; i < len(ranges); i += 2 {
		lo, hi := max(ranges[i], 1), ranges[i+1] // no text has NUL
		if hi < 1 {
			continue
		}
		p.ok = p.ok && !unstorable(lo) && !unstorable(hi)
		p.WriteString(escaped(lo))
		if hi > lo {
			p.WriteString("-" + escaped(hi))
		}
	}
	p.WriteString("]")
}

// unstorable says that no text in the database can have the letter: it is NUL or half of a pair.
func unstorable(r rune) bool { return r == 0 || !utf8.ValidRune(r) }

func escaped(r rune) string {
	if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
		return string(r)
	}
	if r > 0xffff {
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// weight is how many characters the expression has with its repetitions written out.
func weight(n *syntax.Regexp) int {
	sum := len(n.Rune)/2 + 1
	for _, sub := range n.Sub {
		sum = min(sum+weight(sub), maxPattern+1)
	}
	if n.Op == syntax.OpRepeat {
		return min(sum*max(n.Min, n.Max, 1), maxPattern+1)
	}
	return sum
}
