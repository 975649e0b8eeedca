package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// desks is a company with two desks, and a program that takes requests.
func desks(t *testing.T) (w *world, requests func() []string) {
	t.Helper()
	w = newWorld(t)
	var mu sync.Mutex
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e struct {
			Data struct {
				Customer, Campaign, Text string
				Data                     map[string]string
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		line, err := json.Marshal(e.Data)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(line))
	}))
	t.Cleanup(server.Close)
	w.exec(`create table public.members (id text primary key, name text)`)
	w.exec(`insert into public.members values ('c1', 'Ani'), ('c2', 'Budi')`)
	w.file("sapa.yaml", `customers: {table: members, key: id, name: name}
channels:
  email: {smtp: "smtp://`+w.smtp+`", from: "Klub <klub@klub.example>"}
  webhook: {url: "`+server.URL+`", secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}
  alert:
    desks:
      front-desk: {name: Front desk}
      manager: {name: Manager, email: boss@klub.example, webhook: {url: "`+server.URL+`", secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}
`)
	w.file("campaigns/hello.yaml", `campaign: hello
topic: service
audience: {where: 'customer.id == "c1"'}
channels: [alert]
content:
  alert: {to: front-desk, title: "{{ customer.name }} is back", text: Say hello.}
`)
	w.file("campaigns/tell.yaml", `campaign: tell
topic: service
audience: {where: 'customer.id == "c2"'}
channels: [alert]
content:
  alert: {to: manager, title: "{{ customer.name }} is back"}
`)
	w.file("campaigns/crm.yaml", `campaign: crm
topic: service
audience: {where: 'customer.id == "c2"'}
channels: [webhook]
content:
  webhook: {data: {who: "{{ customer.name }}"}, text: Look}
`)
	w.ok("apply")
	return w, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return got
	}
}

// From the campaign to the desk: on its page's list, by its other ways, and seen to.
func TestAlerts(t *testing.T) {
	t.Parallel()
	w, requests := desks(t)
	w.want(exitOK, "nothing to see to; what was: sapa alerts --all\n", "alerts")
	w.want(exitOK, "no desk was told anything\n", "alerts", "--all")
	w.want(exitOK, "customer c1, in the audience now\nabout:   Ani\n\nto: front-desk\ntitle: Ani is back\ntext: Say hello.\n", "preview", "hello")
	w.want(exitOK, "customer c2, in the audience now\nabout:   Budi\n\ndata.who: Budi\ntext: Look\n", "preview", "crm")
	w.ok("consent", "withdraw", "c1", "--topic", "service") // the alert is not sent to them
	if printed := w.ok("why", "c1", "hello"); !strings.Contains(printed, "none is needed: people of the company read it, and the customer never") {
		t.Error(printed)
	}
	for _, campaign := range []string{"hello", "tell", "crm"} {
		w.ok("run", campaign, "--yes")
	}
	csv := moments.ReplaceAllString(w.ok("alerts", "--csv"), "TIME")
	ids := w.texts(`select message_id::text from alerts order by id`)
	want := "id,at,desk,title,text,customer_key,campaign,message_id,done_at,done_by\n" +
		"2,TIME,manager,Budi is back,,c2,tell," + ids[1] + ",,\n1,TIME,front-desk,Ani is back,Say hello.,c1,hello," + ids[0] + ",,\n"
	if diff := cmp.Diff(want, csv); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{
		`{"Customer":"c2","Campaign":"tell","Text":"","Data":{"desk":"manager","title":"Budi is back"}}`,
		`{"Customer":"c2","Campaign":"crm","Text":"Look","Data":{"who":"Budi"}}`,
	}, requests()); diff != "" {
		t.Error(diff)
	}
	if l := w.letters("Budi is back"); len(l) != 1 || l["boss@klub.example"].Mail == nil {
		t.Errorf("mails: %+v", l)
	}
	if n := w.number(`select count(*) from messages where state = 'sent'`); n != 3 {
		t.Errorf("%d are sent", n)
	}
	w.want(exitOK, "1 of 2 marked as seen to\n", "alerts", "--done", "1", "77")
	w.want(exitFailed, "0 of 1 marked as seen to\nsapa: none of these is an alert that nobody has seen to; see: sapa alerts --all\n", "alerts", "--done", "1")
	w.want(exitOK, "nothing to see to; what was: sapa alerts --all\n", "alerts", "--desk", "front-desk")
	w.ok("erase", "c1", "--yes")
	w.ok("consent", "withdraw", "c2", "--topic", "service") // a program may do anything with it
	w.ok("run", "hello", "--again", "later", "--yes")
	w.ok("run", "crm", "--again", "later", "--yes")
	if diff := cmp.Diff([]string{"crm no consent", "hello erased"}, w.texts(`
		select c.name || ' ' || m.reason from messages m join runs r on r.id = m.run_id join campaigns c on c.id = r.campaign_id where m.state = 'skipped' order by 1`)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"c2"}, w.texts(`select customer_key from alerts`)); diff != "" {
		t.Error(diff)
	}
	w.want(exitUsage, "sapa: --done: which ones? write their numbers, such as: sapa alerts --done 17 18\n", "alerts", "--done")
	w.want(exitUsage, "sapa: --done: \"x\" is not the number of an alert; see: sapa alerts\n", "alerts", "--done", "x")
	w.want(exitUsage, "sapa: write: sapa alerts --desk DESK, or: sapa alerts --done ID…\n", "alerts", "17")
	w.want(exitUsage, "sapa: --limit -1: write a number from 1, or 0 for all\n", "alerts", "--limit", "-1")
}
