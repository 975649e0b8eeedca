package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/mail"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/sandbox"
)

// adventureWorks is the folder of the sample files, which are no part of the repository.
func adventureWorks(t *testing.T) string {
	t.Helper()
	shared := os.Getenv("SAPA_SHARED")
	if shared == "" {
		shared = "../../../shared"
	}
	dir, err := filepath.Abs(filepath.Join(shared, "data", "adventureworks"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no AdventureWorks files: %v", err)
	}
	return dir
}

const adventureWorksExample = "../../examples/adventureworks"

// person is a customer of AdventureWorks as imported.
type person struct {
	Key                       int
	Prefix, First, Last, Mail string
}

// bikes is AdventureWorks: its files imported, its example's project beside a mail server and a public listener.
type bikes struct {
	*world
	byMail map[string]person
}

func newBikes(t *testing.T) *bikes {
	t.Helper()
	files := adventureWorks(t)
	w := newWorld(t)
	w.ok("migrate")
	w.copyProject(adventureWorksExample, "127.0.0.1:2525", w.smtp, "http://127.0.0.1:8080", w.public)
	for _, command := range importCommands(t, files) {
		w.ok(command...)
	}
	rows, _ := w.pool.Query(t.Context(), `select customer_key as key, coalesce(prefix, '') as prefix, first_name as first,
		last_name as last, email_address as mail from data.customers`)
	people, err := pgx.CollectRows(rows, pgx.RowToStructByName[person])
	if err != nil {
		t.Fatal(err)
	}
	b := &bikes{w, map[string]person{}}
	for _, p := range people {
		b.byMail[p.Mail] = p
	}
	return b
}

// importCommands are the arguments that the example's script gives to sapa: it is run with a program that notes them.
func importCommands(t *testing.T, files string) [][]string {
	t.Helper()
	dir := t.TempDir()
	notes, note := filepath.Join(dir, "notes"), filepath.Join(dir, "note")
	text := "#!/bin/sh\nprintf '%s\\037' \"$@\" >>'" + notes + "'\necho >>'" + notes + "'\n"
	if err := os.WriteFile(note, []byte(text), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	script := exec.CommandContext(t.Context(), "sh", filepath.Join(adventureWorksExample, "import.sh"), files)
	script.Env = append(os.Environ(), "SAPA="+note)
	if out, err := script.CombinedOutput(); err != nil {
		t.Fatalf("import.sh: %v\n%s", err, out)
	}
	noted, err := os.ReadFile(notes)
	if err != nil {
		t.Fatal(err)
	}
	var commands [][]string
	for line := range strings.Lines(string(noted)) {
		commands = append(commands, strings.Split(strings.TrimSuffix(line, "\x1f\n"), "\x1f"))
	}
	if len(commands) != 10 {
		t.Fatalf("import.sh makes %d calls: %q", len(commands), commands)
	}
	return commands
}

// capital is "JUHA-PEKKA" as "Juha-Pekka".
func capital(name string) string {
	start := true
	return strings.Map(func(r rune) rune {
		upper := start
		start = r == ' ' || r == '-'
		if upper {
			return unicode.ToUpper(r)
		}
		return unicode.ToLower(r)
	}, name)
}

// audience compares a run's customers, in Sapa's view and in the mail that was caught, with those of a query.
func (b *bikes) audience(run int, letters map[string]letter, sql string) {
	b.t.Helper()
	want := b.texts(sql)
	slices.Sort(want)
	if len(want) == 0 {
		b.t.Fatal("the query finds nobody")
	}
	if diff := cmp.Diff(want, b.texts(`select customer_key from sapa.report_messages where run_id = $1 and state = 'sent' order by customer_key collate "C"`, run)); diff != "" {
		b.t.Errorf("customers of run %d (-SQL +Sapa):\n%s", run, diff)
	}
	var caught []string
	for to := range letters {
		caught = append(caught, fmt.Sprint(b.byMail[to].Key))
	}
	slices.Sort(caught)
	if diff := cmp.Diff(want, caught); diff != "" {
		b.t.Errorf("mail of run %d (-SQL +caught):\n%s", run, diff)
	}
}

// each compares every letter with what its customer should have got.
func (b *bikes) each(letters map[string]letter, want func(person) written) {
	b.t.Helper()
	wrong := 0
	for to, l := range letters {
		got := b.read(l)
		if diff := cmp.Diff(want(b.byMail[to]), got); diff != "" {
			b.t.Errorf("message to %s (-want +got):\n%s", to, diff)
			if wrong++; wrong == 3 {
				b.t.Fatal("and so on")
			}
		}
	}
}

// written is what a customer sees of a message.
type written struct{ ToName, To, Subject, Text, Salutation string }

func (b *bikes) read(l letter) written {
	b.t.Helper()
	to, err := mail.ParseAddress(l.Get("To"))
	if err != nil {
		b.t.Fatalf("To: %s: %v", l.Get("To"), err)
	}
	_, html, _ := strings.Cut(l.HTML, `line-height:1.5">`)
	salutation, _, _ := strings.Cut(html, ",")
	return written{to.Name, to.Address, l.Subject, b.withoutTokens(strings.ReplaceAll(l.Text, "\r\n", "\n")), strings.Join(strings.Fields(salutation), " ")}
}

// links follows the first link of every letter, as a program does that counts for no person.
func (b *bikes) links(letters map[string]letter, want func(person) string) {
	b.t.Helper()
	for to, l := range letters {
		status, location, _ := b.fetch(http.MethodGet, l.Links()[0], program, nil)
		if target := want(b.byMail[to]); status != http.StatusFound || location != target {
			b.t.Errorf("the link to %s answers %d, %s; want %s", to, status, location, target)
		}
	}
}

// reported is what sapa report --json says of a run.
func (b *bikes) reported(campaign string, run int) map[string]any {
	b.t.Helper()
	var report struct {
		Campaigns []struct{ Runs []map[string]any }
	}
	text := b.ok("report", campaign, "--run", fmt.Sprint(run), "--json")
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		b.t.Fatalf("%v: %s", err, text)
	}
	return report.Campaigns[0].Runs[0]
}

// sameAsView compares a run's report with view report_runs, number by number.
func (b *bikes) sameAsView(run int, reported map[string]any) {
	b.t.Helper()
	var row string
	if err := b.pool.QueryRow(b.t.Context(), `select row_to_json(r) from sapa.report_runs r where run_id = $1`, run).Scan(&row); err != nil {
		b.t.Fatal(err)
	}
	var view map[string]any
	if err := json.Unmarshal([]byte(row), &view); err != nil {
		b.t.Fatal(err)
	}
	compared := 0
	for name, value := range view {
		number, ok := value.(float64)
		if !ok || name == "run_id" {
			continue
		}
		compared++
		if reported[name] != number {
			b.t.Errorf("run %d: %s is %v in the report, %v in the view", run, name, reported[name], number)
		}
	}
	if compared < 20 {
		b.t.Errorf("the view has only %d numbers: %s", compared, row)
	}
}

// numbers compares some of a run's reported numbers.
func (b *bikes) numbers(reported map[string]any, want map[string]any) {
	b.t.Helper()
	got := map[string]any{}
	for name := range want {
		got[name] = reported[name]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("report (-want +got):\n%s", diff)
	}
}

const bornOn22November = `select customer_key::text from data.customers
	where extract(month from birth_date) = 11 and extract(day from birth_date) = 22`

func birthdayWishes(p person) written {
	name := strings.Join(strings.Fields("Dear "+capital(p.Prefix)+" "+capital(p.Last)), " ")
	return written{
		p.First, p.Mail, "Happy birthday, " + capital(p.First) + "!",
		"Happy birthday, " + capital(p.First) + "!\n\n" + name + ", all of us at AdventureWorks wish you a splendid day. " +
			"A present waits for you at your next visit.\n\nPick your present: CLICK\n\n" +
			"You get this because you are a customer. Unsubscribe: UNSUBSCRIBE", name,
	}
}

// TestAdventureWorksBirthday goes from the files to the report, and into the next year.
func TestAdventureWorksBirthday(t *testing.T) {
	t.Parallel()
	b := newBikes(t)
	b.want(exitOK, "3 campaigns and 1 segment are in order.\n", "validate")
	b.ok("apply")
	b.servePublic()
	b.want(exitOK, `run 1 of birthday, as of Sun 22 Nov 2026 00:00
  audience 69 = already 0 + planned 69 + skipped 0
run 1 done: sent 69 of 69
`, "run", "birthday", "--as-of", "2026-11-22")
	letters := b.letters("Happy birthday")
	b.audience(1, letters, bornOn22November)
	b.each(letters, birthdayWishes)
	b.links(letters, func(p person) string {
		return fmt.Sprintf("https://adventure-works.example/birthday?customer=%d", p.Key)
	})
	left := b.respond(letters)
	b.want(exitOK, `run 2 of birthday, as of Sun 22 Nov 2026 00:00
  audience 69 = already 69 + planned 0 + skipped 0
run 2 done: sent 0 of 0 (69 more had it already)
`, "run", "birthday", "--as-of", "2026-11-22")
	if got := b.caught(); got != 69 {
		t.Errorf("%d messages were caught after running again", got)
	}
	b.nextYear(left)
	b.want(exitOK, "everything adds up\n", "check")
}

// respond plays customers; it returns those who unsubscribed.
func (b *bikes) respond(letters map[string]letter) (left []string) {
	b.t.Helper()
	order := slices.Sorted(maps.Keys(letters))
	for i, to := range order {
		l := letters[to]
		if i < 30 {
			b.open(l)
		}
		if i < 10 {
			b.open(l)
		}
		if i < 12 {
			b.fetch(http.MethodGet, l.Links()[0], browser, nil)
		}
	}
	b.look(letters[order[40]])
	b.leaveByPage(letters[order[50]])
	b.leaveByOneClick(letters[order[60]])
	left = []string{order[50], order[60]}

	b.until("all responses are counted", func() bool { return b.reported("birthday", 1)["opens"] == 40.0 })
	reported := b.reported("birthday", 1)
	b.sameAsView(1, reported)
	b.numbers(reported, map[string]any{
		"audience": 69.0, "sent": float64(b.caught()), "failed": 0.0, "skipped": 0.0, "adds_up": true,
		"opened": 30.0, "opens": 40.0, "clicked": 12.0, "clicks": 12.0, "unsubscribed": 2.0,
		"machine_opens": 0.0, "machine_clicked": 69.0, "machine_clicks": 69.0,
		"open_rate": 30.0 / 69, "click_rate": 12.0 / 69, "click_to_open_rate": 0.4, "unsubscribe_rate": 2.0 / 69,
	})
	return left
}

func (b *bikes) open(l letter) {
	b.t.Helper()
	status, _, body := b.fetch(http.MethodGet, l.Images()[0], browser, nil)
	if status != http.StatusOK || !strings.HasPrefix(body, "GIF8") {
		b.t.Errorf("the pixel answers %d %q", status, body)
	}
}

// look only reads the page.
func (b *bikes) look(l letter) {
	b.t.Helper()
	status, _, body := b.fetch(http.MethodGet, l.Links()[1], browser, nil)
	if status != http.StatusOK || !strings.Contains(body, "AdventureWorks") {
		b.t.Errorf("the page answers %d:\n%s", status, body)
	}
	if n := b.number(`select count(*) from sapa.consents`); n != 0 {
		b.t.Errorf("looking at the page made %d consents", n)
	}
}

func (b *bikes) leaveByPage(l letter) {
	b.t.Helper()
	status, _, body := b.fetch(http.MethodPost, l.Links()[1], browser, url.Values{"scope": {"topic"}})
	if status != http.StatusOK || !strings.Contains(body, "greetings") {
		b.t.Errorf("the page's button answers %d:\n%s", status, body)
	}
}

// leaveByOneClick does what a mail program does by RFC 8058.
func (b *bikes) leaveByOneClick(l letter) {
	b.t.Helper()
	if got := l.Get("List-Unsubscribe-Post"); got != "List-Unsubscribe=One-Click" {
		b.t.Errorf("List-Unsubscribe-Post: %s", got)
	}
	address := strings.Trim(l.Get("List-Unsubscribe"), "<>")
	if status, _, body := b.fetch(http.MethodPost, address, browser, url.Values{"List-Unsubscribe": {"One-Click"}}); status != http.StatusOK {
		b.t.Errorf("one-click answers %d:\n%s", status, body)
	}
}

// nextYear greets everybody but those who left.
func (b *bikes) nextYear(left []string) {
	b.t.Helper()
	if diff := cmp.Diff([]string{"greetings", "greetings"}, b.texts(`select topic from sapa.consents where not granted`)); diff != "" {
		b.t.Errorf("topics (-want +got):\n%s", diff)
	}
	b.want(exitOK, `run 3 of birthday, as of Mon 22 Nov 2027 00:00
  audience 69 = already 0 + planned 67 + skipped 2
  skipped, no consent: 2
run 3 done: sent 67 of 69, skipped 2
  skipped: no consent: 2
`, "run", "birthday", "--as-of", "2027-11-22")
	if got := b.caught(); got != 69+67 {
		b.t.Errorf("%d messages were caught in both years", got)
	}
	for m := range b.mail.Each(sandbox.Filter{}) {
		if m.ID > 69 && slices.Contains(left, m.To[0]) {
			b.t.Errorf("%s had unsubscribed", m.To[0])
		}
	}
}
