package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sapa-crm/sapa/sandbox"
)

// TestBrokenFiles breaks a file of each kind: all problems of all of them are shown at once, and nothing is applied.
func TestBrokenFiles(t *testing.T) {
	t.Parallel()
	w := newShop(t, 3, "")
	w.file("campaigns/yaml.yaml", "campaign: yaml\naudience: {where: \"true\"}\nsubjekt: Halo\ncontent:\n  email:\n\tsubject: Halo\n")
	w.file("campaigns/keys.yaml", "campaign: keys\naudience: {were: \"true\"}\nsubjekt: Halo\ncontent: {email: {subject: Halo, text: Halo}}\n")
	w.file("campaigns/rule.yaml", "campaign: rule\naudience:\n  where: |\n    customer.citty == \"Solo\"\n      && customer.id > \"many\"\ncontent: {email: {subject: Halo, text: Halo}}\n")
	w.file("campaigns/template.yaml", "campaign: template\naudience: {where: \"true\"}\ncontent: {email: {subject: \"Halo {{ customer.nam }}\", html: template.html.liquid}}\n")
	w.file("templates/template.html.liquid", "<p>Halo {{ customer.name }}</p>\n<p>{% if customer.city %}Solo</p>\n<a href=\"javascript:alert(1)\">x</a>\n")
	const want = `sapa: 8 problems
campaigns/keys.yaml:2:12: unknown key "were"
   2 | audience: {were: "true"}
     |            ^^^^
     did you mean "where"?
campaigns/keys.yaml:3:1: unknown key "subjekt"
   3 | subjekt: Halo
     | ^^^^^^^
     known here: approval, audience, campaign, channels, confirms, content, description, limits, priority, schedule, seeds, then, topic, trigger
campaigns/rule.yaml:4:14: unknown column "citty" of customer
   4 |     customer.citty == "Solo"
     |              ^^^^^
     did you mean "city"?
campaigns/rule.yaml:5:10: customer.id is a whole number and "many" is text: they can't be compared by >
   5 |       && customer.id > "many"
     |          ^^^^^^^^^^^^^^^^^^^^
campaigns/template.yaml:3:46: customer has no column "nam"
   3 | content: {email: {subject: "Halo {{ customer.nam }}", html: template.html.liquid}}
     |                                              ^^^
     did you mean "name"?
campaigns/yaml.yaml:6:1: a tab in the indentation
   6 | 	subject: Halo
     | ^
     indent with spaces
templates/template.html.liquid:2:4: {% if %} is not closed
   2 | <p>{% if customer.city %}Solo</p>
     |    ^^^^^^^^^^^^^^^^^^^^^^
     close it with {% endif %}
templates/template.html.liquid:3:10: links lead to http, https, mailto and tel only, not to javascript:
   3 | <a href="javascript:alert(1)">x</a>
     |          ^^^^^^^^^^^^^^^^^^^
`
	w.want(exitFailed, want, "validate")
	w.want(exitFailed, want, "apply")
	if n := w.number(`select count(*) from sapa.versions`); n != 1 {
		t.Errorf("%d versions", n)
	}
}

func TestBrokenConfig(t *testing.T) {
	t.Parallel()
	w := newShop(t, 3, "")
	w.project("customers: {tabel: customers, key: id, email: emial}\nchannels: {email: {smtp: \"${SMTP_URL}\", from: Toko}}\n")
	w.want(exitFailed, `sapa: 3 problems
sapa.yaml:1:13: unknown key "tabel"
   1 | customers: {tabel: customers, key: id, email: emial}
     |             ^^^^^
     did you mean "table"?
sapa.yaml:2:27: the environment variable SMTP_URL is not set
   2 | channels: {email: {smtp: "${SMTP_URL}", from: Toko}}
     |                           ^^^^^^^^^^^
     set it before starting, as in export SMTP_URL=…
sapa.yaml:2:47: expected an address such as Bengkel Maju <halo@bengkel.example>, found "Toko"
   2 | channels: {email: {smtp: "${SMTP_URL}", from: Toko}}
     |                                               ^^^^
`, "validate")
	w.project("customers: {table: custommers, key: id, email: email}\nchannels: {email: {smtp: \"smtp://MAIL\", from: \"Toko <halo@toko.example>\"}}\n")
	w.want(exitFailed, `sapa: 1 problem
sapa.yaml:1:20: no table or view "custommers" in schema "public"
   1 | customers: {table: custommers, key: id, email: email}
     |                    ^^^^^^^^^^
     did you mean "customers"?
`, "run", "hello")
}

func TestMissingThings(t *testing.T) {
	t.Parallel()
	w := newBareWorld(t)
	noProject := "sapa: no sapa.yaml: go to your project's folder, name it with --project, or make one with: sapa init\n"
	w.want(exitFailed, noProject, "validate")
	w.want(exitFailed, noProject, "run", "hello")
	w.exec(`create table public.customers (id bigint primary key, name text, email text, city text)`)
	w.project("customers: {table: customers, key: id, email: email}\nchannels: {email: {smtp: \"smtp://MAIL\", from: \"Toko <halo@toko.example>\"}}\npublic_url: PUBLIC\n")
	noTables := "sapa: Sapa's tables in schema \"sapa\" are missing or out of date; make them with: sapa migrate\n"
	w.want(exitFailed, noTables, "validate")
	w.want(exitFailed, noTables, "status")
	w.ok("migrate")
	w.want(exitFailed, "sapa: no folder campaigns/ here: go to your project's folder, name it with --project, or make one with sapa init: open campaigns: no such file or directory\n", "validate")
	w.file("campaigns/hello.yaml", hello)
	w.want(exitFailed, "sapa: campaigns/hello.yaml is not applied yet; first: sapa apply\n", "run", "hello")
	w.ok("apply")
	w.want(exitFailed, "sapa: campaign \"helo\": not found; did you mean \"hello\"?\n", "run", "helo")
	w.want(exitFailed, "sapa: campaign \"helo\": not found; did you mean \"hello\"?\n", "preview", "helo")
	for _, verb := range []string{"pause", "resume", "cancel", "retry"} {
		w.want(exitFailed, "sapa: run 7: not found; see: sapa status --all\n", verb, "7")
	}
	w.want(exitFailed, "sapa: there is no run 7; see: sapa status --all\n", "status", "7")
	w.want(exitFailed, "sapa: there is no run 7; see: sapa status --all\n", "report", "--run", "7")
	w.want(exitFailed, "sapa: there is no run 7; see: sapa status --all\n", "messages", "7")
	w.want(exitUsage, "sapa: \"x\" is not the number of a run; see: sapa status\n", "pause", "x")
	w.want(exitUsage, "sapa: write: sapa run CAMPAIGN [flags]\nsee: sapa run --help\n", "run")
	w.want(exitUsage, "sapa: sapa has no verb \"rum\"; did you mean \"run\"?\nsee: sapa --help\n", "rum", "hello")
	w.want(exitOK, "no run is under way; earlier ones: sapa report\n", "status")
}

func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	w := newShop(t, 3, "")
	nowhere := closedPort(t)
	w.env["DATABASE_URL"] = "postgres://sapa:secret@" + nowhere + "/toko"
	for _, args := range [][]string{{"validate"}, {"run", "hello"}, {"status"}, {"serve"}, {"pause", "1"}} {
		w.want(exitFailed, `sapa: connect to toko on `+nowhere+`: nothing listens there
  start the server there, or check host and port in DATABASE_URL; with DATABASE_URL unset Sapa runs a private PostgreSQL of its own
`, args...)
	}
}

func TestMailServerAway(t *testing.T) {
	t.Parallel()
	w := newShop(t, 3, "")
	w.stopMail()
	w.want(exitFailed, "sapa: nothing was planned: can't reach the SMTP server smtp://MAIL: dial tcp MAIL: connect: connection refused\n", "run", "hello")
	if n := w.number(`select count(*) from sapa.runs`) + w.number(`select count(*) from sapa.occasions`); n != 0 {
		t.Errorf("%d runs and occasions", n)
	}
	w.startMail()
	w.ok("run", "hello")
	w.everybodyOnce(3)
}

// TestMailServerDies ends the mail server in the middle of a run, and starts it again later.
func TestMailServerDies(t *testing.T) {
	t.Parallel()
	const n = 300
	w := newShop(t, n, "", sandbox.Rule{Name: "slow", Delay: 10 * time.Millisecond})
	run := w.start("run", "hello")
	w.sending(run, 20)
	enough := w.watch(1, n)
	w.stopMail()
	w.until("the run says why it waits", func() bool {
		return strings.Contains(w.status(1).Reason, "can't reach the SMTP server smtp://MAIL")
	})
	if run.ended() {
		t.Fatalf("the program has ended:\n%s", run.printed())
	}
	a := w.status(1)
	if a.State != "sending" || a.Failed != 0 || a.Planned == 0 {
		t.Errorf("while the server is away: %+v", a)
	}
	w.startMail()
	code, printed := run.wait()
	enough()
	a = w.status(1)
	if a.State != "done" || a.Reason != "" || a.Sent+a.Unknown != n || a.Unknown > 8 || (code == exitOK) != (a.Unknown == 0) {
		t.Errorf("exit code %d, %+v:\n%s", code, a, printed)
	}
	if got := len(w.letters("Halo")); got < a.Sent || got > n {
		t.Errorf("%d customers got a message, %d are sent, %d unknown", got, a.Sent, a.Unknown)
	}
	w.want(exitOK, "everything adds up\n", "check")
}

func (w *world) accountAt(p *provider, password string) {
	w.t.Helper()
	w.smtp = p.addr
	w.project(fmt.Sprintf(`customers: {table: customers, key: id, email: email, name: name}
channels:
  email: {smtp: "smtp://toko:%s@MAIL?tls=none", from: "Toko <halo@toko.example>"}
public_url: PUBLIC
`, password))
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	const n = 300
	w := newShop(t, n, "")
	p := startProvider(t, "right")
	w.accountAt(p, "wrong-and-secret")
	const refused = "the SMTP server refused the user name or password (535 5.7.8 Authentication credentials invalid): check SMTP_URL\n"
	w.want(exitFailed, "sapa: nothing was planned: "+refused, "run", "hello")
	if n := w.number(`select count(*) from sapa.runs`); n != 0 {
		t.Errorf("%d runs", n)
	}

	w.accountAt(p, "right")
	run := w.start("run", "hello")
	w.until("mail flows", func() bool { n, _ := p.count(); return n > 10 })
	p.changePassword("changed")
	code, printed := run.wait()
	if want := "sapa: run 1 is paused: " + refused + "when that is mended: sapa resume 1\n"; code != exitFailed || !strings.HasSuffix(printed, want) {
		t.Errorf("exit code %d:\n%s", code, printed)
	}
	a := w.status(1)
	if a.State != "paused" || a.Failed != 0 || a.Planned+a.Sent+a.Unknown != n || a.Planned == 0 {
		t.Errorf("after the refused login: %+v", a)
	}
	w.accountAt(p, "changed")
	if code, printed := w.sapa("resume", "1"); code == exitFailed {
		t.Errorf("resume ends with %d:\n%s", code, printed)
	}
	messages, recipients := p.count()
	if a := w.status(1); a.State != "done" || a.Sent+a.Unknown != n || a.Unknown > 8 || messages != recipients || messages < a.Sent {
		t.Errorf("%d messages to %d recipients: %+v", messages, recipients, a)
	}
}

// TestFullDisk lets the mail server refuse everything for now: it is tried again later, by a process of that time.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	const n = 30
	full := sandbox.Rule{Name: "full", Reply: sandbox.Reply{Code: 452, Enhanced: [3]int{4, 3, 1}, Words: "Insufficient system storage"}}
	w := newShop(t, n, "", full)
	w.now = func() time.Time { return time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC) }
	later := fmt.Sprintf(`30 wait until %s; sapa serve sends them by itself, or then: sapa resume 1
why: sapa messages 1 --state planned
`, w.now().Add(time.Minute).UTC().Format("Mon 2 Jan 15:04 MST"))
	w.want(exitPartial, `run 1 of hello, as of Sun 22 Nov 2026 08:00
  audience 30 = already 0 + planned 30 + skipped 0
run 1 sending: sent 0 of 30
`+later, "run", "hello")
	a := w.status(1)
	if a.State != "sending" || a.Planned != n || a.Failed != 0 {
		t.Errorf("%+v", a)
	}
	state := "planned, goes " + w.now().Add(time.Minute).UTC().Format("2006-01-02 15:04 MST")
	line, head := strings.Repeat("─", len(state)), "STATE"+strings.Repeat(" ", len(state)-len("STATE"))
	w.want(exitOK, `┌──────────┬─`+line+`─┬────────┬──────┬─────────────────────────────┐
│ CUSTOMER │ `+head+` │ REASON │ CODE │ WORDS                       │
├──────────┼─`+line+`─┼────────┼──────┼─────────────────────────────┤
│ 1        │ `+state+` │        │  452 │ Insufficient system storage │
│ 10       │ `+state+` │        │  452 │ Insufficient system storage │
└──────────┴─`+line+`─┴────────┴──────┴─────────────────────────────┘
the first 2; more with --limit
`, "messages", "1", "--limit", "2", "--state", "planned")
	const here = "nobody else is sending; run 1 goes on from here\n"
	w.want(exitPartial, here+"run 1 sending: sent 0 of 30\n"+later, "resume", "1")
	w.stopMail()
	w.startMail()
	w.now = func() time.Time { return time.Date(2026, 11, 22, 8, 2, 0, 0, time.UTC) }
	w.want(exitOK, here+"run 1 done: sent 30 of 30\n", "resume", "1")
	w.everybodyOnce(n)
}

// TestDroppedColumn takes a column away that the messages show, in the middle of a run.
func TestDroppedColumn(t *testing.T) {
	t.Parallel()
	const n = 300
	w := newShop(t, n, "", sandbox.Rule{Name: "slow", Delay: 10 * time.Millisecond})
	run := w.start("run", "hello")
	w.sending(run, 20)
	w.exec(`alter table public.customers rename city to town`)
	code, printed := run.wait()
	want := "sapa: run 1 is paused: the company's tables can't be read as when the campaign was applied: read public.customers: " +
		"ERROR: column t.city does not exist (SQLSTATE 42703); mend it, then: sapa resume 1\n"
	if code != exitFailed || !strings.HasSuffix(printed, want) {
		t.Errorf("exit code %d:\n%s", code, printed)
	}
	a := w.status(1)
	if a.State != "paused" || a.Failed+a.Skipped+a.Unknown != 0 || a.Planned != n-w.caught() {
		t.Errorf("%d were caught: %+v", w.caught(), a)
	}
	const misfit = `version 1 of hello does not fit sapa.yaml and the company's tables as they were when this process started:
hello version 1:3:109: customer has no column "city"
   3 | content: {email: {subject: "Halo {{ customer.name }}", text: "Apa kabar, {{ customer.name }} di {{ customer.city }}?"}}
     |                                                                                                             ^^^^
     known here: email, id, name, town
`
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	w.want(exitFailed, fmt.Sprintf(`nobody else is sending; run 1 goes on from here
run 1 paused: sent %d of 300
sapa: run 1 is paused: the sapa process %s/pid %d can't use the applied version: `, w.caught(), host, os.Getpid())+misfit+
		"if sapa.yaml or the tables were changed after it started, restart it, then: sapa resume 1\n", "resume", "1")
	w.want(exitFailed, "sapa: "+misfit, "run", "hello")
	w.exec(`alter table public.customers rename town to city`)
	w.want(exitOK, "nobody else is sending; run 1 goes on from here\nrun 1 done: sent 300 of 300\n", "resume", "1")
	w.everybodyOnce(n)
}
