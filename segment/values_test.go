package segment

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// strangeCompany has a column of each kind that rules must come to terms with.
const strangeCompany = `
	create extension if not exists citext schema public;
	create type public.mood as enum ('sad', 'happy');
	create domain public.nick as varchar(20)[];
	create domain public.document as jsonb;
	create collation public.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
	create table public.customers (id bigint primary key, mood public.mood, moods public.mood[], ids uuid[], nicks public.nick,
	  loose text collate public.loose, email public.citext, mails public.citext[], fixed char(5), small smallint, doubled int generated always as (id * 2) stored,
	  balance money, waits interval, numbers int[], doc public.document, extra jsonb, plain json);
	insert into public.customers (id, mood, moods, ids, nicks, loose, email, mails, fixed, small, balance, waits, numbers, doc, extra, plain) values
	  (1, 'happy', '{happy,NULL}', '{6f9619ff-8b86-4d01-b42d-00cf4fc964ff}', '{a,bb}', 'Solo', 'Budi@Example.com', '{A@b.example}', 'ab', 3, 5, '1 day', '{1}', '{"km": 5}', '{"city": "Solo", "mix": 1, "labels": ["gold"]}', '{"a": "x"}'),
	  (2, null, null, null, null, 'SOLO', null, null, null, null, null, null, null, null, '{"city": "Tegal", "mix": "one", "labels": []}', '{"a": "\u0000"}')`

func strangeSchema(t *testing.T, db DB) *customer.Schema {
	t.Helper()
	cfg, problems := customer.LoadConfig("sapa.yaml", "customers: {table: customers, key: id}", func(string) string { return "" })
	if problems != nil {
		t.Fatal(problems)
	}
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context()) //nolint:errcheck // nothing is changed
	schema, problems, err := customer.Resolve(t.Context(), tx, cfg)
	if err != nil || problems != nil {
		t.Fatal(problems, err)
	}
	return schema
}

// TestEveryKindOfColumn asks SQL, and the VM with rows that were loaded, the same of columns as the catalog describes them.
func TestEveryKindOfColumn(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	if _, err := db.Exec(t.Context(), strangeCompany); err != nil {
		t.Fatal(err)
	}
	schema := strangeSchema(t, db)
	for rule, want := range map[string]string{
		`customer.mood == "happy"`:                                 "1",
		`customer.mood in ["happy", "sad"]`:                        "1",
		`"happy" in customer.moods`:                                "1",
		`count(customer.moods) == 1`:                               "1",
		`"6f9619ff-8b86-4d01-b42d-00cf4fc964ff" in customer.ids`:   "1",
		`"bb" in customer.nicks && customer.nicks[1] == "bb"`:      "1",
		`any(customer.nicks, # startsWith "b")`:                    "1",
		`any(customer.nicks, # in ["bb", "c"])`:                    "1",
		`customer.loose == "Solo"`:                                 "1",
		`customer.loose in ["SOLO"]`:                               "2",
		`customer.loose contains "OL"`:                             "2",
		`customer.loose matches "^[A-Z]+$"`:                        "2",
		`lower(customer.loose) == "solo"`:                          "1 2",
		`customer.loose < "Solo"`:                                  "2",
		`customer.email == "budi@example.com"`:                     "",
		`customer.email startsWith "Budi"`:                         "1",
		`"A@b.example" in customer.mails`:                          "1",
		`any(customer.mails, # == "a@b.example")`:                  "",
		`customer.fixed == "ab" && len(customer.fixed) == 2`:       "1",
		`customer.small * customer.doubled == 6`:                   "1",
		`customer.balance != nil && customer.numbers != nil`:       "1",
		`customer.doc.km > 4`:                                      "1",
		`customer.extra.city == "Solo"`:                            "1",
		`"gold" in customer.extra.labels`:                          "1",
		`customer.plain.a == "x"`:                                  "1",
		`customer.plain.a == nil`:                                  "2",
		`split(customer.loose, "o")[0] == "S"`:                     "1",
		`trimSuffix(customer.loose, "LO") == "SO"`:                 "2",
		`replace(customer.loose, "o", "a") == "Sala"`:              "1",
		`customer.loose == customer.fixed || customer.mood == nil`: "2",
	} {
		for _, residual := range []string{"", ` && (customer.id == 1 || customer.id == 2) && !(customer.email matches "\\bnobody\\b")`} {
			if got := keysOf(t, db, schema, "("+rule+")"+residual, residual == ""); got != want {
				t.Errorf("%s%s: %q, want %q", rule, residual, got, want)
			}
		}
	}
}

// TestValuesThatCannotBeCompared: what is wrong, and what can be done.
func TestValuesThatCannotBeCompared(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	if _, err := db.Exec(t.Context(), strangeCompany); err != nil {
		t.Fatal(err)
	}
	schema := strangeSchema(t, db)
	for rule, want := range map[string]string{
		`customer.mood == "hapy"`:             "\"hapy\" is no value of customer.mood\ndid you mean \"happy\"?",
		`customer.mood in ["happy", "angry"]`: "\"angry\" is no value of customer.mood\nknown here: happy, sad",
		`customer.balance > 5`: "customer.balance is a value that rules can only compare with nil and 5 is a whole number: they can't be compared by >\n" +
			`customer.balance is money: map a view that casts it, as in: create view … as select "balance"::numeric as "balance", …`,
		`5 in customer.numbers`: "in needs a list, but customer.numbers is a value that rules can only compare with nil\n" +
			`customer.numbers is integer[]: map a view that casts it, as in: create view … as select "numbers"::text[] as "numbers", …`,
		`customer.extra.mix > 0`: "customer.extra.mix is not of one type: the first rows of public.customers have numbers and texts\n" +
			"say in sapa.yaml which counts: json: {extra: {mix: number}} under customer; others are then missing",
		`customer.extra.cty == "Solo"`: "unknown value \"cty\" in customer.extra: it is in none of the first rows of public.customers\ndid you mean \"city\"?",
		`customer.doc == "x"`: "customer.doc is a value that rules can only compare with nil and \"x\" is text: they can't be compared by ==\n" +
			"write what is within, such as customer.doc.km",
	} {
		_, problems := ParseRule(Text(rule), NewScope(schema))
		var got []string
		for _, p := range problems {
			got = append(got, p.Message+"\n"+p.Hint)
		}
		if d := cmp.Diff(want, strings.Join(got, "\n\n")); d != "" {
			t.Errorf("%s: %s", rule, d)
		}
	}
}

// TestIndexesWithinJSONServe: the indexes that docs/rules.md shows are used.
func TestIndexesWithinJSONServe(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t, pgtest.Setting("enable_seqscan", "off"))
	if _, err := db.Exec(t.Context(), strangeCompany+`;
		create index by_city on public.customers ((extra ->> 'city'));
		create index by_extra on public.customers using gin (extra jsonb_path_ops);
		create index by_moods on public.customers using gin (nicks)`); err != nil {
		t.Fatal(err)
	}
	schema := strangeSchema(t, db)
	for rule, index := range map[string]string{
		`customer.extra.city == "Solo"`:            "by_city",
		`customer.extra.city in ["Solo", "Tegal"]`: "by_city",
		`"gold" in customer.extra.labels`:          "by_extra",
		`any(customer.nicks, # == "bb")`:           "by_moods",
		`any(customer.nicks, # in ["bb", "a"])`:    "by_moods",
	} {
		q, err := Audience(NewScope(schema), nil, mustRule(t, rule, NewScope(schema)), &Args{}, testClocks()[0])
		if err != nil {
			t.Fatal(err)
		}
		var plan string
		if err := db.QueryRow(t.Context(), "explain (format json) select c.id from "+q.From+" where "+q.Where, q.args()...).Scan(&plan); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(plan, index) {
			t.Errorf("%s: %s is not used\n%s", rule, index, plan)
		}
	}
}
