package customer

import (
	"testing"
)

func TestCheckKeys(t *testing.T) {
	t.Parallel()
	db := company(t, `
		create table public.good (id bigint primary key, email text);
		create table public.bare (id bigint, email text);
		insert into public.bare values (1), (2), (17), (17), (17), (18), (18);
		create table public.holes (id text unique, email text);
		insert into public.holes values ('a'), (null), (null);
		create table public.partial (id int not null, gone boolean);
		create unique index on public.partial (id) where not gone;
		insert into public.partial values (1, false), (1, true);
		create table public.pair (id int not null, n int not null, unique (id, n));
		insert into public.pair values (5, 1), (5, 2);
		create view public.fine as select * from public.good;
		create view public.doubled as select * from public.bare;
		create table public.towns (no int, name text);
		insert into public.towns values (1, 'Solo'), (1, 'Solo'), (null, 'x'), (null, 'y')`)
	cases := map[string]string{
		"good":    "",
		"fine":    "",
		"bare":    `the key public.bare.id is not unique: "17" stands in 3 rows`,
		"doubled": `the key public.doubled.id is not unique: "17" stands in 3 rows`,
		"holes":   "the key public.holes.id is missing in 2 rows: every row needs one",
		"partial": `the key public.partial.id is not unique: "1" stands in 2 rows`,
		"pair":    `the key public.pair.id is not unique: "5" stands in 2 rows`,
		"good, relations: {towns: {table: towns, by: no, key: no}}": "",
		"good, relations: {town: {table: towns, via: id, key: no}}": `the key public.towns.no is not unique: "1" stands in 2 rows`,
	}
	for table, want := range cases {
		s, problems := resolve(t, db, "customers: {key: id, table: "+table+"}")
		if problems != "" {
			t.Errorf("%s: %s", table, problems)
			continue
		}
		got := ""
		if err := CheckKeys(t.Context(), db, s); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", table, got, want)
		}
	}
}

func TestCheckKeysTrustsTheCatalog(t *testing.T) {
	t.Parallel()
	db := company(t, `create table public.good (id bigint primary key)`)
	s, problems := resolve(t, db, "customers: {key: id, table: good}")
	if problems != "" {
		t.Fatal(problems)
	}
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context()) //nolint:errcheck // the test's own
	exec(t, tx, "lock table public.good in access exclusive mode")
	conn, err := db.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	exec(t, conn, "set lock_timeout = '100ms'")
	if err := CheckKeys(t.Context(), conn, s); err != nil {
		t.Errorf("the table was read: %v", err)
	}
}

func TestCheckKeysOfATableThatChanged(t *testing.T) {
	t.Parallel()
	db := company(t, `create table public.good (id bigint primary key)`)
	s, problems := resolve(t, db, "customers: {key: id, table: good}")
	if problems != "" {
		t.Fatal(problems)
	}
	exec(t, db, "alter table public.good rename id to no")
	err := CheckKeys(t.Context(), db, s)
	if want := `check the key of public.good: no column "id" any more`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
