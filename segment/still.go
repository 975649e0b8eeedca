package segment

import (
	"context"
	"fmt"
	"slices"
)

// Still asks the rules again about a few customers, whose keys are as the database writes them, and gives the keys of the
// rows that they mean now. Go decides: the rows are looked up by key, where the rules' SQL may read whole tables to find
// everybody. A nil rule means everybody.
func Still(ctx context.Context, db DB, scope *Scope, customers []string, clock Clock, rules ...*Rule) ([]Key, error) {
	q, err := Audience(scope, nil, nil, &Args{}, clock)
	if err != nil {
		return nil, err
	}
	column := scope.Schema.KeyColumn()
	q.Where = fmt.Sprintf("%s.%s = any(%s::%s[])", CustomerAlias, column.SQL(), q.Args.Bind(customers, "text[]"), column.PGType)
	q.Exact = false // so that Go decides
	q.rules = slices.DeleteFunc(slices.Clone(rules), func(r *Rule) bool { return r == nil })
	var still []Key
	err = q.Keys(ctx, db, func(keys []Key) error { still = append(still, keys...); return nil })
	return still, err
}
