package customer

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// shapeOf is the shape of a column of the customers, each path on a line.
func shapeOf(t *testing.T, s *Schema, column string) string {
	t.Helper()
	c, ok := s.Customer.Column(column)
	if !ok || c.JSON == nil {
		t.Fatalf("no shape of %s", column)
	}
	var b strings.Builder
	for _, p := range c.JSON.Paths {
		b.WriteString(WrittenPath(p.Keys) + ": " + p.Kind.String())
		if p.Mixed != nil {
			b.WriteString(" " + strings.Join(p.Mixed, "+"))
		}
		b.WriteString("\n")
	}
	return b.String()
}

const jsonCompany = `
	create table public.customers (id bigint primary key, extra jsonb, plain json);
	insert into public.customers values
	  (1, '{"km": 5, "vip": true, "since": "2026-01-31", "seen": "2026-01-31T08:00:00Z", "labels": ["a", null], "address": {"city": "Solo", "geo": {}}}',
	    '{"km": 1e400000, "bad": "\u0000", "a.b": {"Full Name": "x"}}'),
	  (2, '{"km": null, "since": "2026-02-28", "seen": "2026-02-28", "labels": [], "mix": 1, "note": "2026-01-31", "list": [{"a": 1}]}', null),
	  (3, '{"mix": "one", "note": "yesterday", "address": {"city": null, "zip": "0271"}, "none": null, "holes": [], "sometimes": {"x": 1}}', '[1]'),
	  (4, '{"sometimes": "x", "zero": "0000-00-00", "leap": "2026-02-29"}', '5')`

func TestJSONIsInferred(t *testing.T) {
	t.Parallel()
	db := company(t, jsonCompany)
	s, problems := resolve(t, db, "customers: {table: customers, key: id}")
	if problems != "" {
		t.Fatal(problems)
	}
	want := `address: json
address.city: text
address.geo: json
address.zip: text
holes: other
km: number
labels: list of texts
leap: text
list: other
mix: other number+text
none: other
note: text
seen: instant
since: date
sometimes: other object+text
sometimes.x: number
vip: boolean
zero: text
`
	if d := cmp.Diff(want, shapeOf(t, s, "extra")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff("\"a.b\": json\n\"a.b\".Full Name: text\nbad: text\nkm: number\n", shapeOf(t, s, "plain")); d != "" {
		t.Error(d)
	}
}

func TestJSONIsDeclared(t *testing.T) {
	t.Parallel()
	db := company(t, jsonCompany+"; create table public.orders (id bigint primary key, customer_id bigint, extra json)")
	s, problems := resolve(t, db, `
customers:
  table: customers
  key: id
  json:
    extra: {km: text, address.city: text, address: {zip: text, '"a.b"': {c: date}}, labels: texts}
  relations:
    orders: {table: orders, by: customer_id, json: {extra: {paid: boolean, at: time}}}
`)
	if problems != "" {
		t.Fatal(problems)
	}
	if d := cmp.Diff("address.\"a.b\".c: date\naddress.city: text\naddress.zip: text\nkm: text\nlabels: list of texts\n", shapeOf(t, s, "extra")); d != "" {
		t.Error(d)
	}
	orders, _ := s.Customer.Relation("orders")
	extra, _ := orders.Target.Column("extra")
	want := &JSONShape{Declared: true, Paths: []JSONPath{{Keys: []string{"at"}, Kind: Timestamptz}, {Keys: []string{"paid"}, Kind: Bool}}}
	if d := cmp.Diff(want, extra.JSON, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
}

// TestSampleThatFails: what can't be sampled is no obstacle, and whoever needs it is told why.
func TestSampleThatFails(t *testing.T) {
	t.Parallel()
	db := company(t, `create function public.boom() returns jsonb language plpgsql as $$ begin raise 'no luck'; end $$;
		create function public.slow() returns jsonb language plpgsql as $$ begin perform pg_sleep(60); return '{}'; end $$;
		create view public.v as select 1 as id, public.boom() as extra;
		create view public.w as select 1 as id, public.slow() as extra`)
	for view, why := range map[string]string{"v": "no luck", "w": "statement timeout"} {
		s, problems := resolve(t, db, "customers: {table: "+view+", key: id}")
		if problems != "" {
			t.Fatal(problems)
		}
		if c, _ := s.Customer.Column("extra"); !strings.Contains(c.JSON.Unread, why) {
			t.Errorf("%+v", c.JSON)
		}
	}
}

func TestFindInJSON(t *testing.T) {
	t.Parallel()
	s := &JSONShape{Paths: []JSONPath{{Keys: []string{"a", "b"}, Kind: Text}, {Keys: []string{"a", "c"}, Kind: Bool}}}
	if p, ok := s.Find([]string{"a"}); !ok || p.Kind != JSON {
		t.Error(p, ok)
	}
	if p, ok := s.Find([]string{"a", "d"}); ok {
		t.Error(p)
	}
	if d := cmp.Diff([]string{"b", "c"}, s.Names([]string{"a"})); d != "" {
		t.Error(d)
	}
}

func TestLabelsAndCollations(t *testing.T) {
	t.Parallel()
	db := company(t, `create type public.mood as enum ('sad', 'happy');
		create collation public.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
		create domain public.nick as text collate public.loose;
		create table public.customers (id bigint primary key, mood public.mood, moods public.mood[], ids uuid[], a text collate public.loose, b public.nick, c text)`)
	s, problems := resolve(t, db, "customers: {table: customers, key: id}")
	if problems != "" {
		t.Fatal(problems)
	}
	want := []Column{
		{Name: "id", Kind: Int, PGType: "bigint"},
		{Name: "mood", Kind: Enum, PGType: "public.mood", Nullable: true, Enum: &Labels{[]string{"sad", "happy"}}},
		{Name: "moods", Kind: TextArray, PGType: "public.mood[]", Nullable: true},
		{Name: "ids", Kind: TextArray, PGType: "uuid[]", Nullable: true},
		{Name: "a", Kind: Text, PGType: "text", Nullable: true, Folds: true},
		{Name: "b", Kind: Text, PGType: "text", Nullable: true, Folds: true},
		{Name: "c", Kind: Text, PGType: "text", Nullable: true},
	}
	if d := cmp.Diff(want, s.Customer.Columns); d != "" {
		t.Error(d)
	}
}
