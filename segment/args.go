package segment

import (
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgtype"
)

// Args collects the bound parameters that all parts of one statement share. The zero value is ready for use.
//
// The values carry their own type (pgtype.Date, pgtype.Numeric …), so a statement means the same in every
// pgx.QueryExecMode.
type Args struct {
	values []any
	seen   map[string]int
}

// Bind adds a value and returns its placeholder with the cast, such as "$3::text". An equal value is bound once.
func (a *Args) Bind(v any, cast string) string {
	key, comparable := bindKey(v, cast)
	n, ok := a.seen[key]
	if !comparable || !ok {
		n = a.add(v, key)
	}
	return "$" + strconv.Itoa(n) + "::" + cast
}

func (a *Args) add(v any, key string) int {
	a.values = append(a.values, v)
	if a.seen == nil {
		a.seen = map[string]int{}
	}
	a.seen[key] = len(a.values)
	return len(a.values)
}

// bindKey identifies a value among those of the statement; false for types whose text would not.
func bindKey(v any, cast string) (string, bool) {
	switch v := v.(type) {
	case string, []string:
		return fmt.Sprintf("%q %s", v, cast), true
	case pgtype.Timestamptz:
		return fmt.Sprintf("%d %v %s", v.Time.UnixMicro(), v.InfinityModifier, cast), v.Valid
	case bool, int, int64, int32, float64:
		return fmt.Sprintf("%T %v %s", v, v, cast), true
	}
	return "", false
}

// Values are the parameters in order, for Query or Exec.
func (a *Args) Values() []any { return a.values }
