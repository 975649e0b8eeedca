package customer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// company makes a database of a company that Sapa has never seen.
func company(t *testing.T, sql ...string) *pgxpool.Pool {
	t.Helper()
	pool := pgtest.Pool(t)
	for _, s := range sql {
		exec(t, pool, s)
	}
	return pool
}

func exec(t *testing.T, db pg.DBTX, sql string) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
}

// resolve gives the schema, or the problems as printed.
func resolve(t *testing.T, db pg.DBTX, yaml string) (*Schema, string) {
	t.Helper()
	cfg, problems := LoadConfig("sapa.yaml", yaml, testEnv)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	s, problems, err := Resolve(t.Context(), db, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := problems.Err(); err != nil {
		return s, err.Error() + "\n"
	}
	return s, ""
}

const quotedCompany = `
	create schema "Sales";
	create type "Sales"."Mood" as enum ('good', 'bad');
	create domain "Sales"."Email" as varchar(254) check (value like '%@%');
	create domain "Sales"."RequiredEmail" as "Sales"."Email" not null;
	create table "Sales"."Customer Table" (
	  "CustomerKey" uuid primary key default gen_random_uuid(),
	  "EMail" "Sales"."RequiredEmail",
	  "FullName" text,
	  "Yearly Income" numeric(12, 2),
	  "Mood" "Sales"."Mood",
	  "Tags" varchar(20)[],
	  "Extra" jsonb,
	  "BirthDate" date,
	  "NewsOK" boolean not null default true,
	  "Seen" timestamp, "SeenTZ" timestamptz, "Score" real, "Wait" interval,
	  "DealerNo" smallint,
	  dropped int
	);
	alter table "Sales"."Customer Table" drop column dropped;
	create table "Sales"."Order.Lines" ("No" bigint primary key, "Customer" uuid, "When" timestamptz, "Total" money, "Net" numeric);
	create table "Sales".parts ("no" int, "Order" int);
	create table "Sales"."Dealers" ("DealerNo" int unique, "Town" character(30));
	create view public."ActiveCustomers" as select * from "Sales"."Customer Table"`

func TestResolveQuotedNames(t *testing.T) {
	t.Parallel()
	db := company(t, quotedCompany)
	s, problems := resolve(t, db, `
customers:
  table: '"Sales"."Customer Table"'
  key: CustomerKey
  email: EMail
  name: FullName
  region: {column: Mood, default: ID}
  consent: {default: denied, email: NewsOK}
  where: customer.Mood != nil
  relations:
    orders:
      table: '"Sales"."Order.Lines"'
      by: Customer
      key: No
      at: When
      amount: Net
      relations:
        parts: {table: Sales.parts, by: Order}
    dealer: {table: Sales.Dealers, via: DealerNo, key: DealerNo}
`)
	if problems != "" {
		t.Fatal(problems)
	}
	parts := &Entity{
		Name: "parts", Table: TableName{"Sales", "parts"},
		Columns: []Column{{Name: "no", Kind: Int, PGType: "integer", Nullable: true}, {Name: "Order", Kind: Int, PGType: "integer", Nullable: true}},
	}
	orders := &Entity{
		Name: "orders", Table: TableName{"Sales", "Order.Lines"}, Key: "No", At: "When", Amount: "Net",
		Columns: []Column{
			{Name: "No", Kind: Int, PGType: "bigint", Nullable: false},
			{Name: "Customer", Kind: UUID, PGType: "uuid", Nullable: true},
			{Name: "When", Kind: Timestamptz, PGType: "timestamp with time zone", Nullable: true},
			{Name: "Total", Kind: Other, PGType: "money", Nullable: true},
			{Name: "Net", Kind: Numeric, PGType: "numeric", Nullable: true},
		},
		Relations: []*Relation{{Name: "parts", Local: "No", Remote: "Order", Target: parts}},
	}
	dealer := &Entity{
		Name: "dealer", Table: TableName{"Sales", "Dealers"}, Key: "DealerNo",
		Columns: []Column{{Name: "DealerNo", Kind: Int, PGType: "integer", Nullable: true}, {Name: "Town", Kind: Text, PGType: "character(30)", Nullable: true}},
	}
	want := &Schema{
		Customer: &Entity{
			Name: "customer", Table: TableName{"Sales", "Customer Table"}, Key: "CustomerKey",
			Columns: []Column{
				{Name: "CustomerKey", Kind: UUID, PGType: "uuid", Nullable: false},
				{Name: "EMail", Kind: Text, PGType: "character varying(254)", Nullable: false},
				{Name: "FullName", Kind: Text, PGType: "text", Nullable: true},
				{Name: "Yearly Income", Kind: Numeric, PGType: "numeric(12,2)", Nullable: true},
				{Name: "Mood", Kind: Enum, PGType: `"Sales"."Mood"`, Nullable: true, Enum: &Labels{[]string{"good", "bad"}}},
				{Name: "Tags", Kind: TextArray, PGType: "character varying(20)[]", Nullable: true},
				{Name: "Extra", Kind: JSON, PGType: "jsonb", Nullable: true, JSON: &JSONShape{}},
				{Name: "BirthDate", Kind: Date, PGType: "date", Nullable: true},
				{Name: "NewsOK", Kind: Bool, PGType: "boolean", Nullable: false},
				{Name: "Seen", Kind: Timestamp, PGType: "timestamp without time zone", Nullable: true},
				{Name: "SeenTZ", Kind: Timestamptz, PGType: "timestamp with time zone", Nullable: true},
				{Name: "Score", Kind: Float, PGType: "real", Nullable: true},
				{Name: "Wait", Kind: Other, PGType: "interval", Nullable: true},
				{Name: "DealerNo", Kind: Int, PGType: "smallint", Nullable: true},
			},
			Relations: []*Relation{
				{Name: "orders", Local: "CustomerKey", Remote: "Customer", Target: orders},
				{Name: "dealer", One: true, Local: "DealerNo", Remote: "DealerNo", Target: dealer},
			},
		},
		Email: Field{Column: "EMail"}, Name: Field{Column: "FullName"}, Region: Field{"Mood", "ID"},
		Consent: Consent{Columns: map[string]string{"email": "NewsOK"}}, Where: "customer.Mood != nil", Zone: "UTC", Country: "ID",
	}
	if d := cmp.Diff(want, s); d != "" {
		t.Error(d)
	}
}

func TestResolveEveryKindOfTable(t *testing.T) {
	t.Parallel()
	db := company(t, `
		create table public.plain (id bigint primary key, email text not null);
		create view public.seen as select * from public.plain;
		create materialized view public.kept as select * from public.plain;
		create table public.parted (id bigint primary key, email text not null) partition by range (id);
		create foreign data wrapper nowhere; create server none foreign data wrapper nowhere;
		create foreign table public.far (id bigint not null, email text not null) server none`)
	nullable := map[string]bool{"plain": false, "seen": true, "kept": true, "parted": false, "far": true}
	for table, want := range nullable {
		s, problems := resolve(t, db, "customers: {table: "+table+", key: id, email: email, timezone: {default: Asia/Jakarta}}")
		if problems != "" {
			t.Errorf("%s: %s", table, problems)
			continue
		}
		if s.KeyColumn() != (Column{Name: "id", Kind: Int, PGType: "bigint", Nullable: want}) || s.Zone != "Asia/Jakarta" {
			t.Errorf("%s: %+v %s", table, s.KeyColumn(), s.Zone)
		}
	}
}

func TestResolveKeyTypes(t *testing.T) {
	t.Parallel()
	db := company(t, `
		create domain public.customer_no as integer;
		create table public.k (a numeric, h bigint, b integer, c smallint, d text, e varchar(20), f uuid, g public.customer_no,
		  primary key (a, b), unique (a, c), unique (b))`)
	for column, want := range map[string]string{
		"b": "integer", "c": "smallint", "d": "text",
		"e": "character varying(20)", "h": "bigint", "f": "uuid", "g": "integer",
	} {
		s, problems := resolve(t, db, "customers: {table: k, key: "+column+"}")
		if problems != "" || s.KeyColumn().PGType != want {
			t.Errorf("%s: %v %s", column, s, problems)
		}
	}
}

func TestResolveDoesNotReadTheTables(t *testing.T) {
	t.Parallel()
	db := company(t, `create function public.boom() returns int language plpgsql as $$ begin raise 'read'; end $$;
		create view public.v as select public.boom() as id, 'x'::text as email`)
	if _, problems := resolve(t, db, "customers: {table: v, key: id, email: email}"); problems != "" {
		t.Error(problems)
	}
}

const ordinaryCompany = `
	create table public.customers (id bigint primary key, email text, phone text, full_name text, born date,
	  zone text, news_ok boolean, dealer_id int);
	create table public.vehicles (id bigint primary key, customer_id bigint, plate text, next_service_on date, price numeric);
	create table public.dealers (id int primary key, town text);
	create table public.hidden (id int primary key, customer_id bigint);
	create schema closed; create table closed.t (id bigint primary key);
	create schema shop;
	create schema "Sales"; create table "Sales"."Orders" (id int); create table "Sales"."Customers" (id int);
	create table shop.clubs (id int primary key);
	create extension if not exists citext schema public;
	create table shop.odd (amount numeric primary key, ci public.citext);
	create table shop.members (club_id int, number int, "Name" text, primary key (club_id, number));
	create role NAME login; grant usage on schema sapa to NAME;
	grant select on public.customers, public.dealers to NAME;
	grant select (id, customer_id, plate) on public.vehicles to NAME`

// Each file of testdata/resolve is a sapa.yaml that does not fit ordinaryCompany, a line of dashes, and the messages.
func TestResolveMessages(t *testing.T) {
	t.Parallel()
	role := newRole(t)
	db := company(t, strings.ReplaceAll(ordinaryCompany, "NAME", role))
	files, err := filepath.Glob("testdata/resolve/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		input, want, _ := strings.Cut(string(data), "----------\n")
		var got string
		err = pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
			if filepath.Base(name) == "rights.txt" {
				exec(t, tx, "set local role "+role)
			}
			_, got = resolve(t, tx, input)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		got = strings.ReplaceAll(got, role, "sapa_reader")
		if *update {
			if err := os.WriteFile(name, []byte(input+"----------\n"+got), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// newRole names a role of this test's own; roles belong to the whole server.
func newRole(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("reader_%08x", rand.Uint32())
	admin := pgtest.Empty(t)
	t.Cleanup(func() {
		if _, err := admin.Exec(context.WithoutCancel(t.Context()), "drop role if exists "+name); err != nil {
			t.Error(err)
		}
	})
	return name
}

func TestReadOnlyRoleSeesWhatItMayRead(t *testing.T) {
	t.Parallel()
	role := newRole(t)
	db := company(t, strings.ReplaceAll(ordinaryCompany, "NAME", role))
	err := pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		exec(t, tx, "set local role "+role)
		s, problems := resolve(t, tx, `customers: {table: customers, key: id, email: email, relations: {vehicles: {table: vehicles, by: customer_id, key: id}}}`)
		if problems != "" {
			t.Fatal(problems)
		}
		vehicles, _ := s.Customer.Relation("vehicles")
		if d := cmp.Diff([]string{"id", "customer_id", "plate"}, vehicles.Target.Names()); d != "" {
			t.Error(d)
		}
		return CheckKeys(t.Context(), tx, s)
	})
	if err != nil {
		t.Error(err)
	}
}
