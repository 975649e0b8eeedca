package delivery

import (
	"testing"
	"time"
)

// Which account messages go by, by the two breakers.
func TestRoute(t *testing.T) {
	t.Parallel()
	at := func(seconds int) time.Time { return time.Date(2026, 11, 23, 2, 0, seconds, 0, time.UTC) }
	fine := standing{}
	open := func(since, until int) standing { return standing{open: true, since: at(since), until: at(until)} }
	probing := func(since int) standing {
		return standing{open: true, since: at(since), until: at(since), probing: true}
	}
	refused := standing{open: true, refused: true, since: at(0), until: at(2)}
	for name, c := range map[string]struct {
		first  standing
		second *standing
		now    int
		by     way
		wait   int // seconds
	}{
		"both work":                              {fine, &fine, 0, byFirst, 0},
		"one account":                            {fine, nil, 0, byFirst, 0},
		"one account, its breaker open":          {open(0, 16), nil, 3, byNone, 13},
		"one account, somebody tries":            {probing(0), nil, 3, byNone, 1},
		"one account, to be tried":               {open(0, 16), nil, 16, byFirst, 0},
		"the first just broke":                   {open(0, 2), &fine, 1, byNone, 1},
		"the first is to be tried":               {open(0, 2), &fine, 2, byFirst, 0},
		"the first does not answer yet":          {probing(0), &fine, 3, byNone, 1},
		"the first may be back before patience":  {open(0, 14), &fine, 7, byNone, 3},
		"the first has been away for 10 s":       {open(0, 14), &fine, 10, bySecond, 0},
		"the first is tried, others go on":       {probing(0), &fine, 14, bySecond, 0},
		"the first is away, to be tried again":   {open(0, 60), &fine, 60, byFirst, 0},
		"the first refuses us":                   {refused, &fine, 0, bySecond, 0},
		"the first refuses us, to be tried":      {refused, &fine, 2, byFirst, 0},
		"both are away":                          {open(0, 60), func() *standing { s := open(30, 34); return &s }(), 31, byNone, 3},
		"both are away, the first is back first": {open(0, 33), func() *standing { s := open(30, 60); return &s }(), 31, byNone, 2},
		"both are away, the second to be tried":  {open(0, 60), func() *standing { s := open(30, 34); return &s }(), 34, bySecond, 0},
	} {
		by, wait := route(c.first, c.second, at(c.now))
		if by != c.by || wait != time.Duration(c.wait)*time.Second {
			t.Errorf("%s: %d after %s, want %d after %d s", name, by, wait, c.by, c.wait)
		}
	}
}
