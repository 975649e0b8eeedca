package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/sandbox"
)

const reminder = `campaign: reminder
topic: service
audience: {where: "true"}
channels: [sms]
content: {sms: {text: "Halo {{ customer.name }}, sudah waktunya servis."}}
`

// texting is a world with n customers who have phones and a network that misbehaves; the engine is not started.
func texting(t *testing.T, n int, misbehave string) *world {
	t.Helper()
	rules, err := sandbox.ParseRules(misbehave)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.mail, err = sandbox.Start(context.WithoutCancel(t.Context()), sandbox.Config{
		Dir: t.TempDir(), Misbehave: rules, Seed: 1, InboundURL: w.public + "/hooks/sms/inbound",
		Pace: 20 * time.Millisecond, Late: 500 * time.Millisecond, Retry: 200 * time.Millisecond, Hang: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.mail.Close() })
	w.exec(`create table public.customers (id bigint primary key, name text, phone text)`)
	w.exec(`insert into public.customers select i, 'Siti ' || i, '0811' || (20000000 + i * 7) from generate_series(1, $1::int) i`, n)
	w.file("sapa.yaml", `customers: {table: customers, key: id, phone: phone, name: name, region: {default: ID}}
channels: {sms: {twilio: "`+w.mail.TwilioURL()+`?timeout=700ms", from: "+6281100000001", connections: 32}}
company: {name: Bengkel Maju}
public_url: `+w.public+"\n")
	w.file("campaigns/reminder.yaml", reminder)
	w.ok("migrate")
	w.ok("apply")
	return w
}

// received counts the texts that the sandbox accepted for each number.
func (w *world) received() (texts int, twice []string) {
	seen := map[string]int{}
	for m := range w.mail.Each(sandbox.Filter{Channel: sandbox.ChannelSMS}) {
		to := strings.Join(m.To, " ")
		if seen[to]++; seen[to] == 2 {
			twice = append(twice, to)
		}
		texts++
	}
	return texts, twice
}

// Five in a hundred texts get no answer although they were accepted; their callbacks come early, late, twice, in the
// wrong order. Nobody gets two texts, and when the last callback has come nothing is unknown and everything adds up.
func TestTimeoutsAfterAcceptance(t *testing.T) {
	t.Parallel()
	audience := 20_000
	if testing.Short() || raceEnabled {
		audience = 2_000
	}
	w := texting(t, audience, "sms-timeout-after=5%, callbacks-early=2%, callbacks-late=5%, callbacks-twice=5%, callbacks-reversed=5%, sms-30005=1%")
	if err := w.listener.Close(); err != nil { // sapa serve listens there
		t.Fatal(err)
	}
	began := time.Now()
	serve := w.start("serve", "--public", w.listener.Addr().String())
	code, printed := w.start("run", "reminder", "--yes").waitFor(3 * time.Minute)
	t.Logf("run ends with %d after %s: %s", code, time.Since(began), lastLine(printed))
	w.patiently("every callback was made", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return w.mail.WaitCallbacks(ctx) == nil
	})
	w.patiently("every report is settled", func() bool {
		return w.number(`select count(*) from sapa.delivery_reports where open`) == 0
	})
	t.Logf("settled after %s", time.Since(began))
	lost := w.lost()
	if lost < audience/40 || lost > audience/10 {
		t.Errorf("%d answers of %d were withheld", lost, audience)
	}
	w.want(exitOK, "everything adds up\n", "check")
	texts, twice := w.received()
	if len(twice) > 0 {
		t.Errorf("%d texts for %d people, and two for %q", texts, audience, twice)
	}
	// On a machine that is busy enough a request may run into its time-out before the sandbox has read it: such a text is
	// rightly unknown.
	want := []string{fmt.Sprintf("sent %d", texts)}
	if late := audience - texts; late > 0 {
		t.Logf("%d requests never reached the sandbox", late)
		want = append(want, fmt.Sprintf("unknown %d", late))
	}
	if diff := cmp.Diff(want, w.texts(`select state || ' ' || count(*) from sapa.messages group by state order by state`)); diff != "" || texts < audience*99/100 {
		t.Errorf("%d texts; states (-want +got):\n%s", texts, diff)
	}
	w.sameSIDs()
	r := w.texts(`select concat_ws(' ', delivered + undelivered, read, segments, undelivered > 0, state) from sapa.report_runs`)
	if diff := cmp.Diff([]string{fmt.Sprintf("%d 0 %d t done", texts, texts)}, r); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if n := w.number(`select count(*) from sapa.suppressions where reason = 'no such number'`); n != w.number(`select undelivered from sapa.report_runs`) {
		t.Errorf("%d numbers are suppressed", n)
	}
	serve.stop()
	if code, printed := serve.wait(); code != exitOK {
		t.Errorf("serve ends with %d:\n%s", code, printed)
	}
}

// lost counts the texts whose acceptance was not told.
func (w *world) lost() (n int) {
	for m := range w.mail.Each(sandbox.Filter{Channel: sandbox.ChannelSMS}) {
		if m.Verdict.Withheld {
			n++
		}
	}
	return n
}

// sameSIDs holds that the ledger names each text as the sandbox does.
func (w *world) sameSIDs() {
	w.t.Helper()
	ours := map[string]bool{}
	for _, sid := range w.texts(`select provider_id from sapa.attempts where verdict = 'accepted'`) {
		ours[sid] = true
	}
	for m := range w.mail.Each(sandbox.Filter{Channel: sandbox.ChannelSMS}) {
		if !ours[m.MessageID] {
			w.t.Errorf("the ledger does not know the text %s", m.MessageID)
		}
		delete(ours, m.MessageID)
	}
	if len(ours) > 0 {
		w.t.Errorf("the ledger names %d texts that the sandbox does not know", len(ours))
	}
}

// waitFor is wait, for what takes its time.
func (p *process) waitFor(patience time.Duration) (code int, printed string) {
	p.w.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
	}
	return p.wait()
}

// patiently is until, for what takes its time.
func (w *world) patiently(what string, holds func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain until %s:\n%s", what, strings.Join(w.texts(
				`select concat_ws(' ', state, reason, sum(delta)) from sapa.run_totals group by state, reason`), "\n"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}
