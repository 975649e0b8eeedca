package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const postcards = `campaign: oil-change
topic: service
audience: {where: customer.due}
channels: [letter]
content:
  letter:
    text: |
      # Waktunya ganti oli

      Halo **{{ customer.name }}**, mobil Anda sudah waktunya ganti oli.
    size: postcard-a6
    front: card.png
    link: "{{ 'https://bengkel.example/booking' | link }}"
`

// posting is a world with five customers who have postal addresses, the last one none that can be used.
func posting(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.exec(`create table public.customers (id bigint primary key, name text, street text, postcode text, city text,
		due boolean not null default true, post_ok boolean)`)
	w.exec(`insert into public.customers select i, 'Budi ' || i, 'Jl. Merdeka ' || i, '5024' || i, 'Semarang' from generate_series(1, 4) i`)
	w.exec(`insert into public.customers values (5, 'Citra', 'Jl. Merdeka 5', '50245', '-'), (6, 'Dewi', null, null, null)`)
	w.file("sapa.yaml", `customers:
  table: customers
  key: id
  name: name
  region: {default: ID}
  post: {lines: [street], postcode: postcode, city: city}
  consent: {default: granted, letter: post_ok}
channels: {letter: {}}
company: {name: Bengkel Maju, address: "Jl. Pemuda 12, Semarang 50132"}
public_url: `+w.public+"\n")
	picture, err := os.ReadFile(filepath.Join("testdata", "card.png"))
	if err != nil {
		t.Fatal(err)
	}
	w.file("templates/card.png", string(picture))
	w.file("campaigns/oil-change.yaml", postcards)
	w.ok("migrate")
	w.ok("apply")
	return w
}

// TestLetters goes a letter's whole way: composed, printed, one cancelled and one erased, confirmed, followed by a scan of
// its code, and one that came back.
func TestLetters(t *testing.T) {
	t.Parallel()
	w := posting(t)
	w.servePublic()
	w.want(exitOK, "no letters wait\n", "letters")
	w.want(exitOK, `customer 1, in the audience now
to:      Budi 1 <Budi 1, Jl. Merdeka 1, 50241, Semarang>

text:
  # Waktunya ganti oli

  Halo **Budi 1**, mobil Anda sudah waktunya ganti oli.
size: postcard-a6
window: left
front: card.png
link: PUBLIC/s/Ab3dE9x0

the short addresses are examples, as long as those of a message; theirs lead to
  PUBLIC/s/Ab3dE9x0  https://bengkel.example/booking

printed to proof.pdf
`, "preview", "oil-change", "--pdf", filepath.Join(w.dir, "proof.pdf"))
	if proof, err := os.ReadFile(filepath.Join(w.dir, "proof.pdf")); err != nil || bytes.Count(proof, []byte("/Type/Page/")) != 2 {
		t.Errorf("the proof has not two sides: %v", err)
	}
	if _, printed := w.sapa("preview", "oil-change", "--customer", "5", "--pdf", filepath.Join(w.dir, "no.pdf")); !strings.Contains(printed, "--pdf: no letter reaches them: no city") {
		t.Error(printed)
	}
	w.composed(4)
	if diff := cmp.Diff([]string{"bad address: no city", "no address"},
		w.texts(`select reason from messages where state = 'skipped' order by 1`)); diff != "" {
		t.Error(diff)
	}
	w.printAndConfirm()
	w.scanAndReturn()
}

func (w *world) printAndConfirm() {
	t := w.t
	out, again, csv := filepath.Join(w.dir, "l.pdf"), filepath.Join(w.dir, "again.pdf"), filepath.Join(w.dir, "l.csv")
	w.want(exitOK, "batch 1-1: 4 pieces on 8 pages in l.pdf\nwhen they are posted: sapa letters confirm 1-1\n", "letters", "print", "1", "--out", out, "--csv", csv)
	w.want(exitOK, "batch 1-1, as before: 4 pieces on 8 pages in again.pdf\nwhen they are posted: sapa letters confirm 1-1\n", "letters", "print", "1-1", "-o", again)
	first, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(again)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("printed again, other bytes: %v", err)
	}
	addresses, err := os.ReadFile(csv)
	if err != nil || !regexp.MustCompile(`(?m)^3,[0-9A-Z]{8},postcard-a6,5,2,Budi 3,Jl. Merdeka 3,Semarang 50243,,,,,ID,`+regexp.QuoteMeta(w.public)+`/s/\w{8}$`).Match(addresses) {
		t.Errorf("%v\n%s", err, addresses)
	}
	w.ok("erase", "2", "--yes")
	code := w.texts(`select left(l.code, 4) || '-' || right(l.code, 4) from letters l where content is null`)[0]
	w.want(exitPartial, "3 letters of 1-1 count as sent\ntake these out of the pile, they were withdrawn after printing:\n  "+code+
		"  erased\nif one was posted before: sapa letters confirm --posted CODE\nsapa: 1 letters must not be posted\n", "letters", "confirm", "1-1")
	w.want(exitFailed, "sapa: batch 1-1 is confirmed already: there is nothing to do\n", "letters", "confirm", "1-1")
	if diff := cmp.Diff([]string{"done"}, w.texts(`select state from runs`)); diff != "" {
		t.Error(diff)
	}
	w.ok("check")
	if files, _ := filepath.Glob(filepath.Join(w.dir, ".sapa-letters-*")); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
}

func (w *world) scanAndReturn() {
	t := w.t
	link := w.texts(`select content ->> 'link' from letters where content is not null order by message_id`)[0]
	if status, location, _ := w.fetch("GET", link, browser, nil); status != 302 && status != 303 || location != "https://bengkel.example/booking" {
		t.Errorf("%d to %s", status, location)
	}
	w.until("the scan is counted as a click", func() bool { return w.number(`select count(*) from hits where kind = 'click'`) == 1 })
	codes := w.texts(`select code from letters where confirmed_at is not null order by message_id`)
	w.file("back.txt", codes[1]+" moved\n\n"+strings.ToLower(codes[1])+"\nK3F92XQ8\n")
	code, printed := w.sapa("letters", "returned", "--file", filepath.Join(w.dir, "back.txt"))
	for _, want := range []string{
		": the customer has moved; its address gets no letters any more\n", codes[1] + " was recorded before, ", "K3F92XQ8: \"K3F92XQ8\" is no code: a character is wrong",
		"sapa: 1 of 3 codes were not recorded\n",
	} {
		if !strings.Contains(printed, want) {
			t.Errorf("no %q in\n%s", want, printed)
		}
	}
	if code != exitPartial {
		t.Errorf("exit code %d", code)
	}
	want := []string{"letter came back: moved: Budi 3, Jl. Merdeka 3, Semarang 50243, ID"}
	if diff := cmp.Diff(want, w.texts(`select reason || ': ' || replace(address, E'\n', ', ') from suppressions where channel = 'letter'`)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"1 the customer has moved: 1"}, w.texts(`select code || ' ' || words || ': ' || messages from report_undelivered`)); diff != "" {
		t.Error(diff)
	}
	audit := []string{
		`letters printed run 1 {"again": false, "batch": "1-1", "pieces": 4}`, `letters printed run 1 {"again": true, "batch": "1-1", "pieces": 4}`,
		`letters confirmed run 1 {"posted": 3, "batches": ["1-1"], "withdrawn": 1}`,
	}
	if diff := cmp.Diff(audit, w.texts(`select concat_ws(' ', action, subject, detail) from audit_log where actor = 'ani' and action like 'letters %' order by id`)); diff != "" {
		t.Error(diff)
	}
	if printed := w.ok("letters", "--all"); !regexp.MustCompile(`(?s)oil-change.*3 .*1 .*1 .*1-1: 4, printed`).MatchString(printed) {
		t.Error(printed)
	}
	if printed := w.ok("run", "oil-change", "--again", "later", "--yes"); !strings.Contains(printed, "suppressed") {
		t.Errorf("%s %s", printed, time.Now())
	}
}

// TestLettersAskedAgain has letters composed of which something stands against most by the time that they are printed: these
// are skipped for that reason, and not printed. What was printed before is asked about only when it is printed again.
func TestLettersAskedAgain(t *testing.T) {
	t.Parallel()
	w := posting(t)
	w.exec(`insert into public.customers select i, 'Budi ' || i, 'Jl. Merdeka ' || i, '502' || i, 'Semarang' from generate_series(11, 15) i`)
	w.composed(9)
	out := filepath.Join(w.dir, "l.pdf")
	w.exec(`update runs set as_of = as_of - interval '1 hour'`)
	w.exec(`update runs set state = 'paused', reason = 'somebody looks at it'`)
	w.want(exitFailed, "sapa: run 1 is paused: somebody looks at it; nothing of it is printed before  sapa resume 1\n", "letters", "print", "1", "-o", out)
	w.exec(`update runs set state = 'sending', reason = null`)
	w.ok("consent", "withdraw", "1", "--topic", "service")
	w.ok("consent", "pause", "2", "--days", "10")
	w.exec(`update public.customers set post_ok = false where id = 3`)
	w.exec(`insert into suppressions (channel, hash, address, reason, source) select channel, hash, normalised, 'moved', 'test' from addresses where normalised like '%Merdeka 4%'`)
	w.exec(`update messages set not_after = '2026-11-01' where customer_key = '11'`)
	w.exec(`update public.customers set due = false where id = 12`)
	w.exec(`delete from public.customers where id = 13`)
	w.want(exitOK, `7 letters of run 1 are skipped and not printed any more:
  1 gone
  2 no consent
  1 no longer eligible
  1 paused
  1 suppressed
  1 too late
batch 1-1: 2 pieces on 4 pages in l.pdf
when they are posted: sapa letters confirm 1-1
`, "letters", "print", "1", "--out", out)
	if diff := cmp.Diff([]string{"1 no consent", "11 too late", "12 no longer eligible", "13 gone", "2 paused", "3 no consent", "4 suppressed"},
		w.texts(`select customer_key || ' ' || reason from messages where state = 'skipped' and address_id is not null and customer_key <> '5' order by customer_key collate "C"`)); diff != "" {
		t.Error(diff)
	}
	w.ok("check")

	w.ok("consent", "withdraw", "14", "--topic", "service")
	w.want(exitOK, `1 letters of run 1 are skipped and not printed any more:
  1 no consent
batch 1-1, as before: 1 pieces on 2 pages in l.pdf
1 of its letters are not in it any more; to take them out of what was printed before, see: sapa letters confirm 1-1
when they are posted: sapa letters confirm 1-1
`, "letters", "print", "1", "--out", out)
	w.ok("consent", "withdraw", "15", "--topic", "service")
	w.want(exitFailed, `1 letters of run 1 are skipped and not printed any more:
  1 no consent
sapa: print batch 1-1: none of its letters is to be printed any more: there is nothing to do
`, "letters", "print", "1-1", "--out", out)
	w.postedAllTheSame()
}

// postedAllTheSame confirms a batch of two letters that are both withdrawn, of which one had gone out before anybody knew.
func (w *world) postedAllTheSame() {
	codes := w.texts(`select left(l.code, 4) || '-' || right(l.code, 4) from letters l where batch = 1 order by place`)
	code := codes[0]
	w.want(exitPartial, code+": it was not posted, as far as Sapa knows; first  sapa letters confirm 1-1\nsapa: 1 of 1 codes were not recorded\n", "letters", "confirm", "--posted", code)
	w.want(exitPartial, "0 letters of 1 count as sent\ntake these out of the pile, they were withdrawn after printing:\n  "+code+"  no consent\n  "+codes[1]+
		"  no consent\nif one was posted before: sapa letters confirm --posted CODE\nsapa: 2 letters must not be posted\n", "letters", "confirm", "1")
	w.want(exitPartial, code+": it was not posted, as far as Sapa knows (no consent); if it was, first  sapa letters confirm --posted "+code+"\nsapa: 1 of 1 codes were not recorded\n",
		"letters", "returned", code)
	id := w.texts(`select message_id::text from letters where batch = 1 order by place`)[0]
	w.want(exitOK, code+": message "+id+" counts as sent, and not as skipped (no consent)\n", "letters", "confirm", "--posted", code)
	w.want(exitPartial, code+": it counts as sent already: there is nothing to do\nsapa: 1 of 1 codes were not recorded\n", "letters", "confirm", "--posted", code)
	w.want(exitUsage, "sapa: say one run or batch; see: sapa letters\n", "letters", "confirm", "1-1", "1-2")
	w.ok("letters", "returned", code)
	if diff := cmp.Diff([]string{"14 sent t", "15 skipped f"}, w.texts(`
		select concat_ws(' ', m.customer_key, m.state, o.spent) from messages m join letters l on l.message_id = m.id join occasions o on o.message_id = m.id
		where l.batch = 1 order by 1`)); diff != "" {
		w.t.Error(diff)
	}
	if diff := cmp.Diff([]string{`letter posted message ` + id + ` {"was": "no consent"}`}, w.texts(`
		select concat_ws(' ', action, subject, detail) from audit_log where action = 'letter posted'`)); diff != "" {
		w.t.Error(diff)
	}
	w.ok("check")
}

// composed runs the campaign, until so many letters wait.
func (w *world) composed(n int) {
	w.t.Helper()
	run := w.start("run", "oil-change", "--yes")
	w.until("all letters are composed", func() bool {
		return w.number(`select count(*) from messages where channel = 'letter' and state = 'planned' and not_before > '9000-01-01'`) == n
	})
	if code, printed := run.wait(); code != exitOK {
		w.t.Fatalf("run: exit code %d\n%s", code, printed)
	}
}

func TestLettersRefuses(t *testing.T) {
	t.Parallel()
	w := posting(t)
	w.want(exitUsage, "sapa: \"x\" is neither a run such as 7 nor a batch such as 7-1; see: sapa letters\n", "letters", "print", "x", "--out", "x.pdf")
	w.want(exitUsage, "sapa: say where the PDF goes, such as --out letters.pdf\n", "letters", "print", "1")
	w.want(exitFailed, "sapa: no run 1; see: sapa status\n", "letters", "print", "1", "--out", filepath.Join(w.dir, "x.pdf"))
	w.want(exitFailed, "sapa: run 1 has no printed letters: there is nothing to do; print them first: sapa letters print 1\n", "letters", "confirm", "1")
	w.want(exitUsage, "sapa: --reason: no reason \"lost\"; it is one of moved, unknown, refused, other\n", "letters", "returned", "x", "--reason", "lost")
	w.want(exitUsage, "sapa: say which codes came back, or --file FILE; see: sapa letters returned --help\n", "letters", "returned")
	if files, _ := filepath.Glob(filepath.Join(w.dir, "*.pdf")); len(files) > 0 {
		t.Errorf("made: %v", files)
	}
}
