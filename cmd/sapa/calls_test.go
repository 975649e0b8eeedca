package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const callsProject = `customers: {table: public.customers, key: id, phone: phone, name: full_name, region: {default: ID}, timezone: {default: Asia/Jakarta}}
channels: {calls: {card: [favourite]}}
`

const callsCampaign = `campaign: mothers-day
topic: offers
audience: {where: customer.favourite != nil}
content:
  calls:
    reason: "Bought {{ customer.favourite }} last year"
    offer: "10 % on {{ customer.favourite }}"
    script: "Selamat pagi, {{ customer.full_name }}!"
`

// From the campaign's file to what came of the calls, as people do it.
func TestCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nine := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC) // in Jakarta
	w.now = func() time.Time { return nine }
	w.exec(`create table public.customers (id bigint primary key, full_name text, phone text, favourite text);
		insert into public.customers values (1, 'Sari', '0812-1111-0001', 'roses'), (2, E'Budi\x1b[2J', '0812-1111-0002', 'lilies'), (3, 'Citra', null, 'tulips'), (4, 'Dewi', '0812-1111-0004', null)`)
	w.file("sapa.yaml", callsProject)
	w.file("campaigns/mothers-day.yaml", callsCampaign)
	w.ok("apply")
	w.want(0, "customer 2, in the audience now\nto:      Budi[2J <0812-1111-0002>, +6281211110002\n\nreason: Bought lilies last year\noffer: 10 % on lilies\nscript: Selamat pagi, Budi[2J!\n",
		"preview", "mothers-day", "--customer", "2")
	w.want(0, "customer 3, in the audience now, but would be skipped: no address\nto:      Citra <>, nothing reaches them: no address\n\nreason: Bought tulips last year\noffer: 10 % on tulips\nscript: Selamat pagi, Citra!\n",
		"preview", "mothers-day", "--customer", "3")
	if code, printed := w.sapa("preview", "mothers-day", "--send-to", "0812-1111-0009"); code != exitUsage || !strings.HasSuffix(printed, "sapa: --send-to: what goes by channel calls can't be sent to an address; the preview above is all of it\n") {
		t.Errorf("%d %s", code, printed)
	}
	w.ok("run", "mothers-day")
	if got := w.texts(`select concat_ws(' ', customer_key, state, reason) from messages order by customer_key`); strings.Join(got, ", ") != "1 planned, 2 planned, 3 skipped no address" {
		t.Fatalf("the ledger has %q", got)
	}
	sari, budi := w.number(`select message_id from calls where customer_key = '1'`), w.number(`select message_id from calls where customer_key = '2'`)
	w.want(0, fmt.Sprintf(`Sari  +6281211110001
call %d · mothers-day, run 1 · customer 1 · 09:00 there

why    Bought roses last year
offer  10 %% on roses

  Selamat pagi, Sari!

favourite: roses

yours until 2026-11-23 09:15 WIB; then:  sapa calls done %[1]d OUTCOME
outcomes: reached, interested, order, call-back, no-answer, wrong-number, do-not-call
`, sari), "calls", "next")
	w.want(0, "call back; the call comes again at 2026-11-23 10:30 WIB\n", "calls", "done", fmt.Sprint(sari), "call-back", "--at", "10:30", "--note", "ask for her husband")
	if out := w.ok("calls", "next"); !strings.HasPrefix(out, "Budi[2J  +6281211110002\n") {
		t.Errorf("the next one is\n%q", out)
	}
	w.want(1, fmt.Sprintf("sapa: call %d: that is not possible with this call now: ani has it until 09:15\n", budi), "calls", "done", fmt.Sprint(budi), "order", "--agent", "citra")
	w.want(2, "sapa: no outcome \"orderd\"; did you mean \"order\"?\n", "calls", "done", fmt.Sprint(budi), "orderd")
	w.want(2, "sapa: when do they want to be called? add  --at 14:30,  --at \"2026-11-24 14:30\"  or  --at 2h\n", "calls", "done", fmt.Sprint(budi), "call-back")
	w.want(2, "sapa: --at belongs to call-back, not to order\n", "calls", "done", fmt.Sprint(budi), "order", "--at", "10:00")
	w.want(2, "sapa: \"x\" is not the number of a call; see: sapa calls next\n", "calls", "release", "x")
	w.want(0, fmt.Sprintf("call %d is anybody's again\n", budi), "calls", "release", fmt.Sprint(budi))
	w.want(0, "order; done\n", "calls", "done", fmt.Sprint(budi), "order", "--note", "=two bouquets")
	w.want(0, "nobody is to be called now; what waits: sapa calls. Calls that are due there wait for their hours where the customer lives,\nfor a colleague who has the customer, or for their campaign\n", "calls", "next")
	w.want(0, `┌─────┬─────────────┬─────────┬─────┬───────┬─────────────┬──────┬───────────┐
│ RUN │ CAMPAIGN    │ STATE   │ DUE │ LATER │ AGENTS HAVE │ DONE │ PUT ASIDE │
├─────┼─────────────┼─────────┼─────┼───────┼─────────────┼──────┼───────────┤
│   1 │ mothers-day │ sending │   0 │     1 │           0 │    1 │         0 │
└─────┴─────────────┴─────────┴─────┴───────┴─────────────┴──────┴───────────┘
┌───────┬───────┬─────────┬────────────┬────────┬──────────────────────┬─────┐
│ AGENT │ CALLS │ REACHED │ INTERESTED │ ORDERS │ LAST                 │ HAS │
├───────┼───────┼─────────┼────────────┼────────┼──────────────────────┼─────┤
│ ani   │     2 │       2 │          1 │      1 │ 2026-11-23 09:00 WIB │     │
└───────┴───────┴─────────┴────────────┴────────┴──────────────────────┴─────┘
`, "calls")
	if out := w.ok("report", "--run", "1"); !strings.Contains(out, "1  order\n") || !strings.Contains(out, "1  call back\n") {
		t.Errorf("the report says\n%s", out)
	}
	w.ok("check")
	w.exportsCalls(budi)
}

func (w *world) exportsCalls(budi int) {
	w.t.Helper()
	file := filepath.Join(w.dir, "list.csv")
	w.want(0, "2 calls written to list.csv\n", "calls", "export", "1", "--csv", file)
	w.want(1, "sapa: list.csv exists already: name another file, or remove this one\n", "calls", "export", "1", "--csv", file)
	w.want(1, "sapa: run 7 has no calls; see: sapa calls\n", "calls", "export", "7", "--csv", "-")
	f, err := os.Open(file)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil || len(lines) != 3 {
		w.t.Fatalf("%v: %q", err, lines)
	}
	want := fmt.Sprintf("%d|2|Budi\x1b[2J|+6281211110002|Bought lilies last year|10 %% on lilies|Selamat pagi, Budi\x1b[2J!||0|sent||order|ani|2026-11-23T02:00:00Z|'=two bouquets", budi)
	if got := strings.Join(lines[2], "|"); got != want {
		w.t.Errorf("the list has\n%q, want\n%q", got, want)
	}
	if got := w.texts(`select concat_ws(' ', actor, subject, detail) from audit_log where action = 'export calls'`); len(got) != 1 || got[0] != `ani run 1 {"calls": 2}` {
		w.t.Errorf("the audit log has %q", got)
	}
}

const againProject = `customers:
  table: public.customers
  key: id
  phone: phone
  region: {default: ID}
  timezone: {default: Asia/Jakarta}
  relations: {vehicles: {table: public.vehicles, by: customer_id, key: id}}
channels: {calls: {}}
events: {asked: {data: {about: text}}}
`

const askedCampaign = `campaign: asked
topic: offers
trigger: {event: asked, where: event.about == "roses"}
audience: {where: customer.phone != nil}
content: {calls: {reason: "Asked about {{ event.about }}", script: Halo}}
`

const oilCampaign = `campaign: oil
topic: service
audience:
  each: customer.vehicles as vehicle
  where: vehicle.due <= today()
  occasion: [vehicle.id, vehicle.due]
  merge: customer
content: {calls: {reason: "Due: {{ vehicles | map: 'plate' | join: ', ' }}", script: "Your {{ vehicles | map: 'plate' | join: ' and your ' }}, please."}}
`

// What waited on the list is asked again when it is given out: an event's call by its own event, and of due rows those that
// the rule still means are named, and no others.
func TestCallsAskedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nine := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC) // in Jakarta
	w.now = func() time.Time { return nine }
	w.exec(`create table public.customers (id bigint primary key, phone text);
		insert into public.customers select i, '0812-1111-000' || i from generate_series(1, 5) i;
		create table public.vehicles (id bigint primary key, customer_id bigint, plate text, due date);
		insert into public.vehicles select 10 * c + v, c, 'H ' || c || v, date '2026-11-20' from generate_series(3, 5) c, generate_series(1, 2) v`)
	w.file("sapa.yaml", againProject)
	w.file("campaigns/asked.yaml", askedCampaign)
	w.file("campaigns/oil.yaml", oilCampaign)
	w.ok("apply")
	server := w.start("serve", "--public", "127.0.0.1:0", "--private", "none")
	for _, customer := range []string{"1", "2"} {
		w.ok("event", "asked", "--customer", customer, "--data", `{"about": "roses"}`)
	}
	w.until("both are on the list", func() bool { return w.number(`select count(*) from calls`) == 2 })
	server.stop()
	if code, printed := server.wait(); code != 0 {
		t.Fatalf("%d %s", code, printed)
	}
	w.ok("run", "oil")
	w.now = func() time.Time { return nine.Add(11 * time.Minute) }
	w.exec(`update public.customers set phone = null where id = 2;
		update public.vehicles set due = '2027-05-20' where id in (32, 42)`) // their oil was changed
	w.exec(`delete from public.vehicles where id = 41`)
	w.exec(`insert into public.vehicles values (43, 4, 'H 43', '2026-11-20')`) // another one is due, which this message is not about
	var got []string
	for {
		code, out := w.sapa("calls", "next", "--json")
		var c struct{ ID, Campaign, Reason, Script string }
		if err := json.Unmarshal([]byte(out), &c); code != 0 || err != nil {
			break
		}
		got = append(got, fmt.Sprintf("%s: %s; %s", c.Campaign, c.Reason, c.Script))
		w.ok("calls", "done", c.ID, "reached")
	}
	if diff := cmp.Diff([]string{"asked: Asked about roses; Halo", "oil: Due: H 31; Your H 31, please.", "oil: Due: H 51, H 52; Your H 51 and your H 52, please."}, got); diff != "" {
		t.Errorf("given (-want +got):\n%s", diff)
	}
	states := w.texts(`select concat_ws(' ', customer_key, state, reason) from messages order by customer_key`)
	if diff := cmp.Diff([]string{"1 sent", "2 skipped no longer eligible", "3 sent", "4 skipped no longer eligible", "5 sent"}, states); diff != "" {
		t.Errorf("the ledger (-want +got):\n%s", diff)
	}
	if got := w.texts(`select reason from calls where customer_key = '3'`); got[0] != "Due: H 31" {
		t.Errorf("the list says %q", got)
	}
}
