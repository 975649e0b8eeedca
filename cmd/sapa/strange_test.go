package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// asRole lets the program log in as a new role that has only the given rights.
func (w *world) asRole(rights ...string) {
	w.t.Helper()
	role := fmt.Sprintf("sapa_t_%08x", rand.Uint32())
	w.exec(`create role ` + role + ` login password 'secret'`)
	w.t.Cleanup(func() {
		if _, err := w.pool.Exec(context.WithoutCancel(w.t.Context()), `drop owned by `+role+` cascade; drop role `+role); err != nil {
			w.t.Error(err)
		}
	})
	for _, right := range rights {
		w.exec(strings.ReplaceAll(right, "ROLE", role))
	}
	u, err := url.Parse(w.env["DATABASE_URL"])
	if err != nil {
		w.t.Fatal(err)
	}
	u.User = url.UserPassword(role, "secret")
	w.env["DATABASE_URL"], w.role = u.String(), role
}

// theirs describes all that the company has in some schemas: the catalogs' rows, and the tables' with the transactions
// that wrote or locked them.
func (w *world) theirs(schemas ...string) []string {
	w.t.Helper()
	list := w.texts(`
		with rel as (select c.* from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = any($1))
		select format('schema %s', n::text) from pg_namespace n where nspname = any($1)
		union all select format('class %s %s %s %s %s %s %s %s', oid, relname, relkind, relowner, relacl, relhasindex, relhastriggers, reloptions) from rel
		union all select format('column %s', a::text) from pg_attribute a where attrelid in (select oid from rel)
		union all select format('trigger %s', t::text) from pg_trigger t where tgrelid in (select oid from rel)
		union all select format('rule %s', r::text) from pg_rewrite r where ev_class in (select oid from rel)
		union all select format('index %s', i::text) from pg_index i where indrelid in (select oid from rel)
		union all select format('constraint %s', k::text) from pg_constraint k where conrelid in (select oid from rel) or confrelid in (select oid from rel)
		order by 1`, schemas)
	for _, table := range w.texts(`select oid::regclass::text from pg_class where relkind = 'r' and relnamespace::regnamespace::name = any($1::name[]) order by 1`, schemas) {
		list = append(list, w.texts(`select concat($1::text, count(*), md5(string_agg(concat(xmin, ' ', xmax, ' ', t), '|' order by t::text))) from `+table+` t`, table)...)
	}
	if len(list) < 20 {
		w.t.Fatalf("only %d things: %q", len(list), list)
	}
	return list
}

// untouched compares the company's schemas with what they were, and finds nothing of Sapa's outside its own schema.
func (w *world) untouched(before []string, own string, schemas ...string) {
	w.t.Helper()
	if diff := cmp.Diff(before, w.theirs(schemas...)); diff != "" {
		w.t.Errorf("the company's tables (-before +after):\n%s", diff)
	}
	elsewhere := w.texts(`select distinct n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname not in ($1, 'pg_catalog', 'information_schema', 'pg_toast') and n.nspname <> all ($2)`, own, schemas)
	if len(elsewhere) > 0 {
		w.t.Errorf("Sapa made %q", elsewhere)
	}
}

// sales is the database of a company that likes capitals, quotes, views and types of its own.
const sales = `
create schema "Sales"; create schema crm;
create type crm."Plan" as enum ('basic', 'premium');
create domain crm."EMail" as text check (value like '%@%');
create domain crm."Money" as numeric(12,2) check (value >= 0);
create table crm."Dealer" (id integer primary key, "dealerName" varchar(40) not null, "City" text);
create table "Sales"."Person" (
	"customerId" uuid primary key, "E-Mail" crm."EMail", "First Name" text, plan crm."Plan" not null,
	"dealerId" integer references crm."Dealer", "deletedAt" timestamptz, "mayWrite" boolean);
create view "Sales"."Customer" as select * from "Sales"."Person" where "deletedAt" is null;
create table "Sales"."Order.Line" (
	"orderNo" bigint generated always as identity primary key, "customerId" uuid not null references "Sales"."Person",
	"Total" crm."Money", "orderedAt" timestamptz not null, "Kind" text);
create index "byCustomer" on "Sales"."Order.Line" ("customerId");
create table "Sales"."Membership" (club integer, "number" integer, email text, primary key (club, "number"));
insert into crm."Dealer" values (1, 'Bath & Sons', 'Bath'), (2, 'Kwik', 'York'), (3, 'Nameless', null);
insert into "Sales"."Person"
select ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid, case when i % 10 <> 9 then format('Person.%s@Example.com', i) end,
	case when i % 4 <> 0 then format('O''Neil <%s>', i) end, case when i % 2 = 0 then 'premium' else 'basic' end::crm."Plan",
	case when i % 5 <> 0 then 1 + i % 3 end, case when i % 20 = 7 then now() end, case i % 8 when 0 then true when 1 then false end
from generate_series(1, 200) i;
insert into "Sales"."Order.Line" ("customerId", "Total", "orderedAt", "Kind")
select "customerId", 10 * j, timestamptz '2026-06-01 12:00+00' + j * interval '10 days', case when j % 2 = 0 then 'oil' else 'part' end
from "Sales"."Person", generate_series(1, 5) j where "customerId"::text > '00000000-0000-4000-8000-000000000020';
`

const salesProject = `customers:
  table: Sales.Customer
  key: customerId
  email: E-Mail
  name: First Name
  locale: {default: en-GB}
  timezone: {default: Europe/London}
  consent: {default: granted, email: mayWrite}
  relations:
    dealer: {table: crm.Dealer, via: dealerId, key: id}
    orders: {table: '"Sales"."Order.Line"', by: customerId, key: orderNo, at: orderedAt, amount: Total}
channels:
  email: {smtp: "smtp://MAIL", from: "Bath Motors <hello@example.com>"}
public_url: PUBLIC
`

const premium = `campaign: premium
audience:
  where: |
    customer.plan == "premium" && (customer.dealer.City ?? "Bath") != "York"
      && sum(customer.orders, .Total) >= 150
content:
  email:
    subject: "{{ customer['First Name'] | default: 'Friend' }}, {{ customer.dealer.dealerName | default: 'we' }} thank you"
    html: |
      <p>Hello {{ customer["First Name"] | default: "Friend" }}, of {{ customer.dealer.City | default: "nowhere" }}:
      <a href="https://bath.example/?who={{ customer.customerId }}">look</a>. <a href="{{ unsubscribe_url }}">Stop</a></p>
`

const oil = `campaign: oil
audience:
  each: customer.orders as order
  where: order.Kind == "oil" && order.orderedAt >= date("2026-06-12")
  merge: customer
content:
  email:
    subject: "Orders {{ orders | map: 'orderNo' | join: ', ' }}"
    text: "{% for o in orders %}{{ o.Kind }} {{ o.Total }} {% endfor %}"
`

// sameCustomers compares whom a run wrote to with a query's e-mail addresses.
func (w *world) sameAddresses(run int, sql string) {
	w.t.Helper()
	want := w.texts(sql)
	got := w.texts(`select a.normalised from sapa.messages m join sapa.addresses a on a.id = m.address_id where m.run_id = $1 and m.state = 'sent' order by 1`, run)
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		w.t.Errorf("run %d (-SQL +Sapa):\n%s", run, diff)
	}
}

func (w *world) project(text string) {
	w.t.Helper()
	w.file("sapa.yaml", strings.NewReplacer("MAIL", w.smtp, "PUBLIC", w.public).Replace(text))
}

func TestStrangeDatabaseWithUUIDs(t *testing.T) {
	t.Parallel()
	w := newBareWorld(t)
	w.exec(sales)
	w.asRole(`grant create on database `+w.pool.Config().ConnConfig.Database+` to ROLE`, `grant usage on schema "Sales", crm to ROLE`,
		`grant select on "Sales"."Customer", "Sales"."Order.Line", crm."Dealer" to ROLE`)
	before := w.theirs("Sales", "crm")
	w.project(salesProject)
	w.file("campaigns/premium.yaml", premium)
	w.file("campaigns/oil.yaml", oil)
	w.ok("migrate")
	w.want(exitOK, "2 campaigns are in order.\n", "validate")
	w.ok("apply")
	w.servePublic()
	w.ok("run", "premium")
	w.sameAddresses(1, `
		select 'Person.' || right("customerId"::text, 12)::int || '@example.com' from "Sales"."Person" p left join crm."Dealer" d on d.id = "dealerId"
		where plan = 'premium' and ("City" is null or "City" <> 'York') and "deletedAt" is null and "mayWrite" is not false and "E-Mail" is not null
		and (select sum("Total") from "Sales"."Order.Line" o where o."customerId" = p."customerId") >= 150 order by 1`)
	letters := w.letters("thank you")
	w.someone(letters["Person.42@example.com"], "O'Neil <42>, Bath & Sons thank you", "O&#39;Neil &lt;42&gt;", "00000000-0000-4000-8000-000000000042")
	w.someone(letters["Person.60@example.com"], "Friend, we thank you", "Friend", "00000000-0000-4000-8000-000000000060")
	w.ok("run", "oil")
	w.sameAddresses(2, `
		select 'Person.' || right("customerId"::text, 12)::int || '@example.com' from "Sales"."Customer"
		where "E-Mail" is not null and "mayWrite" is not false and exists (select from "Sales"."Order.Line" o where o."customerId" = "Customer"."customerId") order by 1`)
	orders := w.texts(`select string_agg("orderNo"::text, ', ' order by "orderNo"::text) from "Sales"."Order.Line" where "Kind" = 'oil' and "customerId"::text like '%021'`)
	if l := w.letters("Orders")["Person.21@example.com"]; l.Subject != "Orders "+orders[0] || strings.TrimSpace(l.Text) != "oil 20 oil 40" {
		t.Errorf("%q: %q", l.Subject, l.Text)
	}
	w.want(exitOK, "everything adds up\n", "check")
	w.untouched(before, "sapa", "Sales", "crm")
}

// someone compares one letter: subject, the name in the HTML, and the key in its link.
func (w *world) someone(l letter, subject, name, key string) {
	w.t.Helper()
	if l.Mail == nil {
		w.t.Fatal("nothing was caught")
	}
	if l.Subject != subject || !strings.Contains(l.HTML, "Hello "+name+",") {
		w.t.Errorf("subject %q, HTML:\n%s", l.Subject, l.HTML)
	}
	if _, location, _ := w.fetch(http.MethodGet, l.Links()[0], browser, nil); location != "https://bath.example/?who="+key {
		w.t.Errorf("the link leads to %s", location)
	}
}

func TestStrangeDatabaseRefusals(t *testing.T) {
	t.Parallel()
	w := newBareWorld(t)
	w.exec(sales)
	w.asRole(`grant usage on schema "Sales", crm to ROLE`, `grant select on "Sales"."Customer", "Sales"."Membership" to ROLE`)
	w.project(salesProject)
	w.want(exitFailed, `sapa: migrate schema sapa: role ROLE may not create a schema in database DATABASE
  an administrator mends it with: create schema "sapa" authorization "ROLE"
`, "migrate")
	w.exec(`create schema sapa`)
	w.want(exitFailed, `sapa: migrate schema sapa: role ROLE may not create tables there
  an administrator mends it with: alter schema "sapa" owner to "ROLE"
`, "migrate")
	w.exec(`alter schema sapa owner to ` + w.role)
	w.ok("migrate")
	w.want(exitFailed, `sapa: 2 problems
sapa.yaml:10:21: the database role ROLE may not read crm.Dealer
  10 |     dealer: {table: crm.Dealer, via: dealerId, key: id}
     |                     ^^^^^^^^^^
     an administrator can allow it: grant select on "crm"."Dealer" to "ROLE";
sapa.yaml:11:21: the database role ROLE may not read Sales.Order.Line
  11 |     orders: {table: '"Sales"."Order.Line"', by: customerId, key: orderNo, at: orderedAt, amount: Total}
     |                     ^^^^^^^^^^^^^^^^^^^^^^
     an administrator can allow it: grant select on "Sales"."Order.Line" to "ROLE";
`, "validate")
	w.project(strings.Replace(salesProject, "Sales.Customer\n  key: customerId", "Sales.Membership\n  key: [club, number]", 1))
	w.want(exitFailed, `sapa: 1 problem
sapa.yaml:3:3: a key of several columns is not supported
   3 |   key: [club, number]
     |   ^^^
     map a view that makes one key column of them, as in: create view … as select club_id || '-' || number as key, * from …
`, "validate")
	w.project("customers: {table: Sales.Membership, key: number, email: email}\n")
	w.want(exitFailed, `sapa: 1 problem
sapa.yaml:1:43: the primary key of Sales.Membership has 2 columns (club, number): number alone does not tell its rows apart
   1 | customers: {table: Sales.Membership, key: number, email: email}
     |                                           ^^^^^^
     map a view with one key column, as in: create view … as select concat_ws('-', "club", "number") as key, * from "Sales"."Membership"
`, "validate")
}

// club has keys that are awkward texts, rows with keys that are UUIDs, a materialized view and a partitioned table.
const club = `
create schema crm;
create domain crm.code as text check (length(value) > 0);
create type crm."Mood" as enum ('Happy', 'not "so" happy');
create table crm.members ("memberNo" crm.code primary key, mail text, "Name" text, mood crm."Mood", "clubId" text);
create materialized view crm."Clubs" as select 'c''1' as "clubId", 'Club One' as title;
create unique index on crm."Clubs" ("clubId");
create table crm.visits (id uuid not null default gen_random_uuid(), "memberNo" text not null, day date not null, "spent" double precision, primary key (id, day)) partition by range (day);
create table crm.visits_2026 partition of crm.visits for values from ('2026-01-01') to ('2027-01-01');
create view crm."Visits" as select * from crm.visits;
insert into crm.members select k, 'm' || n || '@example.com', 'Member ' || n, case when n % 2 = 0 then 'Happy' else 'not "so" happy' end::crm."Mood", 'c''1'
from unnest(array['A-1', 'a-1', 'O''Neil "x"', 'üñï', 'a,b', 'tab	key', ' space ', '{1}', '$1', '\\x', '日本', 'null', '1', '01', '%s']) with ordinality as m(k, n);
insert into crm.visits ("memberNo", day, spent) select "memberNo", date '2026-11-01' + j, 1.5 * j from crm.members, generate_series(1, 3) j where "memberNo" <> '01';
`

func TestStrangeDatabaseWithTextKeys(t *testing.T) {
	t.Parallel()
	w := newBareWorld(t)
	w.exec(club)
	w.exec(`create schema greetings`)
	w.asRole(`alter schema greetings owner to ROLE`, `grant usage on schema crm to ROLE`, `grant select on crm.members, crm."Visits", crm."Clubs" to ROLE`)
	w.env["SAPA_SCHEMA"] = "greetings"
	before := w.theirs("crm")
	w.project(`customers:
  table: crm.members
  key: memberNo
  email: mail
  name: Name
  relations:
    visits: {table: crm.Visits, by: memberNo, key: id, at: day, amount: spent}
    club: {table: crm.Clubs, via: clubId, key: clubId}
channels:
  email: {smtp: "smtp://MAIL", from: "Club <hello@example.com>"}
public_url: PUBLIC
`)
	w.file("campaigns/mood.yaml", `campaign: mood
audience: {where: 'customer.mood == "not \"so\" happy" && count(customer.visits, .spent >= 3.0) >= 2 && customer.club.title == "Club One"'}
content: {email: {subject: "Cheer up, {{ customer.memberNo }}", text: "{{ customer.mood }}"}}
`)
	w.file("campaigns/visit.yaml", `campaign: visit
audience: {each: customer.visits as visit, where: visit.day == date("2026-11-02")}
content: {email: {subject: "Visit of {{ visit.day | date: '%d.%m.' }}", text: "{{ customer.memberNo }}: {{ visit.spent }}"}}
`)
	w.ok("migrate")
	w.ok("apply")
	w.ok("run", "mood")
	got := map[string]string{}
	for to, l := range w.letters("Cheer up") {
		got[strings.TrimSuffix(to, "@example.com")] = l.Subject + "; " + strings.TrimSpace(l.Text)
	}
	want := map[string]string{}
	for i, key := range []string{"A-1", `O'Neil "x"`, "a,b", " space ", "$1", "日本", "1", "%s"} {
		want[fmt.Sprintf("m%d", 2*i+1)] = "Cheer up, " + strings.TrimSpace(key) + `; not "so" happy`
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mood (-want +got):\n%s", diff)
	}
	w.ok("run", "visit")
	if n := len(w.letters("Visit of 02.11.")); n != 14 {
		t.Errorf("%d visitors were written to, want 14", n)
	}
	if printed := w.ok("run", "visit"); !strings.HasSuffix(printed, "  audience 14 = already 14 + planned 0 + skipped 0\nrun 3 done: sent 0 of 0 (14 more had it already)\n") {
		t.Error(printed)
	}
	w.want(exitOK, "everything adds up\n", "check")
	w.untouched(before, "greetings", "crm")
}
