package main

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clubMorning is business time in the tests of consent: Monday 23 November 2026, 9 o'clock in Jakarta.
var clubMorning = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)

const clubYAML = `customers:
  table: customers
  key: id
  email: email
  phone: phone
  name: name
  region: {default: ID}
  timezone: {default: Asia/Jakarta}
  consent: {default: granted, sms: sms_ok}
channels:
  email: {smtp: "smtp://MAIL", from: "Klub <halo@klub.example>"}
public_url: PUBLIC
company: {name: Klub Ban}
topics:
  service:
    title: {id: Pengingat servis, en: Service reminders}
  newsletter:
    title: {id: Kabar bulanan, en: Monthly news}
    about: {id: Sekali sebulan., en: Once a month.}
    opt_in: double
    channels: [email]
`

// newClub is a company with a topic that takes a confirmation.
func newClub(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.now = func() time.Time { return clubMorning }
	w.exec(`create table public.customers (id bigint primary key, name text, email text, phone text, sms_ok boolean)`)
	w.exec(`insert into public.customers values
		(1, 'Ani', 'ani@example.com', '0811-234-5671', true), (2, 'Budi', 'budi@example.com', '0811-234-5672', false),
		(3, 'Citra', 'citra@example.com', null, null)`)
	w.ok("migrate")
	w.file("sapa.yaml", strings.NewReplacer("MAIL", w.smtp, "PUBLIC", w.public).Replace(clubYAML))
	w.file("campaigns/news.yaml", `campaign: news
topic: newsletter
audience: {where: "true", occasion: today()}
content: {email: {subject: Kabar, text: "Halo {{ customer.name }}, atur: {{ preferences_url }}"}}
`)
	w.file("campaigns/news-confirm.yaml", `campaign: news-confirm
confirms: newsletter
audience: {where: "true"}
content: {email: {subject: Konfirmasi, html: '<p>Halo {{ customer.name }}, <a href="{{ confirm_url }}">ya, kirimkan</a></p>'}}
`)
	w.ok("apply")
	return w
}

func TestConsentVerbs(t *testing.T) {
	t.Parallel()
	w := newClub(t)
	w.want(exitOK, `┌────────────┬─────────┬─────────┬───────────────┬────────┬────┐
│ TOPIC      │ CHANNEL │ GETS IT │ BECAUSE OF    │ SOURCE │ AT │
├────────────┼─────────┼─────────┼───────────────┼────────┼────┤
│ service    │ email   │ yes     │ default       │        │    │
│ service    │ sms     │ no      │ column sms_ok │        │    │
│ newsletter │ email   │ no      │ default       │        │    │
└────────────┴─────────┴─────────┴───────────────┴────────┴────┘
`, "consent", "2")
	w.want(exitOK, "customer 2: topic newsletter on email was asked for, and the customer is to confirm it\n",
		"consent", "grant", "2", "--channel", "email", "--topic", "newsletter", "--evidence", "counter, form 17")
	w.want(exitOK, "customer 2: topic service on sms is granted\nbut the column sms_ok says no, which goes before: nothing is sent on sms\n",
		"consent", "grant", "2", "--channel", "sms", "--topic", "service")
	w.want(exitOK, "customer 2: topic service on every channel is withdrawn\n", "consent", "withdraw", "2", "--topic", "service")
	w.want(exitOK, "customer 2: nothing changes, the ledger says so already; see: sapa consent history 2\n", "consent", "withdraw", "002", "--topic", "service")
	w.want(exitOK, "customer 2: every topic on every channel is paused until 2026-12-03 02:00 UTC\n", "consent", "pause", "2", "--days", "10")
	w.want(exitOK, "customer 2: nothing changes, the ledger says so already; see: sapa consent history 2\n", "consent", "pause", "2", "--days", "10")
	w.want(exitOK, `┌────────────┬─────────┬─────────────────────────┬───────────────┬────────┬──────────────────────┐
│ TOPIC      │ CHANNEL │ GETS IT                 │ BECAUSE OF    │ SOURCE │ AT                   │
├────────────┼─────────┼─────────────────────────┼───────────────┼────────┼──────────────────────┤
│ service    │ email   │ paused until 2026-12-03 │ ledger        │ ani    │ 2026-11-23 09:00 WIB │
│ service    │ sms     │ no                      │ column sms_ok │        │                      │
│ newsletter │ email   │ paused until 2026-12-03 │ ledger        │ ani    │ 2026-11-23 09:00 WIB │
└────────────┴─────────┴─────────────────────────┴───────────────┴────────┴──────────────────────┘
`, "consent", "2")
	w.want(exitOK, "customer 2: the pause is over\n", "consent", "resume", "2")
	w.want(exitFailed, "sapa: customer 2: nothing is paused\n", "consent", "resume", "2")
	w.want(exitOK, `┌──────────────────────┬────────────────────────────────────────────────────────────────────────────┬────────┬───────────────────────┐
│ AT                   │ WHAT                                                                       │ SOURCE │ EVIDENCE              │
├──────────────────────┼────────────────────────────────────────────────────────────────────────────┼────────┼───────────────────────┤
│ 2026-11-23 09:00 WIB │ the pause is over                                                          │ ani    │                       │
│ 2026-11-23 09:00 WIB │ every topic on every channel is paused until 2026-12-03 02:00 UTC          │ ani    │                       │
│ 2026-11-23 09:00 WIB │ topic service on every channel is withdrawn                                │ ani    │                       │
│ 2026-11-23 09:00 WIB │ topic service on sms is granted                                            │ ani    │                       │
│ 2026-11-23 09:00 WIB │ topic newsletter on email was asked for, and the customer is to confirm it │ ani    │ note counter, form 17 │
└──────────────────────┴────────────────────────────────────────────────────────────────────────────┴────────┴───────────────────────┘
`, "consent", "history", "2")
	w.want(exitFailed, `sapa: customer "9": there is no such customer in public.customers; CUSTOMER is what stands in its column id`+"\n", "consent", "9")
	w.want(exitFailed, `sapa: customer "x": there is no such customer in public.customers; CUSTOMER is what stands in its column id`+"\n", "consent", "history", "x")
	w.want(exitUsage, `sapa: --topic newsleter: no such topic in sapa.yaml or in any campaign; did you mean "newsletter"?`+"\n", "consent", "grant", "2", "--topic", "newsleter")
	w.want(exitUsage, `sapa: --channel: no channel "mail"; did you mean "email"?`+"\n", "consent", "grant", "2", "--channel", "mail")
	w.want(exitFailed, "sapa: newsletter can be chosen on email only\n", "consent", "grant", "2", "--channel", "sms", "--topic", "newsletter")
	w.want(exitUsage, "sapa: --days 0: write a number from 1 to 3650\n", "consent", "pause", "2", "--days", "0")
	got := w.texts(`select concat_ws(' ', actor, action, subject, detail) from sapa.audit_log where subject like 'customer%' order by id`)
	want := []string{
		`ani request consent customer 2 {"topic": "newsletter", "channel": "email"}`,
		`ani grant consent customer 2 {"topic": "service", "channel": "sms"}`,
		`ani withdraw consent customer 2 {"topic": "service", "channel": "*"}`,
		`ani pause consent customer 2 {"topic": "*", "until": "2026-12-03T02:00:00Z", "channel": "*"}`,
		`ani resume consent customer 2 {"topic": "*", "channel": "*"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
}

// Who is granted everything keeps what was confirmed, and is asked for the rest.
func TestGrantOfEverythingAsksForDoubleOptIns(t *testing.T) {
	t.Parallel()
	w := newClub(t)
	w.want(exitOK, "customer 1: every topic on every channel is granted\ncustomer 1: topic newsletter on email was asked for, and the customer is to confirm it\n", "consent", "grant", "1")
	w.exec(`insert into sapa.consents (customer_key, channel, topic, granted, source) values ('3', 'email', 'newsletter', true, 'confirmation')`)
	w.want(exitOK, "customer 3: every topic on every channel is granted\n", "consent", "grant", "3")
	printed := w.ok("run", "news")
	if want := "  audience 3 = already 0 + planned 1 + skipped 2\n  skipped, no consent: 2\n"; !strings.Contains(printed, want) {
		t.Error(printed)
	}
}

// Of a customer who was erased there is nothing to decide.
func TestConsentOfTheErased(t *testing.T) {
	t.Parallel()
	w := newClub(t)
	w.exec(`insert into sapa.erasures (customer_key, key_hash, at, actor, row_present) values ('1', 'x', '2026-11-20 23:04Z', 'ani', true)`)
	w.want(exitOK, "customer 1 was erased on 2026-11-21; nothing is sent\n", "consent", "1")
	if printed := w.ok("consent", "1", "--json"); strings.Contains(printed, `"granted": true`) || !strings.Contains(printed, `"from": "erasure"`) {
		t.Error(printed)
	}
	for _, verb := range []string{"grant", "withdraw", "pause"} {
		w.want(exitFailed, "sapa: customer 1: the customer was erased: nothing is sent to them, and nothing that they say is kept\n", "consent", verb, "1")
	}
	w.want(exitFailed, "sapa: customer 1 was erased on 2026-11-21; nothing is sent\n", "preview", "news", "--customer", "1")
	if printed := w.ok("preview", "news"); !strings.HasPrefix(printed, "customer 2, ") {
		t.Errorf("the first of the audience: %s", printed)
	}
}

// A preview says of somebody in the audience why a run would skip them.
func TestPreviewOfTheSkipped(t *testing.T) {
	t.Parallel()
	w := newClub(t)
	w.file("campaigns/hello.yaml", "campaign: hello\ntopic: service\naudience: {where: \"true\"}\ncontent: {email: {subject: Halo, text: Halo}}\n")
	w.exec(`insert into public.customers (id, name, email) values (4, 'Dedi', null), (5, 'Eka', 'eka'), (6, 'Fani', 'fani@example.com')`)
	w.ok("apply")
	w.ok("consent", "withdraw", "1", "--topic", "service")
	w.ok("consent", "pause", "2")
	w.ok("suppress", "citra@example.com")
	digest := sha256.Sum256([]byte("gita@example.com"))
	w.exec(`insert into public.customers (id, name, email) values (7, 'Gita', 'Gita@example.com')`)
	w.file("hashed.csv", hex.EncodeToString(digest[:])+"\n")
	w.ok("suppress", "import", filepath.Join(w.dir, "hashed.csv"), "--hashed", "--channel", "email")
	const but = ", but would be skipped: "
	for _, c := range []struct{ campaign, key, want string }{
		{"hello", "1", but + "no consent"},
		{"hello", "2", but + "paused"},
		{"hello", "3", but + "suppressed"},
		{"hello", "4", but + "no address"},
		{"hello", "5", but + "bad address: no @"},
		{"hello", "6", ""},
		{"hello", "7", but + "suppressed"},
		{"news", "6", but + "no consent"},
		{"news-confirm", "6", but + "no request to confirm"},
	} {
		first, _, _ := strings.Cut(w.ok("preview", c.campaign, "--customer", c.key), "\n")
		if want := "customer " + c.key + ", in the audience now" + c.want; first != want {
			t.Errorf("%s: %s, want %s", c.campaign, first, want)
		}
	}
}

func TestConsentImport(t *testing.T) {
	t.Parallel()
	w := newClub(t)
	w.exec(`insert into sapa.consents (customer_key, channel, topic, granted, source, at) values ('3', '*', '*', false, 'unsubscribe page', '2026-10-01')`)
	list := filepath.Join(w.dir, "said.csv")
	w.file("said.csv", "\ufeffcustomer;channel;topic;granted;at;evidence\n"+
		"1;email;service;no;2026-11-01;letter 12\n"+
		"01;email;newsletter;yes;2026-11-02;form 3\n"+
		"1;email;service;no;2026-11-01;letter 12\n"+
		"3;email;service;yes;2026-09-01;form 1\n"+
		"9;email;service;yes;;\n"+
		"x;email;service;yes;;\n"+
		"2;mail;service;yes;;\n"+
		"2;email;serviec;yes;;\n"+
		"2;email;service;maybe;;\n"+
		"2;email;service;yes;soon;\n"+
		"2;email;service;yes;2027-11-02;\n"+
		"2;email\n")
	w.want(exitPartial, "12 lines: 2 newly recorded, 1 older than what the customer has said since, 1 repeated in the list, 8 rejected (see said.csv.rejects.csv)\n"+
		"1 waits for the customer's confirmation, which a campaign with  confirms:  asks for\n", "consent", "import", list)
	rejects, err := os.ReadFile(list + ".rejects.csv")
	if err != nil {
		t.Fatal(err)
	}
	want := `line,column,value,reason,record
6,customer,9,there is no such customer in public.customers,9;email;service;yes;;
7,customer,x,no customer can have this key,x;email;service;yes;;
8,channel,mail,"unknown channel; did you mean ""email""?",2;mail;service;yes;;
9,topic,serviec,"no such topic in sapa.yaml or in any campaign; did you mean ""service""?",2;email;serviec;yes;;
10,granted,maybe,"neither granted (yes, y, true, t, 1, ya) nor withdrawn (no, n, false, f, 0, tidak)",2;email;service;maybe;;
11,at,soon,no time: write 2026-11-23 or 2026-11-23T08:00:00+07:00,2;email;service;yes;soon;
12,at,2027-11-02,a time that is still to come,2;email;service;yes;2027-11-02;
13,,,2 values where the first line has 6,2;email
`
	if diff := cmp.Diff(want, string(rejects)); diff != "" {
		t.Errorf("rejects (-want +got):\n%s", diff)
	}
	got := w.texts(`select concat_ws(' ', customer_key, channel, topic, granted, pending, source, evidence, at::date) from sapa.consents where source like 'import%' order by id`)
	if diff := cmp.Diff([]string{
		`1 email service f f import by ani {"line": 4, "list": "said.csv", "note": "letter 12"} 2026-11-01`,
		`1 email newsletter f t import by ani {"line": 3, "list": "said.csv", "note": "form 3"} 2026-11-02`,
	}, got); diff != "" {
		t.Errorf("consents (-want +got):\n%s", diff)
	}
	w.file("said.csv", "customer,topic,granted\n1,service,no\n1,newsletter,yes\n")
	w.want(exitOK, "2 lines: 0 newly recorded, 2 already there\n", "consent", "import", list, "--channel", "email")
	w.file("said.csv", "customer,topic,granted\n8,service,no\n9,newsletter,yes\n")
	w.want(exitFailed, "sapa: said.csv has 2 records, and nothing in it can be used (see said.csv.rejects.csv)\n", "consent", "import", list)
	w.file("said.csv", "customer,channel,topic,granted\n1,sms,service,t\n2,sms,service,f\n3,sms,newsletter,ya\n3,sms,newsletter,tidak\n")
	w.want(exitPartial, "4 lines: 2 newly recorded, 1 already there, 1 rejected (see said.csv.rejects.csv)\n", "consent", "import", list)
	if rejects, err = os.ReadFile(list + ".rejects.csv"); err != nil {
		t.Fatal(err)
	}
	want = "line,column,value,reason,record\n4,channel,sms,newsletter can be chosen on email only,\"3,sms,newsletter,ya\"\n"
	if diff := cmp.Diff(want, string(rejects)); diff != "" {
		t.Errorf("rejects (-want +got):\n%s", diff)
	}
	w.file("said.csv", "name,yes\nAni,1\n")
	w.want(exitFailed, `sapa: import said.csv: said.csv: the first line must name the columns, and among them "customer"; it has name, yes (known: customer, channel, topic, granted, at, evidence)`+"\n",
		"consent", "import", list)
}

func TestSuppressVerbs(t *testing.T) {
	t.Parallel()
	w := newClub(t)
	w.want(exitOK, "nothing is suppressed\n", "suppress", "list")
	w.want(exitOK, "Budi@example.com is suppressed on email\n+628112345671 is suppressed on sms\n", "suppress", " Budi@Example.com ", "0811-234-5671", "+62 811 2345671", "--reason", "asked by telephone")
	w.want(exitOK, "budi@example.com was suppressed on email already: asked by telephone, ani, 2026-11-23 09:00 WIB\n", "suppress", "budi@example.com")
	w.want(exitFailed, `sapa: "lst" can't be an address on sms (not a number); nothing was changed; see: sapa suppress --help`+"\n", "suppress", "citra@example.com", "lst")
	w.want(exitUsage, `sapa: --channel: no channel "mail" with addresses; did you mean "email"?`+"\n", "suppress", "a@b.example", "--channel", "mail")
	w.want(exitOK, `┌─────────┬──────────────────┬────────────────────┬────────┬──────────────────────┐
│ CHANNEL │ ADDRESS          │ REASON             │ SOURCE │ AT                   │
├─────────┼──────────────────┼────────────────────┼────────┼──────────────────────┤
│ email   │ Budi@example.com │ asked by telephone │ ani    │ 2026-11-23 09:00 WIB │
│ sms     │ +628112345671    │ asked by telephone │ ani    │ 2026-11-23 09:00 WIB │
└─────────┴──────────────────┴────────────────────┴────────┴──────────────────────┘
`, "suppress", "list")
	w.want(exitOK, "channel,address,reason,source,at\nsms,+628112345671,asked by telephone,ani,2026-11-23T02:00:00Z\n", "suppress", "list", "--csv", "--channel", "sms")
	w.want(exitOK, "+628112345671 may be used again on sms\ncitra@example.com was not suppressed on email\n", "suppress", "--remove", "08112345671", "citra@example.com")
	got := w.texts(`select concat_ws(' ', actor, action, subject, detail) from sapa.audit_log where action like '%suppress' order by id`)
	if diff := cmp.Diff([]string{`ani suppress addresses {"sms": 1, "email": 1}`, `ani unsuppress addresses {"sms": 1}`}, got); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
}

func TestSuppressionLists(t *testing.T) {
	t.Parallel()
	w := newClub(t)
	plain := filepath.Join(w.dir, "list.csv")
	w.file("list.csv", "Nama,Email,reason,at\nAni,ani@example.com,complaint,2026-01-02\nAni,ANI@example.com,,\nX,no address,,\nY,y@example.com,,\n")
	w.want(exitPartial, "4 lines: 2 newly suppressed, 1 repeated in the list, 1 rejected (see list.csv.rejects.csv)\n", "suppress", "import", plain)
	w.want(exitPartial, "4 lines: 0 newly suppressed, 2 already there, 1 repeated in the list, 1 rejected (see list.csv.rejects.csv)\n", "suppress", "import", plain)
	w.file("list.csv", "0811 234 5671\n+62 811-2345-672\nabc\n")
	w.want(exitPartial, "3 lines: 2 newly suppressed, 1 rejected (see list.csv.rejects.csv)\n", "suppress", "import", plain, "--channel", "sms", "--reason", "do not call")
	w.file("list.csv", "Kontak,Nama\nbudi,Budi\n")
	w.want(exitFailed, "sapa: import list.csv: list.csv: which column has the addresses? say --column NAME; its columns are Kontak, Nama\n", "suppress", "import", plain)
	w.want(exitFailed, "sapa: import list.csv: list.csv has no column \"Kontk\"; did you mean \"Kontak\"?\n", "suppress", "import", plain, "--column", "Kontk")
	w.want(exitFailed, "sapa: list.csv has 1 record, and nothing in it can be used (see list.csv.rejects.csv)\n", "suppress", "import", plain, "--column", "kontak")
	digest := strings.Repeat("0a", 32)
	w.file("list.csv", digest+"\nani@example.com\n")
	w.want(exitFailed, "sapa: import list.csv: 1 of its lines looks like SHA-256: add --hashed --channel email\n", "suppress", "import", plain)
	w.file("list.csv", "hash,reason\n"+digest+",x\n"+digest+",x\n")
	w.want(exitFailed, "sapa: import list.csv: 2 of its lines look like SHA-256: add --hashed --channel sms\n", "suppress", "import", plain, "--channel", "sms", "--column", "hash")
	w.file("list.csv", "digest,reason\n"+digest+",x\n")
	w.want(exitFailed, "sapa: import list.csv: its column digest looks like SHA-256: add --hashed --channel email\n", "suppress", "import", plain)
	export := w.ok("suppress", "export")
	if want := `address,channel,reason,source,at
y@example.com,email,list,import by ani,2026-11-23T02:00:00Z
+628112345671,sms,do not call,import by ani,2026-11-23T02:00:00Z
+628112345672,sms,do not call,import by ani,2026-11-23T02:00:00Z
ani@example.com,email,complaint,import by ani,2026-01-02T00:00:00Z
`; export != want {
		t.Error(cmp.Diff(want, export))
	}
	w.file("mine.csv", w.ok("suppress", "export", "--hashed"))
	other := newClub(t)
	other.ok("run", "news") // two of the people are known there, two are not
	other.exec(`insert into public.customers values (4, 'Yuni', 'Y@example.com', null, null)`)
	w.copyTo(other, "mine.csv")
	hashed := filepath.Join(other.dir, "mine.csv")
	other.want(exitOK, "4 lines: 4 newly suppressed\n", "suppress", "import", hashed, "--hashed")
	other.want(exitOK, "4 lines: 0 newly suppressed, 4 already there\n", "suppress", "import", hashed, "--hashed")
	if got := other.texts(`select address from sapa.suppressions`); !cmp.Equal(got, []string{"ani@example.com"}) {
		t.Errorf("matched %q", got)
	}
	other.exec(`insert into sapa.consents (customer_key, channel, topic, granted, source) select id, '*', '*', true, 'test' from public.customers`)
	printed := other.ok("run", "news", "--again", "x")
	if want := "  audience 4 = already 0 + planned 2 + skipped 2\n  skipped, suppressed: 2\n"; !strings.Contains(printed, want) {
		t.Error(printed)
	}
	got := other.texts(`select concat_ws(' ', channel, address, reason, source, at::date) from sapa.suppressions order by 1`)
	if diff := cmp.Diff([]string{"email Y@example.com list import by ani 2026-11-23", "email ani@example.com complaint import by ani 2026-01-02"}, got); diff != "" {
		t.Errorf("suppressed (-want +got):\n%s", diff)
	}
}

// copyTo copies a file to another world's project.
func (w *world) copyTo(other *world, name string) {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	other.file(name, string(text))
}

// A double opt-in from the counter to the newsletter: a real mail server, the real pages.
func TestDoubleOptIn(t *testing.T) {
	t.Parallel()
	w := newClub(t)
	w.servePublic()
	if printed, want := w.ok("run", "news", "--dry-run"), "  audience 3 = already 0 + planned 0 + skipped 3\n  skipped, no consent: 3\n"; !strings.Contains(printed, want) {
		t.Error(printed)
	}
	w.ok("consent", "grant", "1", "--topic", "newsletter", "--channel", "email")
	w.ok("consent", "grant", "2", "--topic", "newsletter", "--channel", "email")
	w.ok("run", "news-confirm")
	asked := w.letters("Konfirmasi")
	if len(asked) != 2 || w.caught() != 2 {
		t.Fatalf("%d were asked", len(asked))
	}
	w.ok("run", "news-confirm")
	if w.caught() != 2 {
		t.Error("asked again for the same request")
	}
	w.ok("run", "news")
	if w.caught() != 2 {
		t.Error("the newsletter went to somebody who has not confirmed")
	}
	confirm := confirmLink(t, w, asked["ani@example.com"].HTML)
	status, _, body := w.fetch(http.MethodGet, confirm, browser, nil)
	if status != 200 || !strings.Contains(body, "<h1>Get “Monthly news”?</h1>") {
		t.Fatalf("%d\n%s", status, body)
	}
	if n := w.number(`select count(*) from sapa.consents where granted`); n != 0 {
		t.Error("a GET confirmed")
	}
	for range 2 { // once more changes nothing
		status, _, body = w.fetch(http.MethodPost, confirm, browser, url.Values{"scope": {"confirm"}})
		if status != 200 || !strings.Contains(body, "<h1>Confirmed</h1>") {
			t.Fatalf("%d\n%s", status, body)
		}
	}
	got := w.texts(`select concat_ws(' ', customer_key, channel, topic, granted, source, evidence - 'message', evidence ? 'message') from sapa.consents where granted`)
	if diff := cmp.Diff([]string{
		`1 email newsletter t confirmation {"ip": "127.0.0.1", "request": 1, "user_agent": "` + browser + `"} t`,
	}, got); diff != "" {
		t.Errorf("consents (-want +got):\n%s", diff)
	}
	w.ok("run", "news")
	if letters := w.letters("Kabar"); len(letters) != 1 || letters["ani@example.com"].Text == "" {
		t.Errorf("the newsletter went to %d", len(letters))
	}
	// Another request is another occasion, and a link expires.
	w.ok("consent", "grant", "2", "--topic", "newsletter", "--channel", "email")
	w.ok("run", "news-confirm")
	if w.caught() != 4 {
		t.Errorf("%d messages; another request was not asked for", w.caught())
	}
	late := confirmLink(t, w, asked["budi@example.com"].HTML)
	w.exec(`update sapa.messages set not_before = not_before - interval '31 days'`)
	if _, _, body = w.fetch(http.MethodPost, late, browser, url.Values{"scope": {"confirm"}}); !strings.Contains(body, "<h1>This link has expired</h1>") {
		t.Error(body)
	}
	w.ok("consent", "withdraw", "2", "--topic", "newsletter")
	if _, _, body = w.fetch(http.MethodPost, late, browser, url.Values{"scope": {"confirm"}}); !strings.Contains(body, "<h1>There is nothing to confirm</h1>") {
		t.Error(body)
	}
}

func confirmLink(t *testing.T, w *world, html string) string {
	t.Helper()
	link := regexp.MustCompile(regexp.QuoteMeta(w.public) + `/k/[-_0-9A-Za-z]+`).FindString(html)
	if link == "" {
		t.Fatalf("no link to confirm in %s", html)
	}
	return link
}
