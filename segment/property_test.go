package segment

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

// testDatabases are the ones in which SQL must not differ from the VM: text order by bytes and by a locale, and a session
// in a zone that is neither the company's nor UTC.
func testDatabases() map[string][]pgtest.Option {
	return map[string][]pgtest.Option{
		"C":    {pgtest.Collation("C")},
		"ICU":  {pgtest.ICU("en-x-icu")},
		"zone": {pgtest.TimeZone("Asia/Tokyo"), pgtest.Setting("datestyle", "German, DMY"), pgtest.Setting("intervalstyle", "sql_standard")},
	}
}

// fataler is a test, or an attempt that may fail.
type fataler interface {
	Fatalf(format string, args ...any)
}

type failure string

// Fatalf ends the attempt.
func (f *failure) Fatalf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

// attempt says how what it calls failed, nil when it did not.
func attempt(what func(t fataler)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	what(new(failure))
	return nil
}

// compare asks one database and the VM the same rule.
func (w *world) compare(t fataler, db *pgxpool.Pool, text string, clock Clock) {
	scope := testScope(w.schema)
	rule, problems := ParseRule(Text(text), scope)
	if problems != nil {
		if tooBig(problems.Error()) {
			return
		}
		t.Fatalf("a rule of correct types is refused:\n%v", problems)
	}
	q, err := Audience(scope, nil, rule, &Args{}, clock)
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	w.compareQuery(t, db, q, rule, clock)
}

func (w *world) compareQuery(t fataler, db *pgxpool.Pool, q *Query, rule *Rule, clock Clock) {
	fromSQL, err := queryIDs(db, q)
	if err != nil {
		t.Fatalf("%s\n%s\n%v\n%v", rule.Text(), q.Where, q.Args.Values(), err)
	}
	if d := disagreement(fromSQL, w.match(t, rule, clock), q.Exact); d != "" {
		t.Fatalf("%s\n%s\nargs %v\nclock %v\n%s", rule.Text(), q.Where, q.Args.Values(), clock, w.explain(d))
	}
}

// tooBig problems are no mistakes of the generator, nor are comparisons with what a function never gives.
func tooBig(message string) bool {
	return strings.Contains(message, ", never ") || strings.Contains(message, "no number lies from") || strings.Contains(message, "nothing is in an empty list") ||
		strings.Contains(message, "nested more than") || strings.Contains(message, "too large") || strings.Contains(message, "parts")
}

func queryIDs(db *pgxpool.Pool, q *Query) ([]int64, error) {
	sql := "select c.id from " + q.From + " where " + q.Where + " order by 1"
	rows, _ := db.Query(context.Background(), sql, append([]any{pgx.QueryExecModeDescribeExec}, q.Args.Values()...)...)
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

func (w *world) match(t fataler, rule *Rule, clock Clock) []int64 {
	program, err := rule.Program(clock)
	if err != nil {
		t.Fatalf("%v", err)
	}
	var ids []int64
	for _, row := range w.customers {
		ok, err := program.Match(w.row(row, rule, clock))
		if err != nil {
			t.Fatalf("%v", err)
		}
		if ok {
			ids = append(ids, row["id"].(int64))
		}
	}
	return ids
}

// disagreement names the first customer that only one of the two chooses, as "SQL 17" or "VM 17".
func disagreement(fromSQL, fromVM []int64, exact bool) string {
	for _, id := range fromVM {
		if !slices.Contains(fromSQL, id) {
			return fmt.Sprint("VM ", id)
		}
	}
	for _, id := range fromSQL {
		if exact && !slices.Contains(fromVM, id) {
			return fmt.Sprint("SQL ", id)
		}
	}
	return ""
}

func (w *world) explain(d string) string {
	who, number, _ := strings.Cut(d, " ")
	id, err := strconv.Atoi(number)
	if err != nil {
		return d
	}
	return fmt.Sprintf("only %s chooses customer %d: %v", who, id, w.customers[id-1])
}

// TestKeysStreamTheAudience: with rows loaded from the database and the VM deciding the residual, the audience is what
// the VM alone chooses from the rows that the test made.
func TestKeysStreamTheAudience(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	db := pgtest.Empty(t, testDatabases()["zone"]...)
	w.create(t, db)
	questions := w.questions()
	for range (*proofRules + 499) / 500 {
		rapid.Check(t, func(rt *rapid.T) {
			q := questions.Draw(rt, "question")
			w.compareKeys(rt, db, q.text, q.clock)
		})
	}
}

func (w *world) compareKeys(t fataler, db *pgxpool.Pool, text string, clock Clock) {
	scope := testScope(w.schema)
	rule, problems := ParseRule(Text(text), scope)
	if problems != nil {
		return
	}
	q, err := Audience(scope, nil, rule, &Args{}, clock)
	if err != nil {
		t.Fatalf("%v", err)
	}
	var ids []int64
	err = q.Keys(context.Background(), db, func(keys []Key) error {
		for _, k := range keys {
			id, _ := strconv.ParseInt(k.Customer, 10, 64)
			ids = append(ids, id)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	if d := disagreement(ids, w.match(t, rule, clock), true); d != "" {
		t.Fatalf("%s\n%s\nclock %v\n%s", text, q.Where, clock, w.explain(d))
	}
}
