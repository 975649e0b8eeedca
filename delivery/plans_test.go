package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// TestLedgerPlans holds the books' statements to plans that look messages up, also where the plan is made while the tables
// are nearly empty: it is kept until the tables are analysed, and a run may have planned a million messages by then. Where a
// table was analysed while its rows were not committed, PostgreSQL takes it for empty whatever its size, and joins in any
// order: whichever way it joins, it must not read more of the large tables than the batch.
func TestLedgerPlans(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	run := ledgertest.NewCampaign(t, pool, "birthday", "news").Run(t, "plans", 3)
	values := map[string]string{
		"lo": fmt.Sprint(run.Base + 1), "hi": fmt.Sprint(run.Base + 3), "batch": "1", "worker": "1", "epoch": "1", "run": fmt.Sprint(run.ID),
		"n": "500", "now": "'2026-11-23 02:00Z'", "channel": "'email'", "topic": "'news'", "confirms": "false", "each": "true", "gives_up": "true",
	}
	quiet := []customer.Window{{}}
	capped := []customer.Cap{{Most: 1}}
	statements := map[string]string{
		"claim": (&Limits{}).claimSQL(), "claim, quiet": (&Limits{Quiet: quiet}).claimSQL(), "claim, capped": (&Limits{Caps: capped}).claimSQL(),
		"record": recordSQL, "give back": freeSQL, "release": releaseSQL,
	}
	for _, full := range []bool{false, true} {
		if full {
			ledgertest.NewCampaign(t, pool, "offer", "news").Run(t, "full", 20000)
			ledgertest.Exec(t, pool, `analyze`)
		}
		for _, joins := range []string{"", "set enable_nestloop = off", "set enable_nestloop = off; set enable_hashjoin = off"} {
			books := booksOf(t, pool)
			ledgertest.Exec(t, books, joins)
			for _, name := range slices.Sorted(maps.Keys(statements)) {
				text, args, err := pgx.NamedArgs(namedArgs(statements[name])).RewriteQuery(t.Context(), nil, statements[name], nil)
				if err != nil {
					t.Fatal(err)
				}
				literals := make([]string, len(args))
				for i, a := range args {
					literals[i] = "null"
					if v, ok := values[a.(string)]; ok {
						literals[i] = v
					}
				}
				checkPlan(t, books, fmt.Sprintf("%s, full: %v, %s", name, full, joins), text, literals)
			}
			checkPlan(t, books, fmt.Sprintf("advance, full: %v, %s", full, joins), advanceSQL,
				[]string{"null", "null", "null", "null", "null", "null", "null", "null", "1", "1", "1", values["run"]})
		}
	}
}

// booksOf are connections as the engine opens them for the ledger's statements.
func booksOf(t *testing.T, pool *pgxpool.Pool) *pgxpool.Pool {
	t.Helper()
	cfg := pool.Config()
	cfg.MaxConns = 1
	maps.Copy(cfg.ConnConfig.RuntimeParams, booksParams)
	books, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(books.Close)
	return books
}

// namedArgs gives each @name of a statement its own name as its value.
func namedArgs(sql string) map[string]any {
	args := map[string]any{}
	for _, m := range regexp.MustCompile(`@(\w+)`).FindAllStringSubmatch(sql, -1) {
		args[m[1]] = m[1]
	}
	return args
}

func checkPlan(t *testing.T, books *pgxpool.Pool, name, sql string, literals []string) {
	t.Helper()
	conn, err := books.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(t.Context(), "prepare planned as "+sql); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer conn.Exec(t.Context(), "deallocate planned") //nolint:errcheck // the next prepare says so
	var plans []struct{ Plan map[string]any }
	var text []byte
	err = conn.QueryRow(t.Context(), "explain (format json) execute planned("+strings.Join(literals, ", ")+")", pgx.QueryExecModeSimpleProtocol).Scan(&text)
	if err == nil {
		err = json.Unmarshal(text, &plans)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, whole := range readsWhole(plans[0].Plan) {
		t.Errorf("%s reads all of %s", name, whole)
	}
}

var large = regexp.MustCompile(`^(messages|attempts|occasions|addresses|consents|suppressions|contacts|erasures)`)

// readsWhole are the large tables of which a plan reads all: it looks nothing up, does not stop after the first rows, and is not
// behind a question that is asked first.
func readsWhole(plan map[string]any) (tables []string) {
	if _, asks := plan["One-Time Filter"]; asks {
		return nil
	}
	table, _ := plan["Relation Name"].(string)
	node, _ := plan["Node Type"].(string)
	if node == "Bitmap Index Scan" {
		table, _ = plan["Index Name"].(string)
	}
	_, looksUp := plan["Index Cond"]
	if large.MatchString(table) && node != "ModifyTable" && node != "Bitmap Heap Scan" && !looksUp && plan["Parent Relationship"] != "InitPlan" {
		tables = append(tables, fmt.Sprintf("%s (%s)", table, node))
	}
	subplans, _ := plan["Plans"].([]any)
	for _, p := range subplans {
		if p, ok := p.(map[string]any); ok {
			tables = append(tables, readsWhole(p)...)
		}
	}
	return tables
}
