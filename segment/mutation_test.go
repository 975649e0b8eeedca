package segment

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

// plantedMistakes are the mistakes of mutation.go by name.
func plantedMistakes() map[mutation]string {
	return map[mutation]string{
		mutateIsNotTrue:     "not of a leaf that may be null",
		mutatePolarity:      "all looks for a row that satisfies",
		mutateCollate:       "text order of the database",
		mutateSumOfNothing:  "the sum of no rows is null",
		mutateDayRounding:   "a day begins after its first moment",
		mutateLikeEscape:    "wildcards in a literal",
		mutateNilInList:     "nil in a list is ignored",
		mutateDistinct:      "!= as <>",
		mutateNullif:        "division by zero",
		mutateSessionZone:   "dates in the zone of the session",
		mutateEmptyGroup:    "customers without rows are forgotten",
		mutateNarrow:        "a superset under not exists",
		mutateSharedFilters: "groups over different rows are one",
		mutatePickEnd:       "last for first",
		mutateTieCollate:    "ties of text keys in the order of the database",
		mutatePickFilters:   "find without its condition",
		mutateLeapDay:       "29 February is not celebrated in common years",
		mutateWithinEnd:     "the last day of within does not count",
		mutateNewYear:       "what lies behind New Year does not count",
		mutateFirstYear:     "the day itself is an anniversary",
		mutateAge:           "an age is reached on the day after the birthday",
		mutateSplit:         "all random shares are the same",
		mutateInnerJoin:     "nested aggregates forget rows without rows",
		mutateHopShare:      "conditions on different rows asked of one",
		mutateJSONText:      "a text within JSON that looks like a number is one",
		mutateJSONGuard:     "a value within JSON is cast whatever it is",
		mutateListNull:      "a missing text in a list counts",
		mutateSplitEmpty:    "splitting an empty text gives nothing",
		mutateRoundEven:     "a half is rounded to the even number",
		mutateFoldASCII:     "only A to Z have small letters",
		mutateWithin:        "a period that counts from the wrong side",
		mutateOtherCampaign: "messages of other campaigns",
		mutateSuppressed:    "an address that is suppressed",
		mutateThreshold:     "a threshold of the base too high",
		mutateTies:          "whoever is at a threshold is beyond it",
	}
}

// TestPlantedMistakesAreFound: the proof is only worth what it finds. Each mistake that mutation.go can plant in the
// translation must make SQL and VM disagree on one of 20,000 random rules.
func TestPlantedMistakesAreFound(t *testing.T) {
	t.Parallel()
	alone(t)
	w := newWorld(2)
	db := pgtest.Empty(t, pgtest.ICU("en-x-icu"), pgtest.TimeZone("Asia/Tokyo"), pgtest.Setting("jit", "off"))
	w.create(t, db)
	h := &hunt{world: w, db: db, reached: map[mutation]int{}, found: map[mutation]string{}}
	for m := noMutation + 1; m < lastMutation; m++ {
		h.sought = append(h.sought, m)
	}
	draw := rapid.Custom(func(rt *rapid.T) question {
		g := &generator{t: rt, schema: w.schema, residual: true}
		return w.question(g.condition(3), w.clocks[g.n(len(w.clocks))])
	})
	drawn := 0
	for ; drawn < 20_000 && len(h.sought) > 0; drawn++ {
		if err := h.try(draw.Example(drawn)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d rules", drawn)
	h.report(t)
}

// hunt is for rules that find planted mistakes.
type hunt struct {
	world   *world
	db      *pgxpool.Pool
	sought  []mutation
	reached map[mutation]int    // how many rules the mistake translates otherwise
	found   map[mutation]string // and the one that showed it
}

// try asks a question with each mistake that is still sought.
func (h *hunt) try(q question) error {
	scope := testScope(h.world.schema)
	rule, problems := ParseRule(Text(q.text), scope)
	if problems != nil {
		return nil // TestSQLAgreesWithVM says so if it should not be refused
	}
	translate := func(m mutation) (*Query, string, error) {
		rule.mutate = m
		defer func() { rule.mutate = noMutation }()
		query, err := Audience(scope, nil, rule, &Args{}, q.clock)
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", q.text, err)
		}
		return query, fmt.Sprint(query.Where, query.Args.Values()), nil
	}
	_, right, err := translate(noMutation)
	if err != nil {
		return err
	}
	for _, m := range slices.Clone(h.sought) {
		query, wrong, err := translate(m)
		if err != nil {
			return err
		}
		if wrong == right {
			continue
		}
		h.reached[m]++
		if err := attempt(func(t fataler) { h.world.compareQuery(t, h.db, query, rule, q.clock) }); err != nil {
			h.found[m] = q.text
			h.sought = slices.DeleteFunc(h.sought, func(s mutation) bool { return s == m })
		}
	}
	return nil
}

func (h *hunt) report(t *testing.T) {
	names := plantedMistakes()
	for m := noMutation + 1; m < lastMutation; m++ {
		name := names[m]
		if name == "" {
			t.Errorf("mistake %d of mutation.go has no name in plantedMistakes", m)
			continue
		}
		t.Run(name, func(t *testing.T) {
			switch {
			case h.reached[m] == 0:
				t.Error("no rule has what this mistake is about: the generator must draw it")
			case h.found[m] == "":
				t.Errorf("%d rules have what this mistake is about, and none found it", h.reached[m])
			}
			t.Logf("reached by %d rules, found by %s", h.reached[m], h.found[m])
		})
	}
}
