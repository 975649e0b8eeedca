package segment

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

func TestValuesHaveOneText(t *testing.T) {
	t.Parallel()
	for name, options := range testDatabases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(1)
			db := pgtest.Empty(t, append(options, pgtest.Setting("extra_float_digits", "-3"))...)
			w.create(t, db)
			values := w.valuesAsked()
			for range (*proofRules + 999) / 1000 {
				rapid.Check(t, func(rt *rapid.T) {
					q := values.Draw(rt, "value")
					w.compareValue(rt, db, q.text, q.clock)
				})
			}
		})
	}
}

// valuesAsked draws values and moments.
func (w *world) valuesAsked() *rapid.Generator[question] {
	return rapid.Custom(func(t *rapid.T) question {
		g := &generator{t: t, schema: w.schema}
		return w.question(oneOf(g, g.number, g.text, g.moment, g.boolean)(2), w.clocks[g.n(len(w.clocks))])
	})
}

// compareValue compares the canonical text of every row's value.
func (w *world) compareValue(t fataler, db *pgxpool.Pool, text string, clock Clock) {
	value, problems := ParseValue(Text(text), testScope(w.schema))
	if problems != nil {
		if tooBig(problems.Error()) {
			return
		}
		t.Fatalf("a value of correct types is refused:\n%v", problems)
	}
	var args Args
	sql, err := value.SQL(&args, clock, map[string]string{"customer": "c"})
	if err != nil && strings.Contains(text, " matches ") && strings.Contains(err.Error(), "their own idea of word boundaries") {
		return // a pattern that only Go can decide
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	rows, _ := db.Query(context.Background(), "select "+sql+" from public.customers c order by c.id",
		append([]any{pgx.QueryExecModeDescribeExec}, args.Values()...)...)
	fromSQL, err := pgx.CollectRows(rows, pgx.RowTo[*string])
	if err != nil {
		t.Fatalf("%s\n%s\n%v\n%v", text, sql, args.Values(), err)
	}
	fromVM := w.texts(t, value, clock)
	if d := cmp.Diff(fromSQL, fromVM); d != "" {
		t.Fatalf("%s\n%s\n%v\nclock %v\nSQL -, VM +\n%s", text, sql, args.Values(), clock, d)
	}
}

func (w *world) texts(t fataler, value *Value, clock Clock) []*string {
	program, err := value.Program(clock)
	if err != nil {
		t.Fatalf("%v", err)
	}
	var texts []*string
	for _, row := range w.customers {
		text, ok, err := program.Text(w.row(row, &value.rule, clock))
		if err != nil {
			t.Fatalf("%v", err)
		}
		if !ok {
			if !value.Missing() {
				t.Fatalf("%s is missing for a row though it can't be", value.Text())
			}
			texts = append(texts, nil)
			continue
		}
		texts = append(texts, &text)
	}
	return texts
}
