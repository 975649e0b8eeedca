package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sapa-crm/sapa/sandbox"
)

// newShop is a world with so many customers, and the campaign hello to all of them, applied. more is added to the e-mail
// account in sapa.yaml, such as ", rate: 20/s".
func newShop(t *testing.T, customers int, more string, misbehave ...sandbox.Rule) *world {
	t.Helper()
	w := newWorld(t, misbehave...)
	w.exec(`create table public.customers (id bigint primary key, name text, email text, city text)`)
	w.exec(`insert into public.customers select i, 'Ani ' || i, 'ani' || i || '@example.com', 'Solo' from generate_series(1, $1) i`, customers)
	w.ok("migrate")
	w.file("sapa.yaml", `customers: {table: customers, key: id, email: email, name: name}
channels:
  email: {smtp: "smtp://`+w.smtp+`", from: "Toko <halo@toko.example>"`+more+`}
public_url: `+w.public+"\n")
	w.file("campaigns/hello.yaml", hello)
	w.ok("apply")
	return w
}

const hello = `campaign: hello
audience: {where: "true"}
content: {email: {subject: "Halo {{ customer.name }}", text: "Apa kabar, {{ customer.name }} di {{ customer.city }}?"}}
`

// account is a run's accounting as sapa status shows it.
type account struct {
	State, Reason                                                                                string
	Audience, Already, Planned, Claimed, Sent, Failed, Skipped, HeldOut, Unknown, Opened, Clicks int
	AddsUp                                                                                       bool `json:"adds_up"`
}

func (w *world) status(run int) account {
	w.t.Helper()
	var r struct{ Campaigns []struct{ Runs []account } }
	text := w.ok("status", fmt.Sprint(run), "--json")
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		w.t.Fatalf("%v: %s", err, text)
	}
	return r.Campaigns[0].Runs[0]
}

// watch asks for a run's status without pause until the returned function is called; it must add up each time.
func (w *world) watch(run, audience int) (enough func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	looks, sending := 0, 0
	env := func(name string) string { return w.env[name] }
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond): // leave the machine to the others
			}
			var out terminalText
			code := runAt(context.Background(), w.now, []string{"status", fmt.Sprint(run), "--json"}, env, &out)
			var r struct{ Campaigns []struct{ Runs []account } }
			if err := json.Unmarshal(out.text.Bytes(), &r); code != exitOK || err != nil {
				w.t.Errorf("status: %d, %v: %s", code, err, out.String())
				return
			}
			a := r.Campaigns[0].Runs[0]
			if a.State == "planning" {
				continue
			}
			looks++
			if a.Planned+a.Claimed > 0 && a.Sent > 0 {
				sending++
			}
			if sum := a.Already + a.Planned + a.Claimed + a.Sent + a.Failed + a.Skipped + a.HeldOut + a.Unknown; sum != audience || a.Audience != audience || !a.AddsUp {
				w.t.Errorf("status does not add up: %+v", a)
				return
			}
		}
	}()
	end := sync.OnceFunc(func() { close(stop); <-stopped })
	w.t.Cleanup(end)
	return func() {
		end()
		if sending < 3 {
			w.t.Errorf("the run was looked at %d times, %d of them while it was sending", looks, sending)
		}
	}
}

// everybodyOnce makes sure that the customers 1 to n were written to, each once.
func (w *world) everybodyOnce(n int) {
	w.t.Helper()
	letters := w.letters("Halo")
	var without []int
	for i := 1; i <= n; i++ {
		if _, ok := letters[fmt.Sprintf("ani%d@example.com", i)]; !ok {
			without = append(without, i)
		}
	}
	if len(letters) != n || len(without) > 0 {
		w.t.Errorf("%d customers got a message, want %d; without one are %d", len(letters), n, without)
	}
	w.want(exitOK, "everything adds up\n", "check")
}

// sending waits until some messages of a run in the background were caught.
func (w *world) sending(p *process, atLeast int) {
	w.t.Helper()
	w.until(fmt.Sprintf("%d messages are sent", atLeast), func() bool {
		if p.ended() {
			w.t.Fatalf("sapa %s ended too early:\n%s", p.args, p.printed())
		}
		return w.caught() >= atLeast
	})
}

func TestPauseIsFeltAtOnce(t *testing.T) {
	t.Parallel()
	const n = 150
	// A claim of 64 messages takes so slow a server over six seconds.
	w := newShop(t, n, "", sandbox.Rule{Name: "slow", Delay: 100 * time.Millisecond})
	run := w.start("run", "hello")
	w.sending(run, 4)
	enough := w.watch(1, n)
	w.want(exitOK, "run 1 is paused; go on with: sapa resume 1\n", "pause", "1")
	paused := time.Now()
	w.until("nothing is in flight", func() bool { return w.status(1).Claimed == 0 })
	a, caught := w.status(1), w.caught()
	if a.State != "paused" || a.Reason != "paused by ani" || a.Sent != caught || a.Planned != n-caught || caught == n {
		t.Errorf("%d were caught, status: %+v", caught, a)
	}
	for m := range w.mail.Each(sandbox.Filter{}) {
		if late := m.ReceivedAt.Sub(paused); late > time.Second {
			t.Errorf("a message came %s after the pause", late)
		}
	}
	w.want(exitFailed, "sapa: can't pause run 1: it is paused\n", "pause", "1")
	if run.ended() || w.caught() != caught {
		t.Errorf("while paused, %d messages more came, and the program has ended: %v", w.caught()-caught, run.ended())
	}

	w.stopMail()
	w.startMail()
	w.want(exitOK, "run 1 goes on, sent by another process; see: sapa status 1\n", "resume", "1")
	if code, printed := run.wait(); code != exitOK || !strings.HasSuffix(printed, "run 1 done: sent 150 of 150\n") {
		t.Errorf("exit code %d:\n%s", code, printed)
	}
	enough()
	w.everybodyOnce(n)
	w.want(exitFailed, "sapa: can't resume run 1: it is done\n", "resume", "1")
}

func TestCancel(t *testing.T) {
	t.Parallel()
	const n = 600
	w := newShop(t, n, "", sandbox.Rule{Name: "slow", Delay: 20 * time.Millisecond})
	run := w.start("run", "hello")
	w.sending(run, 10)
	w.want(exitOK, "run 1 is cancelled\n", "cancel", "1")
	if code, printed := run.wait(); code != exitFailed || !strings.HasSuffix(printed, "sapa: run 1 was cancelled\n") {
		t.Errorf("exit code %d:\n%s", code, printed)
	}
	w.until("nothing is in flight", func() bool { a := w.status(1); return a.Planned+a.Claimed == 0 })
	caught := w.caught()
	if a := w.status(1); a.State != "cancelled" || a.Sent != caught || a.Skipped != n-caught || a.Planned+a.Claimed != 0 {
		t.Errorf("%d were caught, status: %+v", caught, a)
	}
	w.want(exitFailed, "sapa: can't resume run 1: it is cancelled; start it again: sapa run hello\n", "resume", "1")
	w.want(exitFailed, "sapa: can't retry run 1: it is cancelled; start it again: sapa run hello\n", "retry", "1")
	w.stopMail()
	w.startMail()
	printed := w.ok("run", "hello")
	if want := fmt.Sprintf(`
  audience 600 = already %d + planned %d + skipped 0
run 2 done: sent %[2]d of %[2]d (%[1]d more had it already)
`, caught, n-caught); !strings.HasSuffix(printed, want) {
		t.Errorf("run 2 printed (want %s):\n%s", want, printed)
	}
	w.everybodyOnce(n)
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	const n = 120
	w := newShop(t, n, ", rate: 40/s")
	run := w.start("run", "hello")
	w.sending(run, 5)
	enough := w.watch(1, n)
	run.stop()
	code, printed := run.wait()
	if want := "sapa: interrupted: run 1 is paused; go on with: sapa resume 1\n"; code != exitFailed || !strings.HasSuffix(printed, want) {
		t.Errorf("exit code %d:\n%s", code, printed)
	}
	caught := w.caught()
	if a := w.status(1); a.State != "paused" || a.Reason != "interrupted by ani" || a.Sent != caught || a.Planned != n-caught || caught == n {
		t.Errorf("%d were caught, status: %+v", caught, a)
	}
	w.want(exitOK, "nobody else is sending; run 1 goes on from here\nrun 1 done: sent 120 of 120\n", "resume", "1")
	enough()
	w.everybodyOnce(n)
}

func TestRetry(t *testing.T) {
	t.Parallel()
	const n = 20
	refuse := sandbox.Rule{Name: "no", Reply: sandbox.Reply{Code: 554, Enhanced: [3]int{5, 7, 1}, Words: "Not from you"}}
	w := newShop(t, n, "", refuse)
	code, printed := w.sapa("run", "hello")
	if want := "run 1 done: sent 0 of 20, failed 20\n  failed: refused: 20\n"; code != exitPartial || !strings.HasSuffix(printed, want) {
		t.Errorf("exit code %d:\n%s", code, printed)
	}
	w.stopMail()
	w.startMail()
	w.want(exitOK, `20 messages of run 1 are planned again
nobody else is sending; run 1 goes on from here
run 1 done: sent 20 of 20
`, "retry", "1")
	w.everybodyOnce(n)
	w.want(exitOK, "0 messages of run 1 are planned again\n", "retry", "1")
	if a := w.status(1); a.State != "done" || a.Sent != n {
		t.Errorf("after a retry of nothing: %+v", a)
	}
}

func TestSideBySide(t *testing.T) {
	t.Parallel()
	const n = 5000
	w := newShop(t, n, "", sandbox.Rule{Name: "slow", Delay: 5 * time.Millisecond})
	one, two := w.start("serve", "--public", "127.0.0.1:0"), w.start("serve", "--public", "127.0.0.1:0")
	for _, p := range []*process{one, two} {
		w.until("it serves", func() bool { return strings.HasPrefix(p.printed(), "serving; public listener on http://127.0.0.1:") })
	}
	run := w.start("run", "hello")
	w.sending(run, 50)
	enough := w.watch(1, n)
	one.stop() // SIGTERM: what it holds is released
	if code, printed := one.wait(); code != exitOK {
		t.Errorf("serve ended with %d:\n%s", code, printed)
	}
	if code, printed := run.wait(); code != exitOK || !strings.HasSuffix(printed, "run 1 done: sent 5,000 of 5,000\n") {
		t.Errorf("exit code %d:\n%s", code, printed)
	}
	enough()
	w.everybodyOnce(n)
	if workers := w.number(`select count(distinct worker) from sapa.attempts`); workers < 2 {
		t.Errorf("only %d process sent", workers)
	}
	if n := w.number(`select count(*) from sapa.messages where state <> 'sent' or attempts <> 1`); n != 0 {
		t.Errorf("%d messages were not sent at the first attempt", n)
	}
}
