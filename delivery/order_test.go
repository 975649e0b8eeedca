package delivery_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// Whoever retries holds the run and then wants its batches; whoever finishes the last message of a batch by hand holds the batch,
// and must not wait for the run: the sweep ends that then.
func TestByHandWaitsForNoRun(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	r := ledgertest.NewCampaign(t, pool, "florist", "offers").Run(t, "", 2)
	ledgertest.Exec(t, pool, `insert into batches (run_id, lo, hi, due_at, channel) values ($1, $2::bigint + 1, $2::bigint + 2, now(), 'email')`, r.ID, r.Base)
	r.Settle(t, 1, 1, "failed", "refused")
	ledgertest.Exec(t, pool, `update messages set not_before = '9999-01-01' where id = $1`, r.Base+2)

	retrying, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer retrying.Rollback(t.Context()) //nolint:errcheck // it was committed
	if _, err := retrying.Exec(t.Context(), `select from runs where id = $1 for no key update`, r.ID); err != nil {
		t.Fatal(err)
	}
	finished := make(chan error, 1)
	go func() {
		finished <- pg.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			_, err := delivery.FinishByHand(t.Context(), tx, []int64{r.Base + 2}, delivery.ByHand{State: "sent", At: time.Now()})
			return err
		})
	}()
	for len(finished) == 0 && waitingForLocks(t, pool) == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	if n, err := delivery.Retry(t.Context(), retrying, r.ID, []string{"email"}, ledgertest.Tick); err != nil || n != 1 {
		t.Errorf("retry: %d, %v", n, err)
	}
	if err := retrying.Commit(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-finished; err != nil {
		t.Errorf("finish by hand: %v", err)
	}
	checkBatches(t, pool, r)
}

// waitingForLocks is how many wait for a lock in the test's database.
func waitingForLocks(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	err := pool.QueryRow(t.Context(), `select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
