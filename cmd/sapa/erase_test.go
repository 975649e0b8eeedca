package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/sandbox"
)

const zulAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0 ZulBrowser/9"

// zulkifli are the words that say who customer 1 is.
func zulkifli() []string {
	return []string{"Zulkifli", "zulkifli.r@mail.example", "zulkifli+pindah@mail.example", "0812-3456-7890", "81234567890", "+6281234567890", "ZulBrowser", "rumah=Jl-Melati-7"}
}

// newPast is a company whose server runs, and whose customer 1, Zulkifli, has met everything: mails that he opened, whose
// link he followed and from which he unsubscribed, one that bounced with his address in the server's words, one that
// could not be filled, a text whose link is his own and that he answered, decisions with evidence, a suppression.
func newPast(t *testing.T) (w *world, logs func() string) {
	t.Helper()
	w = newWorld(t)
	var err error
	w.mail, err = sandbox.Start(context.WithoutCancel(t.Context()), sandbox.Config{
		Dir: t.TempDir(), InboundURL: w.public + "/hooks/sms/inbound", Pace: 10 * time.Millisecond, Misbehave: []sandbox.Rule{
			{Name: "quote", To: "pindah", Stage: sandbox.AtRecipient, Reply: sandbox.Reply{Code: 550, Enhanced: [3]int{5, 1, 1}, Words: "<zulkifli+pindah@mail.example>: no such mailbox"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.mail.Close() })
	w.smtp, w.env["SAPA_LOG"] = w.mail.SMTPAddr(), "debug"
	w.exec(`create table public.customers (id bigint primary key, name text, email text, phone text, street text, city text)`)
	w.exec(`insert into public.customers values (1, 'Zulkifli', 'zulkifli.r@mail.example', '0812-3456-7890', 'Jl-Melati-7', null),
		(2, 'Ani', 'ani@example.com', '0811-234-5671', 'Jl-Mawar-1', 'Solo')`)
	w.file("sapa.yaml", `customers: {table: customers, key: id, email: email, phone: phone, name: name, region: {default: ID}}
channels:
  email: {smtp: "smtp://`+w.smtp+`", from: "Toko <halo@toko.example>"}
  sms: {twilio: "`+w.mail.TwilioURL()+`", from: "+6281100000001"}
public_url: `+w.public+"\n")
	for name, content := range map[string]string{
		"hello":    `{email: {subject: "Halo {{ customer.name }}", html: "<p>Halo {{ customer.name }}, <a href='https://toko.example/x?rumah={{ customer.street }}'>lihat</a> <a href='{{ unsubscribe_url }}'>berhenti</a></p>"}}`,
		"city":     `{email: {subject: Kota, text: "Halo {{ customer.name }} di {{ customer.city }}"}}`,
		"again":    `{email: {subject: Lagi, text: "Halo {{ customer.name }}"}}`,
		"reminder": `{sms: {text: "Halo {{ customer.name }}: {{ 'https://toko.example/y' | link: rumah: customer.street }}"}}`,
	} {
		channel := "email"
		if name == "reminder" {
			channel = "sms"
		}
		w.file("campaigns/"+name+".yaml", fmt.Sprintf("campaign: %s\naudience: {where: \"true\"}\nchannels: [%s]\ncontent: %s\n", name, channel, content))
	}
	w.ok("migrate")
	w.ok("apply")
	return w, w.live()
}

// live lets the customers' past happen; logs are what all processes have logged.
func (w *world) live() (logs func() string) {
	w.t.Helper()
	var printed []string
	say := func(args ...string) {
		code, text := w.sapa(args...)
		if code == exitFailed || code == exitUsage {
			w.t.Fatalf("sapa %s:\n%s", strings.Join(args, " "), text)
		}
		printed = append(printed, text)
	}
	if err := w.listener.Close(); err != nil { // sapa serve listens there
		w.t.Fatal(err)
	}
	serve := w.start("serve", "--public", w.listener.Addr().String())
	w.until("it serves", func() bool { return strings.Contains(serve.printed(), "serving") })
	say("preview", "hello", "--customer", "1")
	say("run", "hello", "--yes")
	say("run", "city", "--yes")
	mail := w.letters("Halo Zulkifli")["zulkifli.r@mail.example"]
	links := regexp.MustCompile(regexp.QuoteMeta(w.public)+`/([ocu])/[-_0-9A-Za-z]+`).FindAllStringSubmatch(mail.HTML, -1)
	say("run", "reminder", "--yes")
	if len(links) < 3 {
		w.t.Fatalf("links %q in:\n%s", links, mail.HTML)
	}
	for _, l := range links {
		w.fetch(http.MethodGet, l[0], zulAgent, nil)
		if l[1] == "u" {
			w.fetch(http.MethodPost, l[0], zulAgent, url.Values{"scope": {"topic"}})
		}
	}
	w.until("the hits are there", func() bool { return w.number(`select count(distinct kind) from sapa.hits`) >= 4 })
	if answer, err := w.mail.Reply(w.t.Context(), "+6281234567890", "+6281100000001", "Saya Zulkifli, sudah pindah"); err != nil {
		w.t.Fatal(answer, err)
	}
	say("consent", "grant", "1", "--channel", "sms", "--evidence", "Zulkifli at the counter")
	w.exec(`update public.customers set email = 'zulkifli+pindah@mail.example' where id = 1`)
	w.exec(`insert into sapa.consents (customer_key, channel, topic, granted, source, at) values ('1', '*', '*', true, 'by hand', now())`)
	say("run", "again", "--yes")
	say("suppress", "zulkifli.r@mail.example")
	say("export-customer", "1", "--out", filepath.Join(w.dir, "zul.json"))
	return func() string {
		text := strings.Join(printed, "\n") + serve.printed()
		return strings.Join(regexp.MustCompile(`(?m)^time=.*$`).FindAllString(text, -1), "\n")
	}
}

// holding lists the tables of Sapa's schema, River's too, that hold one of the words in any column, also as bytes.
func (w *world) holding(words ...string) []string {
	w.t.Helper()
	found := []string{}
	for _, table := range w.texts(`select c.relname::text from pg_class c where c.relnamespace = 'sapa'::regnamespace and c.relkind = 'r' order by 1`) {
		for _, word := range words {
			n := w.number(`select count(*) from sapa.`+pgx.Identifier{table}.Sanitize()+` t where strpos(lower(t::text), lower($1)) > 0 or strpos(t::text, $2) > 0`,
				word, hex.EncodeToString([]byte(word)))
			if table = regexp.MustCompile(`_\d{4}_\d\d$`).ReplaceAllString(table, ""); n > 0 && !slices.Contains(found, table) {
				found = append(found, table)
			}
		}
	}
	return found
}

// reports are all reports without the time at which they were made.
func (w *world) reports() any {
	w.t.Helper()
	var r map[string]any
	if err := json.Unmarshal([]byte(w.ok("report", "--json")), &r); err != nil {
		w.t.Fatal(err)
	}
	delete(r, "at")
	return r
}

func TestErase(t *testing.T) {
	t.Parallel()
	w, logs := newPast(t)
	places := []string{"addresses", "attempts", "consents", "hits", "inbound", "short_links", "suppressions"}
	if diff := cmp.Diff(places, w.holding(zulkifli()...)); diff != "" {
		t.Fatalf("the past is not everywhere where personal data can be (-want +got):\n%s", diff)
	}
	exported, err := os.ReadFile(filepath.Join(w.dir, "zul.json"))
	if err != nil || !json.Valid(exported) {
		t.Fatalf("%v\n%s", err, exported)
	}
	for _, word := range zulkifli() {
		if word != "Zulkifli" && !strings.Contains(string(exported), word) && !strings.Contains(word, "0812") {
			t.Errorf("%q is not in the export", word)
		}
	}
	before := w.reports()
	// log lines of the erasure itself would be among the others'
	w.env["SAPA_LOG"] = "error"
	code, printed := w.sapa("erase", "1")
	want := `customer 1
  the row in public.customers is there: while it is, nothing is sent to it
  4 messages stay under a pseudonym, without address
  4 occasions stay under the pseudonym
  3 addresses go
  2 suppressed addresses stay as keyed hashes
`
	if code != exitFailed || !strings.HasPrefix(printed, want) || !strings.HasSuffix(printed, "sapa: nothing was changed; to go ahead without being asked, add --yes\n") {
		t.Errorf("exit code %d, want it to begin\n%s\nbut:\n%s", code, want, printed)
	}
	if diff := cmp.Diff(places, w.holding(zulkifli()...)); diff != "" {
		t.Errorf("unconfirmed (-want +got):\n%s", diff)
	}
	w.env["SAPA_LOG"] = "debug"
	eraseLog := w.ok("erase", "1", "--yes")
	if found := w.holding(zulkifli()...); len(found) > 0 {
		t.Errorf("still in %v", found)
	}
	logged := logs() + eraseLog
	if !strings.Contains(logged, "time=") {
		t.Error("nothing was logged")
	}
	for _, word := range zulkifli() {
		if i := strings.Index(logged, word); i >= 0 {
			t.Errorf("%q is in the log: …%s…", word, logged[max(0, i-200):i+80])
		}
	}
	w.env["SAPA_LOG"] = "error"
	if diff := cmp.Diff(before, w.reports()); diff != "" {
		t.Errorf("the reports say something else:\n%s", diff)
	}
	w.want(exitOK, "everything adds up\n", "check")
	w.want(exitOK, "customer 1 is erased (erasure 1); while the row is there, nothing is sent to it\n", "erase", "1", "--yes")
	caught := w.mail.Counts().Accepted
	if printed := w.ok("run", "again", "--again", "later", "--yes"); !strings.Contains(printed, "skipped, erased: 1") {
		t.Errorf("a later run:\n%s", printed)
	}
	if n := w.mail.Counts().Accepted - caught; n != 1 {
		t.Errorf("%d messages were sent, want one to Ani", n)
	}
	if found := w.holding(zulkifli()...); len(found) > 0 {
		t.Errorf("after a later run it is in %v", found)
	}
	w.want(exitFailed, "sapa: erase customer 9: no such customer; neither public.customers nor Sapa has the key\n", "erase", "9", "--yes")
	w.want(exitFailed, "sapa: export customer 9: no such customer; neither public.customers nor Sapa has the key\n", "export-customer", "9")
}
