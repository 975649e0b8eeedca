package customer

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestFetchWaitsBrieflyForLocks(t *testing.T) {
	t.Parallel()
	db := company(t, `create table public.people (id int primary key, name text); insert into public.people values (1, 'Siti'), (2, null)`)
	s, problems := resolve(t, db, "customers: {key: id, table: people}")
	if problems != "" {
		t.Fatal(problems)
	}
	f, err := NewFetch(s.Customer, [][]string{{"name"}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time with a statement that is prepared already
		rows, err := f.Rows(t.Context(), db, []string{"1", "2", "3"})
		want := map[string]map[string]any{"1": {"name": "Siti"}, "2": {"name": nil}}
		if d := cmp.Diff(want, rows); d != "" || err != nil {
			t.Fatal(d, err)
		}
	}
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context()) //nolint:errcheck // the test's own
	exec(t, tx, "lock table public.people in access exclusive mode")
	_, err = f.Rows(t.Context(), db, []string{"1"})
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "55P03" {
		t.Errorf("%v, want a lock that is not available", err)
	}
	var setting string
	if err := db.QueryRow(t.Context(), "show lock_timeout").Scan(&setting); err != nil || setting != "0" {
		t.Errorf("lock_timeout of the session is %s, %v", setting, err)
	}
}
