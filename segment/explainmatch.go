package segment

import (
	"fmt"
	"regexp"
	"strings"
)

const (
	columnPattern = `^t\."((?:[^"]|"")+)"(?:::text)?`
	birthdayKey   = `(extract(month from t.%[1]s) * 100 + extract(day from t.%[1]s))::int`
)

var (
	comparePattern  = regexp.MustCompile(columnPattern + `( collate "C")? (?:<|<=|>|>=|=|between|in) `)
	anyPattern      = regexp.MustCompile(columnPattern + `( collate "C")? = any\(`)
	nullPattern     = regexp.MustCompile(columnPattern + `() is null$`)
	prefixPattern   = regexp.MustCompile(columnPattern + `() like \$(\d+)::text$`)
	listPattern     = regexp.MustCompile(`^t\."((?:[^"]|"")+)" @> array\[`)
	birthdayPattern = regexp.MustCompile(`^\(+extract\(month from t\."((?:[^"]|"")+)"\) \* 100`)
)

// indexFor is the index that serves a condition, by its SQL; nil where none does.
func indexFor(sql string, args *Args) *candidate {
	sql = strings.TrimPrefix(sql, "(")
	for _, p := range []*regexp.Regexp{comparePattern, anyPattern, nullPattern} {
		if m := p.FindStringSubmatch(sql); m != nil {
			return &candidate{key: "(" + ident(m[1]) + m[2] + ")", lead: m[1] + m[2]}
		}
	}
	if m := prefixPattern.FindStringSubmatch(sql); m != nil && len(args.values) == 1 {
		if pattern, ok := args.values[0].(string); ok && !strings.HasPrefix(pattern, "%") && !strings.HasPrefix(pattern, "_") {
			return &candidate{key: "(" + ident(m[1]) + " text_pattern_ops)", lead: m[1], ops: "text_pattern_ops"}
		}
	}
	if m := listPattern.FindStringSubmatch(sql); m != nil {
		return &candidate{key: "using gin (" + ident(m[1]) + ")", lead: m[1]}
	}
	if m := birthdayPattern.FindStringSubmatch("(" + sql); m != nil {
		col := ident(m[1])
		expression := strings.ReplaceAll(fmt.Sprintf(birthdayKey, col), "t."+col, col)
		return &candidate{key: "((" + expression + "))", lead: "extract(month from " + m[1] + ")"}
	}
	return nil
}

var plainIdent = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// ident quotes a name where it needs that.
func ident(name string) string {
	if plainIdent.MatchString(name) {
		return name
	}
	return quote(strings.ReplaceAll(name, `""`, `"`))
}
