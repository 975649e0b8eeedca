package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
	w.want(2, "sapa: --at belongs to call-back, not to order\n", "calls", "done", fmt.Sprint(budi), "order", "--at", "10:00")
	w.want(2, "sapa: \"x\" is not the number of a call; see: sapa calls next\n", "calls", "release", "x")
	w.want(0, fmt.Sprintf("call %d is anybody's again\n", budi), "calls", "release", fmt.Sprint(budi))
	w.want(0, "order; done\n", "calls", "done", fmt.Sprint(budi), "order", "--note", "=two bouquets")
	w.want(0, "nobody is to be called now; what waits for its time: sapa calls\n", "calls", "next")
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
