package calldesk

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sapa-crm/sapa/channels/calls"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/customer/privacy"
)

// stopped is whose call an agent has, and why it must not be made; it must not lead to calling then.
func (f *florist) stopped(agent string) string {
	f.t.Helper()
	c, err := f.Current(f.t.Context(), agent)
	f.must(err)
	if c.Stop == nil {
		return c.CustomerKey
	}
	again, err := f.Next(f.t.Context(), agent)
	f.must(err)
	f.equal("the next call of somebody who has one", c, again)
	for what, text := range map[string]string{"number": c.Phone, "reason": c.Reason, "offer": c.Offer, "script": c.Script} {
		if text != "" {
			f.t.Errorf("%s: the %s %q leads to calling", c.Stop.Reason, what, text)
		}
	}
	return c.CustomerKey + ": " + c.Stop.Text
}

// What changed while an agent has a call is seen by them, and what came of it can be said all the same.
func TestStop(t *testing.T) {
	t.Parallel()
	f := newFlorist(t)
	f.exec(`update calls set due_at = due_at - interval '1 day'`)
	f.equal("given", "c1", f.give("ani"))
	f.exec(`update runs set state = 'paused'`)
	f.equal("paused", "c1: The run is paused; nobody of it is called until somebody resumes it.", f.stopped("ani"))
	f.exec(`update runs set state = 'sending'`)
	f.equal("resumed", "c1", f.stopped("ani"))
	f.versions.quiet = []customer.Window{{From: 9 * 60, To: 10 * 60}}
	f.equal("the campaign's quiet hours", "c1: At this hour, where they live, nobody is called.", f.stopped("ani"))
	f.versions.quiet = nil
	f.exec(`update calls set claimed_until = $1 where claimed_by = 'ani'`, monday.Add(24*time.Hour))
	f.now = monday.Add(11 * time.Hour)
	f.equal("eight in the evening", "c1: At this hour, where they live, nobody is called.", f.stopped("ani"))
	f.now = monday.Add(11 * time.Minute)
	f.exec(`update messages set not_after = $1 where id = $2`, f.now, f.run.Base+1)
	f.equal("its end", "c1: The time of this campaign is over.", f.stopped("ani"))
	f.equal("said all the same", Said{Outcome: calls.Order}, f.done("ani", calls.Order))
	for i, c := range []struct {
		change func()
		want   string
	}{
		{func() {
			f.must(customer.Suppress(t.Context(), f.Pool, "calls", "+628120000002", customer.Suppression{Reason: "by hand", Source: "ani", At: f.now}))
		}, "c2: The number must not be called any more."},
		{func() {
			f.must(customer.SetConsent(t.Context(), f.Pool, customer.ConsentChange{CustomerKey: "c3", Channel: "*", Topic: "offers", Source: "page", At: f.now}))
		}, "c3: The customer does not want to be called about this any more."},
		{func() { f.exec(`delete from shop.customers where id = 'c4'`) }, "c4: The company has no such customer any more."},
		{func() { f.versions.gone = []string{"c5"} }, "c5: The campaign is not about this customer any more."},
	} {
		f.equal("before", fmt.Sprintf("c%d", i+2), f.give("ani"))
		c.change()
		f.must(f.Tidy(t.Context()))
		f.equal("after", c.want, f.stopped("ani"))
		f.equal("said all the same", Said{Outcome: calls.Reached}, f.done("ani", calls.Reached))
	}
	f.equal("before", "c6", f.give("ani"))
	_, err := privacy.Erase(t.Context(), f.Pool, f.Schema, privacy.EraseOptions{Customer: "c6", Actor: "budi", Now: f.Now})
	f.must(err)
	f.must(f.Tidy(t.Context()))
	f.equal("erased", f.texts(`select pseudonym || ': The customer was erased.' from erasures`)[0], f.stopped("ani"))
	f.equal("said all the same", Said{Outcome: calls.Reached, Late: true}, f.done("ani", calls.Reached))
	f.equal("notes on whom is erased", []string{}, f.texts(`select note from call_tries where message_id = $1 and note is not null`, f.run.Base+6))
	f.equal("the ledger", []string{"c1 sent", "c2 sent", "c3 sent", "c4 sent", "c5 sent"}, f.states()[:5])
	f.equal("what was said", []string{"order", "reached", "reached", "reached", "reached", "reached"}, f.texts(`select outcome from calls order by message_id`))
}

// A stopped call that is given back is put aside at its next turn, or comes back when it may.
func TestReleaseStopped(t *testing.T) {
	t.Parallel()
	f := newFlorist(t)
	f.equal("given", "c1", f.give("ani"))
	f.exec(`update runs set state = 'paused'`)
	f.must(f.Release(t.Context(), "ani", f.run.Base+1))
	f.equal("nothing else", "", f.give("ani"))
	f.exec(`update runs set state = 'sending'`)
	f.equal("given", "c2", f.give("ani"))
	f.must(customer.Suppress(t.Context(), f.Pool, "calls", "+628120000002", customer.Suppression{Reason: "by hand", Source: "ani", At: f.now}))
	f.must(f.Release(t.Context(), "ani", f.run.Base+2))
	for range 5 {
		f.done("ani", calls.Reached)
	}
	f.equal("the rest", "", f.give("ani"))
	f.equal("the ledger", []string{"c1 sent", "c2 skipped suppressed", "c3 sent", "c4 sent", "c5 sent", "c6 sent"}, f.states())
}

// What is wrong with one campaign holds its calls, says why, and holds nobody else's.
func TestOneCampaignInTrouble(t *testing.T) {
	t.Parallel()
	f := newFlorist(t)
	good := f.calls("valentine")
	f.exec(`update runs set priority = -1 where id = $1`, good.ID)
	f.now = monday.Add(11 * time.Minute) // rules are asked again
	note := func() []string {
		t.Helper()
		return f.texts(`select concat_ws(': ', state, reason) from runs order by id`)
	}
	const unknown = "line 3: there is no column favourite"
	f.versions.broken = map[int]error{f.run.Campaign.Version: errors.New(unknown)}
	c, err := f.Next(t.Context(), "ani")
	f.must(err)
	f.equal("given", "valentine c1", c.Campaign+" "+c.CustomerKey)
	f.done("ani", calls.Reached)
	f.equal("the runs", []string{"sending: its calls are held: " + unknown, "sending"}, note())
	f.versions.broken = nil
	f.equal("mended, and resting", "c2", f.give("ani"))
	f.done("ani", calls.Reached)
	f.equal("the runs", []string{"sending: its calls are held: " + unknown, "sending"}, note())
	f.now = f.now.Add(restFor)
	f.equal("after a while", "c1", f.give("ani"))
	f.done("ani", calls.Reached)
	f.equal("the runs", []string{"sending", "sending"}, note())

	f.versions.rules = map[int]error{f.run.ID: &pgconn.PgError{Severity: "ERROR", Code: "55P03", Message: "canceling statement due to lock timeout"}}
	c, err = f.Next(t.Context(), "ani")
	f.must(err)
	f.equal("while a table is locked", "valentine c3", c.Campaign+" "+c.CustomerKey)
	f.done("ani", calls.Reached)
	f.equal("the runs", []string{fmt.Sprintf("sending: its calls are held: look at call %d: ERROR: canceling statement due to lock timeout (SQLSTATE 55P03)", f.run.Base+2), "sending"}, note())

	f.now = f.now.Add(restFor)
	f.versions.rules[f.run.ID] = &pgconn.PgError{Severity: "ERROR", Code: "42703", Message: `column t.due does not exist`}
	c, err = f.Next(t.Context(), "ani")
	f.must(err)
	f.equal("when a column is gone", "valentine c4", c.Campaign+" "+c.CustomerKey)
	want := fmt.Sprintf("paused: the company's tables can't be read as when the campaign was applied: look at call %d: ERROR: column t.due does not exist (SQLSTATE 42703); mend it, then: sapa resume %d", f.run.Base+2, f.run.ID)
	f.equal("the runs", []string{want, "sending"}, note())
	f.equal("the audit log", []string{fmt.Sprintf(`sapa run %d {"because": "company tables"}`, f.run.ID)}, f.texts(`select concat_ws(' ', actor, subject, detail) from audit_log where action = 'pause'`))
}

// What an agent has is shown also where the company's tables can't be read any more.
func TestTablesBreakUnderACall(t *testing.T) {
	t.Parallel()
	f := newFlorist(t)
	f.exec(`alter table shop.customers drop column favourite`)
	c, err := f.Next(t.Context(), "ani")
	f.must(err)
	f.equal("a card without its column", []CardLine{{"card", "it can’t be read: a column that sapa.yaml names below channels: calls: card: is gone"}}, c.Card)
	f.exec(`alter table shop.customers drop column may_call`)
	c, err = f.Current(t.Context(), "ani")
	f.must(err)
	f.equal("nobody knows", "The company’s tables can’t be read, so nobody knows whether this customer may be called. Operators see why.", c.Stop.Text)
	f.equal("which pauses the run", "c1: The run is paused; nobody of it is called until somebody resumes it.", f.stopped("ani"))
	f.versions.broken = map[int]error{f.run.Campaign.Version: errors.New("unreadable")}
	said := f.done("ani", calls.CallBack, "10:00")
	if !said.Open || !said.DueAt.Equal(monday.Add(time.Hour)) {
		t.Errorf("said all the same: %+v", said)
	}
}
