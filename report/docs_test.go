package report

import (
	"os"
	"strings"
	"testing"

	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// The SQL of the documentation runs.
func TestDocumentedSQL(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	ledgertest.Exec(t, pool, `create table public.orders (id bigint, customer_id bigint, ordered_at timestamptz, total numeric)`)
	text, err := os.ReadFile("../docs/reporting.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```sql\n")[1:]
	if len(blocks) < 2 {
		t.Fatalf("found %d blocks of SQL", len(blocks))
	}
	for _, block := range blocks {
		sql, _, _ := strings.Cut(block, "```")
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for statement := range strings.SplitSeq(sql, ";\n") {
			if _, err := tx.Exec(t.Context(), statement); err != nil {
				t.Errorf("%v\n%s", err, statement)
			}
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
