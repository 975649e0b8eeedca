package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// asked runs a verb at a terminal where somebody answers.
func (w *world) asked(answer string, args ...string) (code int, printed string) {
	w.t.Helper()
	var out terminalText
	a := newApp(func(name string) string { return w.env[name] }, strings.NewReader(answer), &out, &out)
	a.interactive = func(io.Reader, io.Writer) bool { return true }
	if w.now != nil {
		a.now = w.now
	}
	root := newRootCommand(a)
	root.SetArgs(append([]string{"--project", w.dir}, args...))
	code = a.exitCode(root.ExecuteContext(w.t.Context()))
	p := &process{w: w, out: &out}
	return code, times.ReplaceAllString(p.printed(), "TIME")
}

// times are moments as verbs print them.
var times = regexp.MustCompile(`(Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d+ \w+ \d{4} \d\d:\d\d( UTC)?|\d+ \w+ \d{4} \d\d:\d\d UTC`)

// usually makes the campaign hello one that reaches so many people.
func (w *world) usually(n int) {
	w.t.Helper()
	w.exec(`with r as (
			insert into sapa.runs (campaign_id, version_id, tick, as_of, state, actor, planned_at, message_count)
			select id, version_id, now(), now(), 'done', 'ani', now(), 0 from sapa.campaigns where name = 'hello' returning id)
		insert into sapa.run_totals (run_id, state, delta) select id, s, $1 from r, unnest(array['sent', 'audience']) s`, n)
}

// A run that is far larger than the last ones is shown and asked about: yes sends it, no ends it, and where nobody can be
// asked it waits.
func TestLargeRunIsAskedAbout(t *testing.T) {
	t.Parallel()
	w := newShop(t, 1001, "")
	w.usually(300)
	const plan = `run N of hello, as of TIME
  audience 1,001 = already 0 + planned 1,001 + skipped 0
  1,001 messages are more than 3 times the largest of its last runs, 300
send to 1,001? [y/N] `
	plain := func(text string) string {
		return regexp.MustCompile(`(?:run|resume|cancel) \d+`).ReplaceAllString(text, "run N")
	}
	code, printed := w.asked("n\n", "run", "hello")
	if d := cmp.Diff(plan+"sapa: run N is cancelled; nothing was sent\n", plain(printed)); d != "" || code != exitFailed {
		t.Errorf("no: %d %s", code, d)
	}
	code, printed = w.asked("", "run", "hello", "--again", "closed")
	want := plan + "\nsapa: run N is paused: 1,001 messages are more than 3 times the largest of its last runs, 300; send them with: sapa run N, or end it with: sapa run N\n" +
		"where nobody can be asked, say beforehand that it is meant: sapa run hello --yes\n"
	if d := cmp.Diff(want, plain(printed)); d != "" || code != exitFailed {
		t.Errorf("closed: %d %s", code, d)
	}
	if code, printed := w.sapa("run", "hello", "--again", "no terminal"); code != exitFailed || strings.Contains(printed, "[y/N]") || !strings.Contains(printed, "is paused: 1,001 messages") {
		t.Errorf("no terminal: %d %s", code, printed)
	}
	if n := w.caught(); n != 0 {
		t.Fatalf("%d messages went", n)
	}
	code, printed = w.asked("y\n", "run", "hello")
	if d := cmp.Diff(plan+"run N done: sent 1,001 of 1,001\n", withoutProgress(plain(printed))); d != "" || code != exitOK || w.caught() != 1001 {
		t.Errorf("yes: %d, %d caught %s", code, w.caught(), d)
	}
	w.exec(`delete from sapa.run_totals where state = 'sent' and delta > 0 and run_id > 1`)
	if out := w.ok("run", "hello", "--again", "meant", "--yes"); strings.Contains(out, "[y/N]") || w.caught() != 2002 {
		t.Errorf("--yes: %s", out)
	}
}

// withoutProgress leaves out the lines that say how far a run is.
func withoutProgress(text string) string {
	return regexp.MustCompile(`(?m)^sent .*\n`).ReplaceAllString(text, "")
}

// A run that is larger than max_audience is refused; a dry run says so, and shows the first messages and those that would fail.
func TestRefusedRunAndDryRun(t *testing.T) {
	t.Parallel()
	w := newShop(t, 4, "")
	w.file("campaigns/hello.yaml", hello+"limits: {max_audience: 3}\n")
	w.exec(`update public.customers set city = null where id = 2`)
	w.ok("apply")
	const refusal = `hello would send 4 messages, and max_audience is 3; nothing was kept
if the rule means the right people, raise limits: max_audience in campaigns/hello.yaml, and sapa apply; see: sapa run hello --dry-run`
	w.want(exitFailed, "sapa: "+refusal+"\n", "run", "hello")
	if n := w.number(`select count(*) from sapa.runs`); n != 0 {
		t.Errorf("%d runs", n)
	}
	printed := times.ReplaceAllString(w.ok("run", "hello", "--dry-run", "--show", "2"), "TIME")
	want := `dry run of hello, as of TIME; nothing was stored
  audience 4 = already 0 + planned 4 + skipped 0
  a run would be refused: ` + strings.ReplaceAll(refusal, "\n", "\n  ") + `

--- message 1 of 4 ---
customer 1, in the audience now
to:      Ani 1 <ani1@example.com>
subject: Halo Ani 1

Apa kabar, Ani 1 di Solo?

--- message 2 of 4 ---
customer 3, in the audience now
to:      Ani 3 <ani3@example.com>
subject: Halo Ani 3

Apa kabar, Ani 3 di Solo?

of the first 4 messages 1 would fail:
  customer 2: campaigns/hello.yaml:3:78: customer.city has no value for this customer
`
	if d := cmp.Diff(want, regexp.MustCompile(`(?m)^  customer 2: .*$`).ReplaceAllString(printed, "  customer 2: campaigns/hello.yaml:3:78: customer.city has no value for this customer")); d != "" {
		t.Error(d)
	}
	if out := w.ok("run", "hello", "--dry-run", "--json", "--show", "1"); !strings.Contains(out, `"planned": 4`) || !strings.Contains(out, `"subject": "Halo Ani 1"`) &&
		!strings.Contains(out, `"Subject": "Halo Ani 1"`) || !strings.Contains(out, `"failing": [`) {
		t.Error(out)
	}
}

// A version that needs approval waits for another person, who sees what changed and whom it would reach.
func TestApprove(t *testing.T) {
	t.Parallel()
	w := newShop(t, 3, "")
	w.file("campaigns/hello.yaml", strings.Replace(hello, `"true"`, `customer.id > 1`, 1)+"approval: required\n")
	w.want(exitOK, "~ hello version 2, waits for approval by somebody else: sapa approve hello\n0 added, 1 changed, 0 unchanged.\n", "apply")
	shown := func(text string) string { return times.ReplaceAllString(text, "TIME") }
	if out := shown(w.ok("status")); out != `no run is under way; earlier ones: sapa report

hello version 2, applied by ani on TIME, waits for approval by somebody else; version 1 runs until then: sapa approve hello
` {
		t.Error(out)
	}
	const review = `hello version 2, applied by ani on TIME, waits for approval by somebody else; version 1 runs until then

campaigns/hello.yaml
    campaign: hello
  - audience: {where: "true"}
  + audience: {where: customer.id > 1}
    content: {email: {subject: "Halo {{ customer.name }}", text: "Apa kabar, {{ customer.name }} di {{ customer.city }}?"}}
  + approval: required

a run of version 1 would send 3 now, to an audience of 3
a run of version 2 would send 2 now, to an audience of 2

approve version 2 of hello? [y/N] `
	code, printed := w.asked("y\n", "approve", "hello")
	unasked, _, _ := strings.Cut(review, "\napprove version")
	if d := cmp.Diff(unasked+"sapa: somebody else must approve the version: version 2 of hello was applied by ani, who can't approve it\n", printed); d != "" || code != exitFailed {
		t.Errorf("%d %s", code, d)
	}
	w.env["SAPA_ACTOR"] = "budi"
	code, printed = w.asked("\n", "approve", "hello")
	if d := cmp.Diff(review+"sapa: nothing was changed\n", printed); d != "" || code != exitFailed {
		t.Errorf("%d %s", code, d)
	}
	if code, out := w.sapa("approve", "hello"); code != exitFailed || !strings.HasSuffix(out, "sapa: nothing was changed; to go ahead without being asked, add --version 2 --yes\n") {
		t.Errorf("%d %s", code, out)
	}
	code, printed = w.asked("y\n", "approve", "hello")
	if d := cmp.Diff(review+"\nversion 2 of hello is approved\n", printed); d != "" || code != exitOK {
		t.Errorf("%d %s", code, d)
	}
	w.want(exitOK, "no version waits for approval\n", "approve")
	w.ok("run", "hello")
	if n := w.caught(); n != 2 {
		t.Errorf("%d messages", n)
	}
}

// A dry run says what is not applied, and that a run would be refused: in quarantine, or while nobody has approved a version.
func TestDryRunSaysWhatARunWould(t *testing.T) {
	t.Parallel()
	w := newShop(t, 2, "")
	const note = "note: the file of hello differs from its applied version, which is what runs; apply the file with: sapa apply\n"
	said := func(want bool, text string, args ...string) {
		t.Helper()
		if code, out := w.sapa(args...); code != exitOK || strings.Contains(out, text) != want {
			t.Errorf("%v: %d %s", args, code, out)
		}
	}
	said(false, "note:", "run", "hello", "--dry-run")
	w.file("campaigns/hello.yaml", strings.Replace(hello, "Halo", "Hai", 1))
	said(true, note, "run", "hello", "--dry-run")
	said(true, note, "run", "hello")
	w.file("campaigns/hello.yaml", hello+"schedule: {at: 2020-01-01 08:00}\n")
	said(true, note, "run", "hello", "--dry-run")
	w.file("campaigns/hello.yaml", "campaign: [\n")
	said(true, "note: the file of hello can't be used as it is, and its applied version is what runs; see: sapa validate\n", "run", "hello", "--dry-run")
	w.file("campaigns/hello.yaml", hello)
	w.file("campaigns/other.yaml", strings.Replace(hello, "hello", "other", 1)+"approval: required\nlimits: {max_audience: 1}\n")
	w.ok("apply")
	said(true, "sapa approve other\n  other would send 2 messages, and max_audience is 1", "run", "other", "--dry-run")
	said(true, "\n  a run would be refused: no version of other is approved yet: version 1, applied by ani on ", "run", "other", "--dry-run")
	said(true, "--- message 1 of 2 ---", "run", "other", "--dry-run")
	w.exec(`insert into sapa.quarantines (campaign_id, version_id, run_id, reason) select c.id, c.version_id, r.id, 'x' from sapa.campaigns c join sapa.runs r on r.campaign_id = c.id`)
	said(true, "  a run would be refused: hello is in quarantine since run 1: x", "run", "hello", "--dry-run")
}

// A run that is over before its numbers could be looked at says what they were.
func TestRunThatWasOverTooSoon(t *testing.T) {
	t.Parallel()
	w := newShop(t, 8, "")
	w.exec(`update public.customers set email = 'bounce@c' || id || '.example' where id > 4`)
	w.file("campaigns/hello.yaml", hello+"limits: {pause_if: {bounces: 1%, after: 8}}\n")
	w.ok("apply")
	const reason = "addresses bounced: 4 of 8 (50.0%), more than pause_if: bounces 1%; the run was over before it could be paused\n"
	if code, out := w.sapa("run", "hello"); code != exitPartial || !strings.HasSuffix(out, "run 1: "+reason) {
		t.Errorf("%d %s", code, out)
	}
	if out := w.ok("status", "1"); !strings.Contains(out, reason) {
		t.Error(out)
	}
}

// A template that fails for too many people: the run says so, status shows it, another run is refused, and a person lets the
// campaign go on.
func TestQuarantineIsShown(t *testing.T) {
	t.Parallel()
	w := newShop(t, 20, "")
	w.exec(`update public.customers set city = null`)
	const quarantined = `hello is in quarantine since run 1 and makes no runs: the template could not be filled: 20 of 20 (100.0%), more than pause_if: content 10%
  why: sapa messages 1 --state failed; mend the template and apply it, or let it go on as it is: sapa resume hello
`
	if code, out := w.sapa("run", "hello"); code == exitOK || !strings.HasSuffix(out, quarantined) {
		t.Errorf("%d %s", code, out)
	}
	w.want(exitOK, "no run is under way; earlier ones: sapa report\n\n"+quarantined, "status")
	w.want(exitFailed, `sapa: hello is in quarantine since run 1: the template could not be filled: 20 of 20 (100.0%), more than pause_if: content 10%
why: sapa messages 1 --state failed; then mend the template and apply it, or let the campaign go on as it is: sapa resume hello
`, "run", "hello")
	w.want(exitOK, "hello makes runs again\n", "resume", "hello")
	w.exec(`update public.customers set city = 'Solo'`)
	w.ok("run", "hello")
	if n := w.caught(); n != 20 {
		t.Errorf("%d messages", n)
	}
}

// Seeds are shown with the run.
func TestSeedsAreShown(t *testing.T) {
	t.Parallel()
	w := newShop(t, 3, "")
	w.file("campaigns/hello.yaml", hello+"seeds: [boss@toko.example, bounce@toko.example]\n")
	w.ok("apply")
	w.ok("run", "hello")
	out := regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d UTC`).ReplaceAllString(w.ok("status", "1"), "TIME")
	_, seeds, _ := strings.Cut(out, "audience\n")
	want := `
copies for your own people
  sent     boss@toko.example, TIME
  failed   bounce@toko.example, TIME: 5.1.1 No such mailbox here
`
	if d := cmp.Diff(want, strings.ReplaceAll(seeds, ": No such", ": 5.1.1 No such")); d != "" {
		t.Error(d)
	}
}

// anotherCluster is an empty database of the same name in a cluster of its own.
func (w *world) anotherCluster() (url string) {
	w.t.Helper()
	dir, err := os.MkdirTemp("", "sapa-restored-")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // the account of PostgreSQL must get in
		w.t.Fatal(err)
	}
	cluster, err := pg.Private(w.t.Context(), pg.PrivateOptions{Dir: filepath.Join(dir, "pg")})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = cluster.Release() })
	name := w.pool.Config().ConnConfig.Database
	if err := cluster.EnsureDatabase(w.t.Context(), name); err != nil {
		w.t.Fatal(err)
	}
	return cluster.URL(name)
}

// restore copies the world's database to another, by a dump, and leads the world there.
func (w *world) restore(to string) {
	w.t.Helper()
	bin, err := pg.FindBinaries(w.t.Context(), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	dump := exec.CommandContext(w.t.Context(), bin.Path("pg_dump"), "--no-owner", pgtest.URL(w.pool))
	restore := exec.CommandContext(w.t.Context(), bin.Path("psql"), "--quiet", "--set", "ON_ERROR_STOP=1", to)
	var problems terminalText
	dump.Stderr, restore.Stderr = &problems, &problems
	if restore.Stdin, err = dump.StdoutPipe(); err == nil {
		if err = restore.Start(); err == nil {
			err = dump.Run()
		}
	}
	if err != nil {
		w.t.Fatalf("dump: %v\n%s", err, problems.String())
	}
	if err := restore.Wait(); err != nil {
		w.t.Fatalf("restore: %v\n%s", err, problems.String())
	}
	w.env["DATABASE_URL"] = to
	if w.pool, err = pg.Connect(w.t.Context(), to, pg.Options{}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.pool.Close)
}

// A dump that is taken while a run is being sent, and restored into another cluster, sends nothing, by whatever verb,
// until it is adopted; then it goes on when a person says so.
func TestRestoredDumpSendsNothing(t *testing.T) {
	t.Parallel()
	w := newShop(t, 60, ", rate: 20/s, connections: 1")
	w.file("campaigns/daily.yaml", `campaign: daily
audience: {where: "true"}
schedule: {cron: "* * * * *"}
content: {email: {subject: Harian, text: Halo}}
`)
	w.ok("apply")
	to := w.anotherCluster()
	sending := w.start("run", "hello")
	w.until("some went", func() bool { return w.caught() > 5 })
	cluster := w.texts(`select system_identifier from sapa.installation`)[0]
	database := w.pool.Config().ConnConfig.Database
	w.restore(to)
	if code, out := sending.wait(); code != exitOK {
		t.Fatal(out)
	}
	if n := w.caught(); n != 60 {
		t.Fatalf("the first database sent %d", n)
	}
	w.exec(`update sapa.schedules set next_tick = now() - interval '1 day', next_at = now() - interval '1 day' where next_tick is not null`) // the dump is of yesterday
	w.exec(`update sapa.workers set heartbeat_at = now() - interval '1 day'`)
	here := w.texts(`select system_identifier::text from pg_control_system()`)[0]
	foreign := fmt.Sprintf(`this database is a copy of another one, and nothing is sent from it
  recorded: database DATABASE of the cluster %s
  here:     database DATABASE of the cluster %s
  preview and dry runs work here; if this one shall send from now on, and the other one never again: sapa adopt
`, cluster, here)
	for prefix, args := range map[string][]string{
		"":                      {"serve", "--public", "127.0.0.1:0"},
		"nothing was planned: ": {"run", "hello", "--again", "x"},
		"nobody else is sending, and from here it can't be done: ":  {"resume", "1"},
		"nobody else is sending, and from here it can't be done:  ": {"retry", "1"},
	} {
		w.want(exitFailed, "sapa: "+strings.Replace(prefix, ":  ", ": ", 1)+foreign, args...)
	}
	if code, out := w.sapa("preview", "hello", "--send-to", "me@toko.example"); code != exitFailed || !strings.HasSuffix(out, foreign) {
		t.Errorf("preview: %d %s", code, out)
	}
	if code, out := w.sapa("doctor"); code != exitFailed || !strings.Contains(out, "MEND  installation") || !strings.Contains(out, "sapa adopt") {
		t.Errorf("doctor: %s", out)
	}
	if n := w.caught(); n != 60 {
		t.Fatalf("%d messages went from the copy", n-60)
	}
	if code, out := w.sapa("adopt"); code != exitFailed || !strings.HasSuffix(out, "sapa: nothing was changed; to go ahead without being asked, add --yes\n") {
		t.Errorf("%d %s", code, out)
	}
	waiting := w.number(`select count(*) from sapa.messages where state in ('planned', 'claimed')`)
	code, out := w.asked("y\n", "adopt")
	want := fmt.Sprintf(`recorded: database DATABASE of the cluster %s
here:     database DATABASE of the cluster %s

adopting it would
  pause run 1 of hello, with %d messages waiting
  move the schedule of daily to its next tick, without a run for those that have passed

let this database send from now on? [y/N] 
this database sends from now on; 1 run is paused. The other one must not send any more: stop its sapa serve
`, cluster, here, waiting)
	if d := cmp.Diff(want, strings.ReplaceAll(out, database, "DATABASE")); d != "" || code != exitOK {
		t.Errorf("%d %s", code, d)
	}
	_, held := w.asked("y\n", "adopt", "--hold")
	if _, held, _ = strings.Cut(held, "\n\n"); held != fmt.Sprintf(`holding everything would
  pause nothing: no run is being planned or sent, and no schedule is due
  leave run 1 of hello paused, with %d messages waiting

hold all this? [y/N] `+`
everything is held; 1 run is paused, see: sapa status. If this is a copy of a disk or of a cluster's files, the one that it was copied from must not send any more
`, waiting) {
		t.Error(held)
	}
	if n := w.caught(); n != 60 {
		t.Fatalf("adopting sent %d", n-60)
	}
	if code, out := w.sapa("resume", "1"); code != exitOK && code != exitPartial {
		t.Errorf("%d %s", code, out)
	}
	a := w.status(1)
	if a.State != "done" || a.Sent+a.Unknown != 60 || w.caught() != 60+waiting-a.Unknown {
		t.Errorf("%+v, %d caught, %d had waited", a, w.caught(), waiting)
	}
	if n := w.number(`select count(*) from sapa.runs r join sapa.campaigns c on c.id = r.campaign_id where c.name = 'daily' and r.tick < now() - interval '1 hour'`); n != 0 {
		t.Errorf("%d runs of ticks that had passed", n)
	}
}
