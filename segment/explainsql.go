package segment

import (
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// maxSQLLine is how long a line of SQL may be before its conditions are put on lines of their own.
const maxSQLLine = 76

// formatSQL breaks SQL that the emitter wrote into lines. It changes nothing but white space outside quotes.
func formatSQL(sql string) string {
	p := &sqlPrinter{}
	p.print(parseSQL(sql), 0)
	return strings.TrimRight(p.out.String(), " \n")
}

// sqlPiece is a word with the blank before it, or a group in brackets.
type sqlPiece struct {
	text   string
	spaced bool // a blank stood before it
	group  []sqlPiece
	isList bool
}

// parseSQL cuts SQL into words and groups.
func parseSQL(sql string) []sqlPiece {
	c := &sqlCutter{text: sql}
	return c.pieces()
}

type sqlCutter struct {
	text string
	i    int
}

func (c *sqlCutter) pieces() []sqlPiece {
	var list []sqlPiece
	spaced := false
	for c.i < len(c.text) {
		switch ch := c.text[c.i]; ch {
		case ' ', '\n', '\t':
			spaced = true
			c.i++
		case ')':
			return list
		case '(':
			c.i++
			inner := c.pieces()
			c.i++
			list = append(list, sqlPiece{spaced: spaced, group: inner, isList: true})
			spaced = false
		default:
			list = append(list, sqlPiece{text: c.word(), spaced: spaced})
			spaced = false
		}
	}
	return list
}

func (c *sqlCutter) word() string {
	from := c.i
	for c.i < len(c.text) && !strings.ContainsRune(" \n\t()", rune(c.text[c.i])) {
		if q := c.text[c.i]; q == '"' || q == '\'' {
			c.i++
			for c.i < len(c.text) && c.text[c.i] != q {
				c.i++
			}
		}
		c.i++
	}
	return c.text[from:min(c.i, len(c.text))]
}

// inline is pieces on one line.
func inline(list []sqlPiece) string {
	var b strings.Builder
	for i, p := range list {
		if p.spaced && i > 0 {
			b.WriteByte(' ')
		}
		if p.isList {
			b.WriteString("(" + inline(p.group) + ")")
		} else {
			b.WriteString(p.text)
		}
	}
	return b.String()
}

type sqlPrinter struct{ out strings.Builder }

func (p *sqlPrinter) newline(indent int) { p.out.WriteString("\n" + strings.Repeat("  ", indent)) }

// print writes pieces, with a new line before each clause and each condition.
func (p *sqlPrinter) print(list []sqlPiece, indent int) {
	between := false
	for i, piece := range list {
		switch {
		case i > 0 && breaksBefore(list, i, between):
			p.newline(indent)
		case piece.spaced && i > 0:
			p.out.WriteByte(' ')
		}
		if piece.text == "between" {
			between = true
		} else if piece.text == "and" {
			between = false
		}
		p.piece(piece, indent)
	}
}

func (p *sqlPrinter) piece(piece sqlPiece, indent int) {
	if !piece.isList {
		p.out.WriteString(piece.text)
		return
	}
	line := inline(piece.group)
	if len(line)+2*indent < maxSQLLine || !breakable(piece.group) {
		p.out.WriteString("(" + line + ")")
		return
	}
	p.out.WriteByte('(')
	p.newline(indent + 1)
	p.print(piece.group, indent+1)
	p.newline(indent)
	p.out.WriteByte(')')
}

// breakable says that a group has clauses or conditions to be put on lines.
func breakable(list []sqlPiece) bool {
	for i := range list {
		if i > 0 && breaksBefore(list, i, false) {
			return true
		}
		if list[i].isList && breakable(list[i].group) {
			return true
		}
	}
	return false
}

func hasSelect(list []sqlPiece) bool { return len(list) > 0 && list[0].text == "select" }

// breaksBefore says whether a word begins a line: from, where, group by, join; and, or of conditions.
func breaksBefore(list []sqlPiece, i int, between bool) bool {
	switch list[i].text {
	case "and":
		return !between
	case "or":
		return true
	case "from":
		return hasSelect(list) && list[i-1].text != "distinct" && list[i-1].text != "select"
	case "where", "join", "union", "limit", "having":
		return hasSelect(list)
	case "group", "order":
		return hasSelect(list) && i+1 < len(list) && list[i+1].text == "by"
	}
	return false
}

// argWords are the values of the parameters, for people.
func argWords(args *Args) []string {
	var list []string
	for _, v := range args.Values() {
		list = append(list, argWord(v))
	}
	return list
}

func argWord(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("%q", v)
	case pgtype.Date:
		if v.InfinityModifier == pgtype.Finite {
			return v.Time.Format(time.DateOnly)
		}
		return v.InfinityModifier.String()
	case pgtype.Timestamp:
		if v.InfinityModifier == pgtype.Finite {
			return v.Time.Format("2006-01-02 15:04:05.999999")
		}
		return v.InfinityModifier.String()
	case pgtype.Timestamptz:
		if v.InfinityModifier == pgtype.Finite {
			return v.Time.UTC().Format("2006-01-02 15:04:05.999999 MST")
		}
		return v.InfinityModifier.String()
	case pgtype.Numeric:
		if text, err := v.Value(); err == nil {
			return fmt.Sprint(text)
		}
	case pgtype.Interval:
		return intervalWords(v)
	case []string:
		return fmt.Sprintf("%q", v)
	case []pgtype.Date:
		return listWords(v)
	case []pgtype.Timestamp:
		return listWords(v)
	case []pgtype.Timestamptz:
		return listWords(v)
	case []pgtype.Numeric:
		return listWords(v)
	case []pgtype.UUID:
		return listWords(v)
	case pgtype.UUID:
		return v.String()
	}
	return fmt.Sprint(v)
}

func listWords[T any](list []T) string {
	var words []string
	for _, v := range list {
		words = append(words, argWord(v))
	}
	return "{" + strings.Join(words, ",") + "}"
}

// Words are the values in order, for people.
func (a *Args) Words() []string { return argWords(a) }

func intervalWords(v pgtype.Interval) string {
	var parts []string
	for _, p := range []struct {
		n    int64
		unit string
	}{{int64(v.Months), "months"}, {int64(v.Days), "days"}} {
		if p.n != 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.unit))
		}
	}
	if v.Microseconds != 0 || len(parts) == 0 {
		parts = append(parts, (time.Duration(v.Microseconds) * time.Microsecond).String())
	}
	return strings.Join(parts, " ")
}
