package segment

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

// TestPlantedMistakesAreFound: the property test is only worth what it finds. Each mistake that mutation.go can plant in
// the translation must make SQL and VM disagree on some random rule.
func TestPlantedMistakesAreFound(t *testing.T) {
	t.Parallel()
	w := newWorld(2)
	db := pgtest.Empty(t, pgtest.ICU("en-x-icu"), pgtest.TimeZone("Asia/Tokyo"))
	w.create(t, db)
	draw := rapid.Custom(func(rt *rapid.T) question {
		g := &generator{t: rt, schema: w.schema, residual: true}
		return question{g.condition(3), w.clocks[g.n(len(w.clocks))]}
	})
	for m := noMutation + 1; m < lastMutation; m++ {
		t.Run(fmt.Sprint("mistake ", m), func(t *testing.T) {
			t.Parallel()
			for seed := range 20_000 {
				if w.disagree(t, db, draw.Example(seed), m) {
					return
				}
			}
			t.Error("no rule found this planted mistake")
		})
	}
}

type question struct {
	text  string
	clock Clock
}

// disagree asks only rules that the mistake translates otherwise.
func (w *world) disagree(t *testing.T, db *pgxpool.Pool, q question, m mutation) bool {
	rule, problems := ParseRule(Text(q.text), NewScope(w.schema))
	if problems != nil {
		return false
	}
	aliases := map[string]string{"customer": "c"}
	right, err := rule.SQL(&Args{}, q.clock, aliases)
	if err != nil {
		t.Fatal(err)
	}
	rule.mutate = m
	var args Args
	wrong, err := rule.SQL(&args, q.clock, aliases)
	if err != nil {
		t.Fatal(err)
	}
	if m != mutateDayRounding && m != mutateLikeEscape && right.SQL == wrong.SQL {
		return false
	}
	f := &failure{}
	w.compare(f, db, q.text, q.clock, m)
	return f.failed
}

type failure struct{ failed bool }

func (f *failure) Fatalf(string, ...any) { f.failed = true }
