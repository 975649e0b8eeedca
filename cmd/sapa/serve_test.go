package main

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestServeFollowsTheSchedule starts two processes shortly before eight in the morning where half of the customers live.
func TestServeFollowsTheSchedule(t *testing.T) {
	t.Parallel()
	w := newShop(t, 40, "")
	w.exec(`alter table public.customers add zone text; update public.customers set zone = case when id % 2 = 0 then 'Asia/Jayapura' else 'Asia/Jakarta' end`)
	w.project(`customers: {table: customers, key: id, email: email, name: name, timezone: {column: zone, default: Asia/Jakarta}}
channels: {email: {smtp: "smtp://MAIL", from: "Toko <halo@toko.example>"}}
public_url: PUBLIC
`)
	w.file("campaigns/morning.yaml", strings.Replace(hello, "campaign: hello", "campaign: morning", 1)+
		"schedule: {at: \"2026-11-23 08:00\", timezone: customer, until: \"09:00\"}\n")
	begin, eight := time.Now(), time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC) // in Jayapura
	w.now = func() time.Time { return eight.Add(-4 * time.Second).Add(time.Since(begin)) }
	w.ok("apply")
	one, two := w.start("serve", "--public", "127.0.0.1:0"), w.start("serve", "--public", "127.0.0.1:0")
	w.until("half of the customers have got their message", func() bool { return w.caught() == 20 })
	for m, l := range w.letters("Halo") {
		if date, err := time.Parse(time.RFC1123Z, l.Get("Date")); err != nil || date.Before(eight.Truncate(time.Second)) {
			t.Errorf("message to %s: Date: %s, before %s", m, l.Get("Date"), eight)
		}
	}
	w.until("their verdicts are in the ledger", func() bool { return w.status(1).Sent == 20 })
	if a := w.status(1); a.State != "sending" || a.Planned != 20 {
		t.Errorf("at eight in Jayapura: %+v", a)
	}
	if n := w.number(`select count(*) from sapa.runs where scheduled`); n != 1 {
		t.Errorf("two processes made %d runs", n)
	}
	for _, p := range []*process{one, two} {
		p.stop()
		if code, printed := p.wait(); code != exitOK {
			t.Errorf("serve ends with %d:\n%s", code, printed)
		}
	}
	// A morning without Sapa: it is started again when it is too late for the others.
	w.now = func() time.Time { return eight.Add(3 * time.Hour) }
	w.start("serve", "--public", "127.0.0.1:0")
	w.until("the run is done", func() bool { return w.status(1).State == "done" })
	if a := w.status(1); a.Sent != 20 || a.Skipped != 20 || w.caught() != 20 {
		t.Errorf("after nine: %d were caught, %+v", w.caught(), a)
	}
	w.want(exitOK, "everything adds up\n", "check")
}

// TestServeAnswersCustomers takes the public listener of sapa serve itself.
func TestServeAnswersCustomers(t *testing.T) {
	t.Parallel()
	w := newShop(t, 2, "")
	w.ok("run", "hello")
	p := w.start("serve", "--public", "127.0.0.1:0")
	said := regexp.MustCompile(`public listener on (http://\S+);`)
	w.until("it serves", func() bool { return said.MatchString(p.out.String()) })
	address := said.FindStringSubmatch(p.out.String())[1]
	w.until("it answers", func() bool {
		status, _, _ := w.fetch(http.MethodGet, address+"/healthz", program, nil)
		return status == 200
	})
	l := w.letters("Halo")["ani1@example.com"]
	leave := address + strings.TrimPrefix(strings.Trim(l.Get("List-Unsubscribe"), "<>"), w.public)
	w.fetch(http.MethodGet, leave, browser, nil)
	if n := w.number(`select count(*) from sapa.consents`); n != 0 {
		t.Error("a GET unsubscribed")
	}
	if status, _, body := w.fetch(http.MethodPost, leave, browser, url.Values{"List-Unsubscribe": {"One-Click"}}); status != http.StatusOK {
		t.Errorf("one-click answers %d: %s", status, body)
	}
	for _, forged := range []string{"/u/" + strings.Repeat("A", 40), "/c/x", "/o/", "/", "/sapa.yaml"} {
		if status, _, _ := w.fetch(http.MethodGet, address+forged, browser, nil); status != http.StatusNotFound {
			t.Errorf("GET %s answers %d", forged, status)
		}
	}
	busy := w.start("serve", "--public", strings.TrimPrefix(address, "http://"))
	if code, printed := busy.wait(); code != exitFailed || !strings.Contains(printed, "another process uses it") {
		t.Errorf("a second listener at the same address ends with %d:\n%s", code, printed)
	}
	printed := w.ok("run", "hello", "--again", "x")
	if want := "  audience 2 = already 0 + planned 1 + skipped 1\n  skipped, no consent: 1\n"; !strings.Contains(printed, want) {
		t.Error(printed)
	}
}

// TestRefusedRecipients mixes people whom something is wrong with among others, who must not feel it.
func TestRefusedRecipients(t *testing.T) {
	t.Parallel()
	w := newShop(t, 60, "")
	for id, change := range map[int]string{
		3: `email = 'bounce@example.com'`, 14: `email = 'anna+spam@example.com'`, 25: `email = 'later@example.com'`, 36: `email = 'no address'`,
		37: `email = null`, 48: `city = null`, 49: `email = E'ani\r\nBcc: all@example.com@x'`, 50: `name = E'Ani\r\nBcc: all@example.com'`, 51: `email = 'Ani <ani51@Example.COM>'`,
	} {
		w.exec(`update public.customers set `+change+` where id = $1`, id)
	}
	code, printed := w.sapa("run", "hello")
	_, printed, _ = strings.Cut(printed, "\n")
	printed, _, _ = strings.Cut(printed, " wait until")
	want := `  audience 60 = already 0 + planned 57 + skipped 3
  skipped, bad address: 2
  skipped, no address: 1
run 1 sending: sent 52 of 60, failed 4, skipped 3
  failed: content: 1
  failed: hard bounce: 1
  failed: refused: 2
  skipped: bad address: 2
  skipped: no address: 1
1`
	if diff := cmp.Diff(want, printed); code != exitPartial || diff != "" {
		t.Errorf("exit code %d (-want +got):\n%s", code, diff)
	}
	w.want(exitOK, `┌──────────┬────────┬─────────────┬──────┬──────────────────────────────────────────────────────────────────────────────────────────────────────────────┐
│ CUSTOMER │ STATE  │ REASON      │ CODE │ WORDS                                                                                                        │
├──────────┼────────┼─────────────┼──────┼──────────────────────────────────────────────────────────────────────────────────────────────────────────────┤
│ 14       │ failed │ refused     │ 554  │ Message refused as spam                                                                                      │
│ 3        │ failed │ hard bounce │ 550  │ No such mailbox here                                                                                         │
│ 48       │ failed │ content     │      │ hello version 1:3:97: customer.city is missing; give it a default: {{ customer.city | default: "…" }}        │
│ 50       │ failed │ refused     │      │ the recipient's name holds a line break, which would forge a header: take it out of the template or the data │
└──────────┴────────┴─────────────┴──────┴──────────────────────────────────────────────────────────────────────────────────────────────────────────────┘
`, "messages", "1", "--state", "failed")
	if to := w.letters("Halo")["ani51@example.com"]; to.Get("To") != "Ani 51 <ani51@example.com>" {
		t.Errorf("To: %s", to.Get("To"))
	}

	// What was mended is sent, what is still wrong fails again; who waits for another attempt is left alone.
	w.exec(`update public.customers set city = 'Solo' where id = 48`)
	w.exec(`update public.customers set email = 'ani37@example.com' where id = 37`)
	w.exec(`update public.customers set name = 'Ani 50' where id = 50`)
	code, printed = w.sapa("run", "hello")
	_, printed, _ = strings.Cut(printed, "\n")
	want = `  audience 60 = already 53 + planned 4 + skipped 3
  skipped, bad address: 2
  skipped, suppressed: 1
run 2 done: sent 3 of 7 (53 more had it already), failed 1, skipped 3
  failed: refused: 1
  skipped: bad address: 2
  skipped: suppressed: 1
`
	if diff := cmp.Diff(want, printed); code != exitPartial || diff != "" {
		t.Errorf("run 2: exit code %d (-want +got):\n%s", code, diff)
	}
	w.want(exitOK, "everything adds up\n", "check")
}
