package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/sandbox"
)

// calling is a world with four customers: the second has no WhatsApp; in a call the third presses 1 and the fourth 9.
func calling(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	mail, err := sandbox.Start(context.WithoutCancel(t.Context()), sandbox.Config{
		Dir: t.TempDir(), InboundURL: w.public + "/hooks/sms/inbound", Pace: time.Millisecond, Retry: 200 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.mail = mail
	t.Cleanup(func() { _ = w.mail.Close() })
	w.exec(`create table public.customers (id bigint primary key, name text, phone text)`)
	w.exec(`insert into public.customers values (1, 'Ani', '0812-5555-1000'), (2, 'Budi', '0812-5555-6324'), (3, 'Cici', '0812-5555-7001'), (4, 'Dedi', '0812-5555-7009')`)
	w.file("sapa.yaml", `customers: {table: customers, key: id, phone: phone, name: name, region: {default: ID}, locale: {default: id-ID}}
channels:
  whatsapp: {twilio: "`+w.mail.TwilioURL()+`", from: "+6281100000001"}
  voice: {twilio: "`+w.mail.TwilioURL()+`", from: "+622112345678", rate: 100/s}
company: {name: Bengkel Maju}
public_url: `+w.public+"\n")
	w.file("campaigns/offer.yaml", `campaign: offer
topic: offers
seeds: ["+62 812-5555-9999", boss@bengkel.example]
audience: {where: "true"}
channels: [whatsapp]
content:
  whatsapp: {template: HX0123456789abcdef0123456789abcdef, variables: {1: "{{ customer.name }}", 2: "{{ 'https://bengkel.example/oli' | link }}"}}
`)
	w.file("campaigns/chat.yaml", `campaign: chat
topic: offers
audience: {where: "true"}
channels: [whatsapp]
content: {whatsapp: {text: "Halo {{ customer.name }}"}}
`)
	w.file("campaigns/ring.yaml", `campaign: ring
topic: offers
seeds: ["+6281255559999"]
audience: {where: "true"}
channels: [voice]
content:
  voice:
    say: "Halo {{ customer.name }}. Tekan satu kalau tertarik, sembilan untuk berhenti."
    press: {1: interested, 9: stop}
`)
	w.ok("migrate")
	w.ok("apply")
	return w
}

// settled waits until every callback was made.
func (w *world) settled() {
	w.t.Helper()
	w.patiently("every callback was made", func() bool {
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		return w.mail.WaitCallbacks(ctx) == nil
	})
}

// WhatsApp and calls go their whole way: templates with links of their own, receipts, numbers without WhatsApp, free text
// to those who wrote, keys that are pressed, and the one that ends the calls.
func TestWhatsAppAndCalls(t *testing.T) {
	t.Parallel()
	w := calling(t)
	if err := w.listener.Close(); err != nil { // sapa serve listens there
		t.Fatal(err)
	}
	serve := w.start("serve", "--public", w.listener.Addr().String())
	check := func(what, sql string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, w.texts(sql)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	run := func(args ...string) {
		t.Helper()
		if code, printed := w.start(append([]string{"run", "--yes"}, args...)...).waitFor(time.Minute); code != exitOK && code != exitPartial {
			t.Fatalf("run ends with %d:\n%s", code, printed)
		}
		w.settled()
	}
	run("offer")
	const report = `select concat_ws(' ', campaign, 'sent', sent, 'failed', failed, 'skipped', skipped, 'delivered', delivered, 'undelivered', undelivered, 'read', read, 'replied', replied)
		from sapa.report_runs order by run_id`
	offer := "offer sent 4 failed 0 skipped 0 delivered 3 undelivered 1 read 3 replied 0"
	check("after the templates", report, offer)
	check("codes", `select code || ' ' || words from sapa.delivery_reports where code is not null`, "63024 the number has no WhatsApp, an old version of it, or has not agreed to its terms")
	if n := w.number(`select count(*) from sapa.suppressions`); n != 0 {
		t.Errorf("%d numbers are suppressed", n)
	}
	links := 0
	for m := range w.mail.Each(sandbox.Filter{Channel: sandbox.ChannelWhatsApp}) {
		text, err := w.mail.Text(m.ID)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text.Form.Get("ContentVariables"), w.public+"/s/") {
			links++
		}
	}
	if links != 4 {
		t.Errorf("%d of 4 templates have a short link", links)
	}
	check("which count for WhatsApp", `select part || ' ' || count(*) from sapa.short_links group by part`, "whatsapp 4")
	if _, err := w.mail.Reply(t.Context(), "whatsapp:+6281255551000", "whatsapp:+6281100000001", "Ada promo?"); err != nil {
		t.Fatal(err)
	}
	run("chat")
	offer = strings.Replace(offer, "replied 0", "replied 1", 1)
	chat := "chat sent 1 failed 3 skipped 0 delivered 1 undelivered 0 read 1 replied 0"
	check("after free text", report, offer, chat)

	run("ring")
	ring := "ring sent 4 failed 0 skipped 0 delivered 4 undelivered 0 replied 1"
	check("after the calls", strings.Replace(report, "'read', read, ", "", 1)+` offset 2`, ring)
	check("answers", `select answer || ' ' || messages from sapa.report_answers`, "interested 1")
	check("suppressions", `select concat_ws(' ', channel, address, reason) from sapa.suppressions`, "voice +6281255557009 stop")
	check("what customers said", `select concat_ws(' ', channel, kind, customer_key, body) from sapa.inbound order by customer_key`,
		"whatsapp reply 1 Ada promo?", "voice reply 3 interested", "voice stop 4 stop")
	check("copies for the company's own people", `select concat_ws(' ', run_id, channel, address, state) from sapa.seed_messages order by run_id`,
		"1 whatsapp +6281255559999 sent", "3 voice +6281255559999 sent")
	run("ring", "--again", "twice")
	check("after calling again", strings.Replace(report, "'read', read, ", "", 1)+` offset 3`, "ring sent 3 failed 0 skipped 1 delivered 3 undelivered 0 replied 1")
	w.want(exitOK, "everything adds up\n", "check")
	serve.stop()
	if code, printed := serve.wait(); code != exitOK {
		t.Errorf("serve ends with %d:\n%s", code, printed)
	}
}
