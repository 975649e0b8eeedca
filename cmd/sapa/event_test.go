package main

import (
	"strings"
	"testing"
)

const checkInYAML = `campaign: check-in
topic: service
trigger: {event: check_in, where: event.gate == "north"}
audience: {where: "true"}
content: {email: {subject: "{{ customer.name }} at {{ event.gate }}", text: Halo}}
`

// An event is told by the command line while sapa serve runs, and its message comes.
func TestEventByTheCommandLine(t *testing.T) {
	t.Parallel()
	w := newClub(t)
	w.file("sapa.yaml", strings.NewReplacer("MAIL", w.smtp, "PUBLIC", w.public).Replace(clubYAML)+"events: {check_in: {data: {gate: text}}}\n")
	w.file("campaigns/check-in.yaml", checkInYAML)
	w.want(0, "+ check-in version 1, at each event check_in\n= news-confirm version 1\n= news version 1\n1 added, 0 changed, 2 unchanged.\n", "apply")
	w.want(1, "sapa: check-in goes when the event check_in comes, and is not run by hand; send one: sapa event check_in --customer KEY\n", "run", "check-in")
	w.want(0, "no events; send one: sapa event NAME --customer KEY\n", "events")
	w.want(2, "sapa: whose event is it? add  --customer KEY\n", "event", "check_in")
	w.want(0, "event 1: check_in of customer 1; it triggers check-in; what came of it: sapa events\n", "event", "check_in", "--customer", "1", "--data", `{"gate": "north"}`, "--key", "visit-1")
	w.want(0, "event 1, which was taken before: check_in of customer 1; it triggers check-in; what came of it: sapa events\n", "event", "check_in", "--customer", "1", "--data", `{"gate": "north"}`, "--key", "visit-1")
	w.want(0, "1  2026-11-23 09:00 WIB  check_in  customer 1\n    check-in: waits for a process that serves: sapa serve\n", "events", "--open")
	server := w.start("serve", "--public", "127.0.0.1:0", "--private", "none")
	w.until("the message is caught", func() bool { return w.caught() == 1 })
	w.want(0, "event 2: check_in of customer 2; it triggers check-in; what came of it: sapa events\n", "event", "check_in", "--customer", "2", "--data", `{"gate": "south"}`)
	w.until("both are handled", func() bool {
		return w.number(`select count(*) from triggers t left join messages m on m.id = t.lo where t.handled_at is null or m.state in ('planned', 'claimed')`) == 0
	})
	_, listed := w.sapa("events")
	for _, want := range []string{"check-in: sent (run 1, message ", "check-in: the rule does not mean them\n"} {
		if !strings.Contains(listed, want) {
			t.Errorf("%q is not in\n%s", want, listed)
		}
	}
	server.stop()
	if code, printed := server.wait(); code != 0 {
		t.Errorf("%d %s", code, printed)
	}
	_, status := w.sapa("status")
	if !strings.Contains(status, "check-in") || !strings.Contains(status, "sending") {
		t.Error(status)
	}
}
