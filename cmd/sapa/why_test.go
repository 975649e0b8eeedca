package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const whyProject = `
customers:
  table: customers
  key: id
  email: email
  name: name
  timezone: {default: Asia/Jakarta}
  where: customer.deleted_at == nil
  consent: {default: granted, email: newsletter_ok}
  relations:
    vehicles: {table: vehicles, by: customer_id, key: id}
    orders: {table: orders, by: customer_id, key: id, at: ordered_at, amount: total}
channels:
  email: {smtp: "smtp://SMTP", from: "Bengkel Maju <halo@bengkel.example>"}
company: {name: Bengkel Maju}
public_url: PUBLIC
`

// whyWorld is a workshop on Monday 23 November 2026, 9 o'clock in Jakarta.
func whyWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.now = func() time.Time { return time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC) }
	w.exec(`
		create table public.customers (id bigint primary key, name text, email text, city text, birth_date date, newsletter_ok boolean, deleted_at timestamptz);
		create table public.vehicles (id bigint primary key, customer_id bigint, plate text, km int, next_service_on date);
		create table public.orders (id bigint primary key, customer_id bigint, total numeric(14,2), ordered_at timestamptz);
		insert into public.customers values
			(1, 'Ani', 'ani@mail.example', 'Solo', '1990-11-23', null, null), (2, 'Budi', 'budi@mail.example', 'Semarang', '1985-12-24', true, null),
			(3, 'Citra', null, null, '1990-11-23', null, null), (4, 'Dewi', 'dewi@mail.example', 'Solo', '1990-11-23', false, null),
			(5, 'Eko', 'eko@mail.example', 'Solo', '1990-11-23', null, '2026-01-01'), (6, 'Fitri', 'FITRI@mail.example', 'Solo', '1990-11-23', null, null);
		insert into public.vehicles values (21, 1, 'H 21', 120000, '2026-12-01'), (22, 1, 'H 22', 40000, '2027-02-01'), (23, 2, 'H 23', 9000, null);
		insert into public.orders values (31, 1, 250000, '2026-11-01 10:00+07'), (32, 1, 1250000.5, '2026-03-01 10:00+07')`)
	w.file("sapa.yaml", strings.NewReplacer("SMTP", w.smtp, "PUBLIC", w.public).Replace(whyProject))
	w.file("campaigns/birthday.yaml", `campaign: birthday
topic: greetings
audience: {where: birthday(customer.birth_date), occasion: today(), cooldown: 300d}
content: {email: {subject: "Selamat {{ customer.name }}", text: Halo}}
`)
	w.file("campaigns/oil.yaml", `campaign: oil
audience:
  each: customer.vehicles as vehicle
  where: vehicle.next_service_on >= today() && vehicle.next_service_on <= today() + days(14) && vehicle.km > 10_000
  occasion: [vehicle.id, vehicle.next_service_on]
schedule: {cron: "0 8 * * 2", timezone: customer, until: "18:00"}
content: {email: {subject: Oli, text: Halo}}
`)
	w.file("segments/spenders.yaml", `segment: spenders
description: Who spends
where: sum(customer.orders, .total) > 1_000_000 && customer.city != "Semarang"
`)
	w.ok("migrate")
	w.ok("apply")
	return w
}

// transcript runs verbs and compares all that they print with a file of testdata.
func (w *world) transcript(file string, verbs ...[]string) {
	w.t.Helper()
	var got strings.Builder
	for _, args := range verbs {
		_, printed := w.sapa(args...)
		fmt.Fprintf(&got, "$ sapa %s\n%s\n", shellWords(args), printed)
	}
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		w.t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

// shellWords are arguments as one would type them.
func shellWords(args []string) string {
	var words []string
	for _, a := range args {
		if strings.ContainsAny(a, " \"(*") {
			a = "'" + a + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// What why prints is read by marketers: each of these was looked at.
func TestWhy(t *testing.T) {
	t.Parallel()
	w := whyWorld(t)
	w.transcript("why-before.txt", []string{"why", "1", "birthday"}, []string{"why", "FITRI@mail.example", "birthday"})
	w.ok("suppress", "fitri@mail.example", "--reason", "complaint")
	w.ok("run", "birthday")
	w.ok("consent", "pause", "2", "--days", "30")
	w.file("campaigns/later.yaml", `campaign: later
audience: {where: "true", occasion: today()}
content: {email: {subject: Halo, text: Halo}}
`)
	w.transcript("why.txt",
		[]string{"why", "ani@mail.example", "birthday"}, // had it
		[]string{"why", "2", "birthday"},                // another day, and paused
		[]string{"why", "3", "birthday"},                // no address
		[]string{"why", "4", "birthday"},                // a column says no
		[]string{"why", "5", "birthday"},                // no customer any more
		[]string{"why", "6", "birthday"},                // suppressed
		[]string{"why", "1", "oil"},                     // not today
		[]string{"why", "1", "oil", "--as-of", "2026-11-24"},
		[]string{"why", "1", "oil", "--as-of", "2026-11-25"}, // not on that day
		[]string{"why", "3", "oil"},
		[]string{"why", "1", "spenders"},
		[]string{"why", "2", "spenders"},
		[]string{"why", "1", `any(customer.vehicles, .km > 200_000) || segment("spenders") && customer.city in ["Semarang", nil]`},
		[]string{"why", "1", `birthday(customer.birth_date + days(3)) && !received("birthday", days(30))`},
		[]string{"why", "1", `random_split("mix", "60%") && customer.birth_date == today() + days(500)`},
		[]string{"why", "1", `percentile(customer.id) > 98`},
		[]string{"why", "1", `!received("birthday", days(30)) && customer.birth_date != nil`},
		[]string{"why", "9", "oil"}, []string{"why", "eko@mail.example", "nope"}, []string{"why", "1", "spendrs"}, []string{"why", "1", "later"}, []string{"why", "1", "customer.x == 1"},
		[]string{"why", "1", "oil", "--as-of", "soon"},
	)
	if n := w.number(`select count(*) from audit_log where action like '%why%'`); n != 0 {
		t.Errorf("%d entries in the audit log: nothing was changed", n)
	}
}

// An address that two customers share names neither.
func TestWhyOfASharedAddress(t *testing.T) {
	t.Parallel()
	w := whyWorld(t)
	w.exec(`update public.customers set email = 'ani@mail.example ' where id = 2`)
	w.want(exitFailed, "sapa: several customers have the address Ani@mail.example, with the keys 1, 2: name one of them by its key\n", "why", "Ani@mail.example", "oil")
}

func TestWhyJSON(t *testing.T) {
	t.Parallel()
	w := whyWorld(t)
	var got struct {
		Gets    bool
		Reasons []struct{ Check string }
		Next    string
	}
	if err := json.Unmarshal([]byte(w.ok("why", "2", "birthday", "--json")), &got); err != nil {
		t.Fatal(err)
	}
	if got.Gets || len(got.Reasons) != 1 || got.Reasons[0].Check != "rule" || got.Next != "2026-12-24" {
		t.Errorf("%+v", got)
	}
}

// What the documentation shows is what was printed.
func TestDocumentedWhyAndExplain(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Clean(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	printed := read("testdata/why.txt") + read("testdata/explain-large.txt")
	shown := 0
	for block := range strings.SplitSeq(read("../../docs/rules.md"), "```\n") {
		if !strings.HasPrefix(block, "$ sapa ") {
			continue
		}
		if shown++; !strings.Contains(printed, block) {
			t.Errorf("no test prints:\n%s", block)
		}
	}
	if shown != 3 {
		t.Errorf("%d examples, want 3", shown)
	}
}
